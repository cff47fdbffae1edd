"""Farms: nothing lost, nothing run twice, the same bits on any number of workers and on a dask scheduler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, SimulationError, SimulationTimeout, WorkerDied
from thermograd.circuits.netlist.analyses import AC, Noise, OperatingPoint, Result, Transient, TransientResult
from thermograd.circuits.netlist.elements import VCVS, Resistor
from thermograd.circuits.ngspice import farm
from thermograd.circuits.ngspice.farm import Job, run_farm
from thermograd.circuits.ngspice.pool import POOL
from thermograd.circuits.spice.read import parse_spice

from ..networks import one_rc, random_rc


def noisy_jobs(count):
    rc = random_rc(4, 3)
    analysis = Transient(200e-8, step=1e-8, noise=True)
    return [Job(f"noise-{k}", rc.netlist, analysis, seed=k) for k in range(count)]


def bits(results):
    return {name: {node: np.asarray(v).tobytes() for node, v in result.voltages.items()} for name, result in results}


def kinds_of(results):
    return {type(result) for result in results}


def test_any_number_of_workers_gives_the_same_bits(tmp_path):
    found = [bits(run_farm(noisy_jobs(6), tmp_path / str(workers), workers=workers)) for workers in (1, 2, 8)]
    assert found[0] == found[1] == found[2]
    assert len({tuple(sorted(node.items())) for node in found[0].values()}) == 6  # each seed its own noise


def test_every_kind_of_result_comes_back_from_disk(tmp_path, monkeypatch):
    jobs = [
        Job("op", one_rc(), OperatingPoint()),
        Job("some", one_rc(), OperatingPoint(nodes=("out",))),
        Job("time", one_rc(), Transient(1e-6)),
        Job("noise", one_rc(ac=1.0), Noise("out", "V1", 1.0, 1e6)),
        Job("sweep", one_rc(ac=1.0), AC(1.0, 1e6)),
    ]
    fresh = dict(run_farm(jobs, tmp_path))
    assert kinds_of(fresh.values()) == set(get_args(Result))  # a new one is tried here as well
    monkeypatch.setattr(
        sys.modules["thermograd.circuits.ngspice.run_many"],
        "_simulate",
        lambda *_: pytest.fail("a result was there and was simulated again"),
    )
    kept = dict(run_farm(jobs, tmp_path))
    with pytest.raises(pytest.fail.Exception):
        list(run_farm([Job("new", one_rc(), Transient(2e-6))], tmp_path))
    # Nothing is missing, so nobody is asked: there is no scheduler at this address.
    assert dict(run_farm(jobs, tmp_path, scheduler="tcp://127.0.0.1:9")).keys() == kept.keys()
    assert kept["op"].voltages == fresh["op"].voltages
    assert set(kept["some"].voltages) == {"out"}
    np.testing.assert_array_equal(kept["time"].time, fresh["time"].time)
    np.testing.assert_array_equal(kept["time"].voltages["out"], fresh["time"].voltages["out"])
    np.testing.assert_array_equal(kept["noise"].density, fresh["noise"].density)
    assert kept["noise"].total == fresh["noise"].total
    assert kept["sweep"].voltages["out"].imag.any()
    np.testing.assert_array_equal(kept["sweep"].voltages["out"], fresh["sweep"].voltages["out"])
    assert kept["op"].ngspice_version == fresh["op"].ngspice_version
    assert kept["op"].log == fresh["op"].log


KEPT = TransientResult(
    np.array([0.0, 1e-9, 0.3]), {"a": np.array([1.0, 0.1, -0.0]), "B_2": np.full(3, 1e-300)}, "39", "said"
)


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4), st.floats(0, 1))
def test_a_damaged_file_is_no_result_or_the_one_that_was_kept(changes, length):
    """Bytes changed anywhere, or the end cut off."""
    blob = bytearray(farm.NPZ.encode(KEPT))
    for place, value in changes:
        blob[int(place * len(blob))] = value
    found = farm.NPZ.decode(bytes(blob[: round(length * len(blob))]))
    if found is not None:
        assert (found.ngspice_version, found.log, list(found.voltages)) == ("39", "said", ["a", "B_2"])
        np.testing.assert_array_equal(found.time, KEPT.time)
        assert bits([("", found)]) == bits([("", KEPT)])
    assert farm.NPZ.decode(farm.NPZ.encode(KEPT)) is not None


def test_what_changed_is_simulated_and_the_rest_is_not(tmp_path):
    job = Job("a", one_rc(), OperatingPoint())
    assert len({job.digest(), Job("b", one_rc(), OperatingPoint()).digest()}) == 1  # the name is no part of the result
    others = [
        Job("a", one_rc(ac=1.0), OperatingPoint()),
        Job("a", one_rc(), OperatingPoint(nodes=("out",))),
        Job("a", one_rc(), Transient(1e-6)),
        Job("a", one_rc(), OperatingPoint(), seed=1),
    ]
    assert len({job.digest(), *(other.digest() for other in others)}) == 5
    calls = []
    list(run_farm([job], tmp_path, progress=lambda done, total: calls.append((done, total))))
    list(run_farm([job], tmp_path, progress=lambda done, total: calls.append((done, total))))
    assert calls == [(1, 1), (1, 1)]
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])  # torn: simulated again, and whole afterwards
    assert dict(run_farm([job], tmp_path))["a"].voltages["out"] == pytest.approx(1.0)
    assert farm.NPZ.decode(file.read_bytes()) is not None


def kill_the_first_job_to_take_a_second():
    """SIGKILL for the worker that has been on one job for a second."""
    since, deadline = {}, time.monotonic() + 60
    while time.monotonic() < deadline:
        with POOL._lock:
            busy = [(worker.process.pid, worker.jobs) for worker in POOL._busy]
        since = {job: since.get(job, time.monotonic()) for job in busy}
        late = [pid for (pid, _), start in since.items() if time.monotonic() - start > 1.0]
        if late:
            os.kill(late[0], signal.SIGKILL)
            return
        time.sleep(0.01)


@pytest.mark.slow
def test_each_way_to_fail_is_named_costs_its_job_and_is_tried_again(tmp_path):
    """A worker killed, a singular circuit, one that Newton's method does not solve, one that would run for ever; the others to the bit."""
    singular = one_rc()
    singular.add(VCVS("E1", "x", "0", "x", "0", 1.0), Resistor("R2", "x", "0", 1.0))
    stiff = parse_spice("* t\nV1 a 0 5\nD1 a b steep\nD2 b 0 steep\n.model steep D(is=1e-14 n=0.01)")
    endless = Transient(10.0, step=1e-9, nodes=("out",))
    good = noisy_jobs(6)
    alone = bits(run_farm(good, tmp_path / "alone", workers=2))  # starts both workers, too
    jobs = [
        Job("killed", one_rc(), endless),
        *good[:3],
        Job("singular", singular, OperatingPoint()),
        Job("stiff", stiff, OperatingPoint()),
        Job("endless", one_rc(), endless),
        *good[3:],
    ]
    killer = threading.Thread(target=kill_the_first_job_to_take_a_second)
    killer.start()
    results = dict(run_farm(jobs, tmp_path / "all", workers=2, timeout=4.0))
    killer.join()
    for name, kind, words in (
        ("killed", WorkerDied, "SIGKILL"),
        ("singular", SimulationError, "singular"),
        ("stiff", SimulationError, "source stepping failed"),
        ("endless", SimulationTimeout, "limit of 4 s"),
    ):
        error = results.pop(name)
        assert type(error) is kind
        assert words in str(error)
    assert bits(results.items()) == alone
    assert sorted(path.name.split(".")[0] for path in (tmp_path / "all").iterdir()) == sorted(alone)
    again = dict(run_farm([job for job in jobs if job.name == "stiff"], tmp_path / "all"))
    assert isinstance(again["stiff"], SimulationError)


