"""A study: what its numbers are, that they do not depend on workers, and that it goes on where it was stopped."""

import json
import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import PRESETS
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.optim.codesign import studies as module
from thermograd.optim.codesign.knobs import DesignPoint
from thermograd.optim.codesign.studies import study
from thermograd.optim.codesign.study_result import Study, StudyRun, StudyScore
from thermograd.optim.tasks.poisson import poisson
from thermograd.optim.training.threads import one_thread
from thermograd.optim.training.train import train
from thermograd.report.figures.study import study_plot

from ...systems import true_card

CARD = true_card(PRESETS["integrated"])
SMALL = {"levels": (2, 8), "dies": (3, 4), "seeds": (5,), "card": CARD, "workers": 1}
DIGITS = {**SMALL, "steps": 3, "batch": 2, "readings": ("bare",)}


def error_of_a_solution(device, seed):
    """Relative error of a system's solution, and how much it is by the die's seed: no training, but as quick as one could be."""
    A = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    b = torch.tensor([1.0, -1.0], dtype=torch.float64) * (1 + seed)
    exact = torch.linalg.solve(A, b)
    return {"error": float((device.solve(Dense(A), b, 40.0).x - exact).norm() / exact.norm()), "seed": seed}


def read_in_a_way(device, seed, reading):
    return {"refined": 1.0, "bare": 2.0}[reading] + isinstance(device, IdealDevice)


@pytest.fixture
def trained(monkeypatch):
    """The jobs that are trained, in order, in this process."""
    jobs, original = [], module._train_once
    monkeypatch.setattr(module, "_train_once", lambda sent, job: jobs.append(job) or original(sent, job))
    return jobs


def test_a_task_is_trained_on_the_dies_and_for_the_baseline_on_the_ideal_device():
    settings = {"duration": 5.0, "lr": 0.2}
    found = study("digits", "adc", **{**DIGITS, "seeds": (5, 6), "levels": (8,)}, settings=settings)
    assert [(run.level, run.die, run.seed) for run in found.runs] == [(8, 3, 5), (8, 3, 6), (8, 4, 5), (8, 4, 6)]
    settings = {**settings, "reading": "bare"}
    with one_thread():
        device = SurrogateDevice(DesignPoint({"adc": 8}).card_at(CARD), 4, 6, extrapolate=True)
        own = train("digits", "tngd", 3, 2, 6, device=device, evaluate_every=0, settings=settings)
        ideal = train("digits", "tngd", 3, 2, 6, evaluate_every=0, settings=settings)
    assert found.runs[-1].scores == {"test accuracy": own.final_score, "training loss": own.loss[-1]}
    assert sum(found.runs[-1].outcomes.values()) == 3
    assert found.ideal[1]["test accuracy"] == ideal.final_score
    assert found.scores[0] == StudyScore("test accuracy", percent=True, more_is_better=True)
    other = study("digits", "adc", **{**DIGITS, "levels": (8,)}, settings={"duration": 5.0, "lr": 0.4})
    assert other.runs[0].scores != found.runs[0].scores


def test_an_error_where_less_is_better_is_studied_as_an_accuracy_is():
    """The physics-informed network, which takes no batch: its refined dies follow the ideal device, bare ones do not."""
    task = poisson(width=4, interior=12, boundary=8)
    found = study(task, "adc", **{**SMALL, "levels": (8,), "dies": (1,)}, steps=4, settings={"damping": 0.1})
    assert found.scores[0] == StudyScore("relative L2 error", percent=False, more_is_better=False)
    assert found.batch is None
    off = {way: abs(math.log(found.rows(way)[0].mean / found.baseline())) for way in found.readings}
    assert off["refined"] < 0.2
    assert off["bare"] > 2 * off["refined"]


def test_own_function_gets_the_device_of_each_level_die_and_seed():
    """Its scores are those of a call by hand, and quantisation to two bits is worse than to eight."""
    found = study(error_of_a_solution, "adc", **{**SMALL, "seeds": (0, 1)})
    assert found.readings == ("",)
    assert [run.scores["seed"] for run in found.runs] == [0.0, 1.0] * 4
    by_hand = error_of_a_solution(SurrogateDevice(DesignPoint({"adc": 2}).card_at(CARD), 4, 1, extrapolate=True), 1)
    assert found.runs[3].scores == by_hand
    assert [one["error"] < 1e-9 for one in found.ideal] == [True, True]
    coarse, fine = found.rows(score="error")
    assert coarse.mean > 5 * fine.mean
    assert coarse.difference == pytest.approx(coarse.mean)


