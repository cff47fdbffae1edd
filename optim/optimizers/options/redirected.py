"""The factor of a batch with another right-hand side: (C + lambda I) x = M^T s + r for other s and r than the gradient's.

So whatever solves for a step solves for SPRING's (`spring`) and for the geodesic acceleration (`geodesic`), a device with another drive
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property

from torch import Tensor

from ...curvature.blocks import ParameterBlock
from ...curvature.factor import Factor, T


class RedirectedFactor(Factor):
    """M of another factor, with sources and a gradient of its own.

    Args:
        factor: gives M.
        sources: s, (k,) float64.
        remainder: r, an N-vector; None where it is zero.
        gradient: M^T s + r; None to take it from these.
    """

    def __init__(
        self,
        factor: Factor,
        sources: Tensor,
        remainder: list[Tensor] | None = None,
        gradient: list[Tensor] | None = None,
    ) -> None:
        self.factor, self._sources, self._remainder, self._given = factor, sources, remainder, gradient
        self.parameters, self.dtype = factor.parameters, factor.dtype

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """As the given factor, which has the same M."""
        return self.factor.once(name, make)

    @property
    def samples(self) -> int:
        """Number of samples b."""
        return self.factor.samples

    @property
    def directions(self) -> int:
        """Number of rows m of M for each sample."""
        return self.factor.directions

    @property
    def blocks(self) -> list[ParameterBlock]:
        """Blocks of columns."""
        return self.factor.blocks

    @property
    def sources(self) -> Tensor:
        """The sources s."""
        return self._sources

    @property
    def remainder(self) -> list[Tensor] | None:
        """The remainder r."""
        return self._remainder

    @cached_property
    def _gradient(self) -> list[Tensor]:
        if self._given is not None:
            return self._given
        found = self.rmatvec(self.sources)
        return found if self._remainder is None else [a + b for a, b in zip(found, self._remainder, strict=True)]

    def gradient(self) -> list[Tensor]:
        """M^T s + r."""
        return self._gradient

    def product(self, values: Sequence[Tensor]) -> list[Tensor]:
        """C v."""
        return self.factor.product(values)
