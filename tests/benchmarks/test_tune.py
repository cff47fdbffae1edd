"""benchmarks/optim/tune.py: the best of known trials is found with the fewest runs, and what the options mean."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from thermograd.circuits.errors import InputError
from thermograd.optim.optimizers.damping import LevenbergMarquardt
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.tasks.task import Score

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "optim"))  # scripts, not a package

import task_table  # noqa: E402
import tune  # noqa: E402

ACCURACY, ERROR = Score("accuracy", True, 0.9, percent=True), Score("error", False, 1e-3)


def result(value):
    return {"score": value, "loss": value, "seconds": 1.0, "problem": "" if math.isfinite(value) else "diverged"}


def test_the_better_half_goes_on_and_what_diverged_is_last(tmp_path, monkeypatch):
    """Scores known for each rate: a rate that is lucky with the first seed alone does not win, one that diverges is never tried again."""
    known = {0.1: (0.80, 0.80, 0.80), 0.2: (0.90, 0.95, 0.95), 0.3: (0.96, 0.10, 0.99), 0.4: (math.nan,)}
    tried = []

    def score(search, trial):
        tried.append((trial.settings["lr"], trial.seed))
        return result(known[trial.settings["lr"]][trial.seed])

    monkeypatch.setattr(tune, "score", score)
    search = tune.Search("digits", {}, "adam", 1, None)
    ranked = tune.halving(search, [{"lr": lr} for lr in known], (0, 1, 2), tmp_path, 1)
    assert [settings["lr"] for settings, _ in ranked] == [0.2, 0.3, 0.1, 0.4]
    assert sorted(tried) == [(0.1, 0), (0.2, 0), (0.2, 1), (0.2, 2), (0.3, 0), (0.3, 1), (0.3, 2), (0.4, 0)]
    # Negative control: the first seed alone would choose another one.
    assert max((lr for lr in known if math.isfinite(known[lr][0])), key=lambda lr: known[lr][0]) == 0.3
    tried.clear()
    tune.halving(search, [{"lr": lr} for lr in known], (0, 1, 2), tmp_path, 1)
    assert not tried  # all kept
    text = tune.table(ACCURACY, ranked)
    assert "| lr 0.2 | 3 | 93.333 % ± 1.7 |" in text
    assert "(diverged)" in text


def test_errors_are_ranked_by_their_logarithm():
    low, high = [result(1e-6), result(1e-2)], [result(1e-3), result(1e-3)]
    assert tune.rank(ERROR, low) < tune.rank(ERROR, high)
    assert tune.rank(ACCURACY, low) < tune.rank(ACCURACY, high)  # means: 5e-3 above 1e-3
    assert tune.rank(ERROR, [result(math.nan)]) == math.inf


def test_trials_are_the_plans_and_points_of_the_space():
    space = tune.space_of("lr=0.01:1,schedule=constant|cosine,damping.start=0.1:10")
    settings = tune.trials(space, {"line_search": True}, 8)
    assert settings[0] == {"line_search": True}
    assert len(settings) == 8
    assert all(0.01 <= one["lr"] <= 1 and 0.1 <= one["damping.start"] <= 10 for one in settings[1:])
    assert {one["schedule"] for one in settings[1:]} == {"constant", "cosine"}
    assert sum(one["lr"] < 0.1 for one in settings[1:]) in (3, 4)  # half of them in the lower half of the logarithm
    made = tune.made(settings[1])
    assert made["damping"] == LevenbergMarquardt(start=settings[1]["damping.start"])
    assert "damping.start" not in made
    for text, message in (("lr", "give NAME=VALUE"), ("lr=1:0", "give 0 < LOW < HIGH"), ("lr=a:b", "two numbers")):
        with pytest.raises(InputError, match=message):
            tune.space_of(text)


def test_a_trial_is_scored_on_held_out_data():
    search = tune.Search("autoencoder", {}, "adam", 2, 16)
    found = tune.score(search, tune.Trial({"lr": 0.01}, 3))
    assert math.isfinite(found["score"])
    assert found["score"] != make_task("autoencoder").evaluate(make_task("autoencoder").model())
    bad = tune.score(search, tune.Trial({"momentum": 0.9}, 3))
    assert math.isnan(bad["score"])
    assert "momentum is not a setting of the optimizer adam" in bad["problem"]


def test_tables_join_experiments_of_a_task():
    results = [
        task_table.ExperimentResult(labels, baseline, ERROR, ())
        for labels, baseline in ((("Adam", "NGD"), "Adam"), (("die",), None))
    ]
    assert task_table.joined(results, None, {"NGD"}).labels == ("Adam", "die")
    assert task_table.joined(results, None, set()).baseline == "Adam"
    with pytest.raises(InputError, match="'Adam' is in several files"):
        task_table.joined([results[0], results[0]], None, set())
    with pytest.raises(InputError, match="give one of Adam; NGD; die"):
        task_table.joined(results, "SGD", set())
