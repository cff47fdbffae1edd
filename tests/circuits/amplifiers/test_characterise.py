"""The bench finds the parameters of the macromodel again, and measures a transistor amplifier."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from thermograd.circuits.amplifiers.characterise import characterise
from thermograd.circuits.amplifiers.models import Macromodel, OnePole
from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.errors import InputError, SimulationError
from thermograd.circuits.technology.parts import OpAmp
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology

TWO_STAGE = Path(__file__).resolve().parents[3] / "examples" / "amplifiers" / "two_stage.cir"
MEASURED = (
    *("gain", "gbw", "output_limit", "second_pole", "slew", "output_resistance", "output_current", "bias_current"),
    *("noise_voltage", "noise_voltage_corner", "noise_current", "noise_current_corner"),
)
TYPICAL = OpAmp(
    gain=2e5,
    gbw=3e6,
    output_limit=10.0,
    second_pole=6e6,
    slew=1.3e7,
    output_resistance=125.0,
    output_current=0.04,
    bias_current=1e-9,
    noise_voltage=1.8e-8,
    noise_voltage_corner=100.0,
    noise_current=1e-12,
    noise_current_corner=1e3,
)


def two_stage() -> Amplifier:
    return Amplifier.read_spice(TWO_STAGE, "two_stage", ("inp", "inn"), ("out",), {"vdd": 0.9, "vss": -0.9})


def assert_found(wanted: OpAmp, found: OpAmp) -> None:
    for name in MEASURED:
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=0.01), name


@pytest.mark.parametrize("outputs", [1, 2])
def test_every_parameter_of_the_macromodel_is_found_within_a_percent(outputs):
    found = characterise(Macromodel(TYPICAL), outputs)
    assert found.opamp.outputs == outputs
    assert_found(TYPICAL, found.opamp)
    # The two-pole law at unity gain, from the parameters alone.
    f = found.unity_gain
    f1 = TYPICAL.gbw / TYPICAL.gain
    assert TYPICAL.gain / math.hypot(1, f / f1) / math.hypot(1, f / 6e6) == pytest.approx(1.0, rel=1e-4)
    assert found.phase_margin == pytest.approx(180 - math.degrees(math.atan(f / f1) + math.atan(f / 6e6)), abs=0.01)
    assert found.swing == pytest.approx((-10.0, 10.0), rel=1e-3)


@pytest.mark.parametrize(
    "name", ["gain", "gbw", "slew", "output_resistance", "output_current", "noise_voltage", "output_limit"]
)
def test_a_parameter_that_is_three_percent_off_is_not_taken_for_found(name):
    other = TYPICAL.model_copy(update={name: 1.03 * getattr(TYPICAL, name)})
    with pytest.raises(AssertionError, match=name):
        assert_found(TYPICAL, characterise(Macromodel(other)).opamp)


@pytest.mark.slow
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.floats(20.0, 1e6),
    st.floats(1e4, 1e9),
    st.floats(0.3, 30.0),
    st.floats(0.3, 100.0),
    st.floats(0.003, 0.3),
    st.floats(1e-9, 1e-7),
    st.floats(1e-5, 1e-3),
)
def test_macromodels_of_any_kind_are_found_again(gain, gbw, limit, second, stage, noise, corner):
    """The slew rate by `stage`: the input at which the first stage saturates, as a share of the output limit that it must reach."""
    assume(stage * gain > 2)
    opamp = OpAmp(
        gain=gain,
        gbw=gbw,
        output_limit=limit,
        second_pole=second * gbw,
        slew=2 * math.pi * gbw * limit * stage,
        noise_voltage=noise,
        noise_voltage_corner=corner * gbw,
    )
    found = characterise(Macromodel(opamp)).opamp
    for name in ("gain", "gbw", "output_limit", "second_pole", "slew", "noise_voltage", "noise_voltage_corner"):
        assert getattr(found, name) == pytest.approx(getattr(opamp, name), rel=0.01), name
    assert found.bias_current == found.noise_current == found.output_resistance == 0.0


def test_what_a_part_does_not_have_is_not_found():
    opamp = OpAmp(gain=1e4, gbw=1e6, output_limit=2.0, noise_voltage=1e-8)
    found = characterise(Macromodel(opamp)).opamp
    assert (found.second_pole, found.slew) == (math.inf, math.inf)
    assert (found.output_resistance, found.bias_current, found.noise_current, found.power) == (0.0, 0.0, 0.0, 0.0)


def test_offset_comes_with_its_sign():
    class Shifted(Macromodel):
        def add(self, netlist, inputs, outputs, name, offset=0.0, state=0.0, group=""):
            super().add(netlist, inputs, outputs, name, -2e-3, state, group)

    found = characterise(Shifted(TYPICAL))
    assert found.offset == pytest.approx(-2e-3, rel=1e-3)
    assert found.opamp.offset == pytest.approx(2e-3, rel=1e-3)


def test_transistor_amplifier_is_what_hand_analysis_says():
    """Square-law devices at 10 and 200 uA, lambda = 0.1 / V: gm = sqrt(2 kp W / L I (1 + lambda V_ds)), g_o = 2 lambda I."""
    found = characterise(two_stage(), load_capacitance=1e-12)
    opamp = found.opamp
    gm1 = math.sqrt(2 * 300e-6 * 40 * 10e-6)
    assert opamp.gbw == pytest.approx(gm1 / (2 * math.pi * 1e-12), rel=0.15)
    assert opamp.slew == pytest.approx(20e-6 / 1e-12, rel=0.15)
    assert opamp.output_resistance == pytest.approx(1 / (2 * 0.1 * 200e-6), rel=0.15)
    gm6 = math.sqrt(2 * 80e-6 * 128 * 200e-6)
    assert opamp.gain == pytest.approx(gm1 / (2 * 0.1 * 10e-6) * gm6 / (2 * 0.1 * 200e-6), rel=0.3)
    assert opamp.power == pytest.approx(1.8 * (20e-6 + 20e-6 + 200e-6), rel=0.2)
    # Johnson noise of two pairs, 4 k T (2 / 3) (2 / gm1) (1 + gm3 / gm1).
    gm3 = math.sqrt(2 * 80e-6 * 6.4 * 10e-6)
    white = math.sqrt(4 * 1.380649e-23 * 300.15 * 2 / 3 * 2 / gm1 * (1 + gm3 / gm1))
    assert opamp.noise_voltage == pytest.approx(white, rel=0.1)
    assert 45 < found.phase_margin < 90
    assert 0.5 < opamp.output_limit < 0.9
    assert opamp.bias_current == 0.0


@pytest.mark.parametrize("load", [math.inf, 4.6e4])
def test_a_gates_capacitance_is_not_taken_for_a_noise_current(load):
    """With 1 Mohm at the inputs it has its pole within the range; transistors of level 1 have no gate current."""
    found = characterise(two_stage(), load_resistance=load, load_capacitance=1e-13).opamp
    assert (found.noise_current, found.noise_current_corner) == (0.0, 0.0)


def test_an_amplifier_between_ground_and_one_supply_is_the_same_lifted():
    """The same transistors between 0 and 1.8 V about 0.9 V, their lower rail being ground itself."""
    text = TWO_STAGE.read_text().replace(" vdd vss\n", " vdd\n").replace("vss", "0")
    lifted = Amplifier.from_spice(text, "two_stage", ("inp", "inn"), ("out",), {"vdd": 1.8}, reference=0.9)
    one, other = (characterise(amplifier).opamp for amplifier in (lifted, two_stage()))
    for name, value in other.model_dump(exclude_none=True).items():
        assert getattr(one, name) == pytest.approx(value, rel=1e-3, abs=1e-12), name
    with pytest.raises(InputError, match="reference is at nan V"):
        Amplifier.from_spice(text, "two_stage", ("inp", "inn"), ("out",), {"vdd": 1.8}, reference=math.nan)


def test_load_lowers_the_gain_as_the_output_resistance_says():
    free = characterise(two_stage()).opamp
    loaded = characterise(two_stage(), load_resistance=5e4).opamp
    assert loaded.gain == pytest.approx(free.gain * 5e4 / (5e4 + free.output_resistance), rel=1e-3)
    assert loaded.output_resistance == 0.0


def test_measured_amplifier_is_a_technology(tmp_path):
    opamp = characterise(two_stage(), load_resistance=5e4).opamp
    technology = Technology(name="measured", opamp=opamp)
    technology.write(tmp_path / "measured.toml")
    assert Technology.read(tmp_path / "measured.toml").opamp == opamp
    assert preset("integrated").replace(opamp=opamp).opamp == opamp


def test_hot_amplifier_is_noisier_and_slower():
    cold, hot = (characterise(two_stage(), temperature=kelvin).opamp for kelvin in (300.15, 400.15))
    assert hot.noise_voltage > 1.1 * cold.noise_voltage
    assert hot.gbw < cold.gbw


def test_curves_are_those_of_the_figures():
    found = characterise(two_stage())
    assert abs(found.response[0]) == pytest.approx(found.opamp.gain, rel=1e-9)
    assert np.interp(found.unity_gain, found.frequency, np.abs(found.response)) == pytest.approx(1.0, rel=0.02)
    law = found.opamp.noise_voltage * np.sqrt(1 + found.opamp.noise_voltage_corner / found.noise_frequency)
    np.testing.assert_allclose(found.noise_voltage, law, rtol=0.05)


@pytest.mark.parametrize("gain", [5.0, 50.0, 1e3])
def test_low_gain_and_no_noise_are_no_obstacle(gain):
    """A closed loop of so little gain ends at A0 / (A0 + 2) of the step."""
    found = characterise(Macromodel(OpAmp(gain=gain, gbw=1e6, output_limit=2.0))).opamp
    assert found.gain == pytest.approx(gain, rel=1e-3)
    assert found.slew == math.inf
    assert (found.noise_voltage, found.noise_current) == (0.0, 0.0)


@pytest.mark.parametrize("current", [2e-9, 2e-6, -5e-5])
def test_bias_currents_of_any_size_are_found_with_their_noise(current):
    """Large ones would drive the bench's output to its limit through resistors that show small ones."""
    opamp = TYPICAL.model_copy(
        update={"output_limit": 1.0, "slew": 1e6, "bias_current": current, "noise_current": 3e-12}
    )
    found = characterise(Macromodel(opamp)).opamp
    assert found.bias_current == pytest.approx(current, rel=1e-3)
    assert found.noise_current == pytest.approx(3e-12, rel=0.01)


