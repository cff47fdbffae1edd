"""Shares against the Shapley value by its definition, one cause against its own law, and the order where one dominates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection

import numpy as np
import pytest
import torch

from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.error_budget.budget import ErrorBudget, Problem, error_budget
from thermograd.devicemodel.error_budget.causes import ADC, CAUSES, Cause
from thermograd.devicemodel.error_budget.hardware import Hardware
from thermograd.devicemodel.error_budget.ranking import median, ranked
from thermograd.devicemodel.systems import Dense

from ...systems import spd

NAMES = [Cause(letter, "") for letter in "abcd"]
IDEAL = preset("ideal").replace(thermal__johnson_noise=False)


def shapley(causes: list[Cause], value) -> dict[str, float]:
    """The mean over all orders of what a cause adds as it enters."""
    found = dict.fromkeys((cause.name for cause in causes), 0.0)
    orders = list(itertools.permutations(causes))
    for order in orders:
        for place, cause in enumerate(order):
            found[cause.name] += (value(order[: place + 1]) - value(order[:place])) / len(orders)
    return found


def errors_of(value, readings: int = 1):
    return lambda gone: np.array([[math.sqrt(value([one for one in NAMES if one not in gone])) ** readings]])


@pytest.mark.parametrize("readings", [1, 3])
def test_shares_are_shapley_values_where_causes_act_in_pairs(readings: int) -> None:
    # Error vectors that add: |sum e_i|^2.
    vectors = dict(zip("abcd", np.random.default_rng(0).standard_normal((4, 5)), strict=True))

    def value(present: Collection[Cause]) -> float:
        total = sum((vectors[cause.name] for cause in present), np.zeros(5))
        return 0.01 + float(total @ total)

    found = ranked(NAMES, errors_of(value, readings), readings)
    wanted = shapley(NAMES, value)
    for one in found.contributions:
        assert one.share * value(NAMES) == pytest.approx(wanted[one.cause.name])
    assert found.explained == pytest.approx(1 - 0.01 / value(NAMES))
    shares = [one.share for one in found.contributions]
    assert shares == sorted(shares, reverse=True)

    def of_three(present: Collection[Cause]) -> float:
        return 1.0 + 5.0 * (len(present) >= 3)

    # A negative control: larger groups.
    other = ranked(NAMES, errors_of(of_three), 1)
    assert abs(other.explained - (1 - 1 / 6)) > 0.5


def test_causes_are_taken_out_one_after_the_other() -> None:
    sizes = {"a": 1.0, "b": 4.0, "c": 2.0, "d": 0.5}

    calls = []

    def errors(gone: Collection[Cause]) -> np.ndarray:
        calls.append(frozenset(one.name for one in gone))
        return np.array([[math.sqrt(sum(sizes[one.name] ** 2 for one in NAMES if one not in gone))]])

    found = ranked(NAMES, errors, 1)
    assert [one.cause.name for one in found.contributions] == ["b", "c", "a", "d"]
    left = [float(one.remaining[0, 0]) for one in found.contributions]
    np.testing.assert_allclose(left, [math.sqrt(5.25), math.sqrt(1.25), 0.5, 0.0])
    assert len(calls) == len(set(calls)) == 2 + 2 * 4 + 1


def test_without_a_reading_what_brings_one_back_comes_first() -> None:
    def errors(gone: Collection[Cause]) -> np.ndarray:
        names = {one.name for one in gone}
        return np.array([[math.inf if "c" not in names else 0.1 * (1 + ("b" not in names))]])

    found = ranked(NAMES, errors, 1)
    assert found.contributions[0].cause.name == "c"
    assert all(math.isnan(one.share) for one in found.contributions)


def test_a_median_of_readings_that_are_missing() -> None:
    assert median(np.array([[1.0, 2.0, math.inf]])) == 2.0
    assert math.isinf(median(np.array([[1.0, math.inf]])))
    assert median(np.array([[1.0, 2.0]])) == 1.5


# ---------------------------------------------------------------------------------------------------------- on a die


def problems(count: int = 1, n: int = 8, condition: float = 4.0) -> list[Problem]:
    rng = np.random.default_rng(3)
    return [
        Problem(Dense(torch.from_numpy(spd(n, condition, seed))), torch.from_numpy(rng.standard_normal(n)))
        for seed in range(count)
    ]


def budget(technology: Technology, asked: list[Problem], dies=(1,), duration: float = math.inf, **more) -> ErrorBudget:
    return error_budget(Hardware(DeviceCard.uncalibrated(technology), duration), asked, dies, rounds=0, **more)


def test_with_the_adc_alone_the_error_is_that_of_rounding_the_solution() -> None:
    bits, asked = 6, problems(12)
    found = budget(IDEAL.replace(adc__bits=bits), asked).bare
    assert [one.cause for one in found.contributions] == [ADC]
    np.testing.assert_array_equal(found.contributions[0].alone, found.total)
    np.testing.assert_array_equal(found.contributions[0].without, found.ideal)
    step, by_hand, share = 2 / (2**bits - 1), [], []
    for one in asked:
        A, b = one.system.dense().numpy(), one.b.numpy()
        # The largest drive is at the DAC's full scale of 1 V, through the resistor of the largest entry; what is beyond 1 V then is
        # tried again at 0.8 V.
        volts = np.linalg.solve(A, b) * np.abs(A).max() / np.abs(b).max()
        peak = np.abs(volts).max()
        volts *= 0.8 / peak if peak > 1 else 1.0
        rounded = (np.floor(volts / step) + 0.5) * step  # codes lie at half steps
        by_hand.append(np.linalg.norm(rounded - volts) / np.linalg.norm(volts))
        share.append(np.linalg.norm(rounded - volts) ** 2 / (len(b) * step**2 / 12))
    np.testing.assert_allclose(found.total[0], by_hand, rtol=1e-6)
    # Uniform within a step, variance step^2 / 12: the mean of m squares has the relative standard deviation sqrt(4/5 / m).
    assert abs(np.mean(share) - 1) < 4 * math.sqrt(0.8 / (8 * len(share)))
    other = budget(IDEAL.replace(adc__bits=bits + 1), asked).bare
    assert abs(np.mean(other.total[0] / by_hand) - 0.5) < 0.1, "another number of bits is another law"


SMALL = IDEAL.replace(
    resistors__tolerance=1e-5,
    resistors__bits=20,
    resistors__tc1=1e-6,
    opamp__gain=1e8,
    opamp__offset=1e-7,
    dac__bits=20,
    adc__bits=20,
    adc__noise=1e-7,
    thermal__ambient_rms=2.0,
)
LARGE = {
    "mismatch": {"resistors__tolerance": 0.02},
    "codes": {"resistors__bits": 4},
    "DAC": {"dac__bits": 4},
    "ADC": {"adc__bits": 4},
    "offsets": {"opamp__offset": 3e-3},
    "noise": {"adc__noise": 0.01},
    "leak": {"opamp__gain": 100.0},
    "temperature": {"resistors__tc1": 2e-2, "thermal__ambient_rms": 0.0, "thermal__to_hot": 5e-3},
}


@pytest.mark.parametrize("name", LARGE)
def test_the_cause_that_dominates_comes_first(name: str) -> None:
    found = budget(SMALL.replace(**LARGE[name]), problems()).bare
    first, second = found.contributions[:2]
    assert first.cause.name == name
    assert first.share == pytest.approx(1.0, abs=0.02)
    assert abs(second.share) < 0.02
    assert median(first.without) < 0.02 * median(found.total)
    assert median(first.alone) == pytest.approx(median(found.total), rel=0.02)


def test_no_cause_dominates_where_two_are_alike() -> None:
    """The negative control: a rule that took out something else than it says would pass for a culprit here as well."""
    found = budget(SMALL.replace(opamp__offset=1e-3, dac__offset=3.5e-3), problems(2), (1, 2)).bare
    first, second = found.contributions[:2]
    assert {first.cause.name, second.cause.name} == {"offsets", "DAC"}
    assert all(0.1 < one.share < 0.9 for one in (first, second))
    assert 0.8 < found.explained < 1.2


def test_settling_dominates_a_short_run_and_bandwidth_slows_it() -> None:
    one = problems()[0]
    least = float(torch.linalg.eigvalsh(one.system.dense())[0])
    found = budget(SMALL.replace(opamp__gbw=1e9), [one], duration=2 / least).bare
    assert found.contributions[0].cause.name == "settling"
    by_name = {one.cause.name: one for one in found.contributions}
    assert 0.01 < float(by_name["settling"].alone.item()) < 0.5
    # At rest bandwidth makes no error, but it delays a reading before.
    assert float(by_name["bandwidth"].alone.item()) < 1e-12
    assert by_name["bandwidth"].without.item() < found.total.item()


def test_more_readings_do_not_change_who_is_asked() -> None:
    seen = []
    found = budget(SMALL, problems(), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == len(seen)
    names = {one.cause.name for one in found.bare.contributions}
    assert names == {one.cause.name for one in found.refined.contributions} <= {one.name for one in CAUSES}
    data = found.to_dict()["readings"]["bare"]
    assert data["causes"][0]["cause"] == found.bare.contributions[0].cause.name
    assert data["total"]["least"] <= data["total"]["median"] <= data["total"]["most"]
