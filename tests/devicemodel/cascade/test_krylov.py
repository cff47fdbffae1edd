"""Resolvents and modes of a matrix that is known by its products, against the matrix written out."""

import numpy as np
import pytest

from thermograd.devicemodel.cascade.krylov import SEARCHED, away, nearest_to_growth, resolve

SHAPE = (4, 5)
N = 20


def problem(apart, seed=0):
    """F = F_0 + apart times a random matrix, with its product and the resolvent of F_0."""
    rng = np.random.default_rng(seed)
    rates = np.geomspace(0.05, 3.0, N)
    F = -np.diag(rates) + apart * rng.standard_normal((N, N)) / np.sqrt(N)

    def apply(X):
        return (X.reshape(len(X), N) @ F.T).reshape(X.shape)

    def near(z, X):
        return X / away(z + rates.reshape(SHAPE), 1e-3)

    return F, apply, near


def test_resolvents_are_those_of_the_matrix_and_what_is_left_is_told():
    F, apply, near = problem(0.1)
    z = np.array([0.3 + 1.0j, 2.0 + 0j, 0.1 - 4.0j])
    right = np.random.default_rng(1).standard_normal((3, *SHAPE))
    found, left = resolve(apply, near, z, right, 1e-12)
    for k in range(3):
        exact = np.linalg.solve(z[k] * np.eye(N) - F, right[k].ravel())
        np.testing.assert_allclose(found[k].ravel(), exact, rtol=1e-9)
    assert (left <= 1e-11 * np.linalg.norm(right.reshape(3, -1), axis=1)).all()
    # Negative control: what stops early leaves more, and says so.
    rough, more = resolve(apply, near, z, right, 1e-2)
    for k in range(3):
        rest = right[k].ravel() - (z[k] * np.eye(N) - F) @ rough[k].ravel()
        assert np.linalg.norm(rest) == pytest.approx(more[k])
    assert (more > 100 * left).all()


@pytest.mark.parametrize("apart", [0.01, 0.05])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_mode_nearest_to_growth_is_found(apart, seed):
    F, apply, near = problem(apart, seed)
    start = np.eye(N)[:SEARCHED].reshape(-1, *SHAPE)  # the slow modes of F_0
    found = nearest_to_growth(apply, near, start)
    exact = np.linalg.eigvals(F).real.max()
    # Its residual is at most a twentieth of its size.
    assert found.real.max() == pytest.approx(exact, rel=0.06)
