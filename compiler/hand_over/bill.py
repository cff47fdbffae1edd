"""A board's bill of materials, and its parts one by one with what each sees at rest."""

from __future__ import annotations

from ...circuits.technology.technology import Technology
from .board import Board, Component
from .bought import CAPACITOR_SERIES
from .device_list import as_csv
from .packages import DECOUPLING_FOOTPRINT, DUAL, QUAD, figures_of

BILL = ("designators", "quantity", "part", "value", "tolerance_percent", "rating", "footprint", "note")
PARTS = (
    "designator", "in_netlist", "value", "number", "unit", "nets", "seen", "most", "rating", "rating_unit", "output_current_A"
)  # fmt: skip


def bill_of_materials(board: Board, technology: Technology) -> str:
    """CSV: one row for all parts that are bought alike, with their designators."""
    alike: dict[tuple[object, ...], list[Component]] = {}
    for component in board.components:
        key = (component.symbol, component.value, component.footprint, component.rating, component.tolerance)
        alike.setdefault(key, []).append(component)
    rows: list[tuple[object, ...]] = [BILL]
    for components in alike.values():
        first = components[0]
        tolerance = f"{100 * first.tolerance:.3g}" if first.tolerance else ""
        rating = f"{first.rating:g} {_rating_unit(first)}" if first.rating else ""
        listed = " ".join(component.reference for component in components)
        part, note = _described(first, technology)
        rows.append((listed, len(components), part, first.value, tolerance, rating, first.footprint, note))
    return as_csv(rows)


def parts_list(board: Board) -> str:
    """CSV: each part with its nets, and the power (resistors) or voltage (capacitors) at rest, within all limits, and rated."""
    rows: list[tuple[object, ...]] = [PARTS]
    for component in board.components:
        unit = {"R": "ohm", "C": "F"}.get(component.symbol, "")
        rating = _rating_unit(component) if component.rating else ""
        number = repr(component.number) if unit else ""
        figures = [f"{value:.6g}" if rating else "" for value in (component.seen, component.most, component.rating)]
        nets = " ".join(f"{pin.number}:{pin.net}" for pin in component.pins)
        currents = " ".join(f"{value:.6g}" for value in component.amperes)
        named = " ".join(component.names)
        rows.append((component.reference, named, component.value, number, unit, nets, *figures, rating, currents))
    return as_csv(rows)


def _rating_unit(component: Component) -> str:
    return "W" if component.symbol == "R" else "V"


def _described(component: Component, technology: Technology) -> tuple[str, str]:
    """Part and note of a row."""
    if component.symbol == "R":
        series = technology.resistors.series
        drift = f", {1e6 * technology.resistors.tc1:g} ppm/K" if technology.resistors.tc1 else ""
        return "metal film resistor", f"{series}{drift}"
    if component.footprint == DECOUPLING_FOOTPRINT:
        return "ceramic capacitor", "decoupling, beside a package's supply pin; not in the netlist"
    if component.symbol == "C":
        return "film capacitor", CAPACITOR_SERIES
    if component.amperes:
        count = {DUAL.footprint: "dual", QUAD.footprint: "quad"}[component.footprint]
        figures = "; ".join(f"{name} {value}" for name, value in figures_of(technology.opamp))
        return f"{count} op-amp", figures
    return "connector", component.value
