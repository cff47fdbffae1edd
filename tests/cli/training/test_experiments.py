"""`thermograd train` with a file of several runs, overrides, several seeds; what it writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ..command_line import Run, assert_rejected

FILE = """
task = "digits"
seeds = [0, 1]
steps = 4
evaluate_every = 2
baseline = "Adam"
[[run]]
label = "Adam"
optimizer = "adam"
[[run]]
label = "TNGD, v1.5"
optimizer = "tngd"
batch = 2
steps = 2
device = { kind = "surrogate", card = "integrated", extrapolate = true }
dies = [1]
"""


@pytest.fixture
def file(run: Run) -> Run:
    Path("few.toml").write_text(FILE, encoding="utf-8")
    return run


def test_an_experiment_writes_metrics_tables_events_and_a_picture(file: Run) -> None:
    from pyarrow import parquet

    code, out, error = file(
        "train", "few.toml", "--out", "runs", "--plot", "c.png", "--tensorboard", "--workers", "1",
        "--set", "run.TNGD, v1.5.settings.damping=0.5", "--set", "run.Adam.settings={lr = 0.02, betas = [0.8, 0.9]}",
    )  # fmt: skip
    assert code == 0, error
    assert "difference to Adam, 95 %" in out
    assert "steps to final loss of Adam" in out
    assert "with the same seed" in error
    rows = parquet.read_table("runs/metrics.parquet").to_pylist()
    assert len(rows) == 2 * 5 + 2 * 3
    first = [row for row in rows if (row["run"], row["seed"]) == ("Adam", 1)]
    assert [row["step"] for row in first] == [0, 1, 2, 3, 4]
    assert [row["score"] is None for row in first] == [False, True, False, True, False]
    assert first[0]["loss"] is None
    assert first[1]["loss"] > 2
    assert {row["die"] for row in rows} == {None, 1}
    assert first[4]["hardware_seconds"] > 0 < first[4]["processor_seconds"]
    data = json.loads(Path("runs/results.json").read_text(encoding="utf-8"))
    assert data["experiment"]["runs"][1]["settings"] == {"damping": 0.5}
    assert [row["label"] for row in data["table"]] == ["Adam", "TNGD, v1.5"]
    assert "| TNGD, v1.5 | 2 x 1 | 2 |" in Path("runs/table.md").read_text(encoding="utf-8")
    assert Path("c.png").read_bytes().startswith(b"\x89PNG")
    events = sorted(path.parent.relative_to("runs/tensorboard").as_posix() for path in Path("runs").rglob("events.*"))
    assert events == ["Adam/seed0", "Adam/seed1", "TNGD_v1.5/seed0-die1", "TNGD_v1.5/seed1-die1"]


def test_tables_of_another_experiment_are_not_replaced_without_a_word(file: Run) -> None:
    Path("few.toml").write_text(FILE[: FILE.rindex("[[run]]")], encoding="utf-8")  # the first run says it all
    one = ("train", "few.toml", "--out", "runs", "--workers", "1", "--seeds", "0", "--steps", "1")
    for options, said in (((), False), ((), False), (("--set", "run.Adam.settings.lr=0.02"), True)):
        code, _, error = file(*one, *options)
        assert code == 0, error
        assert ("were of another experiment" in error) is said


def test_several_seeds_without_a_file_are_those_trainings(run: Run) -> None:
    options = ["--optimizer", "adam", "--lr", "0.02", "--steps", "3", "--schedule", "cosine"]
    code, out, error = run("train", *options, "--seeds", "0,2", "--out", "runs", "--workers", "1", "--json")
    assert code == 0, error
    ends = {one["seed"]: one["score"] for one in json.loads(out)["trainings"]}
    alone = json.loads(run("train", *options, "--seed", "2", "--json")[1])
    assert ends[2] == alone["final_score"]
    assert set(ends) == {0, 2}


def test_options_are_for_all_runs(file: Run) -> None:
    from thermograd.cli.training.many import experiment_of, table_of_file

    table = table_of_file(Path("few.toml"))
    found = experiment_of(table, Path(), ["run.TNGD, v1.5.dies=[4, 5]"], "3", Path("mnist.npz"), 7)
    assert [run.steps for run in found.runs] == [7, 7]  # also of the run that has a number of its own
    assert (found.seeds, found.settings, found.runs[1].dies) == ((3,), {"path": "mnist.npz"}, (4, 5))
    assert table == table_of_file(Path("few.toml"))


@pytest.mark.parametrize("missing", ["pyarrow", "torch.utils.tensorboard"])
def test_a_missing_extra_is_said_before_training(file: Run, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert_rejected(file, ["train", "few.toml", "--tensorboard"], r"pip install 'thermograd\[study\]'")


def set_(*assignments: str) -> list[str]:
    return ["train", "few.toml", *(word for text in assignments for word in ("--set", text))]


BAD: dict[str, tuple[list[str], str]] = {
    "no file": (["train", "none.toml"], "'none.toml' cannot be read"),
    "no assignment": (set_("steps"), "'steps' is not KEY=VALUE"),
    "unknown field": (set_("stepz=3"), "field 'stepz' is unknown; there are: task, .* did you mean steps"),
    "unknown run": (set_("run.Adm.steps=3"), "run 'Adm' is unknown; there are: Adam, TNGD, v1.5; did you mean Adam"),
    "unknown field of a run": (set_("run.Adam.step=3"), "field 'step' is unknown; .* did you mean steps"),
    "unknown field of a device": (set_("run.Adam.device.crad=1"), "field 'crad' is unknown; .* did you mean card"),
    "unknown setting": (set_("run.Adam.settings.lrr=1"), "setting of adam 'lrr' is unknown; .* did you mean lr"),
    "unknown setting of the task": (set_("settings.hiden=1"), "setting 'hiden' is unknown; .* did you mean hidden"),
    "no run": (set_("run=3"), "name a run and its field, such as run.Adam.steps=100; runs: Adam"),
    "whole run": (set_("run.Adam=3"), "what of run 'Adam'"),
    "no table": (set_("steps.x=3"), "steps is a value, no table"),
    "no table of a device": (
        set_("run.Adam.device=ideal", "run.Adam.device.kind=ideal"),
        "device is 'ideal', no table",
    ),
    "type": (set_("steps=many"), "steps.*'many' is no integer"),
    "type of a setting": (set_("run.Adam.settings.lr=fast"), "run 'Adam': lr is 'fast': give a number"),
    "option of one training": (["train", "few.toml", "--lr", "0.1"], "--set run.LABEL.settings.lr=VALUE"),
    "checkpoint": (["train", "--seeds", "0,1", "--checkpoint", "c.pt"], "--checkpoint does not apply to several"),
    "both seeds": (["train", "--seeds", "0,1", "--seed", "2"], "--seed does not apply to several"),
    "set without a file": (["train", "--set", "steps=3"], "--set is for several trainings"),
    "schedule": (["train", "--schedule", "linear"], "schedule is 'linear': give one of constant, cosine"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(file: Run, case: str) -> None:
    assert_rejected(file, *BAD[case])
