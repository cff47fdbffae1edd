"""`run_plan`: a study from its plan to its table, which grows as runs finish and goes on where it was stopped."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....circuits.errors import InputError, SimulationError, WorkerDied
from ....circuits.files import output_folder, write_text
from ....circuits.job_store import JobStore
from ....circuits.parallel import parallel_map, worker_count
from ....devicemodel.card import DeviceCard
from ...tasks.task import Task
from .plan import StudyPlan, read_plan
from .runs import Prepared, Run, prepare, require_simulator
from .sent import SentLevel
from .summary import Results, summarise
from .table import arrow_table, as_frame, curves_table, require_pandas, write_table

if TYPE_CHECKING:
    import pandas

FAILURES = 5
"""Runs that may fail before no more are begun."""
INTERVAL, SHARE = 20.0, 0.05
"""Seconds between two states of the table on disk, at least, and the largest share of the time that writing it may take."""
STALE = 600.0
"""Seconds after which a file that is not whole counts as left behind by a kill."""


def run_plan(
    plan: StudyPlan | str | Path,
    out: str | Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    task: Task | None = None,
    card: DeviceCard | None = None,
) -> pandas.DataFrame:
    """Evaluate every design point of a plan, on each die with each seed and reading, and exact NGD with each seed.

    A result depends on its run alone, and is the same on any number of workers. With a folder each is kept at once, in `runs/KEY.json`.
    The key says everything that it depends on: version, code and data of the task, level, card, design point, die, seed, reading. The same
    call after a kill, or after points, dies or seeds were added, computes what is missing. `table.parquet` has the finished runs
    (`table.arrow_table`), `curves.parquet` their training curves, and `summary.json` means and spreads.

    Args:
        plan: the plan, or its file.
        out: folder; None: nothing is kept.
        workers: processes of this machine; None: one per usable core. Not with a scheduler.
        scheduler: address of a dask.distributed scheduler; None: this machine.
        progress: called with (runs done, runs in all).
        task, card: in place of those that the plan names.

    Returns:
        The table, as `read_table` reads it.

    Raises:
        InputError: as `read_plan`, `prepare` and `parallel_map`; runs that failed, of which at most `FAILURES` are tried; pandas or
            pyarrow is missing.
        SimulatorMissing: solves are to be checked in ngspice, which is not there.
        SimulationError: no scheduler answers, ngspice failed, or a worker was killed.
    """
    require_pandas()
    chosen = plan if isinstance(plan, StudyPlan) else read_plan(plan)
    prepared = prepare(chosen, task, card)
    if scheduler is None:
        require_simulator(prepared.runs)
    folder = None if out is None else output_folder(Path(out))
    results = evaluate(prepared, folder, workers, scheduler, progress)
    return as_frame(arrow_table(prepared, results))


def evaluate(
    prepared: Prepared,
    folder: Path | None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The results of all runs by key; see `run_plan`."""
    runs = {run.key: run for run in prepared.runs}
    store: JobStore[dict[str, Any]] = JobStore(None if folder is None else folder / "runs")
    _clear(store.folder)
    jobs = {key: run.plain() for key, run in runs.items()}
    results: dict[str, Any] = {}
    failures: list[tuple[Run, Exception]] = []
    if progress is not None:
        progress(0, len(jobs))
    stream = _Stream(prepared, folder)

    def compute(missing: Any) -> Any:
        return _outcomes(prepared, missing, workers, scheduler)

    worker_count(workers, scheduler)
    with contextlib.closing(store.resume(jobs, compute, progress)) as found:
        for key, result in found:
            if isinstance(result, Exception):
                failures.append((runs[key], result))
                if len(failures) >= FAILURES:
                    break
                continue
            results[key] = result
            stream.update(results)
    stream.write(results)
    if failures:
        raise _failed(failures, len(results), len(runs))
    return results


class _Stream:
    """The table on disk, brought up to date now and then."""

    def __init__(self, prepared: Prepared, folder: Path | None) -> None:
        self._prepared, self._folder = prepared, folder
        self._next = time.monotonic() + INTERVAL

    def update(self, results: Results) -> None:
        """Write if it is time."""
        if time.monotonic() >= self._next:
            self.write(results)

    def write(self, results: Results) -> None:
        """Write table, curves and summary."""
        if self._folder is None:
            return
        started = time.monotonic()
        write_table(self._folder / "table.parquet", arrow_table(self._prepared, results))
        write_table(self._folder / "curves.parquet", curves_table(self._prepared, results))
        write_text(self._folder / "summary.json", _json(summarise(self._prepared, results)))
        ended = time.monotonic()
        self._next = ended + max(INTERVAL, (ended - started) / SHARE)


def _outcomes(
    prepared: Prepared, jobs: Sequence[dict[str, Any]], workers: int | None, scheduler: str | None
) -> Generator[tuple[int, Any], None, None]:
    """(index, result or exception) of every job. After a worker of this machine was killed the others are begun anew, unless it is again
    before anything was finished."""
    left = dict(enumerate(jobs))
    while left:
        count = len(left)
        numbered = functools.partial(_evaluate, prepared.sent)
        try:
            with contextlib.closing(
                parallel_map(numbered, list(left.items()), workers, scheduler, ordered=False)
            ) as found:
                for index, result in found:
                    del left[index]
                    yield index, _raised(result) if "error" in result else result
        except WorkerDied:
            if len(left) == count:
                raise


def _evaluate(sent: SentLevel, numbered: tuple[int, dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    index, run = numbered
    return index, sent.evaluate(run)


def _raised(result: dict[str, Any]) -> Exception:
    kind = InputError if result["bad_input"] else SimulationError
    return kind(result["error"])


def _failed(failures: Sequence[tuple[Run, Exception]], done: int, total: int) -> Exception:
    run, error = failures[0]
    more = "" if len(failures) == 1 else f"; {len(failures) - 1} more runs failed"
    return type(error)(
        f"{run}: {error}{more} ({done} of {total} runs are done and kept; the same call tries the others)"
    )


def _clear(folder: Path | None) -> None:
    """Remove what kills in the middle of a write left behind."""
    for rest in () if folder is None else (*folder.glob(".*.json"), *folder.parent.glob(".*.parquet")):
        with contextlib.suppress(OSError):
            if time.time() - rest.stat().st_mtime >= STALE:
                rest.unlink()


def _json(data: Any) -> str:
    """JSON text; what is not finite becomes null."""
    return json.dumps(_finite(data), indent=2, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
