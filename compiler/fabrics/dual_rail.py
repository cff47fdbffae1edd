"""`dual_rail`: a passive network of positive resistors that realises couplings of either sign.

Rails p_i, m_i carry +v_i/2 and -v_i/2. A negative entry A_ij is a resistor between like rails, a positive one between
opposite rails, what is left of the diagonal goes to ground:

    C_i dv_i/dt = -g sum_j (D A D)_ij v_j + I_i + noise,    Cov(v) = 2 k T diag(C)^-1 at one temperature.

It exists exactly when the comparison matrix of D A D has positive row sums (see `passes.realise`). Capacitors in
proportion to d_i^2 make x = D y follow dx/dt = -(A x - b) / tau, the path of the unscaled problem.
"""

from __future__ import annotations

import numpy as np

from ...circuits.netlist import Capacitor, CurrentSource, Netlist, Resistor
from ...circuits.technology import Technology
from ..parts import BOLTZMANN, Behaviour, Parts
from .base import couplings, rails


class DualRail:
    """The passive dual-rail RC fabric."""

    name = "dual_rail"
    symmetric = True

    def place(self, scaled: np.ndarray, scaling: np.ndarray, technology: Technology) -> tuple[Parts, float]:
        """Parts for D A D; its comparison matrix must have non-negative row sums."""
        n = len(scaled)
        off = scaled - np.diag(np.diag(scaled))
        # A row sum of zero is legal (no leg); rounding must not turn it into a negative resistor.
        legs = np.maximum(np.diag(scaled) - np.abs(off).sum(axis=1), 0.0)
        legs[legs < 1e-13 * np.diag(scaled)] = 0.0
        largest = float(max(np.abs(off).max(initial=0.0), legs.max()))
        unit = 1.0 / (technology.resistors.unit * largest)
        ambient = technology.thermal.ambient
        parts = Parts(
            coupling=np.broadcast_to(unit * np.abs(off), (2, n, n)).copy(),
            polarity=np.sign(off).astype(np.int8),
            ground=np.broadcast_to(unit * legs, (2, n)).copy(),
            drive=np.zeros((2, n)),
            drive_nominal=0.0,
            capacitance=np.broadcast_to(technology.capacitors.unit * scaling**2, (2, n)).copy(),
            offset=np.zeros(n),
            coupling_temperature=np.full((n, n), ambient),
            ground_temperature=np.full(n, ambient),
            drive_temperature=np.full(n, ambient),
        )
        return parts, unit

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
                    netlist.add(Resistor(f"RG{suffix}", node, "0", resistance, temperature=hot))
                capacitance = float(parts.capacitance[rail, i])
                netlist.add(
                    Capacitor(f"C{suffix}", node, "0", capacitance, initial=sign * float(state[i])),
                    CurrentSource(f"I{suffix}", "0", node, sign * float(currents[i])),
                )
