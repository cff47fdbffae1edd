"""`Outlook`: in a sentence, what a die of a technology makes of systems like a given one, and of this one."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...circuits.technology.technology import Technology
from ...compiler.matrices import dense
from ...compiler.validate import validate
from ..card import DeviceCard
from .contraction_law import Contraction, contraction, rounds_to
from .imperfections import Imperfections
from .walls import SmallestDamping, smallest_damping

TARGET = 1e-3


@dataclass(frozen=True)
class Outlook:
    """Attributes:
    smallest: damping that systems like this one can have, its own taken off.
    own: smallest eigenvalue of the system, over the largest.
    factors: on the error a round.
    """

    smallest: SmallestDamping
    own: float
    factors: Contraction

    @property
    def rounds(self) -> int | None:
        """Corrections of a first reading until the residual is 1e-3; None: it does not get there."""
        return rounds_to(self.factors.total, TARGET)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; None for what is infinite."""
        data = dataclasses.asdict(self) | {"limit": self.smallest.limit, "rounds": self.rounds, "sentence": str(self)}
        return _finite(data)

    def __str__(self) -> str:
        count = self.rounds
        own = f"this one, at {self.own:.2g}, " + (
            "does not converge" if count is None else f"takes {count} round{'' if count == 1 else 's'} to {TARGET:g}"
        )
        return f"{self.smallest}; {own}"


def refinement_outlook(
    matrix: Any, hardware: Imperfections | Technology | DeviceCard | str, duration: float = math.inf
) -> Outlook:
    """What the law says of a system and of those that differ from it in their damping.

    Args:
        matrix: A (n, n), symmetric positive definite, as it is to be solved.
        hardware, duration: see `smallest_damping`.

    Raises:
        InputError: as `contraction`.
    """
    whole = dense(validate(matrix))
    spectrum = np.linalg.eigvalsh(whole)
    factors = contraction(whole, hardware, duration)
    undamped = whole - float(spectrum[0]) * np.eye(len(whole))
    # Of one unknown, or a multiple of the identity, nothing is left.
    base = undamped if float(spectrum[-1] - spectrum[0]) > 1e-12 * float(spectrum[-1]) else whole
    return Outlook(smallest_damping(base, hardware, duration), float(spectrum[0] / spectrum[-1]), factors)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return None if isinstance(data, float) and not math.isfinite(data) else data
