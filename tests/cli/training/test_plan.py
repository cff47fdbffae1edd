"""`thermograd study PLAN.toml`: table, picture, and what does not go with a plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thermograd.optim.codesign.plans import read_table
from thermograd.optim.codesign.plans.sent import LevelChoice, _made

from ...optim.codesign.plans.levels import Digested
from ..command_line import Run, assert_rejected

PLAN = """
task = "digits"
card = "integrated"
steps = 9
batch = 2
dies = [1, 2]
[knobs]
adc.bits = [3, 8]
"""


def test_a_plan_is_run_shown_and_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LevelChoice, "make", lambda self, task: Digested([]))
    _made.clear()
    Path("bits.toml").write_text(PLAN, encoding="utf-8")
    code, out, error = run("study", "bits.toml", "--workers", "1")
    assert code == 0, error
    assert "std over dies" in out
    assert "9 runs, " in error
    folder = Path("out/study/bits")
    frame = read_table(folder)
    assert len(frame) == 9
    assert (folder / "table.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads(run("study", "bits.toml", "--workers", "1", "--json")[1])
    assert data["points"][0]["point"] == {"adc.bits": 3}
    assert data["finished"] == 9
    Path("both.toml").write_text(PLAN + '"adc.noise" = [0.0, 0.01]\n', encoding="utf-8")
    assert run("study", "both.toml", "--workers", "1", "--out", "both")[0] == 0
    assert len(read_table("both")) == 17
    _made.clear()


def test_dies_are_judged_by_a_target(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LevelChoice, "make", lambda self, task: Digested([]))
    _made.clear()
    Path("bits.toml").write_text(PLAN, encoding="utf-8")
    code, out, error = run("study", "bits.toml", "--workers", "1", "--target", "accuracy >= exact_ngd - 100")
    assert code == 0, error
    assert "at every level from 3 bit to 8 bit: 2 of 2 dies" in " ".join(out.split())
    folder = Path("out/study/bits")
    assert (folder / "yields.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "yields.json").read_text(encoding="utf-8"))["levels"][0]["met"] == 2
    code, out, _ = run("study", "bits.toml", "--workers", "1", "--target", "accuracy >= 100 %", "--json")
    assert code == 1
    assert json.loads(out)["yields"]["any_level"] is False
    _made.clear()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "none.toml"], "none.toml' cannot be read"),
        (["study", "bad.toml"], "'knob' is unknown"),
        (["study", "bad.toml", "--dies", "1,2,3"], "--dies does not apply to a plan: write it into the file"),
        (["study", "good.toml", "--target", "F1 >= 3"], "there are: test accuracy"),
        (["study", "adc", "--target", "accuracy >= 97"], "--target judges the dies of a plan"),
    ],
)
def test_bad_plans_are_rejected(run: Run, arguments: list[str], message: str) -> None:
    Path("bad.toml").write_text('task = "digits"\n[knob]\nadc.bits = [3]', encoding="utf-8")
    Path("good.toml").write_text(PLAN, encoding="utf-8")
    assert_rejected(run, arguments, message)
