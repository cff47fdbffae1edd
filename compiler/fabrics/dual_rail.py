"""`dual_rail`: a passive network of positive resistors that realises couplings of either sign.

Rails p_i, m_i carry +v_i/2 and -v_i/2. A negative entry A_ij is a resistor between like rails, a positive one between
opposite rails, what is left of the diagonal goes to ground:

    C_i dv_i/dt = -g sum_j (D A D)_ij v_j + I_i + noise,    Cov(v) = 2 k T diag(C)^-1 at one temperature.

Conditions: A symmetric, its comparison matrix positive definite (see `h_matrix`). Parts: two resistors per coupling, two
resistors and two capacitors per cell. Time constants C / (g lambda). First-order errors: the mean deviation of the two resistors of a
pair; their difference couples into the common mode and acts in second order. Capacitors in proportion to d_i^2 make x = D y follow
dx/dt = -(A x - b) / tau, the path of the unscaled problem.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.constants import Boltzmann

from ...circuits.amplifiers.models import AmplifierCell
from ...circuits.netlist.elements import Capacitor, CurrentSource, Resistor
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.technology import Technology
from ..h_matrix import passive_scaling
from ..matrices import Matrix, dense
from ..parts import AtRest, Behaviour, Dissipation
from ..perturbation import Effect, Perturbation
from ..symbolic_law import Line, SymbolicLaw, Term, term
from .array import ArrayParts
from .base import LARGEST_DENSE, Fabric, couplings, group_name, pair_drives, rails


@dataclass(frozen=True)
class DualRailParts(ArrayParts):
    """Pairs of resistors between the rails of two cells, and from the rails to ground."""

    symmetric: ClassVar[bool] = True

    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        """Resistors and capacitors; a coupling is one pair."""
        upper = np.triu(np.ones((self.size, self.size), dtype=bool), 1)
        present = np.concatenate([(self.coupling * np.abs(self.polarity))[:, upper].ravel(), self.ground.ravel()])
        yield "resistor", 1.0 / present[present > 0]
        yield "capacitor", self.capacitance.ravel()

    def code_count(self) -> int:
        """One code sets a symmetric pair."""
        return self.size * (self.size + 1) // 2

    def dissipation_bound(self, volts: float, drive_volts: float) -> float:
        """A branch spans two rails at half of the cells' voltages."""
        pairs = float(np.triu(self.coupling.sum(axis=0) * np.abs(self.polarity), 1).sum())
        return pairs * volts**2 + float(self.ground.sum()) * (volts / 2) ** 2

    def dissipation(self, volts: np.ndarray, currents: np.ndarray, gain: float) -> Dissipation:
        """g (v_i + p v_j)^2 / 4 a rail, and g v_i^2 / 4 to ground."""
        rail, present = volts / 2, self.coupling * np.abs(self.polarity)
        across = rail[:, None] + self.polarity * rail[None, :]
        return Dissipation(
            coupling=np.triu(present * across**2, 1), ground=self.ground * rail**2, drive=np.zeros_like(self.drive)
        )

    def effects(self, perturbation: Perturbation) -> Iterator[Effect]:
        """Couplings, then resistors to ground; each stands for a pair."""
        i, j = np.nonzero(np.triu(self.coupling[0] * np.abs(self.polarity), 1))
        names = [f"R{a + 1}_{c + 1}" for a, c in zip(i, j, strict=True)]
        yield Effect(
            names, self.coupling.mean(axis=0)[i, j], perturbation.branch(i, j, self.polarity[i, j]), "coupling"
        )
        ground = self.ground.mean(axis=0)
        present = np.flatnonzero(ground)
        yield Effect([f"RG{a + 1}" for a in present], ground[present], perturbation.ground(present), "ground")

    def write_law(self, law: SymbolicLaw) -> None:
        """s C v + K v = I."""
        n = self.size
        weights = {(i, j): float(self.coupling[0, i, j]) for i in range(n) for j in range(i + 1, n)}
        for i, (own, joined) in enumerate(law.branches("R", weights, self.ground[0].tolist())):
            storage = Term(law.part("C", (i + 1,), float(self.capacitance[0, i])) * law.s, (), law.volts[i])
            law.cells.append(Line((storage, *law.coupled(i, own, joined, law.volts)), (term(law.currents[i]),)))
        law.driven()


