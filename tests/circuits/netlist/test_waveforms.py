"""Waveforms of sources: checked, and what a simulation makes of their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.linear import statespace
from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run


@pytest.mark.parametrize("edge", [1e-9, 1e-6])
def test_samples_do_not_overshoot_at_an_edge(edge):
    """One spline through the corners of a step would reach hundreds of volts; behind the edge the law holds to 1e-5."""
    netlist = Netlist("step")
    wave = ((0.0, 0.0), (1e-4, 0.0), (1e-4 + edge, 1.0))
    netlist.add(
        VoltageSource("V1", "a", "0", 0.0, waveform=wave),
        Resistor("R1", "a", "b", 1e3),
        Capacitor("C1", "b", "0", 2e-8),
    )
    found = run(netlist, Transient(1e-3, samples=1001, nodes=("a", "b"), use_initial=False))
    time, source = found.time, np.interp(found.time, *np.array(wave).T)
    np.testing.assert_allclose(found.voltages["a"], source, atol=1e-9)
    late, tau = time > 1e-4 + edge, 2e-5
    wanted = 1 - tau / edge * (np.exp(edge / tau) - 1) * np.exp(-(time[late] - 1e-4) / tau)
    np.testing.assert_allclose(found.voltages["b"][late], wanted, atol=2e-5)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (((0.0, 1.0), (1e-6, 2.0)), r"starts at 1.0, but dc = 0.0; make them equal"),
        (((1e-6, 0.0), (2e-6, 2.0)), "must start at 0 s and increase"),
        (((0.0, 0.0), (0.0, 1.0)), "must start at 0 s and increase"),
        (((0.0, 0.0), (1e-6, math.nan)), "not finite"),
        (((0.0, 0.0), 1e-6), "pairs of numbers"),
    ],
)
def test_waveforms_that_make_no_sense_are_rejected(waveform, message):
    with pytest.raises(InputError, match=f"V1: .*{message}"):
        VoltageSource("V1", "a", "0", 0.0, waveform=waveform)


def test_exact_transitions_want_constant_sources():
    netlist = Netlist("moving")
    netlist.add(
        VoltageSource("V1", "a", "0", 0.0, waveform=((0.0, 0.0), (1e-6, 1.0))),
        Resistor("R1", "a", "b", 1e3),
        Capacitor("C1", "b", "0", 1e-9),
    )
    space = statespace.state_space(netlist)
    with pytest.raises(InputError, match="source V1 has a waveform"):
        space.transition(1e-6)
    assert space.transition(1e-6, u={"V1": 1.0})[space.outputs.index("b")] == pytest.approx(1 - math.exp(-1))
