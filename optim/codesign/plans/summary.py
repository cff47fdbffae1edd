"""What a study's table says in short: means and spreads of each design point, and their differences to exact NGD."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....circuits.version import __version__
from ..study_result import Study, StudyRun, StudyScore
from .runs import EXACT, Prepared, Run
from .table import main_score

Results = Mapping[str, Mapping[str, Any]]
"""Of the finished runs by key, as `SentLevel.evaluate` returns them."""


def summarise(prepared: Prepared, results: Results) -> dict[str, Any]:
    """The summary as plain data.

    Returns:
        plan, version, sources (digests of thermograd's files), technology, card, runs, finished, processor_hours (spent on the finished
        runs, wherever and whenever they ran), knobs (those that vary), score; baseline (exact NGD: seeds, values, mean); points: for each
        design point and reading its knobs, number of runs and of diverged ones, and of those that did not diverge mean, std_dies (between
        dies of one seed), std_seeds, difference (to exact NGD with the same seed), and the means of seconds, joules and area; spice: solves
        repeated in ngspice, and their rms difference.
    """
    score = main_score(prepared)
    done = [run for run in prepared.runs if run.key in results]
    exact = {run.seed: _score(results, run, score["name"]) for run in done if run.device == EXACT}
    groups: dict[Any, list[Run]] = {}
    for run in done:
        if run.device != EXACT:
            groups.setdefault((*run.point.items(), run.reading), []).append(run)
    return {
        "format": 1,
        "plan": prepared.plan.model_dump(mode="json"),
        "version": __version__,
        "sources": sorted({results[run.key]["source"] for run in done}),
        "technology": prepared.technology,
        "card": prepared.card,
        "runs": len(prepared.runs),
        "finished": len(done),
        "processor_hours": sum(results[run.key]["elapsed"] for run in done) / 3600,
        "knobs": [
            {"name": one.target, "title": one.title, "unit": one.unit, "log": one.log, "choices": list(one.choices)}
            for one in prepared.plan.varied
        ],
        "score": score,
        "baseline": {"seeds": list(exact), "values": list(exact.values()), "mean": _mean(exact.values())},
        "points": [_point(group, results, score["name"], exact) for group in groups.values()],
        "spice": _spice(done, results),
    }


def as_study(prepared: Prepared, results: Results) -> Study | None:
    """The study of the one knob that a plan varies, for its picture; None if it varies several, or none, or is not finished."""
    plan = prepared.plan
    if len(plan.varied) != 1 or any(run.key not in results for run in prepared.runs):
        return None
    knob, main = plan.varied[0], main_score(prepared)
    score = StudyScore(main["name"], main["percent"], main["more_is_better"])
    dies = [run for run in prepared.runs if run.device != EXACT]
    if any(run.point[knob.target] is None for run in dies):
        return None
    card = plan.read_card() if knob.shown_as else None
    runs = []
    for run in dies:
        value = run.point[knob.target]
        level: float | str = knob.word(value) if knob.choices else float(value)  # type: ignore[arg-type]
        shown_on = card if card is None else _at(run, card)
        shown = knob.shown(shown_on, level)  # type: ignore[arg-type]
        runs.append(_study_run(run, level, shown, results, score.name))
    levels = tuple(dict.fromkeys(sorted(run.level for run in runs) if not knob.choices else (r.level for r in runs)))
    exact = [run for run in prepared.runs if run.device == EXACT]
    # An exact solve is off by rounding, far below any axis of dies.
    ideal = tuple(
        {score.name: math.nan if plan.level == "solve" else _score(results, run, score.name)} for run in exact
    )
    ways = tuple(dict.fromkeys(run.reading for run in runs))
    steps = plan.steps if isinstance(plan.steps, int) else None
    name = plan.task
    return Study(
        name,
        knob.name,
        levels,
        ways,
        (score,),
        plan.dies,
        plan.seeds,
        ideal,
        steps,
        plan.batch,
        tuple(runs),
        plan.fixed,
    )


def _at(run: Run, card: Any) -> Any:
    from ..knobs.design_point import DesignPoint

    return DesignPoint(run.point).card_at(card)


def _study_run(run: Run, level: float | str, shown: float, results: Results, name: str) -> StudyRun:
    found = results[run.key]["evaluation"]
    assert run.die is not None
    value = {name: _score(results, run, name)}
    return StudyRun(run.reading, level, shown, run.die, run.seed, value, found["outcomes"], found["gradient"])


def _score(results: Results, run: Run, name: str) -> float:
    return float(results[run.key]["evaluation"]["scores"].get(name, math.nan))


def _point(runs: Sequence[Run], results: Results, name: str, exact: Mapping[int, float]) -> dict[str, Any]:
    scores = np.array([_score(results, run, name) for run in runs])
    good = np.isfinite(scores)
    differences = [score - exact[run.seed] for run, score in zip(runs, scores, strict=True) if run.seed in exact]
    found = [results[run.key]["evaluation"] for run in runs]
    return {
        "point": dict(runs[0].point),
        "reading": runs[0].reading,
        "runs": len(runs),
        "diverged": int((~good).sum()),
        "mean": _mean(scores),
        "std_dies": _spread(scores, [run.seed for run in runs]),
        "std_seeds": _spread(scores, [run.die for run in runs]),
        "difference": _mean(differences),
        **{figure: _mean([one[figure] for one in found]) for figure in ("seconds", "joules", "area")},
    }


def _spice(runs: Sequence[Run], results: Results) -> dict[str, Any]:
    found = [results[run.key]["evaluation"]["spice"] for run in runs]
    solves = [one["solves"] for one in found if one]
    squares = [one["solves"] * one["difference"] ** 2 for one in found if one]
    total = int(sum(solves))
    return {"solves": total, "difference": math.sqrt(sum(squares) / total) if total else math.nan}


def _mean(values: Any) -> float:
    """Of those that are finite; nan without any."""
    finite = [float(value) for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def _spread(scores: Any, alike: Sequence[object]) -> float:
    """Standard deviation within groups of runs that are alike in something, root mean square by degrees of freedom."""
    freedom, squares = 0, 0.0
    for key in dict.fromkeys(alike):
        group = [score for score, one in zip(scores, alike, strict=True) if one == key and math.isfinite(score)]
        if group:
            freedom += len(group) - 1
            squares += float(np.var(group)) * len(group)
    return math.sqrt(squares / freedom) if freedom else math.nan
