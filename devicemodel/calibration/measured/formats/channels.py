"""Readings by channel, and what the caller says of them, as tables of measurements.

A recording has one axis, times or frequencies, and a column for each channel. A spectrum's readings y become densities S in V^2/Hz:

    V/sqrt(Hz)   S = y^2                 dBV/sqrt(Hz)   S = 10^(y/10)
    V (rms)      S = y^2 / B             dBV            S = 10^(y/10) / B
    W/Hz         S = y R                 dBm/Hz         S = 10^(y/10) 1 mW R
    W            S = y R / B             dBm            S = 10^(y/10) 1 mW R / B

with the noise bandwidth B of one reading and the impedance R in which the power was stated. Peak values are sqrt(2) times rms values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .....circuits.errors import InputError
from ..measurements import MAX_ROWS, Measurements, checked_table
from ..schema import nodes_of
from .units import Unit, is_voltage

__all__ = ["Channel", "Recording", "Stated", "density_of", "measurements_of", "node_named"]

_LEVELS = ("volt", "volt2", "volt/rtHz", "volt2/Hz", "watt", "watt/Hz")


@dataclass(frozen=True)
class Stated:
    """What the caller says about a file; None: not said.

    Attributes:
        nodes: channel -> node ("n1") or difference ("n1-n2"); only these channels are read.
        units: column -> unit, in place of what the file says.
        std: standard error of a trace's readings, V. averages: of a spectrum.
        rbw: noise bandwidth, Hz. impedance: ohm. start: time in the file of the netlist's initial state, s.
    """

    nodes: Mapping[str, str] | None = None
    units: Mapping[str, str] | None = None
    std: float | None = None
    averages: float | None = None
    rbw: float | None = None
    impedance: float | None = None
    start: float | None = None


@dataclass(frozen=True)
class Channel:
    """A column of readings: its name, its unit if the file says one, and the readings in that unit.

    `names` are further names by which the caller may know it; `node`: the node that its name states, V(n1), or ""; `optional`: read only
    where the caller names it.
    """

    name: str
    unit: Unit | None
    values: NDArray[np.float64]
    names: tuple[str, ...] = ()
    node: str = ""
    optional: bool = False

    def is_called(self, name: str) -> bool:
        """Whether the caller's name means this channel."""
        return name.strip().lower() in {one.strip().lower() for one in (self.name, *self.names)}


@dataclass(frozen=True)
class Recording:
    """Channels over one axis.

    Attributes:
        kind: "trace" (the axis are times) or "spectrum" (frequencies).
        axis: s or Hz. places: of each row in the file, for messages: "line 7".
        rbw, impedance, averages: what the file's header says, else None.
        notes: what the reader has to say.
        start_needed: why the times' zero is not the netlist's initial state, or "".
    """

    kind: str
    axis: NDArray[np.float64]
    channels: Sequence[Channel]
    source: str
    places: Sequence[str] | None = None
    rbw: float | None = None
    impedance: float | None = None
    averages: float | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    start_needed: str = ""


def node_named(name: str) -> str:
    """The node or difference that "V(n1)" or "V(n1,n2)" names; "" where a name says none."""
    if not is_voltage(name):
        return ""
    node = name.strip()[2:-1].replace(" ", "").replace(",", "-")
    try:
        nodes_of(node)
    except InputError:
        return ""
    return node


def measurements_of(recording: Recording, stated: Stated) -> Measurements:
    """The table of a recording.

    Raises:
        InputError: something that neither the file nor the caller says, named alone; or a bad reading, with its place in the file.
    """
    notes = list(recording.notes)
    chosen = _chosen(recording, stated, notes)
    wanted = "volt" if recording.kind == "trace" else "a density or a level"
    missing: list[str] = []
    if unknown := [channel.name for channel, node in chosen if not node]:
        missing.append(f'the node of {_listed(unknown)}: nodes={{"{unknown[0]}": "n1"}}')
    if unknown := [channel.name for channel, _ in chosen if channel.unit is None]:
        example = "V" if recording.kind == "trace" else "V/rtHz"
        missing.append(f'the unit of {_listed(unknown)}: units={{"{unknown[0]}": "{example}"}}')
    for channel, _ in chosen:
        if channel.unit is not None and not _fits(recording.kind, channel.unit):
            raise InputError(
                f"{recording.source}: {channel.name!r} is in {channel.unit.text!r}, but a {recording.kind} needs {wanted}; leave it out of "
                "nodes, or say its unit with units="
            )
    if recording.kind == "trace":
        return _trace(recording, stated, chosen, missing, notes)
    return _spectrum(recording, stated, chosen, missing, notes)


def _fits(kind: str, unit: Unit) -> bool:
    return unit.quantity == "volt" and not unit.decibel if kind == "trace" else unit.quantity in _LEVELS


def _chosen(recording: Recording, stated: Stated, notes: list[str]) -> list[tuple[Channel, str]]:
    """The channels that are read, each with its node or ""."""
    usable = [
        channel
        for channel in recording.channels
        if (channel.unit is None or _fits(recording.kind, channel.unit)) and not channel.optional
    ]
    found: list[tuple[Channel, str]] = []
    if stated.nodes is not None:
        fits = {name: [channel for channel in recording.channels if channel.is_called(name)] for name in stated.nodes}
        absent = [name for name, channels in fits.items() if len(channels) != 1]
        if len(absent) == len(fits):
            names = ", ".join(channel.name for channel in recording.channels)
            raise InputError(
                f"{recording.source}: nodes names {_listed(absent)}, but the channels are {names}; name one of them"
            )
        if absent:
            notes.append(f"no channel here: {_listed(absent)}")
        found = [(fits[name][0], node) for name, node in stated.nodes.items() if name not in absent]
    else:
        found = [(channel, channel.node) for channel in usable if channel.unit is not None or channel.node]
        found = found or [(channel, channel.node) for channel in usable]
    if not found:
        names = ", ".join(f"{c.name} ({c.unit.text if c.unit else 'no unit'})" for c in recording.channels) or "none"
        raise InputError(f"{recording.source}: no channel holds what a {recording.kind} needs; the columns are {names}")
    left = [channel.name for channel in recording.channels if not any(channel is one for one, _ in found)]
    if left:
        notes.append(f"left out: {_listed(left)}")
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:6]))
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _raise_missing(missing: Sequence[str], source: str) -> None:
    if missing:
        raise InputError(f"{source} does not say {'; nor '.join(missing)}")


