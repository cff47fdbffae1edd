"""A run is given the part of the foundry's files that its parts need, and finds what it finds with all of them, to the last bit."""

from __future__ import annotations

import sys

import pytest

from thermograd.circuits import Mosfet, Netlist, OperatingPoint, Resistor, VoltageSource, run
from thermograd.circuits.netlist.semiconductors import model_cards
from thermograd.circuits.technology.pdk import process
from thermograd.circuits.technology.pdk.excerpt import needed_cards

from ....processes import needs_process

UM = 1e-6


def transistors(name: str) -> Netlist:
    """Both kinds, of sizes inside and at the edges of bins."""
    known = process(name)
    models = known.models()
    circuit = Netlist("sizes")
    for kind, sign in ((known.nmos, 1.0), (known.pmos, -1.0)):
        sizes = (
            (kind.min_width, kind.min_length, 1.0),
            (10 * UM, 1 * UM, 1.0),
            (7 * UM, 0.5 * UM, 4.0),
            (40 * UM, 2 * UM, 8.0),
        )
        for number, (width, length, fingers) in enumerate(sizes):
            tag = f"{kind.kind[0]}{number}"
            circuit.add(
                VoltageSource(f"VD{tag}", f"s{tag}", "0", sign * known.supply / 2),
                VoltageSource(f"VG{tag}", f"g{tag}", "0", sign * known.supply / 2),
                Resistor(f"R{tag}", f"s{tag}", f"d{tag}", 100.0),
                Mosfet(
                    f"M{tag}",
                    f"d{tag}",
                    f"g{tag}",
                    "0",
                    "0",
                    models[kind.model],
                    {"w": width, "l": length, "nf": fingers, "delvto": 0.01 * number},
                ),
            )
    return circuit


@needs_process("gf180mcu", "sky130")
@pytest.mark.parametrize("name", ["gf180mcu", pytest.param("sky130", marks=pytest.mark.slow)])
def test_an_excerpt_gives_the_operating_point_of_all_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = transistors(name)
    short = run(circuit, OperatingPoint()).voltages
    monkeypatch.setattr(sys.modules["thermograd.circuits.ngspice.run"], "needed_cards", model_cards)
    assert run(circuit, OperatingPoint()).voltages == short
    assert min(abs(short[f"d{tag}"] - short[f"s{tag}"]) for tag in ("N0", "N1", "P0", "P1")) > 1e-6


@needs_process("gf180mcu")
def test_an_excerpt_holds_the_bins_that_are_needed_and_no_others() -> None:
    known = process("gf180mcu")
    circuit = Netlist("one")
    circuit.add(Mosfet("M1", "d", "g", "0", "0", known.models()["nfet_03v3"], {"w": 2e-6, "l": 1e-6}))
    bins = [card for card in needed_cards(circuit) if card.startswith(".model") and "fet" in card]
    assert len(bins) == 1
    at_edge = Netlist("edge")
    at_edge.add(Mosfet("M1", "d", "g", "0", "0", known.models()["nfet_03v3"], {"w": 10e-6, "l": 0.5e-6}))
    assert len([card for card in needed_cards(at_edge) if card.startswith(".model") and "fet" in card]) == 4


@needs_process("gf180mcu", "sky130")
@pytest.mark.parametrize("name", ["gf180mcu", "sky130"])
def test_fingers_are_as_many_transistors_of_a_fingers_width(name: str) -> None:
    """Not those of the bin in which the whole width lies."""
    known = process(name)
    model = known.models()[known.nmos.model]
    circuit = Netlist("fingers")
    circuit.add(VoltageSource("VD", "s", "0", known.supply / 2), VoltageSource("VG", "g", "0", known.supply / 2))
    sizes = {"1": {"w": 7 * UM, "nf": 4.0}, "2": {"w": 1.75 * UM, "m": 4.0}, "3": {"w": 7 * UM}}
    for number, size in sizes.items():
        circuit.add(
            Resistor(f"R{number}", "s", f"d{number}", 1.0),
            Mosfet(f"M{number}", f"d{number}", "g", "0", "0", model, {"l": 0.5 * UM, **size}),
        )
    volts = run(circuit, OperatingPoint()).voltages
    fingers, several, whole = (known.supply / 2 - volts[f"d{number}"] for number in sizes)
    assert fingers == pytest.approx(several, rel=1e-5)
    assert abs(whole / several - 1) > 1e-3
