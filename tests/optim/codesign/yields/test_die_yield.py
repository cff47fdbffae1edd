"""Yield and its interval against the binomial law itself, and scores of dies against their definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from thermograd.circuits.errors import InputError
from thermograd.optim.codesign.yields import Limit, Yield, clopper_pearson, die_yield, yield_against_limit


def covered(trials, probability, interval):
    """Probability that the interval of a draw of so many dies holds the true yield."""
    ways = stats.binom.pmf(np.arange(trials + 1), trials, probability)
    holds = [low <= probability <= high for low, high in map(interval, range(trials + 1))]
    return float(ways @ np.array(holds))


@pytest.mark.parametrize("trials", [1, 5, 20, 100])
def test_the_interval_covers_the_true_yield_at_least_as_often_as_it_says(trials):
    """Summed over all draws, without any sampling error."""
    found = [clopper_pearson(met, trials) for met in range(trials + 1)]
    for probability in np.linspace(0.0, 1.0, 41):
        assert covered(trials, probability, lambda met: found[met]) >= 0.95 - 1e-12


def test_a_normal_interval_does_not_cover_it():
    """Negative control: the textbook's p +- 1.96 sqrt(p (1 - p) / n) does not with five dies."""

    def normal(met, trials=5):
        share = met / trials
        half = 1.96 * math.sqrt(share * (1 - share) / trials)
        return share - half, share + half

    assert covered(5, 0.9, normal) < 0.7


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_ends_of_the_interval_are_the_yields_at_which_such_a_draw_becomes_unlikely(draw, confidence):
    met, trials = draw
    low, high = clopper_pearson(met, trials, confidence)
    tail = (1 - confidence) / 2
    assert 0 <= low <= met / trials <= high <= 1
    if met:
        assert stats.binom.sf(met - 1, trials, low) == pytest.approx(tail, rel=1e-6)
    if met < trials:
        assert stats.binom.cdf(met, trials, high) == pytest.approx(tail, rel=1e-6)


def test_a_die_is_judged_by_the_mean_of_its_seeds_and_misses_where_one_diverged():
    scores = [[0.97, 0.95], [0.99, math.nan], [0.90, 0.92], [0.96, 0.96]]
    found = die_yield(scores, Limit(0.96, more_is_better=True))
    assert (found.met, found.dies) == (2, 4)
    assert die_yield([math.inf, 0.1], Limit(0.5, False)).met == 1
    assert die_yield([math.inf, 0.1], Limit(0.5, True)).met == 0  # diverged, whichever way is better


def test_all_of_five_dies_say_little():
    assert str(die_yield([1.0] * 5, Limit(0.5, True))) == "5 of 5 (48 to 100 %)"
    assert Yield(5, 5, 0.478, 1.0).fraction == 1.0


def test_a_tighter_limit_never_raises_the_yield():
    scores = np.random.default_rng(0).normal(size=40)
    found = [one.met for one in yield_against_limit(scores, np.linspace(-2, 2, 9), more_is_better=False)]
    assert found == sorted(found)
    assert found[4] == (scores <= 0.0).sum()


@pytest.mark.parametrize("scores", [[], [[[0.1]]], 0.3])
def test_scores_of_no_dies(scores):
    with pytest.raises(InputError, match=r"\(dies,\) or \(dies, seeds\)"):
        die_yield(scores, Limit(0.5, True))


@pytest.mark.parametrize(("met", "trials", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (0, 0, 0.95), (1, 2, 1.0)])
def test_counts_and_confidence_out_of_range(met, trials, confidence):
    with pytest.raises(InputError):
        clopper_pearson(met, trials, confidence)
