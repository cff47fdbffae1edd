"""What inverters add to an array's law, against their transfer function, quadrature, and an independent simulator."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.inverters import Inverters

from ..systems import spd
from .oracle import operating_point

RATES = [(1e-3, 0.005, 0.0), (0.02, 0.01, 4e-5), (0.0, 0.02, 1e-3)]
"""leak, first, second; times are in units of tau."""


def some(seed, n=3):
    rng = np.random.default_rng(seed)
    coupling, noise = rng.uniform(0.0, 1.0, (n, n)), rng.uniform(1.0, 2.0, n)
    return Inverters(coupling, rng.uniform(0.8, 1.2, n), rng.uniform(-1.0, 1.0, n), noise)


@pytest.mark.parametrize(("leak", "first", "second"), RATES)
def test_what_is_added_are_the_first_taylor_coefficients_of_the_gain(leak, first, second):
    """By Cauchy's integrals about 0, on a circle well inside of the poles."""
    inverters = some(1)
    s = 5.0 * np.exp(2j * np.pi * np.arange(64) / 64)[:, None]
    gain = inverters.ratio / (1 + (1 + inverters.ratio) * (leak + first * s + second * s**2))
    h = [(gain * s**-k).mean(axis=0).real for k in range(3)]
    expected = [inverters.coupling * (inverters.ratio - h[0]), -inverters.coupling * h[1], -inverters.coupling * h[2]]
    for found, wanted in zip(inverters.added(leak, first, second), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-14)


@settings(max_examples=20)
@given(
    leak=st.floats(0.0, 0.05),
    lag=st.floats(1e-3, 0.1),
    pole=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    r=st.floats(0.5, 2.0),
)
def test_noise_that_is_not_followed_is_the_integral(leak, lag, pole, r):
    first, second = lag * (1 + leak * pole), pole * lag**2
    inverters = Inverters(np.ones((1, 1)), np.array([r]), np.zeros(1), np.ones(1))
    noise_gain = 1 + r
    static = 1 + noise_gain * leak

    def missing(x):
        """In units of 1 / lag; 1 - |H|^2 in a form that does not cancel."""
        w = x / lag
        a, b = noise_gain * first / static, noise_gain * second / static
        fallen = w**2 * (a**2 - 2 * b + (b * w) ** 2) / abs(1 + 1j * w * a - w**2 * b) ** 2
        return fallen / abs(w * (1 + 1j * w * first - w**2 * second)) ** 2 / lag

    expected = 2 * quad(missing, 1e-9, math.inf, epsabs=0.0, limit=300)[0] / (2 * math.pi) / static**2
    assert inverters.unfollowed_noise(leak, first, second)[0, 0] == pytest.approx(expected, rel=1e-6)
    if pole == 0:
        a = noise_gain * lag / static
        assert expected == pytest.approx(a**2 / (2 * (lag + a)) / static**2, rel=1e-6)


def test_amplifiers_without_lag_follow_everything():
    inverters = some(2)
    np.testing.assert_array_equal(inverters.unfollowed_noise(0.01, 0.0, 0.0), 0.0)
    _, slowing, lagging = inverters.added(0.01, 0.0, 0.0)
    assert not slowing.any()
    assert not lagging.any()


@pytest.mark.parametrize("n", [1, 2, 6])
def test_an_array_rests_where_the_independent_simulator_finds_it(n):
    technology = preset("breadboard").replace(opamp__gain=50.0, resistors__tolerance=0.05, opamp__offset=0.02)
    program = lay_out(spd(n, 10.0, n), "crossbar_single", technology).on(Die(technology, 5))
    b = np.linspace(-1.0, 1.0, n) + 0.3
    seen = operating_point(program.to_spice(b))
    law, leak, parts = program.behaviour, 1 / 50.0, program.parts
    drive = law.drive * program.currents(b)

    def rest(matrix, offsets):
        return np.linalg.solve(matrix, drive + offsets)

    volts = np.array([seen[f"p{i + 1}"] for i in range(n)])
    found = rest(law.at_rest(leak), law.offset_currents(parts.offset, leak))
    np.testing.assert_allclose(found, volts, rtol=1e-8)
    np.testing.assert_allclose(program.fabric.realised(parts, technology), law.at_rest(leak), rtol=1e-13)
    for j in parts.inverted().tolist():
        assert law.inverters.volts(found, leak)[j] == pytest.approx(seen[f"n{j + 1}"], rel=1e-8)
    if n > 1:
        # Negative controls: inverters that lose nothing, and without offsets.
        for wrong in (
            rest(law.conductance + np.diag(leak * law.load), law.offset_currents(parts.offset, leak)),
            rest(law.at_rest(leak), law.load * parts.offset),
        ):
            assert np.abs(wrong - volts).max() > 1e-3 * np.abs(volts).max()
