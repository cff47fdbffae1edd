"""`Cells`: what every cell of a fabric of arrays has for itself on one die, however the arrays before it are wired.

Each cell is an integrator on two rails: a pair of capacitors, of damping resistors and of input resistors, and an amplifier. Pairs of
resistors in arrays deviate in ln R by sigma / sqrt(2) to first order, since a differential law sees the mean of the two.

Systems are taken apart into mantissas and a power of two, since x of (2^e A, 2^e b) does not know e: with A of the largest magnitude that a
type has, or the smallest, the law's numbers are the same.

Conductances are rounded as the technology's are. The die-to-die variation shifts all resistors alike; all are at its ambient temperature.
Gradients over the die, which the places of `fabrics.cascade_places` have, are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...circuits.technology.drive_resistors import drive_conductances
from ...circuits.technology.e_series import preferred_conductance
from ...compiler.fabrics.array import drive_deviates
from ...compiler.passes.quantise import nearest

BLOCK = 2**16
"""Entries of an array that are made at a time."""
KEPT = 2**22
"""Entries of an array up to which its conductances are kept once they are made (32 MB); larger ones are made again in each pass."""
_LEAST = 1e-300
"""Of the largest entry of a factor: conductances for smaller ones would overflow on their way."""


@dataclass(frozen=True)
class StandardDeviations:
    """Standard deviations of ln R and ln C of a part, and of an amplifier's input offset, V."""

    resistor: float
    capacitor: float
    offset: float


class Cells:
    """The parts that each cell has for itself.

    Args:
        die: where they are. deviations: of the parts.
        size: cells N. damping: of the system. drive_range: of the input resistors, from 0.

    Attributes:
        exponent: e; set by the fabric, as is
        unit: conductance that stands for 2^e in the system's units, S; it follows from the arrays.
        drive_nominal: conductance that the host assumes for each input resistor, S.
    """

    exponent: int
    unit: float

    def __init__(
        self, die: Die, deviations: StandardDeviations, size: int, damping: float, drive_range: int = 0
    ) -> None:
        self.die, self.size, self._deviations, self._damping = die, size, deviations, damping
        self._resistors = die.technology.resistors
        self._shift = float(die.resistor_shift(np.array(0.5), np.array(0.5)))
        self._drift = float(die.temperature_factor(np.array(die.ambient)))
        self._largest, self._drive_range = 1.0 / self._resistors.unit, drive_range
        self.drive_nominal = float(drive_conductances(self._resistors)[drive_range])

    @property
    def tau(self) -> float:
        """C / unit, s: 2^-e in the system's units of time."""
        return self.die.technology.capacitors.unit / self.unit

    @property
    def mismatch(self) -> float:
        """Standard deviation of ln R of a pair of resistors."""
        return 0.0 if self.die.seed is None else self._deviations.resistor / math.sqrt(2.0)

    @cached_property
    def damping(self) -> np.ndarray:
        """Conductances of the damping resistors, (N,) S. InputError where they overflow beside the factors."""
        try:
            conductance = self.unit * math.ldexp(self._damping, -self.exponent)
        except OverflowError:
            raise InputError(
                f"damping is {self._damping:.3g} where the factors' product is about {2.0**self.exponent:.3g}: their ratio must be below "
                "1e300; b / damping is the answer"
            ) from None
        return self._pairs("ground", np.full(self.size, conductance))

    @cached_property
    def drive(self) -> np.ndarray:
        """Conductances of the input resistors, (N,) S."""
        nominal = np.full(self.size, self.drive_nominal)
        # Resistors of the first range are programmed as the array's are, to its largest code.
        made = nominal if self._drive_range else self._rounded(nominal)
        return self._spread(made, drive_deviates(self.die, self.drive_nominal, 2, self.size))

    @cached_property
    def capacitance(self) -> np.ndarray:
        """Capacitances of the integrators, (N,) F."""
        deviate = self.die.deviates("capacitor", (2, self.size))
        shift = float(self.die.capacitor_shift(np.array(0.5), np.array(0.5)))
        unit = self.die.technology.capacitors.unit
        return np.asarray(unit * np.exp(self._deviations.capacitor * deviate + shift).mean(axis=0))

    @cached_property
    def offset(self) -> np.ndarray:
        """Input offset voltages of the integrators, (N,) V."""
        return self._deviations.offset * self.die.deviates("offset", (1, self.size))[0]

    def _pairs(self, part: str, nominal: np.ndarray) -> np.ndarray:
        return self._spread(self._rounded(nominal), self.die.deviates(part, (2, self.size)))

    def _spread(self, conductance: np.ndarray, deviate: np.ndarray) -> np.ndarray:
        factor = np.exp(-self._deviations.resistor * deviate - self._shift).mean(axis=0)
        return np.asarray(conductance * factor / self._drift)

    def _made(self, nominal: np.ndarray, deviate: np.ndarray | None) -> np.ndarray:
        return self._fixed(np.sign(nominal) * self._rounded(np.abs(nominal)), deviate)

    def _fixed(self, nominal: np.ndarray, deviate: np.ndarray | None) -> np.ndarray:
        """As `_made`, of resistors that are placed at a value that can be had, and not programmed."""
        values = nominal * (np.exp(-self._shift) / self._drift)
        return values if deviate is None else values * np.exp(-self.mismatch * deviate)

    def _rounded(self, conductance: np.ndarray) -> np.ndarray:
        resistors = self._resistors
        return conductance if resistors.bits is None and resistors.series is None else nearest(conductance, resistors)

    def _preferred(self, conductance: float) -> float:
        return float(preferred_conductance(conductance, self._resistors.series))


def largest_entry(name: str, value: torch.Tensor) -> tuple[float, int]:
    """The largest magnitude m 2^e as (m, e), 1/2 <= m < 1; InputError where there is none to build an array of."""
    # Without a copy as large as the array, which abs() would make.
    largest = max(float(value.max()), -float(value.min()))
    if largest == 0:
        raise InputError(f"{name} is zero everywhere: there is no array to build; the system is its damping alone")
    if not _LEAST <= largest <= 1 / _LEAST:
        raise InputError(
            f"the largest entry of {name} is {largest:.3g}: give one from {_LEAST:g} to {1 / _LEAST:g}; a common factor of the system and "
            "b leaves x as it is"
        )
    return math.frexp(largest)
