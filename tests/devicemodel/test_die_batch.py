"""A batch of dies is the devices one by one, and its gradients are those of finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology import Technology, Thermal
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.calibration import random_system
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.die_batch import DieBatch
from thermograd.devicemodel.stacked_parts import parameters_of, stack, stacked_law
from thermograd.devicemodel.surrogate import SurrogateDevice, law
from thermograd.devicemodel.systems import Dense

from ..systems import true_card

UNEVEN = Technology.preset("integrated").replace(
    thermal=Thermal.preset("beside a GPU"),
    resistors__lot=0.1,
    resistors__gradient=0.02,
    capacitors__lot=0.05,
    capacitors__gradient=0.01,
    opamp__second_pole=1e9,
)


def card_of(fabric: str, technology: Technology = UNEVEN) -> DeviceCard:
    return true_card(technology, fabric).replace(pole=1 / (2 * math.pi * 1e9) if fabric == "crossbar" else 0.0)


def system(n: int, fabric: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return random_system(n, 10.0, fabric == "dual_rail", rng), rng.standard_normal(n)


@pytest.mark.parametrize("fabric", ["crossbar", "dual_rail"])
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


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["crossbar", "dual_rail"]), st.integers(1, 7), st.integers(0, 10**6))
def test_laws_of_a_stack_are_those_of_the_dies(fabric, n, seed):
    card, (a, _) = card_of(fabric), system(n, fabric, seed)
    technology, currents = card.technology, np.zeros(n)
    nominal = lay_out(a, fabric, technology)
    dies = [technology.fabricate(seed + k) for k in range(2)]
    stacked = stack(dies, nominal.parts, nominal.fabric.symmetric, torch.float64, None)
    together = stacked_law(nominal, stacked, parameters_of(card, {}, torch.float64))
    for k, die in enumerate(dies):
        program = nominal.on(die, card.mismatch.value, card.capacitor_mismatch.value, card.offset.value)
        alone = law(program, currents, card)
        np.testing.assert_allclose(together.drift[k], alone.drift, rtol=1e-9, atol=1e-12 * np.abs(alone.drift).max())
        np.testing.assert_allclose(np.diag(together.delay[k].numpy()), alone.delay, rtol=1e-9, atol=1e-30)
        np.testing.assert_allclose(
            together.diffusion[k], alone.diffusion, rtol=1e-8, atol=1e-10 * np.abs(alone.diffusion).max()
        )


def test_order_and_company_of_the_dies_do_not_matter():
    card, (a, b) = card_of("crossbar"), system(5, "crossbar")
    whole = DieBatch(card, range(6), extrapolate=True).solve(a, b, 5.0)
    some = DieBatch(card, [4, 1], extrapolate=True).solve(a, b, 5.0)
    torch.testing.assert_close(some.x, whole.x[[4, 1]], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "parameter", ["gain", "leak", "lag", "pole", "mismatch", "capacitor_mismatch", "offset", "noise"]
)
def test_gradients_are_those_of_finite_differences(parameter):
    """With ideal converters, since real ones pass gradients unchanged, and rails so wide that the host keeps its first level."""
    technology = UNEVEN.replace(
        dac__bits=None,
        adc__bits=None,
        adc__noise=0.0,
        adc__gain_error=0.0,
        adc__full_scale=100.0,
        opamp__rail=100.0,
    )
    card, (a, b) = card_of("crossbar", technology), system(4, "crossbar")
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
    technology = Technology.preset("integrated").replace(resistors__tolerance=0.4, resistors__bits=None)
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
        ({"duration": -1.0}, "duration"),
        ({"tolerance": 0.1}, "parameter 'tolerance' is none"),
    ],
)
def test_bad_questions_are_refused(change, message):
    card, (a, b) = card_of("crossbar"), system(4, "crossbar")
    question = {"matrix": a, "b": b, "duration": 1.0} | change
    with pytest.raises(InputError, match=message):
        DieBatch(card, range(2), extrapolate=True).solve(**question)


def test_bad_dies_and_systems_outside_the_card_are_refused():
    card, (a, b) = card_of("crossbar"), system(70, "crossbar")
    with pytest.raises(InputError, match="dies is empty"):
        DieBatch(card, [])
    with pytest.raises(InputError, match="die seed"):
        DieBatch(card, [-1])
    with pytest.raises(InputError, match=r"70 unknowns, calibrated for .*extrapolate=True"):
        DieBatch(card, [1]).solve(a, b, 1.0)
