"""`Evaluation`: what one run of a design point came to, as plain data."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....circuits.errors import InputError

POINTS = 60
"""Most points of a curve."""


@dataclass(frozen=True)
class Evaluation:
    """One run of a design point on one die with one seed.

    Attributes:
        scores: by name; "solve error", or the task's score by its name and the "training loss", mean of the last tenth of the steps. nan
            and inf: the training diverged.
        curve: (updates done, mean loss of the steps since the point before), at most `POINTS`; empty for solves.
        outcomes: number of steps, or of solves, by how the device's run ended (`Outcome`).
        gradient: number of those that took the gradient, since no refined reading converged.
        seconds: modelled time of one training step on this hardware, mean of the steps; of the ideal device that of exact NGD on the host
            alone, by Cholesky's factorisation. nan: there is no model of it.
        joules: modelled energy of one training step; nan: as above.
        area: of the array and its converters, m^2; nan: the technology states none, or the fabric has no plan.
        spice: {} without a check; or "solves" compared with ngspice, the root mean square of their relative "difference", the standard
            error "std" of that (nan of one solve), and solves that were "uncompared".
    """

    scores: dict[str, float]
    curve: tuple[tuple[int, float], ...] = ()
    outcomes: dict[str, int] = field(default_factory=dict)
    gradient: int = 0
    seconds: float = math.nan
    joules: float = math.nan
    area: float = math.nan
    spice: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, from which `of_dict` makes the same evaluation, bit for bit."""
        return {**dataclasses.asdict(self), "curve": [list(point) for point in self.curve]}

    @classmethod
    def of_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """The evaluation of `to_dict`, which JSON may have been through. InputError for other data."""
        try:
            return cls(
                _floats(data["scores"]),
                tuple((int(step), float(loss)) for step, loss in data["curve"]),
                {str(name): int(count) for name, count in data["outcomes"].items()},
                int(data["gradient"]),
                float(data["seconds"]),
                float(data["joules"]),
                float(data["area"]),
                _floats(data["spice"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"no evaluation ({type(error).__name__}: {error}): give what Evaluation.to_dict returned"
            ) from None


def curve_of(losses: Sequence[float]) -> tuple[tuple[int, float], ...]:
    """The curve of a training from the loss of each step: means of as many steps each, as near as that goes."""
    ends = np.linspace(0, len(losses), min(POINTS, len(losses)) + 1).astype(int).tolist()
    return tuple((b, float(np.mean(losses[a:b]))) for a, b in itertools.pairwise(ends))


def mean(values: Sequence[float]) -> float:
    """nan of none."""
    return float(np.mean(values)) if len(values) else math.nan


def _floats(data: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in data.items()}
