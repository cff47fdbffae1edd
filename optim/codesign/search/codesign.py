"""`codesign`: the cheapest device that is good enough, by a search over its figures, the host's protocol and the optimizer's settings."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ....circuits.errors import InputError
from ....circuits.files import output_folder, write_text
from ....circuits.version import __version__
from ....devicemodel.card import DeviceCard
from ....devicemodel.cost.prices import sources_of
from ...tasks.task import Task
from ..studies import READINGS
from ..yields.die_yield import die_yield
from .confirm import Confirmation, confirmed, design_of, front_of, references, require_measure
from .jobs import Level
from .ladder import Report, split
from .price import unsourced
from .records import DesignRecord
from .result import CARD, FILE, FORMAT, PROTOCOL, TECHNOLOGY, CodesignResult
from .search import GENERATION, Found, Question, make_question, search
from .space import SearchedKnob
from .specification import MARGINS, margins_of, sensitivity_of

TRIALS = 64
"""Designs of a search."""
RIVALS = ("shipped:integrated", "shipped:gf180mcu")
"""Cards that are tried as they are."""


def codesign(
    task: Task | str,
    target: str,
    *,
    card: DeviceCard | str | Path = "shipped:integrated",
    knobs: Mapping[str, Any] | Sequence[SearchedKnob] | None = None,
    fixed: Mapping[str, Any] | None = None,
    readings: Sequence[str] = READINGS,
    dies: Sequence[int] = (1, 2),
    seeds: Sequence[int] = (0,),
    steps: int | None = None,
    batch: int | None = None,
    settings: Mapping[str, Any] | None = None,
    task_settings: Mapping[str, Any] | None = None,
    short: int | None = None,
    trials: int = TRIALS,
    seed: int = 0,
    by: str = "product",
    confirm_dies: int = 5,
    confirm_seeds: Sequence[int] | None = None,
    in_spice: int = 2,
    margins: str = "short",
    sensitivity: int = 16,
    rivals: Sequence[str] = RIVALS,
    out: str | Path | None = None,
    storage: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    generation: int = GENERATION,
    strategy: str = "tpe",
    short_loss: float | None = None,
    levels: Mapping[str, Level] | None = None,
    command: str = "",
    progress: Report | None = None,
) -> CodesignResult:
    """Search for the cheapest device, with its host's protocol, on which a task is trained well enough.

    What is made small is the time, the energy and the area of a whole training by the cost model (area only where the technology states
    one), under the constraint that the mean score over dies and seeds meets the target. A design climbs a ladder: whether it can be built,
    the error of a solve, a short training, and the whole training; it stays where it fails, or where another design that meets the target
    costs less of everything.

    Args:
        task: or its name.
        target: "test_accuracy >= exact_ngd - 0.3" (percentage points below exact NGD with the same seeds and the plan's settings),
            "error <= 1.5 * exact_ngd", or an absolute figure such as 97 %; see `Target.parse`.
        card: the device that is varied, as in `study`.
        knobs: name -> (low, high) or choices; None: those that the cost model has a price for, in ranges around the card's
            (`default_space`).
        fixed: other knobs, the same for all designs. readings: ways to read a die that are searched.
        dies, seeds: of a whole training of a design, each with each.
        steps, batch, settings: of the training; None: the task's plan. task_settings: of a task that is given by its name.
        short: steps of a short training; None: a quarter.
        trials: designs in all, those of other processes on the same database among them. seed: of the search.
        by: what the cheapest of the front is chosen by: "product" of all costs, "joules", "seconds" or "area".
        confirm_dies, confirm_seeds: of the winner's confirmation: further dies; None: the search's seeds and two more.
        in_spice: solves of the winner's own run that are repeated in ngspice; 0: none.
        margins: of the winner's figures, by "short" or "full" trainings, or "none". sensitivity: base of the sample of Sobol's indices, a
            power of two; 0: none.
        rivals: cards that are tried as they are.
        out: folder of the results and of all evaluations; a search that was stopped goes on there. None: nothing is kept.
        storage: URL of a database, such as postgresql+psycopg://user@host/name, on which several processes and machines may search
            together; None: a file in the folder, on which several processes of this machine may.
        workers, scheduler: as `parallel_map` takes them.
        generation: designs that are proposed together. strategy: "tpe", or "random" (each design is trained in full), to compare with.
        short_loss: a design is given up where its loss after the short training is above this times exact NGD's; None: 1.4.
        levels: what evaluates a design, by fidelity; None: of the task.
        command: that is written into the result. progress: called with (stage, done, total).

    Returns:
        The result; in `out` are `codesign.json`, and of a winner `winner.toml` (its technology), `winner-card.json` and `winner.json` (how
        it is programmed, read and trained).

    Raises:
        InputError: a target or knob that is not one of the task or the card; a figure out of range; as `study`; optuna missing; a database
            that cannot be reached.
    """
    begun = time.monotonic()
    question = make_question(
        task, target, card=card, knobs=knobs, fixed=fixed, readings=readings, dies=dies, seeds=seeds, steps=steps, batch=batch,
        settings=settings, short=short, trials=trials, seed=seed, generation=generation, strategy=strategy, short_loss=short_loss,
        task_settings=task_settings,
    )  # fmt: skip
    require_measure(by, question.with_area)
    last = [*seeds, *(max(seeds) + 1 + one for one in range(2))] if confirm_seeds is None else list(confirm_seeds)
    if confirm_dies < 1 or not last:
        raise InputError(f"a confirmation on {confirm_dies} dies with seeds {last}: give one of each at least")
    if margins not in MARGINS:
        raise InputError(f"margins is {margins!r}: give one of {', '.join(MARGINS)}")
    if sensitivity < 0 or sensitivity & (sensitivity - 1) or sensitivity == 1:
        raise InputError(f"sensitivity is {sensitivity}: give a power of two from 2 on, or 0 for none")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if out is None else output_folder(Path(out))
        found = search(question, folder, storage, workers, scheduler, levels, progress)
        winner, tried = confirmed(found, by, confirm_dies, last, in_spice, progress)
        data = _data(found, winner, tried, by) | {
            "margins": [] if winner is None else margins_of(found, winner, margins, workers, scheduler, progress),
            "margins_by": margins,
            "sensitivity": {"score": "", "knobs": {}}
            if winner is None
            else sensitivity_of(found, winner, sensitivity, workers, scheduler, progress),
            "references": references(found, rivals, progress),
            "command": command,
            "hours": (time.monotonic() - begun) / 3600,
        }
    result = CodesignResult(data)
    if out is not None:
        result.write(Path(out) / FILE)
        if winner is not None:
            _write_winner(Path(out), question, winner)
    return result


def _data(found: Found, winner: DesignRecord | None, tried: Sequence[Confirmation], by: str) -> dict[str, Any]:
    question, ladder = found.question, found.ladder
    score, baseline = question.target.score, ladder.baseline
    front = {one.index for one in front_of(found)}
    failed = {one.number for one in tried if not one.holds}
    searched = sum(one.spent for one in found.records)
    notes = [
        "seconds and joules are of a whole training by the cost model: steps x mean of a step",
        f"exact NGD: {score.text(baseline.exact)} with seeds {', '.join(map(str, baseline.seeds))}; the target is "
        f"{score.text(question.target.limit(baseline.exact))}",
        *question.space.notes(),
        *(
            f"design {one.number} met the target in the search, and missed it on further dies and seeds"
            for one in tried
            if not one.holds
        ),
        *(f"design {one.number}: {one.note}" for one in tried if one.note),
    ]
    if not found.feasible:
        notes.append("no design met the target: search wider ranges, more designs, or ask for less")
    return {
        "format": FORMAT,
        "task": question.training.name,
        "target": question.target.text,
        "limit": question.target.limit(baseline.exact),
        "score": {"name": score.name, "percent": score.percent, "more_is_better": score.more_is_better},
        "baseline": {"exact_ngd": baseline.exact, "seeds": list(baseline.seeds), "values": list(baseline.values)},
        "knobs": [one.to_dict() for one in question.space.ranges],
        "fixed": dict(question.space.fixed),
        "steps": question.training.steps,
        "batch": question.training.batch,
        "host": dataclasses.asdict(ladder.pricing.host),
        "card": question.card.technology.name,
        "designs": [_design(found, one, one.index in front, one.index in failed) for one in found.records],
        "winner": None if winner is None else winner.index,
        "by": by,
        "confirmation": tried[-1].to_dict() if tried else None,
        "history": [{"seconds_of_search": spent, "hypervolume": volume} for spent, volume in found.history],
        "evaluations_seconds": searched,
        "seeds": list(question.seeds),
        "dies": list(question.dies),
        "seed": question.seed,
        "version": __version__,
        "notes": notes,
    }


def _design(found: Found, record: DesignRecord, front: bool, failed: bool) -> dict[str, Any]:
    question, pricing = found.question, found.ladder.pricing
    parts: dict[str, Any] = {}
    chosen: list[str] = []
    if record.fidelity == "full" and not record.stopped:
        card, host = split(question.card, design_of(record))
        parts = pricing.parts(card, host, record.reading, record.seconds, record.joules)
        chosen = unsourced(card)
    return {
        "number": record.index,
        "point": dict(record.values),
        "reading": record.reading,
        "fidelity": record.fidelity,
        "scores": dict(record.scores),
        "runs": list(record.runs),
        "seconds": record.seconds,
        "joules": record.joules,
        "area": record.area,
        "feasible": record.is_feasible and not failed,
        "front": front and not failed,
        "stopped": record.stopped,
        "curve": [list(one) for one in record.curve],
        "yield": _yield(found, record),
        "parts": parts,
        "unsourced": chosen,
    }


def _yield(found: Found, record: DesignRecord) -> dict[str, Any] | None:
    """Of the search's dies, each with all seeds."""
    if not record.runs:
        return None
    question = found.question
    each = len(question.seeds)
    rows = [record.runs[place : place + each] for place in range(0, len(record.runs), each)]
    exact = found.ladder.baseline.exact
    return die_yield(rows, lambda score: question.target.is_met(score, exact)).to_dict()


def _write_winner(folder: Path, question: Question, winner: DesignRecord) -> None:
    """The winner as files that other commands take."""
    card, host = split(question.card, design_of(winner))
    name = f"{question.card.technology.name} for {question.training.name}"
    made = f"design {winner.index} of a search from {question.card.technology.name} for {question.target.text}"
    sources = sources_of(card.technology)  # which go by the name of a preset
    technology = card.technology.replace(name=name, source=f"{made}; {card.technology.source}", prices=sources)
    technology.write(folder / TECHNOLOGY)
    card.replace(technology=technology).write(folder / CARD)
    protocol = {
        "reading": winner.reading,
        "knobs": dict(host),
        "steps": question.training.steps,
        "batch": question.training.batch,
    }
    write_text(folder / PROTOCOL, json.dumps(protocol, indent=1))
