"""A DAC's settling, and a sample-and-hold's acquisition, droop and kT/C noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import AC, Noise, Transient
from thermograd.circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.sampling import add_dac, add_sample_and_hold, settling_error

BOLTZMANN = 1.380649e-23
HOLD = Converter(resistance=1e3, capacitance=1e-12, leakage=1e-9)


def sampled(converter: Converter, level: float, tracking: list[tuple[float, float]], stop: float):
    netlist = Netlist("sample and hold")
    netlist.add(VoltageSource("V1", "x", "0", level))
    held = add_sample_and_hold(netlist, "x", converter, tracking, "1")
    found = run(netlist, Transient(stop, step=stop / 2000, nodes=(held,)))
    return found.time, found.voltages[held]


@settings(max_examples=10, deadline=None)
@given(st.floats(100.0, 1e4), st.floats(1e-13, 1e-11), st.floats(0.5, 6.0))
def test_what_is_acquired_is_exponential_in_the_time_of_tracking(resistance, capacitance, times):
    converter = Converter(resistance=resistance, capacitance=capacitance)
    tracking = times * resistance * capacitance
    start = tracking
    time, volts = sampled(converter, 0.8, [(start, start + tracking)], 4 * tracking)
    # Closing and opening happen half way up and down the edges, which are a hundredth of the tracking time each.
    assert volts[-1] == pytest.approx(0.8 * (1 - settling_error(converter, tracking)), rel=0.01)
    assert np.abs(volts[time < 0.99 * start]).max() < 1e-6


def test_held_value_droops_through_the_open_switch():
    time, volts = sampled(HOLD, 0.5, [(1e-6, 1.1e-6)], 1e-4)
    after = time > 1.2e-6
    slope = np.polyfit(time[after], volts[after], 1)[0]
    assert abs(slope) < 1e-3 * 0.5 / 1e-4  # the input is still there: nothing to leak to
    netlist = Netlist("droop")
    netlist.add(VoltageSource("V1", "x", "0", 0.5, waveform=((0.0, 0.5), (2e-6, 0.5), (2.1e-6, 0.0))))
    held = add_sample_and_hold(netlist, "x", HOLD, [(1e-6, 1.1e-6)], "1")
    found = run(netlist, Transient(1e-4, step=1e-7, nodes=(held,)))
    late = found.time > 5e-6
    rate = -np.polyfit(found.time[late], np.log(found.voltages[held][late]), 1)[0]
    assert rate == pytest.approx(1e-9 / 1e-12, rel=0.01)


@pytest.mark.parametrize("ohm", [100.0, 1e4])
def test_tracking_noise_is_k_t_over_c_whatever_the_switch(ohm):
    """The closed switch as its resistor; the range holds 1 - 2 / (pi 1e4) of the variance. Half the capacitor has twice of it."""
    for farad, wanted in ((1e-12, 1.0), (0.5e-12, 2.0)):
        netlist = Netlist("tracking")
        netlist.add(
            VoltageSource("V1", "x", "0", 0.0, ac=1.0), Resistor("R1", "x", "h", ohm), Capacitor("C1", "h", "0", farad)
        )
        corner = 1 / (2 * math.pi * ohm * farad)
        total = run(netlist, Noise("h", "V1", corner * 1e-4, corner * 1e4, 50)).total
        assert total**2 / (BOLTZMANN * 300.15 / 1e-12) == pytest.approx(wanted, rel=5e-3)


@pytest.mark.parametrize("analysis", [Noise("h", "V1", 1.0, 1e6), AC(1.0, 1e6)])
def test_small_signals_through_a_switch_are_rejected(analysis):
    """ngspice 39 takes it for open there, whatever its control says."""
    netlist = Netlist("tracking")
    netlist.add(VoltageSource("V1", "x", "0", 0.0, ac=1.0))
    add_sample_and_hold(netlist, "x", HOLD, [(1e-6, 2e-6)], "1")
    netlist.add(Resistor("R1", "hold1", "h", 1.0), Capacitor("C1", "h", "0", 1e-12))
    with pytest.raises(InputError, match="S1: ngspice 39 takes every switch for an open one"):
        run(netlist, analysis)


def test_dac_settles_with_its_resistance_and_capacitance():
    netlist = Netlist("dac")
    add_dac(netlist, "x", Converter(resistance=50.0, capacitance=2e-11), [0.0, 1.0, -0.5], 1e-7, "1", rise=1e-10)
    found = run(netlist, Transient(3e-7, step=1e-10, nodes=("x",), use_initial=False))
    for after, wanted in ((1e-9, 1 - math.exp(-1.0)), (3e-9, 1 - math.exp(-3.0))):
        here = np.interp(1e-7 + 0.5e-10 + after, found.time, found.voltages["x"])
        assert here == pytest.approx(wanted, rel=2e-3)
    assert found.voltages["x"][-1] == pytest.approx(-0.5, rel=1e-6)


def test_ideal_dac_of_one_value_is_a_source():
    netlist = Netlist("dac")
    add_dac(netlist, "x", Converter(), [0.25], 1e-6, "1")
    assert netlist["VDAC1"] == VoltageSource("VDAC1", "x", "0", 0.25)
    assert len(netlist) == 1


def test_dac_into_sample_and_hold_delivers_each_code():
    """A conversion each microsecond: the held value is the code that was there, with the settling of both in it."""
    codes = [0.0, 0.3, -0.7, 0.9]
    netlist = Netlist("codes")
    add_dac(netlist, "x", Converter(resistance=100.0, capacitance=1e-12), codes, 1e-6, "1")
    held = add_sample_and_hold(
        netlist,
        "x",
        Converter(resistance=500.0, capacitance=1e-12),
        [(k * 1e-6 + 5e-7, k * 1e-6 + 6e-7) for k in range(4)],
        "1",
    )
    netlist.add(Resistor("RL", "x", "0", 1e9, noisy=False))
    found = run(netlist, Transient(4e-6, step=2e-9, nodes=(held,), use_initial=False))
    for k, code in enumerate(codes):
        assert np.interp(k * 1e-6 + 9e-7, found.time, found.voltages[held]) == pytest.approx(code, abs=1e-5)


@pytest.mark.parametrize(
    ("tracking", "message"),
    [
        ([], "intervals"),
        ([(1e-6, 1e-6)], "intervals"),
        ([(2e-6, 3e-6), (2.5e-6, 4e-6)], "intervals"),
        ([(0.0, 1e-6)], "intervals"),
    ],
)
def test_unusable_tracking_is_rejected(tracking, message):
    with pytest.raises(InputError, match=message):
        add_sample_and_hold(Netlist("x"), "a", HOLD, tracking, "1")


def test_unusable_converters_are_rejected():
    with pytest.raises(InputError, match="both must be > 0"):
        add_sample_and_hold(Netlist("x"), "a", Converter(), [(1e-6, 2e-6)], "1")
    with pytest.raises(InputError, match="0 values"):
        add_dac(Netlist("x"), "a", Converter(), [], 1e-6, "1")
    with pytest.raises(InputError, match="edge"):
        add_dac(Netlist("x"), "a", Converter(), [0.0, 1.0], 1e-6, "1", rise=2e-6)


def test_a_pulse_that_ngspice_would_not_see_is_rejected():
    netlist = Netlist("x")
    netlist.add(VoltageSource("V1", "x", "0", 1.0))
    held = add_sample_and_hold(netlist, "x", HOLD, [(1e-6, 1.001e-6)], "1")
    with pytest.raises(InputError, match=r"VTRACK1: points of its waveform .*shorter stop"):
        run(netlist, Transient(1e-2, nodes=(held,)))
