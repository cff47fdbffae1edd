"""What the commands say and write: JSON, text that looks like markup, places that cannot be written into."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from thermograd.cli import outputs
from thermograd.optim.tasks.task import Score

from .command_line import A, Run, is_one_line, save


def test_json_has_no_numbers_that_json_lacks() -> None:
    data = {
        "a": np.array([1.0, np.nan]),
        "b": (float("inf"), np.float64(2)),
        "c": Path("x"),
        "d": {3: None},
        "e": np.int64(7),
        "f": Score("error", False, float("nan")),
    }
    record = {"name": "error", "more_is_better": False, "target": None, "percent": False}
    expected = {"a": [1.0, None], "b": [None, 2.0], "c": "x", "d": {"3": None}, "e": 7, "f": record}
    assert json.loads(outputs.to_json(data)) == expected


def test_an_output_in_an_impossible_place_is_rejected_before_the_work(run: Run) -> None:
    Path("file").write_text("", encoding="utf-8")
    code, _, error = run("simulate", save("A.npy", A), "--device", "ideal", "--out", "file/x.csv")
    assert code == 2
    assert is_one_line(error)
    assert "cannot be made" in error


def test_square_brackets_are_text_and_not_markup(run: Run) -> None:
    code, _, error = run("compile", "[red]x[/red].npy")
    assert code == 2
    assert "[red]x[/red].npy" in error


def test_every_bad_outcome_has_advice() -> None:
    from thermograd.devicemodel.device import Outcome

    assert set(outputs.ADVICE) == {outcome.value for outcome in Outcome if outcome is not Outcome.OK}
