"""Many simulations at once: by threads of this process, each with a pool worker of its own, or on a dask.distributed scheduler's workers.

A call is the same function with the same arguments in either place, every number with all its bits, so that a simulation gives the same
result here and there. Dask sends Python objects: its scheduler, its workers and this machine must trust each other and have the same
thermograd.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeAlias

from .analyses import Result
from .errors import InputError, SimulationError, ThermogradError
from .pool import Group

Simulate: TypeAlias = Callable[..., Result]
Outcome: TypeAlias = tuple[int, Result | ThermogradError]
Outcomes: TypeAlias = Generator[Outcome, None, None]
_ANSWER_LIMIT = 20.0  # s; a scheduler that has not answered by then is not there


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
    try:
        client = dask.Client(address, timeout=_ANSWER_LIMIT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise SimulationError(f"no dask scheduler answers at {address!r}: {error}; check the address") from None
    with client:
        sent = {
            client.submit(simulate, *job, timeout, None, pure=False): (index, job) for index, job in enumerate(jobs)
        }
        suspects = []
        for future in dask.as_completed(list(sent), loop=client.loop):
            # Without a reference to it the scheduler forgets the result, which would fill the workers' memory.
            index, job = sent.pop(future)
            if future.status == "error" and isinstance(future.exception(), dask.KilledWorker):
                suspects.append((index, job))
            else:
                yield index, _arrived(future)
        # Dask blames every job that a dying worker held. Alone, only the one that kills it does so again.
        for index, job in suspects:
            yield index, _arrived(client.submit(simulate, *job, timeout, None, pure=False))


def _arrived(future: Any) -> Result | ThermogradError:
    """A remote result; a lost worker costs its job only."""
    try:
        result: Result = future.result()
    except ThermogradError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever ended the remote job is told by name, and the other jobs go on
        return SimulationError(f"dask lost the job: {type(error).__name__}: {' '.join(str(error).split())}")
    return result