@pytest.mark.parametrize(
    ("voltage", "corner", "current"), [(0.0, 0.0, 1e-12), (5e-9, 1e5, 3e-13), (5e-9, 2e7, 0.0), (1e-8, 0.0, 1e-14)]
)
def test_noise_voltage_and_current_are_told_apart(voltage, corner, current):
    """A current alone, a current beside much 1/f voltage, a corner above the bandwidth, a current that hardly shows."""
    opamp = OpAmp(
        gain=1e4, gbw=1e7, output_limit=2.0, noise_voltage=voltage, noise_voltage_corner=corner, noise_current=current
    )
    found = characterise(Macromodel(opamp)).opamp
    assert found.noise_current == pytest.approx(current, rel=0.02)
    assert found.noise_voltage == pytest.approx(voltage, rel=0.02)
    assert found.noise_voltage_corner == pytest.approx(corner, rel=0.03)


def test_an_amplifier_unstable_in_unity_feedback_is_named():
    text = TWO_STAGE.read_text().replace("CC comp out 1p", "CC comp out 1f")
    bare = Amplifier.from_spice(text, "two_stage", ("inp", "inn"), ("out",), {"vdd": 0.9, "vss": -0.9})
    with pytest.raises(InputError, match=r"the phase margin is -.* unstable in unity feedback"):
        characterise(bare, load_capacitance=1e-12)


