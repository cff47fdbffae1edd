"""`KroneckerArray`: the resistors of the fabric for A (x) B + damping on one die, made from counters when they are needed.

The cells are X, p x q. Each row of cells has an array B of its own before a stage of p q summing amplifiers, and each column of their
outputs an array A of its own before the integrators, so that current A X B comes back to the cells:

    w_ij = [sum_j' B^(i)_jj' v_ij'] / f_ij,     i_ij = sum_i' A^(j)_ii' w_i'j,

the two arrays 1 (x) B and A (x) 1 of `fabrics.cascade`, p q (p + q) pairs of resistors instead of (p q)^2. The copies A^(j) and B^(i) are
there all at the same time: one array that served all rows by turns would need sampled voltages, and cells that relax do not wait.
So each copy is made of resistors of its own, and the board's matrix is not a Kronecker product but near to one, nor is it symmetric.

Values, and numbers of the deviates, are `fabrics.cascade`'s, so that a compiled program has the same parts on a die: the largest entries
of A and of B are one unit resistor each, whatever their scales, and the feedback conductance is B's spectral norm. A pair's deviate is
`Die.deviates_of` its place, (array, copy and row, column), the same for every p and q: it is computed some copies at a time, and of large
arrays nothing larger than A and B is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...compiler.fabrics.cascade_places import ARRAYS, FIRST, LAST, SIDE, stage_channel
from ..systems import Kronecker
from .cells import BLOCK, KEPT, Cells, StandardDeviations, largest_entry


class KroneckerArray(Cells):
    """All parts of the fabric for one Kronecker system.

    Args:
        system: A of (p, p), B of (q, q) and damping. Conductances are positive multiples of it: no definiteness is needed here.
        die: where they are.
        deviations: of the parts.
        block: conductances that are made at a time, one copy at least. drive_range: of the input resistors, from 0.

    Attributes:
        shape: (p, q) of the cells.

    Raises:
        InputError: A or B zero everywhere, or of more than `SIDE` rows.
    """

    def __init__(
        self,
        system: Kronecker,
        die: Die,
        deviations: StandardDeviations,
        block: int = BLOCK,
        drive_range: int = 0,
    ) -> None:
        super().__init__(die, deviations, system.size, system.damping, drive_range)
        self.shape, self._block = (len(system.A), len(system.B)), block
        if max(self.shape) > SIDE:
            raise InputError(f"A and B have {self.shape[0]} and {self.shape[1]} rows: give factors of at most {SIDE}")
        found = [largest_entry(name, value) for name, value in (("A", system.A), ("B", system.B))]
        A, B = (
            math.ldexp(self._largest / mantissa, -exponent) * value.detach().cpu().double().numpy()
            for (mantissa, exponent), value in zip(found, (system.A, system.B), strict=True)
        )
        self._feedback = self._preferred(float(np.linalg.norm(B, 2)))
        self.exponent = found[0][1] + found[1][1]
        self.unit = (self._largest / found[0][0]) * (self._largest / found[1][0]) / self._feedback
        self._nominal = {FIRST: self._made(B, None), LAST: self._made(A, None)}
        self._kept: dict[tuple[int, int], np.ndarray] = {}

    def nominal(self, array: int) -> np.ndarray:
        """Signed conductances of a copy without mismatch: B's, (q, q) S, for `FIRST`; A's, (p, p) S, for `LAST`."""
        return self._nominal[array]

    def copies(self, array: int) -> int:
        """Number of copies of an array: p of B, q of A."""
        return self.shape[array]

    def blocks(self, array: int) -> Iterator[slice]:
        """Ranges of the copies of an array that are made at a time."""
        width = max(1, self._block // self._nominal[array].size)
        for start in range(0, self.copies(array), width):
            yield slice(start, min(start + width, self.copies(array)))

    def conductances(self, array: int, copies: slice) -> np.ndarray:
        """Signed conductances of some copies, (copies, rows, columns) S: of B^(i) for `FIRST`, of A^(j) for `LAST`. Not to be changed in
        place."""
        found = self._kept.get((array, copies.start))
        if found is None:
            found = self._conductances(array, copies)
            if self.mismatch > 0 and self.copies(array) * self._nominal[array].size <= KEPT:
                self._kept[array, copies.start] = found
        return found

    def _conductances(self, array: int, copies: slice) -> np.ndarray:
        nominal = self._nominal[array]
        count, side = copies.stop - copies.start, len(nominal)
        if self.mismatch == 0:
            return np.broadcast_to(nominal, (count, side, side))
        copy, row, column = np.ogrid[copies, 0:side, 0:side]
        factor = self.die.deviates_of("coupling", array * ARRAYS + copy * SIDE + row, column)
        factor *= -self.mismatch
        np.exp(factor, out=factor)
        factor *= nominal
        return factor

    @cached_property
    def amplifier_loads(self) -> tuple[np.ndarray, np.ndarray]:
        """What outputs drive, nominally: of the cells, (N,) S, and of the summing amplifiers."""
        p, q = self.shape
        before, after = (np.abs(self._nominal[array]).sum(axis=0) for array in (FIRST, LAST))
        return np.tile(before, p) + self.damping, np.repeat(after, q) + self._feedback

    @cached_property
    def feedback(self) -> np.ndarray:
        """(N,) S, of the summing amplifiers, which are numbered as the cells are: row by row."""
        deviates = self.die.deviates_of("ground", np.array(stage_channel(0)), np.arange(self.size))
        return self._fixed(np.full(self.size, self._feedback), deviates)

    @cached_property
    def stage_offsets(self) -> np.ndarray:
        """(N,) V, of the summing amplifiers."""
        return self._deviations.offset * self.die.deviates_of(
            "offset", np.array(stage_channel(0)), np.arange(self.size)
        )
