"""`FactoredArray`: the resistors of the arrays J, H, J^T on one die, made from counters when they are needed.

The first array has the conductances G_1 = share J o exp(-s z_1), the last one G_3^T of the same nominal values has resistors of its own,
so that the board's matrix G_3 W G_1 is not symmetric. Each conductance is there twice, on two rails; a differential law sees the mean of
the pair, whose ln deviates by sigma / sqrt(2) to first order. A pair's deviate is `Die.deviates_of` its place, (array and row, cell):
it is computed block by block and nothing of size k x N is kept, apart from the J that the caller holds.

Values are `fabrics.factored`'s: the largest entry of each factor is one unit resistor, feedback conductances are the spectral norms, and
conductances are rounded as the technology's are. The die's lot shifts all resistors alike; all are at its ambient temperature. There is no
layout of these arrays, so that gradients over the die are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..circuits.die import Die
from ..circuits.errors import InputError
from ..circuits.preferred_numbers import preferred_conductance
from ..compiler.passes.quantise import nearest
from .systems import LowRank

BLOCK = 2**16
"""Entries of an array that are made at a time."""
FIRST, LAST = 0, 1
"""The arrays J and J^T."""
_ARRAYS = 2**32
"""Channels of one array; places of the middle array and of the feedback resistors come after those of the first two."""


@dataclass(frozen=True)
class Scatter:
    """Standard deviations of ln R and ln C of a part, and of an amplifier's input offset, V."""

    resistor: float
    capacitor: float
    offset: float


