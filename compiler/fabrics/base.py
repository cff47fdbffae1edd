"""What every fabric provides to the compiler's passes.

A fabric turns a scaled matrix S = D A D into parts (`place`), parts into a netlist (`lower`), and states the law that the netlist
must then be found to obey (`admittance`). Cell i is read as the voltage between two nodes (`readout`) and driven by a current
(`drives` says through which sources).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from ...circuits.amplifiers.models import AmplifierCell
from ...circuits.netlist.analyses import Analysis
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.technology import Technology
from ..matrices import Matrix
from ..parts import Behaviour

PROBE_TIMES: tuple[float, ...] = (0.0, 1.0)
"""Laplace variables, in 1 / tau, at which a fabric's law is compared with its netlist: rest, and one that shows all storage."""


class Fabric(Protocol):
    """One kind of circuit: from a scaled matrix to parts, from parts to their law and to a netlist."""

    name: str
    title: str
    """What it is, in a few words."""
    unit: str
    """Of what a matrix entry becomes: S, 1/H or F."""
    symmetric: bool
    """Whether the coupling (i, j) is the same physical part as (j, i)."""
    active: bool
    """Whether it has amplifiers."""
    covariance: bool
    """Whether A^-1 can be read off the stationary covariance under Johnson noise."""
    mean: bool
    """Whether A^-1 b can be read off the mean under a constant drive."""
    automatic: bool
    """Whether `fabric="auto"` may choose it, in the registry's order."""
    has_device_model: bool
    """Whether `behaviour` has a first-order law, so that devices can be modelled after it."""
    can_calibrate: bool
    """Whether a device card can be fitted to it."""
    has_dies: bool
    """Whether its parts can be put on a die (`AnalogProgram.on`)."""
    has_layout: bool
    """Whether it is an array of crosspoints, whose wires, switches and parasitics `compiler.layout` extracts."""
    takes_factors: bool
    """Whether it takes a product by its factors (`compile_system`) in place of a matrix."""
    parts_type: type
    """The record of its component values."""
    probes: tuple[float, ...]
    """See `PROBE_TIMES`."""

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """The scaling d (n,) with which it can hold the matrix; None if it cannot. And the reason, as the end of a sentence."""
        ...

    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[Any, float]:
        """Nominal parts for the scaled matrix D A D, and the physical unit (S, 1/H or F) that one problem unit became."""
        ...

    def tau(self, unit: float, technology: Technology) -> float:
        """Seconds in which a unit of x with unit curvature relaxes (or swings through one radian), from `place`'s unit."""
        ...

    def settling(self, parts: Any, smallest: float, unit: float, technology: Technology) -> float:
        """Slowest time constant, s, of parts that hold a matrix with this smallest eigenvalue (problem units)."""
        ...

    def realised(self, parts: Any, technology: Technology) -> Matrix:
        """The matrix of these parts, (n, n) in the unit of `place`, scaled by d on both sides; finite gain included."""
        ...

    def is_stable(self, parts: Any, technology: Technology) -> bool:
        """Whether every mode decays."""
        ...

    def admittance(self, parts: Any, technology: Technology, s: complex) -> Matrix:
        """Y(s), (n, n) in A/V: the drive currents that hold the cells' read voltages."""
        ...

    def drive(self, parts: Any) -> np.ndarray:
        """(n,) current really driven over the nominal one."""
        ...

    def behaviour(self, parts: Any) -> Behaviour:
        """The first-order differential law of these parts, for device models. UnrealisableError where there is none."""
        ...

    def readout(self, parts: Any) -> tuple[list[tuple[str, str]], np.ndarray]:
        """The node pair that carries each cell, and (n,) the state (V, or Wb) that one volt there stands for."""
        ...

    def drives(self, parts: Any) -> list[dict[str, float]]:
        """For each cell the sources that drive it, and their values for +1 A."""
        ...

    def analysis(
        self, parts: Any, technology: Technology, nodes: tuple[str, ...], settling: Callable[[], float]
    ) -> Analysis:
        """What shows the solution in a simulator; `settling` works out the slowest time constant (s), if that is needed."""
        ...

    def lower(
        self, netlist: Netlist, parts: Any, technology: Technology, currents: np.ndarray, state: np.ndarray
    ) -> None:
        """Add the circuit to a netlist, driven by `currents` (A) and starting at cell voltages `state` (V)."""
        ...

    def inventory(self, parts: Any) -> Iterator[tuple[str, np.ndarray]]:
        """(kind, values) of all parts: resistor (ohm), capacitor (F), inductor (H), amplifier (no values but a count of them)."""
        ...


class ActiveFabric(Fabric, Protocol):
    """A fabric whose amplifiers can be exchanged."""

    def lower(
        self,
        netlist: Netlist,
        parts: Any,
        technology: Technology,
        currents: np.ndarray,
        state: np.ndarray,
        amplifier: AmplifierCell | None = None,
    ) -> None:
        """As `Fabric.lower`; `amplifier` stands in for the one-pole amplifier of the technology."""
        ...


def rails(i: int) -> tuple[str, str]:
    """Names of the two nodes whose voltage difference is unknown i (0-based): `p1`, `m1` for the first."""
    return f"p{i + 1}", f"m{i + 1}"


def couplings(parts: Any) -> Iterator[tuple[int, int, int]]:
    """Indices (rail, i, j) of the resistors that exist."""
    for rail, i, j in zip(*np.nonzero(parts.coupling * parts.polarity), strict=True):
        yield int(rail), int(i), int(j)


def group_name(i: int) -> str:
    """The cell that a part of unknown i (0-based) belongs to, for hierarchical netlists."""
    return f"cell{i + 1}"


def pair_drives(prefix: str, n: int, per_ampere: float, rails_count: int) -> list[dict[str, float]]:
    """Drives of named sources, half of it on either rail with opposite sign, or all of it on the only one."""
    if rails_count == 1:
        return [{f"{prefix}{i + 1}": per_ampere} for i in range(n)]
    return [{f"{prefix}{i + 1}p": per_ampere / 2, f"{prefix}{i + 1}m": -per_ampere / 2} for i in range(n)]
