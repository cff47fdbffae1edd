"""Run many netlists in ngspice: on the cores of this machine, a pool worker each, or on a dask.distributed scheduler's workers.

A call is the same function with the same arguments in either place, every number with all its bits, so that a simulation gives the same
result here and there. Results are returned, not kept: `farm` keeps them on disk and goes on where a killed run stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any, TypeAlias

import numpy as np

from ..errors import InputError, SimulationError, ThermogradError
from ..netlist.analyses import Analysis, Result
from ..netlist.netlist import Netlist
from ..parallel import remote_map, worker_count
from .pool import Group
from .run import simulate

Simulation: TypeAlias = tuple[Netlist, Analysis, int | np.random.SeedSequence | None]
Outcome: TypeAlias = tuple[int, Result | ThermogradError]
Outcomes: TypeAlias = Generator[Outcome, None, None]


def run_many(
    jobs: Iterable[Simulation],
    workers: int | None = None,
    scheduler: str | None = None,
    timeout: float | None = 120.0,
    progress: Callable[[int], None] | None = None,
) -> Outcomes:
    """Simulate many netlists in parallel processes, here or on the workers of a dask.distributed scheduler.

    The same seeds give the same results, to the bit, on any number of workers and in either place. Nothing is kept on disk;
    `farm.run_farm` does that, and goes on where a killed run stopped.

    Args:
        jobs: (netlist, analysis, seed) triples, consumed as workers become free; with a scheduler, all at once. A seed is
            an integer, a `numpy.random.SeedSequence` or None, as the analysis needs.
        workers: number of processes of this machine; None: one per usable core. Not with a scheduler.
        scheduler: address of a dask.distributed scheduler, such as ``tcp://host:8786``, which has this thermograd installed, as
            have its workers (``pip install 'thermograd[study]'``).
        timeout: limit in s for each job.
        progress: called with the number of finished jobs after each one.

    Yields:
        (index of the job, its result), in order of completion. A job that fails yields its exception (SimulationError,
        WorkerDied, InputError, ...) as the value; the others go on. Where results are no longer waited for, jobs that have not begun
        are dropped; those that run are stopped here, and on a scheduler run on to their end or their limit.

    Raises:
        InputError: at once: workers out of range or together with a scheduler, a scheduler that is no address, dask missing.
        SimulationError: with the first result: no scheduler answers at the address.
    """
    count = worker_count(workers, scheduler)
    outcomes = _here(jobs, count, timeout) if scheduler is None else _there(jobs, scheduler, timeout)
    return _counted(outcomes, progress)


def _counted(outcomes: Outcomes, progress: Callable[[int], None] | None) -> Outcomes:
    with closing(outcomes):
        for done, outcome in enumerate(outcomes, start=1):
            if progress is not None:
                progress(done)
            yield outcome


def _simulate(
    netlist: Netlist,
    analysis: Analysis,
    seed: int | np.random.SeedSequence | None,
    timeout: float | None,
    group: Group | None,
) -> Result:
    """One job of many; a function of this module, since dask's workers import it by its name."""
    if isinstance(seed, np.random.Generator):
        raise InputError(
            "seed is a Generator, whose draws would depend on which of the jobs comes first; give each job an integer or a "
            "child of its own, as numpy.random.SeedSequence(seed).spawn(number) makes"
        )
    return simulate(netlist, analysis, seed, timeout, None, group)


def _here(jobs: Iterable[Simulation], count: int, timeout: float | None) -> Outcomes:
    """By threads, each of which waits for its own pool worker."""
    group = Group()

    def work(index: int, job: Simulation) -> Outcome:
        try:
            return index, _simulate(*job, timeout, group)
        except ThermogradError as error:
            return index, error

    pending, numbered = set[Future[Outcome]](), enumerate(jobs)
    executor = ThreadPoolExecutor(count, thread_name_prefix="thermograd-ngspice")
    finished = False
    try:
        while True:
            while len(pending) < 2 * count:
                try:
                    index, job = next(numbered)
                except StopIteration:
                    break
                pending.add(executor.submit(work, index, job))
            if not pending:
                break
            ready, pending = wait(pending, return_when=FIRST_COMPLETED)
            results = deque(future.result() for future in ready)
            while results:
                yield results.popleft()
        finished = True
    finally:
        for future in pending:
            future.cancel()
        if not finished:
            group.stop()
        executor.shutdown(wait=True, cancel_futures=True)


def _there(jobs: Iterable[Simulation], scheduler: str, timeout: float | None) -> Outcomes:
    sent: Iterable[tuple[Any, ...]] = ((*job, timeout, None) for job in jobs)
    with closing(remote_map(_simulate, sent, scheduler)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, ThermogradError):
                words = " ".join(str(outcome).split())
                yield index, SimulationError(f"dask lost the job: {type(outcome).__name__}: {words}")
            else:
                yield index, outcome
