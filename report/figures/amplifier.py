"""Bode plot and input noise of a measured amplifier, with the model of its record; its figures over conditions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from ...circuits.amplifiers.characterise import Characterisation
from ...circuits.amplifiers.conditions import Condition
from ..formatting import engineering
from .style import BLACK, BLUE, CYCLE, GREY, PALE, VERMILLION, WIDE, styled

ABOVE = 10.0
"""Upper end of the Bode plot, over the unity-gain frequency."""
FLAT = 0.32
"""Fraction of its width below the -3 dB point, for that point's label."""
DASHED = (0, (4, 2))
STYLES = ("-", "--", ":", "-.")
"""Of the supplies, in the order given."""
PANELS: tuple[tuple[str, Callable[[Characterisation], float]], ...] = (
    ("gain (dB)", lambda found: 20 * math.log10(found.opamp.gain)),
    ("GBW (MHz)", lambda found: found.opamp.gbw / 1e6),
    ("phase margin (°)", lambda found: found.phase_margin),
    ("slew rate (V/µs)", lambda found: found.opamp.slew / 1e6),
    ("output limit (V)", lambda found: found.opamp.output_limit),
    ("white noise (nV/√Hz)", lambda found: found.opamp.noise_voltage * 1e9),
    ("margin of the mean (°)", lambda found: found.common_mode.phase_margin if found.common_mode else math.nan),
    ("power (mW)", lambda found: found.opamp.power * 1e3),
)
"""What is drawn over temperature."""


@styled
def amplifier_plot(measured: Characterisation, title: str) -> Figure:
    """Gain and phase with the two-pole law of `measured.opamp`, and the input noise with its white and 1/f law.

        A(f) = A0 / ((1 + i f / f_1) (1 + i f / f_2)),    f_1 = GBW / A0;    e(f) = e_w sqrt(1 + f_c / f)

    Marked are the -3 dB point, unity gain with the phase margin, and the noise's corner.

    Args:
        measured: what `circuits.amplifiers.characterise` returned.
        title: which amplifier, in what conditions.
    """
    figure = Figure(figsize=(WIDE, 4.6), layout="constrained")
    figure.suptitle(title, x=0.012, ha="left", fontsize=11, weight="bold")
    figure.get_layout_engine().set(w_pad=0.12)  # type: ignore[union-attr, call-arg]
    grid = figure.add_gridspec(2, 2, width_ratios=[1.25, 1], height_ratios=[1.5, 1])
    gain = figure.add_subplot(grid[0, 0])
    phase = figure.add_subplot(grid[1, 0], sharex=gain)
    _draw_response(gain, phase, measured)
    _draw_noise(figure.add_subplot(grid[:, 1]), measured)
    return figure


@styled
def conditions_plot(measured: Sequence[tuple[Condition, Characterisation]], title: str) -> Figure:
    """Eight figures of an amplifier over temperature, a colour for each corner and a line style for each supply.

    Args:
        measured: what `circuits.amplifiers.over_conditions` returned. title: which amplifier, with what load.
    """
    figure = Figure(figsize=(WIDE, 4.8), layout="constrained")
    figure.suptitle(title, x=0.012, ha="left", fontsize=11, weight="bold")
    corners = list(dict.fromkeys(condition.corner for condition, _ in measured))
    supplies = list(dict.fromkeys(condition.supply for condition, _ in measured))
    panels = figure.subplots(2, 4, sharex=True)
    for ax, (label, figure_of) in zip(panels.flat, PANELS, strict=True):
        for k, corner in enumerate(corners):
            for style, supply in zip(STYLES * len(supplies), supplies, strict=False):
                points = [
                    (condition.temperature - 273.15, figure_of(found))
                    for condition, found in measured
                    if (condition.corner, condition.supply) == (corner, supply)
                ]
                name = ", ".join(filter(None, (corner, f"{100 * supply:g} % supply" if len(supplies) > 1 else "")))
                ax.plot(
                    *zip(*points, strict=True),
                    style,
                    color=CYCLE[k % len(CYCLE)],
                    marker="o",
                    markersize=2.5,
                    linewidth=1.2,
                    label=name or "as in the netlist",
                )
        ax.set_title(label)
    for ax in panels[1]:
        ax.set_xlabel("temperature (°C)")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=6)
    return figure


