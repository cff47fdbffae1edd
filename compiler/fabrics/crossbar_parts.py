"""`CrossbarParts`: the component values of the op-amp integrator array, of one slice or of two.

With two slices each crosspoint has a second resistor, G2_ij, between the same lines, or with the column's rails swapped if its sign is
another: the currents add at the virtual ground,

    K_ij = s_ij G_ij + t_ij G2_ij,      L_i = sum_j (G_ij + G2_ij) + g_in,      noise 2 k T L a rail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..inverters import Inverters
from ..parts import Dissipation
from ..perturbation import Effect, Perturbation, Programmed
from ..symbolic_law import Expr, Line, SymbolicLaw, Term, term
from .array import ArrayParts


@dataclass(frozen=True)
class CrossbarParts(ArrayParts):
    """Crosspoint and input resistors, integrators and, with one rail, inverters."""

    def by_slice(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """For each slice the first letters of its resistors' names, their conductances (rails, n, n) S and signs (n, n)."""
        yield "R", self.coupling, self.polarity
        if self.slices == 2:
            yield "RT", self.second, self.second_polarity

    def matrix(self) -> np.ndarray:
        """K, (n, n) S, mean of the rails."""
        first = self.polarity * self.coupling.mean(axis=0)
        return first + self.second_polarity * self.second.mean(axis=0) if self.slices == 2 else first

    def total(self) -> np.ndarray:
        """All conductance at each crosspoint, (n, n) S, mean of the rails."""
        first = self.coupling.mean(axis=0)
        return np.asarray(first + self.second.mean(axis=0) if self.slices == 2 else first)

    def inverted(self) -> np.ndarray:
        """The columns (k,) that have an inverter: with one rail, those with a negative entry."""
        if self.rails == 2:
            return np.zeros(0, dtype=np.intp)
        return np.flatnonzero((self.polarity < 0).any(axis=0))

    def inverters(self) -> Inverters | None:
        """What the inverters add to the law; None: there are none."""
        if not self.has_inverters:
            return None
        negative = np.where(self.polarity < 0, self.coupling[0], 0.0)
        given, back = self.inverter
        ratios = (self.inverter_ratios[0], self.inverter_ratios[1])
        return Inverters.of_resistors(negative, given, back, self.drive_temperature, self.inverter_offset, ratios)

    def amplifier_loads(self) -> list[tuple[np.ndarray | None, np.ndarray]]:
        """Columns of crosspoints; with one rail the inverter's input beside the positive ones, and the negative ones with its feedback."""
        if self.rails == 2:
            return [(None, self.total().sum(axis=0))]
        positive, negative = (np.where(sign * self.polarity > 0, self.coupling[0], 0.0).sum(axis=0) for sign in (1, -1))
        given, back = self.inverter
        used = negative > 0
        return [(None, positive + np.where(used, given, 0.0)), (None, np.where(used, negative + back, 0.0))]

    def amplifier_places(self) -> tuple[np.ndarray, np.ndarray]:
        """At the right end of its row, as the layout has it; an inverter is beside the amplifier whose output it inverts."""
        place = (np.arange(self.size) + 0.5) / self.size
        rows = np.concatenate([place, place[self.inverted()]]) if self.rails == 1 else place
        return rows, np.ones(len(rows))

    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        """Resistors, capacitors, amplifiers."""
        placed = [(values * np.abs(signs)).ravel() for _, values, signs in self.by_slice()]
        present = np.concatenate([*placed, self.drive.ravel()])
        used = self.inverted()
        yield "resistor", np.concatenate([1.0 / present[present > 0], 1.0 / self.inverter[:, used].ravel()])
        yield "capacitor", self.capacitance.ravel()
        yield "amplifier", np.ones(self.size + len(used))

    def code_count(self) -> int:
        """One value per crosspoint and slice."""
        return self.slices * self.size**2

    def dissipation_bound(self, volts: float, drive_volts: float) -> float:
        """A crosspoint's resistor spans a cell's output and a virtual ground."""
        held = sum(float((values * np.abs(signs)).sum()) for _, values, signs in self.by_slice())
        held += float(self.inverter[:, self.inverted()].sum())
        return held * (volts / self.rails) ** 2 + float(self.drive.sum()) * (drive_volts / self.rails) ** 2

    def dissipation(self, volts: np.ndarray, currents: np.ndarray, gain: float) -> Dissipation:
        """g (p v_j - e_i)^2 and g (V_i + e_i)^2 over rails^2, with e = Vos - v / A0 and V the sources; n_j for -v_j with one rail."""
        rail = volts / self.rails
        summing = (self.offset - volts / (gain * self.amplifier_ratios[0])) / self.rails
        source = currents / self.drive_nominal / self.rails
        inverters = self.inverters()
        inverted = -rail if inverters is None else inverters.volts(volts, 1 / gain)
        heat = [
            values * np.abs(signs) * (np.where(signs < 0, inverted, signs * rail) - summing[:, None]) ** 2
            for _, values, signs in self.by_slice()
        ]
        return Dissipation(
            coupling=np.sum(heat, axis=0) if len(heat) > 1 else heat[0],
            ground=np.zeros_like(self.ground),
            drive=self.drive * (source + summing) ** 2,
            inverter=None if inverters is None else self._inverters_heat(volts, inverted, gain),
        )

    def _inverters_heat(self, volts: np.ndarray, inverted: np.ndarray, gain: float) -> np.ndarray:
        heat, used = np.zeros_like(self.inverter), self.inverted()
        summing = self.inverter_offset - inverted / (gain * self.inverter_ratios[0])
        heat[:, used] = (self.inverter * (np.stack([volts, inverted]) - summing) ** 2)[:, used]
        return heat

    def effects(self, perturbation: Perturbation) -> Iterator[Effect]:
        """Input resistors, those of inverters, crosspoints."""
        drive, used = self.drive.mean(axis=0), self.inverted()
        yield Effect([f"RB{i + 1}" for i in range(self.size)], drive, perturbation.drive(drive))
        if len(used):
            for letter, values in zip("IF", self.inverter[:, used], strict=True):
                yield Effect([f"R{letter}{j + 1}" for j in used], values, perturbation.inverter(used, values))
        for letters, values, signs in self.by_slice():
            i, j = np.nonzero(values[0] * signs)
            names = [f"{letters}{a + 1}_{c + 1}" for a, c in zip(i, j, strict=True)]
            kind: Programmed = "coupling" if letters == "R" else "second_slice"
            yield Effect(names, values.mean(axis=0)[i, j], perturbation.entry(i, j), kind)

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
                law.part("RI", (j + 1,), 1.0 / float(self.inverter[0, j]), name)
            law.amplifier(f"i{j + 1}", 1)
        return outputs

    def _symbolic_row(self, law: SymbolicLaw, i: int, inverted: dict[int, Expr]) -> tuple[list[Term], list[Expr]]:
        """The terms s_ij G_ij v_j of a row, and its conductances."""
        terms, conductances = [], []
        for letters, values, own in self.by_slice():
            # The first slice has the matrix's signs; the second one's are those of what the first one lacks.
            signs = law.signs if letters == "R" else own
            for j in range(self.size):
                if values[0, i, j] > 0 and signs[i, j]:
                    y = 1 / law.part(letters, (i + 1, j + 1), 1.0 / float(values[0, i, j]))
                    conductances.append(y)
                    if j in inverted and signs[i, j] < 0:
                        terms.append(Term(y, (), inverted[j]))
                    else:
                        terms.append(Term(int(signs[i, j]) * y, (), law.volts[j]))
        return terms, conductances
