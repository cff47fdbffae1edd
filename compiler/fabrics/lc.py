"""`lc`: inductively coupled oscillators; A^-1 b is their mean flux, and A^-1 the covariance that Johnson noise alone gives it.

With node fluxes phi (phi' = v), inverse-inductance matrix Gamma = u D A D, capacitors C and damping conductances G = gamma C:

    C phi'' + G phi' + Gamma phi = I + noise,     mean Gamma^-1 I,     Cov(phi) = k T Gamma^-1,     Cov(v) = k T C^-1

whatever the damping is: it is the source of the noise as well (2 k T for the difference of two rails). Conditions: as `rc`, and by a
second rail also couplings of either sign whose comparison matrix is positive definite. Parts: an inductor a coupling and a cell, a
capacitor and a damping resistor a cell, twice on two rails. A cell's flux is read as the current of its leg to ground, phi = L_g i, by a
probe of 1 ohm. Time constants: the slowest mode decays with 2 / gamma where it swings, else with gamma / omega^2; gamma is that of a unit
cell with Q = 1. First-order errors: the inductors' own deviations; their winding resistance makes the mean droop after L / R, so a
reading is a transient's, and there is no operating point (a mesh of ideal inductors holds any current).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from ...circuits.errors import UnrealisableError
from ...circuits.netlist.analyses import Analysis, Transient
from ...circuits.netlist.elements import CCVS, Capacitor, CurrentSource, Inductor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.e_series import preferred_conductance
from ...circuits.technology.technology import Technology
from ..h_matrix import passive_scaling
from ..matrices import Matrix, comparison_matrix, is_positive_definite, scaled, with_diagonal_added
from ..parts import Behaviour
from .base import group_name, pair_drives
from .network import Network, branches

PROBE = 1.0
"""Transresistance of the probe of a cell's leg current, ohm."""


