"""Many simulations at once: by threads of this process, each with a pool worker of its own, or on a dask.distributed scheduler's workers.

A call is the same function with the same arguments in either place, every number with all its bits, so that a simulation gives the same
result here and there. Dask sends Python objects: its scheduler, its workers and this machine must trust each other and have the same
thermograd.
"""

from __future__ import annotations

import asyncio
import os
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeAlias

from ..errors import InputError, SimulationError, ThermogradError
from ..netlist.analyses import Result
from .pool import Group

Simulate: TypeAlias = Callable[..., Result]
Outcome: TypeAlias = tuple[int, Result | ThermogradError]
Outcomes: TypeAlias = Generator[Outcome, None, None]
_ANSWER_LIMIT = 20.0  # s; a scheduler that has not answered by then is not there
_WORKERLESS_LIMIT = 300.0  # s; a cluster that grows on demand can need minutes to start its first worker


def fan_out(
    simulate: Simulate,
    jobs: Iterable[tuple[Any, ...]],
    workers: int | None,
    scheduler: str | None,
    timeout: float | None,
) -> Outcomes:
    """``simulate(*job, timeout, group)`` for every job, as `ngspice.run_many` describes it.

    Args:
        simulate: a function of a module, since dask's workers import it by its name; `group` is what stops it early, or None.
        jobs: the other arguments of each call.
        workers: threads here; None: one per usable core. Not with a scheduler.
        scheduler: address of a dask.distributed scheduler; None: here.
        timeout: limit in s for each job.

    Yields:
        (index of the job, its result or exception), in order of completion. Where they are no longer waited for, jobs that have not
        begun are dropped; those that run are stopped here, and on a scheduler run on to their end or their limit.

    Raises:
        InputError: at once: workers out of range or together with a scheduler, a scheduler that is no address, dask missing.
        SimulationError: with the first outcome: no scheduler answers at the address.
    """
    if scheduler is None:
        count = workers if workers is not None else _usable_cores()
        if not isinstance(count, int) or count < 1:
            raise InputError(f"workers = {workers!r}: an integer >= 1 or None is needed")
        return _here(simulate, jobs, count, timeout)
    if workers is not None:
        raise InputError(
            f"workers = {workers!r} is for this machine; a scheduler has workers of its own, so leave one of them out"
        )
    if not isinstance(scheduler, str) or not scheduler:
        raise InputError(f"scheduler = {scheduler!r}: an address such as 'tcp://host:8786' is needed, or None")
    try:
        import distributed
    except ImportError as error:
        raise InputError(f"a scheduler needs dask.distributed ({error}): pip install 'thermograd[study]'") from None
    return _there(distributed, simulate, jobs, scheduler, timeout)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _here(simulate: Simulate, jobs: Iterable[tuple[Any, ...]], count: int, timeout: float | None) -> Outcomes:
    group = Group()

    def work(index: int, job: tuple[Any, ...]) -> Outcome:
        try:
            return index, simulate(*job, timeout, group)
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


def _there(
    dask: Any, simulate: Simulate, jobs: Iterable[tuple[Any, ...]], address: str, timeout: float | None
) -> Outcomes:
    _knock(dask, address)
    with dask.Client(address, timeout=_ANSWER_LIMIT, set_as_default=False) as client:

        def outcomes(numbered: Iterable[tuple[int, tuple[Any, ...]]]) -> Iterator[tuple[int, tuple[Any, ...], Any]]:
            """(index, job, future), as they are done; a future of None for each that no worker will do."""
            done = queue.SimpleQueue[Any]()
            sent = {}
            for index, job in numbered:
                future = client.submit(simulate, *job, timeout, None, pure=False)
                sent[future] = (index, job)
                future.add_done_callback(done.put)
            seen = time.monotonic()
            while sent:
                try:
                    future = done.get(timeout=min(_WORKERLESS_LIMIT / 4, 5.0))
                except queue.Empty:
                    if _has_workers(client):
                        seen = time.monotonic()
                    elif time.monotonic() - seen > _WORKERLESS_LIMIT:
                        yield from ((index, job, None) for index, job in sent.values())
                        return
                else:
                    seen = time.monotonic()
                    # Without a reference to it the scheduler forgets the result, which would fill the workers' memory.
                    yield *sent.pop(future), future

        suspects = []
        for index, job, future in outcomes(enumerate(jobs)):
            if future is not None and future.status == "error" and isinstance(future.exception(), dask.KilledWorker):
                suspects.append((index, job))
            else:
                yield index, _arrived(future, address)
        # Dask blames every job that a dying worker held. Alone, only the one that kills it does so again.
        for suspect in suspects:
            for index, _, future in outcomes([suspect]):
                yield index, _arrived(future, address)


def _has_workers(client: Any) -> bool:
    try:
        return bool(client.nthreads())
    except (OSError, TimeoutError):  # the scheduler itself is gone
        return False


def _knock(dask: Any, address: str) -> None:
    """SimulationError if nobody answers. A client that finds nobody is left half made, and its clean-up can wait for ever."""

    async def knock() -> None:
        comm = await dask.comm.connect(address, timeout=_ANSWER_LIMIT)
        comm.abort()

    try:
        with ThreadPoolExecutor(1) as thread:  # the caller's own thread may have a loop that runs, as in a notebook
            thread.submit(asyncio.run, knock()).result()
    except (OSError, ValueError, TimeoutError) as error:
        raise SimulationError(f"no dask scheduler answers at {address!r}: {error}; check the address") from None


def _arrived(future: Any, address: str) -> Result | ThermogradError:
    """A remote result; a lost worker costs its job only."""
    if future is None:
        return SimulationError(
            f"the dask scheduler at {address!r} has had no worker for {_WORKERLESS_LIMIT:g} s; start some "
            f"(dask worker {address}), or simulate on this machine"
        )
    try:
        result: Result = future.result()
    except ThermogradError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever ended the remote job is told by name, and the other jobs go on
        return SimulationError(f"dask lost the job: {type(error).__name__}: {' '.join(str(error).split())}")
    return result
