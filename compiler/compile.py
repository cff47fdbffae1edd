"""`compile_matrix` and `compile_system`: the passes in order, from a curvature matrix to a checked analog program."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..circuits.errors import InputError
from ..circuits.technology.presets import as_technology
from ..circuits.technology.technology import Technology
from .fabrics.cascade import Factored
from .fabrics.registry import fabric_named
from .h_matrix import lambda_star
from .matrices import Matrix, dense, scaled
from .passes.choose_fabric import realise
from .passes.damp import condition
from .passes.prune import prune as prune_couplings
from .passes.rounding import rounded
from .passes.signal_level import require_stable, signal_level
from .passes.verify import verify
from .products import Product, as_system
from .program import AnalogProgram
from .validate import validate


def compile_matrix(
    matrix: Any,
    fabric: str = "auto",
    technology: Technology | str = "ideal",
    damping: float = 0.0,
    b: Any = None,
    check: bool = True,
    equilibrate: bool = False,
    prune: float = 0.0,
    rounding: str = "nearest",
    seed: int = 0,
) -> AnalogProgram:
    """Map a symmetric positive definite matrix onto a circuit that solves A x = b by relaxing.

    Args:
        matrix: A, (n, n), array-like or scipy sparse, in problem units; positive definite once the damping is added.
        fabric: a registered name (`fabrics.registry.fabric_names()`); or "auto": the first that can hold the matrix of rc (passive,
            M-matrices), dual_rail (passive, either sign), crossbar (op-amps) and what else is registered as `automatic`.
        technology: a `Technology` or the name of a preset.
        damping: lambda >= 0, added to the diagonal.
        b: a typical right-hand side; sets the signal level so that its solution reaches half of the rail. Without
            it the level is safe for every b of unit Euclidean norm.
        check: verify the emitted netlist against the intended matrix (see `passes.verify`).
        equilibrate: scale the unknowns to a unit diagonal (Jacobi) in active fabrics, so that couplings of cells of different
            curvature use the same range of conductances. Passive fabrics have a scaling of their own.
        prune: relative change of A^-1 b that leaving out small couplings may cause, for any b (see `passes.prune`); 0: none.
        rounding: "nearest"; "solution": the choice that makes the solution's error least, for b if given, else on average over all;
            "stochastic": up or down at random with the right mean, to average over several programs (`ensemble`).
        seed: of the random choices of the last two.

    Raises:
        InputError: the matrix, damping, fabric or technology is unusable; the message names the entry.
        UnrealisableError: this fabric, or this technology's rounding, cannot hold the matrix.
    """
    technology = _technology(technology)
    _refuse_systems(matrix)
    target = condition(validate(matrix), damping)
    pruned = prune_couplings(target, prune)
    program = _place(pruned.matrix, fabric, technology, float(damping), equilibrate, rounding, b, seed)
    program = dataclasses.replace(program, pruned=pruned.removed, prune_bound=pruned.bound)
    return _finished(program, b, check)


def compile_system(
    system: Any,
    fabric: str = "auto",
    technology: Technology | str = "ideal",
    b: Any = None,
    check: bool = True,
    rounding: str = "nearest",
    seed: int = 0,
) -> AnalogProgram:
    """Map a linear system, given as a matrix or by its factors, onto a circuit.

    Args:
        system: `Dense(A)`, `LowRank(J, H, damping)` for J^T H J + damping, or `Kronecker(A, B, damping)` for A (x) B + damping.
        fabric: as in `compile_matrix`, and "factored": a cascade of one array for each factor. "auto" takes the cascade where it
            needs fewer resistors than the multiplied-out array.
        technology, b, check, rounding, seed: as in `compile_matrix`; a cascade takes "nearest" and "stochastic".

    Raises:
        InputError, UnrealisableError: as `compile_matrix`.
    """
    technology = _technology(technology)
    given = as_system(system)
    if not isinstance(given, Product):
        return compile_matrix(given, fabric, technology, b=b, check=check, rounding=rounding, seed=seed)
    target = condition(given.dense(), 0.0)
    array = len(target) * (len(target) + 1)
    cheaper = given.resistors() < array
    if fabric not in ("auto", "factored") or (fabric == "auto" and not cheaper):
        product = given.dense() - given.damping * np.eye(len(target))
        return compile_matrix(product, fabric, technology, given.damping, b, check, rounding=rounding, seed=seed)
    chosen = fabric_named("factored")
    assert isinstance(chosen, Factored)
    parts, unit = chosen.place_factors(given.factors, given.damping, technology)
    asked = "it was asked for; " if fabric == "factored" else ""
    program = AnalogProgram(
        technology=technology,
        fabric_name=chosen.name,
        target=target,
        damping=given.damping,
        scaling=np.ones(len(target)),
        conductance_unit=unit,
        volts_per_unit=1.0,
        parts=rounded(parts, chosen, technology, np.ones(len(target)), rounding, b, seed),
        rounding=rounding,
        lambda_star=lambda_star(target),
        reason=f"{asked}a cascade of {len(given.factors)} arrays takes {2 * given.resistors()} resistors, the multiplied-out "
        f"crossbar {2 * array}",
    )
    return _finished(program, b, check)


def lay_out(matrix: Any, fabric: str, technology: Technology) -> AnalogProgram:
    """The passes up to rounding, at 1 V a problem unit: what a device runs at each programming.

    Signal level, verification and the checks of definiteness and stability are left to `compile_matrix`: they solve the system,
    which a device must not do. A board that is told an indefinite matrix takes it, and runs away.

    Raises:
        InputError, UnrealisableError: as `compile_matrix`, but for an indefinite matrix, which only passive fabrics refuse.
    """
    return _place(validate(matrix), fabric, technology, 0.0)


def _place(
    target: Matrix,
    fabric: str,
    technology: Technology,
    damping: float,
    equilibrate: bool = False,
    rounding: str = "nearest",
    b: Any = None,
    seed: int = 0,
) -> AnalogProgram:
    choice = realise(target, fabric, equilibrate)
    if not choice.fabric.keeps_sparse:
        target = dense(target)
    parts, unit = choice.fabric.place(scaled(target, choice.scaling, choice.scaling), choice.scaling, technology)
    return AnalogProgram(
        technology=technology,
        fabric_name=choice.fabric.name,
        target=target,
        damping=damping,
        scaling=choice.scaling,
        conductance_unit=unit,
        volts_per_unit=1.0,
        parts=rounded(parts, choice.fabric, technology, choice.scaling, rounding, b, seed),
        rounding=rounding,
        lambda_star=choice.lambda_star,
        reason=choice.reason,
    )


def _finished(program: AnalogProgram, b: Any, check: bool) -> AnalogProgram:
    require_stable(program)
    program = program.at_scale(signal_level(program, b))
    if check:
        verify(program)
    return program


def _refuse_systems(matrix: Any) -> None:
    if any(hasattr(matrix, name) for name in ("J", "A")) and not hasattr(matrix, "shape"):
        raise InputError(f"matrix is a {type(matrix).__name__}; use compile_system, which takes systems")


def _technology(technology: Technology | str) -> Technology:
    return as_technology(technology)
