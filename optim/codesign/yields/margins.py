"""Margins: how far each figure of a design can get worse, alone, before the target is missed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ....circuits.errors import InputError
from ....circuits.parallel import parallel_map
from ....devicemodel.card import DeviceCard
from ..knobs.design_point import DesignPoint
from ..knobs.knob import Knob
from ..knobs.registry import knob_named
from .figures import figure_at
from .target import Limit

_STEP = 1.25
"""First factor of the search outwards; each further one is the square of that before."""
_HALVINGS = 16
"""Between a value that meets the target and one that misses it, at most."""


@dataclass(frozen=True)
class Margin:
    """How far one figure can be moved from a design point while all others stay.

    What lies between the values that were evaluated is taken to behave as they do. The ends of the interval were evaluated and meet the
    target.

    Attributes:
        knob: name.
        value: at the design point.
        worst: the end at which the figure has the least room, the last value that was found to meet the target; nan where none missed it.
        factor: room on that side, worst / value or value / worst, whichever is above 1; inf where none missed it or an end is 0, nan
            where the figure is 0 itself or changes its sign.
        low, high: interval within which the target is met.
        low_misses, high_misses: the nearest value beyond each end that was found to miss it; nan where the search ended without one, at
            the end of the knob's range, after `span`, or where the figures exclude each other.
    """

    knob: str
    value: float
    worst: float
    factor: float
    low: float
    high: float
    low_misses: float = math.nan
    high_misses: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as the report has it."""
        return asdict(self)


def margins(
    evaluate: Callable[[DesignPoint], float],
    point: DesignPoint,
    knobs: Sequence[str],
    target: Callable[[float], bool],
    *,
    card: DeviceCard | None = None,
    scales: Mapping[str, float] | None = None,
    span: float = 100.0,
    resolution: float = 1.1,
    workers: int | None = 1,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Margin]:
    """The margin of each figure at a design point.

    From the point a figure is moved both ways, by factors 1.25, 1.25^2, 1.25^4, ... (whole numbers by 1, 2, 4, ...), up to the first
    value that misses the target; between that and the last one that meets it, it is halved. A figure may have a limit on both sides: a
    bandwidth that lets in noise, or is too slow. Margins are of one figure at a time: with all of them at their ends the target is missed
    (`joint_margin`).

    Args:
        evaluate: score of a point, of the same dies and seeds at each (`LevelScore`); for more than one worker a function that can be
            sent to others.
        point: which meets the target.
        knobs: names, of numbers.
        target: whether a score meets it, such as `Limit`. A score that is not finite does not.
        card: that states the figures which the point leaves out.
        scales: by name, a first step of a figure that is 0; else the least level above 0 of `Knob.levels`.
        span: largest factor.
        resolution: factor within which an end is found.
        workers, scheduler, progress: see `circuits.parallel.parallel_map`; a job is a figure.

    Raises:
        InputError: the point misses the target; a knob that is no number, has none at the point, or is 0 without a scale; options out of
            range.
    """
    if not span > 1.0 or not 1.0 < resolution <= 2.0:
        raise InputError(f"span = {span:g} and resolution = {resolution:g}: above 1, and above 1 to 2")
    jobs = [_start(point, knob_named(name), card, scales or {}) for name in knobs]
    score = float(evaluate(point))
    if not _meets(score, target):
        raise InputError(
            f"the design point misses the target already, with {score:.4g}{_said(target)}: margins are those of a point that meets it"
        )

    def margin(job: tuple[Knob, float, float]) -> Margin:
        knob, value, scale = job
        return _margin(lambda at: _score(evaluate, point, knob, at), target, knob, value, scale, span, resolution)

    return list(parallel_map(margin, jobs, workers, scheduler, progress=progress))


def _start(
    point: DesignPoint, knob: Knob, card: DeviceCard | None, scales: Mapping[str, float]
) -> tuple[Knob, float, float]:
    """(knob, its value, first step where that is 0)."""
    if knob.choices:
        raise InputError(
            f"{knob.target} is one of {', '.join(knob.choices)}: margins are of numbers; compare the choices as designs"
        )
    found = figure_at(point, knob.target, card)
    if found is None or isinstance(found, str) or not math.isfinite(found):
        shown = "none" if found is None else found
        raise InputError(
            f"{knob.target} is {shown} at the design point, an ideal part: set a finite value in the point, or leave it out"
        )
    value = float(found)
    if value or knob.allowed.kind == "whole":
        return knob, value, abs(value)
    levels = [float(one) for one in knob.levels if not isinstance(one, str) and float(one) > 0]
    scale = next((float(scales[name]) for name in (knob.name, knob.target) if name in scales), min(levels, default=0.0))
    if not scale > 0:
        raise InputError(f"{knob.target} is 0 at the design point: say its first step, above 0, in scales")
    return knob, value, scale


def _score(evaluate: Callable[[DesignPoint], float], point: DesignPoint, knob: Knob, at: float) -> float | None:
    """None where the figures exclude each other."""
    try:
        moved = point | {knob.target: at}
        return float(evaluate(moved))
    except InputError:
        return None