def test_a_function_that_takes_the_reading_is_told_it():
    found = study(read_in_a_way, "adc", **{**SMALL, "levels": (4,), "dies": (1,)})
    assert [(run.reading, run.scores["score"]) for run in found.runs] == [("refined", 1.0), ("bare", 2.0)]
    assert found.baseline() == 3.0
    assert len(study(read_in_a_way, "adc", **SMALL, readings=["bare"]).runs) == 4


TINY = {"dies": (1,), "seeds": (0,), "card": CARD, "workers": 1, "steps": 2, "batch": 2}


def test_rounds_of_refinement_are_studied_with_refined_readings_alone(tmp_path):
    """Its run at a level is a training by hand on a `Refined` device; the ideal device is refined nowhere."""
    found = study("digits", "refined.rounds", levels=(0, 4), **TINY, out=tmp_path)
    assert found.readings == ("refined",)
    assert found.is_heeded
    with one_thread():
        device = Refined(SurrogateDevice(CARD, 1, 0, extrapolate=True), rounds=4, tolerance=1e-2)
        own = train("digits", "tngd", 2, 2, 0, device=device, evaluate_every=0, settings={"reading": "refined"})
    assert found.runs[1].scores["training loss"] == pytest.approx(np.mean(own.loss[-1:]), rel=1e-12)
    assert found.to_dict()["unit"] == ""
    with pytest.raises(InputError, match="bare readings do not heed how readings are refined"):
        study("digits", "refined.rounds", levels=(0, 4), **TINY, readings=("refined", "bare"))


def test_settings_of_the_optimizer_are_studied_and_kept_apart(tmp_path, trained):
    """Their jobs have the same card: the design point in their keys tells them apart, and a killed study goes on."""
    arguments = {**TINY, "readings": ("bare",), "out": tmp_path}
    found = study("digits", "tngd.damping", levels=(0.1, 1), **arguments)
    assert [job.get("point") for job in trained] == [None, {"tngd.damping": 0.1}, {"tngd.damping": 1.0}]
    assert found.is_heeded
    with one_thread():
        device = SurrogateDevice(CARD, 1, 0, extrapolate=True)
        settings = {"damping": 1.0, "reading": "bare"}
        own = train("digits", "tngd", 2, 2, 0, device=device, evaluate_every=0, settings=settings)
    assert found.runs[1].scores == {"test accuracy": own.final_score, "training loss": own.loss[-1]}
    assert study("digits", "tngd.damping", levels=(0.1, 1), **arguments) == found
    assert len(trained) == 3
    # Another knob that is fixed is another point.
    study("digits", "tngd.damping", levels=(1,), **arguments, fixed={"tngd.lr": 0.1})
    assert trained[-1]["point"] == {"tngd.lr": 0.1, "tngd.damping": 1.0}
    assert len(trained) == 4


def test_words_are_levels_of_a_choice_or_a_switch():
    found = study(error_of_a_solution, "readout.auto_zero", **{**SMALL, "levels": ("off", True), "dies": (3,)})
    assert [(run.level, run.shown) for run in found.runs] == [("off", 0.0), ("on", 1.0)]
    assert found.is_heeded
    assert found.to_dict()["choices"] == ["off", "on"]
    assert study_plot(found.to_dict()).axes[0].get_xticklabels()[1].get_text() == "on"


def test_a_knob_that_a_training_does_not_depend_on_is_found_out():
    found = study(lambda device, seed: 1.0, "adc.noise", **{**SMALL, "levels": (0, 0.01)})
    assert not found.is_heeded