class FactoredArray:
    """All parts of the fabric for one low-rank system.

    Args:
        system: J of (k, N), H and damping. Conductances are positive multiples of it: H needs no definiteness here.
        die: where they are.
        scatter: of the parts about their nominal values.
        block: entries of J that are worked on at a time.

    Attributes:
        unit: conductance that stands for 1 in the system's units, S.
        tau: C / unit, s.
        drive_nominal: conductance that the host assumes for each input resistor, S.

    Raises:
        InputError: J or H is zero everywhere.
    """

    def __init__(self, system: LowRank, die: Die, scatter: Scatter, block: int = BLOCK) -> None:
        self.die, self._scatter, self._block = die, scatter, block
        self._J = system.J.detach().cpu()
        self.rows, self.size = self._J.shape
        technology = die.technology
        self._resistors, largest = technology.resistors, 1.0 / technology.resistors.unit
        self._shift = float(die.resistor_shift(np.array(0.5), np.array(0.5)))
        self._drift = float(die.drift(np.array(die.ambient)))
        series = technology.resistors.series
        self._share = largest / _largest("J", self._J)
        norm = float(preferred_conductance(self._spectral_norm(), series))
        self.unit, feedback = self._share**2 / norm, [norm]
        self._middle: np.ndarray | None = None
        if system.H is not None:
            share = largest / _largest("H", system.H)
            middle = share * system.H.detach().cpu().double().numpy()
            norm = float(preferred_conductance(float(np.linalg.norm(middle, 2)), series))
            self._middle, self.unit = middle, self.unit * share / norm
            feedback.append(norm)
        self._feedback = feedback
        self.tau = technology.capacitors.unit / self.unit
        self._damping = system.damping
        self.drive_nominal = float(preferred_conductance(largest, series))

    @property
    def mismatch(self) -> float:
        """Standard deviation of ln R of a pair of resistors."""
        return 0.0 if self.die.seed is None else self._scatter.resistor / math.sqrt(2.0)

    def blocks(self) -> Iterator[slice]:
        """Ranges of cells."""
        width = max(1, self._block // self.rows)
        for start in range(0, self.size, width):
            yield slice(start, min(start + width, self.size))

    def conductances(self, array: int, cells: slice) -> np.ndarray:
        """Signed conductances between the rows and some of the cells, (k, cells) S; of J for `FIRST`, of J^T for `LAST`."""
        nominal = self._share * self._J[:, cells].double().numpy()
        if self.mismatch == 0:
            return self._made(nominal, None)
        channel = array * _ARRAYS + np.arange(self.rows)
        return self._made(
            nominal, self.die.deviates_of("coupling", channel[:, None], np.arange(self.size)[None, cells])
        )

    def nominal_loads(self) -> np.ndarray:
        """Row sums of |J^T| without mismatch, (N,) S."""
        return np.concatenate(
            [self._share * self._J[:, cells].double().abs().sum(0).numpy() for cells in self.blocks()]
        )

    @cached_property
    def middle(self) -> np.ndarray | None:
        """(k, k) S, the array H; None where there is none."""
        if self._middle is None:
            return None
        channel = 2 * _ARRAYS + np.arange(self.rows)
        return self._made(
            self._middle, self.die.deviates_of("coupling", channel[:, None], np.arange(self.rows)[None, :])
        )

    @cached_property
    def feedback(self) -> list[np.ndarray]:
        """(k,) S, of each stage of summing amplifiers."""
        deviates = (self.die.deviates_of("ground", _stage(t), np.arange(self.rows)) for t in range(len(self._feedback)))
        return [self._made(np.full(self.rows, value), z) for value, z in zip(self._feedback, deviates, strict=True)]

    @cached_property
    def stage_offsets(self) -> list[np.ndarray]:
        """(k,) V, of each stage of summing amplifiers."""
        deviates = (self.die.deviates_of("offset", _stage(t), np.arange(self.rows)) for t in range(len(self._feedback)))
        return [self._scatter.offset * z for z in deviates]

    @cached_property
    def damping(self) -> np.ndarray:
        """(N,) S."""
        return self._pairs("ground", np.full(self.size, self.unit * self._damping))

    @cached_property
    def drive(self) -> np.ndarray:
        """(N,) S, input resistors."""
        return self._pairs("drive", np.full(self.size, self.drive_nominal))

    @cached_property
    def capacitance(self) -> np.ndarray:
        """(N,) F."""
        deviate = self.die.deviates("capacitor", (2, self.size))
        shift = float(self.die.capacitor_shift(np.array(0.5), np.array(0.5)))
        unit = self.die.technology.capacitors.unit
        return np.asarray(unit * np.exp(self._scatter.capacitor * deviate + shift).mean(axis=0))

    @cached_property
    def offset(self) -> np.ndarray:
        """(N,) V, of the integrators."""
        return self._scatter.offset * self.die.deviates("offset", (1, self.size))[0]

    def _pairs(self, part: str, nominal: np.ndarray) -> np.ndarray:
        factor = np.exp(-self._scatter.resistor * self.die.deviates(part, (2, self.size)) - self._shift).mean(axis=0)
        return self._rounded(nominal) * factor / self._drift

    def _made(self, nominal: np.ndarray, deviate: np.ndarray | None) -> np.ndarray:
        values = np.sign(nominal) * self._rounded(np.abs(nominal)) * (np.exp(-self._shift) / self._drift)
        return values if deviate is None else values * np.exp(-self.mismatch * deviate)

    def _rounded(self, conductance: np.ndarray) -> np.ndarray:
        resistors = self._resistors
        return conductance if resistors.bits is None and resistors.series is None else nearest(conductance, resistors)

    def _spectral_norm(self) -> float:
        """Of share J, by its Gram matrix on the shorter side."""
        if self.rows > self.size:
            wide = self._share * self._J.double().numpy()
            return float(np.linalg.norm(wide, 2))
        gram = np.zeros((self.rows, self.rows))
        for cells in self.blocks():
            part = self._share * self._J[:, cells].double().numpy()
            gram += part @ part.T
        return float(np.sqrt(np.linalg.eigvalsh(gram)[-1]))


def _stage(t: int) -> np.ndarray:
    return np.array(2 * _ARRAYS + t)


def _largest(name: str, value: torch.Tensor) -> float:
    # Without a copy as large as the array, which abs() would make.
    largest = max(float(value.max()), -float(value.min()))
    if largest == 0:
        raise InputError(f"{name} is zero everywhere: there is no array to build; the system is its damping alone")
    return largest
