"""A batch of dies is the devices one by one, and its gradients are those of finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset, thermal_preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import lay_out
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.devicemodel.batch import board, die_batch
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.batch.law import parameters_of, stack, stacked_law
from thermograd.devicemodel.calibration.cases import Problem, random_system, system_for
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.cell_law import cell_law
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense
from thermograd.devicemodel.validity import Validity

from ...systems import drawn, true_card

UNEVEN = preset("integrated").replace(
    thermal=thermal_preset("beside a GPU"),
    resistors__die_to_die=0.1,
    resistors__gradient=0.02,
    capacitors__die_to_die=0.05,
    capacitors__gradient=0.01,
    opamp__second_pole=1e9,
)


def card_of(fabric: str, technology: Technology = UNEVEN) -> DeviceCard:
    return true_card(technology, fabric).replace(pole=0.0 if fabric == "dual_rail" else 1 / (2 * math.pi * 1e9))


def system(n: int, fabric: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return random_system(n, 10.0, fabric == "dual_rail", rng), rng.standard_normal(n)


@pytest.mark.parametrize("fabric", ["crossbar", "dual_rail", "crossbar_single"])
@pytest.mark.parametrize("duration", [0.0, 0.3, 20.0, math.inf])
def test_each_die_reads_what_its_own_device_reads(fabric, duration):
    """With every deviation on, noise and converters included: one by one and together, to rounding."""
    card = card_of(fabric)
    a, b = system(6, fabric)
    start = 0.1 * np.arange(6.0)
    dies = [0, 3, 11]
    found = DieBatch(card, dies, extrapolate=True).solve(a, b, duration, start, seed=5)
    for place, die in enumerate(dies):
        device = SurrogateDevice(card, die, seed=5, extrapolate=True)
        alone = device.solve(Dense(torch.from_numpy(a)), torch.from_numpy(b), duration, torch.from_numpy(start))
        torch.testing.assert_close(found.x[place], alone.x, rtol=1e-10, atol=1e-12)
        assert found.outcomes[place] == alone.outcome
        assert found.attempts[place] == alone.attempts
    other = DieBatch(card, dies, extrapolate=True).solve(a, b, duration, start, seed=6)
    assert duration == 0 or not torch.equal(other.x, found.x)  # another seed, other noise


@pytest.mark.parametrize("fabric", ["rc", "lc", "oscillator"])
def test_dies_that_are_not_stacked_are_their_own_devices(fabric):
    card, rng = true_card(preset("integrated"), fabric), np.random.default_rng(2)
    problem = Problem(fabric_named(fabric), card.technology, system_for(fabric_named(fabric), 3, 5.0, rng), np.ones(3))
    case, sigmas = problem.case(8 * problem.slow, 0), torch.tensor([[0.0], [0.03]], dtype=torch.float64)
    b = torch.from_numpy(case.b)
    batch = DieBatch(card, [4, 1], extrapolate=True)
    found = batch.solve(case.system, b, case.duration, seed=5, mismatch=sigmas)
    for place, (die, sigma) in enumerate(zip((4, 1), (0.0, 0.03), strict=True)):
        device = SurrogateDevice(card.replace(mismatch=sigma), die, seed=5, extrapolate=True)
        torch.testing.assert_close(found.x[place], device.solve(case.system, b, case.duration).x, rtol=1e-9, atol=0)
    run, device = batch.program(case.system, case.duration, 5), SurrogateDevice(card, 1, seed=5, extrapolate=True)
    for _ in range(2):  # ranging and noise go on
        [again] = run([1], b[None], torch.zeros(1, 3, dtype=torch.float64))
        alone = device.solve(case.system, b, case.duration, x0=torch.zeros(3, dtype=torch.float64))
        torch.testing.assert_close(again.x, alone.x, rtol=1e-9, atol=0)
    with pytest.raises(InputError, match="parameter mismatch requires a gradient"):
        batch.solve(case.system, b, 1.0, mismatch=sigmas.requires_grad_())


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["crossbar", "dual_rail", "crossbar_single"]),
    st.integers(1, 7),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_laws_of_a_stack_are_those_of_the_dies(fabric, n, seed, transistors):
    card, (a, _) = card_of(fabric, drawn(UNEVEN) if transistors else UNEVEN), system(n, fabric, seed)
    technology, currents = card.technology, np.zeros(n)
    nominal = lay_out(a, fabric, technology)
    dies = [Die(technology, seed + k) for k in range(2)]
    stacked = stack(dies, nominal.parts, nominal.fabric.symmetric, torch.float64, None)
    together = stacked_law(nominal, stacked, parameters_of(card, {}, torch.float64, 2))
    for k, die in enumerate(dies):
        program = nominal.on(die, card.mismatch.value, card.capacitor_mismatch.value, card.offset.value)
        alone = cell_law(program, currents, card)
        np.testing.assert_allclose(together.drift[k], alone.drift, rtol=1e-9, atol=1e-12 * np.abs(alone.drift).max())
        delay = together.delay[k].numpy()
        delay = delay if fabric == "crossbar_single" else np.diag(delay)
        np.testing.assert_allclose(delay, alone.delay, rtol=1e-9, atol=1e-12 * np.abs(alone.delay).max())
        pushed = program.behaviour.offset_currents(program.parts.offset, card.leak.value)
        np.testing.assert_allclose(together.pushed[k], pushed, rtol=1e-9, atol=1e-24)
        np.testing.assert_allclose(
            together.diffusion[k], alone.diffusion, rtol=1e-8, atol=1e-10 * np.abs(alone.diffusion).max()
        )


def test_order_and_company_of_the_dies_do_not_matter():
    card, (a, b) = card_of("crossbar"), system(5, "crossbar")
    whole = DieBatch(card, range(6), extrapolate=True).solve(a, b, 5.0)
    some = DieBatch(card, [4, 1], extrapolate=True).solve(a, b, 5.0)
    torch.testing.assert_close(some.x, whole.x[[4, 1]], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "parameter", ["gain", "leak", "lag", "pole", "mismatch", "capacitor_mismatch", "offset", "noise_power"]
)
@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single"])
def test_gradients_are_those_of_finite_differences(parameter, fabric):
    """With ideal converters, since real ones pass gradients unchanged, and rails so wide that the host keeps its first level."""
    technology = UNEVEN.replace(
        dac__bits=None,
        adc__bits=None,
        adc__noise=0.0,
        adc__gain_error=0.0,
        adc__full_scale=100.0,
        opamp__output_limit=100.0,
        opamp__supply=0.0,
    )
    card, (a, b) = card_of(fabric, technology), system(4, fabric)
    batch, weights = DieBatch(card, range(3), extrapolate=True), torch.linspace(1.0, 2.0, 12).reshape(3, 4).double()
    value = getattr(card, parameter).value

    def loss(given: torch.Tensor) -> torch.Tensor:
        return (weights * batch.solve(a, b, 2.0, **{parameter: given}).x).sum()

    point = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(point), point)
    step = 1e-4 * value
    with torch.no_grad():
        difference = (loss(torch.tensor(value + step)) - loss(torch.tensor(value - step))) / (2 * step)
    assert float(slope) == pytest.approx(float(difference), rel=1e-3, abs=1e-9)
    assert float(slope) != 0.0


def test_each_die_can_have_parameters_of_its_own():
    card, (a, b) = card_of("crossbar"), system(4, "crossbar")
    batch = DieBatch(card, range(3), extrapolate=True)
    values = torch.tensor([[0.005], [0.01], [0.02]], dtype=torch.float64)
    together = batch.solve(a, b, math.inf, mismatch=values).x
    for k, value in enumerate(values[:, 0].tolist()):
        torch.testing.assert_close(together[k], batch.solve(a, b, math.inf, mismatch=value).x[k], rtol=1e-12, atol=0)


def test_single_precision_is_near_double_precision():
    card, (a, b) = (
        card_of("crossbar", UNEVEN.replace(dac__bits=None, adc__bits=None, adc__noise=0.0)),
        system(6, "crossbar"),
    )
    double, single = (
        DieBatch(card, range(4), dtype=dtype, extrapolate=True).solve(a, b, 20.0).x.double()
        for dtype in (torch.float64, torch.float32)
    )
    assert float((double - single).abs().max() / double.abs().max()) < 1e-4


def test_unstable_dies_are_named_and_the_others_read():
    """With 40 % of mismatch an ill-conditioned matrix is indefinite on some dies."""
    technology = preset("integrated").replace(resistors__tolerance=0.4, resistors__bits=None)
    card, (a, b) = true_card(technology, "crossbar"), system(6, "crossbar", 2)
    found = DieBatch(card, range(40), extrapolate=True).solve(a, b, 50.0)
    unstable = np.array([outcome is Outcome.UNSTABLE for outcome in found.outcomes])
    assert 0 < unstable.sum() < 40
    assert torch.isnan(found.x[torch.from_numpy(unstable)]).all()
    assert torch.isfinite(found.x[torch.from_numpy(~unstable)]).all()
    for die in (int(np.flatnonzero(unstable)[0]), int(np.flatnonzero(~unstable)[0])):
        alone = SurrogateDevice(card, die, extrapolate=True).solve(
            Dense(torch.from_numpy(a)), torch.from_numpy(b), 50.0
        )
        assert (alone.outcome is Outcome.UNSTABLE) == unstable[die]


def test_progress_counts_the_dies_once():
    seen: list[tuple[int, int]] = []
    card, (a, b) = card_of("crossbar"), system(3, "crossbar")
    batch = DieBatch(card, range(4), extrapolate=True, progress=lambda done, total: seen.append((done, total)))
    batch.solve(a, b, 1.0)
    batch.solve(a, -b, 1.0)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(batch) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": np.ones(3)}, r"A has shape \(4, 4\), b \(3,\)"),
        ({"b": np.full(4, np.nan)}, "not finite"),
        ({"b": "x"}, "b must be an array of real numbers"),
        ({"system": np.full((4, 4), np.nan)}, r"matrix entry \[0, 0\] is nan"),
        ({"system": np.zeros((0, 0)), "b": np.zeros(0)}, "size 0"),
        ({"seed": -1}, "seed is -1: give an integer >= 0"),
        ({"seed": 1.5}, "seed is 1.5: give an integer >= 0"),
        ({"mismatch": math.nan}, "parameter mismatch is nan: give a number from 0 to 2"),
        ({"mismatch": 500.0}, "parameter mismatch is 500: give a number from 0 to 2"),
        ({"noise_power": -1.0}, "parameter noise_power is -1: give a number from 0"),
        ({"gain": 0.0}, "parameter gain is 0: give a number above 0"),
        ({"mismatch": "much"}, "parameter mismatch is 'much': give a number"),
        ({"mismatch": torch.full((5,), 0.01)}, r"parameter mismatch has shape \(5,\).*shape \(2, 1\)"),
        ({"mismatch": torch.full((3, 1), 0.01)}, r"parameter mismatch has shape \(3, 1\).*shape \(2, 1\)"),
        ({"mismatch": torch.tensor([[0.01], [-0.01]])}, r"parameter mismatch of dies\[1\] is -0.01"),
        ({"mismatch": torch.tensor(0.01j)}, "real numbers"),
        ({"duration": -1.0}, "duration"),
    ],
)
def test_bad_arguments_raise(change, message):
    card, (a, b) = card_of("crossbar"), system(4, "crossbar")
    question = {"system": a, "b": b, "duration": 1.0} | change
    with pytest.raises(InputError, match=message):
        DieBatch(card, range(2), extrapolate=True).solve(**question)


def test_bad_dies_and_systems_outside_the_card_raise():
    card, (a, b) = card_of("crossbar"), system(70, "crossbar")
    with pytest.raises(InputError, match="dies is empty"):
        DieBatch(card, [])
    with pytest.raises(InputError, match="die seed"):
        DieBatch(card, [-1])
    for dies, message in (
        ([None], r"dies\[0\] is None"),
        ([0, 1.5], r"dies\[1\] is 1.5"),
        ("12", "dies is '12'"),
        (3, "dies is 3"),
    ):
        with pytest.raises(InputError, match=message):
            DieBatch(card, dies)
    assert [die.seed for die in DieBatch(card, np.arange(2)).dies] == [0, 1]
    for dtype in (torch.float16, torch.int64):
        with pytest.raises(InputError, match=f"dtype is {dtype}: give torch.float32 or torch.float64"):
            DieBatch(card, [1], dtype)
    with pytest.raises(InputError, match="dies of fabric oscillator are run in float64"):
        DieBatch(true_card(preset("integrated"), "oscillator"), [1], torch.float32)
    with pytest.raises(InputError, match=r"70 unknowns, calibrated for .*extrapolate=True"):
        DieBatch(card, [1]).solve(a, b, 1.0)


# Dies that do not read, among others that do

SPREAD = true_card(preset("integrated").replace(resistors__bits=None)).replace(mismatch=0.1)
SEEN = Validity(
    unknowns=(4, 16), condition_number=(1.0, 100.0), duration=math.inf, level=1.0, temperature=(250.0, 350.0)
)


FEW = (0, 1, 2, 3, 4, 7, 11, 14, 17, 28, 32)
"""Seeds of dies among which, with both systems below, some read, some are unstable and some are at their rails."""


def one_by_one(card, a, b, duration, dies, extrapolate=True):
    """What each die's own device says: outcomes, attempts, bounds crossed, readings."""
    devices = [SurrogateDevice(card, die, extrapolate=extrapolate) for die in dies]
    found = [device.solve(Dense(torch.from_numpy(a)), torch.from_numpy(b), duration) for device in devices]
    return (
        tuple(solution.outcome for solution in found),
        [solution.attempts for solution in found],
        tuple(solution.violations for solution in found),
        torch.stack([solution.x for solution in found]),
    )


