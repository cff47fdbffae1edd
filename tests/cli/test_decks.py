"""`compile --params` and `--monte-carlo`: what they write, the commands of the documentation, and what they reject."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.spice.read import read_spice
from thermograd.circuits.technology.presets import PRESETS
from thermograd.compiler.decks.monte_carlo import monte_carlo_spice
from thermograd.compiler.decks.parametric import parametric_spice
from thermograd.compiler.program_io import load_program

from ..circuits.ngspice_command import needs_ngspice
from .command_line import A, B, Run, assert_rejected, save

DOCS = Path(__file__).resolve().parents[2] / "docs" / "compiler.md"


def test_the_netlist_and_the_deck_are_written_and_listed(run: Run) -> None:
    options = "--technology integrated --fabric crossbar --params --monte-carlo 20 --seed 3 --out deep/board --json"
    code, out, _ = run("compile", save("s.npz", A=A, b=B), *options.split())
    assert code == 0
    data = json.loads(out)
    assert "deep/board.mc.cir" in data["files"]
    assert all(Path(path).is_file() for path in data["files"])
    program = load_program("deep/board")
    assert Path("deep/board.cir").read_text(encoding="utf-8") == parametric_spice(program, B)
    expected = monte_carlo_spice(program, B, 20, seed=3, results="board.mc.txt")
    assert Path("deep/board.mc.cir").read_text(encoding="utf-8") == expected
    assert data["report"]["die_error"]["relative_error"] > 0.001
    assert len(data["report"]["die_error"]["deviation"]) == 3
    assert read_spice("deep/board.cir")["R1_1p"].resistance == pytest.approx(1e4)


def test_each_of_several_programs_has_a_deck_with_a_file_of_its_own(run: Run) -> None:
    options = (
        "--technology integrated --fabric crossbar --rounding stochastic --programs 2 --monte-carlo 20 --dialect xyce"
    )
    assert run("compile", save("s.npz", A=A, b=B), *options.split(), "--out", "m")[0] == 0
    assert run("compile", "s.npz", *options.replace("xyce", "ngspice").split(), "--out", "_my mean")[0] == 0
    assert all(".sampling" in Path(f"m-{k}.mc.cir").read_text(encoding="utf-8") for k in (1, 2))
    for k in (1, 2):
        assert f"wrdata my_mean-{k}.mc.txt x1" in Path(f"_my mean-{k}.mc.cir").read_text(encoding="utf-8")


@pytest.mark.parametrize("dialect", ["ngspice", "ltspice", "xyce"])
def test_amplifiers_of_choice_are_in_both_files(dialect: str, run: Run) -> None:
    """The macromodel's offsets vary, its other parts are numbers, and the header says what stands for an amplifier."""
    options = (
        "--technology breadboard --fabric crossbar_single --amplifier macromodel --params --monte-carlo 20 --out m"
    )
    assert run("compile", save("s.npz", A=A, b=B), *options.split(), "--dialect", dialect)[0] == 0
    for suffix, offset in ((".cir", "{offset}"), (".mc.cir", "{offset+")):
        text = Path(f"m{suffix}").read_text(encoding="utf-8")
        assert Macromodel(PRESETS["breadboard"].opamp).title in text
        sources = [line for line in text.splitlines() if line.startswith("VOS")]
        assert len(sources) == 5
        assert all(offset in line for line in sources)
        assert ".param gain" not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--monte-carlo 1 --b b.npy --out x", "--monte-carlo 1: a spread needs two dies"),
        ("--monte-carlo 0 --b b.npy --out x", "--monte-carlo 0"),
        ("--monte-carlo 10 --out x", "give it with --b FILE"),
        ("--monte-carlo 10 --b b.npy", "--out PREFIX"),
        ("--params", "--out PREFIX"),
        ("--monte-carlo 10 --b b.npy --out x", "technology ideal has no tolerances.*every die would be the same"),
        ("--monte-carlo 10 --b b.npy --out x --technology integrated --fabric lc", "fabric lc is not read at rest"),
    ],
)
def test_what_is_rejected(options: str, message: str, run: Run) -> None:
    save("A.npy", A)
    save("b.npy", B)
    assert_rejected(run, ["compile", "A.npy", *options.split()], message)


@needs_ngspice
def test_the_commands_of_the_documentation_run_in_an_empty_folder(tmp_path: Path) -> None:
    """And print the figures that it states."""
    page = DOCS.read_text(encoding="utf-8")
    section = page.split("## Values as parameters, and Monte Carlo")[1]
    commands = re.findall(r"^    (\S.*)$", section, flags=re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["python", "python", "thermograd", "ngspice"]
    printed = ""
    for command in commands:
        words = shlex.split(command)
        name = {"python": [sys.executable], "thermograd": [sys.executable, "-m", "thermograd"]}
        done = subprocess.run(
            [*name.get(words[0], words[:1]), *words[1:]],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed = done.stdout
    solutions = np.loadtxt(tmp_path / "board.mc.txt", skiprows=1)
    assert solutions.shape == (200, 4)
    for name, stated in re.findall(r"`(\w+_rms_error) = (\S+)`", section):
        assert float(re.search(rf"^{name} = (\S+)", printed, flags=re.MULTILINE)[1]) == pytest.approx(
            float(stated), abs=0.006e-3
        )
