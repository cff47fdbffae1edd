"""`ArrayParts`: the component values of a dense array of crosspoints, of couplings of either sign, with one or two rails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from ...circuits.technology.amplifier_draw import AmplifierDraw
from ...circuits.technology.die import Die
from ...circuits.technology.drive_resistors import drive_range_of
from ..matrices import Matrix
from ..parts import Parts, Place, Stamps, entry_bound


@dataclass(frozen=True)
class ArrayParts(Parts):
    """Component values of n cells, SI units; the first axis counts rails.

    Attributes:
        coupling: (rails, n, n) conductances of the matrix resistors, S; 0 is an absent resistor.
        polarity: (n, n) +1 where A_ij > 0, -1 where A_ij < 0, 0 where no resistor is. +1 joins an output to the like input of an array
            of amplifiers, but unlike rails of a passive network.
        ground: (rails, n) conductances from each rail to ground (passive fabrics), S.
        drive: (rails, n) conductances of the input resistors (active fabrics), S.
        drive_nominal: conductance that the host assumes for every input resistor, S; 0 when the drive is a current.
        capacitance: (rails, n) F.
        offset: (n,) input offset voltages of the amplifiers, V.
        inverter: (2, n) input and feedback conductances of each column's inverter, S, and inverter_offset: (n,) its offset, V; used
            where there is one rail.
        second, second_polarity: as coupling and polarity, of the second slice's resistors; (1, 0, 0) and (0, 0) where there is one slice.
        amplifier_ratios, inverter_ratios: gain and gain-bandwidth product of each cell's amplifier and of each inverter's over the
            technology's, (2, n); (2, 1) where all are alike.
        transistors, inverter_transistors: deviations of threshold (V) and of the logarithm of the current factor of their transistors,
            (n, K, 2), which make these ratios and the offsets; (0, 0, 2) where the technology does not state its transistors.
        coupling_temperature: (n, n) K, of both slices. ground_temperature, drive_temperature: (n,) K.
    """

    symmetric: ClassVar[bool] = False
    """Whether the resistors (i, j) and (j, i) are one and the same part."""

    coupling: np.ndarray
    polarity: np.ndarray
    ground: np.ndarray
    drive: np.ndarray
    drive_nominal: float = dataclasses.field()
    capacitance: np.ndarray
    offset: np.ndarray = dataclasses.field()
    inverter: np.ndarray
    inverter_offset: np.ndarray
    coupling_temperature: np.ndarray
    ground_temperature: np.ndarray
    drive_temperature: np.ndarray
    second: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((1, 0, 0)))
    second_polarity: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0), dtype=np.int8))
    amplifier_ratios: np.ndarray = dataclasses.field(default_factory=lambda: np.ones((2, 1)))
    inverter_ratios: np.ndarray = dataclasses.field(default_factory=lambda: np.ones((2, 1)))
    transistors: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0, 2)))
    inverter_transistors: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0, 2)))

    @classmethod
    def nominal(
        cls,
        rails: int,
        entries: np.ndarray,
        ground: np.ndarray,
        drive: float,
        capacitance: np.ndarray,
        temperature: float,
    ) -> Self:
        """Parts without deviations, all rails alike.

        Args:
            rails: 1 or 2.
            entries: (n, n) signed conductances of the couplings, S.
            ground: (n,) conductances to ground, S.
            drive: conductance of every input resistor, S; 0 where currents are the drive.
            capacitance: (n,) F.
            temperature: of all parts, K.
        """
        n = len(ground)
        return cls(
            coupling=np.broadcast_to(np.abs(entries), (rails, n, n)).copy(),
            polarity=np.sign(entries).astype(np.int8),
            ground=np.broadcast_to(ground, (rails, n)).copy(),
            drive=np.full((rails, n), drive),
            drive_nominal=drive,
            capacitance=np.broadcast_to(capacitance, (rails, n)).copy(),
            offset=np.zeros(n),
            inverter=np.full((2, n), drive),
            inverter_offset=np.zeros(n),
            coupling_temperature=np.full((n, n), temperature),
            ground_temperature=np.full(n, temperature),
            drive_temperature=np.full(n, temperature),
        )

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return len(self.offset)

    @property
    def rails(self) -> int:
        """Number of rails, 1 or 2."""
        return len(self.coupling)

    @property
    def slices(self) -> int:
        """Resistors at each crosspoint, 1 or 2."""
        return 2 if self.second.size else 1

    @property
    def has_inverters(self) -> bool:
        """Whether negative couplings go through inverters: where amplifiers hold the state of cells with one rail."""
        return self.rails == 1 and self.drive_nominal > 0

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of each resistor of one rail that the matrix has, each part once."""
        first, second = np.nonzero(np.triu(self.polarity, 1) if self.symmetric else self.polarity)
        return first, second

    @property
    def _full(self) -> bool:
        """Whether each place has a resistor of its own, so that parts need not be gathered."""
        return not self.symmetric and bool(self.polarity.all())

    def conductances(self) -> np.ndarray:
        """Couplings, then resistors to ground."""
        if self._full:
            return np.concatenate([self.coupling[0].ravel(), self.ground[0]])
        return np.concatenate([self.coupling[0][self.distinct()], self.ground[0]])

    def with_conductances(self, values: np.ndarray) -> Self:
        """See `Parts.with_conductances`."""
        shape = (self.size, self.size)
        if self._full:
            coupling, ground = values[: self.size**2].reshape(shape), values[self.size**2 :]
        else:
            first, second = self.distinct()
            coupling, ground = np.zeros(shape), values[len(first) :]
            coupling[first, second] = values[: len(first)]
        if self.symmetric:
            coupling += coupling.T
        return dataclasses.replace(
            self,
            coupling=np.broadcast_to(coupling, self.coupling.shape).copy(),
            ground=np.broadcast_to(ground, self.ground.shape).copy(),
        )

    def entries(self) -> np.ndarray:
        """See `Parts.entries`."""
        return self.polarity * self.coupling[0]

    def with_entries(self, entries: Sequence[np.ndarray]) -> Self:
        """See `Parts.with_entries`."""
        values = [np.broadcast_to(np.abs(signed), self.coupling.shape).copy() for signed in entries]
        signs = [np.sign(signed).astype(np.int8) for signed in entries]
        changed = dataclasses.replace(self, coupling=values[0], polarity=signs[0])
        if len(entries) == 1:
            return changed
        return dataclasses.replace(changed, second=values[1], second_polarity=signs[1])

    def map_conductances(self, change: Callable[[np.ndarray], np.ndarray]) -> Self:
        """Couplings and resistors to ground, then input resistors."""
        changed = self.with_conductances(change(self.conductances()))
        drive = change(self.drive[0])
        return dataclasses.replace(changed, drive=np.broadcast_to(drive, self.drive.shape).copy())

    def stamps(self) -> Stamps:
        """Stamps of branches, or of single entries."""
        first, second = self.distinct()
        make = Stamps.of_branches if self.symmetric else Stamps.of_entries
        return make(first, second, self.polarity[first, second], self.size)

    def rounding_bound(self, wanted: Matrix, ratio: float, step: float) -> Matrix:
        """Each entry is one conductance."""
        return entry_bound(wanted, ratio, step, self.symmetric)

    def capacitances(self) -> np.ndarray:
        """Capacitances of the cells, mean of the rails."""
        return np.asarray(self.capacitance.mean(axis=0))

    def integrators(self, s: complex, error: complex, beside: complex) -> tuple[np.ndarray, np.ndarray]:
        """What a volt at the output of each row's amplifier takes from the row, (n,) A/V, and that output over its cell's voltage, (n,).

        Args:
            s: Laplace variable, 1/s. error: eps(s), what an amplifier's input has of its output.
            beside: admittance from the input of any further amplifier of the cell to ground, S.
        """
        return s * self.capacitance.mean(axis=0) * (1 + error), np.ones(self.size)

    def rail_values(self) -> Iterator[tuple[str, np.ndarray]]:
        """Couplings, parts to ground and the others, by name."""
        for name in ("coupling", "ground", "drive", "capacitance"):
            yield name, getattr(self, name)
        if self.slices == 2:
            yield "second", self.second

    def coupling_places(self) -> tuple[np.ndarray, np.ndarray]:
        """Places in row i and column j."""
        place = (np.arange(self.size) + 0.5) / self.size
        return place[:, None], place[None, :]

    def aged(self, die: Die, left: Callable[[np.ndarray], np.ndarray]) -> Self:
        """See `Parts.aged`."""
        n, count = self.size, self.rails
        deviate = die.deviates("coupling_conductance_drift", (count, n, n))
        if self.symmetric:
            # One part joins i and j, and it is the one above the diagonal.
            deviate = np.where(np.triu(np.ones((n, n), dtype=bool)), deviate, deviate.transpose(0, 2, 1))
        ground = self.ground * left(die.deviates("ground_conductance_drift", (count, n)))
        second = self.second
        if self.slices == 2:
            second = second * left(die.deviates("second_slice_conductance_drift", second.shape))
        return dataclasses.replace(self, coupling=self.coupling * left(deviate), ground=ground, second=second)

    def change_programmed(self, change: Callable[[np.ndarray, Place], np.ndarray]) -> Self:
        """See `Parts.change_programmed`."""
        n, rails = np.arange(self.size), np.arange(self.rails)
        row, column = n[:, None], n[None, :]
        if self.symmetric:
            # One part joins i and j, and it is the one above the diagonal.
            row, column = np.minimum(row, column), np.maximum(row, column)
        across = rails[:, None, None]
        second = self.second
        return dataclasses.replace(
            self,
            coupling=change(self.coupling, Place("coupling", across, row, column)),
            ground=change(self.ground, Place("ground", rails[:, None], n, n)) if self.ground.any() else self.ground,
            second=change(second, Place("second_slice", across, row, column)) if self.slices == 2 else second,
        )

    def on_die(
        self,
        die: Die,
        mismatch: float | None = None,
        capacitor_mismatch: float | None = None,
        offset: float | None = None,
        inductor_mismatch: float | None = None,
    ) -> Self:
        """See `Parts.on_die`. A capacitor is beside its resistor to ground or, where amplifiers hold the state, at the right edge, too."""
        die, technology, n = self.supplied(die), die.technology, self.size
        sigma = technology.resistors.mismatch if mismatch is None else mismatch
        sigma_c = technology.capacitors.mismatch if capacitor_mismatch is None else capacitor_mismatch
        sigma_v = technology.opamp.offset_mismatch if offset is None else offset
        place, edge = (np.arange(n) + 0.5) / n, np.ones(n)
        temperature, shift, coupling_factor, temperature_factor = die.kept(
            "coupling", (self.rails, n, self.symmetric, sigma), lambda: self._coupling_on(die, sigma)
        )
        ground_temperature, drive_temperature = die.temperature_of(place, place), die.temperature_of(place, edge)
        ground_shift, drive_shift = die.resistor_shift(place, place), die.resistor_shift(place, edge)
        capacitor_shift = die.capacitor_shift(place, edge if self.drive_nominal else place)
        count, second, coupling = self.rails, self.second, self.coupling * coupling_factor
        if self.slices == 2:
            spread = np.exp(-sigma * die.deviates("second_slice", second.shape) - shift)
            second = second * spread / temperature_factor
        return dataclasses.replace(
            self,
            second=second,
            coupling=coupling if (temperature_factor == 1.0).all() else coupling / temperature_factor,
            ground=self.ground
            * np.exp(-sigma * die.deviates("ground", (count, n)) - ground_shift)
            / die.temperature_factor(ground_temperature),
            drive=self._drive_on(die, sigma),
            capacitance=self.capacitance * np.exp(sigma_c * die.deviates("capacitor", (count, n)) + capacitor_shift),
            offset=sigma_v * die.deviates("offset", (1, n))[0],
            **self._amplifiers_on(die),
            inverter=self.inverter
            * np.exp(-sigma * die.deviates("inverter", (2, n)) - drive_shift)
            / die.temperature_factor(drive_temperature),
            inverter_offset=sigma_v * die.deviates("inverter_offset", (1, n))[0],
            coupling_temperature=temperature,
            ground_temperature=ground_temperature,
            drive_temperature=drive_temperature,
        )

    def _amplifiers_on(self, die: Die) -> dict[str, Any]:
        """What a die's transistors make of amplifiers beside their offsets; nothing where the technology does not state them."""
        if not die.technology.opamp.transistors or die.seed is None or not self.drive_nominal:
            return {}
        cells = np.arange(self.size)
        kinds = {"": "offset"} | ({"inverter_": "inverter_offset"} if self.has_inverters else {})
        ratios = {"": "amplifier_ratios", "inverter_": "inverter_ratios"}
        found = {f"{prefix}transistors": die.transistor_deviations(kind, cells) for prefix, kind in kinds.items()}
        return found | {ratios[prefix]: die.amplifier_ratios(kind, cells) for prefix, kind in kinds.items()}

    def amplifier_draw(self, i: int, inverter: bool = False) -> dict[str, AmplifierDraw]:
        """What cell i's amplifier, or its column's inverter, has of its own, for `AmplifierCell.add`; nothing without known transistors."""
        transistors = self.inverter_transistors if inverter else self.transistors
        if not transistors.size:
            return {}
        ratios = self.inverter_ratios if inverter else self.amplifier_ratios
        gain, gbw = np.broadcast_to(ratios, (2, self.size))[:, i].tolist()
        return {"draw": AmplifierDraw(gain, gbw, transistors[i])}

    def _coupling_on(self, die: Die, sigma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Temperatures and shifts of the crosspoints, (n, n), factors of their conductances, (rails, n, n), and of their resistances by
        temperature, (n, n)."""
        n = self.size
        temperature, shift = (of(*self.coupling_places()) for of in (die.temperature_of, die.resistor_shift))
        deviate = die.deviates("coupling", (self.rails, n, n))
        if self.symmetric:
            upper = np.triu(np.ones((n, n), dtype=bool))
            deviate = np.where(upper, deviate, deviate.transpose(0, 2, 1))
            temperature, shift = np.where(upper, temperature, temperature.T), np.where(upper, shift, shift.T)
        return temperature, shift, np.exp(-sigma * deviate - shift), die.temperature_factor(temperature)

    def with_drive(self, conductance: float, die: Die | None = None, mismatch: float | None = None) -> Self:
        """See `Parts.with_drive`. Resistors of each range are parts of their own, with deviates of their own."""
        if not self.drive_nominal:
            return super().with_drive(conductance, die, mismatch)
        nominal = dataclasses.replace(self, drive=np.full_like(self.drive, conductance), drive_nominal=conductance)
        if die is None:
            return nominal
        sigma = die.technology.resistors.mismatch if mismatch is None else mismatch
        return dataclasses.replace(nominal, drive=nominal._drive_on(self.supplied(die), sigma))

    def _drive_on(self, die: Die, sigma: float) -> np.ndarray:
        """The nominal input resistors as a die has them, (rails, n) S."""
        n, count = self.size, self.rails
        place, edge = (np.arange(n) + 0.5) / n, np.ones(n)
        spread = np.exp(-sigma * drive_deviates(die, self.drive_nominal, count, n) - die.resistor_shift(place, edge))
        return np.asarray(self.drive * spread / die.temperature_factor(die.temperature_of(place, edge)))


def drive_deviates(die: Die, conductance: float, rails: int, n: int) -> np.ndarray:
    """Standard normal deviates of the input resistors of this nominal conductance (S), (rails, n)."""
    place = drive_range_of(conductance, die.technology.resistors) if conductance > 0 else 0
    if place == 0:
        return die.deviates("drive", (rails, n))
    return die.deviates("drive_ranges", (place, rails, n))[place - 1]
