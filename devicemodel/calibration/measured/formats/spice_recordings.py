"""Transient and noise analyses of a simulator's raw file as recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .....circuits.errors import InputError
from ..schema import nodes_of
from .channels import Channel, Recording, node_named
from .spice_raw import RawPlot
from .units import Unit

__all__ = ["recordings_of"]

_VOLT = Unit("V", "volt")
_OTHER = Unit("no voltage", "other")
_AMPLITUDE, _POWER = Unit("V/rtHz", "volt/rtHz"), Unit("V^2/Hz", "volt2/Hz")


def recordings_of(plots: Sequence[RawPlot], source: str) -> list[Recording]:
    """A recording for each transient analysis, or each step of it, and for each noise spectrum.

    Raises:
        InputError: none of them is in the file.
    """
    found: list[Recording] = []
    others: list[str] = []
    for plot in plots:
        name = plot.name.lower()
        writer = "an LTspice raw file" if plot.ltspice else "a SPICE raw file"
        notes = [f"read as {writer}, {plot.name}"]
        if name.startswith("transient") and plot.values.shape[1]:
            found += _transient(plot, source, notes)
        elif name.startswith("noise spectral density") and plot.values.shape[1]:
            found += _steps(plot, np.real(plot.values[0]), "spectrum", _noise(plot), source, notes)
        else:
            others.append(plot.name or "an analysis without a name")
    if not found:
        raise InputError(f"{source} holds {', '.join(others[:6]) or 'nothing'}; transient and noise analyses are read")
    if others:
        first = found[0]
        found[0] = replace(first, notes=[*first.notes, f"left out: {', '.join(others[:6])}"])
    return found


def _transient(plot: RawPlot, source: str, notes: list[str]) -> list[Recording]:
    # LTspice marks what its compression interpolates by the sign of the time.
    time = np.abs(np.real(plot.values[0])) if plot.ltspice else np.real(plot.values[0])
    channels = []
    for (name, kind), row in zip(plot.variables[1:], plot.values[1:], strict=True):
        node = _node(name) if kind == "voltage" else ""
        channels.append(
            Channel(name, _VOLT if kind == "voltage" else _OTHER, np.real(row), (node,) if node else (), node, not node)
        )
    needed = f"its header says an offset of {plot.offset:g} s" if plot.offset != 0.0 else ""
    return _steps(plot, time, "trace", channels, source, notes, needed)


def _node(name: str) -> str:
    """ngspice's library names a voltage by its node alone, its command as V(n1)."""
    try:
        nodes_of(name)
    except InputError:
        return node_named(name)
    return name if "-" not in name else ""


def _noise(plot: RawPlot) -> list[Channel]:
    """The output noise first of all: which node it is of, the file does not say."""
    squared = "V^2" in plot.name
    channels: list[Channel] = []
    for (name, kind), row in zip(plot.variables[1:], plot.values[1:], strict=True):
        plain = name.lower()
        output = plain in ("v(onoise)", "onoise_spectrum", "onoise")
        unit = _POWER if squared or "^2" in kind else _AMPLITUDE
        channels.append(Channel(name, unit if output else _OTHER, np.real(row), names=("onoise",) if output else ()))
    return channels


def _steps(
    plot: RawPlot,
    axis: NDArray[np.float64],
    kind: str,
    channels: Sequence[Channel],
    source: str,
    notes: Sequence[str],
    needed: str = "",
) -> list[Recording]:
    """One recording for each run of a stepped analysis, which begins where the axis goes back."""
    breaks = np.flatnonzero(np.diff(axis) < 0.0) + 1
    if len(breaks) and "stepped" not in plot.flags:
        raise InputError(f"{source}: {plot.name} goes back at point {breaks[0] + 1}; it was damaged, write it again")
    if len(breaks) > 10_000:
        raise InputError(f"{source}: {len(breaks) + 1} steps, and at most 10000 are read; write fewer into one file")
    found = []
    for step, rows in enumerate(np.split(np.arange(len(axis)), breaks)):
        # A source that jumps has two points at one time; the later one holds afterwards.
        kept = rows[np.append(np.diff(axis[rows]) != 0.0, True)]
        said = (
            [*notes, f"{len(rows) - len(kept)} earlier points of equal times are left out"]
            if len(kept) < len(rows)
            else [*notes]
        )
        found.append(
            Recording(
                kind=kind,
                axis=axis[kept],
                channels=[replace(c, values=c.values[kept]) for c in channels],
                source=f"{source}, step {step + 1}" if len(breaks) else source,
                notes=said,
                start_needed=needed,
            )
        )
    return found
