"""Intervals by systems and dies hold the true figure as often as they say; those by single runs do not."""

import numpy as np
import pytest

from thermograd.devicemodel.calibration.resampling import interval

DIES, SYSTEMS, RUNS, TRIALS = 6, 18, 36, 150


def rms(squares):
    return lambda weights: np.sqrt(weights @ squares / weights.sum(axis=1))


def hits(systems_of, dies_of):
    """Trials whose interval has the true rms: errors with a share of their system, two runs of each, and of its die."""
    rng, found = np.random.default_rng(1), 0
    system, die = np.arange(RUNS) % SYSTEMS, np.arange(RUNS) % SYSTEMS % DIES
    for _ in range(TRIALS):
        of_systems, of_dies = rng.standard_normal(SYSTEMS), rng.standard_normal(DIES)
        errors = np.sqrt(2) * of_systems[system] + of_dies[die] + 0.1 * rng.standard_normal(RUNS)
        low, high = interval(rms(errors**2), systems_of(system), dies_of(die))
        found += low <= np.sqrt(3.01) <= high
    return found


def test_intervals_hold_the_true_figure():
    # An interval for two causes at once is rather too wide; a rms of few squares makes a percentile interval too narrow.
    assert hits(list, list) >= 0.90 * TRIALS
    # Negative control: each run for itself.
    assert hits(lambda system: list(range(RUNS)), lambda die: [0] * RUNS) < 0.86 * TRIALS


def test_one_system_has_no_interval_and_the_same_runs_have_the_same_one():
    squares = np.array([1.0, 2.0, 4.0])
    assert interval(rms(squares), ["a"] * 3, [1, 2, 3]) is None
    found = interval(rms(squares), ["a", "b", "c"], [1, 1, 2])
    assert found == interval(rms(squares), ["a", "b", "c"], [1, 1, 2])
    assert found[0] <= np.sqrt(7 / 3) <= found[1]


def test_a_figure_that_never_exists_has_no_interval():
    assert interval(lambda weights: np.full(len(weights), np.nan), ["a", "b"], [1, 2]) is None


def test_equal_runs_have_an_interval_of_no_width():
    assert interval(rms(np.full(4, 9.0)), list("abcd"), [1, 1, 2, 2]) == pytest.approx((3.0, 3.0))
