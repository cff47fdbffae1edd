"""`crossbar` and `crossbar_single`: op-amp integrators with a resistor at each crosspoint; they realise any sign.

Fully differential (`crossbar`): integrator i has input nodes ep_i, em_i and outputs p_i, m_i. A positive entry joins p_j to ep_i and
m_j to em_i, a negative one swaps the rails; the drive comes through one input resistor per rail. With amplifiers of gain A0,
gain-bandwidth w = 2 pi GBW (rad/s) and offset Vos, eps(s) = 1/A0 + s/w and L = diag(sum_j |K_ij| + g_in):

    [s C (1 + eps) + eps L + K] v = I + L Vos.

Single-ended (`crossbar_single`): half the parts, inverting integrators e_i, p_i, and for each column with a negative entry one
inverter h_j, n_j of two unit resistors, whose gain is -1 / (1 + 2 eps):

    [s C (1 + eps) + eps L + K_pos - |K_neg| / (1 + 2 eps)] v = I + L Vos.

Conditions: A positive definite. Parts: a resistor (two) per entry and per cell, a capacitor (two) and an amplifier per cell, and the
inverters. Time constants (C + L / w) / (g lambda). First-order errors: static -K^-1 (L [+ 2 |K_neg|]) v / A0, offset K^-1 L Vos;
bandwidth slows and adds no static error. The stationary covariance solves A S + S A^T = 4 (k T / C) D (differential, D = L in units of
one resistor) and is no multiple of A^-1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.constants import Boltzmann

from ...circuits.amplifiers.models import IDEAL_GAIN, AmplifierCell, OnePole
from ...circuits.errors import UnrealisableError
from ...circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.e_series import preferred_conductance
from ...circuits.technology.technology import Technology
from ..matrices import Matrix, dense, is_positive_definite
from ..parts import Behaviour, Dissipation
from ..perturbation import Effect, Perturbation
from ..symbolic_law import Expr, Line, SymbolicLaw, Term, term
from .array import ArrayParts
from .base import LARGEST_DENSE, Fabric, group_name, pair_drives, rails


@dataclass(frozen=True)
class CrossbarParts(ArrayParts):
    """Crosspoint and input resistors, integrators and, with one rail, inverters."""

    def inverted(self) -> np.ndarray:
        """The columns (k,) that have an inverter: with one rail, those with a negative entry."""
        if self.rails == 2:
            return np.zeros(0, dtype=np.intp)
        return np.flatnonzero((self.polarity < 0).any(axis=0))

    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        """Resistors, capacitors, amplifiers."""
        present = np.concatenate([(self.coupling * np.abs(self.polarity)).ravel(), self.drive.ravel()])
        used = self.inverted()
        yield "resistor", np.concatenate([1.0 / present[present > 0], 1.0 / self.inverter[:, used].ravel()])
        yield "capacitor", self.capacitance.ravel()
        yield "amplifier", np.ones(self.size + len(used))

    def code_count(self) -> int:
        """One value per crosspoint."""
        return self.size**2

    def dissipation_bound(self, volts: float, drive_volts: float) -> float:
        """A crosspoint's resistor spans a cell's output and a virtual ground."""
        held = float((self.coupling * np.abs(self.polarity)).sum()) + float(self.inverter[:, self.inverted()].sum())
        return held * (volts / self.rails) ** 2 + float(self.drive.sum()) * (drive_volts / self.rails) ** 2

    def dissipation(self, volts: np.ndarray, currents: np.ndarray, gain: float) -> Dissipation:
        """g (p v_j - e_i)^2 and g (V_i + e_i)^2 over rails^2, with e = Vos - v / A0 and V the sources; inverters are not counted."""
        rail, present = volts / self.rails, self.coupling * np.abs(self.polarity)
        summing = (self.offset - volts / gain) / self.rails
        source = currents / self.drive_nominal / self.rails
        across = self.polarity * rail[None, :] - summing[:, None]
        return Dissipation(
            coupling=present * across**2, ground=np.zeros_like(self.ground), drive=self.drive * (source + summing) ** 2
        )

    def effects(self, perturbation: Perturbation) -> Iterator[Effect]:
        """Input resistors, those of inverters, crosspoints."""
        drive, used = self.drive.mean(axis=0), self.inverted()
        yield Effect([f"RB{i + 1}" for i in range(self.size)], drive, perturbation.drive(drive))
        if len(used):
            for letter, values in zip("IF", self.inverter[:, used], strict=True):
                yield Effect([f"R{letter}{j + 1}" for j in used], values, perturbation.inverter(used, values))
        i, j = np.nonzero(self.coupling[0] * self.polarity)
        names = [f"R{a + 1}_{c + 1}" for a, c in zip(i, j, strict=True)]
        yield Effect(names, self.coupling.mean(axis=0)[i, j], perturbation.entry(i, j))

    def write_law(self, law: SymbolicLaw) -> None:
        """[s C (1 + eps) + eps L] v + K v = I; with one rail negative entries see the output of an inverter."""
        law.amplifier_error()
        inverted = self._write_inverters(law) if self.rails == 1 else {}
        rows = [self._symbolic_row(law, i, inverted) for i in range(self.size)]
        for i, (coupled, conductances) in enumerate(rows):
            drive = (float(self.drive[0, i]), self.drive_nominal)
            law.integrator(i, coupled, conductances, float(self.capacitance[0, i]), drive, self.rails)

    def _write_inverters(self, law: SymbolicLaw) -> dict[int, Expr]:
        """n_j = -v_j / (1 + 2 eps) by column."""
        import sympy

        outputs: dict[int, Expr] = {}
        negative = (law.signs < 0) & (self.coupling[0] > 0)
        for j in np.flatnonzero(negative.any(axis=0)).tolist():
            outputs[j] = law.symbol(f"n_{j + 1}", f"n_{{{j + 1}}}")
            left = Term(sympy.Integer(1), ((sympy.Integer(1), 2 * law.eps),), outputs[j])
            law.definitions.append(Line((left,), (term(law.volts[j], -sympy.Integer(1)),)))
            for name in (f"RI{j + 1}", f"RF{j + 1}"):
                law.part("RI", (j + 1,), 1.0 / self.drive_nominal, name)
            law.amplifier(f"i{j + 1}", 1)
        return outputs

    def _symbolic_row(self, law: SymbolicLaw, i: int, inverted: dict[int, Expr]) -> tuple[list[Term], list[Expr]]:
        """The terms sigma_ij G_ij v_j of a row, and its conductances."""
        terms, conductances = [], []
        for j in range(self.size):
            if self.coupling[0, i, j] > 0 and law.signs[i, j]:
                y = 1 / law.part("R", (i + 1, j + 1), 1.0 / float(self.coupling[0, i, j]))
                conductances.append(y)
                if j in inverted and law.signs[i, j] < 0:
                    terms.append(Term(y, (), inverted[j]))
                else:
                    terms.append(Term(int(law.signs[i, j]) * y, (), law.volts[j]))
        return terms, conductances


class Crossbar(Fabric):
    """The active integrator array, with one or two rails."""

    parts_type = CrossbarParts
    symmetric, active = False, True
    has_dies = has_layout = True
    schematic = "array"

    def __init__(self, rail_count: int) -> None:
        self.rail_count = rail_count
        self.name = "crossbar" if rail_count == 2 else "crossbar_single"
        self.automatic = self.has_device_model = self.can_calibrate = rail_count == 2  # no model has inverters
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
        """1 / Re of the slowest root: smallest eigenvalue of K + L / A0 against C (1 + 1/A0) + L / w."""
        law, opamp = self._law(parts), technology.opamp
        effective = law.capacitance * (1 + 1 / opamp.gain) + law.load / (2 * math.pi * opamp.gbw)
        return 1.0 / float(np.linalg.eigvals(self.realised(parts, technology) / effective[:, None]).real.min())

    def realised(self, parts: CrossbarParts, technology: Technology) -> np.ndarray:
        """K, with the contribution of a finite gain."""
        return self._static(parts, 1.0 / technology.opamp.gain)

    def is_stable(self, parts: CrossbarParts, technology: Technology) -> bool:
        """Eigenvalues of C^-1 (K + L / A0) with positive real part; the bandwidth has shown no influence."""
        conductance = self.realised(parts, technology)
        if is_positive_definite(conductance):
            return True
        return bool(np.linalg.eigvals(conductance / parts.capacitance.mean(axis=0)[:, None]).real.min() > 0)

    def admittance(self, parts: CrossbarParts, technology: Technology, s: complex) -> np.ndarray:
        """Y(s) of the law in the module's docstring."""
        opamp, law = technology.opamp, self._law(parts)
        error = 1.0 / min(opamp.gain, IDEAL_GAIN) + s / (2 * math.pi * opamp.gbw)
        return self._static(parts, error) + np.diag(s * law.capacitance * (1 + error))

    def _static(self, parts: CrossbarParts, error: complex) -> np.ndarray:
        law = self._law(parts)
        conductance = law.conductance
        if self.rail_count == 1:
            given, back = parts.inverter
            conductance = np.where(conductance < 0, conductance * given / (back + error * (given + back)), conductance)
        return conductance + np.diag(error * law.load)

    def without_leak(self, parts: CrossbarParts, leak: float) -> CrossbarParts:
        """K_ii less L_i / A0, down to zero: k + (l + k) / A0 = K_ii with l all of L_i but the entry k itself."""
        coupling, places = parts.coupling.copy(), np.arange(parts.size)
        own = coupling[:, places, places]
        positive = parts.polarity[places, places] > 0
        others = coupling.sum(axis=2) - own + parts.drive
        coupling[:, places, places] = np.where(positive, np.maximum(own - leak * others, 0.0) / (1 + leak), own)
        return dataclasses.replace(parts, coupling=coupling)

    def drive(self, parts: CrossbarParts) -> np.ndarray:
        """Input resistors against the host's idea of them."""
        return np.asarray(parts.drive.mean(axis=0) / parts.drive_nominal)

    def behaviour(self, parts: CrossbarParts) -> Behaviour:
        """K, L, C and noise; of the differential array, which is the one that devices are modelled after."""
        if self.rail_count == 1:
            raise UnrealisableError(
                "crossbar_single has no first-order device model (its inverters add one); use crossbar"
            )
        return self._law(parts)

    def _law(self, parts: CrossbarParts) -> Behaviour:
        """K = polarity * coupling, L = row sums and input resistor, both as the mean of the rails."""
        coupling, drive = parts.coupling.mean(axis=0), parts.drive.mean(axis=0)
        heat = (coupling * parts.coupling_temperature).sum(axis=1) + drive * parts.drive_temperature
        return Behaviour(
            conductance=parts.polarity * coupling,
            load=coupling.sum(axis=1) + drive,
            drive=drive / parts.drive_nominal,
            capacitance=parts.capacitance.mean(axis=0),
            noise=np.diag(2 * self.rail_count * Boltzmann * heat),
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
        rows = self._crosspoints(parts)
        for i, resistors in enumerate(rows):
            netlist.add(*resistors, group=group_name(i))
            volts = float(currents[i]) / parts.drive_nominal
            (self._single_cell if single else self._cell)(netlist, parts, technology, i, volts, float(state[i]), cell)
        if single:
            for j in parts.inverted().tolist():
                (given, back), kelvin = (1.0 / parts.inverter[:, j]).tolist(), float(parts.drive_temperature[j])
                k, group = j + 1, f"inverter{j + 1}"
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
                    float(parts.inverter_offset[j]),
                    -float(state[j]),
                    group,
                )

    def _crosspoints(self, parts: CrossbarParts) -> list[list[Resistor]]:
        """The array's resistors, row by row; an inverting integrator, so a positive entry feeds the like input."""
        n, single = parts.size, self.rail_count == 1
        plus, minus = [f"p{j + 1}" for j in range(n)], [f"{'n' if single else 'm'}{j + 1}" for j in range(n)]
        columns = [str(j + 1) for j in range(n)]
        with np.errstate(divide="ignore"):
            ohms = 1.0 / parts.coupling
        rows = []
        for i in range(n):
            signs, kelvin = parts.polarity[i].tolist(), parts.coupling_temperature[i].tolist()
            row = []
            for rail in range(self.rail_count):
                summing = f"e{i + 1}" if single else f"e{'pm'[rail]}{i + 1}"
                like, unlike = (plus, minus) if rail == 0 else (minus, plus)
                start, end = f"R{i + 1}_", "" if single else "pm"[rail]
                for j, ohm in enumerate(ohms[rail, i].tolist()):
                    if signs[j] and ohm < math.inf:
                        source = like[j] if signs[j] > 0 else unlike[j]
                        row.append(Resistor(f"{start}{columns[j]}{end}", source, summing, ohm, kelvin[j]))
            rows.append(row)
        return rows

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
                VoltageSource(f"VB{suffix}", f"b{'pm'[rail]}{i + 1}", "0", sign * volts),
                Resistor(f"RB{suffix}", driven, summing, resistance, temperature=kelvin),
                Capacitor(f"C{suffix}", rails(i)[rail], summing, float(parts.capacitance[rail, i]), initial=start),
                group=group_name(i),
            )
        k = i + 1
        plus, minus = rails(i)
        amplifier.add(
            netlist, (f"em{k}", f"ep{k}"), (plus, minus), str(k), float(parts.offset[i]), state, group_name(i)
        )

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
            VoltageSource(f"VB{k}", f"b{k}", "0", -volts),
            Resistor(f"RB{k}", f"b{k}", f"e{k}", 1.0 / float(parts.drive[0, i]), kelvin),
            Capacitor(f"C{k}", f"p{k}", f"e{k}", float(parts.capacitance[0, i]), initial=start),
            group=group_name(i),
        )
        amplifier.add(netlist, ("0", f"e{k}"), (f"p{k}",), str(k), offset, state, group_name(i))
