"""Damping, and the test of definiteness against the eigenvalues."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.compiler.matrices import is_positive_definite
from thermograd.compiler.passes.damp import damp


def symmetric(n, seed):
    a = np.random.default_rng([n, seed]).standard_normal((n, n))
    return (a + a.T) / 2


def test_damping_is_added_to_the_diagonal():
    np.testing.assert_array_equal(damp(np.eye(2), 0.5), 1.5 * np.eye(2))


@settings(max_examples=40)
@given(n=st.integers(1, 10), seed=st.integers(0, 999), shift=st.floats(-1, 1).filter(lambda s: abs(s) > 1e-9))
def test_definite_means_a_positive_smallest_eigenvalue(n, seed, shift):
    a = symmetric(n, seed)
    a += (shift - np.linalg.eigvalsh(a)[0]) * np.eye(n)
    assert is_positive_definite(a) == (shift > 0)


@settings(max_examples=40)
@given(n=st.integers(1, 8), seed=st.integers(0, 999))
def test_the_damping_that_the_error_asks_for_is_enough(n, seed):
    a = symmetric(n, seed) - np.eye(n)
    with pytest.raises(InputError, match="smallest eigenvalue") as caught:
        damp(a - 10 * np.eye(n), 0.0)
    needed = float(re.search(r"Use damping > ([0-9.e+]+[0-9])", str(caught.value)).group(1))
    damp(a - 10 * np.eye(n), needed * 1.001)
    with pytest.raises(InputError):
        damp(a - 10 * np.eye(n), needed * 0.999)


def test_singular_and_indefinite_are_distinguished():
    with pytest.raises(InputError, match="singular"):
        damp(np.ones((2, 2)), 0.0)
    with pytest.raises(InputError, match="indefinite"):
        damp(np.array([[1.0, 2.0], [2.0, 1.0]]), 0.5)


@pytest.mark.parametrize("damping", [-1e-9, np.nan, np.inf, "1", None, 1j, np.complex128(1), 10**400, [0.1]])
def test_a_damping_that_is_no_number_is_rejected(damping):
    with pytest.raises(InputError, match="damping must be a finite number >= 0"):
        damp(np.eye(2), damping)
