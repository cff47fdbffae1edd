"""The winner's specification: how far each of its figures can get worse, and on which of them the error of a solve depends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ....circuits.errors import InputError
from ....devicemodel.card import DeviceCard
from ..knobs.design_point import DesignPoint
from ..knobs.knob import Value
from ..knobs.registry import KNOBS
from ..trainings import LOSS
from ..yields.figures import figure_at
from ..yields.margins import margins
from ..yields.sensitivity import sensitivities
from ..yields.target import Limit
from .confirm import design_of
from .jobs import Job, Runner
from .ladder import SOLVE_ERROR, Report
from .price import Pricing
from .records import DesignRecord, mean
from .search import Found

MARGINS = ("none", "short", "full")
"""By which trainings margins are found."""
FIGURES = (
    "resistors.tolerance", "resistors.area", "capacitors.tolerance", "capacitors.area", "opamp.gain", "opamp.gbw", "opamp.offset",
    "opamp.noise_voltage", "adc.noise", "adc.gain_error", "thermal.ambient_rms",
)  # fmt: skip
"""Figures of a technology that have a margin beside those that were searched, where the winner has them."""
_SPAN = 30.0
_NOTHING = 1.0
"""Solve error that stands for that of a design which cannot be built, or whose reading is not finite: that of no solution."""


@dataclass(frozen=True)
class PointScore:
    """A score of a design point as a number, from evaluations that are kept like those of the search.

    Attributes:
        runner: of the search, without workers of its own. card: that is varied. pricing: says what cannot be built.
        reading, dies, seeds: of the evaluations. fidelity, score: which level and which of its scores.
        otherwise: of a point that cannot be built.
    """

    runner: Runner
    card: DeviceCard
    pricing: Pricing
    reading: str
    fidelity: str
    score: str
    dies: tuple[int, ...]
    seeds: tuple[int, ...]
    otherwise: float = math.nan

    def __call__(self, point: DesignPoint) -> float:
        """Mean over dies and seeds. InputError for figures that exclude each other."""
        card, host = point.card_at(self.card), point.of("host", "optimizer")
        cost = self.pricing.step(card, host, self.reading)
        if cost is not None and cost.obstacles:
            return self.otherwise
        jobs = [Job(self.fidelity, card, host, die, seed, self.reading) for die in self.dies for seed in self.seeds]
        found = [one.evaluation for one in self.runner.run(jobs)]
        return mean([self.otherwise if one is None else one.scores[self.score] for one in found])


def margins_of(
    found: Found, winner: DesignRecord, by: Literal["none", "short", "full"] | str, workers: int | None,
    scheduler: str | None, report: Report | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Margins of the winner's figures, those of `FIGURES` among them, as the result has them.

    Args:
        by: "full": the target, by whole trainings on the first die; "short": the loss of a short training, as in the search's ladder.
    """
    if by not in MARGINS:
        raise InputError(f"margins is {by!r}: give one of {', '.join(MARGINS)}")
    if by == "none":
        return []
    question, ladder = found.question, found.ladder
    score, limit = LOSS, Limit(ladder.loss_limit * ladder.baseline.short_loss, False)
    if by == "full":
        main = question.target.score
        score, limit = main.name, Limit(question.target.limit(ladder.baseline.values[0]), main.more_is_better)
    point = design_of(winner).point
    of_point = _score(found, winner, by, score, question.dies[:1])
    if not _meets(of_point(point), limit):
        return []
    names = [name for name in (*_numbers(point), *FIGURES) if _has_figure(point, name, question.card)]
    done = margins(
        of_point, point, list(dict.fromkeys(names)), limit, card=question.card, span=_SPAN, resolution=1.25, workers=workers,
        scheduler=scheduler, progress=None if report is None else lambda done, total: report("margins", done, total),
    )  # fmt: skip
    return [one.to_dict() for one in done]


def sensitivity_of(
    found: Found,
    winner: DesignRecord,
    samples: int,
    workers: int | None,
    scheduler: str | None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Sobol's indices of the error of a solve over the ranges that were searched, read as the winner is.

    Args:
        samples: base of the design, a power of two; samples x (knobs + 2) points. 0: none.
    """
    if not samples:
        return {"score": "", "knobs": {}}
    question = found.question
    point = design_of(winner).point
    ranges: dict[str, Sequence[object]] = {}
    for one in question.space.ranges:
        if one.name in point and (not one.choices or one.knob.choices):
            ranges[one.name] = one.choices or (one.low, one.high)
    # What has no price of its own, or follows from others, changes no reading.
    heeded = {name: given for name, given in ranges.items() if not name.endswith((".count", ".power"))}
    fixed: Mapping[str, Value] = {name: value for name, value in point.items() if name not in heeded}
    error = _score(found, winner, "solve", SOLVE_ERROR, question.dies[:1], _NOTHING)
    try:
        done = sensitivities(
            error, heeded, fixed=fixed, samples=samples, seed=question.seed, log=True, diverged=_NOTHING, score=SOLVE_ERROR,
            workers=workers, scheduler=scheduler,
            progress=None if report is None else lambda done, total: report("sensitivity", done, total),
        )  # fmt: skip
    except InputError as problem:
        return {"score": "", "knobs": {}, "note": f"no sensitivity: {problem}"}
    return done.to_dict()


def _score(
    found: Found, winner: DesignRecord, fidelity: str, score: str, dies: tuple[int, ...], otherwise: float = math.nan
) -> PointScore:
    runner = found.ladder.runner
    alone = Runner(runner.levels, runner.digest, _absolute(runner.folder), 1)
    question = found.question
    return PointScore(
        alone, question.card, found.ladder.pricing, winner.reading, fidelity, score, dies, question.seeds[:1], otherwise
    )


def _absolute(folder: Path | None) -> Path | None:
    return None if folder is None else folder.resolve()


def _meets(value: float, limit: Limit) -> bool:
    return math.isfinite(value) and limit(value)


def _numbers(point: DesignPoint) -> list[str]:
    """Knobs of the point that can get worse: counts and word lengths follow from others, and change no reading."""
    kinds = ("number", "whole")
    return [
        name for name in point if KNOBS[name].allowed.kind in kinds and not name.endswith((".count", ".word", ".power"))
    ]


def _has_figure(point: DesignPoint, name: str, card: DeviceCard) -> bool:
    figure = figure_at(point, name, card)
    number = isinstance(figure, int | float) and not isinstance(figure, bool)
    return number and math.isfinite(float(figure or 0.0)) and bool(figure)
