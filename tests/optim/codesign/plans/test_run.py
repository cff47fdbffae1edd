"""Studies of a plan: each run once, whatever happens, and one table from any number of workers."""

import json
import math

import pandas
import pytest
from pandas.testing import assert_frame_equal

from thermograd.circuits.errors import InputError
from thermograd.optim.codesign.plans import run as module
from thermograd.optim.codesign.plans.plan import StudyPlan
from thermograd.optim.codesign.plans.run import run_plan
from thermograd.optim.codesign.plans.sent import LevelChoice, _made
from thermograd.optim.codesign.plans.table import read_table

from .levels import Digested

PLAN = StudyPlan(task="digits", steps=20, batch=8, dies=(1, 2), seeds=(0, 1), knobs={"adc.bits": (3, "none")})


@pytest.fixture
def calls(monkeypatch):
    """Every evaluation's arguments; of level `Digested`."""
    found = []
    monkeypatch.setattr(LevelChoice, "make", lambda self, task: Digested(found))
    _made.clear()
    yield found
    _made.clear()


def test_every_run_is_a_row_and_exact_ngd_too(calls, tmp_path):
    steps = []
    frame = run_plan(PLAN, tmp_path, workers=1, progress=lambda *at: steps.append(at))
    assert steps == [(done, 18) for done in range(19)]
    assert len(calls) == len(frame) == 2 + 2 * 2 * 2 * 2
    exact, dies = frame[frame["die"].isna()], frame[frame["device"] == "die"]
    assert list(exact["seed"]) == [0, 1]
    assert exact[["adc.bits", "reading", "card"]].isna().all(axis=None)
    assert dies.groupby(["adc.bits", "die", "seed", "reading"], dropna=False).size().eq(1).all()
    assert set(dies["adc.bits"].dropna()) == {3}
    assert list(frame.columns[-12:-3]) == [
        "seconds", "joules", "area", "outcome.ok", "spice.solves", "spice.difference", "spice.std",
        "spice.uncompared", "version",
    ]  # fmt: skip
    assert frame["run"].is_unique
    assert frame.attrs["score"] == {
        "name": "test accuracy", "column": "test_accuracy", "percent": True, "more_is_better": True
    }  # fmt: skip
    kept = read_table(tmp_path)
    assert_frame_equal(frame, kept)
    assert kept.attrs == frame.attrs
    curves = pandas.read_parquet(tmp_path / "curves.parquet")
    assert list(curves[curves["run"] == frame["run"][3]]["step"]) == [0, 7]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["runs"], summary["finished"], len(summary["points"])) == (18, 18, 4)
    first = summary["points"][0]
    of_first = dies[(dies["adc.bits"] == 3) & (dies["reading"] == "refined")]
    assert first["mean"] == pytest.approx(of_first["test_accuracy"].mean())
    assert first["difference"] == pytest.approx(of_first["test_accuracy"].mean() - exact["test_accuracy"].mean())
    assert first["area"] is None


def test_what_is_kept_is_not_run_again_and_every_field_of_a_run_is_in_its_key(calls, tmp_path):
    frame = run_plan(PLAN, tmp_path, workers=1)
    done = len(calls)
    assert_frame_equal(run_plan(PLAN, tmp_path, workers=1), frame)
    assert len(calls) == done
    torn, *_ = sorted((tmp_path / "runs").iterdir())
    torn.write_bytes(torn.read_bytes()[:-9])
    assert_frame_equal(run_plan(PLAN, tmp_path, workers=1), frame)
    assert len(calls) == done + 1
    for change, new in (
        ({"dies": (1, 2, 3)}, 8), ({"seeds": (0, 1, 2)}, 9), ({"knobs": {"adc.bits": (3, 4, None)}}, 8),
        ({"steps": 21}, 18), ({"batch": 4}, 18), ({"card": "gf180mcu"}, 16), ({"level": "solve", "steps": (1,)}, 18),
        ({"fixed": {"dac.bits": 6}}, 16), ({"fixed": {"tngd.damping": 0.7}}, 18), ({"check": {"fraction": 1.0}}, 16),
    ):  # fmt: skip
        done = len(calls)
        run_plan(PLAN.model_copy(update=StudyPlan(**{**PLAN.model_dump(), **change}).__dict__), tmp_path, workers=1)
        assert len(calls) - done == new, change
        run_plan(PLAN, tmp_path, workers=1)
        assert len(calls) - done == new, change