def _margin(
    score: Callable[[float], float | None],
    target: Callable[[float], bool],
    knob: Knob,
    value: float,
    scale: float,
    span: float,
    resolution: float,
) -> Margin:
    ends = []
    for way in (-1, 1):
        met, missed = value, math.nan
        for at in _outwards(knob, value, scale, way, span):
            found = score(at)
            if found is None:
                break
            if not _meets(found, target):
                missed = at
                break
            met = at
        if math.isfinite(missed):
            met, missed = _halved(lambda at: _meets(score(at), target), knob, met, missed, scale, resolution)
        ends.append((met, missed))
    (low, low_misses), (high, high_misses) = ends
    rooms = [(_factor(value, end), end) for end, beyond in ends if math.isfinite(beyond)]
    comparable = [room for room in rooms if not math.isnan(room[0])]
    if not rooms:
        factor, worst = math.inf, math.nan
    else:
        factor, worst = min(comparable) if comparable else min(rooms, key=lambda room: abs(room[1] - value))
    return Margin(knob.target, value, worst, factor, low, high, low_misses, high_misses)


def _outwards(knob: Knob, value: float, scale: float, way: int, span: float) -> Iterator[float]:
    """Values that the knob may have, ever further from the point, the end of its range or of the span the last."""
    allowed = knob.allowed
    edge = allowed.high if way > 0 else allowed.low
    if allowed.kind == "whole":
        furthest = value * span if way > 0 else value / span
        steps: Iterator[float] = (value + way * 2**k for k in range(64))
        furthest = math.ceil(max(furthest, span) if way > 0 else furthest)
    elif value > 0 and allowed.low >= 0:
        furthest = value * span**way
        steps = (value * _STEP ** (way * 2**k) for k in range(64))
    else:  # a figure that may have either sign, or is 0
        furthest = value + way * scale * span
        steps = (value + way * (scale * (_STEP ** (2**k) - 1 if value else 0.25 * 2**k)) for k in range(12))
    last = min(furthest, edge) if way > 0 else max(furthest, edge)
    if last not in allowed:  # an excluded end: as near to it as makes no difference
        last += (value - last) * 1e-3
    before = value
    for at in steps:
        at = min(at, last) if way > 0 else max(at, last)
        if at == before or at not in allowed:
            return
        yield at
        before = at


def _halved(
    meets: Callable[[float], bool], knob: Knob, met: float, missed: float, scale: float, resolution: float
) -> tuple[float, float]:
    for _ in range(_HALVINGS):
        if knob.allowed.kind == "whole":
            if abs(missed - met) <= 1:
                break
            at = float(math.floor((met + missed) / 2) if missed > met else math.ceil((met + missed) / 2))
        else:
            near = (
                max(met / missed, missed / met) <= resolution
                if met * missed > 0
                else abs(missed - met) <= (resolution - 1) * scale
            )
            if near:
                break
            at = math.sqrt(met * missed) if met > 0 and missed > 0 else (met + missed) / 2
        if meets(at):
            met = at
        else:
            missed = at
    return met, missed


def _factor(value: float, end: float) -> float:
    if value == 0.0 or value * end < 0.0:
        return math.nan
    return math.inf if end == 0.0 else max(end / value, value / end)


def _meets(score: float | None, target: Callable[[float], bool]) -> bool:
    return score is not None and math.isfinite(score) and bool(target(score))


def _said(target: Callable[[float], bool]) -> str:
    return f" where {target} is needed" if isinstance(target, Limit) else ""


@dataclass(frozen=True)
class JointMargin:
    """How far all figures can get worse at once.

    Attributes:
        share: of the way from the design point to each figure's own `Margin.worst`, by ratio where both are above 0; 1: all the way.
        point: the design point there, which meets the target: a specification that leaves room in each figure.
    """

    share: float
    point: DesignPoint


def joint_margin(
    evaluate: Callable[[DesignPoint], float],
    point: DesignPoint,
    found: Sequence[Margin],
    target: Callable[[float], bool],
    *,
    resolution: float = 0.02,
) -> JointMargin:
    """The largest share of their single margins that all figures can use up together.

    Args:
        evaluate, point, target: as of `margins`.
        found: margins; those that nothing limits stay where they are.
        resolution: within which the share is found.

    Raises:
        InputError: a resolution that is not between 0 and 1; no figure is limited.
    """
    limited = [one for one in found if math.isfinite(one.worst)]
    if not 0.0 < resolution < 1.0:
        raise InputError(f"resolution = {resolution:g}: between 0 and 1")
    if not limited:
        raise InputError("none of these figures limits the design: there is nothing to use up")

    def moved(share: float) -> DesignPoint:
        return point | {one.knob: _between(one, share) for one in limited}

    low, high = 0.0, 1.0
    if _meets(float(evaluate(moved(1.0))), target):
        return JointMargin(1.0, moved(1.0))
    while high - low > resolution:
        middle = (low + high) / 2
        met = _meets(float(evaluate(moved(middle))), target)
        low, high = (middle, high) if met else (low, middle)
    return JointMargin(low, moved(low))


def _between(margin: Margin, share: float) -> float:
    value, worst = margin.value, margin.worst
    at = value * (worst / value) ** share if value > 0 and worst > 0 else value + (worst - value) * share
    if knob_named(margin.knob).allowed.kind != "whole":
        return at
    return float(math.floor(at + 1e-9) if worst > value else math.ceil(at - 1e-9))
