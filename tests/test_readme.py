"""The README's promises: its code runs as printed, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from thermograd.cli.main import main

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    thermograd (\S+)((?: +[^\s#]+)*)", TEXT, flags=re.MULTILINE)


@pytest.mark.slow
def test_the_python_runs_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    [code] = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert ".end" in printed
    solved, exact = names["device"].solve(names["tg"].Dense(names["A"]), names["b"], 50.0).x, [0.8940, -1.1258]
    torch.testing.assert_close(solved, torch.tensor(exact, dtype=torch.float64), rtol=0.1, atol=0.05)
    assert 1.5 < float(names["loss"]) < 3.5


@pytest.mark.parametrize(("command", "options"), COMMANDS)
def test_each_command_knows_its_options(command: str, options: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", options):
        assert option in text


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", TEXT):
        assert (ROOT / target).exists(), target
