"""Pruning keeps its promise for every right-hand side, and leaves nothing on the table that it could promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from thermograd.circuits.errors import InputError
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.passes.prune import prune

from ...systems import spd


def worst_change(before, after):
    """max |x' - x| / |x| over all b."""
    return np.linalg.norm(np.linalg.solve(after, before - after), ord=2)


@settings(max_examples=60)
@given(n=st.integers(1, 12), seed=st.integers(0, 999), change=st.floats(1e-4, 0.9), thin=st.booleans())
def test_no_right_hand_side_changes_by_more_than_the_bound(n, seed, change, thin):
    a = spd(n, 50.0, seed)
    found = prune(sparse.csr_array(a) if thin else a, change)
    left = found.matrix.toarray() if thin else found.matrix
    assert sparse.issparse(found.matrix) == thin
    assert worst_change(a, left) <= found.bound + 1e-12
    assert found.bound <= change * (1 + 1e-9)
    assert np.linalg.eigvalsh(left)[0] > 0
    pairs = n * (n - 1) // 2
    assert found.removed + found.kept == pairs
    assert np.count_nonzero(np.triu(left, 1)) == found.kept
    np.testing.assert_array_equal(np.diag(left), np.diag(a))


def test_small_couplings_go_and_large_ones_stay():
    a = np.diag([1.0, 1.0, 1.0, 1.0])
    for (i, j), value in {(0, 1): 0.4, (2, 3): -0.3, (0, 2): 0.002, (1, 3): -0.001, (0, 3): 0.003}.items():
        a[i, j] = a[j, i] = value
    found = prune(a, 0.02)
    assert found.removed == 3
    assert found.matrix[0, 1] == 0.4
    assert found.matrix[0, 2] == 0.0
    assert prune(a, 0.0).removed == 0
    assert prune(a, 0.004).removed == 2


def test_a_pruned_program_says_so_and_has_fewer_parts():
    a = np.diag(np.arange(1.0, 7.0)) + 1e-3 * spd(6, 5.0, 1)
    whole, pruned = (compile_matrix(a, "crossbar", prune=change) for change in (0.0, 0.01))
    assert pruned.pruned > 0
    assert 0 < pruned.prune_bound <= 0.01
    assert pruned.report.parts["resistor"] == whole.report.parts["resistor"] - 4 * pruned.pruned
    assert f"{pruned.pruned} couplings" in str(pruned.report)
    assert "pruned" not in str(whole.report)


@pytest.mark.parametrize("change", [-0.1, 1.0, float("nan"), "0.1", None])
def test_a_change_out_of_range_is_rejected(change):
    with pytest.raises(InputError, match=r"prune is .*give the relative change"):
        prune(np.eye(2), change)
