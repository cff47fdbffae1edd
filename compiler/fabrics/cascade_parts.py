"""`FactoredParts`: the component values of a cascade of resistor arrays before integrators, nominal or of a die.

A record holds the mean of the two rails of each part, and half of their difference over the mean: what a differential law needs to first
order is the mean. On a die the mean of a pair in an array deviates in ln R by s z with s = sigma / sqrt(2), and the rails are

    g_p, g_m = g (1 +- tanh(s z')),

so that each resistor deviates by sigma and both independently of each other, to first order in sigma; the mean is exactly that of
`devicemodel.cascade`, which keeps no rails. Cells' own parts, of which there are few, have a deviate for each rail.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy import sparse

from ...circuits.technology.die import Die
from ..matrices import Matrix
from ..parts import Dissipation, Parts, Place
from ..symbolic_law import Expr, Line, SymbolicLaw, Term
from .array import drive_deviates
from .cascade_places import APART, ARRAYS, at_edge, numbers_of, on_strip, rows_and_columns, stage_channel

_SIGNS = np.array([[1.0], [-1.0]])
"""Of half the rails' difference, in each rail."""


@dataclass(frozen=True)
class FactoredParts(Parts):
    """Component values of a cascade of T arrays before n integrators; the mean of two rails each.

    Attributes:
        arrays: T sparse matrices of signed conductances, S, in the order in which the signal passes them; the last has n rows.
        feedback: T - 1 vectors of conductances across the summing amplifiers, S.
        damping, drive, capacitance: (n,) S, S, F of each cell.
        drive_nominal: conductance that the host assumes for every input resistor, S.
        sides: (p, q) where the arrays are 1 (x) B and A (x) 1, whose copies a die numbers; else empty.
        apart: half the difference of the rails over their mean, of each kind of part: T vectors of the arrays' entries, T - 1 of feedback,
            then damping, drive and capacitance; (): rails are alike.
        offsets: input offset voltages of the amplifiers, V, of T - 1 stages and of the integrators; (): none.
        temperatures: K, of each kind of resistor as in `apart`; (): the technology's ambient.
    """

    arrays: tuple[sparse.csr_array, ...]
    feedback: tuple[np.ndarray, ...]
    damping: np.ndarray
    drive: np.ndarray
    capacitance: np.ndarray
    drive_nominal: float = dataclasses.field()
    sides: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    apart: tuple[np.ndarray, ...] = ()
    offsets: tuple[np.ndarray, ...] = ()
    temperatures: tuple[np.ndarray, ...] = ()

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return len(self.damping)

    @property
    def rails(self) -> int:
        """Number of rails, 2."""
        return 2

    @cached_property
    def offset(self) -> np.ndarray:
        """Of the integrators, (n,) V."""
        return self.offsets[-1] if self.offsets else np.zeros(self.size)

    def stage_offset(self, stage: int) -> np.ndarray:
        """Of the summing amplifiers of a stage, from 0, V."""
        return self.offsets[stage] if self.offsets else np.zeros(len(self.feedback[stage]))

    def kinds(self) -> list[np.ndarray]:
        """Mean values of each kind of part, in the order of `apart`: conductances >= 0, then capacitances."""
        return [
            *(np.abs(array.data) for array in self.arrays),
            *self.feedback,
            self.damping,
            self.drive,
            self.capacitance,
        ]

    def by_rail(self) -> list[np.ndarray]:
        """(2, m) values of each kind of part, in the order of `apart`."""
        kinds = self.kinds()
        apart = self.apart or [np.zeros_like(kind) for kind in kinds]
        return [kind * (1 + _SIGNS * half) for kind, half in zip(kinds, apart, strict=True)]

    def _with_rails(self, values: list[np.ndarray]) -> Self:
        """These parts with other values (2, m) of each kind."""
        means = [kind.mean(axis=0) for kind in values]
        halves = [
            np.divide(kind[0] - kind[1], 2 * mean, out=np.zeros_like(mean), where=mean > 0)
            for kind, mean in zip(values, means, strict=True)
        ]
        return self._with_means(means, tuple(halves))

    def _with_means(self, means: list[np.ndarray], apart: tuple[np.ndarray, ...]) -> Self:
        count, arrays = len(self.arrays), []
        for array, mean in zip(self.arrays, means, strict=False):
            changed = array.copy()
            changed.data = np.sign(array.data) * mean
            arrays.append(changed)
        damping, drive, capacitance = means[-3:]
        return dataclasses.replace(
            self,
            arrays=tuple(arrays),
            feedback=tuple(means[count:-3]),
            damping=damping,
            drive=drive,
            capacitance=capacitance,
            apart=apart,
        )

    def rail_values(self) -> Iterator[tuple[str, np.ndarray]]:
        """Arrays from 1 next to the cells, feedback of the stages, then what cells have for themselves; and all offsets of the stages, as
        if both rails had them."""
        count = len(self.arrays)
        names = [f"array {t + 1}" for t in range(count)] + [f"feedback {t + 1}" for t in range(count - 1)]
        yield from zip((*names, "damping", "drive", "capacitance"), self.by_rail(), strict=True)
        for t in range(count - 1):
            yield f"offset {t + 1}", np.stack([self.stage_offset(t)] * 2)

    def with_drive(self, conductance: float, die: Die | None = None, mismatch: float | None = None) -> Self:
        """See `Parts.with_drive`. Resistors of each range are parts of their own, with deviates of their own."""
        alike = (*self.apart[:-2], np.zeros(self.size), self.apart[-1]) if self.apart else ()
        drive = np.full_like(self.drive, conductance)
        nominal = dataclasses.replace(self, drive=drive, drive_nominal=conductance, apart=alike)
        if die is None:
            return nominal
        sigma = die.technology.resistors.mismatch if mismatch is None else mismatch
        values = self.by_rail()
        values[-2] = nominal._drive_on(self.supplied(die), sigma)
        return nominal._with_rails(values)

    def _drive_on(self, die: Die, sigma: float) -> np.ndarray:
        """The nominal input resistors as a die has them, (2, n) S."""
        place = at_edge(self.size, len(self.arrays) - 1, len(self.arrays))
        deviate = drive_deviates(die, self.drive_nominal, 2, self.size)
        return np.asarray(self.drive * np.exp(-sigma * deviate) * _shared(die, *place))

    def on_die(
        self,
        die: Die,
        mismatch: float | None = None,
        capacitor_mismatch: float | None = None,
        offset: float | None = None,
        inductor_mismatch: float | None = None,
    ) -> Self:
        """See `Parts.on_die`; where the parts are, `cascade_places` says."""
        die, technology, n, count = self.supplied(die), die.technology, self.size, len(self.arrays)
        sigma = technology.resistors.mismatch if mismatch is None else mismatch
        sigma_c = technology.capacitors.mismatch if capacitor_mismatch is None else capacitor_mismatch
        sigma_v = technology.opamp.offset_mismatch if offset is None else offset
        pair, means, apart, kelvin = sigma / math.sqrt(2.0), [], [], []
        for t, array in enumerate(self.arrays):
            found, place = numbers_of(array, t, count, self.sides), on_strip(array, t, count)
            channel = found.array * ARRAYS + found.channel
            own, other = (die.deviates_of("coupling", channel + more, found.number) for more in (0, APART))
            means.append(np.abs(array.data) * np.exp(-pair * own) * _shared(die, *place))
            apart.append(-np.tanh(pair * other))
            kelvin.append(die.temperature_of(*place))
        for t, feedback in enumerate(self.feedback):
            place, channel = at_edge(len(feedback), t, count), np.full(len(feedback), stage_channel(t))
            number = np.arange(len(feedback))
            own, other = (die.deviates_of("ground", channel + more, number) for more in (0, APART))
            means.append(feedback * np.exp(-pair * own) * _shared(die, *place))
            apart.append(-np.tanh(pair * other))
            kelvin.append(die.temperature_of(*place))
        place = at_edge(n, count - 1, count)
        damping = self.damping * np.exp(-sigma * die.deviates("ground", (2, n))) * _shared(die, *place)
        spread = np.exp(sigma_c * die.deviates("capacitor", (2, n)) + die.capacitor_shift(*place))
        cells = self._with_rails(
            [*(np.stack([mean] * 2) for mean in means), damping, self._drive_on(die, sigma), self.capacitance * spread]
        )
        numbers = [np.arange(len(feedback)) for feedback in self.feedback]
        stages = [
            sigma_v * die.deviates_of("offset", np.full(len(number), stage_channel(t)), number)
            for t, number in enumerate(numbers)
        ]
        return dataclasses.replace(
            cells,
            apart=(*apart, *cells.apart[-3:]),
            offsets=(*stages, sigma_v * die.deviates("offset", (1, n))[0]),
            temperatures=(*kelvin, *[die.temperature_of(*place)] * 2),
        )

    def change_programmed(self, change: Callable[[np.ndarray, Place], np.ndarray]) -> Self:
        """See `Parts.change_programmed`: entries of the arrays, and damping."""
        values, count, rail = self.by_rail(), len(self.arrays), np.arange(2)[:, None]
        for t, array in enumerate(self.arrays):
            found = numbers_of(array, t, count, self.sides)
            # Two rails of an array have the channels that follow each other.
            row = 2 * found.array * ARRAYS + found.channel
            values[t] = change(values[t], Place("coupling", rail, row, found.number))
        if self.damping.any():
            cells = np.arange(self.size)
            values[-3] = change(values[-3], Place("ground", rail, cells, cells))
        return self._with_rails(values)

    def aged(self, die: Die, left: Callable[[np.ndarray], np.ndarray]) -> Self:
        """See `Parts.aged`."""
        return self.change_programmed(lambda values, place: values * left(place.drawn(die, "conductance_drift")))

    def coupling_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Of entries of the arrays, feedback and damping, in the order of `dissipation`."""
        count = len(self.arrays)
        places = [on_strip(array, t, count) for t, array in enumerate(self.arrays)]
        places += [at_edge(len(feedback), t, count) for t, feedback in enumerate(self.feedback)]
        places.append(at_edge(self.size, count - 1, count))
        rows, columns = zip(*places, strict=True)
        return np.concatenate(rows), np.concatenate(columns)

    def amplifier_places(self) -> tuple[np.ndarray, np.ndarray]:
        """At the right end of the rows of each array."""
        count = len(self.arrays)
        rows, columns = zip(*(at_edge(array.shape[0], t, count) for t, array in enumerate(self.arrays)), strict=True)
        return np.concatenate(rows), np.concatenate(columns)

    @property
    def symbolic_size(self) -> int:
        """Number of cells, or rows of the largest array."""
        return max(self.size, *(array.shape[0] for array in self.arrays))

    def stages(self) -> list[np.ndarray]:
        """For each summing stage the matrix from cells' voltages to its outputs."""
        found: list[np.ndarray] = []
        passed: np.ndarray = np.eye(self.size)
        for array, feedback in zip(self.arrays[:-1], self.feedback, strict=True):
            passed = (array @ passed) / feedback[:, None]
            found.append(passed)
        return found

    def amplifier_loads(self) -> list[tuple[np.ndarray | None, np.ndarray]]:
        """Columns of the array after each output, with the damping of a cell or the feedback of a stage."""
        columns = [np.asarray(abs(array).sum(axis=0)).ravel() for array in self.arrays]
        own = (self.damping, *self.feedback)
        return [
            (stage, column + added) for stage, column, added in zip((None, *self.stages()), columns, own, strict=True)
        ]

    def map_conductances(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The arrays' resistors, then damping; feedback and input resistors are placed at values that can be had."""
        arrays = []
        for array in self.arrays:
            changed = array.copy()
            changed.data = np.sign(array.data) * change(np.abs(array.data))
            changed.eliminate_zeros()
            arrays.append(changed)
        return dataclasses.replace(self, arrays=tuple(arrays), damping=change(self.damping), apart=())

    def rounding_bound(self, wanted: Matrix, ratio: float, step: float) -> Any:
        """|product of arrays that are each as far off as rounding takes them| less the product itself, entry by entry."""
        exact, wide = np.eye(self.size), np.eye(self.size)
        for array, feedback in zip(self.arrays, (*self.feedback, None), strict=True):
            entries = np.abs(array.toarray())
            gain = 1.0 if feedback is None else 1.0 / feedback[:, None]
            exact, wide = gain * (entries @ exact), gain * ((entries * (1 + ratio) + step) @ wide)
        return wide - exact + np.diag(self.damping * ratio + step)

    def capacitances(self) -> np.ndarray:
        """Capacitances of the integrators."""
        return self.capacitance

    def inventory(self) -> Iterator[tuple[str, np.ndarray]]:
        """Two of everything but amplifiers."""
        *resistors, capacitors = self.by_rail()
        present = np.concatenate([kind.T.ravel() for kind in resistors])
        yield "resistor", 1.0 / present[present > 0]
        yield "capacitor", capacitors.T.ravel()
        yield "amplifier", np.ones(self.size + sum(len(feedback) for feedback in self.feedback))

    def code_count(self) -> int:
        """One value per entry of each factor."""
        return sum(int(np.prod(array.shape)) for array in self.arrays)

    def dissipation_bound(self, volts: float, drive_volts: float) -> float:
        """Resistors span an output, at half of its voltage, and a virtual ground."""
        arrays = sum(float(abs(array).sum()) for array in self.arrays) + sum(float(f.sum()) for f in self.feedback)
        held = 2 * (arrays + float(self.damping.sum())) * (volts / 2) ** 2
        return held + 2 * float(self.drive.sum()) * (drive_volts / 2) ** 2

    def dissipation(self, volts: np.ndarray, currents: np.ndarray, gain: float) -> Dissipation:
        """g (p w_j - e_i)^2 / 4 of an entry before the cells, g (p w_j + e_i)^2 / 4 of others, g (w_i - e_i)^2 / 4 of feedback and damping,
        g (V_i + e_i)^2 / 4 of an input resistor, with e = Vos - w / A0 of the amplifier at whose inputs they end; `coupling` is (2, m),
        entries, feedback and damping."""
        found, fed, inputs = [], [], np.zeros(0)
        values, signal, count = self.by_rail(), volts, len(self.arrays)
        for t, array in enumerate(self.arrays):
            row, column = rows_and_columns(array)
            if t == count - 1:
                outputs, inputs, towards = volts, self.offset - volts / gain, -1.0
            else:
                load = np.asarray(abs(array).sum(axis=1)).ravel() + self.feedback[t]
                held = self.feedback[t] + load / gain
                outputs = (array @ signal + load * self.stage_offset(t)) / held
                inputs, towards = self.stage_offset(t) - outputs / gain, 1.0
                fed.append(values[count + t] * ((outputs - inputs) / 2) ** 2)
            found.append(values[t] * ((np.sign(array.data) * signal[column] + towards * inputs[row]) / 2) ** 2)
            signal = outputs
        damped = values[-3] * ((volts - inputs) / 2) ** 2
        source = currents / self.drive_nominal
        return Dissipation(
            coupling=np.concatenate([*found, *fed, damped], axis=1),
            ground=np.zeros((2, self.size)),
            drive=values[-2] * ((source + inputs) / 2) ** 2,
        )

    def write_law(self, law: SymbolicLaw) -> None:
        """The law of the module's docstring: w_t = [g_t + eps (L_t + g_t)]^-1 G_t w_(t-1) for the arrays but the last."""
        law.amplifier_error()
        states = law.volts
        rows: list[tuple[list[Term], list[Expr]]] = []
        for t, array in enumerate(self.arrays, start=1):
            rows, outputs = [], []
            for r, row in enumerate(array.toarray().tolist(), start=1):
                y = {j: 1 / law.part("R", (r, j + 1), 1.0 / abs(g), stage=t) for j, g in enumerate(row) if g}
                terms = [Term(x if row[j] > 0 else -x, (), states[j]) for j, x in y.items()]
                rows.append((terms, list(y.values())))
                if t < len(self.arrays):
                    outputs.append(self._write_stage(law, t, r, terms, list(y.values())))
            states = outputs
        for i, (coupled, conductances) in enumerate(rows):
            drive = (float(self.drive[i]), self.drive_nominal)
            law.integrator(i, coupled, conductances, float(self.capacitance[i]), drive, 2, float(self.damping[i]))

    def _write_stage(self, law: SymbolicLaw, t: int, r: int, terms: list[Term], conductances: list[Expr]) -> Expr:
        """Row r of summing stage t, both from 1; returns its output."""
        back = 1 / law.part("RF", (r,), 1.0 / float(self.feedback[t - 1][r - 1]), stage=t)
        output = law.symbol(f"w{t}_{r}", f"w^{{({t})}}_{{{r}}}")
        left = (Term(back, (), output), Term(law.eps, ((*conductances, back),), output))
        law.definitions.append(Line(left, tuple(terms)))
        law.amplifier(f"S{t}_{r}", 2)
        return output


def _shared(die: Die, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Factor of conductances at these places by what all resistors of a die share, and by temperature."""
    return np.exp(-die.resistor_shift(row, column)) / die.temperature_factor(die.temperature_of(row, column))
