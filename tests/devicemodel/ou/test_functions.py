"""The functions of one eigenvalue against mpmath, their slopes against differences in high precision, their size off the axis."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thermograd.devicemodel.ou.functions import Decay, Response, Spread, average_spread, omega, phi, psi

mpmath.mp.dps = 60
# 60 digits resolve differences of exponentials of these, not of 1e-150
eigenvalues = st.one_of(
    st.just(0.0), st.floats(-3, 3).map(lambda a: round(a, 12)), st.floats(-12, 3).map(lambda p: 10.0**p)
)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def exact_phi(a, t):
    a = mpmath.mpmathify(a)
    return mpmath.mpf(t) if a == 0 else (1 - mpmath.exp(-a * t)) / a


def exact_psi(a, t):
    a = mpmath.mpmathify(a)
    return mpmath.mpf(t) ** 2 / 2 if a == 0 else (t - exact_phi(a, t)) / a


def exact_omega(a, t):
    a = mpmath.mpmathify(a)
    return mpmath.mpf(t) ** 3 / 3 if a == 0 else (t - 2 * exact_phi(a, t) + exact_phi(2 * a, t)) / a**2


@given(a=eigenvalues, t=st.floats(1e-3, 30))
def test_integrals_of_the_exponential(a, t):
    for found, exact in ((phi, exact_phi), (psi, exact_psi), (omega, exact_omega)):
        assert float(found(numbers(a), t)) == pytest.approx(float(exact(a, t)), rel=2e-14), found


def test_no_accuracy_is_lost_where_the_series_ends():
    for z in [*np.nextafter(1.0, [0.0, 2.0]).tolist(), -1.0, -0.999, 1e-3, 1e-9]:
        assert float(psi(numbers(z), 1.0)) == pytest.approx(float(exact_psi(z, 1.0)), rel=1e-14)
        assert float(omega(numbers(z), 1.0)) == pytest.approx(float(exact_omega(z, 1.0)), rel=1e-14)


def exact(f):
    if isinstance(f, Decay):
        return lambda a: mpmath.exp(-a * f.t)
    if isinstance(f, Response):
        return lambda a: 1 / a if math.isinf(f.t) else exact_phi(a, f.t)
    return lambda a: mpmath.sqrt(f.rate / mpmath.mpf(2) * (1 / a if math.isinf(f.t) else exact_phi(a, 2 * f.t)))


finite = [Decay(0.3), Decay(20.0), Response(0.3), Response(20.0), Spread(0.3, 0.7), Spread(20.0, 0.7)]
settled = [Response(math.inf), Spread(math.inf, 0.7)]


@given(base=st.floats(-6, 1).map(lambda p: 10.0**p), w=st.floats(-12, 3).map(lambda p: 10.0**p))
def test_slopes_are_divided_differences_without_cancellation(base, w):
    for f in finite + settled:
        g, high, low = exact(f), mpmath.mpf(base) + mpmath.mpf(w), mpmath.mpf(base)
        assert float(f.slope(base, numbers(w))) == pytest.approx(float((g(low) - g(high)) / w), rel=2e-14), f


@pytest.mark.parametrize("f", finite)
def test_slopes_at_zero_damping(f):
    g = exact(f)
    for w in (1e-9, 1e-3, 0.7, 40.0):
        expected = float((g(mpmath.mpf(0)) - g(mpmath.mpf(w))) / mpmath.mpf(w))
        assert float(f.slope(0.0, numbers(w))) == pytest.approx(expected, rel=2e-14)


@given(x=st.floats(-0.2, 5).map(lambda x: round(x, 9)), y=st.floats(0, 300).map(lambda y: round(y, 9)))
def test_size_off_the_axis_is_bounded_and_the_bound_falls(x, y):
    for f in finite + settled:
        if (math.isinf(f.t) and x <= 0) or (x == 0 and y == 0):
            continue
        size = abs(exact(f)(mpmath.mpc(x, y)))
        bound, further = (float(f.modulus(numbers(x), numbers(v))) for v in (y, 1.1 * y))
        assert size <= bound * (1 + 1e-12)
        assert further <= bound


def test_deviation_of_an_average_is_the_double_integral_of_the_correlation():
    start, window, rate = 0.4, 1.7, 0.9
    for a in (0.0, 0.8, -0.3):

        def correlation(s, r, a=a):
            return rate * mpmath.exp(-a * abs(s - r)) * exact_phi(a, 2 * min(s, r)) / 2

        def inner(r):
            return mpmath.quad(lambda s: correlation(s, r), [start, r, start + window])

        mpmath.mp.dps = 20
        expected = mpmath.sqrt(mpmath.quad(inner, [start, start + window])) / window
        mpmath.mp.dps = 60
        assert float(average_spread(start, window, rate)(numbers(a))) == pytest.approx(float(expected), rel=1e-10)
    at_rest = average_spread(math.inf, window, rate)(numbers(2.0))
    assert float(average_spread(50.0, window, rate)(numbers(2.0))) == pytest.approx(float(at_rest), rel=1e-12)
