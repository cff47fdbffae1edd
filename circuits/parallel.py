"""Independent jobs on this machine's cores, through joblib, or on the workers of a dask.distributed scheduler.

A job's result does not depend on where it ran: BLAS works with one thread in each worker, since its sums round differently on two.
Dask sends Python objects: its scheduler, its workers and this machine must trust each other and have the same thermograd.
"""

from __future__ import annotations

import asyncio
import functools
import os
import queue
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

from .errors import InputError, SchedulerMissing, SimulationError, WorkerDied

_Job = TypeVar("_Job")
_Value = TypeVar("_Value")
_ANSWER_LIMIT = 20.0  # s; a scheduler that has not answered by then is not there
_WORKERLESS_LIMIT = 300.0  # s; a cluster that grows on demand can need minutes to start its first worker


def parallel_map(
    function: Callable[[_Job], _Value],
    jobs: Iterable[_Job],
    workers: int | None = None,
    scheduler: str | None = None,
    *,
    ordered: bool = True,
    threads: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Generator[_Value, None, None]:
    """``function(job)`` of every job, in parallel; the same results on any number of workers.

    Args:
        function: of one job; must not depend on the order in which jobs run. It may be a closure, whose variables travel with it.
        jobs: its arguments.
        workers: processes of this machine, of which 1 is this process itself; None: one per usable core. Not with a scheduler.
        scheduler: address of a dask.distributed scheduler, such as ``tcp://host:8786``; None: this machine.
        ordered: results in the order of the jobs; False: in order of completion.
        threads: workers are threads of this process, for functions that wait on other processes. Without effect on a scheduler.
        progress: called with (jobs done, jobs in all) before each result.

    Yields:
        The results. Jobs that have not begun are dropped when no more results are asked for.

    Raises:
        InputError: at once: workers out of range or together with a scheduler, a scheduler that is no address, dask missing.
        SimulationError: with the first result: no scheduler answers at the address, or it has no workers.
        WorkerDied: a worker process was killed.
        Exception: what `function` raised first.
    """
    count = worker_count(workers, scheduler)
    listed = list(jobs)
    if scheduler is None:
        values = _local(function, listed, count, ordered, threads)
    else:
        values = _remote_values(function, listed, scheduler, ordered)
    return _counted(values, len(listed), progress)


def worker_count(workers: int | None, scheduler: str | None) -> int:
    """Number of workers on this machine; with a scheduler 0.

    Raises:
        InputError: workers out of range or together with a scheduler, a scheduler that is no address, dask missing.
    """
    if scheduler is None:
        count = _usable_cores() if workers is None else workers
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise InputError(f"workers = {workers!r}: an integer >= 1 or None is needed")
        return count
    if workers is not None:
        raise InputError(
            f"workers = {workers!r} is for this machine; a scheduler has workers of its own, so leave one of them out"
        )
    if not isinstance(scheduler, str) or not scheduler:
        raise InputError(f"scheduler = {scheduler!r}: an address such as 'tcp://host:8786' is needed, or None")
    _distributed()
    return 0


def remote_map(
    function: Callable[..., _Value], jobs: Iterable[tuple[Any, ...]], address: str
) -> Generator[tuple[int, _Value | Exception], None, None]:
    """``function(*job)`` of every job on a scheduler's workers.

    joblib's own dask backend is not used: it waits for ever for a job whose worker was killed (joblib 1.6).

    Args:
        function, jobs: as dask can send them; the jobs are all sent at once.
        address: of the scheduler.

    Yields:
        (index of the job, its value or the exception that it raised), in order of completion. A job whose worker was killed is tried
        once more, alone, and is then `WorkerDied`.

    Raises:
        SimulationError: with the first outcome: no scheduler answers at the address.
    """
    dask = _distributed()
    _check_answer(dask, address)
    with dask.Client(address, timeout=_ANSWER_LIMIT, set_as_default=False) as client:
        suspects = []
        for index, job, future in _futures(client, function, enumerate(jobs)):
            if future is not None and future.status == "error" and isinstance(future.exception(), dask.KilledWorker):
                suspects.append((index, job))
            else:
                yield index, _outcome(dask, future, address)
        # Dask blames every job that a dying worker held. Alone, only the one that kills it does so again.
        for suspect in suspects:
            for index, _, future in _futures(client, function, [suspect]):
                yield index, _outcome(dask, future, address)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _counted(
    values: Generator[_Value, None, None], total: int, progress: Callable[[int, int], None] | None
) -> Generator[_Value, None, None]:
    with closing(values):
        for done, value in enumerate(values, start=1):
            if progress is not None:
                progress(done, total)
            yield value


def _local(
    function: Callable[[_Job], _Value], jobs: list[_Job], count: int, ordered: bool, threads: bool
) -> Generator[_Value, None, None]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from threadpoolctl import threadpool_limits

    backend: dict[str, Any] = {"backend": "threading"} if threads else {"backend": "loky", "inner_max_num_threads": 1}
    with parallel_config(**backend):
        pool = Parallel(n_jobs=count, return_as="generator" if ordered else "generator_unordered")
    try:
        with threadpool_limits(1):
            parent = os.getpid()
            values = pool(delayed(_of_parent)(function, job, parent) for job in jobs)
            try:
                for value in values:  # noqa: UP028 - `yield from` would close it before the filter is set
                    yield value
            finally:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "[0-9]+ tasks", UserWarning)  # that leaving early wastes some
                    values.close()
    except TerminatedWorkerError as error:
        raise WorkerDied(
            f"a worker process was killed ({_one_line(error)}); use fewer workers if memory ran out"
        ) from None


