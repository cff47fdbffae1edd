"""The cost of a step as rows of text: parts, facts of the array, readings, sweeps."""

from __future__ import annotations

import math
from typing import Any

from ..devicemodel.cost.refinement import ReadingPlan
from ..devicemodel.cost.step import StepCost, share
from .formatting import engineering

PARTS = ("part", "time", "share", "energy", "share")
"""Columns of `parts`."""
PRICES = ("price", "value", "kind", "of", "source")
"""Columns of `prices`."""
READINGS = ("reading", "runs", "conversions", "products", "multiply-adds", "memory", "solution", "", "whole step", "")
"""Columns of `readings`."""
READINGS_TITLE = "Refining: conversions of all DACs, and as many of all ADCs; solution: all but the derivatives"
SWEEP = ("time", "bottleneck", "energy", "bottleneck", "buildable")
"""Columns of `sweep`, behind that of the knob."""


def parts(found: StepCost) -> list[tuple[object, ...]]:
    """Each part and the total."""
    rows: list[tuple[object, ...]] = [
        (
            part.name,
            engineering(part.seconds, "s"),
            share(part.seconds, found.seconds),
            engineering(part.joules, "J"),
            share(part.joules, found.joules),
        )
        for part in found.shown
    ]
    return [*rows, ("total", engineering(found.seconds, "s"), "", engineering(found.joules, "J"), found.caveat)]


def facts(found: StepCost) -> list[tuple[object, ...]]:
    """Bottlenecks, counts, times and heat."""
    array, needed = found.array, found.needed
    rows: list[tuple[object, ...]] = [
        ("bottleneck in time", found.bottleneck),
        ("bottleneck in energy", found.energy_bottleneck),
        ("cells", f"{array.cells}"),
        ("codes", f"{array.codes}"),
        ("amplifiers", f"{array.amplifiers}"),
        ("tau", engineering(array.tau, "s")),
        ("one run", engineering(found.run, "s")),
    ]
    if needed is not None:
        text = "never" if math.isinf(needed) else engineering(needed, "s")
        rows.append((f"the circuit needs, to {100 * found.accuracy:g} %", text))
    most = f", at most {engineering(array.most_heat, 'W')}" if array.most_heat > array.heat else ""
    rows.append(("heat of the resistors", f"{engineering(array.heat, 'W')}{most}"))
    if array.drive_loss:
        rows.append(("amplifiers' loss in driving them", engineering(array.drive_loss, "W")))
    if array.circuit is not None and (load := array.circuit.largest_load()):
        current = engineering(array.circuit.largest_current(), "A")
        rows.append(("most loaded amplifier drives", f"{engineering(1 / load, 'Ω')}, {current}"))
    rows.append(("area", str(array.area) if array.area else f"not known: {array.no_area}"))
    whole = found.joules
    by_kind = ", ".join(f"{kind} {share(joules, whole)}" for kind, joules in found.joules_by_kind().items())
    rows.append(("energy by its weakest price", by_kind or "-"))
    return [*rows, ("runs", f"{found.counts.runs}"), ("conversions, DAC and ADC each", f"{found.counts.conversions}")]


def prices(found: StepCost) -> list[tuple[object, ...]]:
    """Each price that the step uses, with kind and source."""
    return [
        (
            price.figure,
            "not stated" if price.free else engineering(price.value, price.unit),
            price.kind,
            ", ".join(price.parts),
            price.source or price.doubt,
        )
        for price in found.prices
    ]


def readings(plans: list[ReadingPlan], costs: list[StepCost]) -> list[tuple[object, ...]]:
    """A bare reading and refined ones side by side."""
    rows: list[tuple[object, ...]] = []
    for plan, one in zip(plans, costs, strict=True):
        counts, work = one.counts, one.counts.work
        solution = [part for part in one.parts if part.name != "derivatives"]
        rows.append(
            (
                str(plan),
                counts.runs,
                counts.conversions,
                work.products,
                f"{work.multiply_adds:.3g}",
                engineering(work.bytes, "B"),
                engineering(math.fsum(part.seconds for part in solution), "s"),
                engineering(math.fsum(part.joules for part in solution), "J"),
                engineering(one.seconds, "s"),
                engineering(one.joules, "J"),
            )
        )
    return rows


def sweep(swept: dict[str, Any]) -> list[tuple[object, ...]]:
    """A row for each value of a knob, from plain data."""
    return [
        (
            f"{value:.4g}",
            engineering(one["seconds"], "s"),
            one["bottleneck"],
            engineering(one["joules"], "J"),
            one["energy_bottleneck"],
            "yes" if one["buildable"] else "no",
        )
        for value, one in zip(swept["values"], swept["costs"], strict=True)
    ]
