"""Studies that are killed: SIGKILL at random moments, a dask worker that dies; the table is that of an undisturbed study."""

import collections
import contextlib
import os
import random
import signal
import threading
import time

import pytest
from pandas.testing import assert_frame_equal

from thermograd.optim.codesign.plans import run as module
from thermograd.optim.codesign.plans.plan import StudyPlan
from thermograd.optim.codesign.plans.run import evaluate, run_plan
from thermograd.optim.codesign.plans.runs import prepare
from thermograd.optim.codesign.plans.sent import LevelChoice, _made
from thermograd.optim.codesign.plans.table import read_table

from .levels import Digested

KILLS = 10
SOLVES = StudyPlan(
    task="digits", settings={"hidden": 4}, card="integrated", level="solve", steps=(0, 1), batch=2,
    dies=(1, 2, 3), readings=("refined", "bare"), knobs={"adc.bits": (4, 8)},
)  # fmt: skip


class Logged(Digested):
    """Takes 3 ms, and writes each evaluation into a file before and after it."""

    def __init__(self, log):
        super().__init__([])
        self.log = log

    def evaluate(self, card, point, die, seed, reading, *, in_spice=0):
        line = f"{dict(point)} {die} {seed} {reading}\n"
        self._append("began", line)
        time.sleep(0.003)
        found = super().evaluate(card, point, die, seed, reading, in_spice=in_spice)
        self._append("ended", line)
        return found

    def _append(self, name, line):
        with (self.log / name).open("a") as file:
            file.write(line)


def test_a_study_killed_ten_times_has_the_table_of_an_undisturbed_one(tmp_path, monkeypatch):
    """Nothing is lost and nothing is run twice: but for runs in which the kill fell, every run is evaluated once."""
    monkeypatch.setattr(LevelChoice, "make", lambda self, task: Logged(tmp_path))
    monkeypatch.setattr(
        module, "INTERVAL", 0.02
    )  # the table is written again and again, so that kills fall into that, too
    monkeypatch.setattr(module, "SHARE", 0.5)
    plan = StudyPlan(task="digits", steps=9, batch=2, dies=tuple(range(10)), knobs={"adc.bits": (3, 4, 8)})
    prepared = prepare(plan)
    _made.clear()
    undisturbed = run_plan(plan, tmp_path / "undisturbed", workers=1)
    for name in ("began", "ended"):
        (tmp_path / name).unlink()
    folder, draw, killed = tmp_path / "killed", random.Random(7), 0
    folder.mkdir()
    for _ in range(60):
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                evaluate(prepared, folder, 1)
                os._exit(0)
            os._exit(1)
        if killed < KILLS:
            time.sleep(draw.uniform(0.005, 0.06))
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            killed += 1
            if (folder / "table.parquet").exists():
                partial = read_table(folder)  # whole at any time
                rows = undisturbed.set_index("run").loc[partial["run"]].reset_index()
                assert_frame_equal(rows, partial, check_like=True)
        else:
            assert os.WEXITSTATUS(status) == 0
            break
    assert killed >= KILLS / 2
    assert_frame_equal(read_table(folder), undisturbed)
    began, ended = (collections.Counter((tmp_path / name).read_text().splitlines()) for name in ("began", "ended"))
    assert len(ended) == len(undisturbed)
    assert began.total() <= len(undisturbed) + killed
    _made.clear()


@contextlib.contextmanager
def two_dask_workers():
    """Two worker processes, forked from one that has imported what they need: a worker that starts anew costs next to nothing."""
    import dask
    import distributed

    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        distributed.utils.get_mp_context().set_forkserver_preload(["distributed", module.__name__, "sklearn.datasets"])
        with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            yield cluster


@pytest.mark.slow
def test_a_dask_cluster_one_of_whose_workers_is_killed_gives_the_same_table(tmp_path):
    here = run_plan(SOLVES, workers=1)
    with two_dask_workers() as cluster:
        pids = [worker.pid for worker in cluster.workers.values()]
        shot = threading.Event()

        def kill_one(done, total):
            if done == 2:
                shot.set()
                os.kill(pids[0], signal.SIGKILL)

        there = run_plan(SOLVES, tmp_path, scheduler=cluster.scheduler_address, progress=kill_one)
    assert shot.is_set()
    assert_frame_equal(there, here)
    assert there["solve_error"][0] < 1e-4
    assert there["solve_error"][1:].between(1e-5, 0.9).sum() >= 10


@pytest.mark.long
def test_two_processes_of_this_machine_give_the_same_table():
    assert_frame_equal(run_plan(SOLVES, workers=2), run_plan(SOLVES, workers=1))
