"""Low-rank and Kronecker drifts against the same drift as a dense matrix, and without it where there would be no room for it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.ou.process import OU
from thermograd.devicemodel.systems import Kronecker, LowRank

from . import oracle

F64 = torch.float64


def draw(g, *shape):
    return torch.randn(*shape, generator=g, dtype=F64)


def low_rank(g, k, n, core, damping, batch=()):
    J = draw(g, *batch, k, n)
    half = draw(g, *batch, k, max(1, k - 1) if core == "singular" else k)
    H = None if core == "none" else half @ half.mT
    dense = J.mT @ (J if H is None else H @ J) + damping * torch.eye(n, dtype=F64)
    return LowRank(J, H, damping), dense


def kronecker(g, p, q, damping, batch=()):
    halves = draw(g, *batch, p, p), draw(g, *batch, q, q)
    A, B = (half @ half.mT for half in halves)
    product = (A[..., :, None, :, None] * B[..., None, :, None, :]).flatten(-4, -3).flatten(-2, -1)
    return Kronecker(A, B, damping), product + damping * torch.eye(p * q, dtype=F64)


def assert_same(found, expected):
    """Means, covariances, variances, and a draw of each unit vector, R R^T."""
    torch.testing.assert_close(found.mean, expected.mean, rtol=0, atol=1e-9 * float(expected.mean.abs().max() + 1))
    S = expected.covariance
    size = 1e-9 * float(S.abs().max())
    torch.testing.assert_close(found.covariance, S, rtol=0, atol=size)
    torch.testing.assert_close(found.variance, expected.variance, rtol=0, atol=size)
    n = S.shape[-1]
    units = torch.eye(n, dtype=F64).reshape(n, *[1] * (S.dim() - 2), n).expand(n, *S.shape[:-2], n)
    R = found.law.draw(units).movedim(0, -1)
    torch.testing.assert_close(R @ R.mT, S, rtol=0, atol=size)


def assert_same_process(g, drift, dense, damping, batch=()):
    n = dense.shape[-1]
    u, x0 = draw(g, *batch, n), draw(g, 2, *(1 for _ in batch), n)
    found, expected = OU(drift, u, 0.6), OU(dense, u, 0.6)
    for t in (0.0, 1e-3, 0.7, *((math.inf,) if damping else ())):
        assert_same(found.marginal(x0, t), expected.marginal(x0, t))
    for start in (0.0, 0.4, *((math.inf,) if damping else ())):
        assert_same(found.time_average(x0, start, 1.3), expected.time_average(x0, start, 1.3))
    step, other = found.transition(0.4), expected.transition(0.4)
    torch.testing.assert_close(step.propagator, other.propagator, rtol=0, atol=1e-9)


@settings(max_examples=25)
@given(
    k=st.integers(1, 5),
    n=st.integers(1, 7),
    core=st.sampled_from(["none", "definite", "singular"]),
    damping=st.sampled_from([0.0, 1e-3, 0.5]),
    batch=st.sampled_from([(), (3,)]),
    seed=st.integers(0, 99),
)
def test_a_low_rank_drift_is_its_dense_matrix(k, n, core, damping, batch, seed):
    g = torch.Generator().manual_seed(seed)
    drift, dense = low_rank(g, k, n, core, damping, batch)
    assert_same_process(g, drift, dense, damping, batch)


@settings(max_examples=25)
@given(
    p=st.integers(1, 4),
    q=st.integers(1, 4),
    damping=st.sampled_from([0.01, 0.5]),
    batch=st.sampled_from([(), (3,)]),
    seed=st.integers(0, 99),
)
def test_a_kronecker_drift_is_its_dense_matrix(p, q, damping, batch, seed):
    g = torch.Generator().manual_seed(seed)
    drift, dense = kronecker(g, p, q, damping, batch)
    assert_same_process(g, drift, dense, damping, batch)


def test_another_damping_is_told_from_it():
    # Negative control of the two comparisons above.
    g = torch.Generator().manual_seed(0)
    drift, dense = low_rank(g, 2, 5, "none", 0.5)
    with pytest.raises(AssertionError):
        assert_same_process(g, LowRank(drift.J, None, 0.5 + 1e-6), dense, 0.5)


@pytest.mark.parametrize("t", [2.0, math.inf])
def test_a_large_gram_matrix_goes_through_lanczos_to_the_same_law(t):
    g, k, n = torch.Generator().manual_seed(1), 650, 700
    J = torch.logspace(0, -2, k, dtype=F64).unsqueeze(-1) * draw(g, k, n) / math.sqrt(n)
    process, x0, xi = OU(LowRank(J, damping=0.3), draw(g, n), 0.6), draw(g, n), draw(g, n)
    taken = process.marginal(x0, t).mean, process.marginal(x0, t).law.draw(xi)
    gram = process._law.gram
    assert "eigen" not in gram.__dict__
    assert gram.eigen[0].shape == (k,)  # from here on they are used
    for one, exact in zip(taken, (process.marginal(x0, t).mean, process.marginal(x0, t).law.draw(xi)), strict=True):
        assert not torch.equal(one, exact)
        torch.testing.assert_close(one, exact, rtol=0, atol=2e-9 * float(exact.norm()))


def test_a_hundred_thousand_states_need_no_matrix():
    g = torch.Generator().manual_seed(0)
    n = 100_000
    J = torch.randn(3, n, generator=g) / math.sqrt(n)
    process = OU(LowRank(J, damping=0.1), torch.ones(n), 0.5)
    law = process.marginal(torch.zeros(n), 2.0)
    assert law.variance.shape == (n,)
    assert law.sample(g).shape == (n,)
    with pytest.raises(InputError, match="use variance, or sample"):
        _ = law.covariance
    with pytest.raises(InputError, match="use marginal"):
        process.transition(2.0)
    assert process.trajectory(torch.zeros(n), 0.5, 3, g).shape == (3, n)
    # what is orthogonal to J relaxes with the damping alone: (D / 2 damping) (1 - e^{-2 damping t})
    free = 0.5 / 0.2 * -math.expm1(-0.4)
    rows = torch.linalg.qr(J.double().mT).Q
    assert float(law.variance.double().sum()) == pytest.approx(
        free * (n - 3) + float(law.law.draw(rows.mT).square().sum()), rel=1e-6
    )


def test_stiff_directions_survive_float32():
    # b = J^T r lies where b / damping is cancelled down to a ten-thousandth: sums in float32 leave an error of 4e-3.
    g = torch.Generator().manual_seed(5)
    J = 10 * torch.randn(20, 9000, generator=g) / math.sqrt(9000)
    b = J.mT @ torch.randn(20, generator=g)
    found = OU(LowRank(J, damping=0.01), b).stationary().mean.double()
    exact = OU(LowRank(J.double(), damping=0.01), b.double()).stationary().mean
    assert float((found - exact).norm() / exact.norm()) < 1e-6


def test_an_indefinite_core_raises():
    drift = LowRank(torch.ones(2, 3, dtype=F64), torch.diag(torch.tensor([1.0, -1.0], dtype=F64)), 0.1)
    with pytest.raises(InputError, match=r"eigenvalue -1: .*give the dense matrix"):
        OU(drift).marginal(torch.zeros(3, dtype=F64), 1.0)


def test_vec_goes_by_rows():
    A, B = np.array([[2.0, 0.5], [0.5, 1.0]]), oracle.drift(3, 0, "symmetric")
    drift = Kronecker(torch.tensor(A), torch.tensor(B))
    step = OU(drift).transition(0.3).propagator
    np.testing.assert_allclose(step, oracle.linalg.expm(-0.3 * np.kron(A, B)), rtol=1e-9, atol=1e-12)
