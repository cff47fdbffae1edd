"""Cards as people write them: what ngspice 39 makes of each (measured with `tools.fuzz_reader`), or an error with a remedy."""

from __future__ import annotations

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.spice.read import parse_spice


def part(card, more=""):
    return parse_spice(f"title\n{card}\n{more}").elements[0]


@pytest.mark.parametrize(
    ("words", "dc", "ac"),
    [
        ("1", 1, 0), ("dc 1", 1, 0), ("dc=1", 1, 0), ("DC = 1 AC = 2", 1, 2), ("ac 2 dc 1", 1, 2), ("1 ac 2", 1, 2), ("ac=2 dc=1", 1, 2),
        ("ac", 0, 1), ("1 ac", 1, 1), ("ac dc 2", 2, 1), ("ac 2", 0, 2), ("ac 1 0", 0, 1), ("ac 1 180", 0, -1), ("dc 3 ac 2 -180", 3, -2),
        ("ac 1,180", 0, -1), ("ac(2)", 0, 2), ("(5)", 5, 0), ("{2*3} ac {1+1}", 6, 2), ("ac 2 360 dc 4", 4, 2), ("1V ac 1V", 1, 1),
    ],
)  # fmt: skip
def test_values_of_a_source(words, dc, ac):
    for letter in "VI":
        source = part(f"{letter}1 a 0 {words}")
        assert (source.dc, source.ac) == (dc, ac)


@pytest.mark.parametrize(
    ("words", "ac"),
    [
        ("pwl(0 1 20u 0)", 0), ("pwl(0 1\n+ 20u 0)", 0), ("pwl(0 1 20u 0\n+ )", 0), ("pwl (0,1) (20u,0)", 0), ("pwl(0,1,20u,0) ac 2", 2),
        ("ac 2 pwl 0 1 20u 0", 2), ("pwl(0 1\n\n* between\n+ 20u 0\n+)ac", 1), ("1 pwl(0 {2-1} {2*10u} 0)", 0), ("pwl(0 +1 20u 0)", 0),
    ],
)  # fmt: skip
def test_waveforms_of_a_source(words, ac):
    source = part(f"V1 a 0 {words}")
    np.testing.assert_allclose(source.waveform, [(0.0, 1.0), (2e-5, 0.0)], rtol=1e-14)
    assert (source.dc, source.ac) == (1, ac)


def test_the_first_value_holds_before_its_time():
    wave = part("V1 a 0 pwl(1u 1 20u 5)").waveform
    np.testing.assert_allclose(wave, [(0.0, 1.0), (1e-6, 1.0), (2e-5, 5.0)], rtol=1e-14)


def test_times_with_a_plus_sign_count_from_the_point_before_where_the_simulator_is_ltspice():
    card = "V1 a 0 pwl(0 0 +1u 1 +1u 0 5u 2)"
    wave = part(card, ".backanno\n.end").waveform
    np.testing.assert_allclose(wave, [(0, 0), (1e-6, 1), (2e-6, 0), (5e-6, 2)], rtol=1e-14)
    # Rising when read from zero, so that the sign alone tells: ngspice means 3u, LTspice 4u.
    for unknown in (card, "V1 a 0 pwl(0 0 +1u 1 +3u 0)"):
        with pytest.raises(InputError, match=r"line 2 .*without the plus sign"):
            part(unknown)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("ac 1 90", "phase of 90 degrees"), ("ac 1 1", "write dc before"),
        ("sin(0 1 1k)", "waveform 'sin'"), ("SINE(0 1 1k)", "waveform 'SINE'"),
        ("dc 1 pulse(0 1)", "waveform 'pulse'"), ("1 2", "'2' is not supported"), ("dc 1 2", "'2' is not supported"), ("1 dc 2", "twice"),
        ("ac 1 ac 2", "twice"), ("dc", "without a value"), ("dc ac 1", "without a value"), ("3 pwl(0 1 1u 2)", "drop the dc value"),
        ("pwl(0 1 1u)", "pairs"), ("pwl()", "pairs"), ("pwl(0 1 1u 2) r=0", "'r' is not supported"),
        ("1 Rser=3", "'rser' is not supported"),
        ("pwl(0 1 1u 2) r 0", "'r' is not a number"), ("1,5", "'5' is not supported"), ("pwl(-1u 1 1u 2)", "start at 0 s"),
    ],
)  # fmt: skip
def test_sources_that_are_rejected(words, message):
    with pytest.raises(InputError, match=rf"line 2 .*{message}"):
        part(f"V1 a 0 {words}")