SCRIPT = """
    import sys
    from thermograd.circuits.ngspice.farm import Job, run_farm
    from thermograd.circuits.netlist.elements import Capacitor, Resistor, VoltageSource
    from thermograd.circuits.netlist.netlist import Netlist
    from thermograd.circuits.netlist.analyses import Transient
    rc = Netlist("rc")
    rc.add(VoltageSource("V1", "in", "0", 1.0), Resistor("R1", "in", "out", 1e3), Capacitor("C1", "out", "0", 1e-9))
    jobs = [Job(f"job-{k}", rc, Transient(4e-4, step=1e-8, noise=True), seed=k) for k in range(12)]
    for name, _ in run_farm(jobs, sys.argv[1], workers=1):
        print(name, flush=True)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_with_nothing_lost_and_nothing_run_twice(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(4):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert 4 <= len(before) < 12
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert sorted(finished.stdout.split()) == sorted(f"job-{k}" for k in range(12))
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert len(after) == 12
    assert all(after[name] == stamp for name, stamp in before.items())


@pytest.mark.slow
def test_a_dask_scheduler_gives_the_same_bits_as_this_machine(tmp_path):
    import distributed

    local = bits(run_farm(noisy_jobs(4), tmp_path / "local", workers=2))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        assert bits(run_farm(noisy_jobs(4), tmp_path / "dask", scheduler=address)) == local
        broken = Job("bad", one_rc(), Transient(1e-6, step=1e-8, noise=True))
        [(name, error)] = run_farm([broken], tmp_path / "dask", scheduler=address)
        assert name == "bad"
        assert isinstance(error, InputError)


def test_bad_farms_are_rejected(tmp_path):
    job = Job("a", one_rc(), OperatingPoint())
    with pytest.raises(InputError, match="used twice"):
        run_farm([job, job], tmp_path)
    with pytest.raises(InputError, match="leave one of them out"):
        run_farm([job], tmp_path, workers=2, scheduler="tcp://localhost:1")
    with pytest.raises(InputError, match="workers"):
        list(run_farm([job], tmp_path, workers=0))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        run_farm([job], tmp_path / "file")
    for name in ("", "a/b", "../x", "a" * 101, ".hidden", None):
        with pytest.raises(InputError, match="job name"):
            Job(name, one_rc(), OperatingPoint())
    for seed in (-1, 1.5, True, "1"):
        with pytest.raises(InputError, match="seed"):
            Job("a", one_rc(), OperatingPoint(), seed)
    with pytest.raises(InputError, match="analysis"):
        Job("a", one_rc(), "op")


def test_time_and_processes_are_given_back(tmp_path):
    start = time.monotonic()
    results = run_farm(
        [Job("op", one_rc(), OperatingPoint()), Job("long", one_rc(), Transient(10.0, step=1e-9))], tmp_path, workers=2
    )
    assert next(results)[0] == "op"
    results.close()
    assert time.monotonic() - start < 60
    assert os.listdir(tmp_path)
