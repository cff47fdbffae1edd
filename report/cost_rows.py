"""The cost of a step as rows of text: parts, facts of the array, readings, sweeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..devicemodel.cost.no_die import PLACES, BreakEven, NoDie
from ..devicemodel.cost.refinement import ReadingPlan
from ..devicemodel.cost.schedule import Schedule
from ..devicemodel.cost.step import StepCost, share
from .formatting import engineering

PARTS = ("part", "time", "share", "energy", "share")
"""Columns of `parts`."""
PRICES = ("price", "value", "kind", "of", "source")
"""Columns of `prices`."""
NO_DIE = ("solver", "solution", "", "whole step", "")
"""Columns of `no_die`."""
NO_DIE_TITLE = "The same step on the host alone, in single precision, to the same error"
BREAK_EVEN = (
    "compared",
    "of",
    "a die is better by",
    "pays from batch",
    "from rate of the link",
    "from condition number",
)
"""Columns of `break_even`."""
BREAK_EVEN_TITLE = "Where the die pays"
SCHEDULES = ("schedule", "steps a curvature", "its age", "step", "", "host", "link", "array")
"""Columns of `schedules`."""
SCHEDULES_TITLE = "Schedules: time and energy of a step, and share of the time in which each is at work"
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


def no_die(found: StepCost, hosts: Sequence[NoDie]) -> list[tuple[object, ...]]:
    """The step with a die, and the same without one."""
    rows = [("die", found), *((f"no die: {one}", one.cost) for one in hosts)]
    return [
        (name, *_solution(cost), engineering(cost.seconds, "s"), engineering(cost.joules, "J")) for name, cost in rows
    ]


def _solution(cost: StepCost) -> tuple[str, str]:
    """Time and energy of all but the derivatives."""
    parts = [part for part in cost.parts if part.name != "derivatives"]
    seconds, joules = math.fsum(part.seconds for part in parts), math.fsum(part.joules for part in parts)
    return engineering(seconds, "s"), engineering(joules, "J")


def break_even(paying: Sequence[BreakEven]) -> list[tuple[object, ...]]:
    """A row for each comparison; "-": it pays as it is, or the knob is not turned."""
    rows: list[tuple[object, ...]] = []
    for one in paying:
        what = "whole step, cheapest host" if one.solver is None else f"solution, {one.solver}"
        places = []
        for knob, (_, high) in PLACES.items():
            value = one.places.get(knob)
            missing = f"none up to {high:.0e}" if knob in one.places else "-"
            places.append(missing if value is None else engineering(value, "bit/s" if knob == "rate" else ""))
        rows.append((what, "energy" if one.energy else "time", f"{one.advantage:.3g}", *places))
    return rows


def schedules(timed: Sequence[Schedule]) -> list[tuple[object, ...]]:
    """A row for each schedule."""
    return [
        (
            one.name,
            one.every,
            one.age,
            engineering(one.seconds, "s"),
            engineering(one.joules, "J"),
            *(f"{100 * busy:.3g} %" for busy in (one.host, one.link, one.array)),
        )
        for one in timed
    ]


def readings(plans: list[ReadingPlan], costs: list[StepCost]) -> list[tuple[object, ...]]:
    """A bare reading and refined ones side by side."""
    rows: list[tuple[object, ...]] = []
    for plan, one in zip(plans, costs, strict=True):
        counts, work = one.counts, one.counts.work
        rows.append(
            (
                str(plan),
                counts.runs,
                counts.conversions,
                work.products,
                f"{work.multiply_adds:.3g}",
                engineering(work.bytes, "B"),
                *_solution(one),
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
