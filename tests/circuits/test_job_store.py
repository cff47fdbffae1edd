"""Finished jobs on disk: nothing lost, nothing run twice, and a damaged file is its job's business only."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.job_store import JSON, JobStore, job_key

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def by_value(function):
    """Sent to other processes as code: they cannot import a test's module."""
    function.__module__ = "__main__"
    return function


@by_value
def square(k):
    return {"square": k * k, "third": k / 3}


@by_value
def fail_at_two(k):
    if k == 2:
        raise ValueError("two")
    return square(k)


def keyed(count):
    return {job_key("square", k): k for k in range(count)}


@given(plain)
def test_plain_data_comes_back_with_all_its_bits(data):
    assert repr(JSON.decode(JSON.encode(data))) == repr(data)


def test_a_nan_comes_back():
    assert math.isnan(JSON.decode(JSON.encode({"loss": math.nan}))["loss"])


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3), st.floats(0, 1))
def test_a_damaged_file_is_no_result_or_the_one_that_was_kept(changes, length):
    blob = bytearray(JSON.encode({"accuracy": 0.9375, "outcomes": {"ok": 17}}))
    for place, value in changes:
        blob[int(place * len(blob))] = value
    found = JSON.decode(bytes(blob[: round(length * len(blob))]))
    assert found is None or found == {"accuracy": 0.9375, "outcomes": {"ok": 17}}


def test_one_digit_changed_is_no_result():
    """Negative control: without the checksum it would be another result."""
    blob = JSON.encode({"accuracy": 0.9375}).replace(b"0.9375", b"0.9376")
    assert json.loads(blob)["result"] == {"accuracy": 0.9376}
    assert JSON.decode(blob) is None


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_kept_is_not_computed_again(tmp_path, workers):
    seen = []
    store = JobStore(tmp_path / "runs")
    first = dict(store.map(square, keyed(4), workers, progress=lambda done, total: seen.append((done, total))))
    assert first == {job_key("square", k): square(k) for k in range(4)}
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(ZeroDivisionError):
        dict(JobStore(tmp_path / "runs").map(lambda k: 1 // 0, keyed(5), workers))
    assert dict(JobStore(tmp_path / "runs").map(lambda k: 1 // 0, keyed(4), workers)) == first
    assert dict(JobStore(None).map(square, keyed(4), workers)) == first  # nothing kept, all computed


def test_a_torn_or_damaged_file_is_written_anew(tmp_path):
    store = JobStore(tmp_path)
    expected = dict(store.map(square, keyed(3), 1))
    torn, damaged, _ = (store.path(key) for key in expected)
    torn.write_bytes(torn.read_bytes()[:20])
    damaged.write_bytes(damaged.read_bytes().replace(b"1", b"7"))
    computed = []

    def work(k):
        computed.append(k)
        return square(k)

    assert dict(store.map(work, keyed(3), 1)) == expected
    assert computed == [0, 1]
    assert all(store.read(key) == value for key, value in expected.items())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_job_costs_no_finished_one(tmp_path, workers):
    with pytest.raises(ValueError, match="two"):
        list(JobStore(tmp_path).map(fail_at_two, keyed(3), workers))
    kept = {key for key in keyed(3) if JobStore(tmp_path).read(key) is not None}
    assert list(keyed(3))[2] not in kept
    if workers == 1:
        assert len(kept) == 2


def test_an_exception_that_is_a_result_is_passed_on_and_not_kept(tmp_path):
    store = JobStore(tmp_path)

    def compute(missing):
        yield from ((k, ValueError(job) if job == 1 else job) for k, job in enumerate(missing))

    found = dict(store.resume({"a": 0, "b": 1, "c": 2}, compute))
    assert isinstance(found["b"], ValueError)
    assert (store.read("a"), store.read("b"), store.read("c")) == (0, None, 2)


def test_two_writers_of_one_folder_lose_nothing(tmp_path):
    def write(start):
        for k in range(60):
            JobStore(tmp_path).write(f"{k if start else 59 - k}", square(k if start else 59 - k))

    threads = [threading.Thread(target=write, args=(start,)) for start in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(JobStore(tmp_path).read(f"{k}") == square(k) for k in range(60))
    assert len(list(tmp_path.iterdir())) == 60


SCRIPT = """
    import sys, time
    from thermograd.circuits.job_store import JobStore
    def work(k):
        time.sleep(0.1)
        print(k, flush=True)
        return k * k
    for key, value in JobStore(sys.argv[1]).map(work, {f"job-{k}": k for k in range(12)}, 1):
        pass
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_with_nothing_lost_and_nothing_run_twice(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    before = {path.name for path in tmp_path.glob("job-*.json")}
    assert 4 <= len(before) < 12
    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout.split()
    assert {f"job-{k}.json" for k in again}.isdisjoint(before)
    assert [JobStore(tmp_path).read(f"job-{k}") for k in range(12)] == [k * k for k in range(12)]


def test_keys():
    keys = [
        job_key(1, "a"),
        job_key(1, "b"),
        job_key("1", "a"),
        job_key([1, "a"]),
        job_key(1.0, "a"),
        job_key({"1": "a"}),
    ]
    assert len(set(keys)) == 6
    assert job_key({"a": 1, "b": 2}) == job_key({"b": 2, "a": 1})
    with pytest.raises(InputError, match="job_key"):
        job_key(object())


def test_bad_folders_and_keys_raise(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        JobStore(tmp_path / "file")
    for key in ("", "a/b", "../x", ".hidden", "a" * 151, None):
        with pytest.raises(InputError, match="job key"):
            JobStore(tmp_path).path(key)
        with pytest.raises(InputError, match="job key"):
            JobStore(tmp_path).map(square, {key: 1})
    with pytest.raises(InputError, match="leave one of them out"):
        JobStore(tmp_path).map(square, {"a": 1}, 2, "tcp://localhost:1")
