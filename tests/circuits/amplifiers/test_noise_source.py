"""White and 1/f noise out of resistors and capacitors: the density that was asked for, by two routes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.amplifiers.noise_source import DECADES_ABOVE, DECADES_BELOW, add_noise_source, flicker_corners
from thermograd.circuits.linear.noise_spectra import noise_spectrum
from thermograd.circuits.netlist.analyses import Noise
from thermograd.circuits.netlist.elements import VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run


def source(density: float, corner: float, kelvin: float = 300.15) -> Netlist:
    netlist = Netlist("noise", temperature=kelvin)
    add_noise_source(netlist, "n", density, corner, "1")
    return netlist


def wanted(density: float, corner: float, frequency: np.ndarray) -> np.ndarray:
    return density * np.sqrt(1 + corner / frequency)


@settings(deadline=None)
@given(st.floats(1e-10, 1e-6), st.one_of(st.just(0.0), st.floats(1e-2, 1e7)), st.floats(4.0, 500.0))
def test_density_is_the_one_asked_for_in_the_middle_of_the_range(density, corner, kelvin):
    frequency = (corner or 1.0) * np.logspace(-3, 4, 60)
    found = noise_spectrum(source(density, corner, kelvin), ["n"], frequency).amplitude[:, 0]
    np.testing.assert_allclose(found, wanted(density, corner, frequency), rtol=4e-3)


def test_ngspice_sees_the_same_noise():
    netlist = source(1e-8, 1e3)
    netlist.add(VoltageSource("V1", "x", "0", 0.0, ac=1.0))
    found = run(netlist, Noise("n", "V1", 1.0, 1e6, 5))
    np.testing.assert_allclose(found.density, wanted(1e-8, 1e3, found.frequency), rtol=4e-3)
    # The negative control: white noise alone is far from it below the corner.
    assert abs(found.density[0] / 1e-8 - 1) > 10


def test_density_levels_off_below_its_range():
    """A variance over all frequencies is finite only because of it."""
    low = noise_spectrum(source(1e-8, 1e3), ["n"], [1e3 * 10.0 ** (-DECADES_BELOW - k) for k in (2, 3)]).amplitude[:, 0]
    assert low[0] == pytest.approx(low[1], rel=1e-3)


def test_sections_span_the_range():
    corners = flicker_corners(50.0)
    assert corners[0] == pytest.approx(50.0 * 10**-DECADES_BELOW)
    assert corners[-1] == pytest.approx(50.0 * 10**DECADES_ABOVE)
    assert not len(flicker_corners(0.0))
