"""exp(F t) w by a resolvent, and covariances by sums of exponentials, against scipy and by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import expm_multiply

from thermograd.devicemodel.ou.exponential_sum import exponential_sum
from thermograd.devicemodel.ou.krylov.shift_invert import ShiftInvert


def drift(n, fastest, skew, seed):
    """Stable, with rates from 1 to `fastest` and a skew part."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    other = rng.standard_normal((n, n))
    return -(basis * np.geomspace(1.0, fastest, n)) @ basis.T + skew * (other - other.T) / math.sqrt(n)


def resolvent(F, gamma, decay=0.0):
    return ShiftInvert(torch.tensor(np.linalg.inv(np.eye(len(F)) - gamma * F)), gamma, decay)


@pytest.mark.parametrize("skew", [0.0, 0.5])
@pytest.mark.parametrize("fastest", [2.0, 50.0, 3e3])
def test_it_is_scipys_exponential(fastest, skew):
    F = drift(50, fastest, skew, 3)
    w, times = np.random.default_rng(1).standard_normal((3, 50)), [0.01, 0.7, 6.0]
    w[2] = 0.0
    law = resolvent(F, 1 / math.sqrt(fastest))
    found = law.exponential(
        torch.tensor(w), torch.tensor(times, dtype=torch.float64), torch.full((3,), 1e-11, dtype=torch.float64)
    )
    wanted = np.stack([expm_multiply(F * t, row) for t, row in zip(times, w, strict=True)])
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-10)
    # Negative control: a resolvent of another law.
    other = ShiftInvert(law.resolvent, 1.001 * law.gamma)
    wrong = other.exponential(
        torch.tensor(w), torch.tensor(times, dtype=torch.float64), torch.full((3,), 1e-11, dtype=torch.float64)
    )
    assert np.abs(wrong.numpy() - wanted).max() > 1e-5


def test_many_vectors_are_as_each_by_itself():
    law, count = resolvent(drift(20, 30.0, 0.3, 4), 0.2), 150
    w = torch.randn(count, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    times, tolerance = torch.linspace(0.1, 3.0, count, dtype=torch.float64), torch.full((count,), 1e-11).double()
    found = law.exponential(w, times, tolerance)
    for k in (0, 63, 64, 149):
        one = slice(k, k + 1)
        torch.testing.assert_close(law.exponential(w[one], times[one], tolerance[one]), found[one], rtol=0, atol=1e-9)


def test_a_slow_mode_of_which_there_is_little_is_not_overlooked():
    """After a long time nothing else is left."""
    rates = np.append(np.geomspace(5.0, 20.0, 49), 0.01)
    w = np.append(np.ones(49), 1e-6)
    law = resolvent(-np.diag(rates), 0.3)
    t, tolerance = torch.tensor([20.0], dtype=torch.float64), torch.tensor([1e-10], dtype=torch.float64)
    found = law.exponential(torch.tensor(w)[None], t, tolerance)[0]
    assert float(found[-1]) == pytest.approx(1e-6 * math.exp(-0.2), rel=1e-3)
    # Told that all decays fast, it stops before it has seen it.
    hasty = resolvent(-np.diag(rates), 0.3, decay=4.0).exponential(torch.tensor(w)[None], t, tolerance)[0]
    assert abs(float(hasty[-1])) < 0.5e-6


def test_what_needs_too_many_steps_is_not_answered():
    F = drift(200, 1e9, 0.0, 3)
    w = torch.randn(1, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one = torch.ones(1, dtype=torch.float64)
    assert resolvent(F, 1e3).exponential(w, 1e-3 * one, 1e-13 * one) is None


@pytest.mark.parametrize("spread", [1.0, 30.0, 2e3])
@pytest.mark.parametrize("duration", [1e-4, 0.1, 2.0, math.inf])
def test_the_sum_of_exponentials_is_the_integral_at_every_rate(spread, duration):
    instants, weights = exponential_sum(1.0, spread, duration)
    assert weights.min() > 0
    assert len(weights) <= 12
    rates = np.geomspace(1.0, spread, 1001)
    found = np.exp(-2 * np.outer(rates, instants)) @ weights
    np.testing.assert_allclose(found, -np.expm1(-2 * rates * duration) / (2 * rates), rtol=3e-3)


def test_too_wide_a_spread_has_no_short_sum():
    assert exponential_sum(1.0, 1e12, math.inf) is None
