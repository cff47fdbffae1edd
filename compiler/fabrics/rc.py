"""`rc`: one RC node for each unknown, positive resistors between them; realises couplings that are negative or zero.

    C_i dv_i/dt = -g sum_j (D A D)_ij v_j + I_i + Johnson noise,    mean (D A D)^-1 I / g,    Cov(v) = k T diag(C)^-1

Conditions: A symmetric, A_ij <= 0 off the diagonal, comparison matrix positive definite (a nonsingular M-matrix). Parts: a resistor
per coupling, a resistor and a capacitor per cell. Time constants C / (g lambda). First-order errors: each resistor's deviation enters
K by its own conductance; there is no amplifier. Capacitors in proportion to d_i^2 keep the path of the unscaled problem.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.constants import Boltzmann

from ...circuits.amplifiers.models import AmplifierCell
from ...circuits.netlist.elements import Capacitor, CurrentSource, Resistor
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.die import Die
from ...circuits.technology.technology import Technology
from ..matrices import Matrix, dense, with_diagonal_added
from ..parts import Behaviour, Dissipation, Place, Stamps, entry_bound
from ..symbolic_law import Line, SymbolicLaw, Term, term
from .base import Fabric, group_name, pair_drives
from .network import Network, branches, signed_scaling


@dataclass(frozen=True)
class ResistorNetwork(Network):
    """A network of resistors with a capacitor at each node; one rail in `rc`."""

    def conductances(self) -> np.ndarray:
        """Couplings, then resistors to ground."""
        return np.concatenate([self.coupling[0], self.ground[0]])

    def with_conductances(self, values: np.ndarray) -> Self:
        """See `Parts.with_conductances`."""
        m = len(self.first)
        return dataclasses.replace(
            self,
            coupling=np.broadcast_to(values[:m], self.coupling.shape).copy(),
            ground=np.broadcast_to(values[m:], self.ground.shape).copy(),
        )

    def map_conductances(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """All resistors are rounded."""
        return self.with_conductances(change(self.conductances()))

    def stamps(self) -> Stamps:
        """Stamps of two-terminal parts."""
        return Stamps.of_branches(self.first, self.second, self.polarity, self.size)

    def rounding_bound(self, wanted: Matrix, ratio: float, step: float) -> Any:
        """Entry by entry, and the sum of a row on the diagonal."""
        return entry_bound(wanted, ratio, step, symmetric=True)

    def capacitances(self) -> np.ndarray:
        """Capacitances of the cells, mean of the rails."""
        return np.asarray(self.storage.mean(axis=0))

    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        """Resistors and capacitors."""
        present = np.concatenate([self.coupling.ravel(), self.ground.ravel()])
        yield "resistor", 1.0 / present[present > 0]
        yield "capacitor", self.storage.ravel()

    def aged(self, die: Die, left: Callable[[np.ndarray], np.ndarray]) -> Self:
        """See `Parts.aged`."""
        rails = range(self.rails)
        deviate = np.array(
            [die.deviates_at("coupling_conductance_drift", rail, self.first, self.second) for rail in rails]
        )
        ground = self.ground * left(die.deviates("ground_conductance_drift", (self.rails, self.size)))
        return dataclasses.replace(self, coupling=self.coupling * left(deviate), ground=ground)

    def change_programmed(self, change: Callable[[np.ndarray, Place], np.ndarray]) -> Self:
        """See `Parts.change_programmed`."""
        n, rails = np.arange(self.size), np.arange(self.rails)[:, None]
        return dataclasses.replace(
            self,
            coupling=change(self.coupling, Place("coupling", rails, self.first, self.second)),
            ground=change(self.ground, Place("ground", rails, n, n)),
        )

    def dissipation_bound(self, volts: float, drive_volts: float) -> float:
        """A branch spans two cells' voltages."""
        return float(self.coupling.sum() * (2 * volts) ** 2 + self.ground.sum() * volts**2)

    def dissipation(self, volts: np.ndarray, currents: np.ndarray, gain: float) -> Dissipation:
        """g (v_i + p v_j)^2 and g v_i^2 with one rail."""
        rail = volts / self.rails
        across = rail[self.first] + self.polarity * rail[self.second]
        return Dissipation(
            coupling=self.coupling * across**2, ground=self.ground * rail**2, drive=np.zeros_like(self.ground)
        )

    def write_law(self, law: SymbolicLaw) -> None:
        """s C v + K v = I."""
        for i, (own, joined) in enumerate(law.branches("R", self.branch_weights(), self.ground[0].tolist())):
            storage = Term(law.part("C", (i + 1,), float(self.storage[0, i])) * law.s, (), law.volts[i])
            law.cells.append(Line((storage, *law.coupled(i, own, joined, law.volts)), (term(law.currents[i]),)))
        law.driven()


