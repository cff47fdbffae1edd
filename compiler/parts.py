"""`Parts`: what a record of component values answers for itself, whatever circuit it belongs to.

A fabric places a matrix as parts; the compiler's passes, reports and devices ask the parts, and none asks which kind they are. A record is
a frozen dataclass whose fields are numpy arrays, scipy sparse arrays, tuples of these and floats, all in SI units, so that it can be saved
and copied field by field. In differential fabrics unknown i is the voltage v_i = V(p_i) - V(m_i) of two rails, and every component exists
twice; the differential law sees the mean of the two, their difference enters in second order only.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy import sparse

from ..circuits.errors import UnrealisableError
from ..circuits.technology.die import Die
from ..circuits.technology.redraw import Redraw
from ..circuits.technology.thermal import heat_at
from .inverters import Inverters
from .matrices import Matrix, diagonal, is_sparse
from .perturbation import Effect, Perturbation, Programmed
from .symbolic_law import SymbolicLaw

Kind = Literal["resistor", "inductor", "capacitor"]


@dataclass(frozen=True)
class Behaviour:
    """First-order law of a fabric's cells, C dv/dt = -K v + drive * I + L Vos + noise, and what inverters add to it.

    Attributes:
        conductance: K, (n, n) S; that of ideal inverters in it.
        load: L, (n,) S: the conductance that an amplifier's input sees; finite gain A0 adds L / A0 to K and finite
            gain-bandwidth adds L / (2 pi GBW) to C. Zero in passive fabrics.
        drive: (n,) realised over nominal drive current.
        capacitance: C, (n,) F.
        noise: (n, n) two-sided density of the differential Johnson currents, A^2/Hz; without what inverters add.
        inverters: of a single-ended array; None: there are none.
        ratios: gain and gain-bandwidth product of the cells' amplifiers over the technology's, (2, n) or (2, 1).
    """

    conductance: np.ndarray
    load: np.ndarray
    drive: np.ndarray
    capacitance: np.ndarray
    noise: np.ndarray
    inverters: Inverters | None = None
    ratios: np.ndarray = dataclasses.field(default_factory=lambda: np.ones((2, 1)))

    def at_rest(self, leak: float) -> np.ndarray:
        """K with what amplifiers of gain 1 / leak add to it, (n, n) S."""
        leaking = self.conductance + np.diag(leak / self.ratios[0] * self.load)
        return leaking if self.inverters is None else np.asarray(leaking + self.inverters.added(leak, 0.0, 0.0)[0])

    def offset_currents(self, offset: np.ndarray, leak: float) -> np.ndarray:
        """What offsets Vos, (n,) V, of the cells' amplifiers and those of the inverters drive into the cells, (n,) A."""
        own = self.load * offset
        return own if self.inverters is None else np.asarray(own + self.inverters.offset_currents(leak))


@dataclass(frozen=True, eq=False)
class AtRest:
    """A circuit at rest, with all that differs between its rails: K v = drive * I + offset.

    Attributes:
        matrix: K, (n, n) S. drive: (n,) realised over nominal drive current. offset: (n,) A, of the amplifiers' offset voltages.
    """

    matrix: np.ndarray
    drive: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True, eq=False)
class CellNoise:
    """What noise there is at one frequency: Y v = noise currents, all differential, as the drive's.

    Attributes:
        admittance: Y(2 pi i f), (n, n) A/V. johnson, amplifiers: (n, n) two-sided densities of the currents, A^2/Hz.
    """

    admittance: np.ndarray
    johnson: np.ndarray
    amplifiers: np.ndarray


@dataclass(frozen=True, eq=False)
class Dissipation:
    """Heat of each resistor at rest, W; shapes are those of the parts.

    Attributes:
        coupling: (rails, n, n) of an array, (rails, m) of a network; where (i, j) and (j, i) are one part, it is at i < j.
        ground: (rails, n) resistors to ground.
        drive: (rails, n) input resistors; zeros where currents are the drive.
        inverter: (2, n) input and feedback resistors of inverters, at the places of the input resistors; None: there are none.
    """

    coupling: np.ndarray
    ground: np.ndarray
    drive: np.ndarray
    inverter: np.ndarray | None = None

    @property
    def total(self) -> float:
        """Sum over all parts, W."""
        kinds = (self.coupling, self.ground, self.drive, self.inverter)
        return float(sum(kind.sum() for kind in kinds if kind is not None))


