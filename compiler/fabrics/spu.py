"""`spu`: capacitively coupled RLC cells, the published eight-cell stochastic processing unit; A^-1 is read off a covariance.

With the Maxwell capacitance matrix C = u D A D, an inductor L and a resistor R from each node to ground, the inductor currents i:

    di = L^-1 v dt,     dv = -C^-1 (R^-1 v + i) dt + C^-1 dW,     Cov(v) = k T C^-1 (Johnson noise of R at T)

and (S R / 2) C^-1 with an injected white noise current of two-sided density S at each node instead (Melanson et al., Nature
Communications 16:3757, 2025, where the cells are joined all to all by switched capacitors). Conditions: A a nonsingular M-matrix, as
`rc`. Parts: a capacitor per coupling; a capacitor, an inductor and a resistor per cell. Time constant 2 R C. The mean is zero at rest, so a
drive is no part of it. A cell is set by v and by the voltage that i makes in a unit resistor. First-order errors: each capacitor's
deviation enters C; parasitics to ground add to the diagonal.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.constants import Boltzmann

from ...circuits.amplifiers.models import AmplifierCell
from ...circuits.netlist.analyses import Analysis, Noise
from ...circuits.netlist.elements import CCVS, Capacitor, CurrentSource, Inductor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.e_series import preferred_conductance
from ...circuits.technology.technology import Technology
from ..linear_law import LinearLaw
from ..matrices import Matrix, dense, smallest_eigenvalue, with_diagonal_added
from ..parts import AtRest, Kind
from ..symbolic_law import Line, SymbolicLaw, Term, term
from .base import Fabric, group_name, pair_drives
from .network import Network, branches, own_temperature, signed_scaling

SENSED = "I1"
"""The noise port that a small-signal noise analysis refers its result to: of unit amplitude there, which changes nothing else."""


@dataclass(frozen=True)
class CoupledCells(Network):
    """Coupling capacitors and one to ground by weight F, inductors as storage, resistors as shunt."""

    kind: ClassVar[Kind] = "capacitor"
    storage_kind: ClassVar[Kind] = "inductor"

    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        """Capacitors, inductors, resistors."""
        present = np.concatenate([self.coupling.ravel(), self.ground.ravel()])
        yield "capacitor", present[present > 0]
        yield "inductor", self.storage.ravel()
        yield "resistor", 1.0 / self.shunt.ravel()

    def write_law(self, law: SymbolicLaw) -> None:
        """(s C + 1/R + 1/(s L)) v = I."""
        for i, (own, joined) in enumerate(law.branches("C", self.branch_weights(), self.ground[0].tolist())):
            resistor = Term(1 / law.part("R", (i + 1,), 1.0 / float(self.shunt[0, i])), (), law.volts[i])
            inductor = Term(1 / (law.part("L", (i + 1,), float(self.storage[0, i])) * law.s), (), law.volts[i])
            left = (resistor, inductor, *law.coupled(i, own, joined, law.volts, law.s))
            law.cells.append(Line(left, (term(law.currents[i]),)))
        law.driven()


class SPU(Fabric):
    """Coupled cells read by their covariance."""

    name = "spu"
    title = "capacitively coupled RLC cells"
    parts_type = CoupledCells
    unit = "F"
    symmetric, active, mean, covariance, keeps_sparse = True, False, False, True, True
    has_inductors = can_calibrate = has_dies = has_linear_law = has_device_model = True
    schematic = "network"
    states = 2
    probes = (0.5, 2.0)  # at rest inductors hold every node at ground

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """The H-matrix scaling, for M-matrices only."""
        return signed_scaling(matrix)

    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[CoupledCells, float]:
        """The largest capacitor becomes one unit capacitor; every cell has one unit inductor and one unit resistor."""
        first, second, polarity, weights, ground = branches(scaled)
        unit = technology.capacitors.unit / max(float(weights.max(initial=0.0)), float(ground.max()))
        ambient, n = technology.thermal.ambient, len(ground)
        parts = CoupledCells(
            first=first,
            second=second,
            polarity=polarity,
            coupling=unit * weights[None],
            ground=unit * ground[None],
            storage=np.full((1, n), technology.inductors.unit),
            shunt=preferred_conductance(np.full((1, n), 1.0 / technology.resistors.unit), technology.resistors.series),
            coupling_temperature=np.full(len(first), ambient),
            ground_temperature=np.full(n, ambient),
        )
        return parts, unit

    def tau(self, unit: float, technology: Technology) -> float:
        """Time constant R C of unit curvature, s."""
        return technology.resistors.unit * unit

    def settling(self, parts: CoupledCells, smallest: float, unit: float, technology: Technology) -> float:
        """An upper bound: 2 R C of the largest mode where it swings, L / R where it creeps."""
        largest = float(np.asarray(abs(parts.matrix()).sum(axis=1)).max())  # of a row bounds the largest eigenvalue
        resistance = technology.resistors.unit
        return max(2 * resistance * largest, technology.inductors.unit / resistance)

    def realised(self, parts: CoupledCells, technology: Technology) -> Matrix:
        """The capacitance matrix."""
        return parts.matrix()

    def admittance(self, parts: CoupledCells, technology: Technology, s: complex) -> Matrix:
        """Y(s) = s C + 1/R + 1/(s L)."""
        own = parts.shunt[0] + 1.0 / (np.real(s) * parts.storage[0])
        return with_diagonal_added(np.real(s) * parts.matrix(), own)

    def linear_law(self, parts: CoupledCells, technology: Technology) -> LinearLaw:
        """Node voltages, then inductor currents, A: C dv/dt = I - v / R - i + noise of density 2 k T / R, L di/dt = v."""
        n, shunt = parts.size, parts.shunt[0]
        elastance, nothing, eye = (
            np.linalg.inv(parts.node_matrix()),
            np.zeros((parts.size, parts.size)),
            np.eye(parts.size),
        )
        noise = elastance * (2 * Boltzmann * parts.ground_temperature * shunt) @ elastance
        ohm = technology.resistors.unit
        return LinearLaw(
            drift=np.block([[-elastance * shunt, -elastance], [np.diag(1.0 / parts.storage[0]), nothing]]),
            drive=np.concatenate([elastance, nothing]),
            constant=np.zeros(2 * n),
            johnson=np.block([[noise, nothing], [nothing, nothing]]),
            amplifiers=np.zeros((2 * n, 2 * n)),
            read=np.concatenate([eye, nothing], axis=1),
            start=np.block([[eye, nothing], [nothing, eye / ohm]]),
            kept=np.block([[eye, nothing], [nothing, ohm * eye]]),
        )

    def at_rest(self, parts: CoupledCells, technology: Technology) -> AtRest:
        """C, whose inverse is in the covariance; a drive does not rest there."""
        return AtRest(dense(parts.matrix()), np.ones(parts.size), np.zeros(parts.size))

    def kept_nodes(self, parts: CoupledCells) -> tuple[str, ...]:
        """The nodes, then the probes of the inductors' currents."""
        return (*super().kept_nodes(parts), *(f"i{k + 1}" for k in range(parts.size)))

    def kept_volts(self, parts: CoupledCells, technology: Technology, voltages: Mapping[str, Any]) -> np.ndarray:
        """Node voltages, and inductor currents in a unit resistor."""
        currents = [np.asarray(voltages[f"i{k + 1}"]) for k in range(parts.size)]
        return np.concatenate([super().kept_volts(parts, technology, voltages), currents])

    def probed(self, netlist: Netlist, technology: Technology) -> Netlist:
        """With node i<k>, whose voltage an inductor's current makes in a unit resistor."""
        other = Netlist(netlist.title, netlist.temperature, netlist.comments)
        for part in netlist:
            group = netlist.group_of(part.name)
            if not isinstance(part, Inductor):
                other.add(part, group=group)
                continue
            k = part.name[1:]
            other.add(
                dataclasses.replace(part, b=f"s{k}"),
                VoltageSource(f"VS{k}", f"s{k}", part.b, 0.0),
                CCVS(f"H{k}", f"i{k}", "0", f"VS{k}", technology.resistors.unit),
                group=group,
            )
        return other

    def drives(self, parts: CoupledCells) -> list[dict[str, float]]:
        """The noise ports: one current source per cell."""
        return pair_drives("I", parts.size, 1.0, 1)

    def analysis(
        self, parts: CoupledCells, technology: Technology, nodes: tuple[str, ...], settling: Callable[[], float]
    ) -> Analysis:
        """The noise spectrum of the first cell: the square of its total is the first entry of the covariance."""
        smallest = smallest_eigenvalue(parts.matrix())
        inductance, conductance = float(parts.storage.min()), float(parts.shunt.max())
        fastest = max(1.0 / math.sqrt(inductance * smallest), conductance / smallest) / (2 * math.pi)
        return Noise(nodes[0], SENSED, 1e-3 / settling(), 1e3 * fastest)

    def lower(
        self,
        netlist: Netlist,
        parts: CoupledCells,
        technology: Technology,
        currents: np.ndarray,
        state: np.ndarray,
        amplifier: AmplifierCell | None = None,
    ) -> None:
        """Coupling capacitors; for each cell its capacitor, inductor, resistor and noise port."""
        n = parts.size
        begun = state[n:] / technology.resistors.unit if np.any(state[n:]) else None
        for k in range(len(parts.first)):
            i, j = int(parts.first[k]) + 1, int(parts.second[k]) + 1
            start = float(state[i - 1] - state[j - 1])
            netlist.add(Capacitor(f"C{i}_{j}", f"p{i}", f"p{j}", float(parts.coupling[0, k]), initial=start))
        for i in range(parts.size):
            node, k, group = f"p{i + 1}", i + 1, group_name(i)
            if parts.ground[0, i] > 0:
                netlist.add(
                    Capacitor(f"CG{k}", node, "0", float(parts.ground[0, i]), initial=float(state[i])), group=group
                )
            netlist.add(
                Inductor(f"L{k}", node, "0", float(parts.storage[0, i]), None if begun is None else float(begun[i])),
                Resistor(f"R{k}", node, "0", 1.0 / float(parts.shunt[0, i]), own_temperature(parts, i, technology)),
                CurrentSource(f"I{k}", "0", node, float(currents[i]), ac=1.0),
                group=group,
            )
