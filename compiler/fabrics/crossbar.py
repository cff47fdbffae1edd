"""`crossbar`: fully differential op-amp integrators with a resistor at each crosspoint; realises any sign.

Integrator i has input nodes ep_i, em_i and outputs p_i, m_i. A positive entry joins p_j to ep_i and m_j to em_i, a
negative one swaps the rails; the drive comes through one input resistor a rail. With amplifiers of gain A0,
gain-bandwidth omega_t = 2 pi GBW (rad/s) and offset Vos, L = diag(sum_j |K_ij| + g_in):

    (C / omega_t) v'' + [C (1 + 1/A0) + L / omega_t] v' + (K + L / A0) v = I + L Vos.

Static error -K^-1 L v / A0, offset error K^-1 L Vos; the stationary covariance solves A S + S A^T = 4 (k T / C) D with
A, D the same in units of one resistor. The capacitors sit between outputs and inputs.
"""

from __future__ import annotations

import math

import numpy as np

from ...circuits.netlist import VCCS, VCVS, Capacitor, Netlist, Resistor, VoltageSource
from ...circuits.technology import Technology
from ..parts import BOLTZMANN, Behaviour, Parts
from .base import couplings, rails

IDEAL_GAIN = 1e8
"""Gain that stands for an infinite one: larger ones cost the simulator digits, since it resolves the input voltage as a difference."""


class Crossbar:
    """The active, fully differential integrator array."""

    name = "crossbar"
    symmetric = False

    def place(self, scaled: np.ndarray, scaling: np.ndarray, technology: Technology) -> tuple[Parts, float]:
        """Parts for the matrix; its largest entry becomes one unit resistor, and so does each input resistor."""
        n = len(scaled)
        largest = 1.0 / technology.resistors.unit
        unit = largest / float(np.abs(scaled).max())
        ambient = technology.thermal.ambient
        parts = Parts(
            coupling=np.broadcast_to(unit * np.abs(scaled), (2, n, n)).copy(),
            polarity=np.sign(scaled).astype(np.int8),
            ground=np.zeros((2, n)),
            drive=np.full((2, n), largest),
            drive_nominal=largest,
            capacitance=np.broadcast_to(technology.capacitors.unit * scaling**2, (2, n)).copy(),
            offset=np.zeros(n),
            coupling_temperature=np.full((n, n), ambient),
            ground_temperature=np.full(n, ambient),
            drive_temperature=np.full(n, ambient),
        )
        return parts, unit

    def behaviour(self, parts: Parts) -> Behaviour:
        """K = polarity * coupling, L = row sums and input resistor, both as the mean of the two rails."""
        coupling, drive = parts.coupling.mean(axis=0), parts.drive.mean(axis=0)
        heat = (coupling * parts.coupling_temperature).sum(axis=1) + drive * parts.drive_temperature
        return Behaviour(
            stiffness=parts.polarity * coupling,
            load=coupling.sum(axis=1) + drive,
            drive=drive / parts.drive_nominal,
            capacitance=parts.capacitance.mean(axis=0),
            noise=np.diag(4 * BOLTZMANN * heat),
        )

    def lower(
        self, netlist: Netlist, parts: Parts, technology: Technology, currents: np.ndarray, state: np.ndarray
    ) -> None:
        """Crosspoint resistors, then for each cell its input resistors, capacitors, drive and amplifier."""
        for rail, i, j in couplings(parts):
            # An inverting integrator: a positive entry must pull its own rail down, so it feeds the like input.
            source = rail if parts.polarity[i, j] > 0 else 1 - rail
            netlist.add(
                Resistor(
                    f"R{i + 1}_{j + 1}{'pm'[rail]}",
                    rails(j)[source],
                    f"e{'pm'[rail]}{i + 1}",
                    1.0 / float(parts.coupling[rail, i, j]),
                    temperature=float(parts.coupling_temperature[i, j]),
                )
            )
        gain = min(technology.opamp.gain, IDEAL_GAIN)
        for i in range(parts.size):
            volts = float(currents[i]) / parts.drive_nominal
            for rail, sign in ((0, 0.5), (1, -0.5)):
                suffix, summing = f"{i + 1}{'pm'[rail]}", f"e{'pm'[rail]}{i + 1}"
                # The drive crosses over, since the integrator inverts.
                driven = f"b{'mp'[rail]}{i + 1}"
                resistance, hot = 1.0 / float(parts.drive[rail, i]), float(parts.drive_temperature[i])
                # The capacitor sees the output less the amplifier's own input voltage.
                start = sign * (float(state[i]) * (1.0 + 1.0 / gain) - float(parts.offset[i]))
                netlist.add(
                    VoltageSource(f"VB{suffix}", f"b{'pm'[rail]}{i + 1}", "0", sign * volts),
                    Resistor(f"RB{suffix}", driven, summing, resistance, temperature=hot),
                    Capacitor(f"C{suffix}", rails(i)[rail], summing, float(parts.capacitance[rail, i]), initial=start),
                )
            self._amplifier(netlist, i, technology, float(parts.offset[i]), float(state[i]))

    @staticmethod
    def _amplifier(netlist: Netlist, i: int, technology: Technology, offset: float, state: float) -> None:
        """One-pole macromodel of a fully differential amplifier with ideal common-mode control (outputs sum to zero)."""
        gain, gbw, k = min(technology.opamp.gain, IDEAL_GAIN), technology.opamp.gbw, i + 1
        plus, minus = rails(i)
        inverting = f"ep{k}"
        if offset:
            inverting = f"os{k}"
            netlist.add(VoltageSource(f"VOS{k}", f"ep{k}", inverting, offset))
        if math.isinf(gbw):
            netlist.add(
                VCVS(f"E{k}p", plus, "0", f"em{k}", inverting, gain / 2),
                VCVS(f"E{k}m", minus, "0", f"em{k}", inverting, -gain / 2),
            )
            return
        # The gain node: A0 at DC, pole at GBW / A0. Its level of 1 MOhm keeps the matrix entries near the others.
        load = 1e6
        netlist.add(
            VCCS(f"G{k}", "0", f"a{k}", f"em{k}", inverting, gain / load),
            Resistor(f"RA{k}", f"a{k}", "0", load, noisy=False),
            Capacitor(f"CA{k}", f"a{k}", "0", gain / (2 * math.pi * gbw * load), initial=state),
            VCVS(f"E{k}p", plus, "0", f"a{k}", "0", 0.5),
            VCVS(f"E{k}m", minus, "0", f"a{k}", "0", -0.5),
        )
