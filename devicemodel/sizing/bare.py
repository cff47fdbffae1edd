"""What each cause alone makes of one bare reading at rest, relative to A^-1 b.

    codes            |N^-1 - A^-1|_F / |A^-1|_F          N: the nominal parts with ideal amplifiers
    loading          |(N + leak)^-1 - N^-1|_F / ...      `compiler.analysis.loading`: finite gain at the load of inputs and outputs
    wires            |X^-1 - M^-1|_F / ...               X: after layout (`compiler.layout.effect`), M: before, with the amplifiers' gain
    mismatch         rms over dies (`compiler.analysis.die_yield`), with the temperature's
    offsets          likewise
    noise            of one reading (`compiler.analysis.reading_errors`), at the signal level that the array would have without loads
    converters       their steps, likewise
    output current   what steps and noise grow by since the signal level is lowered until the amplifiers can drive the array

and the share of dies without a growing mode. Norms are rms over all b of one length; dies and the signal level are those of one b, to which
a host brings its drive. The total is the root of the sum of squares: causes are taken to be independent.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ...circuits.technology.area import ArrayArea
from ...compiler.analysis.area import no_area, program_area
from ...compiler.analysis.die_yield import die_yield, varies
from ...compiler.analysis.loading import loaded_matrix
from ...compiler.analysis.reading_errors import reading_errors
from ...compiler.layout.effect import layout_matrix
from ...compiler.layout.extraction import adds_parts
from ...compiler.matrices import dense
from ...compiler.passes.drive_resistors import with_drive_resistors
from ...compiler.passes.signal_level import LOADS, output_use, signal_limits
from ...compiler.program import AnalogProgram
from ...compiler.program_report import OutputUse, ReadingErrors

CAUSES = ("wires", "loading", "output current", "noise", "converters", "codes", "mismatch", "offsets")
OF_SIZE = CAUSES[:4]
"""Those that grow as arrays do; the others are of their parts, and much the same in small arrays."""


@dataclass(frozen=True)
class BareReading:
    """One reading of a program at rest.

    Attributes:
        errors: of each of `CAUSES` alone; nan: no law says.
        dies, stable: drawn, and without a growing mode.
        output: what the amplifiers' outputs carry. area: on silicon; None: not known.
    """

    errors: dict[str, float]
    dies: int
    stable: int
    output: OutputUse | None
    area: ArrayArea | None


def bare_reading(program: AnalogProgram, b: np.ndarray, dies: int) -> BareReading:
    """Each cause of a compiled program's error.

    Args:
        program: nominal, at the signal level of b, of a fabric with dies.
        b: (n,) right-hand side, problem units.
        dies: that are drawn, 1 or more.
    """
    target, technology = dense(program.target), program.technology
    ideal = technology.replace(opamp__gain=math.inf)
    unloaded = dense(dataclasses.replace(program, technology=ideal).emitted_matrix)
    spread = die_yield(program, b, dies) if varies(program) else None
    held, free = reading_errors(program, b), reading_errors(_unloaded(program, b), b)
    errors = {
        "wires": _wires(program),
        "loading": _difference(loaded_matrix(program), unloaded, target),
        "output current": math.sqrt(max(0.0, _all(held) ** 2 - _all(free) ** 2)),
        "noise": free.noise,
        "converters": math.hypot(free.dac, free.adc),
        "codes": _difference(unloaded, target, target),
        "mismatch": 0.0 if spread is None else math.inf if spread.parts is None else spread.parts.rms,
        "offsets": 0.0 if spread is None else math.inf if spread.offsets is None else spread.offsets.rms,
    }
    return BareReading(
        errors,
        1 if spread is None else spread.dies,
        int(not program.grows()) if spread is None else spread.stable,
        output_use(program, b),
        None if no_area(program) else program_area(program),
    )


def _wires(program: AnalogProgram) -> float:
    if not program.fabric.has_layout or not adds_parts(program.technology):
        return 0.0 if program.fabric.has_layout else math.nan
    return _difference(layout_matrix(program), dense(program.emitted_matrix), dense(program.target))


def _difference(found: np.ndarray, before: np.ndarray, target: np.ndarray) -> float:
    """|found^-1 - before^-1|_F / |target^-1|_F."""
    moved = np.linalg.inv(found) - np.linalg.inv(before)
    return float(np.linalg.norm(moved) / np.linalg.norm(np.linalg.inv(target)))


def _unloaded(program: AnalogProgram, b: np.ndarray) -> AnalogProgram:
    """At the signal level that amplifiers which drive any load would have."""
    limits = {name: level for name, level in signal_limits(program, b).items() if name != LOADS}
    return with_drive_resistors(program.at_scale(min(limits.values(), default=1.0)), b)


def _all(reading: ReadingErrors) -> float:
    noise = 0.0 if math.isnan(reading.noise) else reading.noise
    return math.hypot(noise, reading.dac, reading.adc)
