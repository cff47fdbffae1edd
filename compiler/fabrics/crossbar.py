"""`crossbar` and `crossbar_single`: op-amp integrators with a resistor at each crosspoint; they realise any sign.

Fully differential (`crossbar`): integrator i has input nodes ep_i, em_i and outputs p_i, m_i. A positive entry joins p_j to ep_i and
m_j to em_i, a negative one swaps the rails; the drive comes through one input resistor per rail. With amplifiers of gain A0,
gain-bandwidth w = 2 pi GBW (rad/s) and offset Vos, eps(s) = 1/A0 + s/w and L = diag(sum_j |K_ij| + g_in):

    [s C (1 + eps) + eps L + K] v = I + L Vos.

It may have two slices, a second resistor at each crosspoint (`crossbar_parts`).

Single-ended (`crossbar_single`): half the parts, inverting integrators e_i, p_i, and for each column with a negative entry one
inverter h_j, n_j of two unit resistors, input and feedback, of ratio r = 1, whose gain is -r / [1 + (1 + r) eps]:

    [s C (1 + eps) + eps L + K_pos - |K_neg| r / (1 + (1 + r) eps)] v = I + L Vos - |K_neg| (1 + r) Vos_inverter / (1 + (1 + r) eps).

Conditions: A positive definite. Parts: a resistor (two) per entry and per cell, a capacitor (two) and an amplifier per cell, and the
inverters. Time constants (C + L / w) / (g lambda). First-order errors: static -K^-1 (L [+ 2 |K_neg|]) v / A0, offset K^-1 L Vos [and
-2 K^-1 |K_neg| Vos_inverter]; bandwidth slows and adds no static error. The stationary covariance solves A S + S A^T = 4 (k T / C) D
(differential, D = L in units of one resistor) and is no multiple of A^-1. Single-ended the right-hand side is
2 (k T / C) (L + 2 |K_neg| |K_neg|^T), in the same units: an inverter's noise goes into all cells that it feeds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from scipy.constants import Boltzmann

from ...circuits.amplifiers.models import IDEAL_GAIN, AmplifierCell, OnePole
from ...circuits.amplifiers.noise_source import power_over_white
from ...circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.e_series import preferred_conductance
from ...circuits.technology.technology import Technology
from ..matrices import Matrix, dense, is_positive_definite
from ..parts import AtRest, Behaviour, CellNoise
from .array_dynamics import ArrayDynamics
from .base import LARGEST_DENSE, Fabric, group_name, pair_drives, rails
from .crossbar_parts import CrossbarParts


class Crossbar(Fabric):
    """The active integrator array, with one or two rails."""

    parts_type = CrossbarParts
    symmetric, active = False, True
    automatic = has_dies = has_layout = has_device_model = can_calibrate = True
    schematic = "array"

    def __init__(self, rail_count: int) -> None:
        self.rail_count = self.outputs = rail_count
        self.name = "crossbar" if rail_count == 2 else "crossbar_single"
        self.has_slices = rail_count == 2
        self.title = f"op-amp integrator array, {'fully differential' if rail_count == 2 else 'single-ended'}"

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """Ones, for any matrix of a size that can be an array."""
        n = matrix.shape[0]
        if n > LARGEST_DENSE:
            return None, f"it has {n} unknowns, more than the {LARGEST_DENSE} of a dense fabric"
        return np.ones(n), "amplifiers take couplings of any sign"

    def place(self, scaled: Matrix, scaling: np.ndarray, technology: Technology) -> tuple[CrossbarParts, float]:
        """Parts for the matrix; its largest entry becomes one unit resistor, and so does each input resistor."""
        scaled = dense(scaled)
        n, rail_count = len(scaled), self.rail_count
        largest = 1.0 / technology.resistors.unit
        unit = largest / float(np.abs(scaled).max())
        # The host knows which input resistor can be had, and drives it accordingly.
        largest = float(preferred_conductance(largest, technology.resistors.series))
        parts = CrossbarParts.nominal(
            rail_count,
            unit * scaled,
            np.zeros(n),
            largest,
            technology.capacitors.unit * scaling**2,
            technology.thermal.ambient,
        )
        return parts, unit

    def settling(self, parts: CrossbarParts, smallest: float, unit: float, technology: Technology) -> float:
        """1 / Re of the slowest root: smallest eigenvalue of K + L / A0 against C (1 + 1/A0) + L / w, and the inverters' part of both."""
        law, opamp = self._law(parts), technology.opamp
        leak, lag = 1 / opamp.gain, 1 / (2 * math.pi * opamp.gbw)
        gain, gbw = opamp.gain * law.ratios[0], opamp.gbw * law.ratios[1]
        effective = law.capacitance * (1 + 1 / gain) + law.load / (2 * math.pi * gbw)
        conductance = self.realised(parts, technology)
        if (inverters := parts.inverters()) is None:
            rates = conductance / effective[:, None]
        else:
            rates = np.linalg.solve(np.diag(effective) + inverters.added(leak, lag, 0.0)[1], conductance)
        return 1.0 / float(np.linalg.eigvals(rates).real.min())

    def realised(self, parts: CrossbarParts, technology: Technology) -> np.ndarray:
        """K, with the contribution of a finite gain."""
        return self._static(parts, 1.0 / technology.opamp.gain, 0.0)

    def is_stable(self, parts: CrossbarParts, technology: Technology) -> bool:
        """Eigenvalues of C^-1 (K + L / A0) with positive real part; the bandwidth has shown no influence."""
        conductance = self.realised(parts, technology)
        if is_positive_definite(conductance):
            return True
        return bool(np.linalg.eigvals(conductance / parts.capacitance.mean(axis=0)[:, None]).real.min() > 0)

    def grows(self, parts: CrossbarParts, technology: Technology) -> bool:
        """By the law of each rail, with the amplifiers' bandwidth (`array_dynamics`)."""
        return ArrayDynamics.of(parts, technology).grows()

    def at_rest(self, parts: CrossbarParts, technology: Technology) -> AtRest:
        """See `Fabric.at_rest`."""
        return ArrayDynamics.of(parts, technology).at_rest

    def noise(self, parts: CrossbarParts, technology: Technology) -> Callable[[float], CellNoise]:
        """Resistors, and the amplifiers' white and 1/f noise, at their own gain; inverters' noise goes into all cells that they feed."""
        dynamics, opamp, law = ArrayDynamics.of(parts, technology), technology.opamp, self._law(parts)
        inverters = parts.inverters()

        def at(frequency: float) -> CellNoise:
            s = 2j * math.pi * frequency
            johnson = np.array(law.noise)
            # Two-sided: half of what data sheets state.
            volts = opamp.noise_voltage**2 / 2 * power_over_white(frequency, opamp.noise_voltage_corner)
            amperes = opamp.noise_current**2 / 2 * power_over_white(frequency, opamp.noise_current_corner)
            own = np.abs(dynamics.seen(s)) ** 2 * volts + self.rail_count * amperes
            amplifiers = np.diag(own)
            if inverters is not None:
                passed = dynamics.passed(s)
                into = dynamics.inverted
                johnson = johnson + (into * np.abs(passed) ** 2 * inverters.noise) @ into.T
                added = (1 + inverters.ratio) ** 2 * volts + amperes / parts.inverter[1] ** 2
                amplifiers = amplifiers + (into * np.abs(passed) ** 2 * added) @ into.T
            return CellNoise(dynamics.admittance(s), johnson, amplifiers)

        return at

    def admittance(self, parts: CrossbarParts, technology: Technology, s: complex) -> np.ndarray:
        """Y(s) of the law in the module's docstring."""
        opamp, law = technology.opamp, self._law(parts)
        leak, lag = 1.0 / min(opamp.gain, IDEAL_GAIN), s / (2 * math.pi * opamp.gbw)
        error = leak / law.ratios[0] + lag / law.ratios[1]
        return self._static(parts, leak, lag) + np.diag(s * law.capacitance * (1 + error))

    def _static(self, parts: CrossbarParts, leak: float, lag: complex) -> np.ndarray:
        """Y(s) less what capacitors add, of amplifiers with 1 / A(s) = leak + lag, each at its own ratios."""
        law = self._law(parts)
        conductance = law.conductance
        if self.rail_count == 1:
            given, back = parts.inverter
            inverting = leak / parts.inverter_ratios[0] + lag / parts.inverter_ratios[1]
            passed = conductance * given / (back + inverting * (given + back))
            conductance = np.where(conductance < 0, passed, conductance)
        return conductance + np.diag((leak / law.ratios[0] + lag / law.ratios[1]) * law.load)

    def without_leak(self, parts: CrossbarParts, leak: float) -> CrossbarParts:
        """K_ii less L_i / A0, down to zero: k + (l + k) / A0 = K_ii with l all of L_i but the entry k itself.

        With one rail negative entries times 1 + (1 + r) / A0 first, which their inverters lose.
        """
        coupling, places = parts.coupling.copy(), np.arange(parts.size)
        own = coupling[:, places, places]
        if self.rail_count == 1:
            given, back = parts.inverter
            coupling *= np.where(parts.polarity < 0, 1 + leak * (given + back) / back, 1.0)
        positive = parts.polarity[places, places] > 0
        others = coupling.sum(axis=2) - coupling[:, places, places] + parts.drive
        coupling[:, places, places] = np.where(positive, np.maximum(own - leak * others, 0.0) / (1 + leak), own)
        return dataclasses.replace(parts, coupling=coupling)

    def drive(self, parts: CrossbarParts) -> np.ndarray:
        """Input resistors against the host's idea of them."""
        return np.asarray(parts.drive.mean(axis=0) / parts.drive_nominal)

    def behaviour(self, parts: CrossbarParts) -> Behaviour:
        """K, L, C and noise, and with one rail the inverters."""
        law, inverters = self._law(parts), parts.inverters()
        if inverters is None:
            return law
        ideal = np.where(law.conductance < 0, law.conductance * inverters.ratio, law.conductance)
        return dataclasses.replace(law, conductance=ideal, inverters=inverters)

    def _law(self, parts: CrossbarParts) -> Behaviour:
        """K = sum over slices of sign * conductance, L = row sums and input resistor, both as the mean of the rails."""
        coupling, drive = parts.total(), parts.drive.mean(axis=0)
        heat = (coupling * parts.coupling_temperature).sum(axis=1) + drive * parts.drive_temperature
        return Behaviour(
            conductance=parts.matrix(),
            load=coupling.sum(axis=1) + drive,
            drive=drive / parts.drive_nominal,
            capacitance=parts.capacitance.mean(axis=0),
            noise=np.diag(2 * self.rail_count * Boltzmann * heat),
            ratios=parts.amplifier_ratios,
        )

    def drives(self, parts: CrossbarParts) -> list[dict[str, float]]:
        """Voltage sources before the input resistors; the single-ended integrator inverts."""
        sign = 1.0 if self.rail_count == 2 else -1.0
        return pair_drives("VB", parts.size, sign / parts.drive_nominal, self.rail_count)

    def lower(
        self,
        netlist: Netlist,
        parts: CrossbarParts,
        technology: Technology,
        currents: np.ndarray,
        state: np.ndarray,
        amplifier: AmplifierCell | None = None,
    ) -> None:
        """For each cell its crosspoint resistors, input resistors, capacitors, drive and amplifier; then the inverters."""
        single, cell = self.rail_count == 1, amplifier or OnePole(technology.opamp)
        rows = crosspoints(parts)
        for i, resistors in enumerate(rows):
            netlist.add(*resistors, group=group_name(i))
            volts = float(currents[i]) / parts.drive_nominal
            (self._single_cell if single else self._cell)(netlist, parts, technology, i, volts, float(state[i]), cell)
        if single:
            gain = min(technology.opamp.gain, IDEAL_GAIN)
            for j in parts.inverted().tolist():
                (given, back), kelvin = (1.0 / parts.inverter[:, j]).tolist(), float(parts.drive_temperature[j])
                k, group = j + 1, f"inverter{j + 1}"
                # What is at rest with the cell held where it starts.
                noise_gain, offset = 1.0 + back / given, float(parts.inverter_offset[j])
                start = (noise_gain * offset - back / given * float(state[j])) / (1.0 + noise_gain / gain)
                netlist.add(
                    Resistor(f"RI{k}", f"p{k}", f"h{k}", given, kelvin),
                    Resistor(f"RF{k}", f"h{k}", f"n{k}", back, kelvin),
                    group=group,
                )
                cell.add(
                    netlist,
                    ("0", f"h{k}"),
                    (f"n{k}",),
                    f"i{k}",
                    offset,
                    start,
                    group,
                    **parts.amplifier_draw(j, inverter=True),
                )

    def _cell(
        self,
        netlist: Netlist,
        parts: CrossbarParts,
        technology: Technology,
        i: int,
        volts: float,
        state: float,
        amplifier: AmplifierCell,
    ) -> None:
        gain = min(technology.opamp.gain, IDEAL_GAIN)
        for rail, sign in ((0, 0.5), (1, -0.5)):
            suffix, summing = f"{i + 1}{'pm'[rail]}", f"e{'pm'[rail]}{i + 1}"
            # The drive crosses over, since the integrator inverts.
            driven = f"b{'mp'[rail]}{i + 1}"
            resistance, kelvin = 1.0 / float(parts.drive[rail, i]), float(parts.drive_temperature[i])
            # The capacitor sees the output less the amplifier's own input voltage.
            start = sign * (state * (1.0 + 1.0 / gain) - float(parts.offset[i]))
            netlist.add(
                VoltageSource(f"VB{suffix}", f"b{'pm'[rail]}{i + 1}", "0", sign * volts, ac=sign),
                Resistor(f"RB{suffix}", driven, summing, resistance, temperature=kelvin),
                Capacitor(f"C{suffix}", rails(i)[rail], summing, float(parts.capacitance[rail, i]), initial=start),
                group=group_name(i),
            )
        k = i + 1
        plus, minus = rails(i)
        offset, draw = float(parts.offset[i]), parts.amplifier_draw(i)
        amplifier.add(netlist, (f"em{k}", f"ep{k}"), (plus, minus), str(k), offset, state, group_name(i), **draw)

    def _single_cell(
        self,
        netlist: Netlist,
        parts: CrossbarParts,
        technology: Technology,
        i: int,
        volts: float,
        state: float,
        amplifier: AmplifierCell,
    ) -> None:
        k, gain, offset = i + 1, min(technology.opamp.gain, IDEAL_GAIN), float(parts.offset[i])
        kelvin = float(parts.drive_temperature[i])
        start = state * (1.0 + 1.0 / gain) - offset
        netlist.add(
            VoltageSource(f"VB{k}", f"b{k}", "0", -volts, ac=-1.0),
            Resistor(f"RB{k}", f"b{k}", f"e{k}", 1.0 / float(parts.drive[0, i]), kelvin),
            Capacitor(f"C{k}", f"p{k}", f"e{k}", float(parts.capacitance[0, i]), initial=start),
            group=group_name(i),
        )
        draw = parts.amplifier_draw(i)
        amplifier.add(netlist, ("0", f"e{k}"), (f"p{k}",), str(k), offset, state, group_name(i), **draw)


