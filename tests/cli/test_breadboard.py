"""A board of op-amps with one output, as a user has it: compiled, calibrated, simulated in both ways, and trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from thermograd.compiler.program_io import load_program

from ..systems import spd
from .command_line import Run, save

MATRIX, RIGHT = spd(6, 20.0, 5), np.array([1.0, -2.0, 0.5, 0.3, -0.7, 1.5])


def test_a_matrix_becomes_inverting_integrators_with_inverters(run: Run) -> None:
    code, out, error = run("compile", save("s.npz", A=MATRIX, b=RIGHT), "--technology", "breadboard", "--out", "board")
    assert code == 0, error
    assert "crossbar_single for 6 unknowns, technology breadboard" in out
    assert "not crossbar: its amplifiers need two outputs, and technology breadboard's have one" in out
    program = load_program("board")
    inverters = int((MATRIX < 0).any(axis=0).sum())
    assert program.report.parts["amplifier"] == 6 + inverters
    assert f"amplifier,,,{6 + inverters}," in Path("board.bom.csv").read_text(encoding="utf-8")
    code, _, error = run("compile", "s.npz", "--technology", "breadboard", "--fabric", "crossbar")
    assert (code, error.count("\n")) == (2, 1)
    assert "use fabric='crossbar_single'" in error
    assert run("cost", "--program", "board.json", "--rounds", "0,2")[0] == 0


@pytest.mark.long
def test_ngspice_and_a_calibrated_die_agree_and_the_die_trains(run: Run) -> None:
    code, _, error = run(
        "calibrate", "--technology", "breadboard", "--quick", "--out", "card.json", "--require", "0.98"
    )
    assert code == 0, error
    held = json.loads(Path("card.json").read_text(encoding="utf-8"))["held_out"]
    save("s.npz", A=MATRIX, b=RIGHT)
    solve = ("simulate", "s.npz", "--reading", "bare", "--json")
    spice = json.loads(run(*solve, "--technology", "breadboard", "--die", "7")[1])
    same, other = (json.loads(run(*solve, "--card", "card.json", "--die", die)[1]) for die in ("7", "8"))
    assert spice["fabric"] == same["fabric"] == "crossbar_single"
    size = np.linalg.norm(spice["exact"])
    # What the card leaves unexplained is of worse conditioned systems, converters' steps and noise in it.
    assert np.linalg.norm(np.subtract(spice["x"], same["x"])) < held["residual"] * size
    assert np.linalg.norm(np.subtract(spice["x"], other["x"])) > 3 * held["residual"] * size
    refined = json.loads(run("simulate", "s.npz", "--technology", "breadboard", "--die", "7", "--json")[1])
    assert refined["relative_error"] < 1e-2 * spice["relative_error"]
    code, out, error = run(
        *solve, "--technology", "breadboard", "--die", "7", "--fabric", "crossbar_single", "--layout"
    )
    assert (code, json.loads(out)["x"]) == (0, spice["x"])
    assert "--layout adds nothing: technology breadboard states no wires" in error
    why = run("simulate", "s.npz", "--card", "card.json", "--die", "7", "--why", "--json")
    assert why[0] == 0
    assert "offsets" in json.dumps(json.loads(why[1])["causes"])
    train = ("train", "--steps", "60", "--batch", "8", "--lr", "0.3", "--damping", "0.3", "--json")
    exact = json.loads(run(*train, "--optimizer", "ngd")[1])
    on_a_die = json.loads(run(*train, "--device", "surrogate", "--card", "card.json", "--die", "7", "--extrapolate")[1])
    assert on_a_die["final_score"] > 0.85
    assert abs(on_a_die["final_score"] - exact["final_score"]) < 0.02