class LC:
    """Coupled oscillators read by flux."""

    name = "lc"
    title = "inductively coupled LC oscillators"
    parts_type: type = Network
    unit = "1/H"
    symmetric, active, mean, covariance = True, False, True, True
    automatic, has_device_model, can_calibrate = False, False, False
    has_dies, has_layout, takes_factors = False, False, False
    probes: tuple[float, ...] = (0.5, 2.0)

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """The H-matrix scaling."""
        return passive_scaling(matrix)

    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[Network, float]:
        """The largest branch becomes one unit inductor; one rail where no coupling is positive, else two."""
        first, second, polarity, weights, legs = branches(scaled)
        largest = max(float(weights.max(initial=0.0)), float(legs.max()))
        unit = 1.0 / (technology.inductors.unit * largest)
        rails = 2 if (polarity > 0).any() else 1
        # A mode must be readable at every cell: each has a leg, since the scaling leaves no row sum at zero.
        storage = np.broadcast_to(technology.capacitors.unit * scaling**2, (rails, len(legs))).copy()
        ambient = technology.thermal.ambient
        parts = Network(
            first=first,
            second=second,
            polarity=polarity,
            coupling=np.broadcast_to(unit * weights, (rails, len(weights))).copy(),
            ground=np.broadcast_to(unit * legs, (rails, len(legs))).copy(),
            storage=storage,
            shunt=preferred_conductance(self._damping(technology) * storage, technology.resistors.series),
            coupling_temperature=np.full(len(first), ambient),
            ground_temperature=np.full(len(legs), ambient),
        )
        if (parts.ground <= 0).any():
            raise UnrealisableError("fabric lc: a cell has no leg to ground to be read by; add damping to the matrix")
        return parts, unit

    @staticmethod
    def _damping(technology: Technology) -> float:
        """gamma, 1/s."""
        return 1.0 / math.sqrt(technology.inductors.unit * technology.capacitors.unit)

    def tau(self, unit: float, technology: Technology) -> float:
        """sqrt(C / u): one radian of a unit curvature."""
        return math.sqrt(technology.capacitors.unit / unit)

    def settling(self, parts: Network, smallest: float, unit: float, technology: Technology) -> float:
        """1 / Re of the slowest root of s^2 + gamma s + omega^2."""
        half, square = self._damping(technology) / 2, smallest * unit / technology.capacitors.unit
        # gamma/2 - sqrt(gamma^2/4 - omega^2) without its cancellation
        return 1.0 / half if square >= half**2 else (half + math.sqrt(half**2 - square)) / square

    def realised(self, parts: Network, technology: Technology) -> Matrix:
        """Gamma."""
        return parts.matrix()

    def is_stable(self, parts: Network, technology: Technology) -> bool:
        """Whether each node is tied to ground: the comparison matrix, which the common mode obeys, is positive definite."""
        return is_positive_definite(comparison_matrix(self.realised(parts, technology)))

    def admittance(self, parts: Network, technology: Technology, s: complex) -> Matrix:
        """(Gamma + s G + s^2 C) L_g / probe: the current that holds a volt of each probe."""
        inertia = np.real(s * parts.shunt[0] + s**2 * parts.storage[0])
        whole = with_diagonal_added(parts.matrix(), inertia)
        return scaled(whole, np.ones(parts.size), self.readout(parts)[1])

    def drive(self, parts: Network) -> np.ndarray:
        """Ones: current sources are the drive."""
        return np.ones(parts.size)

    def behaviour(self, parts: Network) -> Behaviour:
        """There is none: an oscillator is a second-order system."""
        raise UnrealisableError("fabric lc has no first-order device model; use rc, dual_rail or crossbar for a device")

    def readout(self, parts: Network) -> tuple[list[tuple[str, str]], np.ndarray]:
        """Probes x<k>, or xp<k> against xm<k>; a volt stands for L_g / probe webers."""
        n = parts.size
        pairs = [(f"x{i + 1}", "0") if parts.rails == 1 else (f"xp{i + 1}", f"xm{i + 1}") for i in range(n)]
        return pairs, 1.0 / parts.ground.mean(axis=0) / PROBE

    def drives(self, parts: Network) -> list[dict[str, float]]:
        """One current source a node."""
        return pair_drives("I", parts.size, 1.0, parts.rails)

    def analysis(
        self, parts: Network, technology: Technology, nodes: tuple[str, ...], settling: Callable[[], float]
    ) -> Analysis:
        """A transient of twelve settling times from rest: a mesh of ideal inductors has no operating point."""
        # Only where it ends counts, and that is where all swings have died out; a probe carries up to half of the rail.
        largest = technology.opamp.rail / 2 / PROBE
        return Transient(12 * settling(), nodes=nodes, tolerance=1e-5, smallest_current=1e-9 * largest)

    def lower(
        self, netlist: Netlist, parts: Network, technology: Technology, currents: np.ndarray, state: np.ndarray
    ) -> None:
        """Coupling inductors; for each node its leg with the probe, capacitor, damping resistor and current source."""
        if np.any(state):
            raise UnrealisableError(
                "fabric lc starts from rest: its fluxes are not charges that a host can set; leave x0 out"
            )
        two = parts.rails == 2
        for k in range(len(parts.first)):
            i, j = int(parts.first[k]) + 1, int(parts.second[k]) + 1
            for rail in range(parts.rails):
                to = rail if parts.polarity[k] < 0 else 1 - rail
                ends = (f"{'pm'[rail]}{i}", f"{'pm'[to]}{j}")
                netlist.add(
                    Inductor(f"L{i}_{j}{'pm'[rail] if two else ''}", *ends, 1.0 / float(parts.coupling[rail, k]))
                )
        for i in range(parts.size):
            for rail in range(parts.rails):
                tag = f"{'pm'[rail]}{i + 1}" if two else str(i + 1)
                node, suffix = f"{'pm'[rail]}{i + 1}", f"{i + 1}{'pm'[rail]}" if two else str(i + 1)
                share = (0.5, -0.5)[rail] if two else 1.0
                netlist.add(
                    VoltageSource(f"VS{suffix}", node, f"s{tag}", 0.0),
                    Inductor(f"LG{suffix}", f"s{tag}", "0", 1.0 / float(parts.ground[rail, i])),
                    CCVS(f"H{suffix}", f"x{tag}", "0", f"VS{suffix}", PROBE),
                    Capacitor(f"C{suffix}", node, "0", float(parts.storage[rail, i])),
                    Resistor(f"RD{suffix}", node, "0", 1.0 / float(parts.shunt[rail, i])),
                    CurrentSource(f"I{suffix}", "0", node, share * float(currents[i])),
                    group=group_name(i),
                )

    def inventory(self, parts: Network) -> Iterator[tuple[str, np.ndarray]]:
        """Inductors, capacitors, damping resistors."""
        yield "inductor", 1.0 / np.concatenate([parts.coupling.ravel(), parts.ground.ravel()])
        yield "capacitor", parts.storage.ravel()
        yield "resistor", 1.0 / parts.shunt.ravel()
