"""The sizes of a record's parts on silicon: of its amplifier from the netlist, of the others from design rules and publications."""

from __future__ import annotations

from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.technology.foundry_areas import LAYOUT, PROCESSES, foundry_areas, layout_area, netlist_sizes
from thermograd.circuits.technology.pdk.process_record import Process
from thermograd.circuits.technology.provenance import Figure

from .designs import Design
from .figures import Figures

GATES = (1e-5, 2e-5)
"""Widths of a switch's transistors, n and p, m."""


def add_area(found: Figures, design: Design, of: Process, amplifier: Amplifier) -> None:
    """Add the part "area": conductances are R-2R ladders; a binary one of 8 bits would have 508 times the film of its largest resistor."""
    name, known = design.process, PROCESSES[design.process]
    block = layout_area(name, *netlist_sizes(amplifier.parts, of))
    shortest = of.nmos.min_length
    gate = layout_area(name, [(width, shortest) for width in GATES])
    film, plate = of.resistors[design.resistor], of.capacitors[design.capacitor]
    sheet = design.unit_resistor * design.width / film.length(design.width, design.unit_resistor)
    density = design.unit_capacitor / plate.side(design.unit_capacitor) ** 2
    sizes = foundry_areas(
        name,
        ladder="R-2R",
        amplifier=Figure(
            value=block,
            kind="simulated",
            source=f"{LAYOUT:g} times the parts of examples/amplifiers/{name}.cir; no layout was drawn",
        ),
        switch=Figure(
            value=gate,
            kind="chosen",
            source=f"transmission gate of {1e6 * GATES[0]:g} um and {1e6 * GATES[1]:g} um of gate width, {1e6 * shortest:g} um long",
        ),
        sheet_resistance=Figure(
            value=sheet, kind="foundry", source=f"{film.model} of the unit resistor, with its ends"
        ),
        resistor_width=Figure(value=design.width, kind="chosen", source="that of the unit resistor"),
        capacitance_density=Figure(value=density, kind="foundry", source=f"{plate.model} of the unit capacitor"),
    )
    for field, figure in sizes.figures().items():
        command = "make technologies" if figure.kind == "simulated" else ""
        found.add("area", f"area_{field}", figure.kind, figure.source, command, **{field: figure.value})
    found.add(
        "area",
        "area_ladder",
        "chosen",
        "R-2R ladders; binary ones would take some twenty times their film",
        ladder=sizes.ladder,
    )
    assert set(known) <= set(sizes.figures())
