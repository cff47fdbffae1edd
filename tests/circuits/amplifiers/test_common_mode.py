"""The common-mode loop and rejection of a linear amplifier whose law is known."""

from __future__ import annotations

import math

import pytest

from thermograd.circuits.amplifiers.common_mode import common_mode_loop, common_mode_rejection
from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.amplifiers.testbench import Bench
from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.parts import OpAmp

GM, LOOP, ASKEW, OHM, FARAD = 1e-3, 2e-4, 1e-6, 1e6, 1e-12
NETLIST = f"""transconductors: of the difference, of what the mean lacks, and of the inputs' sum into one output
.subckt ota p n op on ref vb
RB vb 0 1k
G1 0 op p n {GM}
G2 0 on n p {GM}
G3 0 op ref op {LOOP / 2}
G4 0 op ref on {LOOP / 2}
G5 0 on ref op {LOOP / 2}
G6 0 on ref on {LOOP / 2}
G7 0 op p 0 {ASKEW}
G8 0 op n 0 {ASKEW}
R1 op 0 {OHM}
R2 on 0 {OHM}
C1 op 0 {FARAD}
C2 on 0 {FARAD}
.ends
"""


def bench(text: str = NETLIST) -> Bench:
    amplifier = Amplifier.from_spice(text, "ota", ("p", "n"), ("op", "on"), {"ref": 0.0, "vb": 1.0})
    return Bench(amplifier, 2, math.inf, 0.0, 300.15, 60.0)


def test_the_loop_is_that_of_its_transconductor_and_its_node() -> None:
    """C m' = g (ref - m) - m / R, so F = g R / (1 + s R C); the inputs' mean adds a thousandth or so through the eighth source."""
    found = common_mode_loop(bench(NETLIST.replace(str(ASKEW), "0.0")), "ref", 1e3)
    assert found.gain == pytest.approx(LOOP * OHM, rel=1e-3)
    assert found.gbw == pytest.approx(LOOP / (2 * math.pi * FARAD), rel=3e-3)
    assert found.unity_gain == pytest.approx(found.gbw, rel=3e-3)
    assert found.phase_margin == pytest.approx(90.0, abs=0.5)


def test_the_inputs_mean_in_the_loop_counts() -> None:
    """m / R + g m = g ref + 2 k m / 2: half of the outputs' mean at both inputs, their sum into one of two outputs."""
    found = common_mode_loop(bench(), "ref", 1e3)
    assert found.gain == pytest.approx(LOOP / (1 / OHM - ASKEW / 2), rel=1e-3)


def test_rejection_is_the_ratio_of_the_transconductances() -> None:
    """g (op - on) = 2 g_m v_d + 2 k v_c, so that 1 V at both inputs is k / g_m between them."""
    assert common_mode_rejection(bench(), GM * OHM * 1.0, 1e3) == pytest.approx(GM / ASKEW, rel=2e-3)
    assert common_mode_rejection(bench(NETLIST.replace(str(ASKEW), "0.0")), GM * OHM, 1e3) == math.inf


@pytest.mark.parametrize(
    ("port", "message"),
    [("vb", "moves by .* V for each volt"), ("vdd", "there are: ref, vb"), ("p", "there are: ref, vb")],
)
def test_a_port_that_holds_no_mean_is_rejected(port: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        common_mode_loop(bench(), port, 1e3)


def test_a_macromodel_has_no_port() -> None:
    with pytest.raises(InputError, match="there are: none"):
        common_mode_loop(Bench(Macromodel(OpAmp()), 2, math.inf, 0.0, 300.15, 60.0), "ref", 1e3)