def test_parts_in_parallel():
    """m=2 are two of them: half the ohms and henries, twice the farads, amperes and siemens, as ngspice counts."""
    assert part("R1 a 0 3k m=2").resistance == part("R1 a 0 r=3k M = 2").resistance == 1500.0
    assert part("R1 a 0 R = {3k} noisy=0").resistance == 3000.0
    assert part("C1 a 0 1u m=3 ic=2").capacitance == pytest.approx(3e-6)
    assert part("C1 a 0 c=1u").capacitance == 1e-6
    assert part("L1 a 0 l=3 m=3").inductance == 1.0
    source = part("I1 0 a ac 1 m=2 dc 1m")
    assert (source.dc, source.ac) == (2e-3, 2.0)
    assert part("I1 0 a pwl(0 1m 1u 2m) m=2").waveform == ((0.0, 2e-3), (1e-6, 4e-3))
    assert part("G1 a 0 b 0 1m m=3").transconductance == pytest.approx(3e-3)
    assert part("F1 a 0 V1 2 m=3").gain == 6.0
    for card in ("V1 a 0 1 m=2", "E1 a 0 b 0 1 m=2", "H1 a 0 V1 1 m=2", "K1 L1 L2 0.5 m=2"):
        with pytest.raises(InputError, match="'m' is not supported"):
            part(card)
    for card in ("L1 a 0 1 m=2 ic=1", "R1 a 0 1k m=-1", "R1 a 0 1k r=2k", "C1 a 0 1n c=2n"):
        with pytest.raises(InputError, match=r"line 2"):
            part(card)


@pytest.mark.parametrize(
    "card",
    [
        "E1 a 0 (b,c) 2",
        "E1 a 0 ( b c ) 2",
        "E1 a 0 b, c 2",
        "E1 a,0 b,c,2",
        "E1 a 0 b c\n+ {1+1}",
        "E1 a 0 b c {1 +\n+ 1}",
    ],
)
def test_nodes_with_brackets_and_commas(card):
    source = part(card)
    assert (source.nodes, source.gain) == (("a", "0", "b", "c"), 2.0)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("R1(a 0)3k", "put a blank before it"), ("R1 a(0) 3k", "touches 'a'"), ("V1 a 0(1)", "touches '0'"), ("L1 a b(1m", "touches 'b'"),
        ("E1 a 0(b 0)2", "touches '0'"), ("(R1 a 0 3k)", "touches"),
        (".subckt s )a b\n.ends", "has no partner"), (".subckt s a b)\n.ends", "has no partner"),
        ('R1 a 0 "3k"', "is not a number"), ("R1 a 0 1,5k", "is not a number"),
        ("R1 a 0 {1mil}", "write 25.4u"),
        ("E1 a 0 poly(1) b 0 0 2", "'poly' is not supported"), ("E1 a 0 value={2*v(b)}", "'value' is not supported"),
        ("G1 a 0 cur='v(b)'", "'cur' is not supported"), ("F1 a 0 poly(1) V1 0 2", "'poly' is not supported"),
        ("E1 a 0 table {v(b)} (0,0) (1,2)", "'table' is not supported"), ("K1 L1 L2 0,5", "3 words"),
    ],
)  # fmt: skip
def test_cards_that_are_rejected(card, message):
    with pytest.raises(InputError, match=rf"line 2 .*{message}"):
        part(card)


def divider(instance, definition):
    """The voltage that the sub-circuit leaves of 10 V behind 1 k."""
    netlist = parse_spice(f"t\nV1 in 0 10\nR1 in out 1k\nX2 out 0 s {instance}\n.param q=3k r=2k\n{definition}\n.ends")
    return state_space(netlist, {"out": ("out", "0")}).equilibrium()[0]


def test_parameters_of_instances():
    one = ".subckt s a b r=1k\nR1 a b {r}"
    assert divider("", one) == pytest.approx(5.0)
    for given in ("r=3k", "params: r=3k", "R = {3k}", "r='q'", "\n+ r\n+ = 3k", "r={r+1k}", "r={q}"):
        assert divider(given, one) == pytest.approx(7.5)
    # ngspice takes the inner q here (8.75 and 6.67 V), most others the caller's.
    for definition in (f"{one}\n.param q=7k", ".subckt s a b r=1k q=1k\nR1 a b {r+q}"):
        with pytest.raises(InputError, match=r"line 4 .*'q' is a parameter of the sub-circuit s, too"):
            divider("r={q}", definition)


@pytest.mark.parametrize("card", ["\fR1 a 0 3k", " \fR1 a 0 3k", "R1 a 0 3k\v"])
def test_control_characters_beside_a_card_are_rejected(card):
    """ngspice drops a card behind a form feed, with a warning alone."""
    with pytest.raises(InputError, match=r"line 2: it has U\+000[BC]"):
        parse_spice(f"t\n{card}\n")
