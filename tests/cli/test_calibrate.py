"""`thermograd calibrate`: exit codes by what is explained, and a card that drives a surrogate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thermograd.cli import hardware

from .command_line import A, B, Run, assert_rejected, card, save


@pytest.mark.parametrize(("explained", "expected"), [(0.96, 0), (0.94, 1), (float("nan"), 1)])
def test_calibrate_says_no_when_too_little_is_explained(
    run: Run, monkeypatch: pytest.MonkeyPatch, explained: float, expected: int
) -> None:
    monkeypatch.setattr(hardware, "make_card", lambda *_: card(explained))
    code, out, error = run("calibrate", "--out", "deep/c.json")
    assert code == expected
    assert "explained variance, held-out systems" in out
    assert Path("deep/c.json").exists()
    assert ("is required" in error) == bool(expected)
    code, out, _ = run("calibrate", "--json", "--require", "0.5")
    found = json.loads(out)
    assert found["passed"] is (code == 0) is (explained > 0.5)
    assert f"limited by {found['refinement']['limit']}" in found["refinement"]["sentence"]


@pytest.mark.slow
def test_calibrate_runs_ngspice_and_its_card_drives_a_surrogate(run: Run) -> None:
    save("s.npz", A=A, b=B)
    code, out, error = run("calibrate", "--quick", "--systems", "s.npz", "--require", "0.9", "--json")
    assert code == 0, error
    assert json.loads(out)["card"]["held_out"]["explained_variance"] >= 0.9
    code, out, _ = run("simulate", "s.npz", "--card", "card.json", "--die", "1", "--json")
    assert (code, json.loads(out)["outcome"]) == (0, "ok")


BAD: dict[str, tuple[list[str], str]] = {
    "system without b": (["calibrate", "--systems", "A.npz"], "right-hand side b beside A"),
    "empty folder": (["calibrate", "--systems", "folder.npy"], "holds no .npz files"),
    "indefinite system": (["calibrate", "--systems", "indefinite.npz"], r"indefinite\.npz': matrix is indefinite"),
    "fabric of a calibration": (["calibrate", "--fabric", "copper"], "'copper' cannot be calibrated; use 'auto' or"),
    "fabric of other amplifiers": (
        ["calibrate", "--technology", "breadboard", "--fabric", "crossbar"],
        "its amplifiers need two outputs.*use fabric='crossbar_single'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(files: Run, case: str) -> None:
    assert_rejected(files, *BAD[case])