RAIL = 1 << 32
"""Rows of one rail, of channels that count both."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where programmed conductances of one kind are on the die.

    Attributes:
        kind: "coupling", "ground", "second_slice" or "friction".
        rail, row, column: numbers from 0, which broadcast to the shape of the conductances. Places of one and the same part are equal.
    """

    kind: Programmed
    rail: np.ndarray
    row: np.ndarray
    column: np.ndarray

    def drawn(self, of: Die | Redraw, error: str) -> np.ndarray:
        """Standard normal deviates of these parts for one kind of error, such as "write_noise": the die's own, or drawn anew."""
        return of.deviates_of(f"{self.kind}_{error}", self.rail * RAIL + self.row, self.column)


@dataclass(frozen=True)
class Stamps:
    """What each of `Parts.conductances` adds to the matrix K of the fabric: part e adds g_e l_e r_e^T.

    Attributes:
        left, right: (m, n) sparse, row e is l_e or r_e.
    """

    left: sparse.csr_array
    right: sparse.csr_array

    @classmethod
    def of_branches(cls, first: np.ndarray, second: np.ndarray, polarity: np.ndarray, n: int) -> Stamps:
        """Two-terminal parts between cells, l = r = e_i + p e_j, then one from each cell to ground, l = r = e_i."""
        ends = sparse.csr_array((polarity.astype(float), (np.arange(len(first)), second)), shape=(len(first), n))
        both = sparse.csr_array(sparse.vstack([_unit_rows(first, n) + ends, _unit_rows(np.arange(n), n)]))
        return cls(both, both)

    @classmethod
    def of_entries(cls, first: np.ndarray, second: np.ndarray, polarity: np.ndarray, n: int) -> Stamps:
        """Crosspoints, l = p e_i and r = e_j, then one part from each cell to ground."""
        ground = _unit_rows(np.arange(n), n)
        signed = sparse.diags_array(polarity.astype(float)) @ _unit_rows(first, n)
        return cls(
            sparse.csr_array(sparse.vstack([signed, ground])),
            sparse.csr_array(sparse.vstack([_unit_rows(second, n), ground])),
        )


