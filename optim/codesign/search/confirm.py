"""What is asked of the designs that a search leaves: the winner on more dies and seeds and in ngspice, and its rivals as they are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ....circuits.errors import InputError, SimulationError
from ....devicemodel.card import DeviceCard
from ....devicemodel.cost.digital_step import by_conjugate_gradients, by_gram
from ...training.train import train
from ..knobs.design_point import DesignPoint
from .front import on_front
from .jobs import Job, evaluations
from .ladder import Report, split
from .price import unsourced
from .records import DesignRecord, mean
from .search import Found, as_it_is
from .space import Design

MEASURES = ("product", "joules", "seconds", "area")
"""By what the cheapest design is chosen."""
FIRST_DIE = 101
"""Of a confirmation, where the search did not have it."""
_CANDIDATES = 3
_STEPS_OF_CG = 20


@dataclass(frozen=True)
class Confirmation:
    """A design on dies and seeds that the search had not.

    Attributes:
        number: index of the design. dies, seeds: each die is trained with each seed. scores: of the runs, dies first.
        exact: exact NGD's with the same seeds. shortfall: of the means. met: dies whose mean over the seeds meets the target.
        spice: solves that were repeated in ngspice: "solves", "difference" (relative, rms) and its standard error "std"; empty: none.
        note: why there are none, where some were asked for.
    """

    number: int
    dies: tuple[int, ...]
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    exact: tuple[float, ...]
    shortfall: float
    met: int
    spice: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the target is met."""
        return self.shortfall <= 0

    @property
    def std(self) -> float:
        """Standard deviation of the runs; nan of one."""
        middle = mean(self.scores)
        return (
            math.sqrt(math.fsum((one - middle) ** 2 for one in self.scores) / (len(self.scores) - 1))
            if len(self.scores) > 1
            else math.nan
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        own = {
            "dies": list(self.dies),
            "seeds": list(self.seeds),
            "scores": list(self.scores),
            "mean": mean(self.scores),
            "std": self.std,
        }
        return own | {"exact_ngd": list(self.exact), "spice": self.spice, "note": self.note, "holds": self.holds}


def front_of(found: Found) -> list[DesignRecord]:
    """Designs that meet the target and that no other one of these dominates, by the product of costs; of equal ones the first."""
    good, area = found.feasible, found.question.with_area
    kept = [one for one, front in zip(good, on_front([one.costs(area) for one in good]), strict=True) if front]
    return sorted(
        {one.costs(area): one for one in reversed(kept)}.values(), key=lambda one: ranked(one, "product", area)
    )


def ranked(record: DesignRecord, by: str, with_area: bool) -> tuple[float, int]:
    """By what candidates are sorted. InputError for an unknown measure, or area where none is stated."""
    require_measure(by, with_area)
    cost = math.prod(record.costs(with_area)) if by == "product" else getattr(record, by)
    return cost, record.index


def require_measure(by: str, with_area: bool) -> None:
    """InputError for an unknown measure, or area where none is stated."""
    if by not in MEASURES or (by == "area" and not with_area):
        known = [one for one in MEASURES if with_area or one != "area"]
        raise InputError(f"by is {by!r}: give one of {', '.join(known)}")


def confirmed(
    found: Found, by: str, dies: int, seeds: Sequence[int], in_spice: int, report: Report | None = None
) -> tuple[DesignRecord | None, list[Confirmation]]:
    """The cheapest design that holds on further dies and seeds, and all that was tried; None: none of the cheapest holds.

    Args:
        by: of `MEASURES`. dies: how many, none of them the search's. seeds: of the trainings, at least one.
        in_spice: solves of its own trainings that are repeated in ngspice.
    """
    question, tried = found.question, []
    places: list[int] = []
    die = FIRST_DIE
    while len(places) < dies:
        places += [die] * (die not in question.dies)
        die += 1
    chosen = sorted(front_of(found), key=lambda one: ranked(one, by, question.with_area))[:_CANDIDATES]
    for record in chosen:
        one = _confirm(found, record, tuple(places), tuple(seeds), report)
        if one.holds:
            tried.append(_in_spice(found, record, one, in_spice, report) if in_spice else one)
            return record, tried
        tried.append(one)
    return None, tried


def design_of(record: DesignRecord) -> Design:
    """As it was evaluated."""
    return Design(record.values, record.reading)


def _confirm(
    found: Found, record: DesignRecord, dies: tuple[int, ...], seeds: tuple[int, ...], report: Report | None
) -> Confirmation:
    question, main = found.question, found.question.target.score.name
    card, host = split(question.card, design_of(record))
    jobs = [Job("full", None, DesignPoint(), None, seed, "bare") for seed in seeds]
    jobs += [Job("full", card, host, die, seed, record.reading) for die in dies for seed in seeds]
    ends = evaluations(
        found.ladder.runner.run(
            jobs, None if report is None else lambda done, total: report("confirmation", done, total)
        )
    )
    values = [one.scores[main] for one in ends]
    exact, scores = values[: len(seeds)], values[len(seeds) :]
    each = [scores[place * len(seeds) : (place + 1) * len(seeds)] for place in range(len(dies))]
    met = sum(question.target.is_met(mean(one), mean(exact)) for one in each)
    missing = question.target.shortfall(mean(scores), mean(exact))
    return Confirmation(record.index, dies, seeds, tuple(scores), tuple(exact), missing, met)


def _in_spice(
    found: Found, record: DesignRecord, one: Confirmation, solves: int, report: Report | None
) -> Confirmation:
    """Solves of the design's own systems, on the first die of the confirmation."""
    card, host = split(found.question.card, design_of(record))
    job = Job("solve", card, host, one.dies[0], one.seeds[0], record.reading, solves)
    try:
        (done,) = found.ladder.runner.run(
            [job], None if report is None else lambda done, total: report("ngspice", done, total)
        )
    except SimulationError as error:
        return dataclasses.replace(one, note=f"not checked in ngspice: {error}")
    if done.evaluation is None:
        return dataclasses.replace(one, note=f"not checked in ngspice: {done.failed}")
    return dataclasses.replace(one, spice=dict(done.evaluation.spice))


def references(found: Found, cards: Sequence[str], report: Report | None = None) -> list[dict[str, Any]]:
    """What the winner is held against: exact NGD without a die, and cards as they are. Costs are of a whole training.

    Args:
        cards: of the technologies that are tried as they are, `shipped:NAME`.
    """
    question = found.question
    own = question.card.technology.name
    rows = [*_without_a_die(found), _as_row(found, f"{own} as it is", question.card, found.base)]
    for name in cards:
        card = DeviceCard.read(name)
        title = f"{card.technology.name} as it is"
        if card.technology.name == own:
            continue
        try:
            rows.append(_as_row(found, title, card, as_it_is(question, found.ladder, card, report)))
        except InputError as error:
            none = dict.fromkeys(("seconds", "joules", "area", "score"), math.nan)
            rows.append({"name": title, **none, "parts": {}, "note": str(error)})
    return rows


def _without_a_die(found: Found) -> list[dict[str, Any]]:
    """Exact NGD on the host alone. Conjugate gradients take as many products as a few steps of such a training need."""
    question, exact = found.question, found.ladder.baseline.exact
    training, rows = question.training, []
    for title, optimizer in (("Cholesky", "ngd"), ("CG", "ngd-cg")):
        damping = found.ladder.pricing.settings["damping"]
        history = train(
            question.task, optimizer, min(question.short, _STEPS_OF_CG), training.batch, question.seeds[0], evaluate_every=0,
            settings={"damping": damping},
        )  # fmt: skip
        seconds, joules = (training.steps * mean(one) for one in (history.hardware_seconds, history.hardware_joules))
        share = _derivatives(found, optimizer, mean(history.hardware_seconds))
        shares = {"derivatives": share, "digital solve": 1 - share}
        parts = {name: {"seconds": own * seconds, "joules": own * joules} for name, own in shares.items()}
        rows.append(
            {
                "name": f"exact NGD on the host, {title}",
                "seconds": seconds,
                "joules": joules,
                "area": 0.0,
                "score": exact,
                "parts": parts,
            }
        )
    return rows


def _derivatives(found: Found, optimizer: str, seconds: float) -> float:
    """Share of a step on the host that the derivatives take, in time as in energy: its power is the same in all that it does."""
    network, host = found.ladder.pricing.network, found.ladder.pricing.host
    if optimizer == "ngd":  # as many rows as outputs, or one fewer a sample where they are the logits of shares
        rows = (network.samples * outputs for outputs in (network.outputs, network.outputs - 1))
        works = [by_gram(network.work(count)) for count in rows]
        work = min(works, key=lambda one: abs(sum(one) / host.rate - seconds))
    else:
        work = by_conjugate_gradients(network.work(1), 1)
    return min(1.0, work.derivatives / host.rate / seconds)


def _as_row(found: Found, name: str, card: DeviceCard, record: DesignRecord) -> dict[str, Any]:
    pricing = found.ladder.pricing
    cost = pricing.step(card, DesignPoint(), record.reading)
    parts = pricing.parts(card, DesignPoint(), record.reading, record.seconds, record.joules)
    return {
        "name": name, "seconds": record.seconds, "joules": record.joules, "area": record.area,
        "score": mean(record.runs), "parts": parts, "unsourced": unsourced(card),
        "note": "" if cost is None or not cost.obstacles else f"not buildable at this size: {'; '.join(cost.obstacles)}",
    }  # fmt: skip
