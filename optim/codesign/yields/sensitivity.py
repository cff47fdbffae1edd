"""Which figures an outcome depends on: Sobol's indices, by SALib, which is in the extra `thermograd[study]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ....circuits.errors import InputError
from ....circuits.parallel import parallel_map
from ..knobs.design_point import DesignPoint
from ..knobs.registry import knob_named
from ..plans.sample import Range

_RESAMPLES = 200
"""Of the bootstrap."""


@dataclass(frozen=True)
class KnobSensitivity:
    """Shares of the outcome's variance over the ranges.

    Attributes:
        first: V(E(y | knob)) / V(y): what is lost of the variance, on average, once this knob alone is known.
        total: E(V(y | all others)) / V(y): what is left of it while this knob alone is unknown; above `first` where it acts together with
            others.
        first_conf, total_conf: half-widths of their 95 % intervals, from a bootstrap of the sample. Estimates may lie below 0 or above 1
            by these.
    """

    first: float
    first_conf: float
    total: float
    total_conf: float


@dataclass(frozen=True)
class Sensitivity:
    """Sobol's indices of a score.

    Attributes:
        score: what it is of: "log10 of NAME" where `log` was asked for.
        knobs: by name, in the order of the ranges.
        evaluations: number of design points that were evaluated.
        diverged: number of those whose score was not finite, and stands as the value that was given for it.
    """

    score: str
    knobs: dict[str, KnobSensitivity]
    evaluations: int = 0
    diverged: int = 0

    @property
    def ranking(self) -> list[str]:
        """Names, the largest total index first: what to spend money on, if it costs the same everywhere."""
        return sorted(self.knobs, key=lambda name: -self.knobs[name].total)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as the report has it."""
        return asdict(self)


def sensitivities(
    evaluate: Callable[[DesignPoint], float],
    ranges: Mapping[str, Sequence[object]],
    *,
    fixed: Mapping[str, Any] | None = None,
    samples: int = 64,
    seed: int = 0,
    log: bool = False,
    diverged: float | None = None,
    score: str = "score",
    workers: int | None = 1,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sensitivity:
    """Sobol's first and total indices of a score over ranges of knobs.

    The score is evaluated at samples * (knobs + 2) points of Saltelli's design of a scrambled Sobol sequence. It has to be a function of
    the point
    alone: of the same dies and seeds at every point (`LevelScore`), and then the indices are those of these dies.

    Args:
        evaluate: of a point; for more than one worker a function that can be sent to others.
        ranges: knob -> (low, high), both included, or a switch's or choice's values. Each value is as likely as the others; of numbers
            evenly, or by their logarithm as the knob says.
        fixed: other knobs of each point.
        samples: base of the design, a power of two.
        seed: of the sequence and of the bootstrap.
        log: whether indices are those of the score's logarithm, as is fit for errors that span decades.
        diverged: score that stands for one that is not finite; None: such a score is an error.
        score: its name.
        workers, scheduler, progress: see `circuits.parallel.parallel_map`.

    Raises:
        InputError: ranges as `Range.of`; none, or two of one knob; no power of two; a score that is not finite without `diverged`, or not
            positive with `log`; a score that is the same everywhere; SALib missing.
    """
    saltelli, sobol = _salib()
    chosen, others = _ranges(ranges), DesignPoint(fixed)
    if both := [one.knob.target for one in chosen if one.knob.target in others]:
        raise InputError(f"{', '.join(both)} has a range and is fixed, too: leave one of them out")
    if samples < 2 or samples & (samples - 1):
        raise InputError(f"samples = {samples}: the design needs a power of two, such as 64")
    names = [one.knob.target for one in chosen]
    problem = {"num_vars": len(names), "names": names, "bounds": [[0.0, 1.0]] * len(names)}
    places = saltelli.sample(problem, samples, calc_second_order=False, seed=seed)
    points = [others | _point(chosen, place) for place in places]
    values = np.array([float(one) for one in parallel_map(evaluate, points, workers, scheduler, progress=progress)])
    spoilt = ~np.isfinite(values)
    if spoilt.any():
        if diverged is None:
            raise InputError(
                f"{spoilt.sum()} of {len(points)} points have a {score} that is not finite, the first at "
                f"{points[int(np.argmax(spoilt))]!r}: narrow the ranges, or give diverged, the score that stands for such a point"
            )
        values[spoilt] = diverged
    if log:
        if (values <= 0).any():
            raise InputError(f"the least {score} is {values.min():g}: a logarithm needs positive ones; leave log out")
        values = np.log10(values)
    if float(np.ptp(values)) <= 1e-12 * float(np.abs(values).max()):
        raise InputError(
            f"{score} is {values[0]:.6g} at all {len(points)} points: it depends on none of {', '.join(names)}"
        )
    found = sobol.analyze(problem, values, calc_second_order=False, num_resamples=_RESAMPLES, seed=seed)
    columns = (found["S1"], found["S1_conf"], found["ST"], found["ST_conf"])
    knobs = {name: KnobSensitivity(*(float(one[k]) for one in columns)) for k, name in enumerate(names)}
    return Sensitivity(f"log10 of {score}" if log else score, knobs, len(points), int(spoilt.sum()))


def _ranges(given: Mapping[str, Sequence[object]]) -> list[Range]:
    found = [Range.of(knob_named(name), values) for name, values in given.items()]
    targets = [one.knob.target for one in found]
    if not found:
        raise InputError("no knob has a range: give one at least, such as {'adc.bits': (3, 10)}")
    if twice := sorted({one for one in targets if targets.count(one) > 1}):
        raise InputError(f"{', '.join(twice)} has two ranges, once by another name: leave one of them out")
    return found


def _point(ranges: Sequence[Range], places: Sequence[float]) -> DesignPoint:
    return DesignPoint({one.knob.target: one.at(float(place)) for one, place in zip(ranges, places, strict=True)})


def _salib() -> tuple[Any, Any]:
    try:
        from SALib.analyze import sobol as analyze
        from SALib.sample import sobol as sample
    except ImportError as error:
        raise InputError(f"sensitivities need SALib ({error}): pip install 'thermograd[study]'") from None
    return sample, analyze
