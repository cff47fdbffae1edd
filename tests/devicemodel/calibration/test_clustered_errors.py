"""Sandwich errors cover where residuals are correlated within clusters, and the textbook's do not."""

import numpy as np
import pytest
from scipy.stats import binom, t

from thermograd.devicemodel.calibration.clustered_errors import clustered_errors

CLUSTERS, EACH, TRIALS = 8, 10, 400
LABELS = np.repeat(np.arange(CLUSTERS), EACH)


def design(rng):
    """Two columns that vary from cluster to cluster, and one within them."""
    between = rng.standard_normal((CLUSTERS, 2))[LABELS]
    return np.column_stack([between + 0.3 * rng.standard_normal(between.shape), rng.standard_normal(len(LABELS))])


def covered(common, level, errors_of):
    """Trials, by parameter, in which the interval has the true value, 0."""
    rng, hits = np.random.default_rng(1), np.zeros(3)
    x = design(rng)
    for _ in range(TRIALS):
        e = common * rng.standard_normal(CLUSTERS)[LABELS] + rng.standard_normal(len(LABELS))
        found = np.linalg.lstsq(x, e, rcond=None)[0]
        errors, freedom = errors_of(x, e - x @ found)
        hits += np.abs(found) <= t.ppf(0.5 + level / 2, freedom) * errors
    return hits


def robust(x, residuals):
    return clustered_errors(x, residuals, LABELS, 1e-9, 1e-9)


def textbook(x, residuals):
    freedom = len(x) - x.shape[1]
    return np.sqrt(np.diag(np.linalg.inv(x.T @ x)) * (residuals @ residuals) / freedom), freedom


@pytest.mark.parametrize("common", [0.0, 1.0])
@pytest.mark.parametrize("level", [0.68, 0.95])
def test_intervals_cover_whether_or_not_clusters_have_a_cause_in_common(common, level):
    hits = covered(common, level, robust)
    # Binomial to four standard errors, and 0.03 for the approximation by Student's t (clusters are few and unlike).
    assert np.all(np.abs(hits / TRIALS - level) < 4 * np.sqrt(level * (1 - level) / TRIALS) + 0.03)
    if common:
        # Negative control: errors of residuals that are taken for independent.
        assert covered(common, level, textbook).min() < binom(TRIALS, level).ppf(1e-9)


def test_residuals_of_few_clusters_have_fewer_degrees_of_freedom_than_clusters():
    rng = np.random.default_rng(2)
    x = design(rng)
    _, freedom = robust(x, rng.standard_normal(len(x)))
    assert np.all((freedom >= 1) & (freedom < CLUSTERS))
    # One column that only one cluster has says nothing of its own scatter: the least error of a reading stands in.
    alone = np.column_stack([x, LABELS == 0])
    left = rng.standard_normal(len(x))
    left -= alone @ np.linalg.lstsq(alone, left, rcond=None)[0]
    assert clustered_errors(alone, left, LABELS, 1e-9, 5.0)[0][3] == pytest.approx(
        5.0 * np.sqrt(np.linalg.inv(alone.T @ alone)[3, 3]), rel=0.2
    )


def test_what_no_row_identifies_has_an_error_of_the_ridge():
    x = np.column_stack([np.ones(len(LABELS)), np.zeros(len(LABELS))])
    left = np.random.default_rng(3).standard_normal(len(LABELS))
    errors, _ = clustered_errors(x, left - left.mean(), LABELS, 1e-3, 1e-9)
    assert errors[0] < 1.0
    assert errors[1] == pytest.approx(np.std(left, ddof=2) / 1e-3, rel=0.01)