@pytest.mark.parametrize(("duration", "seed"), [(5.0, 0), (1e3, 1), (1e6, 0), (1e6, 1), (math.inf, 1)])
@pytest.mark.parametrize("leak", [None, 0.0])
@pytest.mark.parametrize("extrapolate", [True, False])
def test_unstable_and_clipped_dies_leave_the_others_as_they_are(duration, seed, leak, extrapolate):
    """Without a leak the law of a die can grow although the technology's circuit does not: some 1e6 tau later it is at its rail."""
    card = SPREAD.replace(validity=SEEN)
    card = card if leak is None else card.replace(leak=leak)
    rng = np.random.default_rng(seed)
    a, b = random_system(8, 80.0, False, rng), rng.standard_normal(8)
    outcomes, attempts, crossed, x = one_by_one(card, a, b, duration, FEW, extrapolate)
    together = DieBatch(card, FEW, extrapolate=extrapolate).solve(a, b, duration)
    assert together.outcomes == outcomes
    assert together.attempts.tolist() == attempts
    assert together.violations == crossed
    torch.testing.assert_close(together.x, x, rtol=1e-6, atol=1e-9, equal_nan=True)
    assert {Outcome.OK, Outcome.UNSTABLE} <= set(outcomes)
    assert duration < 1e3 or any(outcome.clipped for outcome in outcomes)