class DualRail(Fabric):
    """The passive dual-rail RC fabric."""

    name = "dual_rail"
    title = "passive dual-rail RC network"
    parts_type = DualRailParts
    symmetric, active = True, False
    automatic = has_device_model = can_calibrate = has_dies = True
    schematic = "network"

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """The H-matrix scaling."""
        if matrix.shape[0] > LARGEST_DENSE:
            return None, f"it has {matrix.shape[0]} unknowns, more than the {LARGEST_DENSE} of a dense fabric"
        return passive_scaling(matrix)

    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[DualRailParts, float]:
        """Parts for D A D; its comparison matrix must have non-negative row sums."""
        scaled = dense(scaled)
        off = scaled - np.diag(np.diag(scaled))
        # A row sum of zero is legal (nothing to ground); rounding must not turn it into a negative resistor.
        ground = np.maximum(np.diag(scaled) - np.abs(off).sum(axis=1), 0.0)
        ground[ground < 1e-13 * np.diag(scaled)] = 0.0
        largest = float(max(np.abs(off).max(initial=0.0), ground.max()))
        unit = 1.0 / (technology.resistors.unit * largest)
        capacitance, ambient = technology.capacitors.unit * scaling**2, technology.thermal.ambient
        parts = DualRailParts.nominal(2, unit * off, unit * ground, 0.0, capacitance, ambient)
        return parts, unit

    def settling(self, parts: DualRailParts, smallest: float, unit: float, technology: Technology) -> float:
        """tau / lambda_min, s."""
        return self.tau(unit, technology) / smallest

    def realised(self, parts: DualRailParts, technology: Technology) -> np.ndarray:
        """The conductance matrix K."""
        return self.behaviour(parts).conductance

    def at_rest(self, parts: DualRailParts, technology: Technology) -> AtRest:
        """K of the voltage between the rails, with the common mode that unlike rails couple it to eliminated."""
        n = parts.size
        nodes = np.zeros((2 * n, 2 * n))
        i, j = np.nonzero(np.triu(parts.polarity, 1))
        for rail in range(2):
            first, second = rail * n + i, np.where(parts.polarity[i, j] < 0, rail, 1 - rail) * n + j
            conductance = parts.coupling[rail, i, j]
            for a, b, sign in (
                (first, first, 1.0),
                (second, second, 1.0),
                (first, second, -1.0),
                (second, first, -1.0),
            ):
                np.add.at(nodes, (a, b), sign * conductance)
        nodes += np.diag(parts.ground.ravel())
        (pp, mp), (pm, mm) = (np.split(half, 2) for half in np.split(nodes, 2, axis=1))
        crossed = (pp + pm - mp - mm) @ np.linalg.solve(pp + pm + mp + mm, pp - pm + mp - mm) / 2
        return AtRest((pp - pm - mp + mm) / 2 - crossed, np.ones(n), np.zeros(n))

    def admittance(self, parts: DualRailParts, technology: Technology, s: complex) -> np.ndarray:
        """Y(s) = K + s C of the differential mode."""
        law = self.behaviour(parts)
        return law.conductance + s * np.diag(law.capacitance)

    def drives(self, parts: DualRailParts) -> list[dict[str, float]]:
        """Half of the current on either rail."""
        return pair_drives("I", parts.size, 1.0, 2)

    def behaviour(self, parts: DualRailParts) -> Behaviour:
        """K = polarity * coupling off the diagonal, all conductances of a rail on it; noise is 4 k T K at one temperature."""
        coupling, ground = parts.coupling.mean(axis=0), parts.ground.mean(axis=0)
        noisy, ground_noisy = coupling * parts.coupling_temperature, ground * parts.ground_temperature
        return Behaviour(
            conductance=parts.polarity * coupling + np.diag(ground + coupling.sum(axis=1)),
            load=np.zeros(parts.size),
            drive=np.ones(parts.size),
            capacitance=parts.capacitance.mean(axis=0),
            noise=4 * Boltzmann * (parts.polarity * noisy + np.diag(ground_noisy + noisy.sum(axis=1))),
        )

    def lower(
        self,
        netlist: Netlist,
        parts: DualRailParts,
        technology: Technology,
        currents: np.ndarray,
        state: np.ndarray,
        amplifier: AmplifierCell | None = None,
    ) -> None:
        """Resistors, capacitors and current sources of both rails."""
        for rail, i, j in couplings(parts):
            if i < j:
                # The two resistors of a pair: p-p and m-m, or p-m and m-p where the coupling is positive.
                to = rail if parts.polarity[i, j] < 0 else 1 - rail
                netlist.add(
                    Resistor(
                        f"R{i + 1}_{j + 1}{'pm'[rail]}",
                        rails(i)[rail],
                        rails(j)[to],
                        1.0 / float(parts.coupling[rail, i, j]),
                        temperature=float(parts.coupling_temperature[i, j]),
                    )
                )
        for i in range(parts.size):
            for rail, sign in ((0, 0.5), (1, -0.5)):
                node, suffix = rails(i)[rail], f"{i + 1}{'pm'[rail]}"
                if parts.ground[rail, i] > 0:
                    resistance, temperature = 1.0 / float(parts.ground[rail, i]), float(parts.ground_temperature[i])
                    netlist.add(Resistor(f"RG{suffix}", node, "0", resistance, temperature), group=group_name(i))
                capacitance = float(parts.capacitance[rail, i])
                netlist.add(
                    Capacitor(f"C{suffix}", node, "0", capacitance, initial=sign * float(state[i])),
                    CurrentSource(f"I{suffix}", "0", node, sign * float(currents[i]), ac=sign),
                    group=group_name(i),
                )
