"""The ladder of a generation: price, error of a solve, a short training, the whole training; a design that fails a step stays there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ....circuits.errors import InputError
from ....devicemodel.card import DeviceCard
from ..knobs.design_point import DesignPoint
from ..outcomes.evaluation import Evaluation
from ..trainings import LOSS
from .front import dominates
from .goal import Goal
from .jobs import Job, Runner, evaluations
from .price import Pricing
from .proposals import Proposal
from .records import DesignRecord, mean, mean_scores
from .space import Design, Space

SOLVE_ERROR = "solve error"
WORST_ERROR = 1.0
"""Of a solve, relative: that of no solution at all."""
LEARNED, ENOUGH = 3.0, 3
"""A solve may be so much worse than the worst one of a design that met the target, once so many have."""
SHORT_LOSS = 1.4
"""Training loss at the end of a short training, over exact NGD's with the same batches, from which on a design is given up."""
_ERROR_POWER = 2.0
"""A loss goes as the square of an error."""
DOMINATED = "dominated by a design that meets the target"
OF_PRICE, OF_SOLVE, OF_SHORT = 300.0, 200.0, 100.0
"""Violations of the levels: a design that failed an earlier one is further from the target than any that failed a later one."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Baseline:
    """Exact NGD of the same task. seeds: of the trainings. values: main score of each. short_score, short_loss: of the first seed."""

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    short_score: float
    short_loss: float

    @property
    def exact(self) -> float:
        """Mean score."""
        return mean(self.values)


@dataclass(frozen=True)
class Outcome:
    """Of a design: its record, and how far it is from the target for the search (<= 0: it meets it)."""

    record: DesignRecord
    violation: float


@dataclass(frozen=True)
class Ladder:
    """Evaluates generations of designs.

    Attributes:
        space, card, pricing, runner, target: of the search. baseline: of exact NGD.
        dies, seeds: of whole trainings, each with each; the first of each are those of the lower levels.
        with_area: whether area is a cost. whole: whether all designs are trained in full, as a random search does.
        short_loss: factor of exact NGD's loss; None: `SHORT_LOSS`.
    """

    space: Space
    card: DeviceCard
    pricing: Pricing
    runner: Runner
    target: Goal
    baseline: Baseline
    dies: tuple[int, ...]
    seeds: tuple[int, ...]
    with_area: bool
    whole: bool = False
    short_loss: float | None = None

    def run(
        self, proposals: Sequence[Proposal], known: Sequence[DesignRecord], report: Report | None = None
    ) -> list[Outcome]:
        """What comes of each, in their order. `known`: of the designs before this generation, by which some are stopped early."""
        designs = [self.space.design(one.values, self.card.technology) for one in proposals]
        first = [self._priced(one.index, design) for one, design in zip(proposals, designs, strict=True)]
        found: dict[int, Outcome] = {place: one for place, one in enumerate(first) if one.record.stopped}
        alive = {place: designs[place] for place in range(len(designs)) if place not in found}
        if not self.whole:
            alive = self._solved(alive, proposals, known, found, report)
            alive = self._short(alive, proposals, known, found, report)
        self._full(alive, proposals, found, report)
        return [found[place] for place in range(len(designs))]

    def _priced(self, index: int, design: Design) -> Outcome:
        """Whether it can be built, and be asked for at all."""
        record = DesignRecord(index, design.values, design.reading, "solve")
        try:
            card, host = split(self.card, design)
        except InputError as error:
            return Outcome(dataclasses.replace(record, stopped=str(error)), OF_PRICE)
        cost = self.pricing.step(card, host, design.reading)
        if cost is not None and cost.obstacles:
            steps = self.pricing.steps_of(host)
            area = math.nan if cost.array.area is None else cost.array.area.total
            priced = dataclasses.replace(
                record, seconds=steps * cost.seconds, joules=steps * cost.joules, area=area,
                stopped=f"it cannot be built: {'; '.join(cost.obstacles)}",
            )  # fmt: skip
            return Outcome(priced, OF_PRICE + len(cost.obstacles))
        return Outcome(record, 0.0)

    def _solved(
        self, alive: dict[int, Design], proposals: Sequence[Proposal], known: Sequence[DesignRecord],
        found: dict[int, Outcome], report: Report | None,
    ) -> dict[int, Design]:  # fmt: skip
        jobs = {place: [self._job("solve", design, self.dies[0], self.seeds[0])] for place, design in alive.items()}
        good = [one for one in known if one.is_feasible]
        worst = max((one.scores.get(SOLVE_ERROR, 0.0) for one in good), default=0.0)
        limit = min(WORST_ERROR, LEARNED * worst) if len(good) >= ENOUGH and worst > 0 else WORST_ERROR
        on = {}
        for place, record, (one,) in self._evaluated(jobs, proposals, alive, "solve", found, report):
            error = one.scores[SOLVE_ERROR]
            if not error <= limit:
                text = f"error of a solve {error:.3g}, above {limit:.3g}"
                far = math.log10(error / limit) if math.isfinite(error) else OF_SHORT / 2
                found[place] = Outcome(dataclasses.replace(record, stopped=text), OF_SOLVE + min(far, OF_SHORT / 2))
            elif self._is_dominated(record, good):
                found[place] = Outcome(dataclasses.replace(record, stopped=DOMINATED), 0.0)
            else:
                on[place] = alive[place]
                found[place] = Outcome(record, 0.0)
        return on

    def _is_dominated(self, record: DesignRecord, good: Sequence[DesignRecord]) -> bool:
        """Whether, whatever its score is, another design meets the target at less of everything."""
        return any(dominates(other.costs(self.with_area), record.costs(self.with_area)) for other in good)

    def _short(
        self, alive: dict[int, Design], proposals: Sequence[Proposal], known: Sequence[DesignRecord],
        found: dict[int, Outcome], report: Report | None,
    ) -> dict[int, Design]:  # fmt: skip
        good = [one for one in known if one.is_feasible]
        jobs = {place: [self._job("short", design, self.dies[0], self.seeds[0])] for place, design in alive.items()}
        before = {place: one.record.scores for place, one in found.items()}
        on = {}
        for place, record, (one,) in self._evaluated(jobs, proposals, alive, "short", found, report):
            record = dataclasses.replace(record, scores={**before[place], **record.scores})
            if self._is_dominated(record, good):
                found[place] = Outcome(dataclasses.replace(record, stopped=DOMINATED), 0.0)
                continue
            loss, limit = one.scores[LOSS], self.loss_limit * self.baseline.short_loss
            if loss <= limit or self.target.is_met(one.scores[self.target.score.name], self.baseline.short_score):
                on[place] = alive[place]
                found[place] = Outcome(record, 0.0)
                continue
            far = math.log10(loss / limit) if math.isfinite(loss) and limit > 0 else OF_SHORT / 2
            text = f"training loss {loss:.3g} after the short training, above {limit:.3g}"
            found[place] = Outcome(dataclasses.replace(record, stopped=text), OF_SHORT + min(far, OF_SHORT / 2))
        return on

    def _full(
        self, alive: dict[int, Design], proposals: Sequence[Proposal], found: dict[int, Outcome], report: Report | None
    ) -> None:
        jobs = {
            place: [self._job("full", design, die, seed) for die in self.dies for seed in self.seeds]
            for place, design in alive.items()
        }
        before = {place: found[place].record.scores if place in found else {} for place in alive}
        name = self.target.score.name
        for place, record, ends in self._evaluated(jobs, proposals, alive, "full", found, report):
            runs = tuple(one.scores[name] for one in ends)
            missing = self.target.shortfall(mean(runs), self.baseline.exact)
            done = dataclasses.replace(record, scores={**before[place], **record.scores}, runs=runs, shortfall=missing)
            found[place] = Outcome(done, min(missing, OF_SHORT / 2))

    def _evaluated(
        self, jobs: dict[int, list[Job]], proposals: Sequence[Proposal], alive: dict[int, Design], fidelity: str,
        found: dict[int, Outcome], report: Report | None,
    ) -> list[tuple[int, DesignRecord, list[Evaluation]]]:  # fmt: skip
        """(place, record with scores and costs, evaluations) of the designs that could be evaluated; of the others `found` says why not."""
        flat = [job for several in jobs.values() for job in several]
        results = iter(
            self.runner.run(flat, None if report is None else lambda done, total: report(fidelity, done, total))
        )
        done = []
        for place, several in jobs.items():
            ends = [next(results) for _ in several]
            index, design = proposals[place].index, alive[place]
            record = DesignRecord(index, design.values, design.reading, fidelity)
            spent = math.fsum(one.seconds for one in ends) + (found[place].record.spent if place in found else 0.0)
            record = dataclasses.replace(record, spent=spent)
            bad = next((one.failed for one in ends if one.evaluation is None), "")
            if bad:
                found[place] = Outcome(dataclasses.replace(record, stopped=bad), OF_PRICE)
                continue
            good = evaluations(ends)
            done.append((place, self.costed(record, several[0], good), good))
        return done

    def costed(self, record: DesignRecord, job: Job, found: Sequence[Evaluation]) -> DesignRecord:
        """With means of scores and costs. Where an evaluation states no costs, those of the plan: of a solve the least that a step can
        take, since a design that is dominated at that is not looked at any more."""
        steps = self.pricing.steps_of(job.point)
        seconds, joules = steps * mean([one.seconds for one in found]), steps * mean([one.joules for one in found])
        area = mean([one.area for one in found])
        if not all(map(math.isfinite, (seconds, joules, area))) and job.card is not None:
            cost = self.pricing.step(job.card, job.point, job.reading, rounds=0 if record.fidelity == "solve" else None)
            if cost is not None:
                planned = math.nan if cost.array.area is None else cost.array.area.total
                seconds, joules, area = (
                    one if math.isfinite(one) else other
                    for one, other in zip(
                        (seconds, joules, area), (steps * cost.seconds, steps * cost.joules, planned), strict=True
                    )
                )
        return dataclasses.replace(
            record, scores=mean_scores(found), seconds=seconds, joules=joules, area=area, curve=tuple(found[0].curve)
        )

    def _job(self, fidelity: str, design: Design, die: int, seed: int) -> Job:
        card, host = split(self.card, design)
        return Job(fidelity, card, host, die, seed, design.reading)

    @property
    def loss_limit(self) -> float:
        """Of the loss after a short training, over exact NGD's."""
        if self.short_loss is not None:
            return self.short_loss
        score = self.target.score
        if score.percent or score.more_is_better:
            return SHORT_LOSS
        return float(SHORT_LOSS * max(1.0, self.target.target.factor)) ** _ERROR_POWER


def split(card: DeviceCard, design: Design) -> tuple[DeviceCard, DesignPoint]:
    """The card with the design's figures of the technology, and its knobs of host and optimizer. InputError as `DesignPoint.card_at`."""
    point = design.point
    return point.card_at(card), point.of("host", "optimizer")
