"""`LowRankArray`: the resistors of the arrays J, H, J^T on one die, made from counters when they are needed.

The first array has the conductances G_1 = share J o exp(-s z_1), the last one G_3^T of the same nominal values has resistors of its own,
so that the board's matrix G_3 W G_1 is not symmetric. Each conductance is there twice, on two rails; a differential law sees the mean of
the pair, whose ln deviates by sigma / sqrt(2) to first order. A pair's deviate is `Die.deviates_of` its place, (array and row, cell):
it is computed block by block, and of large arrays nothing of size k x N is kept, apart from the J that the caller holds.

Values, and numbers of the deviates, are `fabrics.cascade`'s, so that a compiled program has the same parts on a die: the largest entry of
each factor is one unit resistor, feedback conductances are the spectral norms. What the cells have for themselves is `cells`'.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from ...circuits.technology.die import Die
from ...compiler.fabrics.cascade_places import ARRAYS, stage_channel
from ..systems import LowRank
from .cells import BLOCK, KEPT, Cells, StandardDeviations, largest_entry


class LowRankArray(Cells):
    """All parts of the fabric for one low-rank system.

    Args:
        system: J of (k, N), H and damping. Conductances are positive multiples of it: H needs no definiteness here.
        die: where they are.
        deviations: of the parts.
        block: entries of J that are worked on at a time. drive_range: of the input resistors, from 0.

    Attributes:
        rows: k.

    Raises:
        InputError: J or H is zero everywhere.
    """

    def __init__(
        self,
        system: LowRank,
        die: Die,
        deviations: StandardDeviations,
        block: int = BLOCK,
        drive_range: int = 0,
    ) -> None:
        super().__init__(die, deviations, system.size, system.damping, drive_range)
        self._J, self._block = system.J.detach().cpu(), block
        self.rows = self._J.shape[0]
        self._kept: dict[tuple[int, int, int], np.ndarray] = {}
        largest, (mantissa, exponent) = self._largest, largest_entry("J", self._J)
        self._share, self.exponent = math.ldexp(largest / mantissa, -exponent), 2 * exponent
        norm = self._preferred(self._spectral_norm())
        self.unit, feedback = (largest / mantissa) ** 2 / norm, [norm]
        self._middle: np.ndarray | None = None
        if system.H is not None:
            mantissa, exponent = largest_entry("H", system.H)
            middle = math.ldexp(largest / mantissa, -exponent) * system.H.detach().cpu().double().numpy()
            norm = self._preferred(float(np.linalg.norm(middle, 2)))
            self._middle, self.unit = middle, self.unit * (largest / mantissa) / norm
            self.exponent += exponent
            feedback.append(norm)
        self._feedback = feedback

    def blocks(self) -> Iterator[slice]:
        """Ranges of the cells that are made at a time."""
        width = max(1, self._block // self.rows)
        for start in range(0, self.size, width):
            yield slice(start, min(start + width, self.size))

    def conductances(self, array: int, cells: slice) -> np.ndarray:
        """Signed conductances between the rows and some of the cells, (k, cells) S; of J for `FIRST`, of J^T for `LAST`. Not to be changed
        in place."""
        key = (array, cells.start, cells.stop)
        found = self._kept.get(key)
        if found is None:
            found = self._conductances(array, cells)
            if self._J.numel() <= KEPT:
                self._kept[key] = found
        return found

    def _conductances(self, array: int, cells: slice) -> np.ndarray:
        nominal = self._share * self._J[:, cells].double().numpy()
        if self.mismatch == 0:
            return self._made(nominal, None)
        channel = array * ARRAYS + np.arange(self.rows)
        return self._made(
            nominal, self.die.deviates_of("coupling", channel[:, None], np.arange(self.size)[None, cells])
        )

    def nominal_loads(self) -> np.ndarray:
        """Row sums of |J^T| without mismatch, (N,) S."""
        return np.concatenate(
            [self._share * self._J[:, cells].double().abs().sum(0).numpy() for cells in self.blocks()]
        )

    @cached_property
    def amplifier_loads(self) -> tuple[np.ndarray, np.ndarray]:
        """What outputs drive, nominally: of the cells, (N,) S, and of the summing amplifiers, one stage after the other."""
        rows = sum(self._share * self._J[:, cells].double().abs().sum(1).numpy() for cells in self.blocks())
        driven = [np.asarray(rows)] if self._middle is None else [np.abs(self._middle).sum(axis=0), np.asarray(rows)]
        stages = [column + own for column, own in zip(driven, self._feedback, strict=True)]
        return self.nominal_loads() + self.damping, np.concatenate(stages)

    @cached_property
    def middle(self) -> np.ndarray | None:
        """(k, k) S, the array H; None where there is none."""
        if self._middle is None:
            return None
        channel = 2 * ARRAYS + np.arange(self.rows)
        return self._made(
            self._middle, self.die.deviates_of("coupling", channel[:, None], np.arange(self.rows)[None, :])
        )

    @cached_property
    def feedback(self) -> list[np.ndarray]:
        """(k,) S, of each stage of summing amplifiers."""
        deviates = self._of_stages("ground")
        return [self._fixed(np.full(self.rows, value), z) for value, z in zip(self._feedback, deviates, strict=True)]

    @cached_property
    def stage_offsets(self) -> list[np.ndarray]:
        """(k,) V, of each stage of summing amplifiers."""
        return [self._deviations.offset * z for z in self._of_stages("offset")]

    def _of_stages(self, part: str) -> list[np.ndarray]:
        """Deviates of what each stage has one of for each row, (k,) each."""
        rows, count = np.arange(self.rows), len(self._feedback)
        return [self.die.deviates_of(part, np.array(stage_channel(t)), rows) for t in range(count)]

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
