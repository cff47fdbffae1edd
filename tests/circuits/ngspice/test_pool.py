"""Worker processes: killed, late, many, and how much memory they keep."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, NetlistError, SimulationTimeout, WorkerDied
from thermograd.circuits.netlist.analyses import OperatingPoint, Transient
from thermograd.circuits.netlist.elements import Capacitor
from thermograd.circuits.ngspice.library import find_library
from thermograd.circuits.ngspice.pool import POOL, Pool, Worker
from thermograd.circuits.ngspice.protocol import read_frame, write_frame
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.ngspice.run_many import run_many

from ..networks import one_rc, random_rc

#: Minutes of work if nobody stops it.
ENDLESS = Transient(1.0, step=1e-8, nodes=["out"])


@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=3),
    st.lists(st.lists(st.floats(allow_nan=True), max_size=6), max_size=3),
)
def test_frames_carry_what_was_put_in(header, arrays):
    header.pop("arrays", None)
    stream = io.BytesIO()
    blocks = [np.array(array, dtype=float) for array in arrays] + [np.arange(6.0).reshape(2, 3)]
    write_frame(stream, header, blocks)
    stream.seek(0)
    found, read = read_frame(stream)
    assert found == header
    for block, back in zip(blocks, read, strict=True):
        np.testing.assert_array_equal(block, back)
    with pytest.raises(EOFError):
        read_frame(stream)


def test_a_corrupt_stream_raises():
    with pytest.raises(ValueError, match="corrupt"):
        read_frame(io.BytesIO(b"\xff" * 16))
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(b"\x01"))


def kill_a_busy_worker(pool):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with pool._lock:
            busy = [worker.process.pid for worker in pool._busy]
        if busy:
            time.sleep(0.5)  # let it get into the simulation
            os.kill(busy[0], signal.SIGKILL)
            return
        time.sleep(0.01)


def test_a_worker_killed_in_the_middle_costs_its_job_only():
    assert run(one_rc(), OperatingPoint()).voltages["out"] == pytest.approx(1.0)
    killer = threading.Thread(target=kill_a_busy_worker, args=(POOL,))
    killer.start()
    with pytest.raises(WorkerDied, match=r"SIGKILL.*in the middle of a job"):
        run(one_rc(), ENDLESS, timeout=100)
    killer.join()
    assert run(one_rc(), OperatingPoint()).voltages["out"] == pytest.approx(1.0)


def test_a_late_job_is_stopped_and_the_next_runs():
    run(one_rc(), OperatingPoint())  # the limit is for the job, not for starting a worker
    start = time.monotonic()
    with pytest.raises(SimulationTimeout, match=r"limit of 1 s.*raise `timeout`"):
        run(one_rc(), ENDLESS, timeout=1.0)
    assert time.monotonic() - start < 60
    assert run(one_rc(), OperatingPoint()).voltages["out"] == pytest.approx(1.0)


def test_many_jobs_come_back_with_their_indices_and_one_failure_costs_one():
    bad = one_rc()
    bad.add(Capacitor("C9", "floating", "0", 1e-9))
    netlists = [random_rc(3, seed) for seed in range(6)]
    jobs = [(rc.netlist, OperatingPoint(), None) for rc in netlists]
    jobs[2] = (bad, OperatingPoint(), None)
    jobs[4] = (one_rc(), Transient(1e-6, step=1e-8, noise=True), None)
    counts = []
    results = dict(run_many(iter(jobs), workers=2, progress=counts.append))
    assert sorted(results) == list(range(6))
    assert counts == list(range(1, 7))
    assert isinstance(results[2], NetlistError)
    assert isinstance(results[4], InputError)
    for index in (0, 1, 3, 5):
        rc = netlists[index]
        np.testing.assert_allclose(
            list(results[index].voltages.values()), np.linalg.solve(rc.G, rc.current), rtol=1e-10
        )


def test_same_seeds_give_the_same_results_on_any_number_of_workers():
    jobs = [(random_rc(3, 1).netlist, Transient(1e-6, step=1e-8, noise=True), seed) for seed in range(4)]
    one, two = (dict(run_many(jobs, workers=count)) for count in (1, 2))
    for index in range(4):
        np.testing.assert_array_equal(one[index].voltages["n00"], two[index].voltages["n00"])
    assert not np.array_equal(one[0].voltages["n00"], one[1].voltages["n00"])


def test_a_late_job_in_the_middle_of_many():
    jobs = [(one_rc(), OperatingPoint(), None), (one_rc(), ENDLESS, None), (one_rc(), OperatingPoint(), None)]
    list(run_many(jobs[:1]))
    results = dict(run_many(jobs, workers=1, timeout=5.0))
    assert isinstance(results[1], SimulationTimeout)
    assert results[0].voltages["out"] == results[2].voltages["out"] == pytest.approx(1.0)


def test_leaving_early_stops_the_running_jobs():
    jobs = ((one_rc(), analysis, None) for analysis in (OperatingPoint(), ENDLESS, ENDLESS))
    start = time.monotonic()
    results = run_many(jobs, workers=2, timeout=500)
    assert next(results)[0] == 0
    results.close()
    assert time.monotonic() - start < 100


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_a_bad_number_of_workers_is_rejected(workers):
    with pytest.raises(InputError, match="workers"):
        run_many([], workers=workers)


def resident(pid):
    """Resident memory in bytes."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sizes_over(pool, runs, every):
    """Process ids, and resident memory (bytes) of the pool's worker and of this process, after every so many runs."""
    rc = random_rc(8, 1).netlist
    job = {"deck": ["* t", *rc.cards(), *Transient(1e-5).cards(), ".end"], "vectors": ["time", "n00"]}
    rows = []
    for count in range(1, runs + 1):
        pool.call(find_library(), job, [], 60.0)
        if count % every == 0 and pool.pids():  # none just when the worker has grown old
            (pid,) = pool.pids()
            rows.append((pid, resident(pid), resident(os.getpid())))
    return np.array(rows)