def _draw_response(gain: Axes, phase: Axes, measured: Characterisation) -> None:
    opamp, unity = measured.opamp, measured.unity_gain
    corner = opamp.gbw / opamp.gain
    start = corner / (ABOVE * unity / corner) ** (FLAT / (1 - FLAT))
    inside = (measured.frequency >= start) & (measured.frequency <= ABOVE * unity)
    f = measured.frequency[inside]
    law = opamp.gain / ((1 + 1j * f / corner) * (1 + 1j * f / opamp.second_pole))
    angle, law_angle = (np.degrees(np.unwrap(np.angle(a))) for a in (measured.response, law))
    size, law_size = (20 * np.log10(np.abs(a)) for a in (measured.response[inside], law))
    for ax, curve, of_law in ((gain, size, law_size), (phase, angle[inside], law_angle)):
        ax.plot(f, curve, color=BLUE, linewidth=2.0, label="measured")
        ax.plot(f, of_law, color=BLACK, linewidth=0.9, linestyle=DASHED, label="two-pole law of the record")
        for place in (corner, unity):
            ax.axvline(place, color=PALE, linewidth=0.8, zorder=0)
    gain.axhline(0.0, color=PALE, linewidth=0.8, zorder=0)
    room = start >= measured.frequency[0]
    for place, level, text, left in (
        (corner, 20 * math.log10(opamp.gain / math.sqrt(2)), "−3 dB at", room),
        (unity, 0.0, "|A| = 1 at", True),
    ):
        gain.plot(place, level, "o", color=VERMILLION, markersize=4.5, zorder=4)
        _beside(gain, place, level, f"{text} {engineering(place, 'Hz')}", left)
    low, high = min(size.min(), law_size.min()), size.max()
    gain.set(title="Open loop", ylabel="gain |A| (dB)", xscale="log", xlim=(f[0], f[-1]))
    gain.set_ylim(low - 0.03 * (high - low), high + 0.12 * (high - low))
    gain.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 4, 10]))
    gain.tick_params(labelbottom=False)
    gain.legend(loc="upper right", borderaxespad=0.0)
    _mark_margin(phase, unity, measured.phase_margin)
    bottom = min(-180.0, float(angle[inside].min()), float(law_angle.min()))
    phase.set(xlabel="frequency (Hz)", ylabel="phase (°)", ylim=(bottom - 45, 12))
    phase.yaxis.set_major_locator(MultipleLocator(90))
    _decades(phase.xaxis)


def _mark_margin(ax: Axes, unity: float, margin: float) -> None:
    """An arrow from -180 degrees to the phase at unity gain, with its label clear of the falling curve."""
    ax.axhline(-180.0, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)
    arrow = {"arrowstyle": "<->", "color": VERMILLION, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    ax.annotate("", (unity, margin - 180), xytext=(unity, -180), arrowprops=arrow)
    _beside(ax, unity, -180.0, f"phase margin {margin:.1f}°", left=margin > 0)


def _draw_noise(ax: Axes, measured: Characterisation) -> None:
    opamp, f = measured.opamp, measured.noise_frequency
    white, corner = opamp.noise_voltage, opamp.noise_voltage_corner
    ax.plot(f, measured.noise_voltage, color=BLUE, linewidth=2.0, label="measured")
    law = white * np.sqrt(1 + corner / f)
    ax.plot(f, law, color=BLACK, linewidth=0.9, linestyle=DASHED, label="white + 1/f law of the record")
    text = f"white {engineering(white, 'V/√Hz')}"
    if f[0] < corner < f[-1]:
        level = white * math.sqrt(2)
        ax.plot(corner, level, "o", color=VERMILLION, markersize=4.5, zorder=4)
        _beside(ax, corner, level, f"1/f corner {engineering(corner, 'Hz')}\n{text}", left=corner**2 > f[0] * f[-1])
    else:
        _beside(ax, f[-1], white, text, left=True)
    ax.set(
        title="Noise voltage at the input",
        xlabel="frequency (Hz)",
        ylabel="density (V/√Hz)",
        xscale="log",
        yscale="log",
        xlim=(f[0], f[-1]),
        ylim=(white / 4, 3 * max(measured.noise_voltage.max(), 4 * white)),
    )
    ax.legend(loc="upper right", borderaxespad=0.0)
    for axis in (ax.xaxis, ax.yaxis):
        _decades(axis)


def _beside(ax: Axes, x: float, y: float, text: str, left: bool) -> None:
    """A label below left or above right of a point, the two sides clear of a falling curve."""
    sign, ha, va = (-1, "right", "top") if left else (1, "left", "bottom")
    ax.annotate(text, (x, y), xytext=(sign * 5, sign * 4), textcoords="offset points", ha=ha, va=va, fontsize=8.5)


def _decades(axis: Axis) -> None:
    """A tick for each power of ten, some of them with their SI prefix: 10 k, 1 M."""
    axis.set_major_locator(LogLocator(numticks=7))
    axis.set_minor_locator(LogLocator(numticks=40))
    axis.set_major_formatter(FuncFormatter(lambda value, _: engineering(value, "").strip()))
    axis.set_minor_formatter(NullFormatter())
