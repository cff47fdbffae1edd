"""Sobol's indices of functions whose own are known in closed form."""

import math

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.optim.codesign.yields import sensitivities

RANGES = {
    "resistors.tc1": (-0.02, 0.02),
    "opamp.bias_current": (-1e-3, 1e-3),
    "opamp.common_mode_offset": (-10.0, 10.0),
}
"""Knobs of either sign, which are linear."""


def ishigami(point):
    """Ishigami and Homma 1990, a = 7, b = 0.1."""
    x, y, z = (math.pi * point[name] / high for name, (_, high) in RANGES.items())
    return math.sin(x) + 7 * math.sin(y) ** 2 + 0.1 * z**4 * math.sin(x)


def close(found, expected, half):
    """Within twice the 95 % half-width: four standard errors."""
    assert abs(found - expected) <= 2 * half


def test_ishigamis_function():
    found = sensitivities(ishigami, RANGES, samples=512)
    b, p = 0.1, math.pi
    first = [(1 + b * p**4 / 5) ** 2 / 2, 49 / 8, 0.0]
    together = b**2 * p**8 * (1 / 18 - 1 / 50)
    variance = sum(first) + together
    total = [first[0] + together, first[1], together]
    assert found.evaluations == 512 * 5
    for one, s1, st in zip(found.knobs.values(), first, total, strict=True):
        close(one.first, s1 / variance, one.first_conf)
        close(one.total, st / variance, one.total_conf)
    assert found.ranking[1] == "opamp.bias_current"


def test_of_a_linear_function_first_and_total_indices_are_the_shares_of_variance_on_the_knobs_own_scales():
    """A logarithmic knob by its logarithm, whole numbers with their discrete variance (n^2 - 1) / 12, a switch p (1 - p)."""

    def score(point):
        return 2 * math.log10(point["opamp.gain"]) + point["adc.bits"] + 3 * point["readout.auto_zero"]

    ranges = {"opamp.gain": (1e2, 1e4), "adc": (3, 8), "readout.auto_zero": (False, True)}
    found = sensitivities(score, ranges, samples=512)
    parts = [4 * 2**2 / 12, (6**2 - 1) / 12, 9 / 4]
    assert list(found.knobs) == ["opamp.gain", "adc.bits", "readout.auto_zero"]
    for one, part in zip(found.knobs.values(), parts, strict=True):
        close(one.first, part / sum(parts), one.first_conf)
        close(one.total, part / sum(parts), one.total_conf)


def test_a_sensitivity_to_the_wrong_knob_is_seen():
    """Negative control: of a function of one knob alone the others' intervals hold 0 and not 1."""
    found = sensitivities(lambda point: point["resistors.tc1"], RANGES, samples=64).knobs
    close(found["resistors.tc1"].total, 1.0, found["resistors.tc1"].total_conf)
    assert all(abs(found[name].total) < 0.01 for name in list(RANGES)[1:])


def test_the_same_seed_gives_the_same_indices_and_leaves_numpy_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, two, other = (sensitivities(ishigami, RANGES, samples=16, seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one != other
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_diverged_points_are_an_error_or_stand_at_a_given_score():
    def score(point):
        return math.nan if point["resistors.tc1"] > 0.01 else 0.1

    with pytest.raises(InputError, match="not finite, the first at DesignPoint"):
        sensitivities(score, RANGES, samples=8, score="error")
    found = sensitivities(score, RANGES, samples=64, diverged=10.0, log=True, score="error")
    assert found.score == "log10 of error"
    assert found.diverged == pytest.approx(64 * 5 / 4, rel=0.2)
    assert found.ranking[0] == "resistors.tc1"


@pytest.mark.parametrize(
    ("score", "options", "said"),
    [
        (lambda point: 1.0, {}, "depends on none of resistors.tc1"),
        (lambda point: point["resistors.tc1"], {"log": True}, "needs positive"),
        (ishigami, {"samples": 60}, "power of two"),
        (ishigami, {"fixed": {"resistors.tc1": 0.0}}, "fixed, too"),
    ],
)
def test_what_has_no_indices(score, options, said):
    with pytest.raises(InputError, match=said):
        sensitivities(score, RANGES, **{"samples": 8, **options})


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({}, "one at least"),
        ({"adc": (3, 4), "adc.bits": (3, 8)}, "two ranges"),
        ({"opamp.gain": (1e4, 1e2)}, "lower one first"),
        ({"opamp.gian": (1, 2)}, "unknown"),
    ],
)
def test_what_is_no_range(ranges, said):
    with pytest.raises(InputError, match=said):
        sensitivities(ishigami, ranges)