def is_flat(sizes):
    """Under 5 % growth after the first: 2 of the 41 MB of a worker."""
    return sizes.max() < 1.05 * sizes[0]


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_memory_stays_flat_over_hundreds_of_runs():
    pool = Pool(keep=1)
    try:
        pids, theirs, ours = sizes_over(pool, 330, 30).T
    finally:
        pool.close()
    assert len(set(pids)) == 1
    assert is_flat(theirs)
    assert is_flat(ours)


LEAKY = """
    import sys
    from thermograd.circuits.ngspice import worker
    def forget(simulator):
        simulator.log, simulator._deck = [], []
    worker.Simulator.clean = forget
    worker.main(sys.argv[1])
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_a_worker_that_does_not_clean_up_is_not_flat(monkeypatch, tmp_path):
    """Negative control: without `destroy all` and `remcirc` each run keeps its vectors and its circuit."""
    (tmp_path / "leaky").mkdir()
    (tmp_path / "leaky" / "worker.py").write_text(textwrap.dedent(LEAKY))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("thermograd.circuits.ngspice.pool.__package__", "leaky")
    pool = Pool(keep=1)
    try:
        pids, theirs, _ = sizes_over(pool, 150, 30).T
    finally:
        pool.close()
    assert len(set(pids)) == 1
    assert not is_flat(theirs)


@pytest.mark.long
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_a_thousand_simulations_leave_memory_where_it_was(monkeypatch):
    """Of the pool's workers and of this process, recycling included."""
    monkeypatch.setattr("thermograd.circuits.ngspice.pool.JOBS_PER_WORKER", 250)
    pool = Pool(keep=1)
    try:
        pids, theirs, ours = sizes_over(pool, 1000, 25).T
    finally:
        pool.close()
    assert len(set(pids)) == 4  # replaced after every 250
    assert is_flat(theirs)
    assert is_flat(ours)


def test_old_workers_are_replaced(monkeypatch):
    monkeypatch.setattr("thermograd.circuits.ngspice.pool.JOBS_PER_WORKER", 2)
    POOL.close()
    seen = set()
    for _ in range(4):
        run(one_rc(), OperatingPoint())
        seen.update(POOL.pids())
    assert len(seen) >= 1
    assert POOL.pids() == []


@pytest.mark.slow
def test_a_busy_worker_does_not_outlive_its_owner(tmp_path):
    """The owner is killed while its worker is deep inside ngspice."""
    script = tmp_path / "owner.py"
    script.write_text(
        "from thermograd.circuits.netlist.analyses import OperatingPoint, Transient\n"
        "from thermograd.circuits.netlist.elements import Capacitor, Resistor, VoltageSource\n"
        "from thermograd.circuits.netlist.netlist import Netlist\n"
        "from thermograd.circuits.ngspice.run import run\n"
        "from thermograd.circuits.ngspice.pool import POOL\n"
        "n = Netlist('x')\n"
        "n.add(VoltageSource('V1', 'a', '0', 1.0), Resistor('R1', 'a', 'b', 1e3), Capacitor('C1', 'b', '0', 1e-9))\n"
        "run(n, OperatingPoint())\n"
        "print(POOL.pids()[0], flush=True)\n"
        "run(n, Transient(1.0, step=1e-8, nodes=['b']), timeout=None)\n"
    )
    owner = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    worker = int(owner.stdout.readline())
    time.sleep(1.0)
    assert os.path.exists(f"/proc/{worker}")
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{worker}") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{worker}")


def test_a_worker_ends_with_its_stdin_and_leaves_no_files():
    worker = Worker(find_library())
    directory = worker._directory
    assert os.path.isdir(directory)
    worker.process.stdin.close()
    assert worker.process.wait(timeout=60) == 0
    worker.close()
    assert not os.path.exists(directory)