def test_gradients_are_those_of_the_dies_that_read():
    card, rng = SPREAD, np.random.default_rng(1)
    a, b = random_system(8, 80.0, False, rng), rng.standard_normal(8)

    def slope(dies):
        mismatch = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        found = DieBatch(card, dies, extrapolate=True).solve(a, b, 1e6, mismatch=mismatch)
        good = [place for place, outcome in enumerate(found.outcomes) if outcome is Outcome.OK]
        found.x[good].sum().backward()
        return [dies[place] for place in good], mismatch.grad

    read, together = slope(list(range(40)))
    assert len(read) < 40
    torch.testing.assert_close(together, slope(read)[1], rtol=1e-6, atol=0)


def test_a_batch_without_a_stable_die_has_no_reading():
    a = np.diag([1.0, 1.0, -1.0])
    for duration in (0.0, 5.0, math.inf):
        found = DieBatch(SPREAD, range(3)).solve(a, np.ones(3), duration)
        assert found.outcomes == (Outcome.UNSTABLE,) * 3
        assert torch.isnan(found.x).all()


def test_a_die_whose_law_is_not_finite_has_no_reading(monkeypatch):
    a, b = system(4, "crossbar")
    plain = DieBatch(SPREAD, range(3)).solve(a, b, 5.0)

    def spoilt(*arguments):
        law = stacked_law(*arguments)
        law.drift[1, 0, 0] = math.nan
        law.conductance[1, 0, 0] = math.nan
        return law

    monkeypatch.setattr(die_batch, "stacked_law", spoilt)
    found = DieBatch(SPREAD, range(3)).solve(a, b, 5.0)
    assert found.outcomes == (Outcome.OK, Outcome.UNSTABLE, Outcome.OK)
    assert repr(found).endswith("on 3 dies; outcomes OK 2, UNSTABLE 1)")
    assert torch.isnan(found.x[1]).all()
    assert torch.equal(found.x[[0, 2]], plain.x[[0, 2]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_singular_covariance_is_factored_and_leaves_the_others_alone(dtype):
    good = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=dtype)
    singular = torch.ones(2, 2, dtype=dtype) * (1 + 1e-12) - 2e-12 * torch.eye(2, dtype=dtype)
    both, alone = board._factor(torch.stack([good, singular])), board._factor(good[None])
    assert torch.equal(both[0], alone[0])
    torch.testing.assert_close(both @ both.mT, torch.stack([good, singular]), rtol=1e-5, atol=1e-5)


def test_noise_in_place_of_the_cards_has_its_effect():
    silent, (a, b) = (
        SPREAD.replace(noise_power=0.0, technology=SPREAD.technology.replace(adc__bits=None)),
        system(4, "crossbar"),
    )
    quiet, loud = (DieBatch(silent, range(2)).solve(a, b, 5.0, **given).x for given in ({}, {"noise_power": 1e4}))
    torch.testing.assert_close(
        loud, DieBatch(silent.replace(noise_power=1e4), range(2)).solve(a, b, 5.0).x, rtol=1e-12, atol=0
    )
    assert not torch.equal(quiet, loud)


def test_a_die_without_a_second_pole_next_to_one_that_has_it():
    card, (a, b) = card_of("crossbar").replace(leak=0.0), system(4, "crossbar")
    lag = torch.tensor([[0.0], [3e-10]], dtype=torch.float64)
    found = DieBatch(card, [1, 2]).solve(a, b, 5.0, lag=lag)
    for place, die in enumerate((1, 2)):
        alone = DieBatch(card, [die]).solve(a, b, 5.0, lag=float(lag[place]))
        torch.testing.assert_close(found.x[place], alone.x[0], rtol=1e-12, atol=0)


# Bounds of the card


def test_the_bounds_that_each_die_violates_are_named():
    """One die's temperature says nothing of another's."""
    card, (a, b) = SPREAD, system(4, "crossbar")
    kelvin = [Die(card.technology, die).temperatures for die in range(8)]
    middle = float(np.median([values.max() for values in kelvin]))
    narrow = card.replace(validity=SEEN.model_copy(update={"temperature": (200.0, middle)}))
    outcomes, _, crossed, _ = one_by_one(narrow, a, b, 5.0, range(8))
    found = DieBatch(narrow, range(8), extrapolate=True).solve(a, b, 5.0)
    assert (found.outcomes, found.violations) == (outcomes, crossed)
    assert {Outcome.OK, Outcome.EXTRAPOLATED} == set(outcomes)
    assert all("calibrated for 200 to" in texts[0] for texts in found.violations if texts)
    with pytest.raises(InputError, match=r"a die of .* calibrated for 200 to"):
        DieBatch(narrow, range(8)).solve(a, b, 5.0)


def test_a_level_beyond_the_card_names_the_die():
    narrow, (a, b) = SPREAD.replace(validity=SEEN.model_copy(update={"level": 0.05})), system(4, "crossbar")
    found = DieBatch(narrow, [7], extrapolate=True).solve(a, b, 5.0)
    assert found.outcomes == (Outcome.EXTRAPOLATED,)
    assert found.violations[0][0].endswith("calibrated for at most 0.05 V")
    with pytest.raises(InputError, match=r"die 7: node voltages of .*calibrated for at most 0\.05 V"):
        DieBatch(narrow, [7]).solve(a, b, 5.0)
