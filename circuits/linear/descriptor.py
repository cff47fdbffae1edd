"""A linear netlist as the sparse matrices of modified nodal analysis, at one complex frequency.

    (G + s C) z = B u        z = node voltages, then branch currents of inductors and of voltage-fixing parts

Unlike `mna`, nothing is reduced or judged: the matrices are what the text says, and thousands of nodes are cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..netlist.elements import (
    CCCS,
    CCVS,
    GROUND,
    VCCS,
    VCVS,
    Capacitor,
    CurrentSource,
    Element,
    Inductor,
    Resistor,
    VoltageSource,
)
from ..netlist.mutual_inductance import MutualInductance, mutual_inductances
from ..netlist.netlist import Netlist
from ..netlist.semiconductors import reject_devices

Array = NDArray[np.float64]


class _Entries:
    """Coordinates of a sparse matrix under construction; ground drops out."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.values: list[float] = []
        self.blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, row: int, column: int, value: float) -> None:
        if row >= 0 and column >= 0:
            self.rows.append(row)
            self.columns.append(column)
            self.values.append(value)

    def stamp_all(self, a: list[int], b: list[int], values: np.ndarray) -> None:
        """Two-terminal parts of admittance `values` between nodes a and b."""
        i, j = np.array(a, dtype=np.intp), np.array(b, dtype=np.intp)
        for rows, columns, sign in ((i, i, 1.0), (j, j, 1.0), (i, j, -1.0), (j, i, -1.0)):
            kept = (rows >= 0) & (columns >= 0)
            self.blocks.append((rows[kept], columns[kept], sign * values[kept]))

    def matrix(self, shape: tuple[int, int]) -> sparse.csc_array:
        single = (np.array(self.rows, dtype=np.intp), np.array(self.columns, dtype=np.intp), np.array(self.values))
        rows, columns, values = (np.concatenate(part) for part in zip(single, *self.blocks, strict=True))
        return sparse.coo_array((values, (rows, columns)), shape=shape).tocsc()


class _Branches:
    """Two-terminal parts of one kind as lists; nodes are numbered as they come."""

    def __init__(self) -> None:
        self.a: list[int] = []
        self.b: list[int] = []
        self.values: list[float] = []

    def append(self, index: dict[str, int], a: str, b: str, value: float) -> None:
        i, j = index.get(a), index.get(b)
        self.a.append(index.setdefault(a, len(index) - 1) if i is None else i)
        self.b.append(index.setdefault(b, len(index) - 1) if j is None else j)
        self.values.append(value)


@dataclass(frozen=True, eq=False)
class Descriptor:
    """The matrices of a netlist.

    Attributes:
        conductance, storage: G and C, (size, size).
        input: B, (size, sources).
        nodes: names in the order of the first entries of z, which is that of their appearance. sources: names in the order of u.
    """

    conductance: sparse.csc_array
    storage: sparse.csc_array
    input: sparse.csc_array
    nodes: tuple[str, ...]
    sources: tuple[str, ...]

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each node in z."""
        return {node: i for i, node in enumerate(self.nodes)}

    def at(self, s: complex) -> sparse.csc_array:
        """G + s C."""
        return sparse.csc_array(self.conductance + s * self.storage)

    def differences(self, pairs: list[tuple[str, str]]) -> sparse.csc_array:
        """(pairs, size): the rows that read v(plus) - v(minus); ground is "0"."""
        entries = _Entries()
        for row, (plus, minus) in enumerate(pairs):
            entries.add(row, self.index.get(plus, -1), 1.0)
            entries.add(row, self.index.get(minus, -1), -1.0)
        return entries.matrix((len(pairs), self.conductance.shape[0]))


def describe_netlist(netlist: Netlist) -> Descriptor:
    """The matrices of a netlist, which need not be a solvable circuit.

    Raises:
        NetlistError: a diode or transistor; a coupling of inductors that is impossible.
    """
    return describe_elements(netlist.elements)


def describe_elements(elements: Sequence[Element]) -> Descriptor:
    """The matrices of a list of parts with unique names."""
    index: dict[str, int] = {GROUND: -1}
    resistors, capacitors, others = _Branches(), _Branches(), []
    for e in elements:
        kind = type(e)
        if kind is Resistor:
            resistors.append(index, e.a, e.b, e.resistance)  # type: ignore[attr-defined]
        elif kind is Capacitor:
            capacitors.append(index, e.a, e.b, e.capacitance)  # type: ignore[attr-defined]
        else:
            others.append(e)
            for node in e.nodes:
                index.setdefault(node, len(index) - 1)
    nodes = tuple(node for node in index if node != GROUND)
    reject_devices(others, "descriptor form")
    branches = [e for e in others if isinstance(e, Inductor | VoltageSource | VCVS | CCVS)]
    branch = {element.name.lower(): i for i, element in enumerate(branches, start=len(nodes))}
    inputs = [e for e in others if isinstance(e, VoltageSource | CurrentSource)]
    source = {element.name: i for i, element in enumerate(inputs)}
    size = len(nodes) + len(branches)
    G, C, B = _Entries(), _Entries(), _Entries()
    G.stamp_all(resistors.a, resistors.b, 1.0 / np.array(resistors.values))
    C.stamp_all(capacitors.a, capacitors.b, np.array(capacitors.values))
    for (first, second), mutual in mutual_inductances(others).items():
        C.add(branch[first], branch[second], -mutual)
        C.add(branch[second], branch[first], -mutual)
    for e in others:
        if isinstance(e, MutualInductance):
            continue
        a, b = index[e.a], index[e.b]
        if isinstance(e, CurrentSource):
            B.add(a, source[e.name], -1.0)
            B.add(b, source[e.name], 1.0)
        elif isinstance(e, VCCS):
            for end, sign in ((a, 1.0), (b, -1.0)):
                G.add(end, index[e.cp], sign * e.transconductance)
                G.add(end, index[e.cm], -sign * e.transconductance)
        elif isinstance(e, CCCS):
            for end, sign in ((a, 1.0), (b, -1.0)):
                G.add(end, branch[e.sense.lower()], sign * e.gain)
        else:
            row = branch[e.name.lower()]
            for end, sign in ((a, 1.0), (b, -1.0)):
                G.add(end, row, sign)
                G.add(row, end, sign)
            if isinstance(e, Inductor):
                C.add(row, row, -e.inductance)
            elif isinstance(e, VoltageSource):
                B.add(row, source[e.name], 1.0)
            elif isinstance(e, VCVS):
                G.add(row, index[e.cp], -e.gain)
                G.add(row, index[e.cm], e.gain)
            elif isinstance(e, CCVS):
                G.add(row, branch[e.sense.lower()], -e.transresistance)
    return Descriptor(
        G.matrix((size, size)),
        C.matrix((size, size)),
        B.matrix((size, len(inputs))),
        nodes,
        tuple(element.name for element in inputs),
    )
