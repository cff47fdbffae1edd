"""A fabric in one file: resistors to ground on the diagonal, a transconductor for each entry off it (`gm_c`).

    C dv_i/dt = -K_ii v_i - sum_j K_ij v_j + I_i + Johnson noise of the resistors,    K = u A

Any symmetric positive definite A; one rail. It serves the tests that nothing outside of `compiler/fabrics` has to know a fabric.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.constants import Boltzmann

from thermograd.circuits.netlist.elements import VCCS, Capacitor, CurrentSource, Resistor
from thermograd.compiler.fabrics.base import Fabric, group_name, pair_drives
from thermograd.compiler.parts import Behaviour, Dissipation, Parts
from thermograd.compiler.symbolic_law import Line, Quantity, Term, ratio, term


@dataclass(frozen=True)
class TransconductorParts(Parts):
    """transconductance: (n, n) S, signed, 0 on the diagonal. ground: (n,) S. capacitance: (n,) F. temperature: (n,) K of the resistors."""

    transconductance: np.ndarray
    ground: np.ndarray
    capacitance: np.ndarray
    temperature: np.ndarray

    size = property(lambda self: len(self.ground))
    rails = property(lambda self: 1)

    def matrix(self) -> np.ndarray:
        return self.transconductance + np.diag(self.ground)

    def map_conductances(self, change: Callable[[np.ndarray], np.ndarray]) -> TransconductorParts:
        size = change(np.abs(self.transconductance).ravel()).reshape(self.transconductance.shape)
        return dataclasses.replace(
            self, transconductance=np.sign(self.transconductance) * size, ground=change(self.ground)
        )

    def capacitances(self) -> np.ndarray:
        return self.capacitance

    def on_die(
        self, die, mismatch=None, capacitor_mismatch=None, offset=None, inductor_mismatch=None
    ) -> TransconductorParts:
        n, technology = self.size, die.technology
        sigma = technology.resistors.mismatch if mismatch is None else mismatch
        sigma_c = technology.capacitors.mismatch if capacitor_mismatch is None else capacitor_mismatch
        place = (np.arange(n) + 0.5) / n
        temperature = die.temperature_of(place, place)
        return dataclasses.replace(
            self,
            transconductance=self.transconductance * np.exp(-sigma * die.deviates("coupling", (1, n, n))[0]),
            ground=self.ground
            * np.exp(-sigma * die.deviates("ground", (1, n))[0])
            / die.temperature_factor(temperature),
            capacitance=self.capacitance * np.exp(sigma_c * die.deviates("capacitor", (1, n))[0]),
            temperature=temperature,
        )

    def coupling_places(self) -> tuple[np.ndarray, np.ndarray]:
        place = (np.arange(self.size) + 0.5) / self.size
        return place[:, None], place[None, :]

    def dissipation(self, volts: np.ndarray, currents: np.ndarray, gain: float) -> Dissipation:
        return Dissipation(np.zeros((1, self.size, self.size)), self.ground[None] * volts**2, np.zeros((1, self.size)))

    def dissipation_bound(self, volts: float, drive_volts: float) -> float:
        return float(self.ground.sum()) * volts**2

    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        yield "resistor", 1.0 / self.ground
        yield "capacitor", self.capacitance
        yield "amplifier", np.ones(np.count_nonzero(self.transconductance))

    def code_count(self) -> int:
        return self.size**2

    def write_law(self, law) -> None:
        for i in range(self.size):
            row = [Term(law.part("C", (i + 1,), float(self.capacitance[i])) * law.s, (), law.volts[i])]
            row.append(term(law.volts[i], 1 / law.part("RG", (i + 1,), 1.0 / float(self.ground[i]))))
            for j in np.flatnonzero(self.transconductance[i]).tolist():
                value = float(self.transconductance[i, j])
                made = law.symbol(f"G_{i + 1}{j + 1}", f"G_{{{i + 1}{j + 1}}}")
                law.quantities[made], law.parts[f"G{i + 1}_{j + 1}"] = Quantity(value, "S"), (made, value)
                row.append(term(law.volts[j], made))
            law.cells.append(Line(tuple(row), (term(law.currents[i]),)))
        law.drives |= {name: (i, ratio(value, 1.0)) for i, one in enumerate(law.sources) for name, value in one.items()}


class TransconductorRC(Fabric):
    """The fabric."""

    name = "gm_c"
    title = "transconductors and resistors to ground"
    parts_type = TransconductorParts
    symmetric, active = False, False
    has_device_model = has_dies = True

    def scaling(self, matrix):
        return np.ones(matrix.shape[0]), "transconductors take couplings of any sign"

    def place(self, scaled, scaling, technology):
        unit = 1.0 / (technology.resistors.unit * float(np.abs(scaled).max()))
        n = len(scaled)
        parts = TransconductorParts(
            transconductance=unit * (scaled - np.diag(np.diag(scaled))),
            ground=unit * np.diag(scaled),
            capacitance=np.full(n, technology.capacitors.unit),
            temperature=np.full(n, technology.thermal.ambient),
        )
        return parts, unit

    def settling(self, parts, smallest, unit, technology):
        return self.tau(unit, technology) / smallest

    def realised(self, parts, technology):
        return parts.matrix()

    def is_stable(self, parts, technology):
        return bool(np.linalg.eigvals(parts.matrix() / parts.capacitance[:, None]).real.min() > 0)

    def admittance(self, parts, technology, s):
        return parts.matrix() + s * np.diag(parts.capacitance)

    def behaviour(self, parts):
        n = parts.size
        noise = np.diag(2 * Boltzmann * parts.ground * parts.temperature)
        return Behaviour(parts.matrix(), np.zeros(n), np.ones(n), parts.capacitance, noise)

    def drives(self, parts):
        return pair_drives("I", parts.size, 1.0, 1)

    def lower(self, netlist, parts, technology, currents, state, amplifier=None):
        for i in range(parts.size):
            node, k, kelvin = f"p{i + 1}", i + 1, float(parts.temperature[i])
            for j in np.flatnonzero(parts.transconductance[i]).tolist():
                value = float(parts.transconductance[i, j])
                netlist.add(VCCS(f"G{k}_{j + 1}", node, "0", f"p{j + 1}", "0", value), group=group_name(i))
            if not math.isclose(parts.ground[i], 0.0):
                netlist.add(Resistor(f"RG{k}", node, "0", 1.0 / float(parts.ground[i]), kelvin), group=group_name(i))
            netlist.add(
                Capacitor(f"C{k}", node, "0", float(parts.capacitance[i]), initial=float(state[i])),
                CurrentSource(f"I{k}", "0", node, float(currents[i])),
                group=group_name(i),
            )
