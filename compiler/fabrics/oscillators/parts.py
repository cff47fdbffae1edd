"""`OscillatorParts`: the component values of coupled oscillators, two integrators a cell.

The crosspoints are those of an array (`CrossbarParts`) from the positions into the summing nodes of the velocities. Beside each row's
velocity amplifier are its input and friction resistors and a capacitor; beside its position amplifier the link from the velocity, a
capacitor and a resistor in series with that. All of these are at the array's right edge.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from ....circuits.technology.amplifier_draw import AmplifierDraw
from ....circuits.technology.die import Die
from ....circuits.technology.parts import Resistors
from ...parts import Dissipation, Place
from ...symbolic_law import Expr, Line, Output, SymbolicLaw, Term, term
from ..crossbar_parts import CrossbarParts


@dataclass(frozen=True, kw_only=True)
class OscillatorParts(CrossbarParts):
    """Component values of n oscillators, SI units; the first axis counts rails, of which there are two.

    Attributes:
        capacitance: (rails, n) F, of the positions. offset: (n,) V, of the velocities' amplifiers.
        friction: (rails, n) S, programmable; 0 is an absent resistor.
        link: (rails, n) S, from a velocity to its position.
        series: (rails, n) ohm, in series with a position's capacitor; 0: none.
        velocity_capacitance: (rails, n) F. position_offset: (n,) V.
        position_transistors: deviations of the transistors of the positions' amplifiers, (n, K, 2); as `transistors`, which are those of
            the velocities'. Of amplifiers' own gain and bandwidth the law knows nothing: `amplifier_ratios` are 1.
    """

    friction: np.ndarray
    link: np.ndarray
    series: np.ndarray
    velocity_capacitance: np.ndarray
    position_offset: np.ndarray
    position_transistors: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0, 2)))

    @classmethod
    def around(
        cls, array: CrossbarParts, friction: np.ndarray, link: float, series: np.ndarray, velocity_capacitance: float
    ) -> Self:
        """Nominal parts, both rails alike, around an array of nominal ones.

        Args:
            array: crosspoints, input resistors and the capacitors of the positions.
            friction: (n,) S. link: S. series: (n,) ohm. velocity_capacitance: F.
        """
        shape = (array.rails, array.size)
        fields = {field.name: getattr(array, field.name) for field in dataclasses.fields(array)}
        return cls(
            **fields,
            friction=np.broadcast_to(friction, shape).copy(),
            link=np.full(shape, link),
            series=np.broadcast_to(series, shape).copy(),
            velocity_capacitance=np.full(shape, velocity_capacitance),
            position_offset=np.zeros(array.size),
        )

    @property
    def row_load(self) -> np.ndarray:
        """L, (rails, n) S: all that a velocity's summing nodes see."""
        crosspoints = sum((np.abs(signs) * values).sum(axis=2) for _, values, signs in self.by_slice())
        return np.asarray(crosspoints + self.drive + self.friction)

    def with_friction(self, wanted: float, leak: float, resistors: Resistors) -> Self:
        """These parts with friction that makes `wanted` (S) together with what amplifiers of gain 1 / `leak` add to it.

        They add (L_i + h C_v / C_i) leak, L_i with the friction itself in it. Codes reach from their smallest conductance to 1/unit; where
        amplifiers add all that is wanted, there is no resistor.
        """
        added = (self.row_load - self.friction) + self.link * self.velocity_capacitance / self.capacitance
        friction = np.maximum(wanted - leak * added, 0.0) / (1 + leak)
        if resistors.bits is not None:
            largest = 1.0 / resistors.unit
            smallest = largest / (resistors.on_off or 2.0**resistors.bits - 1)
            friction = np.where(friction > 0, np.clip(friction, smallest, largest), 0.0)
        return dataclasses.replace(self, friction=friction)

    def with_less_stiffness(self, leak: float) -> Self:
        """These parts with K_ii less by leak (Gamma_i + leak L_i), down to zero: what amplifiers of gain 1 / `leak` add to it."""
        places = np.arange(self.size)
        coupling = self.coupling.copy()
        own, positive = coupling[:, places, places], self.polarity[places, places] > 0
        others = leak * (self.friction + leak * (self.row_load - own))
        coupling[:, places, places] = np.where(positive, np.maximum(own - others, 0.0) / (1 + leak**2), own)
        return dataclasses.replace(self, coupling=coupling)

    def integrators(self, s: complex, error: complex, beside: complex) -> tuple[np.ndarray, np.ndarray]:
        """See `ArrayParts.integrators`: velocities with their friction, and what makes a position of them."""
        link, farad = self.link.mean(axis=0), self.capacitance.mean(axis=0)
        stored = s * farad / (1 + s * farad * self.series.mean(axis=0))
        held = self.friction.mean(axis=0) + s * self.velocity_capacitance.mean(axis=0)
        return held * (1 + error), (stored * (1 + error) + error * (link + beside)) / link

    def amplifier_loads(self) -> list[tuple[np.ndarray | None, np.ndarray]]:
        """Positions drive columns of crosspoints; velocities, which rest, are heeded with what they swing to."""
        return [(None, self.total().sum(axis=0))]

    def amplifier_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Both at the right end of the row, the velocities' amplifiers first."""
        rows, columns = super().amplifier_places()
        return np.tile(rows, 2), np.tile(columns, 2)

    def map_conductances(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """Couplings, then input resistors, then friction; links are unit resistors already."""
        changed = super().map_conductances(change)
        return dataclasses.replace(
            changed, friction=np.broadcast_to(change(self.friction[0]), self.friction.shape).copy()
        )

    def rescaled(self, scale: float, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """Friction goes with the root, as the modes' frequencies do."""
        return dataclasses.replace(self, friction=change(math.sqrt(scale) * self.friction))

    def rail_values(self) -> Iterator[tuple[str, np.ndarray]]:
        """Those of the array, then the oscillators' own."""
        yield from super().rail_values()
        for name in ("friction", "link", "series", "velocity_capacitance"):
            yield name, getattr(self, name)

    def on_die(
        self,
        die: Die,
        mismatch: float | None = None,
        capacitor_mismatch: float | None = None,
        offset: float | None = None,
        inductor_mismatch: float | None = None,
    ) -> Self:
        """See `Parts.on_die`. Crosspoints, input resistors and the positions' capacitors have the deviates of a crossbar on that die."""
        placed = super().on_die(die, mismatch, capacitor_mismatch, offset)
        die, technology, n = self.supplied(die), die.technology, self.size
        sigma = technology.resistors.mismatch if mismatch is None else mismatch
        sigma_c = technology.capacitors.mismatch if capacitor_mismatch is None else capacitor_mismatch
        sigma_v = technology.opamp.offset_mismatch if offset is None else offset
        place, edge, shape = (np.arange(n) + 0.5) / n, np.ones(n), (self.rails, n)
        factor = die.temperature_factor(placed.drive_temperature)
        shift = die.resistor_shift(place, edge)

        def resistance(part: str) -> np.ndarray:
            return np.asarray(np.exp(sigma * die.deviates(part, shape) + shift) * factor)

        known = placed.transistors.size > 0
        spread = sigma_c * die.deviates("velocity_capacitor", shape) + die.capacitor_shift(place, edge)
        return dataclasses.replace(
            placed,
            friction=self.friction / resistance("friction"),
            link=self.link / resistance("link"),
            series=self.series * resistance("series"),
            velocity_capacitance=self.velocity_capacitance * np.exp(spread),
            position_offset=sigma_v * die.deviates("position_offset", (1, n))[0],
            position_transistors=die.transistor_deviations("position_offset", np.arange(n if known else 0)),
            amplifier_ratios=np.ones((2, 1)),
        )

    def position_draw(self, i: int) -> dict[str, AmplifierDraw]:
        """As `amplifier_draw`, of the amplifier that holds the position of cell i."""
        return {"draw": AmplifierDraw(1.0, 1.0, self.position_transistors[i])} if self.position_transistors.size else {}

    def aged(self, die: Die, left: Callable[[np.ndarray], np.ndarray]) -> Self:
        """See `Parts.aged`; friction is programmed, too."""
        drifted = left(die.deviates("friction_conductance_drift", self.friction.shape))
        return dataclasses.replace(super().aged(die, left), friction=self.friction * drifted)

    def change_programmed(self, change: Callable[[np.ndarray, Place], np.ndarray]) -> Self:
        """See `Parts.change_programmed`."""
        n, rails = np.arange(self.size), np.arange(self.rails)
        friction = change(self.friction, Place("friction", rails[:, None], n, n))
        return dataclasses.replace(super().change_programmed(change), friction=friction)

    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        """Those of an array, then friction, links and series resistors, the velocities' capacitors, and as many amplifiers again."""
        own = {
            "resistor": np.concatenate(
                [1.0 / self.friction[self.friction > 0], 1.0 / self.link.ravel(), self.series[self.series > 0]]
            ),
            "capacitor": self.velocity_capacitance.ravel(),
            "amplifier": np.ones(self.size),
        }
        for kind, values in super().inventory():
            yield kind, np.concatenate([values, own[kind]])

    def code_count(self) -> int:
        """One value per crosspoint and slice, and a cell's friction."""
        return super().code_count() + self.size

    def dissipation_bound(self, volts: float, drive_volts: float) -> float:
        """At rest links carry no current, and friction less than a volt of its cell would drive."""
        own = float(self.friction.sum()) * (volts / self.rails) ** 2
        return super().dissipation_bound(volts, drive_volts) + own

    def dissipation(self, volts: np.ndarray, currents: np.ndarray, gain: float) -> Dissipation:
        """As the array, whose summing nodes are at e = Vos - v / A0 with v = x / A0 - Vos' the velocity; friction is beside the drive."""
        velocity = volts / gain - self.position_offset
        rail, source = volts / self.rails, currents / self.drive_nominal / self.rails
        summing = (self.offset - velocity / gain) / self.rails
        heat = [values * np.abs(signs) * (signs * rail - summing[:, None]) ** 2 for _, values, signs in self.by_slice()]
        across = velocity / self.rails - summing
        return Dissipation(
            coupling=np.sum(heat, axis=0),
            ground=np.zeros_like(self.ground),
            drive=self.drive * (source + summing) ** 2 + self.friction * across**2,
        )

    def write_law(self, law: SymbolicLaw) -> None:
        """[s C (1 + eps) + eps L + 1/R_D] w + K v = I, with the velocity w from [Z (1 + eps) + eps / R_L] v = w / R_L."""
        law.amplifier_error()
        velocities = [self._write_position(law, i) for i in range(self.size)]
        for i, velocity in enumerate(velocities):
            coupled, conductances = self._symbolic_row(law, i, {})
            law.integrator(
                i,
                coupled,
                conductances,
                float(self.velocity_capacitance[0, i]),
                (float(self.drive[0, i]), self.drive_nominal),
                self.rails,
                float(self.friction[0, i]),
                Output(velocity, "CV", "RD", f"v{i + 1}"),
            )

    def _write_position(self, law: SymbolicLaw, i: int) -> Expr:
        """The velocity of a cell from its position."""
        import sympy

        k, one = i + 1, sympy.Integer(1)
        link = 1 / law.part("RL", (k,), 1.0 / float(self.link[0, i]))
        stored = law.part("C", (k,), float(self.capacitance[0, i])) * law.s
        if ohm := float(self.series[0, i]):
            branch = law.symbol(f"Z_{k}", f"Z_{{{k}}}")
            whole = Term(one, ((one, stored * law.part("RZ", (k,), ohm)),), branch)
            law.definitions.append(Line((whole,), (term(1, stored),)))
            stored = branch
        velocity = law.symbol(f"w_{k}", f"w_{{{k}}}")
        held = (Term(stored, ((one, law.eps),), law.volts[i]), Term(link * law.eps, (), law.volts[i]))
        law.definitions.append(Line((term(velocity, link),), held))
        law.amplifier(str(k), self.rails)
        return velocity
