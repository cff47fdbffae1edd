"""The README's promises: its code runs as printed, its commands exist, its links lead somewhere."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thermograd.cli.main import main

ROOT = Path(__file__).parents[1]
FLOORS = ("circuits", "compiler", "devicemodel", "optim", "report", "cli")
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
COMMANDS = re.findall(r"^    thermograd (\S+)((?: +[^\s#]+)*)", TEXT, flags=re.MULTILINE)


@pytest.mark.slow
def test_the_python_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one interpreter and an empty folder, as a reader would."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    for code in CODE:
        exec(compile(code, "README.md", "exec"), found)
    exact = np.linalg.solve(found["A"], found["b"])
    program = found["program"]
    # 8 bit codes and finite gain: the report's own figure; the last sample also has noise.
    np.testing.assert_allclose(program.decode(found["settled"].voltages), exact, atol=0.03)
    np.testing.assert_allclose(program.decode(found["noisy"].voltages)[:, -1], exact, atol=0.03)
    np.testing.assert_allclose(found["solution"].x, exact, atol=0.1)
    assert found["card"].held_out.explained_variance > 0.95
    [capacitor] = found["board"].values
    assert capacitor.value == pytest.approx(1.1e-9, abs=5 * capacitor.std)
    assert capacitor.std < 1e-11
    assert 0 < float(found["loss"]) < math.log(10)  # of random labels before the first step
    assert found["history"].final_score > 0.4


@pytest.mark.parametrize(
    "name",
    [
        "KFAC",
        "NGDCG",
        "Macromodel",
        "run",
        "read_spice",
        "calibrate_from_measurements",
        "LevenbergMarquardt",
        "compile_matrix",
    ],
)
def test_the_first_lines_of_the_three_kinds_of_users_are_there(name: str) -> None:
    assert any(f"tg.{name}(" in code for code in CODE)


def test_the_reading_guide_is_the_tree() -> None:
    listed = set(re.findall(r"^\| `([a-z_/]+)/` \|", TEXT, flags=re.MULTILINE))
    found = {path.parent.relative_to(ROOT) for floor in FLOORS for path in (ROOT / floor).rglob("__init__.py")}
    rooms = {Path(*room.parts[:2]) for room in found}  # what is inside of a room belongs to it
    rooms -= {room for room in rooms if any(room in other.parents for other in rooms)}  # floors are their rooms
    assert listed == {str(room) for room in rooms} | {"cli"}
    for first in re.findall(r"^\| `[a-z_/]+/` \|.*\| `([^`]+)` \|$", TEXT, flags=re.MULTILINE):
        assert (ROOT / first).is_file(), first


@pytest.mark.parametrize(("command", "options"), COMMANDS)
def test_each_command_knows_its_options(command: str, options: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", options):
        assert option in text


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", TEXT):
        assert (ROOT / target).exists(), target
