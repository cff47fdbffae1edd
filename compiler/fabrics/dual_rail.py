"""`dual_rail`: a passive network of positive resistors that realises couplings of either sign.

Rails p_i, m_i carry +v_i/2 and -v_i/2. A negative entry A_ij is a resistor between like rails, a positive one between
opposite rails, what is left of the diagonal goes to ground:

    C_i dv_i/dt = -g sum_j (D A D)_ij v_j + I_i + noise,    Cov(v) = 2 k T diag(C)^-1 at one temperature.

Conditions: A symmetric, its comparison matrix positive definite (see `passes.h_matrix`). Parts: two resistors a coupling, two
resistors and two capacitors a cell. Time constants C / (g lambda). First-order errors: the mean deviation of the two resistors of a
pair; their difference couples into the common mode and acts in second order. Capacitors in proportion to d_i^2 make x = D y follow
dx/dt = -(A x - b) / tau, the path of the unscaled problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...circuits.netlist.analyses import Analysis, OperatingPoint
from ...circuits.netlist.elements import Capacitor, CurrentSource, Resistor
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.technology import Technology
from ..h_matrix import passive_scaling
from ..matrices import Matrix, comparison_matrix, dense, is_positive_definite
from ..parts import BOLTZMANN, Behaviour, Parts
from .base import PROBE_TIMES, couplings, group_name, pair_drives, rails

LARGEST = 3000
"""Most unknowns of the fabrics that keep dense arrays."""


class DualRail:
    """The passive dual-rail RC fabric."""

    name = "dual_rail"
    title = "passive dual-rail RC network"
    parts_type: type = Parts
    unit = "S"
    symmetric, active, mean, covariance = True, False, True, False
    automatic, has_device_model, can_calibrate = True, True, True
    has_dies, has_layout, takes_factors = True, False, False
    probes = PROBE_TIMES

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """The H-matrix scaling."""
        if matrix.shape[0] > LARGEST:
            return None, f"it has {matrix.shape[0]} unknowns, more than the {LARGEST} of a dense fabric"
        return passive_scaling(matrix)

    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[Parts, float]:
        """Parts for D A D; its comparison matrix must have non-negative row sums."""
        scaled = dense(scaled)
        off = scaled - np.diag(np.diag(scaled))
        # A row sum of zero is legal (no leg); rounding must not turn it into a negative resistor.
        legs = np.maximum(np.diag(scaled) - np.abs(off).sum(axis=1), 0.0)
        legs[legs < 1e-13 * np.diag(scaled)] = 0.0
        largest = float(max(np.abs(off).max(initial=0.0), legs.max()))
        unit = 1.0 / (technology.resistors.unit * largest)
        capacitance, ambient = technology.capacitors.unit * scaling**2, technology.thermal.ambient
        parts = Parts.nominal(2, unit * off, unit * legs, 0.0, capacitance, ambient)
        return parts, unit

    def tau(self, unit: float, technology: Technology) -> float:
        """C / g."""
        return technology.capacitors.unit / unit

    def settling(self, parts: Parts, smallest: float, unit: float, technology: Technology) -> float:
        """tau / lambda_min."""
        return self.tau(unit, technology) / smallest

    def realised(self, parts: Parts, technology: Technology) -> np.ndarray:
        """K."""
        return self.behaviour(parts).stiffness

    def is_stable(self, parts: Parts, technology: Technology) -> bool:
        """Whether each node is tied to ground: the comparison matrix, which the common mode obeys, is positive definite."""
        return is_positive_definite(comparison_matrix(self.realised(parts, technology)))

    def admittance(self, parts: Parts, technology: Technology, s: complex) -> np.ndarray:
        """K + s C of the differential mode."""
        law = self.behaviour(parts)
        return law.stiffness + s * np.diag(law.capacitance)

    def drive(self, parts: Parts) -> np.ndarray:
        """Ones: current sources are the drive."""
        return np.ones(parts.size)

    def readout(self, parts: Parts) -> tuple[list[tuple[str, str]], np.ndarray]:
        """p<k> against m<k>."""
        return [rails(i) for i in range(parts.size)], np.ones(parts.size)

    def drives(self, parts: Parts) -> list[dict[str, float]]:
        """Half of the current on either rail."""
        return pair_drives("I", parts.size, 1.0, 2)

    def inventory(self, parts: Parts) -> Iterator[tuple[str, np.ndarray]]:
        """Resistors and capacitors; a coupling is one pair."""
        upper = np.triu(np.ones((parts.size, parts.size), dtype=bool), 1)
        present = np.concatenate([(parts.coupling * np.abs(parts.polarity))[:, upper].ravel(), parts.ground.ravel()])
        yield "resistor", 1.0 / present[present > 0]
        yield "capacitor", parts.capacitance.ravel()

    def behaviour(self, parts: Parts) -> Behaviour:
        """K = polarity * coupling off the diagonal, all conductances of a rail on it; noise is 4 k T K at one temperature."""
        coupling, ground = parts.coupling.mean(axis=0), parts.ground.mean(axis=0)
        noisy = coupling * parts.coupling_temperature
        legs = ground * parts.ground_temperature
        return Behaviour(
            stiffness=parts.polarity * coupling + np.diag(ground + coupling.sum(axis=1)),
            load=np.zeros(parts.size),
            drive=np.ones(parts.size),
            capacitance=parts.capacitance.mean(axis=0),
            noise=4 * BOLTZMANN * (parts.polarity * noisy + np.diag(legs + noisy.sum(axis=1))),
        )

    def analysis(
        self, parts: Parts, technology: Technology, nodes: tuple[str, ...], settling: Callable[[], float]
    ) -> Analysis:
        """The operating point."""
        return OperatingPoint(nodes=nodes)

    def lower(
        self, netlist: Netlist, parts: Parts, technology: Technology, currents: np.ndarray, state: np.ndarray
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
                    resistance, hot = 1.0 / float(parts.ground[rail, i]), float(parts.ground_temperature[i])
                    netlist.add(Resistor(f"RG{suffix}", node, "0", resistance, temperature=hot), group=group_name(i))
                capacitance = float(parts.capacitance[rail, i])
                netlist.add(
                    Capacitor(f"C{suffix}", node, "0", capacitance, initial=sign * float(state[i])),
                    CurrentSource(f"I{suffix}", "0", node, sign * float(currents[i])),
                    group=group_name(i),
                )
