"""Signal level: whether the rounded circuit is stable, and at which voltages it works."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq

from ...circuits.amplifiers.output_stage import is_limited, share_of_limits
from ...circuits.errors import InputError, UnrealisableError
from ..fabrics.base import Swing
from ..matrices import dense, is_sparse, smallest_eigenvalue, solver
from ..program import AnalogProgram
from ..program_report import OutputUse
from ..validate import validate_drive
from .drive_resistors import largest_drive

HEADROOM = 0.5
"""Share of the output limit that the largest unknown is planned to reach."""
LOADED = 0.8
"""Share of its range that an amplifier may use with what it drives (`amplifiers.output_stage.share_of_limits`), and on the way to rest."""

RANGE, SWINGS, LOADS, DRIVE = (
    "the amplifiers' output limit",
    "the swings on the way to rest",
    "the current into the array",
    "the DAC's full scale",
)
"""What may limit the signal level."""


def require_stable(program: AnalogProgram) -> None:
    """Raise `UnrealisableError` when rounding the parts has made the matrix indefinite."""
    if program.is_stable():
        return
    resistors = program.technology.resistors
    rounding = (
        f"{resistors.bits} bit codes"
        if resistors.bits is not None
        else "double precision"
        if resistors.series is None
        else f"series {resistors.series}"
    )
    if program.fabric.symmetric:
        raise UnrealisableError(
            f"rounded to {rounding}, the passive circuit has nodes without a resistor to ground, which float; use "
            "more bits, more damping, or fabric='crossbar'"
        )
    values = np.linalg.eigvals(dense(program.matrix))
    smallest = float(values.real.min())
    if smallest > program.size * np.finfo(float).eps * np.abs(values).max():
        raise UnrealisableError(
            f"the amplifiers are too slow for fabric {program.fabric_name}: a mode grows; use a larger gain-bandwidth product "
            f"(opamp.gbw, now {program.technology.opamp.gbw:.3g} Hz), larger capacitors, or fabric='crossbar'"
        )
    raise UnrealisableError(
        f"rounded to {rounding}, the matrix has an eigenvalue of {smallest:.4g} and the circuit is unstable; use more "
        f"bits (or a finer series), or at least {max(0.0, -smallest):.4g} more damping"
    )


def signal_level(program: AnalogProgram, b: Any = None) -> float:
    """Volts (of state) per problem unit: the least of `signal_limits`."""
    return min(signal_limits(program, b).values(), default=1.0)


def signal_limits(program: AnalogProgram, b: Any = None) -> dict[str, float]:
    """Most volts (of state) per problem unit by what limits them: neither the amplifiers' output limit nor the DAC's full scale is exceeded
    with the input resistors that the program has, nor what loads leave of the amplifiers' range (`LOADED`). Where cells swing farther
    than they settle, all outputs stay within `LOADED` of their range on the way (`Fabric.swings`).

    For a given b from its solution; else for the worst b of unit Euclidean norm, max_i ||row_i(A^-1)|| / d_i (bounded by the smallest
    eigenvalue for a sparse matrix). What limits nothing is left out.
    """
    vector = _checked(program, b)
    outputs, swung = _resting(program, vector), _swings(program, vector)
    largest, limits = max(float(kind.max()) for kind in outputs), dict[str, float]()
    if largest > 0:
        limits[RANGE] = HEADROOM * program.technology.opamp.output_limit / largest
    if highest := max((float(swing.volts.max()) for swing in swung), default=0.0):
        limits[SWINGS] = LOADED * program.technology.opamp.output_limit / highest
    if limits:
        unloaded = min(limits.values())
        held = _held_under_load(program, _driven(program, outputs, swung), unloaded)
        if held < unloaded:
            limits[LOADS] = held
    driven = largest_drive(program, vector)
    if program.parts.drive_nominal > 0 and driven > 0:
        per_volt = program.parts.drive_nominal / program.conductance_unit
        limits[DRIVE] = program.technology.dac.full_scale * per_volt / driven
    return limits


def output_use(program: AnalogProgram, b: Any = None) -> OutputUse | None:
    """What the amplifiers' outputs carry at the program's signal level; None without amplifiers.

    Args:
        b: (n,) right-hand side; None, or zeros: the worst of unit Euclidean norm, for each output.
    """
    vector, opamp = _checked(program, b), program.technology.opamp
    kinds = _driven(program, _resting(program, vector), _swings(program, vector))
    if not kinds:
        return None
    volts = program.volts_per_unit * np.concatenate([own for own, _ in kinds])
    loads = np.concatenate([np.broadcast_to(load, own.shape) for own, load in kinds])
    amperes = loads * volts / program.parts.rails
    shares = np.maximum(share_of_limits(opamp, volts, amperes), volts / opamp.output_limit)
    worst, limits = int(np.argmax(amperes)), signal_limits(program, vector)
    return OutputUse(
        current=float(amperes[worst]),
        volts=float(volts[worst]) / program.parts.rails,
        share=float(shares.max()),
        current_limit=None if math.isinf(opamp.output_current) else opamp.output_current,
        level_limit=min(limits, key=limits.__getitem__, default=""),
    )


def _checked(program: AnalogProgram, b: Any) -> np.ndarray | None:
    """The right-hand side; None: every one of unit norm."""
    vector = None if b is None else validate_drive(b, program.size)
    if vector is not None and not program.fabric.mean:
        raise InputError(f"fabric {program.fabric_name} takes no right-hand side; leave b out")
    return vector if vector is not None and vector.any() else None


def _resting(program: AnalogProgram, b: np.ndarray | None) -> list[np.ndarray]:
    """Largest voltages of the cells at rest at a level of 1, then those of each stage before them."""
    # Volts that the read node shows for one problem unit.
    shown = program.readout_scale
    if b is not None:
        volts = solver(program.target)(b) / shown
        return [np.abs(stage @ volts) for stage in (np.eye(program.size), *program.parts.stages())]
    if is_sparse(program.target):
        return [np.full(program.size, 1.0 / smallest_eigenvalue(program.target)) / shown]
    inverse = solver(program.target)(np.eye(program.size)) / shown[:, None]
    stages = (1.0 * np.eye(program.size), *program.parts.stages())
    return [np.linalg.norm(stage @ inverse, axis=1) for stage in stages]


def _swings(program: AnalogProgram, b: np.ndarray | None) -> list[Swing]:
    swung = program.fabric.swings(
        program.parts, program.technology, program.target, program.scaling, program.conductance_unit, b
    )
    if swung:
        # With a range that the swings use up none is left for what rounding adds.
        swung[0] = swung[0]._replace(volts=np.maximum(swung[0].volts, _rounded(program, b)))
    return swung


def _rounded(program: AnalogProgram, b: np.ndarray | None) -> np.ndarray:
    """Largest voltages at which the cells rest at a level of 1, (n,), with the matrix that the parts make."""
    matrix = dense(program.matrix)
    if b is not None:
        return np.abs(np.linalg.solve(matrix, b)) / program.readout_scale
    return np.asarray(np.linalg.norm(np.linalg.inv(matrix), axis=1) / program.readout_scale)


def _driven(
    program: AnalogProgram, outputs: Sequence[np.ndarray], swung: Sequence[Swing]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Largest voltages at a level of 1 and loads of each kind of amplifier; `outputs` has those at rest of all kinds but inverters."""
    settled = [
        # An inverter's output is as large as its cell's.
        (outputs[0] if stage is None else outputs[place], load)
        for place, (stage, load) in enumerate(program.parts.amplifier_loads())
    ]
    return settled + [(swing.volts, swing.load) for swing in swung if swing.volts.max() > 0]


def _held_under_load(program: AnalogProgram, kinds: Sequence[tuple[np.ndarray, np.ndarray]], level: float) -> float:
    """The level, or what amplifiers hold with what they drive.

    Args:
        kinds: largest voltages at a level of 1, V, and loads, S, of each kind of amplifier.
    """
    parts, opamp = program.parts, program.technology.opamp
    if not is_limited(opamp):
        return level

    def excess(logarithm: float) -> float:
        at = math.exp(logarithm)
        shares = (share_of_limits(opamp, at * volts, at * load * volts / parts.rails).max() for volts, load in kinds)
        return max(map(float, shares)) - LOADED

    top = math.log(level)
    if not kinds or excess(top) <= 0:
        return level
    low = top - 1.0
    while excess(low) > 0:
        low -= 1.0
    return math.exp(float(brentq(excess, low, top, xtol=1e-12)))