def _of_parent(function: Callable[[_Job], _Value], job: _Job, parent: int) -> _Value:
    """The value of a job, in a process that ends when its parent is killed: loky's own would wait to hand over their results for ever."""
    if os.getppid() == parent:
        _watch(parent)
    return function(job)


@functools.cache
def _watch(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="end with the parent", daemon=True).start()


def _remote_values(
    function: Callable[[_Job], _Value], jobs: list[_Job], address: str, ordered: bool
) -> Generator[_Value, None, None]:
    early: dict[int, _Value] = {}
    following = 0
    with closing(remote_map(function, ((job,) for job in jobs), address)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            if not ordered:
                yield outcome
                continue
            early[index] = outcome
            while following in early:
                yield early.pop(following)
                following += 1


def _futures(
    client: Any, function: Callable[..., Any], numbered: Iterable[tuple[int, tuple[Any, ...]]]
) -> Iterator[tuple[int, tuple[Any, ...], Any]]:
    """(index, job, future), as they are done; a future of None for each job that no worker will do."""
    done = queue.SimpleQueue[Any]()
    sent = {}
    for index, job in numbered:
        future = client.submit(function, *job, pure=False)
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


def _has_workers(client: Any) -> bool:
    try:
        return bool(client.nthreads())
    except (OSError, TimeoutError):  # the scheduler itself is gone
        return False


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise InputError(f"a scheduler needs dask.distributed ({error}): pip install 'thermograd[study]'") from None
    return distributed


def _check_answer(dask: Any, address: str) -> None:
    """Raise if nobody answers. A client that finds nobody is left half made, and its clean-up can wait for ever."""

    async def connect() -> None:
        comm = await dask.comm.connect(address, timeout=_ANSWER_LIMIT)
        comm.abort()

    try:
        with ThreadPoolExecutor(1) as thread:  # the caller's own thread may have a loop that runs, as in a notebook
            thread.submit(asyncio.run, connect()).result()
    except (OSError, ValueError, TimeoutError) as error:
        raise SchedulerMissing(f"no dask scheduler answers at {address!r}: {error}; check the address") from None


def _outcome(dask: Any, future: Any, address: str) -> Any:
    """The value of a remote job, or its exception."""
    if future is None:
        return SimulationError(
            f"the dask scheduler at {address!r} has had no worker for {_WORKERLESS_LIMIT:g} s; start some "
            f"(dask worker {address}), or run the jobs on this machine"
        )
    try:
        return future.result()
    except dask.KilledWorker as error:
        return WorkerDied(f"dask lost the job: {type(error).__name__}: {_one_line(error)}")
    except Exception as error:  # noqa: BLE001 - one job's failure is its own outcome, and the others go on
        return error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
