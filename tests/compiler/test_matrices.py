"""Sparse and dense answers agree, and certificates are what they claim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from thermograd.circuits.errors import InputError
from thermograd.compiler import matrices
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.matrices import comparison_matrix, dominance

from ..systems import passive, spd


def network(n, seed, grounded=0.1):
    """A sparse M-matrix of a random graph with four couplings a node."""
    rng = np.random.default_rng(seed)
    i, j = rng.integers(n, size=(2, 4 * n))
    off = sparse.coo_array((-rng.uniform(0.1, 1, (i != j).sum()), (i[i != j], j[i != j])), shape=(n, n))
    off = sparse.csr_array(off + off.T)
    return sparse.csr_array(off + sparse.diags_array(-np.asarray(off.sum(axis=1)).ravel() + grounded))


@pytest.mark.parametrize("n", [30, 600])
def test_sparse_and_dense_agree(n):
    thin = network(n, 1)
    full = thin.toarray()
    b = np.random.default_rng(2).standard_normal((n, 2))
    np.testing.assert_allclose(matrices.solver(thin)(b), np.linalg.solve(full, b), rtol=1e-8, atol=1e-9)
    values = np.linalg.eigvalsh(full)
    assert matrices.smallest_eigenvalue(thin) == pytest.approx(values[0], rel=1e-5)
    assert matrices.largest_eigenvalue(thin) == pytest.approx(values[-1], rel=1e-5)
    assert matrices.is_positive_definite(thin)
    assert not matrices.is_positive_definite(sparse.csr_array(thin - 1.01 * values[0] * sparse.eye_array(n)))
    other = sparse.csr_array(thin + 0.01 * sparse.diags_array(thin.diagonal()))
    exact = np.linalg.norm(np.linalg.inv(other.toarray()) - np.linalg.inv(full)) / np.linalg.norm(np.linalg.inv(full))
    # 32 random right-hand sides: the estimate scatters by about 1 / sqrt(2 * 32)
    assert matrices.relative_inverse_error(thin, other) == pytest.approx(exact, rel=0.4)
    worst = np.linalg.norm(np.linalg.solve(other.toarray(), full - other.toarray()), ord=2)
    assert matrices.relative_inverse_bound(other, thin) >= worst * (1 - 1e-9)
    assert matrices.relative_inverse_bound(other.toarray(), full) == pytest.approx(worst)


def test_a_mesh_that_iterations_do_not_solve_is_factored():
    n = 1500
    path = sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    chain = sparse.csr_array(path + 1e-9 * sparse.eye_array(n))
    b = np.random.default_rng(0).standard_normal(n)
    x = matrices.solver(chain)(b)
    assert np.linalg.norm(chain @ x - b) < 1e-6 * np.linalg.norm(b)


def path(n):
    return sparse.diags_array([2 * np.ones(n), -np.ones(n - 1), -np.ones(n - 1)], offsets=[0, 1, -1]).tocsr()


def test_large_sparse_matrices_are_judged_without_a_traceback():
    n = 1500
    corners = sparse.coo_array(([1.0, 1.0], ([0, n - 1], [0, n - 1])), shape=(n, n))
    with pytest.raises(InputError, match=r"singular|indefinite"):
        compile_matrix(path(n) - corners)  # a graph's Laplacian
    squared = sparse.csr_array(path(n) @ path(n) + 1e-4 * sparse.eye_array(n))
    assert matrices.is_positive_definite(squared)
    assert not matrices.is_positive_definite(sparse.csr_array(squared - 2e-4 * sparse.eye_array(n)))
    assert compile_matrix(squared, check=False).fabric_name == "crossbar"


@settings(max_examples=40)
@given(n=st.integers(1, 12), seed=st.integers(0, 999), margin=st.floats(-1, 1).filter(lambda m: abs(m) > 1e-6))
def test_dominance_is_found_exactly_where_the_comparison_matrix_is_definite(n, seed, margin):
    a = passive(n, margin, seed)
    if np.diag(a).min() <= 0:
        return
    d = dominance(a)
    assert (d is not None) == (margin > 0)
    if d is not None:
        assert d.min() > 0
        assert (comparison_matrix(a) @ d).min() > 0


def test_entries_above_the_diagonal_come_row_by_row_in_both_forms():
    a = spd(5, 10.0, 1)
    a[0, 3] = a[3, 0] = 0.0
    for left, right in zip(matrices.upper_entries(a), matrices.upper_entries(sparse.csr_array(a)), strict=True):
        np.testing.assert_array_equal(left, right)
