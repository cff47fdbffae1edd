"""gnucap beside ngspice: both solve what is emitted of random programs alike, and a text that is another circuit is caught."""

from __future__ import annotations

import re

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import AC, Noise, OperatingPoint
from thermograd.circuits.netlist.elements import VCVS, Capacitor, Resistor, VoltageSource
from thermograd.circuits.netlist.limiting import SaturatingVCCS
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.tools.second_simulator import FABRICS, GNUCAP, by_gnucap, compare, main, random_system

from ..circuits.ngspice_command import needs_ngspice

needs_gnucap = pytest.mark.skipif(
    GNUCAP is None, reason="gnucap cannot be had here (Debian, Ubuntu: apt-get install gnucap)"
)


@needs_gnucap
@needs_ngspice
@pytest.mark.parametrize("fabric", FABRICS)
def test_random_programs_are_the_same_circuit_in_both(fabric, tmp_path):
    system = random_system(np.random.default_rng(len(fabric)), fabric, 5)
    for one in compare(system, tmp_path):
        assert one.agrees, one


@needs_gnucap
@needs_ngspice
def test_a_text_that_is_another_circuit_is_caught(tmp_path):
    """One resistor of 36 ten per cent off; and a start from zero in place of the state."""
    system = random_system(np.random.default_rng(3), "crossbar_single", 6)
    system = system._replace(hierarchical=False)

    def detuned(text):
        changed = re.sub(r"^(R1_1 \S+ \S+ )(\S+)", lambda m: f"{m[1]}{1.1 * float(m[2])!r}", text, flags=re.MULTILINE)
        assert changed != text
        return changed

    assert not any(one.agrees for one in compare(system, tmp_path, detuned))
    rest, start = compare(system, tmp_path, lambda text: re.sub(r" ic=\S+", "", text))
    assert rest.agrees
    assert not start.agrees


@needs_gnucap
@pytest.mark.parametrize(
    "card", ["R9 p1 0 1000.0 noisy=0", "B9 p1 0 i=1e-3*tanh(v(p1))", ".noise v(p1) VB1 dec 1 1 10"]
)
def test_what_gnucap_drops_with_a_remark_is_an_error_of_the_run(card, tmp_path):
    system = random_system(np.random.default_rng(4), "crossbar_single", 3)
    text = system.program.to_spice(system.b, "gnucap")
    by_gnucap(text, tmp_path)
    with pytest.raises(RuntimeError, match="has not run the text as it stands"):
        by_gnucap(text.replace(".options temp", f"{card}\n.options temp", 1), tmp_path)


@needs_gnucap
def test_the_response_of_a_low_pass_is_the_textbooks(tmp_path):
    """1 / (1 + i w R C), and an ideal amplifier of gain 1e8 behind it, whose source has no resistance."""
    netlist = Netlist("low pass")
    netlist.add(
        VoltageSource("V1", "a", "0", 2.0, ac=1.0),
        Resistor("R1", "a", "b", 1e3),
        Capacitor("C1", "b", "0", 1e-6),
        VCVS("E1", "c", "0", "b", "0", 1e8),
        Resistor("R2", "c", "0", 1.0),
    )
    rows = by_gnucap(netlist.to_spice("gnucap", AC(1.0, 1e4, 5, ("b",))), tmp_path)
    expected = 1 / (1 + 2j * np.pi * rows[:, 0] * 1e-3)
    np.testing.assert_allclose(rows[:, 1] + 1j * rows[:, 2], expected, rtol=1e-9)
    rest = by_gnucap(netlist.to_spice("gnucap", OperatingPoint(("b", "c"))), tmp_path)
    np.testing.assert_allclose(rest[0, 1:], [2.0, 2e8], rtol=2e-7)


def test_what_it_cannot_say_is_rejected():
    netlist = Netlist("limits")
    netlist.add(VoltageSource("V1", "a", "0", 1.0, ac=1.0), Resistor("R1", "a", "0", 1e3, noisy=False))
    assert "noisy" not in netlist.to_spice("gnucap").replace("noiseless", "")
    with pytest.raises(InputError, match="analysis Noise cannot be written for gnucap"):
        netlist.to_spice("gnucap", Noise("a", "V1", 1.0, 10.0))
    netlist.add(SaturatingVCCS("B1", "a", "0", "a", "0", 1e-3, 1e-3))
    with pytest.raises(InputError, match="B1 is a SaturatingVCCS, and gnucap has no sources of such a law"):
        netlist.to_spice("gnucap")


@needs_gnucap
@needs_ngspice
def test_the_command_says_how_many_agree(capsys):
    assert main(["--systems", "2", "--seed", "5"]) == 0
    assert "op: 2 of 2 agree" in capsys.readouterr().out