class RC(Fabric):
    """The single-rail passive RC fabric."""

    name = "rc"
    title = "passive RC network"
    parts_type = ResistorNetwork
    symmetric, active, keeps_sparse = True, False, True
    automatic = has_device_model = can_calibrate = has_dies = True
    schematic = "network"

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """The H-matrix scaling, for M-matrices only."""
        return signed_scaling(matrix)

    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[ResistorNetwork, float]:
        """The largest branch becomes one unit resistor."""
        first, second, polarity, weights, ground = branches(scaled)
        unit = 1.0 / (technology.resistors.unit * max(float(weights.max(initial=0.0)), float(ground.max())))
        ambient, n = technology.thermal.ambient, len(ground)
        parts = ResistorNetwork(
            first=first,
            second=second,
            polarity=polarity,
            coupling=unit * weights[None],
            ground=unit * ground[None],
            storage=technology.capacitors.unit * scaling[None] ** 2,
            shunt=np.zeros((1, n)),
            coupling_temperature=np.full(len(first), ambient),
            ground_temperature=np.full(n, ambient),
        )
        return parts, unit

    def settling(self, parts: ResistorNetwork, smallest: float, unit: float, technology: Technology) -> float:
        """tau / lambda_min, s."""
        return self.tau(unit, technology) / smallest

    def realised(self, parts: ResistorNetwork, technology: Technology) -> Matrix:
        """The conductance matrix."""
        return parts.matrix()

    def admittance(self, parts: ResistorNetwork, technology: Technology, s: complex) -> Matrix:
        """Y(s) = K + s C."""
        return with_diagonal_added(parts.matrix(), np.real(s) * parts.storage[0])

    def behaviour(self, parts: ResistorNetwork) -> Behaviour:
        """K, C, and the noise 2 k T K at one temperature."""
        noisy = parts.matrix(parts.coupling[0] * parts.coupling_temperature, parts.ground[0] * parts.ground_temperature)
        return Behaviour(
            conductance=dense(parts.matrix()),
            load=np.zeros(parts.size),
            drive=np.ones(parts.size),
            capacitance=parts.storage[0],
            noise=2 * Boltzmann * dense(noisy),
        )

    def drives(self, parts: ResistorNetwork) -> list[dict[str, float]]:
        """One current source per cell."""
        return pair_drives("I", parts.size, 1.0, 1)

    def lower(
        self,
        netlist: Netlist,
        parts: ResistorNetwork,
        technology: Technology,
        currents: np.ndarray,
        state: np.ndarray,
        amplifier: AmplifierCell | None = None,
    ) -> None:
        """Resistors, capacitors and current sources."""
        netlist.add(
            *(
                Resistor(f"R{i + 1}_{j + 1}", f"p{i + 1}", f"p{j + 1}", 1.0 / g, temperature=kelvin)
                for i, j, g, kelvin in zip(
                    parts.first.tolist(),
                    parts.second.tolist(),
                    parts.coupling[0].tolist(),
                    parts.coupling_temperature.tolist(),
                    strict=True,
                )
                if g > 0
            )
        )
        for i in range(parts.size):
            node, group = f"p{i + 1}", group_name(i)
            if parts.ground[0, i] > 0:
                kelvin = float(parts.ground_temperature[i])
                netlist.add(Resistor(f"RG{i + 1}", node, "0", 1.0 / float(parts.ground[0, i]), kelvin), group=group)
            netlist.add(
                Capacitor(f"C{i + 1}", node, "0", float(parts.storage[0, i]), initial=float(state[i])),
                CurrentSource(f"I{i + 1}", "0", node, float(currents[i]), ac=1.0),
                group=group,
            )
