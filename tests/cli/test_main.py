"""The entry point: help, version, exit codes, one clear line for whatever is wrong, pipes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from thermograd.circuits.errors import (
    InputError,
    SchedulerMissing,
    SimulationError,
    SimulationTimeout,
    SimulatorMissing,
    WorkerDied,
)
from thermograd.cli import hardware
from thermograd.cli import main as cli

from .command_line import Run, assert_rejected, is_one_line, shell

COMMANDS = (
    "compile",
    "simulate",
    "characterise",
    "calibrate",
    "train",
    "study",
    "report",
    "landscape",
    "cost",
    "doctor",
    "technology",
    "demo",
)


def test_help_is_shown_without_arguments_and_lists_every_command(run: Run) -> None:
    code, bare, _ = run()
    assert code == 0
    assert all(re.search(rf"\b{name}\b", bare) for name in COMMANDS)
    code, asked, _ = run("--help")
    assert (code, asked.strip()) == (0, bare.strip())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples_and_json(run: Run, command: str) -> None:
    code, text, error = run(command, "--help")
    assert (code, error) == (0, "")
    assert "Examples" in text
    assert f"thermograd {command}" in text
    assert "--json" in text


def test_version(run: Run) -> None:
    import thermograd

    assert run("--version") == (0, f"thermograd {thermograd.__version__}\n", "")


def test_help_and_the_fast_commands_load_nothing_heavy() -> None:
    script = (
        "import sys\nfrom thermograd.cli.main import main\n"
        "assert main(['--help']) == 0 and main(['train', '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'scipy', 'matplotlib', 'sklearn', 'PySpice'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=300)


def test_the_app_also_runs_under_typers_own_runner() -> None:
    assert CliRunner().invoke(cli.app, ["technology", "paper"]).exit_code == 0


BAD: dict[str, tuple[list[str], str]] = {
    "no such command": (["compil"], "compil"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(files: Run, case: str) -> None:
    assert_rejected(files, *BAD[case])


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("bad\n  entry"), 2, "error: bad entry\n"),
        (SimulatorMissing("no libngspice"), 2, "error: no libngspice\n"),
        (SchedulerMissing("no dask scheduler"), 2, "error: no dask scheduler\n"),
        (SimulationError("ngspice:\nsingular matrix\x1b[31m"), 1, "error: ngspice: singular matrix?[31m\n"),
        (SimulationTimeout("too slow"), 1, "error: too slow\n"),
        (WorkerDied("gone"), 1, "error: gone\n"),
        (PermissionError(13, "Permission denied", "x.csv"), 2, "x.csv: Permission denied"),
        (MemoryError(), 1, "out of memory"),
        (ZeroDivisionError("division by zero"), 1, "unexpected ZeroDivisionError.*please report"),
        (KeyboardInterrupt(), 130, "^interrupted\n"),
    ],
)
def test_every_error_has_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(hardware, "read_technology", fail)
    found, out, printed = run("technology", "paper")
    assert (found, out, printed.count("\n")) == (code, "", 1)
    assert re.search(message.replace("?[", r"\?\["), printed), printed
    monkeypatch.setenv("THERMOGRAD_DEBUG", "1")
    if code != 130:
        with pytest.raises(type(error)):
            cli.main(["technology", "paper"])


def test_processes_end_with_the_right_code_and_without_a_traceback(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.array([[1.0, np.nan], [np.nan, 1.0]]))
    bad = shell("compile", "bad.npy", folder=tmp_path)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert is_one_line(bad.stderr)
    loud = shell("compile", "bad.npy", folder=tmp_path, THERMOGRAD_DEBUG="1")
    assert loud.returncode == 1
    assert "Traceback" in loud.stderr
    usage = shell("compile", folder=tmp_path)
    assert (usage.returncode, is_one_line(usage.stderr)) == (2, True)
    good = shell("technology", "paper", "--json", folder=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    json.loads(good.stdout)


@pytest.mark.skipif(os.name != "posix", reason="pipes end differently elsewhere")
def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m thermograd technology --json"
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.stderr == ""
    assert ended.returncode in (0, 141)


@pytest.mark.parametrize("command", ["simulate A.npy", "calibrate --quick", "doctor"])
def test_an_absent_simulator_is_one_line_with_the_remedy(
    files: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THERMOGRAD_NGSPICE", "/nowhere/libngspice.so")
    code, out, error = files(*command.split())
    assert code == 2
    assert is_one_line(error)
    assert re.search("libngspice.*/nowhere.*apt-get install", error)
    assert not Path("card.json").exists()
    assert ("missing" in out) == (command == "doctor")
