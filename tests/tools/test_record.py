"""tools/record: the same seeds give the same record, and a comparison finds what differs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from thermograd.tools.record.cases import all_cases
from thermograd.tools.record.compare import arrays_differ, compare, relative, texts_differ
from thermograd.tools.record.store import keep, run_case, write

ROOT = Path(__file__).resolve().parents[2]
FEW = (
    "compiler/crossbar_n2_seed1",
    "devices/surrogate/crossbar_uneven_reads",
    "devices/ideal/noisy_64",
    "optimizers/mlp_entropy_tngd_reads",
    "commands/wrong",
)
"""A netlist with its report, noise of a device and of ideal cells, an optimizer's steps, a command."""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The same few cases, recorded twice in this process."""
    folders = [tmp_path_factory.mktemp("record") for _ in range(2)]
    for folder in folders:
        for case in all_cases():
            if case[0] in FEW:
                run_case(folder, case)
    return folders


def test_names_of_cases_are_unique():
    names = [name for name, _, _ in all_cases()]
    assert len(set(names)) == len(names)
    assert set(FEW) < set(names)


def test_two_records_of_the_same_code_are_identical(records, capsys):
    old, new = records
    assert not list(old.rglob("*.error"))
    assert compare(old, new) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 + len([path for path in old.rglob("*") if path.is_file()]) > 25
    assert said[-1].endswith("items, 0 not identical")


def test_a_changed_number_a_changed_text_and_a_missing_item_are_found(records, tmp_path, capsys):
    old, new = records[0], tmp_path / "new"
    shutil.copytree(old, new)
    arrays = new / "devices/surrogate/crossbar_uneven_reads/runs.npz"
    kept = dict(np.load(arrays))
    kept["solve 0.0"] = np.nextafter(kept["solve 0.0"], np.inf)  # the last bit
    np.savez(arrays, **kept)
    netlist = new / "compiler/crossbar_n2_seed1/nominal.ngspice.cir"
    text = netlist.read_text()
    netlist.write_text(text.replace("\n", "\n* a comment\n", 1))
    (new / "commands/wrong/output.txt").unlink()
    assert compare(old, new) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("    ")]
    found = {line.split(": ")[0]: line for line in said if not line.endswith(": identical")}
    assert "solve 0.0 by" in found["devices/surrogate/crossbar_uneven_reads/runs.npz"]
    assert "text differs" in found["compiler/crossbar_n2_seed1/nominal.ngspice.cir"]
    assert "missing in" in found["commands/wrong/output.txt"]
    assert said[-1].endswith("3 not identical")


def test_sizes_of_differences(tmp_path):
    assert relative(np.array([1.0, np.nan, np.inf]), np.array([1.0, np.nan, np.inf])) == 0
    assert relative(np.array([1.0, -4.0]), np.array([1.0, -3.0])) == 0.25
    assert np.isinf(relative(np.array([1.0]), np.array([np.inf])))
    assert texts_differ("R1 2.0 ohm", "R1 2.0 ohm") == ""
    assert texts_differ("R1 2.0 ohm", "R1 2.5 ohm").startswith("1 numbers differ, by 0.2 at most")
    assert texts_differ("R1 2.0 ohm", "R2 2.0 Ohm").startswith("text differs")
    keep(tmp_path / "a.npz", {"x": [1, 2], "y": {"z": np.array(1 + 2j)}})
    keep(tmp_path / "b.npz", {"x": [1, 3]})
    assert set(np.load(tmp_path / "a.npz")) == {"x", "y.z"}
    found = arrays_differ(tmp_path / "a.npz", tmp_path / "b.npz")
    assert "['y.z'] are in one of them only" in found
    assert "x by 0.5" in found


def failing():
    """An item, one that fails when it is worked out, one more, and the end."""
    yield "first.txt", "first"
    yield "second.npz", lambda: 1 / 0
    yield "third.json", [1, 2]
    raise RuntimeError("the case ends here")


def good():
    """One item."""
    yield "only.npz", [1.0]


def test_a_failing_case_costs_only_itself(tmp_path, capsys):
    cases = [("bad", failing, ()), ("good", good, ())]
    for case in cases:
        run_case(tmp_path, case)
    assert (tmp_path / "bad/first.txt").read_text() == "first"
    assert (tmp_path / "bad/third.json").read_text() == "[\n 1,\n 2\n]\n"
    assert (tmp_path / "bad/second.npz.error").read_text() == "ZeroDivisionError: division by zero\n"
    assert (tmp_path / "bad.error").read_text() == "RuntimeError: the case ends here\n"
    assert np.load(tmp_path / "good/only.npz")["value"] == 1
    run_case(tmp_path, ("bad", good, ()))  # a case that works again leaves no error
    assert not (tmp_path / "bad.error").exists()
    assert write(tmp_path, cases, [], 1) == 2  # a whole record is not mixed with another one
    assert write(tmp_path, cases, ["other"], 1) == 2
    assert "begins with other" in capsys.readouterr().out


@pytest.mark.long
def test_the_command(tmp_path):
    command = [sys.executable, "-m", "tools.record", "write", str(tmp_path), "devices/tile/ideal", "--workers", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 items of 1 cases, 0 failed")
    assert compare(tmp_path, tmp_path) == 0
    assert compare(tmp_path, tmp_path / "nothing") == 1
