"""Which combinations of values an information matrix identifies, on matrices whose directions are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.devicemodel.calibration.identifiability import LIMIT, standard_errors, unidentifiable


def test_combinations_are_powers_and_independent_groups():
    rng = np.random.default_rng(0)
    # Identified: ln a + ln b / 2, ln d - ln e, ln f; not: their complements, and c.
    identified = np.array([[1, 0.5, 0, 0, 0, 0], [0, 0, 0, 1, -1, 0], [0, 0, 0, 0, 0, 1.0]])
    groups = unidentifiable(rng.standard_normal((50, 3)) @ identified * 30, list("abcdef"))
    assert [(g.values, g.identified_as) for g in groups] == [
        (("a", "b"), ("a*b^0.5",)),
        (("c",), ()),
        (("d", "e"), ("d/e",)),
    ]
    assert unidentifiable(30 * np.eye(2), ["a", "b"]) == ()


@given(exponent=st.sampled_from([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0]), seed=st.integers(0, 2**31), size=st.floats(30, 1e4))
def test_a_hidden_product_is_found_at_any_strength(exponent, seed, size):
    """Values a, b seen only as a b^exponent, c on its own: whatever the rows."""
    rng = np.random.default_rng(seed)
    rows = np.linalg.qr(rng.standard_normal((20, 2)))[0] @ np.array([[1, exponent, 0], [0, 0, 1]])
    (group,) = unidentifiable(size * rows, list("abc"))
    power = "" if abs(exponent) == 1 else f"^{abs(exponent):.2g}"
    assert group.identified_as == (f"a{'*' if exponent > 0 else '/'}b{power}",)
    assert group.std is None
    std, covariance = standard_errors(size * rows)
    assert np.all(std[:2] > LIMIT)
    assert std[2] == pytest.approx(1 / size, rel=1e-6)
    # Of the combination itself the covariance is the inverse information.
    combination = np.array([1, exponent, 0])
    assert combination @ covariance @ combination == pytest.approx(1 / size**2, rel=1e-6)


@given(seed=st.integers(0, 2**31))
def test_errors_are_the_inverse_information_where_everything_is_told(seed):
    factor = np.random.default_rng(seed).standard_normal((30, 3)) * [100, 30, 300]
    std, covariance = standard_errors(factor)
    inverse = np.linalg.inv(factor.T @ factor)
    np.testing.assert_allclose(covariance, inverse, rtol=1e-9, atol=1e-9 * np.diag(inverse).max())
    np.testing.assert_allclose(std, np.sqrt(np.diag(inverse)), rtol=1e-9)
    assert unidentifiable(factor, list("abc")) == ()