def test_temperature_is_the_netlists_own():
    text = TWO_STAGE.read_text().replace(".subckt", ".temp 85\n.subckt", 1)
    hot = Amplifier.from_spice(text, "two_stage", ("inp", "inn"), ("out",), {"vdd": 0.9, "vss": -0.9})
    assert characterise(hot).temperature == pytest.approx(358.15)
    assert characterise(two_stage()).temperature == pytest.approx(300.15)


def test_a_pole_too_low_to_see_the_gain_is_said():
    found = characterise(Macromodel(OpAmp(gain=1e6, gbw=1e3, output_limit=2.0))).opamp
    assert found.gain == pytest.approx(1e6, rel=1e-3)
    with pytest.raises(SimulationError, match=r"falls from .* Hz on"):
        characterise(Macromodel(OpAmp(gain=1e7, gbw=10.0, output_limit=2.0)))


def test_figures_that_no_record_takes_are_named():
    class Shifted(Macromodel):
        def add(self, netlist, inputs, outputs, name, offset=0.0, state=0.0, group=""):
            super().add(netlist, inputs, outputs, name, 0.3, state, group)

    with pytest.raises(InputError, match=r"the amplifier's offset was measured as 0.3"):
        characterise(Shifted(TYPICAL))


def test_what_cannot_be_measured_is_said():
    swapped = Amplifier.read_spice(TWO_STAGE, "two_stage", ("inn", "inp"), ("out",), {"vdd": 0.9, "vss": -0.9})
    with pytest.raises(InputError, match="its inputs are swapped"):
        characterise(swapped)
    with pytest.raises(InputError, match="not biased"):
        characterise(Amplifier.read_spice(TWO_STAGE, "two_stage", ("inp", "inn"), ("out",), {"vdd": 0.0, "vss": 0.0}))
    with pytest.raises(SimulationError, match="an ideal amplifier has nothing to measure"):
        characterise(OnePole(OpAmp()))
    with pytest.raises(SimulationError, match="no end up to 200 V"):
        characterise(OnePole(OpAmp(gain=1e4, gbw=1e6)))
    with pytest.raises(InputError, match=r"load of -1.0 ohm"):
        characterise(two_stage(), load_resistance=-1.0)
    with pytest.raises(InputError, match="outputs = 3"):
        characterise(Macromodel(TYPICAL), outputs=3)
