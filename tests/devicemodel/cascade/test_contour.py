"""Functions of a matrix by the contour, and the bounds that go with it."""

import numpy as np
import pytest
from scipy.linalg import expm

from thermograd.devicemodel.cascade.contour import (
    ANGLE,
    STEP,
    WIDTH,
    angle_of,
    hyperbola,
    left_out,
    nodes,
    spectral_bound,
)


@pytest.mark.parametrize("t", [0.01, 1.0, 50.0])
def test_the_sum_over_nodes_is_the_exponential(t):
    F = np.array([[-1.0, 0.4], [-0.2, -0.3]])

    def summed(count):
        z, weight = nodes(t, count, STEP, WIDTH, ANGLE)
        return sum(w * np.linalg.inv(one * np.eye(2) - F) for one, w in zip(z, weight, strict=True)).real

    np.testing.assert_allclose(summed(24), expm(F * t), atol=1e-11)
    # It converges as the paper says, 10^-n and better: with four nodes it is not there yet.
    assert 1e-9 < np.abs(summed(4) - expm(F * t)).max() < 1e-2


def test_what_is_left_out_is_known_at_any_point():
    t, path = 2.0, np.array([-0.5 + 0j, -3.0 + 1.0j])
    for count, largest in ((4, 1e-2), (24, 1e-11)):
        z, weight = nodes(t, count, STEP, WIDTH, ANGLE)
        decay, response = left_out(path, t, z, weight)
        assert np.abs(decay).max() < largest
        for k, f in enumerate(path):
            both = sum(w / 2 / (one - f) + w.conj() / 2 / (one.conj() - f) for one, w in zip(z, weight, strict=True))
            assert decay[k] == pytest.approx(np.exp(f * t) - both, abs=1e-12)
        assert np.abs(response).max() < largest


def test_points_are_inside_of_the_hyperbola_through_them_and_of_smaller_angles():
    mu = 3.0
    z, slope = hyperbola(mu, 1.2, np.array([0.0, 0.5]))
    np.testing.assert_allclose(slope, (hyperbola(mu, 1.2, np.array([1e-6, 0.5 + 1e-6]))[0] - z) / 1e-6, rtol=1e-5)
    assert angle_of(z, mu) == pytest.approx(1.2)
    assert angle_of(z - 0.5, mu) > 1.2


def test_spectral_norms_are_bounded_closely():
    X = np.random.default_rng(0).standard_normal((10, 6, 6)) + 1j
    exact = np.linalg.norm(X, 2, axis=(-2, -1))
    assert (exact <= spectral_bound(X) * (1 + 1e-12)).all()
    assert (spectral_bound(X) <= 6 ** (1 / 32) * exact * (1 + 1e-12)).all()
    assert spectral_bound(np.zeros((1, 2, 2)))[0] == 0