def _trace(
    recording: Recording,
    stated: Stated,
    chosen: Sequence[tuple[Channel, str]],
    missing: list[str],
    notes: list[str],
) -> Measurements:
    first = float(np.min(recording.axis, initial=0.0))
    if stated.start is None and (first < 0.0 or recording.start_needed):
        why = recording.start_needed or f"times begin at {first:g} s, before the trigger"
        missing.append(
            f"at which of its times the netlist's initial state holds ({why}): start=0 for its zero; earlier readings are left out"
        )
    if stated.std is None:
        missing.append("the standard error of its readings in V: std=1e-3")
    _raise_missing(missing, recording.source)
    time = recording.axis - (stated.start or 0.0)
    keep = time >= 0.0
    if not np.all(keep):
        notes.append(f"{int(np.sum(~keep))} times before the start at {stated.start:g} s are left out")
    volts = [channel.unit.to_si(channel.values[keep]) for channel, _ in chosen if channel.unit is not None]
    return _table(recording, keep, notes, [node for _, node in chosen], time, volts, {"std_v": stated.std})


def _spectrum(
    recording: Recording,
    stated: Stated,
    chosen: Sequence[tuple[Channel, str]],
    missing: list[str],
    notes: list[str],
) -> Measurements:
    rbw = stated.rbw if stated.rbw is not None else recording.rbw
    impedance = stated.impedance if stated.impedance is not None else recording.impedance
    averages = stated.averages if stated.averages is not None else recording.averages
    quantities = {channel.unit.quantity for channel, _ in chosen if channel.unit is not None}
    if rbw is None and quantities & {"volt", "volt2", "watt"}:
        missing.append("the noise bandwidth of one reading in Hz: rbw=10")
    if impedance is None and quantities & {"watt", "watt/Hz"}:
        missing.append("the impedance of its powers in ohm: impedance=50")
    if averages is None:
        missing.append("the number of averages: averages=100")
    _raise_missing(missing, recording.source)
    for name, value in (("rbw", rbw), ("impedance", impedance)):
        if value is not None and not 0.0 < value < np.inf:
            raise InputError(f"{recording.source}: {name} = {value!r}: a finite number > 0 is needed")
    if stated.rbw is None and rbw is not None and quantities & {"volt", "volt2", "watt"}:
        notes.append(
            f"the header's RBW of {rbw:g} Hz is taken for the noise bandwidth, which for a Gaussian filter is up to 1.13 times the RBW: "
            "rbw= states it"
        )
    if stated.impedance is None and impedance is not None and quantities & {"watt", "watt/Hz"}:
        notes.append(f"impedance of {impedance:g} ohm taken from the header")
    if stated.averages is None:
        notes.append(f"{averages:g} averages taken from the header")
    keep = recording.axis != 0.0
    if not np.all(keep):
        notes.append("the reading at 0 Hz is left out")
    densities = [
        density_of(channel.unit, channel.values[keep], rbw, impedance)
        for channel, _ in chosen
        if channel.unit is not None
    ]
    return _table(
        recording, keep, notes, [node for _, node in chosen], recording.axis, densities, {"averages": averages}
    )


def density_of(
    unit: Unit, values: NDArray[np.float64], rbw: float | None, impedance: float | None
) -> NDArray[np.float64]:
    """One-sided density in V^2/Hz."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is rejected with its line
        density = unit.to_si(values)
        if unit.quantity.startswith("watt"):
            density = density * (impedance or 1.0)
        elif not unit.quantity.startswith("volt2"):
            density = density**2
        return density if unit.quantity.endswith("Hz") else density / (rbw or 1.0)


def _table(
    recording: Recording,
    keep: NDArray[np.bool_],
    notes: Sequence[str],
    nodes: Sequence[str],
    axis: NDArray[np.float64],
    values: Sequence[NDArray[np.float64]],
    constant: Mapping[str, float | None],
) -> Measurements:
    """One channel's rows after the other's, checked; messages name places in the file."""
    rows = int(np.sum(keep))
    if rows * len(nodes) > MAX_ROWS:
        raise InputError(
            f"{recording.source} has {rows} readings of {len(nodes)} channels, and at most {MAX_ROWS} in all are read; choose channels "
            "with nodes=, or average or thin the readings"
        )
    kept = np.flatnonzero(keep)
    places = recording.places
    names = ("time_s", "volts") if recording.kind == "trace" else ("frequency_hz", "density_v2_per_hz")
    cells = {
        names[0]: axis[keep].tolist() * len(nodes),
        "node": [node for node in nodes for _ in range(rows)],
        names[1]: [value for column in values for value in column.tolist()],
    } | {name: [value] * (rows * len(nodes)) for name, value in constant.items()}

    def place(row: int) -> str:
        index = int(kept[row % rows])
        return places[index] if places is not None else f"point {index + 1}"

    table = checked_table(cells, recording.source, place)
    return replace(table, notes=tuple(notes))
