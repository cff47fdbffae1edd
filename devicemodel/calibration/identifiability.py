"""Which of a circuit's values data identify, and which not: the information matrix of their logarithms, by its eigenvectors.

A factor A (rows, p) with A^T A = I, the Fisher information of ln(values), has singular values s_k along directions v_k: the combination
prod values^(v_k) is known to the relative standard error 1 / s_k. Where that exceeds `LIMIT` the data do not identify the combination.
What they do identify of the values concerned is the orthogonal complement: of R and C with v = (1, -1) / sqrt 2, only R*C.
Logarithms make the parameters comparable, whatever their units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ...circuits.records import Record

__all__ = ["LIMIT", "Unidentifiable", "standard_errors", "unidentifiable"]

LIMIT = 0.5
"""Largest standard error of ln(value) at which a value counts as identified: above it, a factor of 2.7 lies within two standard errors."""
_SHARE = 0.02  # of an unidentifiable direction that a value must have to be named with it
_NOISE = 1e-4  # components of an unidentifiable direction below this are rounding of the derivatives
_TINY = 1e-100  # stands for a strength of zero
_INFINITE = 1e3  # standard error of a logarithm above which no factor is worth stating

Array = NDArray[np.float64]


class Unidentifiable(Record):
    """Values that the data do not identify one by one."""

    values: tuple[str, ...]
    """Names of the values."""
    identified_as: tuple[str, ...]
    """The independent combinations of them that the data do identify, such as "R3*C2"; none: nothing."""
    std: float | None
    """Standard error of the logarithm along the least identified direction; None: the data do not depend on it."""

    def __str__(self) -> str:
        names = " and ".join([", ".join(self.values[:-1]), self.values[-1]] if len(self.values) > 1 else self.values)
        found = f"only as {' and '.join(self.identified_as)}" if self.identified_as else "not identified by the data"
        return f"{names}: {found}" if self.std is None else f"{names}: {found} (apart, to a factor of e^{self.std:.2g})"


def _directions(factor: Array) -> tuple[Array, Array]:
    """Singular values (p,), zeros included, and directions (p, p), one a row, without the rounding of those that are not identified."""
    size = factor.shape[1]
    _, found, rows = np.linalg.svd(np.vstack([factor, np.zeros((size, size))]), full_matrices=False)
    weak = ~_identified(found, rows)
    rows[weak] = np.where(np.abs(rows[weak]) < _NOISE, 0.0, rows[weak])
    return found, rows


def _identified(strength: Array, rows: Array) -> NDArray[np.bool_]:
    """Directions that give no single value a standard error above the limit."""
    return np.asarray(np.abs(rows).max(axis=1) <= LIMIT * strength)


def standard_errors(factor: Array) -> tuple[Array, Array]:
    """(p,) standard errors of the logarithms, huge where nothing is identified, and their covariance (p, p) by the pseudo-inverse."""
    strength, rows = _directions(factor)
    good = _identified(strength, rows)
    scaled = rows[good] / strength[good, None]
    return np.linalg.norm(rows / np.maximum(strength, _TINY)[:, None], axis=0), scaled.T @ scaled


def unidentifiable(factor: Array, names: Sequence[str]) -> tuple[Unidentifiable, ...]:
    """Groups of values that the data identify only in combinations, or not at all.

    Args:
        factor: A (rows, p) of the information of the logarithms.
        names: of the p values.
    """
    strength, rows = _directions(factor)
    weak = ~_identified(strength, rows)
    projector = rows[weak].T @ rows[weak]
    involved = np.flatnonzero(np.diag(projector) > _SHARE)
    if not len(involved):
        return ()
    inner = projector[np.ix_(involved, involved)]
    count, label = connected_components(np.abs(inner) > _SHARE, directed=False)
    groups = []
    for group in range(count):
        members = involved[label == group]
        share, vectors = np.linalg.eigh(projector[np.ix_(members, members)])
        complement = vectors[:, share < 0.5].T
        mine = np.linalg.norm(rows[:, members], axis=1) > 0.5
        worst = 1.0 / max(float(strength[weak & mine].min(initial=np.inf)), _TINY)
        labels = [names[i] for i in members]
        groups.append(
            Unidentifiable(
                values=tuple(labels),
                identified_as=tuple(_product(row, labels) for row in _reduced(complement)),
                std=worst if worst < _INFINITE else None,
            )
        )
    return tuple(groups)


def _reduced(rows: Array) -> Array:
    """Reduced echelon form: each combination starts with a value of its own, to the power 1."""
    rows, done = rows.copy(), 0
    for column in range(rows.shape[1]):
        if done == len(rows):
            break
        pivot = done + int(np.argmax(np.abs(rows[done:, column])))
        if abs(rows[pivot, column]) < _SHARE:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] /= rows[done, column]
        for other in range(len(rows)):
            if other != done:
                rows[other] -= rows[other, column] * rows[done]
        done += 1
    return rows


def _product(exponents: Array, names: Sequence[str]) -> str:
    """ "R3*C2", "C1/C2", "R1*R2^0.46": exponents rounded to halves where they are close to them."""
    text = ""
    for name, power in zip(names, exponents.tolist(), strict=True):
        rounded = round(2 * power) / 2 if abs(power - round(2 * power) / 2) < _SHARE else power
        if rounded == 0.0:
            continue
        size = "" if abs(rounded) == 1.0 else f"^{abs(rounded):.2g}"
        text += (("*" if rounded > 0 else "/") if text else ("" if rounded > 0 else "1/")) + name + size
    return text
