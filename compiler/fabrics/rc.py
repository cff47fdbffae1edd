"""`rc`: one RC node for each unknown, positive resistors between them; realises couplings that are negative or zero.

    C_i dv_i/dt = -g sum_j (D A D)_ij v_j + I_i + Johnson noise,    mean (D A D)^-1 I / g,    Cov(v) = k T diag(C)^-1

Conditions: A symmetric, A_ij <= 0 off the diagonal, comparison matrix positive definite (a nonsingular M-matrix). Parts: a resistor
a coupling, a resistor and a capacitor a cell. Time constants C / (g lambda). First-order errors: each resistor's deviation enters
K by its own conductance; there is no amplifier. Capacitors in proportion to d_i^2 keep the path of the unscaled problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...circuits.netlist.analyses import Analysis, OperatingPoint
from ...circuits.netlist.elements import Capacitor, CurrentSource, Resistor
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.technology import Technology
from ..h_matrix import passive_scaling
from ..matrices import Matrix, comparison_matrix, dense, is_positive_definite, upper_entries, with_diagonal_added
from ..parts import BOLTZMANN, Behaviour
from .base import PROBE_TIMES, group_name, pair_drives
from .network import Network, branches


class RC:
    """The single-rail passive RC fabric."""

    name = "rc"
    title = "passive RC network"
    parts_type: type = Network
    unit = "S"
    symmetric, active, mean, covariance = True, False, True, False
    automatic, has_device_model, can_calibrate = True, True, False
    has_dies, has_layout, takes_factors = True, False, False
    probes = PROBE_TIMES

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """The H-matrix scaling, for M-matrices only."""
        return signed_scaling(matrix)

    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[Network, float]:
        """The largest branch becomes one unit resistor."""
        first, second, polarity, weights, legs = branches(scaled)
        unit = 1.0 / (technology.resistors.unit * max(float(weights.max(initial=0.0)), float(legs.max())))
        ambient, n = technology.thermal.ambient, len(legs)
        parts = Network(
            first=first,
            second=second,
            polarity=polarity,
            coupling=unit * weights[None],
            ground=unit * legs[None],
            storage=technology.capacitors.unit * scaling[None] ** 2,
            shunt=np.zeros((1, n)),
            coupling_temperature=np.full(len(first), ambient),
            ground_temperature=np.full(n, ambient),
        )
        return parts, unit

    def tau(self, unit: float, technology: Technology) -> float:
        """C / g."""
        return technology.capacitors.unit / unit

    def settling(self, parts: Network, smallest: float, unit: float, technology: Technology) -> float:
        """tau / lambda_min."""
        return self.tau(unit, technology) / smallest

    def realised(self, parts: Network, technology: Technology) -> Matrix:
        """The conductance matrix."""
        return parts.matrix()

    def is_stable(self, parts: Network, technology: Technology) -> bool:
        """Whether each node is tied to ground: the comparison matrix, which the common mode obeys, is positive definite."""
        return is_positive_definite(comparison_matrix(self.realised(parts, technology)))

    def admittance(self, parts: Network, technology: Technology, s: complex) -> Matrix:
        """K + s C."""
        return with_diagonal_added(parts.matrix(), np.real(s) * parts.storage[0])

    def drive(self, parts: Network) -> np.ndarray:
        """Ones: current sources are the drive."""
        return np.ones(parts.size)

    def behaviour(self, parts: Network) -> Behaviour:
        """K, C, and the noise 2 k T K at one temperature."""
        noisy = parts.matrix(parts.coupling[0] * parts.coupling_temperature, parts.ground[0] * parts.ground_temperature)
        return Behaviour(
            stiffness=dense(parts.matrix()),
            load=np.zeros(parts.size),
            drive=np.ones(parts.size),
            capacitance=parts.storage[0],
            noise=2 * BOLTZMANN * dense(noisy),
        )

    def readout(self, parts: Network) -> tuple[list[tuple[str, str]], np.ndarray]:
        """Node p<k> against ground."""
        return [(f"p{i + 1}", "0") for i in range(parts.size)], np.ones(parts.size)

    def drives(self, parts: Network) -> list[dict[str, float]]:
        """One current source a cell."""
        return pair_drives("I", parts.size, 1.0, 1)

    def analysis(
        self, parts: Network, technology: Technology, nodes: tuple[str, ...], settling: Callable[[], float]
    ) -> Analysis:
        """The operating point."""
        return OperatingPoint(nodes=nodes)

    def lower(
        self, netlist: Netlist, parts: Network, technology: Technology, currents: np.ndarray, state: np.ndarray
    ) -> None:
        """Resistors, capacitors and current sources."""
        netlist.add(
            *(
                Resistor(f"R{i + 1}_{j + 1}", f"p{i + 1}", f"p{j + 1}", 1.0 / g, temperature=hot)
                for i, j, g, hot in zip(
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
                hot = float(parts.ground_temperature[i])
                netlist.add(Resistor(f"RG{i + 1}", node, "0", 1.0 / float(parts.ground[0, i]), hot), group=group)
            netlist.add(
                Capacitor(f"C{i + 1}", node, "0", float(parts.storage[0, i]), initial=float(state[i])),
                CurrentSource(f"I{i + 1}", "0", node, float(currents[i])),
                group=group,
            )

    def inventory(self, parts: Network) -> Iterator[tuple[str, np.ndarray]]:
        """Resistors and capacitors."""
        present = np.concatenate([parts.coupling.ravel(), parts.ground.ravel()])
        yield "resistor", 1.0 / present[present > 0]
        yield "capacitor", parts.storage.ravel()


def signed_scaling(matrix: Matrix) -> tuple[np.ndarray | None, str]:
    """As `Fabric.scaling`, for fabrics with one node a cell, whose branches can only make negative couplings."""
    rows, columns, values = upper_entries(matrix)
    wrong = np.flatnonzero(values > 0)
    if len(wrong):
        i, j, value = int(rows[wrong[0]]), int(columns[wrong[0]]), float(values[wrong[0]])
        return (
            None,
            f"entry [{i}, {j}] = {value:.4g} is positive, and {len(wrong)} such couplings would need a second rail",
        )
    return passive_scaling(matrix)
