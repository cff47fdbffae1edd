"""What a measurement is predicted to tell is what a fit with it has; what cannot tell anything is not named."""

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.devicemodel.calibration.measured.advice import next_measurements
from thermograd.devicemodel.calibration.measured.calibrate import calibrate_from_measurements
from thermograd.devicemodel.calibration.measured.measurements import Measurements
from thermograd.devicemodel.calibration.measured.result import Prior

R, C, STD = 1e3, 1e-8, 1e-3
TIMES = np.linspace(1e-6, 4e-5, 40)


def circuit():
    """A filter, and a node that nothing joins it with."""
    net = Netlist("a filter", temperature=300.0)
    net.add(VoltageSource("V1", "in", "0", dc=1.0))
    net.add(Resistor("R1", "in", "n1", R))
    net.add(Capacitor("C1", "n1", "0", C, initial=0.0))
    net.add(Resistor("R9", "n9", "0", R))
    net.add(Capacitor("C9", "n9", "0", C, initial=0.0))
    return net


def step(seed=0):
    volts = 1 - np.exp(-TIMES / (R * C)) + STD * np.random.default_rng(seed).standard_normal(len(TIMES))
    return Measurements.of("trace", time_s=TIMES, node="n1", volts=volts, std_v=STD)


def test_a_step_response_is_told_to_need_a_value_of_its_own():
    """It identifies R1 C1 alone, to the Fisher information's error; with a multimeter's R1, C1 = RC / R1."""
    found = calibrate_from_measurements(circuit(), ["R1", "C1"], [step()], starts=0)
    candidates = next_measurements(circuit(), found, [step()], most=20)
    meter = next(one for one in candidates if one.what.startswith("a multimeter at R1"))
    x = TIMES / (R * C)
    product = STD / np.linalg.norm(x * np.exp(-x))
    assert meter.std["R1"] == pytest.approx(0.01, rel=1e-3)
    assert meter.std["C1"] == pytest.approx(np.hypot(0.01, product), rel=0.02)
    assert "C1 to 1 % (now unknown)" in meter.text


def test_the_prediction_is_the_error_of_a_fit_with_it():
    found = calibrate_from_measurements(circuit(), ["R1", "C1"], [step()], starts=0)
    meter = next(one for one in next_measurements(circuit(), found, [step()], 20) if "multimeter at C1" in one.what)
    prior = {"C1": Prior(value=C, std=0.01 * C)}
    fitted = calibrate_from_measurements(circuit(), ["R1", "C1"], [step()], priors=prior, starts=0)
    for name in ("R1", "C1"):
        assert meter.std[name] == pytest.approx(fitted[name].std / fitted[name].value, rel=0.02)


def test_the_prediction_of_a_spectrum_is_the_error_of_a_fit_with_one():
    found = calibrate_from_measurements(circuit(), ["R1", "C1"], [step()], starts=0)
    best = next(one for one in next_measurements(circuit(), found, [step()], 20) if "noise spectrum of n1" in one.what)
    corner = 1 / (2 * np.pi * R * C)
    frequency = np.geomspace(0.1 * corner, 10 * corner, 24)
    density = 4 * 1.380649e-23 * 300.0 * R / (1 + (frequency / corner) ** 2)
    density *= np.random.default_rng(1).gamma(100, 0.01, len(frequency))
    table = Measurements.of("spectrum", frequency_hz=frequency, node="n1", density_v2_per_hz=density, averages=100)
    fitted = calibrate_from_measurements(circuit(), ["R1", "C1"], [step(), table], starts=0)
    for name in ("R1", "C1"):
        assert found[name].std is None
        assert best.std[name] == pytest.approx(fitted[name].std / fitted[name].value, rel=0.05)


def test_what_cannot_tell_anything_is_not_named():
    """Neither another reading of what is known, nor a node that the free parts do not reach."""
    found = calibrate_from_measurements(circuit(), ["R1", "C1"], [step()], starts=0)
    candidates = next_measurements(circuit(), found, [step()], most=20)
    assert candidates
    assert not any("n9" in one.what and "cross" not in one.what for one in candidates)
    assert "the response at n1" not in " ".join(one.what for one in candidates)
    assert [one.gain for one in candidates] == sorted((one.gain for one in candidates), reverse=True)


def test_at_least_one_is_asked_for():
    found = calibrate_from_measurements(circuit(), ["R1", "C1"], [step()], starts=0)
    with pytest.raises(InputError, match="most = 0"):
        next_measurements(circuit(), found, [step()], 0)