@dataclass(frozen=True, eq=False)
class Parts(abc.ABC):
    """Component values of n cells. Subclasses are frozen dataclasses, too.

    What has a default says that the fabric does without: no input resistors, no amplifiers, no dies, no equations in symbols.
    """

    kind: ClassVar[Kind] = "resistor"
    """What the couplings are made of."""

    # Size and drive

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Number of unknowns n."""

    @property
    @abc.abstractmethod
    def rails(self) -> int:
        """Number of nodes that carry one unknown, 1 or 2."""

    # A record's field can stand in for these two, which it could not for a property.
    drive_nominal = 0.0
    """Conductance that the host assumes for every input resistor, S; 0 where currents are the drive."""

    def with_drive(self, conductance: float, die: Die | None = None, mismatch: float | None = None) -> Self:
        """These parts with other input resistors; where there are any.

        Args:
            conductance: of each input resistor, S, nominally.
            die: whose resistors they are, as in `on_die`; None: nominal ones.
            mismatch: relative standard deviation; default the technology's.
        """
        raise UnrealisableError(f"{type(self).__name__} has no input resistors: currents are its drive")

    @cached_property
    def offset(self) -> np.ndarray:
        """Input offset voltages of the amplifiers, (n,) V."""
        return np.zeros(self.size)

    def stages(self) -> list[np.ndarray]:
        """For each stage of amplifiers before the cells the matrix (k, n) from cells' voltages to its outputs."""
        return []

    def amplifier_loads(self) -> list[tuple[np.ndarray | None, np.ndarray]]:
        """What each kind of amplifier drives, [] without amplifiers: of the cells first, then of inverters or stages.

        The matrix (k, n) from cells' voltages to the outputs, None where these are as large as the cells'; and the conductances (k,) S
        from each output to virtual grounds, mean of the rails.
        """
        return []

    # Rounding

    @abc.abstractmethod
    def map_conductances(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """These parts with each conductance that is rounded replaced.

        Args:
            change: conductances (m,) S of distinct parts, 0 for an absent one -> as many. It is called once for each kind of part; the
                rails of a pair and (i, j), (j, i) of one resistor share a value. Both rails are alike before rounding.
        """

    def conductances(self) -> np.ndarray:
        """(m,) S of the distinct resistors that make the matrix, in the order of `stamps`; one rail's, both are alike."""
        raise UnrealisableError(f"{type(self).__name__} has no resistors that add to the matrix one by one")

    def with_conductances(self, values: np.ndarray) -> Self:
        """These parts with other values, (m,) S, of `conductances`, on all rails; nothing else changes."""
        raise UnrealisableError(f"{type(self).__name__} has no resistors that add to the matrix one by one")

    def entries(self) -> np.ndarray:
        """Signed conductances of an array's crosspoints, of the first slice, (n, n) S; one rail's, both are alike."""
        raise UnrealisableError(f"{type(self).__name__} is no array of crosspoints")

    @property
    def slices(self) -> int:
        """Resistors at each crosspoint of an array, 1 or 2."""
        return 1

    def with_entries(self, entries: Sequence[np.ndarray]) -> Self:
        """These parts with other crosspoints on all rails: one array (n, n) of signed conductances, S, for each slice."""
        raise UnrealisableError(f"{type(self).__name__} is no array of crosspoints")

    def rescaled(self, scale: float, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """These parts for crosspoints `scale` times as conductive: what goes with another power of that, rounded by `change`, S -> S."""
        return self

    def stamps(self) -> Stamps | None:
        """How `conductances` add to the matrix; None where they do not add one by one, as in products."""
        return None

    def rounding_bound(self, wanted: Matrix, ratio: float, step: float) -> Any:
        """How far rounding may move each entry of the realised matrix from `wanted`: as `wanted`, or one number.

        Args:
            wanted: (n, n) in the unit of `Fabric.place`.
            ratio: largest relative change of one conductance (E-series).
            step: largest absolute change of one conductance, S (codes).
        """
        return entry_bound(wanted, ratio, step, symmetric=False)

    # Proof

    def capacitances(self) -> np.ndarray | None:
        """(n,) F that hold the cells' states, mean of the rails, which `Fabric.place` chose as C d^2; None where no capacitor does."""
        return None

    def rail_values(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, values) with the first axis counting rails, of every kind of part that a die changes."""
        return iter(())

    # One die

    def on_die(
        self,
        die: Die,
        mismatch: float | None = None,
        capacitor_mismatch: float | None = None,
        offset: float | None = None,
        inductor_mismatch: float | None = None,
    ) -> Self:
        """These parts as that die has them: its shared shift, gradient and temperature at each part's place, and each part's mismatch.

        The die is `supplied`: its amplifiers have warmed it. Unknown i is at (i + 1/2) / n: a coupling (i, j) at row i, column j, a
        resistor to ground on the diagonal, input resistors at the right edge.

        Args:
            die: of the technology that the parts were placed for.
            mismatch, capacitor_mismatch, inductor_mismatch: relative standard deviations; offset: V. They default to the technology's; a
                calibrated surrogate passes those of its card. Die-to-die variation and gradient are always the technology's.
        """
        raise UnrealisableError(f"{type(self).__name__} cannot be put on a die yet")

    def aged(self, die: Die, left: Callable[[np.ndarray], np.ndarray]) -> Self:
        """These parts with programmed conductances, couplings and those to ground, times left(z).

        Args:
            die: of the technology that the parts were placed for.
            left: standard normal deviates z, the die's own of each part -> what is left of the conductance.
        """
        raise UnrealisableError(f"{type(self).__name__} has no programmed conductances whose drift is known")

    def change_programmed(self, change: Callable[[np.ndarray, Place], np.ndarray]) -> Self:
        """These parts with other programmed conductances: couplings and those to ground.

        Args:
            change: conductances (rails, ...) S, 0 for an absent one, and where they are -> as many.
        """
        raise UnrealisableError(f"{type(self).__name__} has no programmed conductances whose errors are known")

    def coupling_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each coupling on the die, 0 to 1; they broadcast to the shape of one rail's couplings."""
        raise UnrealisableError(f"{type(self).__name__} has no places on a die yet")

    def amplifier_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each amplifier on the die, (k,) each, 0 to 1."""
        return np.zeros(0), np.zeros(0)

    def amplifier_heat(self, die: Die) -> np.ndarray:
        """Heat of the amplifiers at rest in each cell of a die's grid, (cells, cells) W: `OpAmp.power` at each one's place."""
        thermal, rows, columns = die.technology.thermal, *self.amplifier_places()
        power = 0.0 if thermal.amplifiers_apart else die.technology.opamp.power
        return heat_at(thermal.cells, power, rows, columns)

    def supplied(self, die: Die) -> Die:
        """The die with these parts' amplifiers at their supplies, whose heat is in its steady temperatures; see `Die.with_heat`."""
        technology = die.technology
        if technology.opamp.power == 0 or technology.thermal.amplifiers_apart:
            return die
        rows, _ = self.amplifier_places()
        if not len(rows):
            return die
        return die.kept("supplied", (len(rows), rows.tobytes()), lambda: die.with_heat(self.amplifier_heat(die)))

    def dissipation(self, volts: np.ndarray, currents: np.ndarray, gain: float) -> Dissipation:
        """Heat of each resistor at rest.

        Args:
            volts: (n,) V of the cells. currents: (n,) A, the host's drive.
            gain: A0 of the amplifiers.
        """
        raise UnrealisableError(f"the heat of {type(self).__name__} is not known part by part")

    # Figures of a report

    @abc.abstractmethod
    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        """(kind, values) of all parts: resistor (ohm), capacitor (F), inductor (H), amplifier (ones, as many as there are)."""

    @abc.abstractmethod
    def code_count(self) -> int:
        """Number of values that program the matrix."""

    def dissipation_bound(self, volts: float, drive_volts: float) -> float:
        """Most heat of all resistors together at rest, W; 0 where none has a voltage at rest.

        Each resistor is taken between its source's largest voltage and ground. That bounds what it makes at a summing node, too: no current
        leaves the node, so that it rests where the heat of its resistors is least (Thomson's principle), and at 0 V they make no less;
        whatever the amplifiers' gain and offset, without bias currents. So do two rails whose difference alone is held: their mean rests
        where the heat is least.

        Args:
            volts: largest magnitude of a cell's voltage, and of any amplifier's output, V. drive_volts: of a voltage before the input
                resistors.
        """
        return 0.0

    def effects(self, perturbation: Perturbation) -> Iterator[Effect]:
        """What each part does to the solution, to first order, kind by kind; nothing where that is not known."""
        return iter(())

    # Equations

    @property
    def symbolic_size(self) -> int:
        """Unknowns, or rows of the largest array between them: what makes equations in symbols long, and most amplifiers of one kind."""
        return self.size

    def write_law(self, law: SymbolicLaw) -> None:
        """Write the fabric's law into `law`, with a symbol for each part."""
        raise UnrealisableError(f"{type(self).__name__} has no law in symbols")


def entry_bound(wanted: Matrix, ratio: float, step: float, symmetric: bool) -> Matrix:
    """`Parts.rounding_bound` where each entry is one conductance; with `symmetric` a diagonal entry is the sum of its row's parts."""
    off = abs(wanted) * ratio
    if not is_sparse(wanted):
        allowed = off + step
        if symmetric:
            np.fill_diagonal(allowed, allowed.sum(axis=1))
        return allowed
    allowed = off + abs(wanted).sign() * step
    sums = np.asarray(allowed.sum(axis=1)).ravel()
    return sparse.csr_array(allowed + sparse.diags_array(sums - diagonal(allowed)))


def _unit_rows(which: np.ndarray, n: int) -> sparse.csr_array:
    """Rows e_k^T, (m, n), for each k of `which`."""
    return sparse.csr_array((np.ones(len(which)), (np.arange(len(which)), which)), shape=(len(which), n))
