"""Mistakes that tables of measurements have: another unit than their column's, exchanged nodes, a two-sided density.

Each is a table as it would be without the mistake, whose likelihood is compared with that of the table as it is. All keep the ratio of a
value to its stated error, or say in `penalty` what the change of scale costs: ln(scale) for each reading, as a density of probability does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .....circuits.netlist.elements import GROUND
from ..measurements import Measurements
from ..schema import nodes_of

MOST_PERMUTED = 4
"""Voltages of which all permutations are tried; of more, exchanges of two."""
CLEAR = 10.0
"""Least rms of volts over their errors at which another unit of the volts alone is tried."""
_BY_PERMUTATION = {"trace": ("node",), "spectrum": ("node", "node_b")}
_SMALL = (("milli", 1e-3), ("micro", 1e-6))


@dataclass(frozen=True, eq=False)
class Alteration:
    """A table as it would be without a mistake.

    Attributes:
        what: the mistake, in words.
        table: without it.
        penalty: what it adds to -ln L.
    """

    what: str
    table: Measurements
    penalty: float = 0.0


def alterations(table: Measurements) -> list[Alteration]:
    """All that are tried of a table."""
    found = list(_of_units(table))
    found += [Alteration(what, one) for what, [one] in exchanges([table])]
    return found


def exchanges(tables: Sequence[Measurements]) -> Iterator[tuple[str, list[Measurements]]]:
    """In words, and the tables, exchanges of nodes that all of them share."""
    nodes = sorted({node for table in tables for node in _nodes(table)})
    if len(nodes) <= MOST_PERMUTED:
        orders = [order for order in itertools.permutations(nodes) if list(order) != nodes]
    else:
        orders = []
        for first, second in itertools.combinations(range(len(nodes)), 2):
            swapped = list(nodes)
            swapped[first], swapped[second] = nodes[second], nodes[first]
            orders.append(tuple(swapped))
    for order in orders:
        names = {old: new for old, new in zip(nodes, order, strict=True) if old != new}
        what = "nodes look exchanged, " + ", ".join(f"{old} is {new}" for old, new in names.items())
        yield what, [_renamed(table, names) for table in tables]


def _nodes(table: Measurements) -> set[str]:
    columns = _BY_PERMUTATION.get(table.kind, ("node_a", "node_b"))
    voltages = {str(name) for column in columns for name in table.columns[column].tolist()}
    return {node for name in voltages for node in nodes_of(name) if node != GROUND}


def _of_units(table: Measurements) -> Iterator[Alteration]:
    rows = len(table)
    if table.kind == "trace":
        for name, scale in (*_SMALL, ("nano", 1e-9)):
            yield Alteration(f"time_s looks like {name}seconds", _scaled(table, time_s=scale))
        for name, scale in _SMALL:
            both = _scaled(table, volts=scale, std_v=scale)
            yield Alteration(f"volts and std_v look like {name}volts", both)
            alone = _scaled(table, volts=scale)
            # Volts as small as their errors fit any circuit.
            if float(np.sqrt(np.mean((alone.columns["volts"] / alone.columns["std_v"]) ** 2))) > CLEAR:
                yield Alteration(f"volts look like {name}volts, beside std_v in volts", alone, -rows * math.log(scale))
        yield Alteration("volts look reversed, plus and minus exchanged", _scaled(table, volts=-1.0))
    elif table.kind == "spectrum":
        for name, scale in (("kHz", 1e3), ("MHz", 1e6), ("rad/s", 1 / (2 * math.pi))):
            yield Alteration(f"frequency_hz looks like {name}", _scaled(table, frequency_hz=scale))
        for name, scale in _SMALL:
            yield Alteration(f"densities look like ({name}volt)^2/Hz", _density(table, scale**2))
        yield Alteration("densities look two-sided, half of the one-sided ones", _density(table, 2.0))
        yield Alteration("densities look twice as large as one-sided ones", _density(table, 0.5))
        if not np.any(table.columns["density_imag_v2_per_hz"]) and np.all(table.columns["density_v2_per_hz"] > 0):
            for name, scale in (("V", 1.0), ("millivolt", 1e-3), ("nanovolt", 1e-9)):
                squared = (scale * table.columns["density_v2_per_hz"]) ** 2
                yield Alteration(f"densities look like {name}/sqrt(Hz)", _with(table, density_v2_per_hz=squared))
    else:
        for name, scale in (("kHz", 1e3), ("rad/s", 1 / (2 * math.pi))):
            changed = _scaled(table, f_lo_hz=scale, f_hi_hz=scale)
            yield Alteration(f"the bands' edges look like {name}", changed)
        if table.kind == "covariance":
            for name, scale in _SMALL:
                changed = _scaled(table, covariance_v2=scale**2, std_v2=scale**2)
                yield Alteration(f"covariances look like ({name}volt)^2", changed)


def _density(table: Measurements, scale: float) -> Measurements:
    return _scaled(table, density_v2_per_hz=scale, density_imag_v2_per_hz=scale)


def _scaled(table: Measurements, **scales: float) -> Measurements:
    return _with(table, **{name: scale * table.columns[name] for name, scale in scales.items()})


def _renamed(table: Measurements, names: dict[str, str]) -> Measurements:
    def other(voltage: Any) -> str:
        return "-".join(names.get(node, node) for node in str(voltage).split("-"))

    columns = _BY_PERMUTATION.get(table.kind, ("node_a", "node_b"))
    return _with(table, **{name: np.array([other(v) for v in table.columns[name].tolist()]) for name in columns})


def _with(table: Measurements, **columns: np.ndarray) -> Measurements:
    return Measurements(table.kind, {**table.columns, **columns}, table.source, table.sha256, table.notes)