def test_the_checked_fraction_is_that_of_all_solves(calls):
    plan = {"task": "digits", "level": "solve", "dies": tuple(range(60)), "readings": ("bare",)}
    frame = run_plan(StudyPlan(**plan, check={"fraction": 0.25}), workers=1)
    checked = frame["spice.solves"].sum()
    share, deviation = checked / (3 * 60), math.sqrt(0.75 * 0.25 / 60) / 3  # a run checks none or one of its three
    assert abs(share - 0.25) < 4 * deviation
    assert set(frame["spice.solves"]) == {0, 1}
    assert frame["spice.difference"].notna().sum() == checked
    assert list(frame["spice.solves"][frame["die"].isna()]) == [0]


def test_a_run_that_fails_costs_itself_and_is_tried_again(calls, tmp_path, monkeypatch):
    good = Digested.evaluate

    def evaluate(self, card, point, die, seed, reading, *, in_spice=0):
        if (die, reading, seed) == (2, "bare", 1):
            raise InputError("this die is broken")
        return good(self, card, point, die, seed, reading, in_spice=in_spice)

    monkeypatch.setattr(Digested, "evaluate", evaluate)
    with pytest.raises(
        InputError, match=r"die 2, bare readings, seed 1, adc.bits = 3: this die is broken; 1 more.*16 of 18"
    ):
        run_plan(PLAN, tmp_path, workers=1)
    assert len(read_table(tmp_path)) == 16
    monkeypatch.setattr(Digested, "evaluate", good)
    done = len(calls)
    assert len(run_plan(PLAN, tmp_path, workers=1)) == 18
    assert len(calls) == done + 2


def test_the_table_grows_as_runs_finish(calls, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    monkeypatch.setattr(module, "SHARE", 1e9)
    rows = []

    def look(done, total):
        if (tmp_path / "table.parquet").exists():
            rows.append(len(read_table(tmp_path)))

    run_plan(PLAN, tmp_path, workers=1, progress=look)
    assert rows == sorted(rows)
    assert len(set(rows)) > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "digit"}, "'digit' is unknown"),
        ({"settings": {"hidden": 3, "colour": 1}}, "colour is not a setting"),
        ({"knobs": {"wires.segment_resistance": (1.0, 2.0)}}, "set device.layout to true"),
        ({"knobs": {"tngd.lr": (0.1,), "tngd.delay_time": (1.0,)}}, "reset"),
        ({"card": "none.json"}, "none.json"),
    ],
)
def test_what_cannot_run_is_said_before_anything_runs(calls, change, message):
    with pytest.raises(InputError, match=message):
        run_plan(StudyPlan(**{**PLAN.model_dump(), **change}), workers=1)
    assert not calls


def test_a_figure_that_only_some_points_heed_and_prices_may_vary(calls):
    heat = {"thermal.to_hot": (0.0, 1e-2), "thermal.hot_temperature": (350.0,), "adc.figure_of_merit": (1e-14,)}
    assert len(run_plan(StudyPlan(task="digits", knobs=heat, dies=(1,), readings=("bare",)), workers=1)) == 3


def test_other_files_are_no_tables(tmp_path):
    with pytest.raises(InputError, match=r"does not exist; `thermograd study PLAN.toml"):
        read_table(tmp_path)
    (tmp_path / "table.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a whole parquet file"):
        read_table(tmp_path)
    pandas.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    with pytest.raises(InputError, match="no table of a study"):
        read_table(tmp_path)
