"""`MeasuredDie`: a die whose parts deviate as they were measured, at their places, whatever matrix is programmed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...circuits.technology.technology import Technology
from ...compiler.program import AnalogProgram
from .part_places import PartPlace, part_places, values_of


class MeasuredDie(Die):
    """A die that answers with measured deviations where there are some.

    Any device takes it in place of a seed: ``SpiceDevice(technology, die=MeasuredDie(...))``.

    Args:
        technology: whose standard deviations turn deviations into deviates, so that they have to be above 0 where something was measured.
        deviations: place -> ln(value / nominal) at one temperature; of an amplifier's offset V.
        seed: of the parts that were not measured, and of converters; None: these are nominal. Gradients and die-to-die variation are in the
            measured values, and the others have none.
    """

    def __init__(
        self, technology: Technology | str, deviations: Mapping[PartPlace, float], seed: int | None = None
    ) -> None:
        super().__init__(technology, seed)
        self.deviations = dict(deviations)
        sigma = {
            "resistor": self.technology.resistors.mismatch,
            "capacitor": self.technology.capacitors.mismatch,
            "inductor": self.technology.inductors.mismatch,
            "offset": self.technology.opamp.offset_mismatch,
        }
        held: dict[tuple[str, bool], list[tuple[tuple[int, ...], float]]] = {}
        for place, value in self.deviations.items():
            if not np.isfinite(value):
                raise InputError(f"deviation of {place.stream} at {place.place} is {value!r}: give a finite number")
            if value and not sigma[place.kind] > 0:
                raise InputError(
                    f"{place.kind} at {place.place} deviates by {value:.3g}, and technology {self.technology.name} states no scatter of "
                    f"its {place.kind}s, in whose units dies hold deviations: give it one, such as a tolerance of 0.01"
                )
            deviate = value / sigma[place.kind] if value else 0.0
            held.setdefault((place.stream, place.numbered), []).append((place.place, deviate))
        self._held = {
            key: (np.array([place for place, _ in found]), np.array([value for _, value in found]))
            for key, found in held.items()
        }

    @classmethod
    def of_values(
        cls,
        program: AnalogProgram,
        values: Mapping[str, float],
        seed: int | None = None,
    ) -> MeasuredDie:
        """The die on which parts of a program's netlist have these values.

        Args:
            program: nominal. values: name of a resistor, capacitor, inductor or offset source -> ohm, F, H or V.
            seed: see the class.

        Raises:
            InputError: a name that is none of the parts that a die changes; a value of the other sign.
        """
        places = part_places(program)
        plain = values_of(program.on(cls(program.technology, {}, None)).netlist())
        names = {name.lower(): name for name in places}
        deviations = {}
        for given, value in values.items():
            name = names.get(given.lower())
            if name is None:
                raise InputError(
                    f"{given!r} is no part of the program that differs from die to die; such are {', '.join(list(places)[:8])}, ..."
                )
            kind, nominal = plain.get(name, (places[name].kind, 0.0))
            if kind != "offset" and not value / nominal > 0:
                raise InputError(f"{name} is {value:.4g}: a value above 0 is needed")
            deviations[places[name]] = float(value - nominal if kind == "offset" else np.log(value / nominal))
        return cls(program.technology, deviations, seed)

    @property
    def identity(self) -> int | str | None:
        """See `Die.identity`."""
        text = repr(sorted((*place, value) for place, value in self.deviations.items()))
        return f"measured {hashlib.sha256(text.encode()).hexdigest()[:16]}, others of seed {self.seed}"

    def _shift(self, kind: str, variation: object, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """None: what parts share is in the measured values."""
        return np.zeros(np.broadcast_shapes(np.shape(row), np.shape(column)))

    def deviates(self, part: str, shape: tuple[int, ...]) -> np.ndarray:
        """See `Die.deviates`."""
        drawn = super().deviates(part, shape)
        held = getattr(self, "_held", {}).get((part, False))
        if held is None:
            return drawn
        places, values = held
        found, inside = drawn.copy(), (places < np.array(shape)).all(axis=1)
        found[tuple(places[inside].T)] = values[inside]
        return found

    def deviates_at(self, part: str, rail: int, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """See `Die.deviates_at`."""
        drawn = super().deviates_at(part, rail, row, column)
        return self._replaced(drawn, (part, False), np.column_stack([np.full(len(row), rail), row, column]))

    def deviates_of(self, part: str, channel: np.ndarray, number: np.ndarray) -> np.ndarray:
        """See `Die.deviates_of`."""
        drawn = super().deviates_of(part, channel, number)
        channels, numbers = np.broadcast_arrays(np.asarray(channel), np.asarray(number))
        wanted = np.column_stack([channels.ravel(), numbers.ravel()])
        return self._replaced(np.ravel(drawn), (part, True), wanted).reshape(np.shape(drawn))

    def _replaced(self, drawn: np.ndarray, key: tuple[str, bool], wanted: np.ndarray) -> np.ndarray:
        held = self._held.get(key)
        if held is None or not len(wanted):
            return drawn
        known = {tuple(place): value for place, value in zip(held[0].tolist(), held[1].tolist(), strict=True)}
        return np.array(
            [known.get(tuple(place), own) for place, own in zip(wanted.tolist(), drawn.tolist(), strict=True)]
        )
