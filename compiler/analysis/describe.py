"""Derive the report of a compiled program."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...circuits.netlist.analyses import OperatingPoint
from ..fabrics.second_order import SecondOrder
from ..layout.effect import layout_effect
from ..matrices import (
    dense,
    frobenius,
    largest_eigenvalue,
    relative_inverse_bound,
    relative_inverse_error,
    smallest_eigenvalue,
    solution_error,
    solver,
)
from ..passes.drive_resistors import dac_share
from ..passes.signal_level import output_use
from ..program import AnalogProgram
from ..program_report import DieError, DieYield, OutputUse, ReadingErrors, Report
from .area import no_area, program_area
from .die_spread import LARGEST, die_spread
from .die_yield import LARGEST as MOST_WITH_DIES
from .die_yield import die_yield, drawn_unasked, varies
from .reading_errors import reading_errors
from .rest_noise import has_noise_law
from .sensitivity import sensitivities

MOST_WITH_MODES = 256
"""Unknowns up to which the modes of oscillators are worked out."""


def describe(
    program: AnalogProgram,
    b: Any = None,
    layout: bool = False,
    dies: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """The report of a program.

    Args:
        program: nominal, or on a die.
        b: (n,) right-hand side, problem units, whose own error is stated, too, and what the technology's tolerances add to it.
        layout: whether to state what the layout adds, and for b where it is given.
        dies: of a nominal program, how many are drawn for the share of stable ones and their errors; 0: none; None: as many as a second's
            work allows (`die_yield.dies_for`), and none of more than 512 unknowns, 64 of oscillators.
        progress: called with (done, dies).

    Raises:
        InputError: b does not fit, or the fabric takes none. UnrealisableError: a fabric without a layout.
    """
    drive = None if b is None else program.right_hand_side(b)
    target, technology = program.target, program.technology
    smallest, largest = smallest_eigenvalue(target), largest_eigenvalue(target)
    bill = _bill(program)
    resistors = np.array([value for kind, value, _ in bill if kind == "resistor"])
    kinds = {kind: len(values) for kind, values in program.parts.inventory() if len(values)}
    realised, found = program.matrix, sensitivities(program)
    return Report(
        unknowns=program.size,
        fabric=program.fabric_name,
        reason=program.reason,
        technology=technology.name,
        damping=program.damping,
        lambda_star=program.lambda_star,
        condition_number=largest / smallest,
        matrix_error=frobenius(realised - target) / frobenius(target),
        solution_error=relative_inverse_error(target, program.emitted_matrix),
        pruned=program.pruned,
        prune_bound=program.prune_bound,
        solution_bound=relative_inverse_bound(program.emitted_matrix, target),
        conductance_unit=program.conductance_unit,
        volts_per_unit=program.volts_per_unit,
        tau=program.tau,
        slow_time=program.settling_time,
        smallest_resistor=float(resistors.min(initial=math.inf)),
        largest_resistor=float(resistors.max(initial=0.0)),
        resistor_power=program.parts.dissipation_bound(technology.opamp.output_limit, technology.dac.full_scale),
        tolerance_error=0.0 if found is None else found.tolerance_error,
        most_sensitive=() if found is None else found.most,
        parts=kinds,
        bill=bill,
        error_for_b=None if drive is None else solution_error(target, program.emitted_matrix, drive),
        die_error=None if drive is None else _die_error(program, drive),
        layout=layout_effect(program, drive) if layout else None,
        drive_resistor=1.0 / program.parts.drive_nominal if program.parts.drive_nominal else None,
        dac_share=dac_share(program, drive),
        dies=_dies(program, drive, dies, progress),
        reading=_reading(program, drive),
        second_order=_second_order(program, drive),
        output=_output(program, drive),
        area=None if (without := no_area(program)) else program_area(program),
        no_area=without,
    )


def _output(program: AnalogProgram, b: np.ndarray | None) -> OutputUse | None:
    """Use of the outputs, of a program that is not too large."""
    return output_use(program, b) if program.fabric.active and program.size <= MOST_WITH_DIES else None


def _dies(
    program: AnalogProgram, b: np.ndarray | None, dies: int | None, progress: Callable[[int, int], None] | None
) -> DieYield | None:
    """The yield, where dies differ; none of a program whose amplifiers have a die's offsets already."""
    if dies == 0 or not program.fabric.has_dies or (dies is None and not drawn_unasked(program)):
        return None
    if program.parts.offset.any() or not varies(program):
        return None
    return die_yield(program, b if b is not None and b.any() else None, dies, progress)


def _reading(program: AnalogProgram, b: np.ndarray | None) -> ReadingErrors | None:
    """Noise and steps, where there is a law for them."""
    if not has_noise_law(program.fabric) or program.size > MOST_WITH_DIES:
        return None
    return reading_errors(program, b if b is not None and b.any() else None)


def _second_order(program: AnalogProgram, b: np.ndarray | None) -> SecondOrder | None:
    """Figures of cells of second order, of a program that is not too large for its modes."""
    if program.size > MOST_WITH_MODES:
        return None
    given = b if b is not None and b.any() else None
    fabric, of = program.fabric, (program.parts, program.technology, program.target)
    swings = fabric.swings(*of, program.scaling, program.conductance_unit, given)
    if not swings:
        return None
    solve = solver(dense(program.target))
    rest = np.linalg.norm(solve(np.eye(program.size)), axis=1) if given is None else np.abs(solve(given))
    return fabric.second_order(*of, program.conductance_unit, swings, float((rest / program.readout_scale).max()))


def _die_error(program: AnalogProgram, b: np.ndarray) -> DieError | None:
    """The spread over dies of the solution for b, where there is one to speak of, and a state of rest that shows it."""
    at_rest = isinstance(program.analysis(), OperatingPoint)
    if not program.fabric.has_dies or not at_rest or program.size > LARGEST or not b.any():
        return None
    spread = die_spread(program, b)
    if not spread.covariance.any():
        return None
    deviation = tuple(spread.deviation.tolist())
    return DieError(spread.relative_error, spread.resistors, spread.offsets, deviation)


def _bill(program: AnalogProgram) -> tuple[tuple[str, float, int], ...]:
    """Lines of equal kind and value, largest count first; values to 9 digits, so that rounding in the last place splits no line."""
    lines: list[tuple[str, float, int]] = []
    for kind, values in program.parts.inventory():
        if len(values) == 0 or kind == "amplifier":
            continue
        found, counts = np.unique(_to_nine_digits(values), return_counts=True)
        lines += [(kind, float(value), int(count)) for value, count in zip(found, counts, strict=True)]
    return tuple(sorted(lines, key=lambda line: (-line[2], line[:2])))


def _to_nine_digits(values: np.ndarray) -> np.ndarray:
    scale = 10.0 ** (8 - np.floor(np.log10(values)))
    return np.round(values * scale) / scale
