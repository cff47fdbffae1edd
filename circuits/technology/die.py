"""`Die`: one fabricated device, drawn from a technology by a seed.

A part's own deviation belongs to its place on the die, not to the matrix that happens to be programmed: the crosspoint
(rail, i, j) keeps its deviate whatever the size of the problem. Gradients and temperatures go by the relative position on the die. SPICE
netlists and the surrogate both ask here, so that one seed means the same die in both.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

from ..errors import InputError
from .amplifier_draw import deviations_of, offset_weights, slopes_of
from .hashed import hashed_deviates
from .parts import Variation
from .presets import as_technology
from .technology import Technology
from .thermal import temperature_at, temperature_map
from .transistor_mismatch import CAUSES

T = TypeVar("T")

# Stream numbers are part of the meaning of a seed: never renumber, only append.
STREAMS = {
    "coupling": 1,
    "ground": 2,
    "drive": 3,
    "capacitor": 4,
    "offset": 5,
    "dac_gain": 6,
    "dac_offset": 7,
    "adc_gain": 8,
    "adc_offset": 9,
    "ambient": 10,
    "inverter": 11,
    "inverter_offset": 12,
    "resistor_die_to_die": 13,
    "resistor_gradient": 14,
    "capacitor_die_to_die": 15,
    "capacitor_gradient": 16,
    "dac_inl": 17,
    "adc_inl": 18,
    "dac_step": 19,
    "adc_step": 20,
    "coupling_conductance_drift": 21,
    "ground_conductance_drift": 22,
    "drive_ranges": 23,
    "second_slice": 24,
    "second_slice_conductance_drift": 25,
    "coupling_range_error": 31,
    "ground_range_error": 32,
    "second_slice_range_error": 33,
    "coupling_write_noise": 34,
    "ground_write_noise": 35,
    "second_slice_write_noise": 36,
    "coupling_relative_write_noise": 37,
    "ground_relative_write_noise": 38,
    "second_slice_relative_write_noise": 39,
    "coupling_read_noise": 40,
    "ground_read_noise": 41,
    "second_slice_read_noise": 42,
    "dac_channel_gain": 43,
    "adc_channel_gain": 44,
    "attenuator": 45,
    "ambient_in_time": 46,
    "damping": 47,
    "inductor": 48,
    "inductor_die_to_die": 49,
    "friction": 50,
    "link": 51,
    "series": 52,
    "velocity_capacitor": 53,
    "position_offset": 54,
    "friction_conductance_drift": 55,
    "friction_range_error": 56,
    "friction_write_noise": 57,
    "friction_relative_write_noise": 58,
    "friction_read_noise": 59,
    "inductor_gradient": 60,
    "threshold": 61,
    "current_factor": 62,
    "inverter_threshold": 63,
    "inverter_current_factor": 64,
    "position_threshold": 65,
    "position_current_factor": 66,
}

AMPLIFIERS = {"offset": "", "inverter_offset": "inverter_", "position_offset": "position_"}
"""Stream of each kind of amplifier's offsets -> prefix of its transistors' streams."""
STAGE = 1 << 32
"""Amplifiers of a stage, before the next stage's numbers."""

TEMPERATURE_FACTOR_FLOOR = 0.05
"""Least factor that temperature may put on a resistance: where the law of `Die.temperature_factor` says less, it has ended."""


