"""The macromodel obeys each of its limits, in ngspice and, where it is linear, in the state-space engine."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.amplifiers.models import Macromodel, OnePole
from thermograd.circuits.errors import InputError, NetlistError
from thermograd.circuits.linear import statespace
from thermograd.circuits.linear.descriptor import describe_netlist
from thermograd.circuits.linear.noise_spectra import noise_spectrum
from thermograd.circuits.netlist.analyses import AC, Noise, OperatingPoint, Transient
from thermograd.circuits.netlist.elements import CurrentSource, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.technology.parts import OpAmp

LIMITED = OpAmp(
    gain=1e4,
    gbw=1e6,
    output_limit=2.0,
    second_pole=3e6,
    slew=1e6,
    output_resistance=100.0,
    bias_current=1e-8,
    noise_voltage=1e-8,
    noise_voltage_corner=1e3,
    noise_current=1e-12,
    noise_current_corner=1e4,
)


def inverter(opamp: OpAmp, level=0.0, waveform=(), ohm=1e4, cell=Macromodel, load=None, offset=0.0) -> Netlist:
    """Gain -1, source `VIN`, output `out`."""
    netlist = Netlist("inverter")
    netlist.add(
        VoltageSource("VIN", "in", "0", waveform[0][1] if waveform else level, 1.0, waveform),
        Resistor("RI", "in", "e", ohm, noisy=False),
        Resistor("RF", "out", "e", ohm, noisy=False),
    )
    if load:
        netlist.add(Resistor("RL", "out", "0", load, noisy=False))
    cell(opamp).add(netlist, ("0", "e"), ("out",), "1", offset)
    return netlist


def differential(opamp: OpAmp, level=0.0, mean=0.0, unlike=0.0) -> Netlist:
    """The same with two outputs p, m; `mean` drives both inputs alike, and `unlike` makes one rail's resistors differ."""
    netlist = Netlist("differential inverter")
    for sign, lower, output in ((0.5, "lo", "p"), (-0.5, "up", "m")):
        ohm = 1e4 * (1 + unlike if output == "p" else 1)
        netlist.add(
            VoltageSource(f"VIN{output}", f"in{output}", "0", sign * level + mean, 2 * sign),
            Resistor(f"RI{output}", f"in{output}", lower, ohm, noisy=False),
            Resistor(f"RF{output}", output, lower, 1e4, noisy=False),
        )
    Macromodel(opamp).add(netlist, ("up", "lo"), ("p", "m"), "1")
    return netlist


def falls_to(time: np.ndarray, output: np.ndarray, level: float) -> float:
    """When a falling curve passes a level."""
    k = int(np.flatnonzero(output <= level)[0])
    return float(np.interp(level, output[[k, k - 1]], time[[k, k - 1]]))


@pytest.mark.parametrize("second_pole", [math.inf, 3e6])
def test_small_signals_obey_the_two_pole_law_and_the_state_space_engine_agrees(second_pole):
    opamp = OpAmp(gain=1e4, gbw=1e6, second_pole=second_pole, slew=1e6, output_limit=2.0)
    netlist = inverter(opamp)
    found = run(netlist, AC(1.0, 1e8, 5, nodes=("e", "out")))
    s = 2j * np.pi * found.frequency
    law = 1e4 / ((1 + s * 1e4 / (2 * np.pi * 1e6)) * (1 + s / (2 * np.pi * second_pole)))
    gain = -found.voltages["out"] / found.voltages["e"]
    np.testing.assert_allclose(gain, law, rtol=1e-6)
    circuit = describe_netlist(netlist.linearised())
    for k in (0, 20, 40):
        solved = np.linalg.solve(circuit.at(s[k]).toarray(), circuit.input.toarray()[:, 0])
        assert solved[circuit.index["out"]] == pytest.approx(found.voltages["out"][k], rel=1e-6)
    if math.isfinite(second_pole):
        with pytest.raises(AssertionError):  # the check sees the second pole
            np.testing.assert_allclose(gain, 1e4 / (1 + s * 1e4 / (2 * np.pi * 1e6)), rtol=1e-2)


