"""The output stage under load: the macromodel against a text written by hand for plain ngspice, and the law that devices take of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.amplifiers.output_stage import share_of_limits
from thermograd.circuits.amplifiers.testbench import Bench
from thermograd.circuits.netlist.limiting import SaturatingVCCS
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.technology.parts import OpAmp

from ..ngspice_command import needs_ngspice, operating_point

ONE = OpAmp(outputs=1, gain=2e5, output_limit=10.0, output_resistance=125.0, output_current=0.04)
TWO = OpAmp(outputs=2, gain=2e5, output_limit=1.0, output_current=5e-3)
CASES = [
    *((ONE, load) for load in (1e5, 2e3, 600.0, 100.0, 10.0)),
    *((TWO, load) for load in (1e4, 300.0, 50.0, 5.0)),
]


def bench(opamp: OpAmp, load: float) -> Bench:
    return Bench(Macromodel(opamp), opamp.outputs, load, 0.0, 300.15, 20.0)


def ohm_of(opamp: OpAmp) -> float:
    """Of one output; without a resistance of its own the current takes a thousandth of the limit."""
    return opamp.output_resistance or 1e-3 * opamp.output_limit / opamp.outputs / opamp.output_current


@needs_ngspice
@pytest.mark.parametrize(("opamp", "load"), CASES)
def test_a_loaded_output_ends_where_plain_ngspice_says(opamp, load, tmp_path):
    seen = bench(opamp, load).rest(1e4, -3 * opamp.output_limit)
    end = seen["adut"] / opamp.outputs
    assert opamp.output_limit < seen["adut"] < 1.025 * opamp.output_limit
    text = f"""an output stage by hand: the end of the gain stage's range, and a resistance whose current ends
V1 in 0 {end!r}
B1 in out i={opamp.output_current!r}*tanh(v(in,out)/{ohm_of(opamp) * opamp.output_current!r})
R1 out 0 {load!r}
.end
"""
    [hand] = operating_point(text, ["out"], tmp_path)
    assert seen["p"] == pytest.approx(hand, rel=1e-5)
    # What a divider without the current limit would leave is another voltage, where the load is heavy.
    divided = end * load / (load + opamp.output_resistance)
    assert (abs(divided - hand) > 0.02 * hand) == (divided / load > 0.4 * opamp.output_current)


@pytest.mark.parametrize(("opamp", "load"), CASES)
def test_share_of_limits_is_one_where_the_loaded_swing_ends(opamp, load):
    limit, most, ohm = opamp.output_limit / opamp.outputs, opamp.output_current, ohm_of(opamp)
    end = brentq(lambda v: v / load - most * math.tanh((limit - v) / (ohm * most)), 0.0, limit)
    volts = opamp.outputs * end * np.array([1.0, -1.0])
    used = share_of_limits(opamp, volts, volts / opamp.outputs / load)
    # Without a resistance of its own the voltage alone shows its end, and the share is that of the current.
    by_current = end / load / most
    np.testing.assert_allclose(used, 1.0 if opamp.output_resistance else by_current, rtol=1e-6)
    assert (share_of_limits(opamp, 1.01 * volts, 1.01 * volts / opamp.outputs / load) > used).all()


@pytest.mark.parametrize(("opamp", "load"), CASES)
def test_within_its_range_a_loaded_output_is_right_and_the_gain_node_is_as_the_law_says(opamp, load):
    level = 0.5 * min(opamp.output_limit, opamp.outputs * load * opamp.output_current / 1.5)
    seen = bench(opamp, load).rest(1e7, -level)
    assert seen["out"] == pytest.approx(level, rel=1e-3)
    used = share_of_limits(opamp, np.array([seen["out"]]), np.array([seen["p"] / load]))[0]
    assert used < 1.0
    if opamp.output_resistance:
        assert seen["adut"] / opamp.output_limit == pytest.approx(used, rel=1e-3)


def test_a_stage_without_a_current_limit_is_as_it_was():
    free = ONE.model_copy(update={"output_current": math.inf})
    netlist = bench(free, 1e3).netlist(1e3)
    assert not netlist.of(SaturatingVCCS)
    assert netlist["ROdut_1"].resistance == 125.0
    loads = np.array([[0.0, 2e-3]])
    np.testing.assert_allclose(share_of_limits(free, np.array([[5.0, 5.0]]), loads), [[0.5, 0.525]], rtol=1e-12)
    assert (share_of_limits(TWO.model_copy(update={"output_current": math.inf}), loads, loads) == 0.0).all()


def test_the_limited_stage_is_written_and_read_back_as_the_same_circuit():
    netlist = bench(ONE, 1e3).netlist(1e3)
    again = parse_spice(netlist.to_spice())
    assert again["BOdut_1"] == netlist["BOdut_1"]
    assert isinstance(again["BOdut_1"], SaturatingVCCS)
    # Small signals see the resistance alone.
    assert netlist.linearised()["GBOdut_1"].transconductance == pytest.approx(1 / 125.0)
