"""How many dies of a program work, and how well: Monte-Carlo over the dies 0, 1, 2, ... of its technology.

Die k is `Die(technology, k)`, the one that SPICE netlists and devices of that seed have, as its first programming leaves it (`made`).
Whether a mode of its circuit grows is decided by the circuit's own law (`AnalogProgram.grows`): both rails, inverters, and the amplifiers'
gain, bandwidth and second pole. For dies where none does the solution at rest is exact (`Fabric.at_rest`): nothing is expanded in the
deviations, which near a singular matrix is wrong by any factor. With M the realised matrix of a die and N that of the nominal netlist,
over all b (or for one, where it is given)

    parts    ||M^-1 - N^-1||_F / ||A^-1||_F             |M^-1 b - N^-1 b| / |A^-1 b|
    offsets  |o| sqrt(n) / ||A^-1||_F                   |o| / |A^-1 b|

with o what the amplifiers' offset voltages make of the reading at the program's signal level, which is for b of unit length. For `PROBES`
single b, drawn at random, the parts' error |M^-1 b - N^-1 b| / |A^-1 b| is stated, too, over dies and b. `total` is the root of the sum of
squares of M^-1 - A^-1, offsets, noise (`rest_noise`) and the converters' steps (`reading_errors`), where there is a law of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import binomtest

from ...circuits.errors import InputError, UnrealisableError
from ...circuits.technology.die import Die
from ...circuits.technology.redraw import Redraw
from ..conductance_errors import fluctuating
from ..fabrics.registry import fabric_names
from ..matrices import dense, solver
from ..program import AnalogProgram
from ..program_report import USUAL_DIES, DieYield, Spread
from .reading_errors import reading_errors
from .rest_noise import has_noise_law

DIES = USUAL_DIES
LEAST = 30
"""Dies of a report, however many unknowns there are."""
WORK = 15_000
"""Unknowns times dies of a report: more unknowns have fewer dies, down to `LEAST`."""
LARGEST = 512
"""Unknowns up to which a report draws dies unasked."""
MODES = 2_000_000
"""Cube of unknowns times dies of a report of oscillators, whose stability takes the modes of each die, down to `FEWEST` dies."""
FEWEST, LARGEST_MODES = 10, 64
"""Least dies of oscillators, and the unknowns up to which a report draws any unasked."""
PROBES = 32
"""Right-hand sides, drawn at random, behind the spread of single ones."""
CONFIDENCE = 0.95
"""Of the interval of the share of stable dies."""


def dies_for(unknowns: int, states: int = 1) -> int:
    """Number of dies that a report draws, of a fabric with so many states a cell."""
    if states > 1:
        return min(DIES, max(FEWEST, MODES // unknowns**3))
    return min(DIES, max(LEAST, WORK // unknowns))


def drawn_unasked(program: AnalogProgram) -> bool:
    """Whether a report draws dies of a program of this size."""
    return program.size <= (LARGEST_MODES if program.fabric.states > 1 else LARGEST)


def die_yield(
    program: AnalogProgram,
    b: Any = None,
    dies: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DieYield:
    """The share of dies without a growing mode, and the errors of those.

    Args:
        program: nominal, not on a die.
        b: (n,) right-hand side; None: errors are rms over all b of one length.
        dies: how many, 1 or more; None: `dies_for` the number of unknowns.
        progress: called with (done, dies).

    Raises:
        InputError: b is zero or does not fit; a number of dies that is none. UnrealisableError: a fabric without dies.
    """
    if not program.fabric.has_dies:
        raise UnrealisableError(
            f"fabric {program.fabric_name} has no dies: how its parts vary is not modelled; use {' or '.join(fabric_names('has_dies'))}"
        )
    count = dies_for(program.size, program.fabric.states) if dies is None else dies
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InputError(f"dies is {dies!r}; an integer of 1 or more is needed")
    drive = np.eye(program.size) if b is None else program.right_hand_side(b)[:, None]
    if not drive.any():
        raise InputError("b is zero, so that every die reads nothing but its amplifiers' offsets; give another b")
    wanted = solver(dense(program.target))(drive)
    # An offset is the same for each b, of which there are as many as columns.
    size, columns = float(np.linalg.norm(wanted)), math.sqrt(drive.shape[1])
    currents = program.conductance_unit * program.scaling[:, None] * drive
    nominal, _, reach = _at_rest(program, currents, program.readout_scale)
    reading = reading_errors(program, b) if has_noise_law(program.fabric) else None
    unread = (0.0,) if reading is None else (reading.noise, reading.adc)
    fixed, steps = (
        math.hypot(*(value for value in unread if not math.isnan(value))),
        0.0 if reading is None else reading.dac,
    )
    # Right-hand sides of their own, each against its own solution.
    probes = np.random.default_rng(0).standard_normal((drive.shape[1], PROBES)) if b is None else np.eye(1)
    lengths, single = np.linalg.norm(wanted @ probes, axis=0), []
    found: list[tuple[float, float, float]] = []
    for k in range(count):
        die = made(program, k)
        if not die.grows():
            x, offset, reached = _at_rest(die, currents, program.readout_scale)
            off = columns * float(np.linalg.norm(offset)) / size
            whole = (float(np.linalg.norm(x - wanted)) / size, off, fixed, steps * reached / reach)
            found.append((float(np.linalg.norm(x - nominal)) / size, off, math.hypot(*whole)))
            single.append(np.linalg.norm((x - nominal) @ probes, axis=0) / lengths)
        if progress is not None:
            progress(k + 1, count)
    test = binomtest(len(found), count).proportion_ci(CONFIDENCE, method="exact")
    parts, offsets, total = (
        None if not found else Spread.of(np.array([errors[kind] for errors in found])) for kind in range(3)
    )
    return DieYield(
        dies=count,
        stable=len(found),
        interval=(float(test.low), float(test.high)),
        parts=parts,
        offsets=offsets,
        total=None if reading is None else total,
        single=Spread.of(np.concatenate(single)) if single and b is None else None,
        errors=tuple(found),
    )


def _at_rest(
    program: AnalogProgram, currents: np.ndarray, read_scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Solutions for nominal drive currents (n, k) at one volt a problem unit, what offsets add to each, (n,), and |K^-1 drive|_F.

    Args:
        read_scale: what the host takes a volt at each cell for, (n,).
    """
    rest = program.fabric.at_rest(program.parts, program.technology)
    inverse = read_scale[:, None] * np.linalg.inv(rest.matrix)
    reach = inverse * rest.drive
    return reach @ currents, inverse @ rest.offset / program.volts_per_unit, float(np.linalg.norm(reach))


def made(program: AnalogProgram, k: int) -> AnalogProgram:
    """The program on die k, as its first programming leaves it and as it is in its first run."""
    once = Redraw(0, k, 0)
    die = program.on(Die(program.technology, k), writing=once)
    return dataclasses.replace(die, parts=fluctuating(die.parts, program.technology.resistors, once))


def varies(program: AnalogProgram) -> bool:
    """Whether two dies of the program differ."""
    first, second = (made(program, k).parts for k in range(2))
    pairs = zip(first.rail_values(), second.rail_values(), strict=True)
    return bool((first.offset != second.offset).any()) or any((one != other).any() for (_, one), (_, other) in pairs)
