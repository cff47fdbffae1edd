"""The contraction of drawn dies: their parts as the compiler places them and a die has them, and the eigenvalues of I - B A."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from ...circuits.technology.die import Die
from ...circuits.technology.presets import as_technology
from ...circuits.technology.redraw import Redraw
from ...circuits.technology.technology import Technology
from ...compiler.compile import lay_out
from ...compiler.fabrics.requirements import array_for
from ...compiler.matrices import dense
from ...compiler.validate import validate
from ..card import DeviceCard
from .contraction_law import programmed


@dataclass(frozen=True)
class DieContraction:
    """I - B M of one die for a settled first reading B, noise and converters aside.

    Attributes:
        die: its seed.
        radius: spectral radius, by which a round of refinement multiplies the error in the end; inf: the circuit is unstable.
        norm: largest factor in one round, in the Euclidean norm of the scaled unknowns; inf likewise.
    """

    die: int | None
    radius: float
    norm: float


def contraction_of_dies(
    matrix: Any, hardware: Technology | DeviceCard | str, dies: Iterable[int | None]
) -> list[DieContraction]:
    """Draw dies, program each with D A D, and look at what refinement meets. O(n^3) a die.

    Args:
        matrix: A (n, n), symmetric positive definite.
        hardware: a card, a technology or a preset's name.
        dies: seeds; None: nominal parts.

    Raises:
        InputError: as `contraction`.
    """
    card = hardware if isinstance(hardware, DeviceCard) else None
    technology = as_technology(card.technology if card else hardware)  # type: ignore[arg-type]
    leak = card.leak.value if card else 1.0 / technology.opamp.gain
    wanted, _ = programmed(dense(validate(matrix)))
    nominal = lay_out(wanted, card.fabric if card else array_for(technology), technology)
    mismatch = None if card is None else card.mismatch.value
    found = []
    for seed in dies:
        program = nominal.on(Die(technology, seed), mismatch, writing=Redraw(0, seed, 0))
        law = program.behaviour
        realised = law.at_rest(leak) / (law.drive * program.conductance_unit)[:, None]
        found.append(DieContraction(seed, *_contraction(torch.from_numpy(realised), torch.from_numpy(wanted))))
    return found


def _contraction(realised: torch.Tensor, wanted: torch.Tensor) -> tuple[float, float]:
    if float(torch.linalg.eigvals(realised).real.min()) <= 0:
        return math.inf, math.inf
    error = torch.linalg.solve(realised, realised - wanted)
    return float(torch.linalg.eigvals(error).abs().max()), float(torch.linalg.matrix_norm(error, ord=2))