def crosspoints(parts: CrossbarParts) -> list[list[Resistor]]:
    """The array's resistors, row by row; an inverting integrator, so a positive entry feeds the like input."""
    n, single = parts.size, parts.rails == 1
    plus, minus = [f"p{j + 1}" for j in range(n)], [f"{'n' if single else 'm'}{j + 1}" for j in range(n)]
    columns = [str(j + 1) for j in range(n)]
    slices = []
    with np.errstate(divide="ignore"):
        for letters, values, signs in parts.by_slice():
            slices.append((letters, 1.0 / values, signs))
    rows = []
    for i in range(n):
        kelvin, row = parts.coupling_temperature[i].tolist(), []
        for letters, ohms, polarity in slices:
            signs = polarity[i].tolist()
            for rail in range(parts.rails):
                summing = f"e{i + 1}" if single else f"e{'pm'[rail]}{i + 1}"
                like, unlike = (plus, minus) if rail == 0 else (minus, plus)
                start, end = f"{letters}{i + 1}_", "" if single else "pm"[rail]
                for j, ohm in enumerate(ohms[rail, i].tolist()):
                    if signs[j] and ohm < math.inf:
                        source = like[j] if signs[j] > 0 else unlike[j]
                        row.append(Resistor(f"{start}{columns[j]}{end}", source, summing, ohm, kelvin[j]))
        rows.append(row)
    return rows
