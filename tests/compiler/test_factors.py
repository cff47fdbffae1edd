"""Factors of structured systems: what they multiply to, and what is no factor."""

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.compiler.factors import kronecker_factors, low_rank_factors, multiplied
from thermograd.compiler.validate import semidefinite

from ..systems import spd

RNG = np.random.default_rng(0)
J, H = RNG.standard_normal((3, 5)), spd(3, 10.0, 0)


@pytest.mark.parametrize("as_given", [np.asarray, torch.tensor, np.ndarray.tolist])
def test_the_factors_multiply_to_the_matrix(as_given):
    np.testing.assert_allclose(multiplied(low_rank_factors(as_given(J))), J.T @ J, rtol=1e-12)
    np.testing.assert_allclose(multiplied(low_rank_factors(as_given(J), as_given(H))), J.T @ H @ J, rtol=1e-12)
    b = spd(2, 3.0, 1)
    np.testing.assert_allclose(multiplied(kronecker_factors(as_given(H), as_given(b))), np.kron(H, b), rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.ones((2, 3)), np.eye(3)), r"H must be \(2, 2\)"),
        ((np.ones((2, 3)), -np.eye(2)), "H has the eigenvalue -1; it must be positive semi-definite"),
        ((np.full((2, 3), np.nan), None), "finite"),
        ((np.zeros((2, 3)), None), "zero everywhere"),
        ((np.ones(3), None), "must be a matrix"),
        ((J * (1 + 0j), None), "J must be .* complex"),
        ((J, H * (1 + 0j)), "H must be .* complex"),
        ((J, np.triu(np.ones((3, 3)))), "H is not symmetric"),
    ],
)
def test_what_is_no_low_rank_factor_is_an_error(given, message):
    with pytest.raises(InputError, match=message):
        low_rank_factors(*given)


def test_what_is_no_kronecker_factor_is_an_error():
    with pytest.raises(InputError, match=r"B is not symmetric: B\[0, 1\] = 1 but B\[1, 0\] = 0"):
        kronecker_factors(np.eye(2), np.array([[1.0, 1.0], [0.0, 1.0]]))


def test_an_eigenvalue_below_zero_by_rounding_is_cut_off_and_a_negative_one_is_not():
    basis, _ = np.linalg.qr(RNG.standard_normal((4, 4)))
    for lowest, fine in ((-1e-12, True), (-1e-7, False)):
        matrix = (basis * np.array([lowest, 0.1, 0.5, 1.0])) @ basis.T
        if fine:
            assert np.linalg.eigvalsh(semidefinite("H", matrix))[0] > -1e-15
        else:
            with pytest.raises(InputError, match="positive semi-definite"):
                semidefinite("H", matrix)
