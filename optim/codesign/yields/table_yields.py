"""The yield at each level of a study's table against a target, and what it says in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ....circuits.errors import InputError
from ..knobs.knob import SHARE, Knob, Value
from ..knobs.registry import knob_named
from ..plans.runs import EXACT
from ..plans.table import column_of
from ..study_result import StudyScore
from .die_yield import Yield, die_scores, die_yield
from .target import Target

if TYPE_CHECKING:
    import pandas

_TRAINING_LOSS = "training loss"


@dataclass(frozen=True)
class LevelYield:
    """The dies of one design point, read in one way.

    Attributes:
        point: the knobs that the table varies.
        reading: "refined" or "bare".
        scores: of each die, the mean over its seeds; nan where a training diverged.
        limit: that the target sets them.
        found: the yield.
    """

    point: Mapping[str, Value]
    reading: str
    scores: tuple[float, ...]
    limit: float
    found: Yield

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        about = {"point": dict(self.point), "reading": self.reading, "scores": list(self.scores), "limit": self.limit}
        return {**about, **self.found.to_dict()}


def scores_of(main: Mapping[str, Any], training: bool) -> list[StudyScore]:
    """The scores that a study can be judged by: its main one, as `main_score` has it, and the loss of trainings."""
    first = StudyScore(main["name"], main["percent"], main["more_is_better"])
    return [first, StudyScore(_TRAINING_LOSS, more_is_better=False)] if training else [first]


def read_target(table: pandas.DataFrame, text: str) -> Target:
    """The target that a text stands for, of the scores of a study's table. InputError as `Target.parse`."""
    return Target.parse(text, scores_of(table.attrs["score"], column_of(_TRAINING_LOSS) in table.columns))


def table_yields(table: pandas.DataFrame, target: Target | str, *, confidence: float = 0.95) -> list[LevelYield]:
    """The yield at each design point of a study's table, and of each reading, in the table's order.

    A die is judged by the mean of its seeds, against exact natural gradient with the same seeds.

    Args:
        table: as `read_table` returns it.
        target: or its text.
        confidence: of the interval.

    Raises:
        InputError: as `Target.parse`; a table without finished dies, or in which some dies have fewer seeds than others; no exact NGD for
            a relative target.
    """
    goal = read_target(table, target) if isinstance(target, str) else target
    column, knobs = column_of(goal.score), list(table.attrs["knobs"])
    if column not in table.columns:
        raise InputError(f"the table has no score {goal.score!r}")
    exact = table[table["device"] == EXACT]
    dies = table[table["device"] != EXACT]
    if dies.empty:
        raise InputError("the table has no finished run on a die yet: let the study run on")
    baseline = dict(zip(exact["seed"].astype(int), exact[column].astype(float), strict=True))
    levels: dict[tuple[Any, ...], dict[int, dict[int, float]]] = {}
    for *values, reading, die, seed, score in dies[[*knobs, "reading", "die", "seed", column]].itertuples(index=False):
        by_die = levels.setdefault((*map(_plain, values), _plain(reading) or ""), {})
        by_die.setdefault(int(die), {})[int(seed)] = math.nan if _plain(score) is None else float(score)
    return [
        _level(dict(zip(knobs, key[:-1], strict=True)), key[-1], by_die, goal, baseline, confidence)
        for key, by_die in levels.items()
    ]


def _level(
    point: dict[str, Value],
    reading: str,
    by_die: Mapping[int, Mapping[int, float]],
    goal: Target,
    baseline: Mapping[int, float],
    confidence: float,
) -> LevelYield:
    seeds = sorted({seed for found in by_die.values() for seed in found})
    if short := [die for die, found in by_die.items() if len(found) < len(seeds)]:
        raise InputError(
            f"die {short[0]} at {point} has not all of the seeds {seeds} yet: let the study run to its end first"
        )
    exact = math.nan
    if goal.is_relative:
        if missing := [seed for seed in seeds if seed not in baseline]:
            raise InputError(f"the table has no exact NGD of seed {missing[0]}: let the study run to its end first")
        exact = float(np.mean([baseline[seed] for seed in seeds]))
    limit = goal.limit(exact)
    scores = die_scores(np.array([[found[seed] for seed in seeds] for found in by_die.values()]))
    return LevelYield(point, reading, tuple(scores), limit.value, die_yield(scores, limit, confidence))


def answer(levels: Sequence[LevelYield], target: Target, wanted: float = 1.0, confidence: float = 0.95) -> str:
    """What the levels of one knob, read in one way, say in one sentence: from which one on enough dies meet the target.

    Args:
        levels: of one knob and one reading.
        target: of the yields.
        wanted: fraction of the dies that is enough.
        confidence: of the yields' intervals.

    Raises:
        InputError: several knobs or readings, or no level.
    """
    names = {name for one in levels for name in one.point}
    readings = {one.reading for one in levels}
    if len(names) != 1 or len(readings) != 1:
        raise InputError(
            f"an answer is of one knob and one reading; these levels have {len(names)} and {len(readings)}"
        )
    knob = knob_named(names.pop())
    order = list(levels) if knob.choices else sorted(levels, key=lambda one: _number(one.point[knob.target]))
    good = [one.found.fraction >= wanted for one in order]
    text = [_shown(knob, one.point[knob.target]) for one in order]
    met = [one for one, fine in zip(order, good, strict=True) if fine]
    head = f"{knob.title}{f', {order[0].reading} readings' if order[0].reading else ''}: {target}"
    if not met:
        best = max(order, key=lambda one: one.found.fraction)
        return f"{head} at no level from {text[0]} to {text[-1]}: {_count(best)} at most, at {text[order.index(best)]}."
    least = min(met, key=lambda one: one.found.low)
    sure = (
        f"{_count(least)}, so at least {100 * least.found.low:.0f} % of all dies ({100 * confidence:.0f} % confidence)"
    )
    beyond = [
        k for k in range(len(order)) if not good[k] and (good[k - 1 : k] == [True] or good[k + 1 : k + 2] == [True])
    ]
    tail = "".join(f"; at {text[k]} {_count(order[k])}" for k in beyond)
    first, last = good.index(True), len(good) - 1 - good[::-1].index(True)
    whole = all(good[first : last + 1])
    if knob.choices or not whole:
        where = f"with {', '.join(word for word, fine in zip(text, good, strict=True) if fine)}"
        where += "" if knob.choices else ", which are not next to each other"
    elif all(good):
        where = f"at every level from {text[0]} to {text[-1]}"
    elif last == len(good) - 1:
        where = f"from {text[first]} on"
    else:
        where = f"up to {text[last]}" if first == 0 else f"from {text[first]} to {text[last]}"
    return f"{head} {where}: {sure}{tail}."


def _plain(value: Any) -> Any:
    """None for null, which pandas has many names for, and Python's own numbers."""
    if value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _number(value: Value) -> float:
    """None, an ideal part, is the last."""
    return math.inf if value is None else float(value)


def shown(name: str, value: Value) -> str:
    """A knob's value for people, with its unit: "6 bit", "1 %", "off"."""
    return _shown(knob_named(name), value)


def _shown(knob: Knob, value: Value) -> str:
    if value is None or isinstance(value, bool | str):
        return {None: "none", True: "on", False: "off"}.get(value, str(value))  # type: ignore[arg-type]
    if knob.unit == SHARE:
        return f"{100 * value:.4g} %"
    return f"{value:.4g}{f' {knob.unit}' if knob.unit else ''}"


def _count(one: LevelYield) -> str:
    return f"{one.found.met} of {one.found.dies} dies"