def seeded_deviates(part: str, seed: int, channel: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Standard normal deviates of the numbered elements of channels; see `Die.deviates_of`."""
    key = np.random.SeedSequence([STREAMS[part], seed]).generate_state(1, np.uint64)[0]
    return hashed_deviates(key, channel, number)


def transistor_deviates(seed: int, kind: str, amplifier: np.ndarray, count: int) -> np.ndarray:
    """Standard normal deviates of threshold and current factor of the `count` transistors of amplifiers (m,) of a kind, (m, count, 2)."""
    channel, number = np.broadcast_arrays(np.asarray(amplifier)[:, None], np.arange(count))
    prefix = AMPLIFIERS[kind]
    return np.stack([seeded_deviates(f"{prefix}{name}", seed, channel, number) for name in CAUSES], axis=-1)


class Die:
    """The deviations and temperatures of one die.

    Args:
        technology: what it is made of; the name of a preset is taken, too.
        seed: which die, a non-negative integer; None is the die whose parts all have their nominal value.

    Attributes:
        ambient: K, the die's own draw.
        temperatures: (cells, cells) K, steady; without a program there are no amplifiers to heat it (see `with_heat`).
    """

    def __init__(self, technology: Technology | str, seed: int | None) -> None:
        if seed is not None and (not isinstance(seed, int | np.integer) or seed < 0):
            raise InputError(f"die seed must be a non-negative integer or None, got {seed!r}")
        self.technology = technology = as_technology(technology)
        self.seed = seed
        self._drawn: dict[str, np.ndarray] = {}
        self._kept: dict[str, tuple[Hashable, Any]] = {}
        thermal = technology.thermal
        self.ambient = thermal.ambient + thermal.ambient_rms * float(self.deviates("ambient", (1, 1))[0, 0])
        self.temperatures = temperature_map(thermal, self.ambient)
        self._follows_heat = True

    @property
    def identity(self) -> int | str | None:
        """What tells it from other dies of its technology: its seed, or a digest of what was measured of it."""
        return self.seed

    def deviates(self, part: str, shape: tuple[int, ...]) -> np.ndarray:
        """Standard normal deviates of a kind of part, indexed by place; (rails, n) or (rails, n, n).

        The values at the places 0..n-1 are the same for every n.
        """
        if self.seed is None:
            return np.zeros(shape)
        if part in AMPLIFIERS and self.technology.opamp.transistors:
            return self._offset_deviates(part, np.arange(math.prod(shape))).reshape(shape)
        known = self._drawn.get(part)
        if known is None or any(have < want for have, want in zip(known.shape, shape, strict=True)):
            size = shape if known is None else tuple(map(max, known.shape, shape))
            known = self._drawn[part] = self._draw(STREAMS[part], size)
        return known[tuple(slice(extent) for extent in shape)]

    def kept(self, name: str, key: Hashable, make: Callable[[], T]) -> T:
        """What follows from this die and a key alone: computed once, and kept until it is asked for with another key.

        Args:
            name: of what it is. It must not be changed in place.
        """
        known = self._kept.get(name)
        if known is None or known[0] != key:
            known = self._kept[name] = (key, make())
        found: T = known[1]
        return found

    def deviates_at(self, part: str, rail: int, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Those of `deviates` at the places (rail, row, column), (m,), without holding all n^2 of them."""
        found = np.zeros(len(row))
        if self.seed is None or not len(row):
            return found
        order = np.argsort(row, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(row[order])) + 1):
            line = self._row(STREAMS[part], (rail, int(row[places[0]])), int(column[places].max()) + 1)
            found[places] = line[column[places]]
        return found

    def deviates_of(self, part: str, channel: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Standard normal deviates of the numbered elements of channels (both integers >= 0, of one shape), each computed from its place.

        For parts so many that rows of them are not to be drawn (`hashed.hashed_deviates`).
        """
        if self.seed is None:
            return np.zeros(np.shape(number))
        if part in AMPLIFIERS and self.technology.opamp.transistors:
            return self._offset_deviates(part, (np.asarray(channel) + 1) * STAGE + np.asarray(number))
        return seeded_deviates(part, int(self.seed), channel, number)

    def transistor_deviations(self, kind: str, amplifier: np.ndarray) -> np.ndarray:
        """Deviations of the threshold, V, and of the logarithm of the current factor of each transistor of amplifiers, (m, K, 2).

        Args:
            kind: "offset", "inverter_offset" or "position_offset", the stream that amplifiers of this kind have their offsets from.
            amplifier: their numbers, (m,).
        """
        transistors = self.technology.opamp.transistors
        if self.seed is None or not transistors:
            return np.zeros((len(amplifier), len(transistors), 2))
        drawn = transistor_deviates(int(self.seed), kind, amplifier, len(transistors))
        return np.asarray(deviations_of(transistors) * drawn)

    def amplifier_ratios(self, kind: str, amplifier: np.ndarray) -> np.ndarray:
        """Gain and gain-bandwidth product of amplifiers, over the technology's, (2, m); arguments as of `transistor_deviations`."""
        slopes = slopes_of(self.technology.opamp.transistors)[1:]
        return np.asarray(np.exp(np.einsum("mkd,fkd->fm", self.transistor_deviations(kind, amplifier), slopes)))

    def _offset_deviates(self, part: str, amplifier: np.ndarray) -> np.ndarray:
        """Of unit variance, for amplifiers of these numbers: what all transistors of each make of its offset."""
        weights = offset_weights(self.technology.opamp.transistors)
        scale = float(np.linalg.norm(weights)) or 1.0
        drawn = transistor_deviates(int(self.seed or 0), part, np.ravel(amplifier), len(weights))
        return np.asarray(np.einsum("mkd,kd->m", drawn, weights / scale).reshape(np.shape(amplifier)))

    def _row(self, stream: int, place: tuple[int, ...], length: int) -> np.ndarray:
        key = np.random.SeedSequence([stream, int(self.seed or 0), *place])
        return np.random.Generator(np.random.Philox(key)).standard_normal(length)

    def _draw(self, stream: int, shape: tuple[int, ...]) -> np.ndarray:
        # One generator for each row: a longer row starts with the shorter one's values.
        rows = np.empty(shape)
        for place in np.ndindex(*shape[:-1]):
            rows[place] = self._row(stream, place, shape[-1])
        return rows

    def resistor_shift(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Deviation of ln R that resistors share at relative positions on the die, 0 to 1 (broadcast): die-to-die variation and gradient.

        die_to_die z_0 + gradient [z_1 (row - 1/2) + z_2 (column - 1/2)]; each part's own deviate comes on top (see `parts.Variation`).
        """
        return self._shift("resistor", self.technology.resistors, row, column)

    def capacitor_shift(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Deviation of ln C that capacitors share, as `resistor_shift`; its deviates are drawn apart from the resistors'."""
        return self._shift("capacitor", self.technology.capacitors, row, column)

    def inductor_shift(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Deviation of ln L that inductors share, as `resistor_shift`, with deviates of their own."""
        return self._shift("inductor", self.technology.inductors, row, column)

    def _shift(self, kind: str, variation: Variation, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        down, across = variation.gradient * self.deviates(f"{kind}_gradient", (1, 2))[0]
        middle = variation.die_to_die * self.deviates(f"{kind}_die_to_die", (1, 1))[0, 0]
        return np.asarray(middle + down * (row - 0.5) + across * (column - 0.5))

    def temperature_of(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Temperature (K) of parts at relative positions on the die, 0 to 1 (broadcast)."""
        return temperature_at(self.temperatures, row, column)

    def with_heat(self, heat: Any) -> Die:
        """The same die at the steady state under more heat, such as that of a program's amplifiers; itself, if its temperatures were
        given already, by this or by `at`.

        Args:
            heat: (cells, cells) W, on top of the record's `power`.

        Raises:
            InputError: as `temperature_map`.
        """
        if not self._follows_heat:
            return self
        return self.at(temperature_map(self.technology.thermal, self.ambient, heat))

    def at(self, temperatures: Any) -> Die:
        """The same die with another temperature map; all deviations stay as they are.

        Args:
            temperatures: (cells, cells) K, of the grid of the technology's thermal record.

        Raises:
            InputError: another shape, or a temperature that is not finite and positive.
        """
        cells = self.technology.thermal.cells
        grid = np.array(temperatures, dtype=float)
        if grid.shape != (cells, cells):
            raise InputError(f"temperatures have shape {grid.shape}; the die's grid is ({cells}, {cells})")
        if not (np.isfinite(grid).all() and (grid > 0).all()):
            bad = grid[~(np.isfinite(grid) & (grid > 0))][0]
            raise InputError(f"temperatures hold {bad} K; all must be finite and above 0 K")
        other = copy.copy(self)
        other.temperatures, other._kept, other._follows_heat = grid, {}, False
        return other

    def temperature_factor(self, temperature: np.ndarray) -> np.ndarray:
        """Factor on a resistance at that temperature: 1 + TC1 (T - T0) + TC2 (T - T0)^2."""
        resistors = self.technology.resistors
        rise = temperature - self.technology.thermal.reference
        return np.maximum(1.0 + resistors.tc1 * rise + resistors.tc2 * rise**2, TEMPERATURE_FACTOR_FLOOR)

    def __repr__(self) -> str:
        spread = np.ptp(self.temperatures)
        return f"Die({self.technology.name!r}, seed={self.seed}, ambient={self.ambient:.1f} K, spread={spread:.1f} K)"
