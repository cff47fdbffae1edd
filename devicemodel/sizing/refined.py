"""By what each cause alone multiplies the error in a round of refinement, from the law of `limits.contraction_law`.

To that law, which knows neither, come

    wires     the spectral radius of 1 - X^-1 M, X and M the programmed matrix after and before layout
    loading   the leak of amplifiers with an output resistance, of the most loaded one: L (1 + R_o G) / A0

and the signal level's part is told apart: `output current` is what steps and noise grow by since amplifiers have to drive the array.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ...circuits.errors import UnrealisableError
from ...circuits.technology.technology import Technology
from ...compiler.compile import lay_out
from ...compiler.layout.effect import layout_matrix
from ...compiler.layout.extraction import adds_parts
from ...compiler.matrices import dense
from ..limits.contraction_law import law_of, programmed, rounds_to
from ..limits.imperfections import Imperfections


@dataclass(frozen=True)
class RefinedReading:
    """A refined reading of a system.

    Attributes:
        factors: on the error a round, of each cause alone; of offsets the share of a cell's range that they take, which must be below 1.
        total: of all together; inf: it diverges.
        rounds: corrections of the first reading until the error is the target; None: it does not get there.
    """

    factors: dict[str, float]
    total: float
    rounds: int | None


def refined_reading(
    matrix: np.ndarray, technology: Technology, fabric: str, target: float, rounds: int
) -> RefinedReading:
    """The law for settled runs.

    Args:
        matrix: A (n, n), symmetric positive definite. fabric: "crossbar" or "crossbar_single".
        target: error to be reached. rounds: over whose readings the factors are averaged.
    """
    held = programmed(matrix)
    figures = Imperfections.of(technology, fabric)
    figures = dataclasses.replace(figures, leak=figures.leak * (1 + _lost_gain(held[0], technology)))
    law = law_of(held, figures, math.inf, 1 + rounds)
    free = law_of(held, dataclasses.replace(figures, outputs=None), math.inf, 1 + rounds)
    wires, whole = _wires(held[0], technology, fabric), law.all
    loaded, unloaded = math.hypot(law.converters, law.noise), math.hypot(free.converters, free.noise)
    factors = {
        "wires": wires,
        "loading": law.leak,
        "output current": math.sqrt(max(0.0, loaded**2 - unloaded**2)),
        "noise": free.noise,
        "converters": free.converters,
        "codes": law.codes,
        "mismatch": law.mismatch,
        "offsets": law.offset,
    }
    if not math.isfinite(whole.total) or math.isinf(wires):
        return RefinedReading(factors, math.inf, None)
    # What acts like an operator adds up; noise and steps are independent of it.
    total = math.hypot(whole.operator + wires, math.sqrt(max(0.0, whole.total**2 - whole.operator**2)))
    return RefinedReading(factors, total, rounds_to(total, target))


def _lost_gain(matrix: np.ndarray, technology: Technology) -> float:
    """R_o G of the most loaded output."""
    load = float(np.abs(matrix).sum(axis=0).max()) / technology.resistors.unit
    return technology.opamp.output_resistance * load


def _wires(matrix: np.ndarray, technology: Technology, fabric: str) -> float:
    if not adds_parts(technology):
        return 0.0
    try:
        program = lay_out(matrix, fabric, technology)
        error = np.eye(len(matrix)) - np.linalg.solve(layout_matrix(program), dense(program.emitted_matrix))
    except (UnrealisableError, np.linalg.LinAlgError):
        return math.inf
    return float(np.abs(np.linalg.eigvals(error)).max())
