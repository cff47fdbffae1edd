"""A linear netlist as the sparse matrices of modified nodal analysis, at one complex frequency.

    (G + s C) z = B u        z = node voltages, then branch currents of inductors and of voltage-fixing parts

Unlike `mna`, nothing is reduced or judged: the matrices are what the text says, and thousands of nodes are cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .elements import CCVS, VCCS, VCVS, Capacitor, CurrentSource, Inductor, Resistor, VoltageSource
from .netlist import Netlist

Array = NDArray[np.float64]


class _Entries:
    """Coordinates of a sparse matrix under construction; ground drops out."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.values: list[float] = []

    def add(self, row: int, column: int, value: float) -> None:
        if row >= 0 and column >= 0:
            self.rows.append(row)
            self.columns.append(column)
            self.values.append(value)

    def stamp(self, a: int, b: int, value: float) -> None:
        self.add(a, a, value)
        self.add(b, b, value)
        self.add(a, b, -value)
        self.add(b, a, -value)

    def matrix(self, shape: tuple[int, int]) -> sparse.csc_array:
        return sparse.coo_array((self.values, (self.rows, self.columns)), shape=shape).tocsc()


@dataclass(frozen=True, eq=False)
class Descriptor:
    """The matrices of a netlist.

    Attributes:
        conductance, storage: G and C, (size, size).
        input: B, (size, sources).
        nodes: names in the order of the first entries of z. sources: names in the order of u.
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
    """The matrices of a netlist, which need not be a solvable circuit."""
    nodes = netlist.nodes
    index = {node: i for i, node in enumerate(nodes)}
    index["0"] = -1
    branches = [e for e in netlist if isinstance(e, Inductor | VoltageSource | VCVS | CCVS)]
    branch = {element.name.lower(): i for i, element in enumerate(branches, start=len(nodes))}
    inputs = [e for e in netlist if isinstance(e, VoltageSource | CurrentSource)]
    source = {element.name: i for i, element in enumerate(inputs)}
    size = len(nodes) + len(branches)
    G, C, B = _Entries(), _Entries(), _Entries()
    for e in netlist:
        a, b = index[e.a], index[e.b]
        if isinstance(e, Resistor):
            G.stamp(a, b, 1.0 / e.resistance)
        elif isinstance(e, Capacitor):
            C.stamp(a, b, e.capacitance)
        elif isinstance(e, CurrentSource):
            B.add(a, source[e.name], -1.0)
            B.add(b, source[e.name], 1.0)
        elif isinstance(e, VCCS):
            for node, sign in ((a, 1.0), (b, -1.0)):
                G.add(node, index[e.cp], sign * e.transconductance)
                G.add(node, index[e.cm], -sign * e.transconductance)
        else:
            row = branch[e.name.lower()]
            for node, sign in ((a, 1.0), (b, -1.0)):
                G.add(node, row, sign)
                G.add(row, node, sign)
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
