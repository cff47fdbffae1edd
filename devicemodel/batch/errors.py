"""Errors of programmed conductances on many dies; see `compiler.conductance_errors`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from ...circuits.technology.die import Die
from ...circuits.technology.redraw import Redraw
from ...compiler.conductance_errors import errors, errs, fluctuation, places_of
from ...compiler.fabrics.array import ArrayParts


@dataclass(frozen=True, eq=False)
class ErrorsOfKind:
    """What programmed conductances of one kind err by on every die, (dies, rails, ...); see `compiler.conductance_errors`.

    Attributes:
        error: S, added to what the values are times `share`. fluctuation: factor of the sum, in the run.
    """

    error: Tensor
    share: Tensor
    fluctuation: Tensor

    def of(self, dies: slice) -> ErrorsOfKind:
        """The dies from one place to another."""
        return ErrorsOfKind(self.error[dies], self.share[dies], self.fluctuation[dies])

    def applied(self, values: Tensor) -> Tensor:
        """The conductances that the values, (dies, rails, ...), become."""
        held = (values * self.share + self.error).clamp(min=0.0) * self.fluctuation
        return torch.where(values > 0, held, 0.0)


Errors = Mapping[str, ErrorsOfKind]
"""By kind; empty: there are none."""
NO_ERRORS: Errors = MappingProxyType({})


def errors_of(dies: Sequence[Die], parts: ArrayParts, seed: int, runs: Sequence[int], dtype: torch.dtype) -> Errors:
    """The errors of new dies' first programming, and of the run of each that has this number."""
    resistors, found = dies[0].technology.resistors, dict[str, ErrorsOfKind]()
    for place, shape in places_of(parts) if errs(resistors) else ():
        rows = []
        for die, number in zip(dies, runs, strict=True):
            error, share = errors(resistors, place, die, Redraw(seed, die.seed, 0))
            run = Redraw(seed, die.seed, number)
            factor = fluctuation(resistors, place, run) if resistors.read_noise else np.ones(())
            given = (error, np.ones(()) if share is None else share, factor)
            rows.append([np.broadcast_to(one, shape) for one in given])
        found[place.kind] = ErrorsOfKind(
            *(torch.from_numpy(np.stack(column)).to(dtype) for column in zip(*rows, strict=True))
        )
    return found
