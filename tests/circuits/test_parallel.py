"""Jobs in parallel: the same bits anywhere, a failure that reaches the caller, and nothing waited for that cannot come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from thermograd.circuits import parallel
from thermograd.circuits.errors import InputError, SchedulerMissing, WorkerDied
from thermograd.circuits.parallel import parallel_map


def by_value(function):
    """Sent to other processes as code: they cannot import a test's module."""
    function.__module__ = "__main__"
    return function


@by_value
def spectrum(seed):
    """A sum whose bits depend on the number of BLAS threads (see the negative control)."""
    a = np.random.default_rng(seed).standard_normal((400, 400))
    return (a @ a.T).tobytes()


@by_value
def blas_threads(_=None):
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@by_value
def die_at_two(k):
    if k == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return k


@by_value
def fail_at_three(k):
    if k == 3:
        raise KeyError("three")
    return k


@by_value
def late_first(k):
    time.sleep(0.5 if k == 0 else 0.0)
    return k


@pytest.fixture(scope="module")
def scheduler():
    """Address of a scheduler with two workers, each a process, that are given up at their first death."""
    import dask
    import distributed

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.mark.slow
def test_the_same_bits_on_any_number_of_workers_and_on_a_scheduler(scheduler):
    jobs = range(4)
    expected = list(parallel_map(spectrum, jobs, workers=1))
    assert len(set(expected)) == 4
    assert list(parallel_map(spectrum, jobs, workers=2)) == expected
    assert list(parallel_map(spectrum, jobs, workers=3, threads=True)) == expected
    assert list(parallel_map(spectrum, jobs, scheduler=scheduler)) == expected
    assert sorted(parallel_map(spectrum, jobs, scheduler=scheduler, ordered=False)) == sorted(expected)


def test_blas_has_one_thread_while_jobs_run_and_its_own_number_after_them():
    before = blas_threads()
    for workers, threads in ((1, False), (2, False), (2, True)):
        assert list(parallel_map(blas_threads, range(2), workers, threads=threads)) == [{1}, {1}]
    assert blas_threads() == before


@pytest.mark.parametrize("threads", [False, True])
def test_order_is_kept_or_that_of_completion(threads):
    assert list(parallel_map(late_first, range(5), 2, threads=threads)) == [0, 1, 2, 3, 4]
    early = list(parallel_map(late_first, range(5), 2, threads=threads, ordered=False))
    assert sorted(early) == [0, 1, 2, 3, 4]
    assert early[0] != 0


def test_a_closure_and_progress():
    factor, seen = 3, []
    found = parallel_map(lambda k: factor * k, range(4), 2, progress=lambda done, total: seen.append((done, total)))
    assert list(found) == [0, 3, 6, 9]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert list(parallel_map(abs, [])) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_of_a_job_reaches_the_caller(workers):
    with pytest.raises(KeyError, match="three"):
        list(parallel_map(fail_at_three, range(6), workers))


@pytest.mark.slow
def test_an_exception_and_a_killed_worker_on_a_scheduler(scheduler):
    with pytest.raises(KeyError, match="three"):
        list(parallel_map(fail_at_three, range(6), scheduler=scheduler))
    with pytest.raises(WorkerDied, match="KilledWorker"):
        list(parallel_map(die_at_two, range(6), scheduler=scheduler))
    assert list(parallel_map(abs, [-1, -2], scheduler=scheduler)) == [1, 2]


def test_a_killed_worker_is_named():
    with pytest.raises(WorkerDied, match="use fewer workers if memory ran out"):
        list(parallel_map(die_at_two, range(6), 2))


def test_workers_end_when_their_parent_is_killed(tmp_path):
    program = f"""
import os, time
from pathlib import Path
from thermograd.circuits.parallel import parallel_map

def job(k):
    (Path({str(tmp_path)!r}) / str(os.getpid())).touch()
    time.sleep(60)

list(parallel_map(job, range(2), 2))
"""
    with subprocess.Popen([sys.executable, "-c", program]) as parent:
        _wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        parent.kill()
    workers = [int(path.name) for path in tmp_path.iterdir()]
    _wait_for(lambda: not any(_runs(worker) for worker in workers))


def _wait_for(condition, seconds=40.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def _runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_leaving_early_drops_the_jobs_that_wait():
    started = []

    def work(k):
        started.append(k)
        time.sleep(0.05)
        return k

    results = parallel_map(work, range(200), 2, threads=True)
    assert next(results) == 0
    results.close()
    count = len(started)
    time.sleep(0.5)
    assert len(started) <= count + 4 < 50
    assert threading.active_count() < 50


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "no address", "carrier-pigeon://host:1"])
def test_a_scheduler_that_does_not_answer_is_named(monkeypatch, address):
    monkeypatch.setattr(parallel, "_ANSWER_LIMIT", 0.5)
    with pytest.raises(SchedulerMissing, match=f"no dask scheduler answers at '{address}'.*check the address"):
        next(parallel_map(abs, [1], scheduler=address))


def test_bad_workers_and_schedulers_raise_at_once(monkeypatch):
    for workers in (0, -1, 1.5, True, "2"):
        with pytest.raises(InputError, match=r"workers = .*integer >= 1"):
            parallel_map(abs, [1], workers)
    with pytest.raises(InputError, match=r"workers = 2 .*leave one of them out"):
        parallel_map(abs, [1], workers=2, scheduler="tcp://localhost:1")
    for address in ("", 8786, ("tcp", 1)):
        with pytest.raises(InputError, match=r"scheduler = .*tcp://host:8786"):
            parallel_map(abs, [1], scheduler=address)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'thermograd\[study\]'"):
        parallel_map(abs, [1], scheduler="tcp://localhost:1")