def test_one_pole_and_macromodel_are_the_same_where_nothing_limits():
    opamp = OpAmp(gain=1e4, gbw=1e6, output_limit=50.0)
    plain, full = (
        run(inverter(opamp, 0.5, cell=cell), OperatingPoint()).voltages["out"] for cell in (OnePole, Macromodel)
    )
    assert full == pytest.approx(plain, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.floats(1e3, 1e6), st.floats(0.1, 20.0), st.floats(1.5, 10.0), st.sampled_from([math.inf, 1e6]))
def test_output_stays_at_its_limit_however_hard_it_is_driven(gain, limit, overdrive, slew):
    opamp = OpAmp(gain=gain, gbw=1e6, output_limit=limit, slew=slew)
    low, high = (run(inverter(opamp, sign * overdrive * limit), OperatingPoint()).voltages["out"] for sign in (1, -1))
    assert limit <= high <= 1.03 * limit
    assert low == pytest.approx(-high, rel=1e-6)
    # Below the limit the loop still holds the output to what its gain allows.
    within = run(inverter(opamp, -0.95 * limit), OperatingPoint()).voltages["out"]
    assert within == pytest.approx(0.95 * limit, rel=3 / gain)


def test_output_slews_at_its_rate_and_the_one_pole_amplifier_does_not():
    wave = ((0.0, -1.5), (1e-6, -1.5), (1.01e-6, 1.5))
    opamp = OpAmp(gain=1e4, gbw=1e7, slew=1e6, output_limit=2.0)

    def fall(cell) -> float:
        found = run(
            inverter(opamp, waveform=wave, cell=cell), Transient(8e-6, step=2e-8, use_initial=False, nodes=("out",))
        )
        output, time = found.voltages["out"], found.time
        first, last = (falls_to(time, output, level) for level in (1.2, -0.2))
        return float(1.4 / (last - first))

    assert fall(Macromodel) == pytest.approx(
        1e6, rel=8e-3
    )  # the gain node's own leak is up to 1.2 V / (R_A I) = 0.75 % of I
    assert fall(OnePole) > 1e7


def test_output_does_not_wind_up():
    """Driven twice as far as its output limit for 40 us, it leaves the limit as soon as the drive turns: the gain node has been held."""
    opamp = OpAmp(gain=1e4, gbw=1e6, slew=1e6, output_limit=1.0)
    back = 50e-6
    wave = ((0.0, 0.0), (10e-6, 0.0), (10.1e-6, -2.0), (back, -2.0), (back + 1e-7, 2.0))
    found = run(inverter(opamp, waveform=wave), Transient(60e-6, step=1e-8, use_initial=False, nodes=("out", "a1")))
    after = found.time > back
    late = falls_to(found.time[after], found.voltages["out"][after], 0.0) - back
    assert late == pytest.approx(1.02 * 1.0 / opamp.slew + 5e-8, rel=0.03)
    assert np.abs(found.voltages["a1"]).max() < 1.03


@settings(max_examples=15, deadline=None)
@given(st.floats(1.0, 500.0), st.floats(100.0, 1e4))
def test_output_resistance_divides_the_gain_by_the_load(resistance, load):
    opamp = OpAmp(gain=1e4, gbw=1e6, output_resistance=resistance)
    volts = run(inverter(opamp, 0.1, load=load, ohm=1e7), OperatingPoint()).voltages
    parallel = 1 / (1 / load + 1 / 1e7)
    assert -volts["out"] / volts["e"] == pytest.approx(1e4 * parallel / (parallel + resistance), rel=1e-5)


def test_bias_current_and_offset_move_the_output_by_their_laws():
    opamp = OpAmp(gain=1e6, gbw=1e6, bias_current=1e-8)
    biased = run(inverter(opamp, ohm=1e5), OperatingPoint()).voltages["out"]
    assert biased == pytest.approx(1e5 * 1e-8, rel=1e-4)
    shifted = run(inverter(OpAmp(gain=1e6, gbw=1e6), ohm=1e5, offset=2e-3), OperatingPoint()).voltages["out"]
    assert shifted == pytest.approx(2 * 2e-3, rel=1e-4)


