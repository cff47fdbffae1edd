"""Many simulations on a dask scheduler: the same bits as here, one job lost for one that fails, and a clear word for a wrong address."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits import parallel
from thermograd.circuits.errors import InputError, NetlistError, SchedulerMissing, SimulationError, SimulationTimeout
from thermograd.circuits.netlist.analyses import AC, Noise, OperatingPoint, Transient
from thermograd.circuits.netlist.elements import Capacitor, Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run_many import run_many
from thermograd.circuits.spice.read import parse_spice

from ..networks import one_rc, random_rc

#: Minutes of work if nobody stops it.
ENDLESS = Transient(1.0, step=1e-8, nodes=("out",))
NOISY = Transient(100e-8, step=1e-8, noise=True)


def cold():
    """At temperatures whose text in Celsius, read again, is another number in the last bits."""
    netlist = Netlist("cold", temperature=4.2)
    netlist.add(Resistor("R1", "n00", "0", 1e3, temperature=0.01), Capacitor("C1", "n00", "0", 1e-9))
    netlist.add(Resistor("R2", "n00", "0", 1e3))
    return netlist


def jobs():
    """Every analysis; seeds of every sort."""
    rc = random_rc(4, 3).netlist
    children = np.random.SeedSequence(7).spawn(2)
    return [
        *((rc, NOISY, seed) for seed in (0, 1, *children)),
        (cold(), NOISY, 5),
        (one_rc(), OperatingPoint(), None),
        (one_rc(ac=1.0), Noise("out", "V1", 1.0, 1e6), None),
        (one_rc(ac=1.0), AC(1.0, 1e6), None),
    ]


def bits(results):
    """Job -> the bytes of all its numbers."""
    found = {}
    for index, result in results:
        numbers = result.voltages.items() if hasattr(result, "voltages") else [("", result.density)]
        found[index] = {name: np.asarray(values).tobytes() for name, values in numbers}
    return found


@pytest.fixture(scope="module")
def scheduler():
    """Address of a scheduler with two workers, each a process."""
    import dask
    import distributed

    # A worker's death is blamed at once on every job that it held; as dask is set up, it would take four deaths.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.mark.slow
def test_one_worker_two_workers_and_a_scheduler_give_the_same_bits(scheduler):
    assert parse_spice(cold().to_spice()).elements != cold().elements  # sent as text it would come out otherwise
    counts = []
    one, two = (bits(run_many(jobs(), workers=workers)) for workers in (1, 2))
    there = bits(run_many(iter(jobs()), scheduler=scheduler, progress=counts.append))
    assert one == two == there
    assert sorted(one) == list(range(8)) == [count - 1 for count in counts]
    noisy = [str(one[index]) for index in range(4)]
    assert len(set(noisy)) == 4  # each seed its own noise
    assert bits(run_many([(jobs()[0][0], NOISY, 9)], scheduler=scheduler))[0] not in one.values()


@pytest.mark.slow
def test_a_failing_job_on_a_scheduler_costs_itself(scheduler):
    floating = one_rc()
    floating.add(Capacitor("C9", "floating", "0", 1e-9))
    mixed = jobs()[:4]
    mixed[1:1] = [(floating, OperatingPoint(), None), (one_rc(), ENDLESS, None)]
    mixed.append((one_rc(), NOISY, np.random.default_rng(1)))
    found = dict(run_many(mixed, scheduler=scheduler, timeout=4.0))
    assert [type(found[index]) for index in (1, 2, 6)] == [NetlistError, SimulationTimeout, InputError]
    alone = bits(run_many(jobs()[:4], workers=1))
    assert [bits([(0, found[index])])[0] for index in (0, 3, 4, 5)] == [alone[index] for index in range(4)]


@pytest.mark.slow
def test_a_job_that_kills_its_dask_worker_costs_itself(scheduler):
    """It is tried once more alone, and then given up by name; those that the dead worker held beside it are not."""

    class Deadly(Transient):
        def cards(self):
            os.kill(os.getpid(), signal.SIGKILL)

    mixed = [(one_rc(), Deadly(1e-6), None), *jobs()[:4]]
    found = dict(run_many(mixed, scheduler=scheduler))
    assert isinstance(found[0], SimulationError)
    assert "dask lost the job: KilledWorker" in str(found.pop(0))
    assert {index - 1: value for index, value in bits(found.items()).items()} == bits(run_many(jobs()[:4], workers=1))


@pytest.mark.slow
def test_leaving_early_drops_the_jobs_that_wait(scheduler):
    from distributed import Client

    waiting = [(one_rc(), ENDLESS, None)] * 6
    with Client(scheduler, set_as_default=False) as client:
        results = run_many([(one_rc(), OperatingPoint(), None), *waiting], scheduler=scheduler, timeout=5.0)
        assert next(results)[0] == 0
        assert any(client.processing().values())
        results.close()
        deadline = time.monotonic() + 4.0  # less than one of them would take
        while any(client.processing().values()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any(client.processing().values())


@pytest.mark.slow
def test_a_scheduler_without_workers_is_not_waited_for_for_ever(monkeypatch):
    import distributed

    monkeypatch.setattr(parallel, "_WORKERLESS_LIMIT", 1.0)
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as cluster:
        found = dict(run_many(jobs()[:3], scheduler=cluster.scheduler_address))
    assert sorted(found) == [0, 1, 2]
    assert all("has had no worker for 1 s; start some (dask worker tcp://" in str(error) for error in found.values())


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "no address", "carrier-pigeon://host:1"])
def test_a_scheduler_that_does_not_answer_is_named(monkeypatch, address):
    monkeypatch.setattr(parallel, "_ANSWER_LIMIT", 0.5)
    with pytest.raises(SchedulerMissing, match=f"no dask scheduler answers at '{address}'.*check the address"):
        list(run_many(jobs(), scheduler=address))


def test_what_is_no_place_to_work_is_rejected_at_once(monkeypatch):
    with pytest.raises(InputError, match=r"workers = 2 .*leave one of them out"):
        run_many(jobs(), workers=2, scheduler="tcp://localhost:1")
    for address in ("", 8786, ("tcp", 1)):
        with pytest.raises(InputError, match=r"scheduler = .*tcp://host:8786"):
            run_many(jobs(), scheduler=address)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'thermograd\[study\]'"):
        run_many(jobs(), scheduler="tcp://localhost:1")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_generator_is_no_seed_for_many(workers):
    """Its draws would go to whichever job comes first."""
    generator = np.random.default_rng(1)
    rc = random_rc(2, 1).netlist
    found = dict(run_many([(rc, NOISY, generator), (rc, NOISY, 1)], workers=workers))
    assert isinstance(found[0], InputError)
    assert "SeedSequence" in str(found[0])
    assert found[1].time.size == NOISY.steps


@given(
    kelvin=st.floats(1e-3, 1e6),
    own=st.none() | st.floats(1e-3, 1e6),
    ohm=st.floats(1e-12, 1e12),
    initial=st.none() | st.floats(-1e9, 1e9),
    noisy=st.booleans(),
    ac=st.floats(-1e3, 1e3),
)
def test_a_netlist_travels_with_all_its_bits(kelvin, own, ohm, initial, noisy, ac):
    """As dask sends it."""
    netlist = Netlist("any", temperature=kelvin)
    netlist.add(
        Resistor("R1", "a", "0", ohm, own, noisy), Capacitor("C1", "a", "0", ohm, initial), *one_rc(ac=ac).elements[:1]
    )
    arrived = pickle.loads(pickle.dumps(netlist))  # noqa: S301 - written a moment ago
    assert (arrived.temperature, arrived.elements, arrived.nodes) == (kelvin, netlist.elements, netlist.nodes)
    assert arrived.cards() == netlist.cards()
