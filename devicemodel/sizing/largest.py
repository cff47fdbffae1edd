"""The largest array of a technology that solves to an error, and the cause that ends it.

Systems are random, of one condition number (`calibration.cases.random_system`), and programmed as they are for bare readings, with unit
diagonal for refined ones. Sizes are doubled until all three answers are known, and then halved between the last that works and the first
that does not:

    array     the causes that grow with the array (`bare.OF_SIZE`) together stay below the error
    bare      all causes of one reading together do (`bare`)
    refined   the law (`refined`) reaches the error within `host.refine.MAX_ROUNDS` corrections

and of each `YIELD` of the dies are stable. The cause is the largest one at the first size that fails.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...circuits.errors import InputError, UnrealisableError
from ...circuits.technology.area import missing
from ...circuits.technology.presets import as_technology
from ...circuits.technology.technology import Technology
from ...compiler.analysis.die_yield import dies_for
from ...compiler.compile import compile_matrix
from ...compiler.fabrics.registry import fabric_named, fabric_names
from ...compiler.fabrics.requirements import array_for
from ..calibration.cases import random_system
from ..cost.planned import CONDITION
from ..host.refine import MAX_ROUNDS
from .bare import CAUSES, OF_SIZE, bare_reading
from .refined import refined_reading

ARRAY, BARE, REFINED = "array", "bare", "refined"
"""What is asked: of the array itself, of one reading, of a refined one."""
SMALLEST, LARGEST = 2, 128
"""Unknowns of the smallest array that is tried, and, where nothing else is said, of the largest."""
YIELD = 0.95
"""Share of dies that have to be stable."""
DIES = 200
"""Most dies that are drawn of a size."""
SYSTEMS, FEW = 3, 32
"""Systems of each size up to `FEW` unknowns; of larger ones a single system is typical."""
STABILITY, PROGRAMMING = "stability yield", "programming"
"""Causes beside those of the errors: growing modes, and a matrix that cannot be programmed."""
ARRAYS = ("crossbar", "crossbar_single", "oscillator")


@dataclass(frozen=True)
class Size:
    """Arrays of so many unknowns.

    Attributes:
        bare: relative error by cause, rms over systems. total: of all causes.
        dies, stable: drawn of all systems, and without a growing mode.
        refined: factor a round by cause; None: there is no law. factor: of all causes. rounds: until the error is reached; None: never.
        current: largest output current, A. level_limit: what sets the signal level.
        area: m^2; None: not known.
        obstacle: why they cannot be compiled; "": they can.
    """

    unknowns: int
    bare: dict[str, float]
    total: float
    dies: int
    stable: int
    refined: dict[str, float] | None
    factor: float
    rounds: int | None
    current: float | None
    level_limit: str
    area: float | None
    obstacle: str = ""

    @property
    def share(self) -> float:
        """Of the dies, those that are stable."""
        return self.stable / self.dies if self.dies else 0.0

    @property
    def growing(self) -> float:
        """Error of the causes that grow with the array."""
        return _whole([self.bare[cause] for cause in OF_SIZE])


@dataclass(frozen=True)
class Answer:
    """The largest array by one measure.

    Attributes:
        unknowns: 0: not even the smallest one that was tried works.
        cause: that ends it; "": all that were tried work.
        alone: unknowns that each cause alone would allow, between the sizes that were looked at; None: more than were tried.
    """

    unknowns: int
    cause: str
    alone: dict[str, int | None]


@dataclass(frozen=True)
class ArraySizes:
    """Sizes that were tried, and the largest arrays.

    Attributes:
        error: relative, that readings are to stay below. rounds: most corrections of a refined reading.
        sizes: in order of their unknowns.
        answers: by measure, "array", "bare" and "refined"; the last one only where there is a law of refinement for the fabric.
        no_area: why there are no areas; "": there are.
    """

    technology: str
    fabric: str
    error: float
    condition: float
    rounds: int
    sizes: tuple[Size, ...]
    answers: dict[str, Answer]
    no_area: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        found = vars(self) | {"yield": YIELD, "answers": {name: vars(one) for name, one in self.answers.items()}}
        return found | {"sizes": [vars(size) | {"share": size.share, "growing": size.growing} for size in self.sizes]}


def largest_array(
    technology: Technology | str,
    error: float = 0.01,
    fabric: str | None = None,
    condition: float = CONDITION,
    largest: int = LARGEST,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ArraySizes:
    """The largest array that solves systems of this condition number to this error.

    Args:
        technology: a record, or the name of a preset.
        error: relative, of a reading, in (0, 1).
        fabric: one of `ARRAYS`; None: the crossbar that the technology's amplifiers make.
        condition: number of the matrix, damping included.
        largest: unknowns of the largest array that is tried.
        seed: of the systems.
        progress: called with (unknowns, largest).

    Raises:
        InputError: an argument out of range; a fabric that is no array of amplifiers.
    """
    technology = as_technology(technology)
    if not 0 < error < 1:
        raise InputError(f"error is {error!r}: give a relative one above 0 and below 1, such as 0.01")
    if not 1 <= condition < math.inf:
        raise InputError(f"condition is {condition!r}: give a finite condition number >= 1")
    if isinstance(largest, bool) or not isinstance(largest, int) or largest < SMALLEST:
        raise InputError(f"largest is {largest!r}: give an integer of at least {SMALLEST}")
    name = array_for(technology) if fabric is None else fabric
    if name not in fabric_names() or name not in ARRAYS:
        raise InputError(
            f"fabric {name!r} is no array of amplifiers whose size is known to end; there are: {', '.join(ARRAYS)}"
        )
    has_law, found = not fabric_named(name).has_linear_law, dict[int, Size]()

    def at(unknowns: int) -> Size:
        if unknowns not in found:
            found[unknowns] = _size(technology, name, unknowns, condition, error, seed, has_law)
            if progress is not None:
                progress(unknowns, largest)
        return found[unknowns]

    measures = [ARRAY, BARE, *([REFINED] if has_law else [])]

    def works(measure: str, unknowns: int) -> bool:
        return not _cause(at(unknowns), error, measure)

    unknowns = SMALLEST
    while any(works(measure, unknowns) for measure in measures) and unknowns < largest:
        unknowns = min(2 * unknowns, largest)
    ends = {measure: _end(partial(works, measure), sorted(found)) for measure in measures}
    sizes = tuple(found[n] for n in sorted(found))
    return ArraySizes(
        technology=technology.name,
        fabric=name,
        error=error,
        condition=condition,
        rounds=MAX_ROUNDS,
        sizes=sizes,
        answers={measure: _answer(end, sizes, error, measure) for measure, end in ends.items()},
        no_area="" if technology.area else missing(technology),
    )


def _end(works: Callable[[int], bool], tried: Sequence[int]) -> int:
    """The last size that works before the first that does not, by halves; 0: none."""
    failing = next((n for n in tried if not works(n)), None)
    if failing is None:
        return tried[-1]
    good = max((n for n in tried if n < failing), default=0)
    while good and failing - good > 1:
        middle = (good + failing) // 2
        good, failing = (middle, failing) if works(middle) else (good, middle)
    return good


def _size(
    technology: Technology, fabric: str, unknowns: int, condition: float, error: float, seed: int, has_law: bool
) -> Size:
    systems = SYSTEMS if unknowns <= FEW else 1
    dies = min(DIES, dies_for(unknowns, fabric_named(fabric).states)) // systems
    readings, laws, obstacle = [], [], ""
    for k in range(systems):
        rng = np.random.default_rng([seed, unknowns, k])
        matrix, b = random_system(unknowns, condition, False, rng), rng.standard_normal(unknowns)
        try:
            program = compile_matrix(matrix, fabric, technology, b=b, check=False)
            readings.append(bare_reading(program, b, max(1, dies)))
        except UnrealisableError as why:
            obstacle = str(why)
        if has_law:
            laws.append(refined_reading(matrix, technology, fabric, error, MAX_ROUNDS))
    bare = {cause: _rms([one.errors[cause] for one in readings]) if not obstacle else math.inf for cause in CAUSES}
    outputs = [one.output for one in readings if one.output is not None]
    factor = float(np.median([one.total for one in laws])) if laws else math.inf
    reached = [math.inf if one.rounds is None else one.rounds for one in laws]
    rounds = float(np.median(reached)) if reached else math.inf
    areas = [one.area.total for one in readings if one.area is not None]
    loaded = max(outputs, key=lambda one: one.current, default=None)
    return Size(
        unknowns=unknowns,
        bare=bare,
        total=_whole(list(bare.values())),
        dies=sum(one.dies for one in readings),
        stable=sum(one.stable for one in readings),
        refined={cause: float(np.median([one.factors[cause] for one in laws])) for cause in CAUSES} if laws else None,
        factor=factor,
        rounds=math.ceil(rounds) if math.isfinite(rounds) else None,
        current=None if loaded is None else loaded.current,
        level_limit="" if loaded is None else loaded.level_limit,
        area=max(areas, default=None),
        obstacle=obstacle,
    )


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value**2 for value in values) / len(values))


def _whole(errors: Sequence[float]) -> float:
    """All together; what no law says is left out."""
    return math.sqrt(math.fsum(value**2 for value in errors if not math.isnan(value)))


def _cause(size: Size, error: float, measure: str) -> str:
    """What ruins arrays of this size; "": nothing."""
    if size.obstacle:
        return PROGRAMMING
    if size.share < YIELD:
        return STABILITY
    if measure == REFINED:
        return "" if size.rounds is not None and size.rounds <= MAX_ROUNDS else _worst(size.refined or {})
    if measure == ARRAY:
        return "" if size.growing <= error else _worst({cause: size.bare[cause] for cause in OF_SIZE})
    return "" if size.total <= error else _worst(size.bare)


def _worst(causes: dict[str, float]) -> str:
    return max((name for name in causes if not math.isnan(causes[name])), key=lambda name: causes[name])


def _answer(end: int, sizes: Sequence[Size], error: float, measure: str) -> Answer:
    after = next((size for size in sizes if size.unknowns > end), None)
    allowed = dict.fromkeys(OF_SIZE if measure == ARRAY else CAUSES, error)
    if measure == REFINED:
        allowed = dict.fromkeys(CAUSES, error ** (1 / (1 + MAX_ROUNDS))) | {"offsets": 1.0}
    alone: dict[str, int | None] = {}
    for name, most in allowed.items():
        found = [(size.unknowns, ((size.refined or {}) if measure == REFINED else size.bare)[name]) for size in sizes]
        alone[name] = _crossing(found, most)
    stable = list(itertools.takewhile(lambda size: size.share >= YIELD, sizes))
    alone[STABILITY] = None if len(stable) == len(sizes) else stable[-1].unknowns if stable else 0
    return Answer(end, "" if after is None else _cause(after, error, measure), alone)


def _crossing(values: Sequence[tuple[int, float]], allowed: float) -> int | None:
    """Unknowns at which a value passes what is allowed, along straight lines between logarithms; None: at none."""
    last: tuple[int, float] | None = None
    for unknowns, value in values:
        if not math.isnan(value) and value > allowed:
            if last is None:
                return 0
            if not (last[1] > 0 and math.isfinite(value)):
                return last[0]
            share = math.log(allowed / last[1]) / math.log(value / last[1])
            return math.floor(last[0] * (unknowns / last[0]) ** share)
        last = (unknowns, value) if not math.isnan(value) else last
    return None