def test_noise_at_the_output_is_that_of_voltage_and_current_and_all_routes_agree():
    """S_out = |2 / (1 + 2 / A)|^2 (e^2 + i^2 (R / 2)^2) at frequencies where the loop is fast."""
    netlist = inverter(LIMITED, ohm=1e5)
    found = run(netlist, Noise("out", "VIN", 30.0, 1e4, 5))
    f = found.frequency
    law = 4 * (1e-16 * (1 + 1e3 / f) + 1e-24 * (1 + 1e4 / f) * (1e5 / 2) ** 2)
    np.testing.assert_allclose(found.density, np.sqrt(law), rtol=5e-3)
    exact = noise_spectrum(netlist.linearised(), ["out"], f).amplitude[:, 0]
    np.testing.assert_allclose(found.density, exact, rtol=1e-5)
    without = 4e-16 * (1 + 1e3 / f)
    assert np.all(law / without > 2)


@pytest.mark.slow
def test_noise_in_time_has_the_variance_of_the_law():
    """Transients of a saturating circuit take the noise of its linear equivalent. n samples apart by more than the correlation time
    leave a standard error of sqrt(2 / n) of the variance; noise of 10 % more amplitude is rejected."""
    opamp = OpAmp(gain=1e4, gbw=1e6, output_limit=2.0, slew=1e6, noise_voltage=1e-6)
    netlist = inverter(opamp, ohm=1e5)
    space = statespace.state_space(netlist.linearised(), {"out": ("out", "0")})
    variance = space.covariance()[0, 0]
    step, steps, apart = 5e-8, 200_000, 40
    found = run(netlist, Transient(steps * step, step, ("out",), noise=True, use_initial=False), seed=7)
    values = found.voltages["out"][100::apart]
    assert math.exp(-apart * step * -space.eigenvalues[0].real) < 0.01
    ratio, error = float((values**2).mean() / variance), math.sqrt(2 / len(values))
    assert abs(ratio - 1) < 4 * error
    assert abs(ratio * 1.21 - 1) > 4 * error


def test_common_mode_loop_holds_the_mean_of_the_outputs():
    """The mean follows A_c (V_c - mean): V_c A_c / (1 + A_c), and the difference does not see it."""
    opamp = OpAmp(
        gain=1e5, gbw=1e6, output_limit=5.0, common_mode_gain=100.0, common_mode_gbw=1e5, common_mode_offset=0.3
    )
    volts = run(differential(opamp, 0.5), OperatingPoint()).voltages
    assert (volts["p"] + volts["m"]) / 2 == pytest.approx(0.3 * 100 / 101, rel=1e-6)
    assert volts["p"] - volts["m"] == pytest.approx(-0.5, rel=1e-4)


def test_a_common_mode_turns_into_a_difference_only_through_unlike_rails():
    """With one input resistor 1 % off, a mean of 1 V at the inputs shows as -g1 + g2 of it; alike rails reject it."""
    opamp = OpAmp(gain=1e7, output_limit=5.0)
    alike = run(differential(opamp, mean=1.0), OperatingPoint()).voltages
    assert abs(alike["p"] - alike["m"]) < 1e-6
    unlike = run(differential(opamp, mean=1.0, unlike=0.01), OperatingPoint()).voltages
    assert 2e-3 < abs(unlike["p"] - unlike["m"]) < 1e-2


def test_a_bandwidth_alone_makes_a_common_mode_loop():
    netlist = differential(OpAmp(gain=1e5, gbw=1e6, output_limit=5.0, common_mode_gbw=1e5))
    assert netlist["CC1"].capacitance == pytest.approx(1e-3 / (2 * math.pi * 1e5))


def test_common_mode_is_exact_without_the_loop():
    volts = run(differential(OpAmp(gain=1e4, gbw=1e6), 0.5), OperatingPoint()).voltages
    assert volts["p"] == pytest.approx(-volts["m"], abs=1e-12)


def test_linear_engines_ask_for_the_linear_equivalent():
    netlist = inverter(LIMITED)
    assert not netlist.is_linear
    assert netlist.linearised().is_linear
    with pytest.raises(NetlistError, match=r"SaturatingVCCS.*linearised"):
        statespace.state_space(netlist)


def test_netlist_comes_back_from_its_text():
    netlist = inverter(LIMITED, 0.1)
    netlist.add(CurrentSource("IX", "0", "out", 0.0, waveform=((0.0, 0.0), (1e-6, 1e-3))))
    text = netlist.to_spice()
    assert parse_spice(text).to_spice() == text


def test_slew_needs_a_bandwidth():
    with pytest.raises(InputError, match=r"opamp.slew = 1e\+06 V/s needs a finite opamp.gbw"):
        Macromodel(OpAmp(slew=1e6))