def test_spread_over_dies_and_over_seeds_are_told_apart():
    """Scores of dies alone have no spread over seeds, and the other way round; the paired difference takes the seeds' part out."""
    rng = np.random.default_rng(0)
    of_die, of_seed = rng.normal(0.9, 0.02, 30), rng.normal(0, 0.05, 20)
    dies, seeds = tuple(range(30)), tuple(range(20))

    def made(by_die, by_seed, noise):
        runs = [
            StudyRun(
                "bare", 4.0, 4.0, d, s, {"a": by_die * of_die[d] + by_seed * of_seed[s] + noise * rng.normal()}, {}, 0
            )
            for d in dies
            for s in seeds
        ]
        ideal = tuple({"a": 1.0 + by_seed * of_seed[s]} for s in seeds)
        return Study(
            "f", "adc", (4.0,), ("bare",), (StudyScore("a"),), dies, seeds, ideal, None, None, tuple(runs)
        ).rows()[0]

    alone, other, both = made(1, 0, 0), made(0, 1, 0), made(1, 1, 0.01)
    assert (alone.over_dies, alone.over_seeds) == pytest.approx((np.std(of_die, ddof=1), 0.0), abs=1e-12)
    assert (other.over_dies, other.over_seeds) == pytest.approx((0.0, np.std(of_seed, ddof=1)), abs=1e-12)
    # noise of the runs is in both: a relative error of 1 / sqrt(2 x 570) and more of the 20 seeds' own
    assert both.over_dies == pytest.approx(math.hypot(np.std(of_die, ddof=1), 0.01), rel=0.1)
    assert both.over_seeds == pytest.approx(math.hypot(np.std(of_seed, ddof=1), 0.01), rel=0.1)
    assert both.difference == pytest.approx(np.mean(of_die) - 1, abs=4 * 0.01 / math.sqrt(600))


def diverges_on_die_three(device, seed):
    return math.nan if getattr(getattr(device, "die", None), "seed", None) == 3 else 0.5


def test_a_run_that_diverged_is_counted_and_left_out_of_the_mean(tmp_path):
    for _ in range(2):  # computed, then read back
        found = study(diverges_on_die_three, "adc", **{**SMALL, "dies": (2, 3, 4)}, out=tmp_path)
        row = found.rows()[0]
        assert (row.mean, row.diverged, row.runs, row.over_dies) == (0.5, 1, 3, 0.0)
        assert math.isnan(row.over_seeds)
    json.dumps(found.to_dict())


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers():
    one, two = (study(error_of_a_solution, "tolerance", **{**SMALL, "levels": (0.1,), "workers": n}) for n in (1, 2))
    assert one == two


@pytest.mark.long
def test_a_scheduler_gives_the_same_results():
    import distributed

    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        there = study(error_of_a_solution, "adc", **{**SMALL, "workers": None}, scheduler=cluster.scheduler_address)
    assert there == study(error_of_a_solution, "adc", **SMALL)


def test_a_study_that_was_stopped_goes_on(tmp_path, trained):
    """What is kept is not trained again; a damaged or torn file is; another die, level or seed is another job."""
    steps = []
    first = study(error_of_a_solution, "adc", **SMALL, out=tmp_path, progress=lambda *at: steps.append(at))
    assert steps == [(done, 5) for done in range(6)]
    assert len(trained) == 5
    assert study(error_of_a_solution, "adc", **SMALL, out=tmp_path) == first
    assert len(trained) == 5
    torn, wrong, *_ = sorted((tmp_path / "adc").iterdir())
    torn.write_bytes(torn.read_bytes()[:-20])
    entry = json.loads(wrong.read_text())
    entry["result"]["scores"]["error"] = 1.5
    wrong.write_text(json.dumps(entry))
    assert study(error_of_a_solution, "adc", **SMALL, out=tmp_path) == first
    assert len(trained) == 7
    study(error_of_a_solution, "adc", **{**SMALL, "levels": (2, 3)}, out=tmp_path)
    assert len(trained) == 9  # two dies at 3 bits
    study(error_of_a_solution, "adc", **{**SMALL, "seeds": (5, 6)}, out=tmp_path)
    assert len(trained) == 14  # another seed on two levels of two dies, and on the ideal device
    study(read_in_a_way, "adc", **SMALL, out=tmp_path)
    assert len(trained) == 23


def test_what_was_finished_before_a_crash_is_kept(tmp_path, monkeypatch):
    original, done = module._train_once, []

    def crash(sent, job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job)
        return original(sent, job)

    monkeypatch.setattr(module, "_train_once", crash)
    with pytest.raises(KeyboardInterrupt):
        study(error_of_a_solution, "adc", **SMALL, out=tmp_path)
    assert len(list((tmp_path / "adc").iterdir())) == 2
    assert not list((tmp_path / "adc").glob("*.partial*"))


def divides(device, seed):
    return 1 / (seed - 5)


def ends(device, seed):
    raise SystemExit(3)


def returns_text(device, seed):
    return "good"


def other_names(device, seed):
    return {"a": 1.0} if isinstance(device, IdealDevice) else {"b": 1.0}


