"""`compile_matrix` and `compile_system`: the passes in order, from a curvature matrix to a checked analog program."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..circuits.errors import InputError
from ..circuits.technology.presets import as_technology
from ..circuits.technology.technology import Technology
from .fabrics.base import Fabric
from .fabrics.registry import fabric_named, fabric_names
from .fabrics.requirements import require_buildable, unmet
from .factors import multiplied
from .h_matrix import lambda_star
from .linear_system import FactoredSystem, LinearSystem, sides_of
from .matrices import Matrix, dense, scaled
from .passes.choose_fabric import choose_fabric
from .passes.damp import damp
from .passes.drive_resistors import with_drive_resistors
from .passes.equilibrate import jacobi_scaling
from .passes.prune import prune as prune_couplings
from .passes.rounding import rounded
from .passes.signal_level import require_stable, signal_level
from .passes.verified_codes import with_verified_codes
from .passes.verify import verify
from .program import AnalogProgram
from .programming import CellTable
from .validate import check_damping, check_floor, validate

LARGEST_PRODUCT = 3000
"""Most unknowns of a system that is compiled from its factors."""


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
    floor: float | None = None,
) -> AnalogProgram:
    """Map a symmetric positive definite matrix onto a circuit that solves A x = b by relaxing.

    Args:
        matrix: A, (n, n), array-like or scipy sparse, in problem units; positive definite once the damping is added.
        fabric: a registered name (`fabrics.registry.fabric_names()`); or "auto": the first that can hold the matrix of rc (passive,
            M-matrices), dual_rail (passive, either sign), crossbar (fully differential op-amps), crossbar_single (where the technology's
            have one output, `opamp.outputs`) and what else is registered as `automatic`.
        technology: a `Technology` or the name of a preset.
        damping: lambda >= 0, added to the diagonal.
        b: a typical right-hand side; sets the signal level so that its solution reaches half of the output limit. Without
            it the level is safe for every b of unit Euclidean norm. At that level the largest input resistors that the technology has
            (`resistors.drive_ranges`) are taken with which the DAC stays within its full scale.
        check: verify the emitted netlist against the intended matrix (see `passes.verify`).
        equilibrate: scale the unknowns to a unit diagonal (Jacobi) in active fabrics, so that couplings of cells of different
            curvature use the same range of conductances. Passive fabrics have a scaling of their own: one asked for by name raises, one
            that "auto" chooses keeps it and says so in `reason`.
        prune: relative change of A^-1 b that leaving out small couplings may cause, for any b (see `passes.prune`); 0: none.
        rounding: "nearest"; "solution": the choice that makes the solution's error least, for b if given, else on average over all;
            "stochastic": up or down at random with the right mean, to average over several programs (`ensemble`).
        seed: of the draws of "stochastic" rounding, an integer >= 0.
        floor: a lower bound of the smallest eigenvalue of A + damping, problem units, by which oscillators are damped; None or 0: the
            compiler works out the eigenvalue itself.

    Raises:
        InputError: the matrix, damping, floor, fabric or technology is unusable; the message names the entry.
        UnrealisableError: this fabric, or this technology's rounding, cannot hold the matrix; or its parts do not make this fabric.
    """
    if isinstance(matrix, LinearSystem):
        raise InputError(f"matrix is a {type(matrix).__name__}; use compile_system, which takes systems")
    technology = as_technology(technology)
    target = damp(validate(matrix), damping)
    pruned = prune_couplings(target, prune)
    program = _place(pruned.matrix, fabric, technology, float(damping), equilibrate, rounding, b, seed, floor=floor)
    program = dataclasses.replace(program, pruned=pruned.removed, prune_bound=pruned.bound)
    return _finished(program, b, check)


def compile_system(
    system: Any,
    fabric: str = "auto",
    technology: Technology | str = "ideal",
    b: Any = None,
    check: bool = True,
    equilibrate: bool = False,
    prune: float = 0.0,
    rounding: str = "nearest",
    seed: int = 0,
    floor: float | None = None,
) -> AnalogProgram:
    """Map a linear system, given as a matrix or by its factors, onto a circuit.

    Args:
        system: a `LinearSystem`, as those of `devicemodel.systems`: `Dense(A)`, `LowRank(J, H, damping)` for J^T H J + damping,
            `Kronecker(A, B, damping)` for A (x) B + damping; or a matrix as in `compile_matrix`.
        fabric: as in `compile_matrix`, and, for a `FactoredSystem`, one that takes factors ("factored", a cascade of one array for each
            factor). "auto" takes the cascade where it needs fewer resistors than the multiplied-out array.
        technology, b, check, seed: as in `compile_matrix`.
        equilibrate: as in `compile_matrix`; in a cascade the outer factors and the damping are scaled.
        prune: as in `compile_matrix`. A cascade has no couplings to leave out: "auto" multiplies the factors out instead.
        rounding: as in `compile_matrix`; a cascade supports "nearest" and "stochastic".
        floor: as in `compile_matrix`; a cascade needs none.

    Raises:
        InputError, UnrealisableError: as `compile_matrix`; `prune` or rounding="solution" with a fabric that takes factors.
    """
    technology, cascades = as_technology(technology), fabric_names("takes_factors")
    if prune and fabric in cascades:
        raise InputError(
            f"prune={prune!r} leaves out couplings of the matrix, and fabric {fabric} has none: its arrays hold factors; leave prune out, "
            "or use fabric='auto', which multiplies the factors out"
        )
    if not isinstance(system, FactoredSystem):
        matrix, damping = _written_out(system)
        return compile_matrix(matrix, fabric, technology, damping, b, check, equilibrate, prune, rounding, seed, floor)
    _require_product(system.size)
    factors, damping = system.factors(), check_damping(system.damping)
    target = damp(multiplied(factors), damping)
    array = len(target) * (len(target) + 1)
    cascade = fabric_named(fabric if fabric in cascades else cascades[0])
    if fabric in cascades:
        require_buildable(cascade, technology)
    lacks, resistors = unmet(cascade, technology), cascade.resistor_count(factors)
    if fabric not in cascades and (fabric != "auto" or prune or lacks or resistors >= array):
        product = target - damping * np.eye(len(target))
        program = compile_matrix(
            product, fabric, technology, damping, b, check, equilibrate, prune, rounding, seed, floor
        )
        if lacks and fabric == "auto" and not prune and resistors < array:
            program = dataclasses.replace(program, reason=f"{program.reason}; not {cascade.name}: {lacks.what}")
        return program
    scaling = jacobi_scaling(target) if equilibrate else np.ones(len(target))
    asked = "it was asked for; " if fabric != "auto" else ""
    reason = f"{asked}a cascade of {len(factors)} arrays takes {2 * resistors} resistors, the multiplied-out crossbar {2 * array}"
    program = _place_factors(system, factors, target, cascade, technology, scaling, reason, rounding, b, seed)
    return _finished(dataclasses.replace(program, lambda_star=lambda_star(target)), b, check)


def _place_factors(
    system: FactoredSystem,
    factors: tuple[Any, ...],
    target: np.ndarray,
    cascade: Fabric,
    technology: Technology,
    scaling: np.ndarray,
    reason: str,
    rounding: str = "nearest",
    b: Any = None,
    seed: int = 0,
) -> AnalogProgram:
    """The factors of a system in the arrays of a cascade, at 1 V a problem unit."""
    damping = check_damping(system.damping)
    parts, unit = cascade.place_factors(factors, damping, scaling, technology, sides_of(system))
    return AnalogProgram(
        technology=technology,
        fabric_name=cascade.name,
        target=target,
        damping=damping,
        scaling=scaling,
        conductance_unit=unit,
        volts_per_unit=1.0,
        parts=rounded(parts, cascade, technology, scaling, rounding, b, seed),
        rounding=rounding,
        lambda_star=math.nan,
        reason=reason,
    )


def _require_product(size: int) -> None:
    if size > LARGEST_PRODUCT:
        raise InputError(
            f"the system has {size} unknowns; at most {LARGEST_PRODUCT} can be compiled from factors: errors are stated against the "
            "multiplied-out matrix, which the compiler holds once"
        )


def lay_out(
    matrix: Any,
    fabric: str = "auto",
    technology: Technology | str = "ideal",
    leak: float = 0.0,
    cells: CellTable | None = None,
    floor: float | None = None,
) -> AnalogProgram:
    """The passes up to rounding, at 1 V a problem unit: what a device runs at each programming.

    Args:
        matrix: see `compile_matrix`; or a `FactoredSystem`, for a fabric that takes factors.
        fabric, technology: see `compile_matrix`.
        leak: 1 / A0 of the amplifiers whose leak is taken off the diagonal before rounding (`Programming`); 0: none.
        cells: measured values of the die's crosspoints, by which codes are chosen (`passes.verified_codes`); None: the nearest codes.
        floor: a lower bound of the smallest eigenvalue, problem units, by which oscillators are damped; None or 0: the compiler works
            out the eigenvalue itself, which a device must not do.

    Signal level, verification and the checks of definiteness and stability are left to `compile_matrix`: they solve the system,
    which a device must not do. A board is unstable when programmed with an indefinite matrix. Nor is the program's `lambda_star` computed
    for an active fabric, which takes eigenvalues: it is nan.

    Raises:
        InputError, UnrealisableError: as `compile_matrix`, but for an indefinite matrix, which only passive fabrics reject.
    """
    if isinstance(matrix, FactoredSystem):
        return _laid_out_by_factors(matrix, fabric, as_technology(technology), leak, cells)
    return _place(
        validate(matrix), fabric, as_technology(technology), 0.0, leak=leak, cells=cells, explain=False, floor=floor
    )


def _laid_out_by_factors(
    system: FactoredSystem, fabric: str, technology: Technology, leak: float, cells: CellTable | None
) -> AnalogProgram:
    if fabric not in (cascades := fabric_names("takes_factors")):
        raise InputError(
            f"matrix is a {type(system).__name__}, and fabric {fabric} takes a matrix: give its dense(), or use fabric="
            f"{' or '.join(map(repr, cascades))}"
        )
    if leak or cells is not None:
        raise InputError(
            f"fabric {fabric} is programmed with the nearest codes of its factors: leave compensate_leak and cells out of the programming"
        )
    cascade = fabric_named(fabric)
    require_buildable(cascade, technology)
    _require_product(system.size)
    factors = system.factors()
    target = multiplied(factors) + check_damping(system.damping) * np.eye(system.size)
    return _place_factors(system, factors, target, cascade, technology, np.ones(system.size), "it was asked for")


def _place(
    target: Matrix,
    fabric: str,
    technology: Technology,
    damping: float,
    equilibrate: bool = False,
    rounding: str = "nearest",
    b: Any = None,
    seed: int = 0,
    leak: float = 0.0,
    cells: CellTable | None = None,
    explain: bool = True,
    floor: float | None = None,
) -> AnalogProgram:
    bound = check_floor(floor)
    choice = choose_fabric(target, fabric, technology, equilibrate, explain)
    if not choice.fabric.keeps_sparse:
        target = dense(target)
    placed = scaled(target, choice.scaling, choice.scaling)
    parts, unit = choice.fabric.place_bounded(placed, choice.scaling, technology, bound)
    if leak:
        parts = choice.fabric.without_leak(parts, leak)
    if cells is None:
        parts = rounded(parts, choice.fabric, technology, choice.scaling, rounding, b, seed)
    else:
        parts, unit = with_verified_codes(choice.fabric, parts, unit, cells, technology.resistors)
    return AnalogProgram(
        technology=technology,
        fabric_name=choice.fabric.name,
        target=target,
        damping=damping,
        scaling=choice.scaling,
        conductance_unit=unit,
        volts_per_unit=1.0,
        parts=parts,
        rounding=rounding,
        lambda_star=choice.lambda_star,
        reason="; ".join([choice.reason, *(choice.fabric.remarks(parts, technology) if explain else [])]),
    )


def _finished(program: AnalogProgram, b: Any, check: bool) -> AnalogProgram:
    require_stable(program)
    program = with_drive_resistors(program.at_scale(signal_level(program, b)), b)
    if check:
        verify(program)
    return program


def _written_out(system: Any) -> tuple[Any, float]:
    """The matrix without its damping, and the damping, of a system that is not given by factors."""
    if not isinstance(system, LinearSystem):
        if hasattr(system, "shape") or isinstance(system, Sequence):
            return system, 0.0
        raise InputError(
            f"system is a {type(system).__name__}: give a matrix or a LinearSystem, such as Dense(A), LowRank(J, H, damping) or "
            "Kronecker(A, B, damping)"
        )
    whole, damping = system.dense(), check_damping(system.damping)
    if hasattr(whole, "detach"):
        whole = whole.detach().cpu().numpy()
    return (whole - damping * np.eye(len(whole)) if damping else whole), damping
