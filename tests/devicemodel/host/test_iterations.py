"""The iterations of refinement with linear readings, against spectral radii, scipy's conjugate gradients and least squares."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import cg

from thermograd.devicemodel.host.iterations import STALL, flexible_cg, richardson

from ...systems import spd

METHODS = {"richardson": richardson, "fcg": flexible_cg}


def problem(n=12, condition=50.0, seed=0):
    A = spd(n, condition, seed)
    return A, np.random.default_rng([seed, 9]).standard_normal(n)


def perturbed_inverse(A, share, seed):
    """Inverse of A with each entry off by a normal share of its size, which is not symmetric."""
    off = np.random.default_rng([seed, 17]).standard_normal(A.shape)
    return np.linalg.inv(A * (1 + share * off))


def iterate(method, A, B, b, rounds, tolerance=0.0):
    A, B = torch.from_numpy(np.asarray(A)), torch.from_numpy(np.asarray(B))
    return answered(METHODS[method](lambda x: A @ x, torch.from_numpy(b), rounds, tolerance), lambda r: B @ r)


def answered(iteration, read):
    """Where an iteration ends with the readings of `read`."""
    r = next(iteration)
    while True:
        try:
            r = iteration.send(read(r))
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.01, 0.02])
def test_richardson_contracts_by_the_spectral_radius(share, seed):
    A, b = problem(seed=seed)
    B = perturbed_inverse(A, share, seed)
    rho = np.abs(np.linalg.eigvals(np.eye(len(b)) - B @ A)).max()
    assert 0.02 < rho < 0.95  # else the law is not put to the test
    # From where other modes have gone to where rounding is reached.
    last = int(np.log(1e-11) / np.log(rho))
    first = last // 2
    residuals = iterate("richardson", A, B, b, last).residuals
    measured = (residuals[-1] / residuals[first]) ** (1 / (len(residuals) - 1 - first))
    # Complex pairs let the norm swing by what their eigenvectors are apart from orthogonal.
    assert measured == pytest.approx(rho, rel=0.15)
    norm = np.linalg.norm(np.eye(len(b)) - A @ B, 2)
    assert measured < norm  # the norm is no measure of it: sufficient, not necessary
    # Negative control: the rate tells a die of half the error apart.
    other = np.abs(np.linalg.eigvals(np.eye(len(b)) - perturbed_inverse(A, share / 2, seed) @ A)).max()
    assert abs(measured / other - 1) > 0.3


def test_richardson_diverges_beyond_one_and_keeps_its_best():
    A, b = problem()
    found = iterate("richardson", A, 2.5 * np.linalg.inv(A), b, 20)
    np.testing.assert_allclose(found.residuals, 1.5 ** np.arange(1, len(found.residuals) + 1), rtol=1e-6)
    assert len(found.residuals) == STALL + 1  # given up
    assert np.linalg.norm(b - A @ found.x.numpy()) / np.linalg.norm(b) == pytest.approx(1.5)


@pytest.mark.parametrize("rounds", [0, 1, 5, 9])
def test_without_a_die_flexible_cg_is_scipys_cg(rounds):
    A, b = problem(n=20, condition=20.0)  # (its residual falls in every round)
    found = iterate("fcg", A, np.eye(20), b, rounds)
    expected, _ = cg(A, b, rtol=0.0, maxiter=rounds + 1)
    np.testing.assert_allclose(found.x.numpy(), expected, rtol=1e-8)
    assert found.products == rounds + 2  # and one to look at the end


@pytest.mark.parametrize("method", METHODS)
def test_an_exact_die_needs_no_round(method):
    A, b = problem()
    found = iterate(method, A, np.linalg.inv(A), b, 5, tolerance=1e-8)
    assert len(found.residuals) == 1
    assert found.residuals[0] < 1e-12
    np.testing.assert_allclose(found.x.numpy(), np.linalg.solve(A, b), rtol=1e-10)


def test_flexible_cg_takes_a_die_that_richardson_cannot():
    A, b = problem(n=24, condition=500.0, seed=3)
    B = perturbed_inverse(A, 0.2, 3)
    assert np.abs(np.linalg.eigvals(np.eye(24) - B @ A)).max() > 1
    assert min(iterate("richardson", A, B, b, 23).residuals) > 1e-2
    assert iterate("fcg", A, B, b, 23, tolerance=1e-8).residuals[-1] <= 1e-8


@pytest.mark.parametrize("die", ["turned", "wrong sign", "indefinite"])
def test_where_cg_fails_gcr_minimises_the_residual(die):
    """Readings that no CG step can be made of; the oracle is the least-squares residual over their Krylov space."""
    A, b = problem(n=10)
    rng = np.random.default_rng(4)
    skew = rng.standard_normal((10, 10))
    B = {
        "turned": np.linalg.inv(A) @ (np.eye(10) + 3 * (skew - skew.T)),
        "wrong sign": -np.linalg.inv(A),
        "indefinite": np.diag(rng.choice([-1.0, 1.0], 10)),
    }[die]
    assert float(b @ B @ b) <= 0 or die != "wrong sign"
    found = iterate("fcg", A, B, b, 9)
    basis = [B @ b]
    for _ in range(len(found.residuals) - 1):
        basis.append(B @ A @ basis[-1] / np.linalg.norm(basis[-1]))
    span, _ = np.linalg.qr(A @ np.array(basis).T)
    least = np.linalg.norm(b - span @ (span.T @ b)) / np.linalg.norm(b)
    assert min(found.residuals) < max(1.05 * least, 1e-6)
    assert found.residuals[-1] < 1e-5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", [0.0, 0.01])
def test_residuals_at_the_rounding_are_those_of_products(method, share):
    """What CG subtracts from a residual goes on to fall where that of its x does not."""
    A, b = problem()
    found = iterate(method, A, perturbed_inverse(A, share, 0), b, 12)
    own = np.linalg.norm(b - A @ found.x.numpy()) / np.linalg.norm(b)
    assert min(found.residuals) > 1e-17
    assert min(found.residuals) == pytest.approx(own, rel=0.5, abs=1e-16)


@pytest.mark.parametrize("method", METHODS)
def test_a_reading_that_fails_ends_it(method):
    A, b = problem()
    answers = iter([torch.from_numpy(b), None])
    iteration = METHODS[method](lambda x: torch.from_numpy(A) @ x, torch.from_numpy(b), 5, 1e-9)
    found = answered(iteration, lambda r: next(answers))
    assert not found.complete
    assert len(found.residuals) == 1


def test_a_useless_reading_ends_it():
    A, b = problem()
    found = iterate("fcg", A, np.zeros_like(A), b, 5)
    assert found.residuals == ()
    assert float(found.x.norm()) == 0
