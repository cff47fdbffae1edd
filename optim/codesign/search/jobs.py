"""Evaluations of designs at the levels of a search, on any number of workers; each is kept as it comes."""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ....circuits.errors import InputError
from ....circuits.job_store import JobStore, job_key
from ....circuits.version import __version__
from ....devicemodel.card import DeviceCard
from ...training.threads import one_thread
from ..knobs.design_point import DesignPoint
from ..outcomes.evaluation import Evaluation

FIDELITIES = ("solve", "short", "full")
"""Levels of a search, the cheapest first."""


_ONE_RUN = threading.Lock()
"""A worker may have several threads, and torch has one generator, which a training seeds."""


class Level(Protocol):
    """What evaluates a design point."""

    def evaluate(
        self,
        card: DeviceCard | None,
        point: DesignPoint,
        die: int | None,
        seed: int,
        reading: str,
        *,
        in_spice: int = 0,
    ) -> Evaluation:
        """Of one die with one seed; no card is the ideal device."""
        ...


@dataclass(frozen=True)
class Job:
    """One evaluation.

    Attributes:
        fidelity: of `FIDELITIES`. card: with the design's figures in it; None: the ideal device.
        point: knobs of host and optimizer. die, seed, reading: of the evaluation. in_spice: solves that are repeated in ngspice.
    """

    fidelity: str
    card: DeviceCard | None
    point: DesignPoint
    die: int | None
    seed: int
    reading: str
    in_spice: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, that a result depends on."""
        return {
            "fidelity": self.fidelity,
            "card": None if self.card is None else self.card.model_dump_json(),
            "point": dict(self.point),
            "die": self.die,
            "seed": self.seed,
            "reading": self.reading,
            "in_spice": self.in_spice,
        }


@dataclass(frozen=True)
class Done:
    """What came of a job: its evaluation, or why there is none, and the processor time that it took, s."""

    evaluation: Evaluation | None
    failed: str
    seconds: float


@dataclass(frozen=True)
class Runner:
    """Evaluates jobs.

    Args:
        levels: of a fidelity the level; sent to the workers. digest: of what the results depend on beside the job.
        folder: where results are kept; None: nowhere. workers, scheduler: as `parallel_map` takes them.
    """

    levels: Callable[[str], Level]
    digest: str
    folder: Path | None = None
    workers: int | None = None
    scheduler: str | None = None

    def run(self, jobs: Sequence[Job], progress: Callable[[int, int], None] | None = None) -> list[Done]:
        """What came of each, in the order of the jobs."""
        plain = [job.to_dict() for job in jobs]
        keys = [job_key(__version__, self.digest, one) for one in plain]
        store: JobStore[dict[str, Any]] = JobStore(self.folder)
        work = dict(zip(keys, plain, strict=True))
        compute = functools.partial(_evaluate, self.levels)
        found = dict(store.map(compute, work, self.workers, self.scheduler, progress=progress))
        return [_of(found[key]) for key in keys]


def _evaluate(levels: Callable[[str], Level], job: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker does."""
    card = None if job["card"] is None else DeviceCard(**json.loads(job["card"]))
    begun = time.process_time()
    try:
        with _ONE_RUN, one_thread():
            found = levels(job["fidelity"]).evaluate(
                card, DesignPoint(job["point"]), job["die"], job["seed"], job["reading"], in_spice=job["in_spice"]
            )
        result: dict[str, Any] = {"evaluation": found.to_dict()}
    except InputError as error:
        result = {"failed": str(error)}
    return result | {"seconds": time.process_time() - begun}


def _of(result: Mapping[str, Any]) -> Done:
    if "failed" in result:
        return Done(None, result["failed"], result["seconds"])
    return Done(Evaluation.of_dict(result["evaluation"]), "", result["seconds"])


def evaluations(found: Sequence[Done]) -> list[Evaluation]:
    """Of all jobs. InputError for the first that has none."""
    for one in found:
        if one.evaluation is None:
            raise InputError(one.failed)
    return [one.evaluation for one in found if one.evaluation is not None]
