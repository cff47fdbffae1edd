"""`thermograd error-budget` and `thermograd simulate --why`: what they print, write and reject."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from thermograd.devicemodel.error_budget.causes import CAUSES

from .command_line import A, B, Run, assert_rejected, card, save


def test_help_gives_examples(run: Run) -> None:
    assert "error-budget" in run("--help")[1]
    code, text, error = run("error-budget", "--help")
    assert (code, error) == (0, "")
    assert text.split("Examples")[1].count("thermograd error-budget") == 3
    assert run("simulate", "--help")[1].split("Examples")[1].count("--why") == 2


def test_simulate_says_why_the_reading_is_off(run: Run) -> None:
    card().write(Path("card.json"))
    arguments = ["simulate", save("s.npz", A=A, b=B), "--card", "card.json", "--die", "7", "--reading", "bare"]
    code, out, error = run(*arguments, "--why", "--json", "--plot", "c.png", "--page", "c.html")
    assert (code, error) == (0, "")
    data = json.loads(out)
    assert data["files"] == ["c.png", "c.html"]
    assert Path("c.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in Path("c.html").read_text(encoding="utf-8")
    causes = data["causes"]
    assert (causes["dies"], causes["device"], causes["layout"]) == ([7], "surrogate", False)
    assert causes["readings"]["bare"]["total"]["median"] == pytest.approx(data["relative_error"], rel=1e-12)
    named = [one["cause"] for one in causes["readings"]["bare"]["causes"]]
    assert {"mismatch", "codes", "DAC", "ADC", "noise", "leak", "temperature", "settling"} == set(named)
    assert "wires" not in named
    plain = run(*arguments, "--why", "--dies", "1,2", "--layout")[1]
    assert re.search(r"bare: .* over 2 readings\); without all causes", plain)
    assert re.search(r"│ wires +│", plain)
    assert json.loads(run(*arguments, "--json")[1]).get("causes") is None


def test_simulate_says_why_in_ngspice(run: Run) -> None:
    arguments = ["simulate", save("A.npy", A), "--technology", "integrated", "--die", "7", "--no-noise", "--why"]
    data = json.loads(run(*arguments, "--reading", "bare", "--json")[1])
    found = data["causes"]
    assert (found["device"], found["dies"]) == ("spice", [7])
    assert found["readings"]["bare"]["total"]["median"] == pytest.approx(data["relative_error"], rel=1e-12)
    # The ADC's noise is left; Johnson's was asked to be off.
    assert {one["cause"] for one in found["readings"]["bare"]["causes"]} >= {"mismatch", "codes", "noise", "offsets"}


@pytest.mark.long
def test_a_training_says_why_its_readings_are_off(run: Run) -> None:
    card().write(Path("card.json"))
    arguments = ["error-budget", "--card", "card.json", "--batch", 1, "--at", "1,2", "--dies", "1", "--rounds", 0]
    code, out, error = run(*arguments, "--json", "--out", "b.json")
    assert code == 0
    assert error == "wrote b.json\n"
    data = json.loads(out)
    assert (data["task"], data["steps"], data["dies"], data["rounds"]) == ("digits", [1, 2], [1], 0)
    assert json.loads(Path("b.json").read_text(encoding="utf-8"))["readings"] == data["readings"]
    bare = data["readings"]["bare"]
    assert len(bare["total"]["systems"]) == 2
    assert bare["ideal"]["most"] < 1e-10
    assert bare["causes"][-1]["remaining"] == bare["ideal"]
    assert {one["cause"] for one in bare["causes"]} <= {cause.name for cause in CAUSES}
    code, out, error = run(*arguments, "--plot", "b.png", "--page", "b.html", "--out", "b.md")
    assert code == 0
    assert "Causes of the error: digits, steps 1, 2, integrated (surrogate), die 1\n" in error
    assert re.search(r"refined, 0 rounds: .* over 2 readings", out)
    assert "| as it is |" in Path("b.md").read_text(encoding="utf-8")
    assert error.endswith("wrote b.png\nwrote b.html\nwrote b.md\n")


BAD: dict[str, tuple[list[str], str]] = {
    "dies without why": (["simulate", "A.npy", "--dies", "1,2"], "--dies is about the causes.*add --why"),
    "page without why": (["simulate", "A.npy", "--page", "x.html"], "--page is about the causes.*add --why"),
    "ideal": (["simulate", "A.npy", "--device", "ideal", "--why"], "--why does not apply to the ideal device"),
    "ideal layout": (["simulate", "A.npy", "--device", "ideal", "--layout"], "--layout does not apply.*surrogate or spice"),
    "no seed": (["simulate", "A.npy", "--why", "--dies", "1,x"], "--dies: 'x' is not a number"),
    "page's suffix": (["simulate", "A.npy", "--why", "--page", "x.png"], r"'\.png'.*\.html"),
    "half a step": (["error-budget", "--at", "1.5"], r"--at: 1\.5 is not a step"),
    "card and technology": (["error-budget", "--card", "c.json", "--technology", "paper"], "leave --technology out"),
    "table's suffix": (["error-budget", "--out", "x.csv"], r"'\.csv'.*\.json or \.md"),
    "no task": (["error-budget", "--task", "chess"], "chess"),
    "no card": (["error-budget", "--card", "none.json"], "none.json"),
    "bad duration": (["error-budget", "--duration", "-1", "--at", "0"], "duration is -1"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(files: Run, case: str) -> None:
    arguments, message = BAD[case]
    if arguments[0] == "error-budget" and "--card" not in arguments:
        np.save("unused.npy", np.eye(2))
        card().write(Path("card.json"))
        arguments = [*arguments, "--card", "card.json"]
    assert_rejected(files, arguments, message)
