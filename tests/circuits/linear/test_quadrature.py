"""Integrals of matrices against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermograd.circuits.linear.quadrature import integral


def test_a_matrix_of_lorentzians_is_the_sum_of_arctangents():
    widths = np.array([[1.0, 0.3], [0.05, 1e-3]])

    def lorentz(x):
        return widths / (widths**2 + (x[:, None, None] - 0.5) ** 2)

    found, error = integral(lorentz, [0.0, 0.499, 0.501, 3.0], 1e-9)
    exact = np.arctan(2.5 / widths) + np.arctan(0.5 / widths)
    assert np.abs(found - exact).max() < 1e-8
    assert error < 1e-8


def test_the_error_of_what_is_not_smooth_is_stated():
    def rough(x):
        return np.sign(np.sin(1.0 / np.maximum(x, 1e-300)))[:, None] / np.sqrt(x)[:, None]

    found, error = integral(rough, [0.0, 1.0], 1e-13)
    assert math.isfinite(found[0])
    assert error > 1e-13


@pytest.mark.parametrize("power", [0, 1, 7, 23])
def test_polynomials_are_exact(power):
    found, _ = integral(lambda x: x[:, None] ** power, [0.0, 2.0], 1e-10)
    assert found[0] == pytest.approx(2.0 ** (power + 1) / (power + 1), rel=1e-13)
