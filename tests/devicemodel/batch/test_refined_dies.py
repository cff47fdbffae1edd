"""A refined batch is the refined devices one by one, and a program that is kept is not computed again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset, thermal_preset
from thermograd.devicemodel.batch import die_batch
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.device import DeviceBatch, Outcome
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense, LowRank

from ...systems import spd, true_card

UNEVEN = preset("integrated").replace(
    thermal=thermal_preset("beside a GPU"),
    resistors__die_to_die=0.1,
    dac__dnl=0.1,
    adc__inl=1e-3,
    adc__dnl=0.1,
)
DIES = [0, 3, 11]


def problem(n=6, condition=20.0, seed=0):
    d = np.random.default_rng([seed, 5]).uniform(0.5, 2.0, n)
    A = spd(n, condition, seed) * np.outer(d, d)
    b = torch.from_numpy(np.random.default_rng([seed, 6]).standard_normal(n))
    return Dense(torch.from_numpy(A), floor=float(np.linalg.eigvalsh(A)[0]) * 0.999), b


@pytest.mark.parametrize(
    "options",
    [
        {"rounds": 2},
        {"tolerance": 1e-4},
        {"rounds": 1, "chopped": False, "equilibrate": False},
        {"rounds": 4, "method": "fcg", "added_damping": 0.1},
    ],
)
@pytest.mark.parametrize("duration", [20.0, math.inf])
def test_each_die_is_refined_as_its_own_device_is(options, duration):
    """Noise streams and ranging memory go on from run to run, so that they are those of a device that is run as often."""
    card, (system, b) = true_card(UNEVEN), problem()
    x0 = 0.1 * torch.arange(6, dtype=torch.float64)
    batch = DieBatch(card, DIES, extrapolate=True)
    assert isinstance(batch, DeviceBatch)
    found = Refined(batch, **options).solve(system, b, duration, x0, seed=5)
    for place, die in enumerate(DIES):
        device = SurrogateDevice(card, die, seed=5, extrapolate=True)
        alone = Refined(device, **options).solve(system, b, duration, x0)
        torch.testing.assert_close(found.x[place], alone.x, rtol=1e-9, atol=1e-12)
        assert found.outcomes[place] == alone.outcome
        assert found.attempts[place] == alone.attempts
        assert found.seconds[place] == pytest.approx(alone.seconds)
        assert found.violations[place] == alone.violations
        assert found.refinements is not None
        mine, theirs = found.refinements[place], alone.refinement
        assert mine.residuals == pytest.approx(theirs.residuals, rel=1e-6, abs=1e-12)
        assert mine.bound == pytest.approx(theirs.bound, rel=1e-6)
        assert (mine.products, mine.equilibrated) == (theirs.products, theirs.equilibrated)
    # Negative controls: another die, other noise.
    assert float((found.x[0] - found.x[1]).abs().max()) > 1e-9
    assert not torch.equal(Refined(batch, **options).solve(system, b, duration, x0, seed=6).x, found.x)


def test_dies_end_by_themselves():
    """With 10 % of mismatch dies need rounds in different numbers, and some of them are unstable."""
    card = true_card(preset("integrated").replace(resistors__bits=None)).replace(mismatch=0.1)
    system, b = problem(8, 40.0, 1)
    batch = DieBatch(card, range(30), extrapolate=True)
    found = Refined(batch, tolerance=1e-3).solve(system, b, 400.0)
    rounds = [one.rounds for one in found.refinements]
    assert {Outcome.OK, Outcome.UNSTABLE} <= set(found.outcomes)
    assert len({n for n, outcome in zip(rounds, found.outcomes, strict=True) if outcome is Outcome.OK}) > 1
    exact = torch.linalg.solve(system.A, b)
    for x, outcome, one in zip(found.x, found.outcomes, found.refinements, strict=True):
        assert torch.isfinite(x).all() == outcome.readable
        if outcome.readable:
            assert float((x - exact).norm()) <= one.bound
        if outcome is Outcome.OK:
            assert one.residual <= 1e-3
    # Without refinement nearly no die is as good.
    bare = batch.solve(system, b, 400.0)
    residuals = ((bare.x @ system.A - b).norm(dim=1) / b.norm())[torch.isfinite(bare.x).all(1)]
    assert float((residuals <= 1e-3).double().mean()) < 0.1


def test_a_drive_of_zero_has_the_solution_zero():
    card, (system, b) = true_card(UNEVEN), problem()
    found = Refined(DieBatch(card, DIES, extrapolate=True)).solve(system, 0 * b, 20.0)
    assert not found.x.any()
    assert found.attempts.tolist() == [0, 0, 0]


def test_a_program_is_kept(monkeypatch):
    laws = []
    law = die_batch.stacked_law
    monkeypatch.setattr(die_batch, "stacked_law", lambda *given: laws.append(1) or law(*given))
    card, (system, b) = true_card(UNEVEN), problem()
    batch = DieBatch(card, DIES, extrapolate=True)
    first = batch.solve(system, b, 20.0)
    again = batch.solve(system.A.numpy(), b, 20.0)
    assert torch.equal(first.x, again.x)
    batch.solve(system, -b, 20.0, x0=b)
    assert len(laws) == 1
    # Another duration, another matrix, other parameters: another program.
    batch.solve(system, b, 10.0)
    batch.solve(Dense(2 * system.A), b, 10.0)
    batch.solve(system, b, 10.0, mismatch=0.02)
    torch.testing.assert_close(batch.solve(system, b, 20.0).x, first.x, rtol=0, atol=0)
    assert len(laws) == 5
    Refined(batch).solve(system, b, 20.0)
    assert len(laws) == 6  # six or more runs of one program


def test_what_a_batch_does_not_do_raises():
    card, (system, b) = true_card(UNEVEN), problem()
    refined = Refined(DieBatch(card, DIES, extrapolate=True))
    with pytest.raises(InputError, match="whose dies are new in each call"):
        refined.state_dict()
    refined.solve(system, b, 5.0)
    for call in (lambda: refined.evolve(5.0), lambda: refined.solve_many(system, b[None], 5.0)):
        with pytest.raises(InputError, match="DieBatch, whose dies are new"):
            call()
    with pytest.raises(InputError, match="system is a ndarray"):
        refined.solve(system.A.numpy(), b, 5.0)
    with pytest.raises(InputError, match="seed is -1"):
        refined.solve(system, b, 5.0, seed=-1)
    with pytest.raises(InputError, match="a seed of its own"):
        Refined(SurrogateDevice(card, 1)).solve(system, b, 5.0, seed=3)
    with pytest.raises(InputError, match="calibrated for"):
        Refined(DieBatch(card, [1])).solve(
            LowRank(torch.ones(1, 80, dtype=torch.float64), None, 1.0), torch.ones(80).double(), 5.0
        )


def test_slices_and_drive_ranges_are_each_dies_own():
    technology = UNEVEN.replace(resistors__slices=2, resistors__drive_ranges=4)
    card, (system, b) = true_card(technology), problem()
    found = Refined(DieBatch(card, DIES, extrapolate=True)).solve(system, b, 20.0)
    for place, die in enumerate(DIES):
        alone = Refined(SurrogateDevice(card, die, extrapolate=True)).solve(system, b, 20.0)
        torch.testing.assert_close(found.x[place], alone.x, rtol=1e-9, atol=1e-12)
        assert found.attempts[place] == alone.attempts
    # Negative control: with one slice and one range they read otherwise.
    plain = Refined(DieBatch(true_card(UNEVEN), DIES, extrapolate=True)).solve(system, b, 20.0)
    assert float((found.x - plain.x).abs().max()) > 1e-9


@pytest.mark.parametrize("name", ["conductance_drift", "conductance_drift_spread"])
def test_dies_that_drift_from_run_to_run_are_no_batch(name):
    """One run is that of a fresh die; several are not."""
    (system, b), card = problem(), true_card(UNEVEN.replace(**{f"resistors__{name}": 0.05}))
    batch = DieBatch(card, DIES, extrapolate=True)
    alone = SurrogateDevice(card, DIES[1], extrapolate=True).solve(system, b, 20.0)
    torch.testing.assert_close(batch.solve(system, b, 20.0).x[1], alone.x, rtol=1e-9, atol=1e-12)
    with pytest.raises(InputError, match=f"{name} = 0.05.*SurrogateDevice for each die"):
        Refined(batch).solve(system, b, 20.0)
