"""`compile_matrix`: the passes in order, from a curvature matrix to a checked analog program."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..circuits.technology import Technology
from .passes.condition import condition
from .passes.quantise import quantise
from .passes.realise import realise
from .passes.scale import require_stable, signal_level
from .passes.validate import validate
from .passes.verify import verify
from .program import AnalogProgram


def compile_matrix(
    matrix: Any,
    fabric: str = "auto",
    technology: Technology | str = "ideal",
    damping: float = 0.0,
    b: Any = None,
    check: bool = True,
) -> AnalogProgram:
    """Map a symmetric positive definite matrix onto a circuit that solves A x = b by relaxing.

    Args:
        matrix: A, (n, n), array-like in problem units; positive definite once the damping is added.
        fabric: "dual_rail" (passive), "crossbar" (op-amps), or "auto": dual_rail where positive resistors suffice.
        technology: a `Technology` or the name of a preset.
        damping: lambda >= 0, added to the diagonal.
        b: a typical right-hand side; sets the signal level so that its solution reaches half of the rail. Without
            it the level is safe for every b of unit Euclidean norm.
        check: verify the emitted netlist against the intended matrix (see `passes.verify`).

    Raises:
        InputError: the matrix, damping, fabric or technology is unusable; the message names the entry.
        UnrealisableError: this fabric, or this technology's rounding, cannot hold the matrix.
    """
    if not isinstance(technology, Technology):
        technology = Technology.preset(technology)
    program = _place(condition(validate(matrix), damping), fabric, technology, float(damping))
    require_stable(program)
    program = program.at_scale(signal_level(program, b))
    if check:
        verify(program)
    return program


def lay_out(matrix: Any, fabric: str, technology: Technology) -> AnalogProgram:
    """The passes up to rounding, at 1 V a problem unit: what a device runs at each programming.

    Signal level, verification and the checks of definiteness and stability are left to `compile_matrix`: they solve the system,
    which a device must not do. A board that is told an indefinite matrix takes it, and runs away.

    Raises:
        InputError, UnrealisableError: as `compile_matrix`, but for an indefinite matrix, which only passive fabrics refuse.
    """
    return _place(validate(matrix), fabric, technology, 0.0)


def _place(target: np.ndarray, fabric: str, technology: Technology, damping: float) -> AnalogProgram:
    choice = realise(target, fabric)
    scaled = target * np.outer(choice.scaling, choice.scaling)
    parts, unit = choice.fabric.place(scaled, choice.scaling, technology)
    return AnalogProgram(
        technology=technology,
        fabric_name=choice.fabric.name,
        target=target,
        damping=damping,
        scaling=choice.scaling,
        conductance_unit=unit,
        volts_per_unit=1.0,
        parts=quantise(parts, technology.resistors),
        lambda_star=choice.lambda_star,
        reason=choice.reason,
    )