@pytest.mark.parametrize(
    ("training", "changes", "words"),
    [
        (error_of_a_solution, {"knob": "weather"}, "'weather' is unknown; there are: tolerance, isolation, adc"),
        (error_of_a_solution, {"levels": ()}, "give at least one"),
        (error_of_a_solution, {"levels": (2, 2)}, "different from each other"),
        (error_of_a_solution, {"levels": (float("nan"),)}, "all finite"),
        (
            error_of_a_solution,
            {"levels": (2.5,)},
            "level 2.5 of the study adc .* adc.bits is 2.5 bit: give a whole number from 1 to 24",
        ),
        (
            error_of_a_solution,
            {"knob": "opamp.slew", "levels": (1e6,)},
            r"level 1e\+06 of .* is not possible: .*would not be heeded",
        ),
        (error_of_a_solution, {"knob": "adc.rate", "levels": (1e6,)}, "changes no reading: see `thermograd cost`"),
        (error_of_a_solution, {"knob": "wires.segment_resistance", "levels": (1,)}, "set device.layout to true"),
        (error_of_a_solution, {"knob": "tngd.damping"}, "a function of your own sets its optimizer itself"),
        (
            error_of_a_solution,
            {"knob": "adc.dnl", "levels": None},
            "has no levels of its own: give levels, each a number from 0",
        ),
        (
            error_of_a_solution,
            {"knob": "device.layout", "levels": ("maybe",)},
            "device.layout is 'maybe': give true or false",
        ),
        (error_of_a_solution, {"fixed": {"adc.bits": 3}}, "adc.bits is fixed in a study of adc, which turns it"),
        (
            "digits",
            {"knob": "tngd.momentum", "levels": (1.5,)},
            "tngd.momentum is 1.5: give a number from 0 and below 1",
        ),
        (
            "digits",
            {"knob": "tngd.program_every", "levels": (2,)},
            'level 2 of .* is not possible: .*system="dual"',
        ),
        (
            "poisson",
            {"knob": "training.batch", "levels": (4,)},
            "the task poisson takes all of its points in each step",
        ),
        (error_of_a_solution, {"dies": ()}, r"dies of the study adc are \[\]"),
        (error_of_a_solution, {"seeds": (1, 1)}, r"seeds of the study adc are \[1, 1\].*each once"),
        (error_of_a_solution, {"seeds": (-1,)}, "integers >= 0"),
        (error_of_a_solution, {"workers": 0}, "workers = 0"),
        (error_of_a_solution, {"workers": 2, "scheduler": "tcp://host:8786"}, "leave one of them out"),
        (error_of_a_solution, {"readings": ("bare",)}, r"takes only \(device, seed\): give it a third argument"),
        (error_of_a_solution, {"steps": 3, "batch": 2}, "steps, batch given with a training of one's own"),
        (error_of_a_solution, {"card": "no_such.json"}, "no_such.json"),
        (read_in_a_way, {"readings": ()}, "give readings, each once, of refined, bare"),
        (read_in_a_way, {"readings": ("twice",)}, "give readings, each once, of refined, bare"),
        ("digits", {"steps": 0}, "steps is 0"),
        ("digits", {"batch": 0}, "batch 0"),
        ("digits", {"settings": {"reading": "bare"}}, "leave reading out"),
        ("digits", {"settings": {"wieght_decay": 0.1}}, "wieght_decay is not a setting of the optimizer tngd"),
        ("weather", {}, "task 'weather' is unknown"),
        (7, {}, r"training is 7: give a function \(device, seed\) -> score, a Task"),
        (lambda device: 1.0, {}, r"cannot be called with \(device, seed\)"),
        (lambda reading, device, seed: 1.0, {}, "reading must be the third argument"),
        (divides, {}, r"ideal device, seed 5: divides raised ZeroDivisionError: .*test_studies.py, line \d+"),
        (ends, {}, r"ends raised SystemExit: 3"),
        (returns_text, {}, "returns_text returned 'good': give a number, or numbers by name"),
        (lambda device, seed: {}, {}, "returned no score"),
        (other_names, {}, "scores a with the ideal device, seed 5, but b with level 2, die 3, seed 5"),
    ],
)
def test_bad_arguments(training, changes, words):
    with pytest.raises(InputError, match=words):
        study(training, **{"knob": "adc", **SMALL, **changes})
