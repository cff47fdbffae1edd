"""Time and energy of a step over a swept quantity, by part, with the changes of the bottleneck."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import blended_transform_factory

from ...circuits.errors import InputError
from ...devicemodel.cost.model import Scenario
from ...devicemodel.cost.sweeps import handovers, knob_values, sweep
from ..formatting import engineering
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, WIDE, YELLOW, styled

COLOURS = {
    "derivatives": BLUE,
    "programming": VERMILLION,
    "transfers": PURPLE,
    "converters": GREEN,
    "settling": ORANGE,
    "residuals": SKY,
    "idle host": GREY,
    "standby": YELLOW,
}
"""Of the groups that a step with an array has."""
LABELS = {
    "parameters": ("parameters N", ""),
    "batch": ("batch b", ""),
    "outputs": ("outputs dz", ""),
    "duration": ("duration (τ)", ""),
    "condition": ("condition number", ""),
    "bits": ("bits of all numbers", ""),
    "rate": ("rate of the link", "bit/s"),
    "converters": ("converters of a kind, shared by the cells", ""),
    "samples": ("rate of one converter", "S/s"),
    "resistance": ("unit resistance", "Ω"),
    "bandwidth": ("gain-bandwidth product", "Hz"),
}
"""Name and unit of each knob."""
DECADES = 7.0
"""Parts that stay this many decades below the largest total are not drawn."""


@styled
def sweep_plot(scenario: Scenario, knob: str, low: float, high: float, title: str) -> Figure:
    """Time and energy of a step against a knob of `devicemodel.cost.model.KNOBS`, side by side.

    Args:
        scenario: the rest of the machine.
        knob: what varies, between low and high.
        title: one line.
    """
    figure = Figure(figsize=(WIDE, 4.0), layout="constrained")
    figure.suptitle(title, x=0.012, ha="left", fontsize=11, weight="bold")
    left, right = figure.subplots(1, 2)
    draw_sweep(left, scenario, knob, low, high, energy=False)
    draw_sweep(right, scenario, knob, low, high, energy=True)
    legend(figure)
    return figure


def draw_sweep(ax: Axes, scenario: Scenario, knob: str, low: float, high: float, energy: bool) -> None:
    """One panel: a line for each part, the total in black, the bottleneck as a strip on top with the values where it changes."""
    values = knob_values(knob, low, high, 200)
    costs = sweep(scenario, knob, values)
    total = [cost.joules if energy else cost.seconds for cost in costs]
    # A circuit that does not settle takes for ever, which no axis shows: its lines end there.
    finite = [value for value in total if math.isfinite(value)]
    if not finite:
        raise InputError(
            f"no array with {knob} from {low:g} to {high:g} settles: give a duration, or change the amplifiers"
        )
    floor = max(finite) / 10**DECADES
    lines = {name: [cost.groups(energy)[name] for cost in costs] for name in COLOURS}
    for name, line in lines.items():
        if max(value for value in line if math.isfinite(value)) > floor:
            ax.plot(values, line, color=COLOURS[name], linewidth=1.6, clip_on=True)
    ax.plot(values, total, color=BLACK, linewidth=1.0, linestyle=(0, (4, 2)))
    seen = [value for line in [total, *lines.values()] for value in line if floor < value < math.inf]
    ax.set(xscale="log", yscale="log", xlim=(values[0], values[-1]), ylim=(min(seen) / 1.5, 6 * max(finite)))
    _mark(ax, scenario, knob, low, high, energy)
    label, unit = LABELS[knob]
    ax.set_xlabel(f"{label} ({unit})" if unit else label)
    ax.set_ylabel("energy of a step (J)" if energy else "time of a step (s)")
    if knob == "bits":
        ax.set_xscale("linear")
    else:
        _decades(ax.xaxis)
    _decades(ax.yaxis)


def _mark(ax: Axes, scenario: Scenario, knob: str, low: float, high: float, energy: bool) -> None:
    """A strip coloured by the bottleneck, with a dotted line and the value at each change."""
    changes = handovers(scenario, knob, low, high, energy)
    first = scenario.turned(knob, low).cost()
    leaders = [first.energy_bottleneck if energy else first.bottleneck, *(change.after for change in changes)]
    edges = [low, *(change.value for change in changes), high]
    across = blended_transform_factory(ax.transData, ax.transAxes)
    for name, start, stop in zip(leaders, edges, edges[1:], strict=False):
        ax.fill_between([start, stop], 0.965, 1.0, color=COLOURS[name], linewidth=0, transform=across)
    for change in changes:
        ax.axvline(change.value, ymax=0.965, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
        text = engineering(change.value, LABELS[knob][1]).strip()
        # Where the strip's right half begins there is no room to the right.
        at = ax.transAxes.inverted().transform(ax.transData.transform((change.value, 1.0)))[0]
        side, offset = ("right", -3) if at > 0.5 else ("left", 3)
        ax.annotate(
            text, (change.value, 0.955), xycoords=across, xytext=(offset, 0), textcoords="offset points",
            ha=side, va="top", fontsize=8.5, color=BLACK,
        )  # fmt: skip


def legend(figure: Figure) -> None:
    """One legend for all panels, below them."""
    ax = figure.axes[0]
    handles = [ax.plot([], [], color=colour, linewidth=1.6, label=name)[0] for name, colour in COLOURS.items()]
    handles += ax.plot([], [], color=BLACK, linewidth=1.0, linestyle=(0, (4, 2)), label="total")
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2, handlelength=1.5)


def _decades(axis: Axis) -> None:
    """Powers of ten with their SI prefix: 10 k, 1 M."""
    axis.set_major_locator(LogLocator(numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: engineering(value, "").strip()))
    axis.set_minor_formatter(NullFormatter())
