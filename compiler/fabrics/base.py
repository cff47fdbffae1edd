"""What every fabric provides to the compiler's passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from ...circuits.netlist import Netlist
from ...circuits.technology import Technology
from ..parts import Behaviour, Parts


class Fabric(Protocol):
    """One kind of circuit: from a scaled matrix to parts, from parts to their law and to a netlist."""

    name: str
    symmetric: bool
    """Whether the coupling (i, j) is the same physical part as (j, i)."""

    def place(self, scaled: np.ndarray, scaling: np.ndarray, technology: Technology) -> tuple[Parts, float]:
        """Nominal parts for the scaled matrix D A D, and the conductance (S) that one problem unit became."""
        ...

    def behaviour(self, parts: Parts) -> Behaviour:
        """The first-order differential law of these parts."""
        ...

    def lower(
        self, netlist: Netlist, parts: Parts, technology: Technology, currents: np.ndarray, state: np.ndarray
    ) -> None:
        """Add the circuit to a netlist, driven by differential `currents` (A) and starting at voltages `state` (V)."""
        ...


def rails(i: int) -> tuple[str, str]:
    """Names of the two nodes whose voltage difference is unknown i (0-based): `p1`, `m1` for the first."""
    return f"p{i + 1}", f"m{i + 1}"


def couplings(parts: Parts) -> Iterator[tuple[int, int, int]]:
    """Indices (rail, i, j) of the resistors that exist."""
    for rail, i, j in zip(*np.nonzero(parts.coupling * parts.polarity), strict=True):
        yield int(rail), int(i), int(j)
