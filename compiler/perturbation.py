"""First-order changes of the solution with a part's weight, in the norms that rank parts.

A weight g (conductance, inverse inductance, capacitance) that enters the realised matrix K = u D A D as g l r^T moves the solution by

    dx = -A^-1 D^-1 l (r^T D^-1 x) dg / u.

Norms are |dx| for one right-hand side, or over all of one length ||A^-1 dA A^-1||_F. Arguments are arrays of indices (m,); results (m,)
are for a unit change of weight and u = 1.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

Programmed = Literal["coupling", "ground", "second_slice", "friction"]
"""Kinds of parts that a program sets."""


class Effect(NamedTuple):
    """Parts of one kind: names in the netlist without the rail's letter, weights (m,), and |dx| u for a unit change of weight (m,);
    `programmed`: their kind, None for parts that no program sets."""

    names: list[str]
    weights: np.ndarray
    size: np.ndarray
    programmed: Programmed | None = None


class Perturbation:
    """The norms for one program.

    Args:
        target: A, (n, n), problem units. inverse: A^-1.
        scaling: d, (n,). unit: u, S (1/H, F) a problem unit.
        b: (n,) right-hand side; None: the Frobenius norm over all.
    """

    def __init__(
        self, target: np.ndarray, inverse: np.ndarray, scaling: np.ndarray, unit: float, b: np.ndarray | None = None
    ) -> None:
        self.target, self.inverse, self.scaling, self.unit, self.b = target, inverse, scaling, unit, b
        self.columns = np.linalg.norm(inverse, axis=0)
        """Norms of the columns of A^-1."""
        self.x = None if b is None else inverse @ b
        self._reach = np.linalg.norm(inverse, axis=1) if self.x is None else np.abs(self.x)

    @property
    def scale(self) -> float:
        """What a relative change refers to: |x|, or ||A^-1||_F."""
        return float(np.linalg.norm(self.inverse)) if self.x is None else float(np.linalg.norm(self.x)) or 1.0

    @cached_property
    def _square(self) -> np.ndarray:
        return self.inverse @ self.inverse / np.outer(self.scaling, self.scaling)

    def entry(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """l = e_i, r = e_j: the crosspoint of an array."""
        return (self.columns / self.scaling)[i] * (self._reach / self.scaling)[j]

    def branch(self, i: np.ndarray, j: np.ndarray, polarity: np.ndarray) -> np.ndarray:
        """l = r = e_i + p e_j: a two-terminal part between cells i and j."""
        square, p = self._square, polarity.astype(float)
        # |A^-1 D^-1 l| from the quadratic form of A^-2
        column = np.sqrt(np.maximum(square[i, i] + square[j, j] + 2 * p * square[i, j], 0.0))
        if self.x is None:
            return column * column
        y = self.x / self.scaling
        return column * np.abs(y[i] + p * y[j])

    def ground(self, i: np.ndarray) -> np.ndarray:
        """l = r = e_i: a part from cell i to ground."""
        own = np.sqrt(self._square[i, i])
        return own * (own if self.x is None else np.abs((self.x / self.scaling)[i]))

    def read_ground(self, i: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """As `ground`, of a part of this weight (m,) whose current is read, so that its deviation is in the reading of x_i, too:
        dx = -A^-1 D^-1 e_i (x_i / d_i) dg / u + e_i x_i dg / g."""
        square, seen = self.scaling[i] ** 2, self.unit / weight
        own, mixed = (self.columns[i] / square) ** 2, np.diag(self.inverse)[i] / square
        return np.sqrt(np.maximum(own - 2 * mixed * seen + seen**2, 0.0)) * self._reach[i]

    def drive(self, conductance: np.ndarray) -> np.ndarray:
        """The input resistor of each cell, (n,) S, which scales the cell's drive: dx = A^-1 e_i b_i dg / g."""
        moved = self.columns if self.b is None else self.columns * np.abs(self.b)
        return moved * self.unit / conductance

    def inverter(self, j: np.ndarray, conductance: np.ndarray) -> np.ndarray:
        """A resistor (m,) S of the inverter of column j, which scales all negative entries of that column."""
        effect = np.linalg.norm(self.inverse @ np.minimum(self.target, 0.0)[:, j], axis=0)
        return effect * self._reach[j] * self.unit / conductance
