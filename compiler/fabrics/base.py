"""`Fabric`: one kind of circuit that a matrix can become, and what the compiler's passes ask of it.

A fabric turns a scaled matrix S = D A D into parts (`place`), parts into a netlist (`lower`), and states the law that the netlist must then
be found to obey (`admittance`). Cell i is read as the voltage between two nodes (`readout`) and driven by a current (`drives` says through
which sources). What concerns the component values alone, their `Parts` answer. Nothing outside of this package asks which fabric it has: a
new one is a file with a subclass of `Fabric` and one of `Parts`, and a line in the registry.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from scipy import sparse

from ...circuits.amplifiers.models import AmplifierCell
from ...circuits.errors import UnrealisableError
from ...circuits.netlist.analyses import Analysis, OperatingPoint
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.technology import Technology
from ..linear_law import LinearLaw
from ..matrices import Matrix, comparison_matrix, dense, is_positive_definite
from ..parts import AtRest, Behaviour, CellNoise, Parts
from .second_order import SecondOrder

LARGEST_DENSE = 3000
"""Most unknowns of the fabrics that keep dense arrays."""


class Swing(NamedTuple):
    """Outputs of one kind of amplifier after a step of the drive.

    Attributes:
        volts: (n,) largest voltage, of both rails' difference, at a volt a problem unit.
        load: (n,) S from each output to virtual grounds, mean of the rails.
    """

    volts: np.ndarray
    load: np.ndarray


class Fabric(abc.ABC):
    """From a scaled matrix to parts, from parts to their law and to a netlist.

    A fabric has no state: one instance serves every program. `parts` is of its `parts_type` and has n cells. Matrices of parts are in the
    fabric's `unit`.
    """

    name: str
    """Registered name."""
    title: str
    """Description in a few words."""
    parts_type: ClassVar[type[Parts]]
    """The record of its component values."""
    unit: str = "S"
    """Unit of what a matrix entry becomes: S, 1/H or F."""
    symmetric: bool
    """Whether the coupling (i, j) is the same physical part as (j, i)."""
    active: bool
    """Whether it has amplifiers, which can then be exchanged for others (`lower`)."""
    outputs: int = 0
    """Outputs that each of its amplifiers must have, 1 or 2; 0 where it has none."""
    slow_inputs: tuple[Literal["voltage", "current"], ...] = ()
    """Kinds of the inputs with 1/f noise in its linear law (`LinearLaw.slow`), in their order."""
    mean: bool = True
    """Whether A^-1 b can be read off the mean under a constant drive."""
    covariance: bool = False
    """Whether A^-1 can be read off the stationary covariance under Johnson noise."""
    keeps_sparse: bool = False
    """Whether it places a sparse matrix as it is; else the matrix is written out, as an array has a place for every entry."""
    automatic: bool = False
    """Whether `fabric="auto"` may choose it, in the registry's order."""
    has_device_model: bool = False
    """Whether devices can be modelled after it: by the first-order law of `behaviour`, or by `linear_law`."""
    has_linear_law: bool = False
    """Whether `linear_law` has its law, in place of `behaviour`."""
    can_calibrate: bool = False
    """Whether a device card can be fitted to it."""
    has_dies: bool = False
    """Whether its parts can be put on a die (`Parts.on_die`)."""
    has_layout: bool = False
    """Whether it is an array of crosspoints with `ArrayParts`, whose wires, switches and parasitics `compiler.layout` extracts."""
    has_slices: bool = False
    """Whether a crosspoint may have a second resistor (`resistors.slices`)."""
    takes_factors: bool = False
    """Whether it takes a product by its factors (`place_factors`) in place of a matrix."""
    has_inductors: bool = False
    """Whether it has inductors."""
    schematic: Literal["network", "array", "oscillators"] | None = None
    """How a small program is drawn: nodes with parts between them, lines with amplifiers, these with two a cell, or only as a graph of
    couplings."""
    overshoot: float = 1.0
    """Most that a cell swings to over where it settles from rest: 1 where it does not overshoot, 2 without friction."""
    states: int = 1
    """Voltages of a cell that a host sets, and goes on from: 1 where cells are first order; of oscillators first the one that is read, then
    that of its velocity. Vectors of them have those of all cells one after another, (states * n,)."""
    needs_floor: bool = False
    """Whether its parts depend on a lower bound of the matrix's smallest eigenvalue (`place_bounded`)."""
    sets_state: bool = True
    """Whether a host can set these voltages; if not, a run starts from rest, or goes on from where the last one ended."""
    probes: tuple[float, ...] = (0.0, 1.0)
    """Laplace variables, in 1 / tau, at which law and netlist are compared: rest, and one that shows all storage."""

    @abc.abstractmethod
    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """The scaling d (n,) with which it can hold the matrix; None if it cannot. And the reason, as the end of a sentence."""

    @abc.abstractmethod
    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[Any, float]:
        """Nominal parts for the scaled matrix D A D, and the physical unit (S, 1/H or F) that one problem unit became."""

    def place_bounded(
        self, scaled_matrix: Matrix, scaling: np.ndarray, technology: Technology, floor: float | None
    ) -> tuple[Any, float]:
        """As `place`, for fabrics whose parts depend on a lower bound of the matrix's smallest eigenvalue, too.

        Args:
            floor: the bound, problem units of the unscaled A; None: they work out the eigenvalue itself.
        """
        return self.place(scaled_matrix, scaling, technology)

    def place_factors(
        self,
        factors: tuple[sparse.csr_array, ...],
        damping: float,
        scaling: np.ndarray,
        technology: Technology,
        sides: tuple[int, ...] = (),
    ) -> tuple[Any, float]:
        """As `place`, for D (factors[0] @ factors[1] @ ... + damping) D; where it `takes_factors`.

        Args:
            factors: unscaled, with outer sides n. damping: problem units. scaling: d, (n,).
            sides: (p, q) where the factors are A (x) 1 and 1 (x) B, whose copies of A and B a die numbers (`FactoredSystem`).
        """
        raise UnrealisableError(f"fabric {self.name} does not take a matrix by its factors")

    def resistor_count(self, factors: tuple[sparse.csr_array, ...]) -> int:
        """Resistors of one rail that hold these factors; where it `takes_factors`."""
        raise UnrealisableError(f"fabric {self.name} does not take a matrix by its factors")

    def tau(self, unit: float, technology: Technology) -> float:
        """Seconds in which a unit of x with unit curvature relaxes (or swings through one radian), from `place`'s unit: C / g."""
        return technology.capacitors.unit / unit

    def remarks(self, parts: Any, technology: Technology) -> list[str]:
        """What a designer should know of nominal parts beside why the fabric was chosen, as ends of a sentence."""
        return []

    @abc.abstractmethod
    def settling(self, parts: Any, smallest: float, unit: float, technology: Technology) -> float:
        """Slowest time constant, s, of parts that hold a matrix with this smallest eigenvalue (problem units)."""

    @abc.abstractmethod
    def realised(self, parts: Any, technology: Technology) -> Matrix:
        """The matrix K of these parts, (n, n) in the unit of `place`, scaled by d on both sides; finite gain included."""

    def is_stable(self, parts: Any, technology: Technology) -> bool:
        """Whether every mode decays: in a passive network where each node is tied to ground.

        Then the comparison matrix of K, which the common mode of two rails obeys, is positive definite.
        """
        return is_positive_definite(comparison_matrix(self.realised(parts, technology)))

    def grows(self, parts: Any, technology: Technology) -> bool:
        """Whether a mode of the circuit grows, with all that amplifiers' gain and bandwidth do.

        `is_stable` is what the devices' first-order law says of it; the two differ where bandwidth matters, or the rails' difference.
        """
        return not self.is_stable(parts, technology)

    def at_rest(self, parts: Any, technology: Technology) -> AtRest:
        """The law at rest of these parts, each with its own deviation. By default that of the mean of the rails, or of the linear law."""
        if self.has_linear_law:
            return _resting(self.linear_law(parts, technology))
        law, leak = self.behaviour(parts), 1.0 / technology.opamp.gain if self.active else 0.0
        return AtRest(
            dense(self.realised(parts, technology)), self.drive(parts), law.offset_currents(parts.offset, leak)
        )

    def noise(self, parts: Any, technology: Technology) -> Callable[[float], CellNoise]:
        """Noise at a frequency, Hz. By default the Johnson noise of the first-order law; amplifiers have none."""
        law = self.behaviour(parts)

        def at(frequency: float) -> CellNoise:
            admittance = law.conductance + 2j * math.pi * frequency * np.diag(law.capacitance)
            return CellNoise(admittance, law.noise, np.zeros_like(law.noise))

        return at

    @abc.abstractmethod
    def admittance(self, parts: Any, technology: Technology, s: complex) -> Matrix:
        """Y(s), (n, n) in A/V: the drive currents that hold the cells' read voltages. s in 1/s; `verify` asks for real ones."""

    def without_leak(self, parts: Any, leak: float) -> Any:
        """Parts whose matrix, with what amplifiers of gain 1 / `leak` add to it, is that of `parts`; `parts` where they add nothing."""
        return parts

    def inertia(self, parts: Any) -> np.ndarray | None:
        """Coefficient of s^2 in Y(s) with ideal amplifiers, (n,), which makes tau^2 what it is; None where `capacitances` say all."""
        return None

    def drive(self, parts: Any) -> np.ndarray:
        """(n,) current really driven over the nominal one; ones where sources are the drive."""
        return np.ones(parts.size)

    def swings(
        self,
        parts: Any,
        technology: Technology,
        target: Matrix,
        scaling: np.ndarray,
        unit: float,
        b: np.ndarray | None,
    ) -> list[Swing]:
        """How far each kind of amplifier's outputs go after a step from rest, where that is farther than where cells settle; else [].

        Args:
            target: A, problem units. scaling: d, (n,). unit: of `place`.
            b: (n,) right-hand side; None: the worst of unit Euclidean norm, for each output.
        """
        return []

    def drive_unit(self, technology: Technology) -> float:
        """Current for a volt of a DAC in the first range, A/V, where current sources are the drive."""
        return 1.0 / technology.resistors.unit

    def second_order(
        self, parts: Any, technology: Technology, target: Matrix, unit: float, swings: list[Swing], settled: float
    ) -> SecondOrder | None:
        """Figures of cells of second order, for a report; None: they are of first order, or nothing is to be said of them.

        Args:
            target, unit: as for `swings`. swings: what that returned.
            settled: largest voltage at which a cell rests, at a volt a problem unit.
        """
        return None

    def behaviour(self, parts: Any) -> Behaviour:
        """The first-order differential law of these parts; UnrealisableError where there is none, see `linear_law`."""
        raise UnrealisableError(
            f"fabric {self.name} has no first-order law; fabric_names('has_device_model') lists those with a law that devices propagate"
        )

    def linear_law(self, parts: Any, technology: Technology) -> LinearLaw:
        """The law of the circuit with all its states (`LinearLaw`); UnrealisableError where there is none beyond `behaviour`."""
        raise UnrealisableError(
            f"fabric {self.name} has no linear law of its own; its first-order law is behaviour(parts)"
        )

    def readout(self, parts: Any) -> tuple[list[tuple[str, str]], np.ndarray]:
        """The node pair that carries each cell, and (n,) the state (V, or Wb) that one volt there stands for.

        By default p<k> against m<k>, or against ground with one rail.
        """
        n = parts.size
        return [rails(i) if parts.rails == 2 else (f"p{i + 1}", "0") for i in range(n)], np.ones(n)

    def kept_nodes(self, parts: Any) -> tuple[str, ...]:
        """The nodes that `kept_volts` needs, ground among them or not. By default those that are read."""
        return tuple(node for pair in self.readout(parts)[0] for node in pair)

    def kept_volts(self, parts: Any, technology: Technology, voltages: Mapping[str, Any]) -> np.ndarray:
        """Voltages that a host keeps (see `states`), (states n,) or (states n, T) V, from node voltages of a `probed` netlist, ground's in
        them: those from which `lower` starts where these are. By default what is read."""
        return np.array([np.asarray(voltages[plus]) - voltages[minus] for plus, minus in self.readout(parts)[0]])

    def notes(self, parts: Any) -> list[str]:
        """Lines that a netlist's comments have besides: what nodes and parts with names of the fabric's own are."""
        return []

    def probed(self, netlist: Netlist, technology: Technology) -> Netlist:
        """A netlist of `lower` in whose node voltages all that a host keeps can be seen. By default it is as it is."""
        return netlist

    @abc.abstractmethod
    def drives(self, parts: Any) -> list[dict[str, float]]:
        """For each cell the sources that drive it, and their values for +1 A."""

    def analysis(
        self, parts: Any, technology: Technology, nodes: tuple[str, ...], settling: Callable[[], float]
    ) -> Analysis:
        """What shows the solution in a simulator, by default the operating point.

        Args:
            nodes: that carry the solution.
            settling: works out the slowest time constant (s), if that is needed.
        """
        return OperatingPoint(nodes=nodes)

    @abc.abstractmethod
    def lower(
        self,
        netlist: Netlist,
        parts: Any,
        technology: Technology,
        currents: np.ndarray,
        state: np.ndarray,
        amplifier: AmplifierCell | None = None,
    ) -> None:
        """Add the circuit to a netlist.

        Args:
            currents: drive of each cell, (n,) A.
            state: voltages that cells start at, (states * n,) V (see `states`); (n,) leaves the others at zero.
            amplifier: in active fabrics, stands in for the one-pole amplifier of the technology.
        """


def _resting(law: LinearLaw) -> AtRest:
    """v = -R F^-1 (B I + c), with F regular."""
    states = np.linalg.solve(law.drift, -np.column_stack([law.drive, law.constant]))
    shown = law.read @ states
    matrix = np.linalg.inv(shown[:, :-1])
    return AtRest(matrix, np.ones(law.size), matrix @ shown[:, -1])


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


def pair_drives(prefix: str, n: int, per_ampere: float, rail_count: int) -> list[dict[str, float]]:
    """Drives of named sources, half of it on either rail with opposite sign, or all of it on the only one."""
    if rail_count == 1:
        return [{f"{prefix}{i + 1}": per_ampere} for i in range(n)]
    return [{f"{prefix}{i + 1}p": per_ampere / 2, f"{prefix}{i + 1}m": -per_ampere / 2} for i in range(n)]
