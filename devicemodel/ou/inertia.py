"""`Inertia`: solves with a mass matrix whose states may have units of any size."""

from __future__ import annotations

import torch
from torch import Tensor

from ...circuits.errors import InputError


class Inertia:
    """M, with rows and columns scaled by powers of two to largest entries of about 1.

    Farads beside attofarads are then no singularity.

    Args:
        mass: M, (..., n, n), finite.

    Raises:
        InputError: the scaled M is singular up to the rounding of its type.
    """

    def __init__(self, mass: Tensor) -> None:
        self._row = _power(mass.detach().abs().amax(-1, keepdim=True))
        self._column = _power((mass.detach() / self._row).abs().amax(-2, keepdim=True))
        self._scaled = mass / self._row / self._column
        values = torch.linalg.svdvals(self._scaled.detach())
        ratio = float((values[..., -1] / values[..., 0].clamp(min=torch.finfo(mass.dtype).tiny)).min())
        least = mass.shape[-1] * torch.finfo(mass.dtype).eps
        if not ratio > least:
            raise InputError(
                f"mass is singular: with its states scaled to one size, its least singular value is {ratio:.1g} of the largest, and "
                f"{mass.dtype} distinguishes it from 0 above {least:.1g}; eliminate the states that have no inertia first"
            )

    def solve(self, right: Tensor) -> Tensor:
        """M^-1 right, (..., n, r)."""
        return torch.linalg.solve(self._scaled, right / self._row) / self._column.mT


def _power(size: Tensor) -> Tensor:
    """The power of two next to each size; 1 for 0."""
    return torch.exp2(torch.log2(torch.where(size > 0, size, 1.0)).round())
