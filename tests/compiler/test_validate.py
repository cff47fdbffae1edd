"""The first pass: what is taken, and what is rejected by name."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from thermograd.circuits.errors import InputError
from thermograd.compiler.validate import (
    LARGEST,
    SYMMETRY,
    check_symmetric,
    symmetry_tolerance,
    validate,
    validate_drive,
)


def broken(i, j, value):
    a = np.eye(3)
    a[i, j] = value
    return a


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, 2.0]], r"square.*\(1, 2\)"),
        (np.ones(4), r"square.*\(4,\)"),
        (3.0, r"square.*\(\)"),
        (np.zeros((0, 0)), "size 0"),
        (np.zeros((3, 3)), "zero everywhere.*damping"),
        (broken(1, 2, np.nan), r"entry \[1, 2\] is nan"),
        (broken(2, 0, -np.inf), r"entry \[2, 0\] is -inf"),
        (broken(0, 2, 0.5), r"not symmetric: matrix\[0, 2\] = 0.5 but matrix\[2, 0\] = 0;"),
        (broken(1, 1, 1e200), r"entry \[1, 1\].*1e\+200.*units"),
        ([[1e-300]], r"entry \[0, 0\].*1e-300.*units"),
        ([[10**400]], "real numbers.*too large"),
        ([["a"]], "real numbers"),
        ([[1.0, 2.0], [3.0]], "real numbers"),
        (None, r"square.*\(\)"),
        (np.array([[1 + 1j]]), "complex"),
        ([[1j]], "complex"),
        (torch.eye(2, requires_grad=True), "detach"),
    ],
)
def test_a_matrix_no_fabric_takes_is_rejected_by_name(matrix, message):
    with pytest.raises(InputError, match=message):
        validate(matrix)


def test_rounding_is_averaged_away_and_more_than_rounding_is_not():
    a = np.array([[2.0, 1.0], [1.0, 3.0]])
    a[0, 1] += 0.5 * SYMMETRY * 3
    np.testing.assert_array_equal(validate(a), validate(a).T)
    a[0, 1] += SYMMETRY * 3
    with pytest.raises(InputError, match="not symmetric"):
        validate(a)


@pytest.mark.parametrize("make", [np.asarray, torch.tensor])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_each_matrix_of_a_batch_is_held_against_its_own_size(make, batch):
    matrices = np.broadcast_to([[2.0, 1.0], [1.0, 3.0]], (*batch, 2, 2)).copy()
    check_symmetric("A", make(matrices))
    matrices[..., 0, 1] += 0.5 * SYMMETRY * 3
    check_symmetric("A", make(matrices))
    last = tuple(length - 1 for length in batch)
    matrices[last] *= 1e-3
    matrices[(*last, 0, 1)] += 3 * SYMMETRY * 1e-3 * 3
    with pytest.raises(InputError, match=re.escape(f"A is not symmetric: A{[*last, 0, 1]} = ")):
        check_symmetric("A", make(matrices))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_tolerance_is_that_of_the_type(dtype):
    matrix = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=dtype)
    tolerance = symmetry_tolerance(matrix)
    assert tolerance == symmetry_tolerance(matrix.numpy()) == (1e-8 if dtype == torch.float64 else 1e3 * 2.0**-23)
    matrix[0, 1] += 0.9 * tolerance
    check_symmetric("A", matrix)
    matrix[0, 1] += 0.3 * tolerance
    with pytest.raises(InputError, match="not symmetric"):
        check_symmetric("A", matrix)


def test_what_is_returned_is_a_copy():
    a = np.eye(2)
    validate(a)[0, 0] = 7.0
    assert a[0, 0] == 1.0


@pytest.mark.parametrize(
    "given_as", [np.eye(2).tolist(), np.eye(2, dtype=int), torch.eye(2), np.eye(2, dtype=np.float32)]
)
def test_lists_integers_and_tensors_are_taken(given_as):
    np.testing.assert_array_equal(validate(given_as), np.eye(2))


@settings(max_examples=40)
@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.complex128, np.bool_]),
        hnp.array_shapes(max_dims=3, max_side=3),
    )
)
def test_any_array_is_symmetric_afterwards_or_an_input_error(array):
    try:
        a = validate(array)
    except InputError:
        return
    assert np.isfinite(a).all()
    np.testing.assert_array_equal(a, a.T)
    assert 1 / LARGEST <= np.abs(a).max() <= LARGEST


@pytest.mark.parametrize(
    ("b", "message"),
    [
        ([1.0, 2.0], r"shape \(2,\).*3 unknowns"),
        ([[1.0, 2.0, 3.0]], r"shape \(1, 3\)"),
        (1.0, r"shape \(\)"),
        ([1.0, np.inf, 2.0], r"b\[1\] is inf"),
        (["x", 1, 2], "real numbers"),
        ([1j, 1, 2], "complex"),
        (torch.ones(3, requires_grad=True), "detach"),
    ],
)
def test_a_right_hand_side_that_does_not_fit_is_rejected_by_name(b, message):
    with pytest.raises(InputError, match=message):
        validate_drive(b, 3)
