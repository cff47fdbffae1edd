"""Worker processes with a private libngspice each: started when needed, watched, replaced when they die or grow old.

ngspice keeps global state and ends its whole process on some faults, so it never runs in the caller's process. A
worker is a plain subprocess (not `multiprocessing`: a user's script needs no ``__main__`` guard).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import SimulationError, SimulationTimeout, SimulatorMissing, WorkerDied
from .library import INSTALL
from .protocol import read_frame, write_frame

Array = NDArray[np.float64]
_KINDS = {"SimulationError": SimulationError, "SimulatorMissing": SimulatorMissing}
JOBS_PER_WORKER = 500
_START_LIMIT = 120.0  # s; a cold disk can take long to import PySpice


class Worker:
    """One worker process.

    Args:
        library: path of libngspice.

    Raises:
        SimulatorMissing: the library cannot be loaded.
        WorkerDied: the process ended before it was ready.
    """

    def __init__(self, library: str) -> None:
        self.jobs = 0
        self.library = library
        self._directory = tempfile.mkdtemp(prefix="thermograd-ngspice-")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
        # A user's ~/.spiceinit must not change results; Python must still find packages in the real home directory.
        environment["PYTHONUSERBASE"] = site.getuserbase()
        environment["HOME"] = self._directory
        module = f"{__package__}.worker"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=self._directory,
            env=environment,
        )
        self._input, self._output = cast(BinaryIO, self.process.stdin), cast(BinaryIO, self.process.stdout)
        try:
            with self._watch(_START_LIMIT):
                self.version = str(self._receive()[0]["version"])
        except SimulationError:
            self.close()
            raise

    def call(
        self, job: Mapping[str, Any], arrays: Sequence[Array], timeout: float | None
    ) -> tuple[dict[str, Any], list[Array]]:
        """Send one job and wait for its answer.

        Raises:
            SimulationTimeout: it took longer than `timeout` seconds; the process was killed.
            WorkerDied: the process ended in the middle of the job.
            SimulationError: ngspice rejected the job; the worker goes on.
        """
        self.jobs += 1
        self._errors.seek(0)
        self._errors.truncate()
        with self._watch(timeout):
            try:
                write_frame(self._input, job, arrays)
            except OSError:
                raise self._died() from None
            return self._receive()

    @contextlib.contextmanager
    def _watch(self, timeout: float | None) -> Any:
        """Kill the process after `timeout` seconds, and turn its death into SimulationTimeout."""
        expired = threading.Event()

        def kill() -> None:
            expired.set()
            self.process.kill()

        timer = None if timeout is None else threading.Timer(timeout, kill)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            yield
        except WorkerDied:
            if expired.is_set():
                raise SimulationTimeout(
                    f"the simulation ran past its limit of {timeout:g} s and was stopped; raise `timeout`, shorten the "
                    "run, or make the netlist smaller"
                ) from None
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _receive(self) -> tuple[dict[str, Any], list[Array]]:
        try:
            header, arrays = read_frame(self._output)
        except (EOFError, OSError):
            raise self._died() from None
        if not header["ok"]:
            kind = _KINDS.get(header["kind"], SimulationError)
            message = header["message"]
            if kind is SimulatorMissing and INSTALL not in message:
                message += f". Install it: {INSTALL}"
            raise kind(message)
        return header, arrays

    def _died(self) -> WorkerDied:
        self.process.kill()
        code = self.process.wait()
        if code < 0:
            try:
                how = f"by signal {signal.Signals(-code).name}"
            except ValueError:
                how = f"by signal {-code}"
        else:
            how = f"with exit code {code}"
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 2000))
        words = self._errors.read().decode(errors="replace").strip()
        said = f"; its last words: {words}" if words else ""
        return WorkerDied(f"the ngspice worker ended {how} in the middle of a job (out of memory, or a crash){said}")

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        return self.process.poll() is None

    def close(self) -> None:
        """End the process and remove its directory."""
        with contextlib.suppress(OSError):
            self._input.close()
        self.process.kill()
        self.process.wait()
        self._output.close()
        self._errors.close()
        shutil.rmtree(self._directory, ignore_errors=True)


class Group:
    """Jobs that can be stopped together, while other jobs of the process go on."""

    def __init__(self) -> None:
        self._workers: set[Worker] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def enter(self, worker: Worker) -> None:
        """Count `worker` in; WorkerDied if the group was stopped already."""
        with self._lock:
            if self._stopped:
                raise WorkerDied("the job was stopped before it began, since nobody waits for it any more")
            self._workers.add(worker)

    def leave(self, worker: Worker) -> None:
        """Count `worker` out."""
        with self._lock:
            self._workers.discard(worker)

    def stop(self) -> None:
        """Kill the workers of the group, now and later; their callers get WorkerDied."""
        with self._lock:
            self._stopped = True
            for worker in self._workers:
                worker.process.kill()


class Pool:
    """Idle workers of one process, shared by its threads; grows on demand and keeps at most `keep` idle."""

    def __init__(self, keep: int | None = None) -> None:
        self.keep = len(os.sched_getaffinity(0)) if keep is None and hasattr(os, "sched_getaffinity") else keep or 4
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._lock = threading.Lock()
        self._owner = os.getpid()

    def call(
        self,
        library: str,
        job: Mapping[str, Any],
        arrays: Sequence[Array],
        timeout: float | None,
        group: Group | None = None,
    ) -> tuple[dict[str, Any], list[Array], str]:
        """Run one job on an idle or a new worker; the answer and ngspice's version. Raises as `Worker.call`."""
        group = Group() if group is None else group
        worker = self._take(library)
        try:
            group.enter(worker)
            header, results = worker.call(job, arrays, timeout)
        finally:
            group.leave(worker)
            self._give(worker)
        return header, results, worker.version

    def _take(self, library: str) -> Worker:
        with self._lock:
            if self._owner != os.getpid():  # after a fork the workers are the parent's
                self._idle, self._busy, self._owner = [], set(), os.getpid()
            while self._idle:
                worker = self._idle.pop()
                if worker.alive and worker.library == library:
                    self._busy.add(worker)
                    return worker
                worker.close()
        worker = Worker(library)
        with self._lock:
            self._busy.add(worker)
        return worker

    def _give(self, worker: Worker) -> None:
        with self._lock:
            self._busy.discard(worker)
            if worker.alive and worker.jobs < JOBS_PER_WORKER and len(self._idle) < self.keep:
                self._idle.append(worker)
                return
        worker.close()

    def pids(self) -> list[int]:
        """Process ids of all workers, busy and idle."""
        with self._lock:
            return [worker.process.pid for worker in (*self._busy, *self._idle)]

    def close(self) -> None:
        """End all idle workers."""
        with self._lock:
            idle, self._idle = self._idle, []
        if self._owner == os.getpid():
            for worker in idle:
                worker.close()


POOL = Pool()
atexit.register(POOL.close)
