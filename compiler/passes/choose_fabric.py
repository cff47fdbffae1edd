"""Choice of the fabric, and of the scaling of the unknowns with which it holds the matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...circuits.errors import InputError, UnrealisableError
from ...circuits.technology.technology import Technology
from ..fabrics.base import Fabric
from ..fabrics.registry import fabric_named, fabric_names
from ..fabrics.requirements import array_for, require_buildable, unmet
from ..h_matrix import lambda_star
from ..matrices import Matrix, with_diagonal_added
from .equilibrate import jacobi_scaling
from .weigh_oscillators import OSCILLATOR, oscillators_instead


@dataclass(frozen=True)
class Choice:
    """The choice: a fabric, the scaling d (n,), lambda* (problem units; nan: not computed), and the reason in words."""

    fabric: Fabric
    scaling: np.ndarray
    lambda_star: float
    reason: str


def choose_fabric(
    matrix: Matrix, fabric: str, technology: Technology, equilibrate: bool = False, explain: bool = True
) -> Choice:
    """Choose the fabric (`auto`: the first automatic one that fits, passive before active) or check the one asked for.

    Args:
        matrix: A, symmetric, (n, n).
        fabric: a registered name, or "auto".
        technology: must meet the fabric's requirements (`requirements.unmet`), such as amplifiers of two outputs.
        equilibrate: in an active fabric, d = diag(A)^-1/2 (Jacobi) in place of ones. A passive fabric has a scaling of its own, which it
            keeps where "auto" chooses one; the reason says so.
        explain: False: spare the eigenvalues that lambda* takes in an active fabric. It is nan, and the reason does not name it.

    Raises:
        UnrealisableError: the fabric cannot hold the matrix, or cannot be built of this technology's parts; names the condition, and what
            would lift it.
        InputError: a fabric of that name does not exist, or it is passive and `equilibrate` is asked for.
    """
    if fabric != "auto":
        chosen = fabric_named(fabric)
        if equilibrate and not chosen.active:
            raise InputError(
                f"equilibrate=True scales the unknowns of active fabrics, and fabric {chosen.name} is passive and has a scaling of its "
                f"own: leave equilibrate out, or use fabric={array_for(technology)!r}"
            )
        require_buildable(chosen, technology)
        scaling, reason = chosen.scaling(matrix)
        if scaling is None:
            raise UnrealisableError(
                f"fabric {chosen.name} cannot realise this matrix: {_lifted(chosen, matrix, technology, reason)}"
            )
        needed = lambda_star(matrix) if explain else math.nan
        scaling = jacobi_scaling(matrix) if equilibrate else scaling
        needs = _needs(needed, matrix) if chosen.active and explain else ""
        return Choice(chosen, scaling, needed, f"it was asked for; {reason}{needs}")
    passed_over: list[str] = []
    for name in fabric_names("automatic"):
        candidate = fabric_named(name)
        if (problem := unmet(candidate, technology)) is not None:
            passed_over.append(f"not {name}: {problem.what}")
            continue
        scaling, reason = candidate.scaling(matrix)
        if scaling is not None:
            needed = 0.0 if not candidate.active else lambda_star(matrix) if explain else math.nan
            scaling = jacobi_scaling(matrix) if equilibrate and candidate.active else scaling
            own = ["its scaling is its own, not equilibrated"] if equilibrate and not candidate.active else []
            instead = (
                oscillators_instead(candidate, matrix, scaling, technology) if candidate.active and explain else ""
            )
            said = [reason, *passed_over, *own, *([instead] if instead else [])]
            return Choice(candidate, scaling, needed, "; ".join(said))
        passed_over.append(f"not {name}: {reason}")
    raise UnrealisableError(f"no fabric can realise this matrix: {'; '.join(passed_over)}")


def _lifted(fabric: Fabric, matrix: Matrix, technology: Technology, reason: str) -> str:
    """The reason why this fabric cannot hold the matrix, with lambda* of a passive one, and what can be done."""
    array = f"use fabric={array_for(technology)!r}, which realises any sign"
    if fabric.takes_factors or fabric.active:
        return f"{reason}; {array}"
    needed = lambda_star(matrix)
    if needed and "lambda*" not in reason:
        reason += f"; on two rails, positive parts need {needed:.4g} more damping (lambda* = {needed:.4g})"
    passive = [each for each in map(fabric_named, fabric_names()) if not each.active and each.name != fabric.name]
    alike = [each for each in passive if each.covariance == fabric.covariance]
    holding = next((each.name for each in (*alike, *passive) if each.scaling(matrix)[0] is not None), None)
    if holding is not None:
        return f"{reason}; use fabric={holding!r}, which holds it as it is"
    if fabric.has_inductors and unmet(fabric_named(OSCILLATOR), technology) is None:
        array += f", or {OSCILLATOR!r}, whose cells swing, too"
    more = with_diagonal_added(matrix, 1.001 * needed)
    return f"{reason}; {'add damping, or ' if fabric.scaling(more)[0] is not None else ''}{array}"


def _needs(needed: float, matrix: Matrix) -> str:
    if needed == 0:
        return ", though positive resistors would suffice (lambda* = 0)"
    mean = float(matrix.diagonal().mean())
    ratio = f", {needed / mean:.3g} times the mean diagonal" if mean > 0 else ""
    return f"; positive resistors alone need {needed:.4g} more damping (lambda* = {needed:.4g}{ratio})"
