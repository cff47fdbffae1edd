"""The tables and remarks of `thermograd cost`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .outputs import note, show

if TYPE_CHECKING:
    from ..circuits.technology.technology import Technology
    from ..devicemodel.cost.no_die import BreakEven, NoDie
    from ..devicemodel.cost.refinement import ReadingPlan
    from ..devicemodel.cost.schedule import Schedule
    from ..devicemodel.cost.step import StepCost


def show_cost(found: StepCost, plans: list[ReadingPlan], costs: list[StepCost], title: str, prices: bool) -> None:
    """Parts, facts, what speaks against the array, prices and readings."""
    from ..report import cost_rows

    show(title, cost_rows.PARTS, cost_rows.parts(found))
    show("", ("", ""), cost_rows.facts(found))
    if prices:
        show("Prices", cost_rows.PRICES, cost_rows.prices(found))
    for why in found.obstacles:
        note(f"not buildable, because {why}")
    needed = found.needed
    if needed is not None and found.run < needed < math.inf:
        note(
            f"a run of {found.run:.3g} s ends before the circuit has settled to {100 * found.accuracy:g} %, which takes {needed:.3g} s: "
            "give a longer --duration, or leave it out"
        )
    if len(plans) > 1:
        show(cost_rows.READINGS_TITLE, cost_rows.READINGS, cost_rows.readings(plans, costs))


def show_no_die(found: StepCost, hosts: Sequence[NoDie], paying: Sequence[BreakEven]) -> None:
    """The same step without a die, and where a die would pay."""
    from ..report import cost_rows

    show(cost_rows.NO_DIE_TITLE, cost_rows.NO_DIE, cost_rows.no_die(found, hosts))
    show(cost_rows.BREAK_EVEN_TITLE, cost_rows.BREAK_EVEN, cost_rows.break_even(paying))


def show_schedules(timed: Sequence[Schedule]) -> None:
    """Schedules side by side."""
    from ..report import cost_rows

    show(cost_rows.SCHEDULES_TITLE, cost_rows.SCHEDULES, cost_rows.schedules(timed))


def show_sweep(swept: dict[str, Any]) -> None:
    """Costs over a knob, and where the bottleneck changes."""
    from ..report import cost_rows

    show("", (swept["knob"], *cost_rows.SWEEP), cost_rows.sweep(swept))
    for what in ("time", "energy"):
        for change in swept[f"{what}_handovers"]:
            note(f"{what}: from {change['before']} to {change['after']} at {swept['knob']} = {change['value']:.4g}")
        if not swept[f"{what}_handovers"]:
            note(f"{what}: the bottleneck does not change")


def remark(found: StepCost, technology: Technology) -> None:
    """Note the figures that count as free because the technology does not state them, and the prices without a source."""
    if unstated := [price.figure for price in found.prices if price.free]:
        note(f"technology {technology.name} does not state {', '.join(unstated)}, which count as free")
    if doubts := [price.doubt for price in found.prices if price.doubt and not price.free]:
        note(f"not sourced: {'; '.join(doubts)}")
    if math.isinf(technology.opamp.output_current):
        note(f"technology {technology.name} does not state opamp.output_current: its amplifiers supply any current")
