"""`lc`: inductively coupled oscillators; A^-1 b is their mean flux, and A^-1 the covariance that Johnson noise alone gives it.

With node fluxes phi (phi' = v), inverse-inductance matrix Gamma = u D A D, capacitors C and damping conductances G = gamma C:

    C phi'' + G phi' + Gamma phi = I + noise,     mean Gamma^-1 I,     Cov(phi) = k T Gamma^-1,     Cov(v) = k T C^-1

whatever the damping is: it is the source of the noise as well (2 k T for the difference of two rails). Conditions: as `rc`, and with a
second rail also couplings of either sign whose comparison matrix is positive definite. Parts: an inductor for each coupling and each cell,
a capacitor and a damping resistor for each cell, twice on two rails. A cell's flux is read as the current of its inductor to ground,
phi = L_g i, by a probe of 1 ohm. A cell is set by its probe's voltage, and by v as a voltage at the
probe, over the impedance sqrt(L / C) of unit parts, so that both are of one size; both rails start with opposite halves of them. Time
constants: the slowest mode decays with 2 / gamma where it oscillates, else with gamma / omega^2; gamma is that of a unit cell with Q = 1.
First-order errors: the inductors' own deviations; their winding resistance makes the mean droop after L / R, so that a reading is a
transient's, and there is no operating point (a mesh of ideal inductors holds any current).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.constants import Boltzmann

from ...circuits.amplifiers.models import AmplifierCell
from ...circuits.errors import UnrealisableError
from ...circuits.netlist.analyses import Analysis, Transient
from ...circuits.netlist.elements import CCVS, Capacitor, CurrentSource, Inductor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.e_series import preferred_conductance
from ...circuits.technology.technology import Technology
from ..h_matrix import passive_scaling
from ..linear_law import LinearLaw
from ..matrices import Matrix, scaled, with_diagonal_added
from ..parts import Kind
from ..perturbation import Perturbation
from ..symbolic_law import Line, Quantity, SymbolicLaw, Term, term
from .base import Fabric, group_name, pair_drives, rails
from .network import Network, branches, own_temperature

PROBE = 1.0
"""Transresistance of the probe of the current to ground, ohm."""


@dataclass(frozen=True)
class Oscillators(Network):
    """Coupling inductors and one to ground by weight 1/H, capacitors as storage, damping resistors as shunt."""

    kind: ClassVar[Kind] = "inductor"

    def capacitances(self) -> np.ndarray:
        """Capacitances of the cells, mean of the rails."""
        return np.asarray(self.storage.mean(axis=0))

    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        """Inductors, capacitors, damping resistors."""
        yield "inductor", 1.0 / np.concatenate([self.coupling.ravel(), self.ground.ravel()])
        yield "capacitor", self.storage.ravel()
        yield "resistor", 1.0 / self.shunt.ravel()

    def _ground_effect(self, perturbation: Perturbation, cells: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return perturbation.read_ground(cells, weights)

    def write_law(self, law: SymbolicLaw) -> None:
        """(s^2 C + s G + Gamma) phi = I, phi_i = v_i / (Gamma_ground R_P)."""
        states = [law.symbol(f"phi_{k + 1}", rf"\phi_{{{k + 1}}}") for k in range(self.size)]
        for i, (own, joined) in enumerate(law.branches("L", self.branch_weights(), self.ground[0].tolist())):
            capacitor = Term(law.part("C", (i + 1,), float(self.storage[0, i])) * law.s**2, (), states[i])
            damping = Term(law.s / law.part("RD", (i + 1,), 1.0 / float(self.shunt[0, i])), (), states[i])
            probe = law.symbol("R_P", r"R_{\mathrm{P}}")
            law.quantities[probe] = Quantity(PROBE, "ohm")
            law.parts[f"H{i + 1}"] = (probe, PROBE)
            flux = Term(1 / (own[-1] * probe), (), law.volts[i])
            law.definitions.append(Line((term(states[i]),), (flux,)))
            left = (capacitor, damping, *law.coupled(i, own, joined, states))
            law.cells.append(Line(left, (term(law.currents[i]),)))
        law.driven()


class LC(Fabric):
    """Coupled oscillators read by flux."""

    name = "lc"
    title = "inductively coupled LC oscillators"
    parts_type = Oscillators
    unit = "1/H"
    symmetric, active, covariance, keeps_sparse = True, False, True, True
    has_inductors = can_calibrate = has_dies = has_linear_law = has_device_model = True
    overshoot = 2.0
    sets_state = False  # a flux is no charge
    schematic = "network"
    states = 2
    probes = (0.5, 2.0)  # at rest a mesh of ideal inductors has no solution

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """The H-matrix scaling."""
        return passive_scaling(matrix)

    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[Oscillators, float]:
        """The largest branch becomes one unit inductor; one rail where no coupling is positive, else two."""
        first, second, polarity, weights, ground = branches(scaled)
        largest = max(float(weights.max(initial=0.0)), float(ground.max()))
        unit = 1.0 / (technology.inductors.unit * largest)
        rails = 2 if (polarity > 0).any() else 1
        # A mode must be readable at every cell: each has a part to ground, since the scaling leaves no row sum at zero.
        storage = np.broadcast_to(technology.capacitors.unit * scaling**2, (rails, len(ground))).copy()
        ambient = technology.thermal.ambient
        parts = Oscillators(
            first=first,
            second=second,
            polarity=polarity,
            coupling=np.broadcast_to(unit * weights, (rails, len(weights))).copy(),
            ground=np.broadcast_to(unit * ground, (rails, len(ground))).copy(),
            storage=storage,
            shunt=preferred_conductance(self._damping(technology) * storage, technology.resistors.series),
            coupling_temperature=np.full(len(first), ambient),
            ground_temperature=np.full(len(ground), ambient),
        )
        if (parts.ground <= 0).any():
            raise UnrealisableError(
                "fabric lc: a cell has no inductor to ground to be read by; add damping to the matrix"
            )
        return parts, unit

    @staticmethod
    def _damping(technology: Technology) -> float:
        """Damping rate gamma, 1/s."""
        return 1.0 / math.sqrt(technology.inductors.unit * technology.capacitors.unit)

    def tau(self, unit: float, technology: Technology) -> float:
        """sqrt(C / u): one radian of a unit curvature."""
        return math.sqrt(technology.capacitors.unit / unit)

    def settling(self, parts: Oscillators, smallest: float, unit: float, technology: Technology) -> float:
        """1 / Re of the slowest root of s^2 + gamma s + omega^2."""
        half, square = self._damping(technology) / 2, smallest * unit / technology.capacitors.unit
        # gamma/2 - sqrt(gamma^2/4 - omega^2) without its cancellation
        return 1.0 / half if square >= half**2 else (half + math.sqrt(half**2 - square)) / square

    def realised(self, parts: Oscillators, technology: Technology) -> Matrix:
        """The matrix Gamma of inverse inductances."""
        return parts.matrix()

    def admittance(self, parts: Oscillators, technology: Technology, s: complex) -> Matrix:
        """(Gamma + s G + s^2 C) L_g / probe: the current that holds a volt of each probe."""
        stored = np.real(s * parts.shunt.mean(axis=0) + s**2 * parts.storage.mean(axis=0))
        whole = with_diagonal_added(parts.matrix(), stored)
        return scaled(whole, np.ones(parts.size), self.readout(parts)[1])

    def readout(self, parts: Oscillators) -> tuple[list[tuple[str, str]], np.ndarray]:
        """Probes x<k>, or xp<k> against xm<k>; a volt stands for L_g / probe webers."""
        n = parts.size
        pairs = [(f"x{i + 1}", "0") if parts.rails == 1 else (f"xp{i + 1}", f"xm{i + 1}") for i in range(n)]
        return pairs, 1.0 / parts.ground.mean(axis=0) / PROBE

    def linear_law(self, parts: Oscillators, technology: Technology) -> LinearLaw:
        """Fluxes of all nodes, Wb, then their voltages: dphi/dt = v, C dv/dt = I - G v - Gamma phi + noise of density 2 k T G.

        Both rails are states, so that unequal parts couple the difference to the common mode. Currents that circle in a mesh of inductors
        are left out, since nothing drives them.
        """
        nodes, n = parts.rails * parts.size, parts.size
        storage, shunt = parts.storage.ravel(), parts.shunt.ravel()
        share, weight = _shares(parts), self.readout(parts)[1]
        probed = PROBE * np.diag(parts.ground.ravel())
        drift, noise = np.zeros((2 * nodes, 2 * nodes)), np.zeros((2 * nodes, 2 * nodes))
        drift[:nodes, nodes:] = np.eye(nodes)
        drift[nodes:, :nodes] = -parts.node_matrix() / storage[:, None]
        drift[nodes:, nodes:] = -np.diag(shunt / storage)
        kelvin = np.tile(parts.ground_temperature, parts.rails)
        noise[nodes:, nodes:] = np.diag(2 * Boltzmann * kelvin * shunt / storage**2)
        drive, start, kept = np.zeros((2 * nodes, n)), np.zeros((2 * nodes, 2 * n)), np.zeros((2 * n, 2 * nodes))
        drive[nodes:] = share / storage[:, None]
        impedance = _impedance(technology)
        start[:nodes, :n], start[nodes:, n:] = share * weight, share * impedance
        difference = np.sign(share.T)
        kept[:n, :nodes], kept[n:, nodes:] = difference @ probed, difference / impedance
        return LinearLaw(
            drift=drift,
            drive=drive,
            constant=np.zeros(2 * nodes),
            johnson=noise,
            amplifiers=np.zeros_like(noise),
            read=kept[:n],
            start=start,
            kept=kept,
        )

    def drive_unit(self, technology: Technology) -> float:
        """A volt at the probe of a cell that is alone."""
        return 1.0 / PROBE

    def kept_nodes(self, parts: Oscillators) -> tuple[str, ...]:
        """Probes, then nodes."""
        return (*super().kept_nodes(parts), *(node for pair in self._nodes(parts) for node in pair))

    def kept_volts(self, parts: Oscillators, technology: Technology, voltages: Mapping[str, Any]) -> np.ndarray:
        """Voltages of the probes, and of the nodes over the impedance."""
        own = np.array([np.asarray(voltages[plus]) - voltages[minus] for plus, minus in self._nodes(parts)])
        return np.concatenate([super().kept_volts(parts, technology, voltages), own / _impedance(technology)])

    @staticmethod
    def _nodes(parts: Oscillators) -> list[tuple[str, str]]:
        return [rails(i) if parts.rails == 2 else (f"p{i + 1}", "0") for i in range(parts.size)]

    def drives(self, parts: Oscillators) -> list[dict[str, float]]:
        """One current source per node."""
        return pair_drives("I", parts.size, 1.0, parts.rails)

    def analysis(
        self, parts: Oscillators, technology: Technology, nodes: tuple[str, ...], settling: Callable[[], float]
    ) -> Analysis:
        """A transient of twelve settling times from rest: a mesh of ideal inductors has no operating point."""
        # Only where it ends counts, and that is where all swings have died out; a probe carries up to half of the output limit.
        largest = technology.opamp.output_limit / 2 / PROBE
        return Transient(12 * settling(), nodes=nodes, tolerance=1e-5, smallest_current=1e-9 * largest)

    def lower(
        self,
        netlist: Netlist,
        parts: Oscillators,
        technology: Technology,
        currents: np.ndarray,
        state: np.ndarray,
        amplifier: AmplifierCell | None = None,
    ) -> None:
        """Coupling inductors; for each node its inductor to ground with the probe, capacitor, damping resistor and current source.

        Inductors start with the currents that the fluxes make.
        """
        two, n = parts.rails == 2, parts.size
        volts = np.concatenate([state, np.zeros(2 * n - len(state))]).reshape(2, n)
        charged = bool(np.any(state))
        flux, started = (
            (_shares(parts) @ one).reshape(parts.rails, n)
            for one in (volts[0] * self.readout(parts)[1], volts[1] * _impedance(technology))
        )
        for k in range(len(parts.first)):
            i, j = int(parts.first[k]) + 1, int(parts.second[k]) + 1
            for rail in range(parts.rails):
                to = rail if parts.polarity[k] < 0 else 1 - rail
                ends = (f"{'pm'[rail]}{i}", f"{'pm'[to]}{j}")
                weight = float(parts.coupling[rail, k])
                current = weight * float(flux[rail, i - 1] - flux[to, j - 1]) if charged else None
                netlist.add(Inductor(f"L{i}_{j}{'pm'[rail] if two else ''}", *ends, 1.0 / weight, current))
        for i in range(parts.size):
            for rail in range(parts.rails):
                tag = f"{'pm'[rail]}{i + 1}" if two else str(i + 1)
                node, suffix = f"{'pm'[rail]}{i + 1}", f"{i + 1}{'pm'[rail]}" if two else str(i + 1)
                share = (0.5, -0.5)[rail] if two else 1.0
                weight = float(parts.ground[rail, i])
                current, held = (weight * float(flux[rail, i]), float(started[rail, i])) if charged else (None, None)
                netlist.add(
                    VoltageSource(f"VS{suffix}", node, f"s{tag}", 0.0),
                    Inductor(f"LG{suffix}", f"s{tag}", "0", 1.0 / weight, current),
                    CCVS(f"H{suffix}", f"x{tag}", "0", f"VS{suffix}", PROBE),
                    Capacitor(f"C{suffix}", node, "0", float(parts.storage[rail, i]), held),
                    Resistor(
                        f"RD{suffix}",
                        node,
                        "0",
                        1.0 / float(parts.shunt[rail, i]),
                        own_temperature(parts, i, technology),
                    ),
                    CurrentSource(f"I{suffix}", "0", node, share * float(currents[i]), ac=share),
                    group=group_name(i),
                )


def _impedance(technology: Technology) -> float:
    """sqrt(L / C) of unit parts, over the probe's transresistance."""
    return math.sqrt(technology.inductors.unit / technology.capacitors.unit) / PROBE


def _shares(parts: Oscillators) -> np.ndarray:
    """(rails n, n): the voltage of each node for a volt of each cell."""
    eye = np.eye(parts.size)
    return eye if parts.rails == 1 else np.concatenate([eye, -eye]) / 2
