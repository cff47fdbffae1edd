"""A study: what its numbers are, that they do not depend on workers, and that it goes on where it was stopped."""

import json

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import PRESETS
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.optim.codesign import study as module
from thermograd.optim.codesign.knobs import KNOBS
from thermograd.optim.codesign.study import run_study
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.threads import one_thread
from thermograd.optim.training.train import train

from ...systems import true_card

CARD = true_card(PRESETS["integrated"])
SMALL = {"levels": (2, 8), "dies": (3, 4), "steps": 3, "batch": 2, "seed": 5, "readings": ("bare",)}


@pytest.fixture
def trained(monkeypatch):
    """The jobs that are trained, in order, in this process."""
    jobs, original = [], module._train_once
    monkeypatch.setattr(module, "_train_once", lambda job: jobs.append(job) or original(job))
    return jobs


def test_runs_are_trainings_on_the_dies_and_the_baseline_on_the_ideal_device():
    settings = {"duration": 5.0, "lr": 0.2}
    found = run_study("adc", CARD, **SMALL, workers=1, settings=settings)
    assert [(run.level, run.die, run.seed) for run in found.runs] == [(2, 3, 5), (2, 4, 6), (8, 3, 5), (8, 4, 6)]
    settings = {**settings, "reading": "bare"}
    with one_thread():
        card = KNOBS["adc"].card_at(CARD, 8)
        device = SurrogateDevice(card, 4, 6, extrapolate=True)
        own = train(digits(), "tngd", 3, 2, 6, device=device, evaluate_every=0, settings=settings)
        ideal = [train(digits(), "tngd", 3, 2, seed, evaluate_every=0, settings=settings) for seed in (5, 6)]
    assert (found.runs[-1].accuracy, found.runs[-1].loss) == (own.final_score, own.loss[-1])
    assert sum(found.runs[-1].outcomes.values()) == 3
    assert found.baseline == np.mean([history.final_score for history in ideal])
    accuracies = [run.accuracy for run in found.runs[2:]]
    assert found.rows("bare")[1] == (8, np.mean(accuracies), np.std(accuracies, ddof=1))
    other = run_study("adc", CARD, **SMALL, workers=1, settings={"duration": 5.0, "lr": 0.4})
    assert other.runs != found.runs


def test_both_readings_share_levels_dies_and_baseline():
    """At two bits of the ADC the first reading is wrong by far more than the refined one."""
    settings = {"duration": 20.0, "damping": 0.3}
    asked = {**SMALL, "levels": (3,), "batch": 8, "readings": ("refined", "bare")}
    both = run_study("adc", CARD, **asked, workers=1, settings=settings)
    bare = run_study("adc", CARD, **{**asked, "readings": ("bare",)}, workers=1, settings=settings)
    assert [(run.reading, run.die) for run in both.runs] == [("refined", 3), ("refined", 4), ("bare", 3), ("bare", 4)]
    assert both.runs[2:] == bare.runs
    assert both.baseline == bare.baseline
    assert both.rows("refined") != both.rows("bare")
    assert {row["reading"] for row in both.to_dict()["rows"]} == {"refined", "bare"}


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers():
    one, two = (run_study("tolerance", CARD, **{**SMALL, "levels": (0.1,)}, workers=workers) for workers in (1, 2))
    assert one == two


@pytest.mark.slow
def test_a_scheduler_gives_the_same_results():
    import distributed

    small = {**SMALL, "levels": (4,)}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        there = run_study("adc", CARD, **small, scheduler=cluster.scheduler_address)
    assert there == run_study("adc", CARD, **small, workers=1)


def test_a_study_that_was_stopped_goes_on(tmp_path, trained, monkeypatch):
    """What is kept is not trained again; a damaged or torn file is; another setting is another job."""
    steps = []
    first = run_study("adc", CARD, **SMALL, workers=1, out=tmp_path, progress=lambda *at: steps.append(at))
    assert steps == [(done, 6) for done in range(7)]
    assert len(trained) == 6
    assert run_study("adc", CARD, **SMALL, workers=1, out=tmp_path) == first
    assert len(trained) == 6
    torn, wrong, *_ = sorted((tmp_path / "adc").iterdir())
    torn.write_bytes(torn.read_bytes()[:-20])
    entry = json.loads(wrong.read_text())
    entry["result"]["accuracy"] = 1.5
    wrong.write_text(json.dumps(entry))
    assert run_study("adc", CARD, **SMALL, workers=1, out=tmp_path) == first
    assert len(trained) == 8
    run_study("adc", CARD, **{**SMALL, "levels": (2, 3)}, workers=1, out=tmp_path)
    assert len(trained) == 10  # two dies at 3 bits
    run_study("adc", CARD, **SMALL, workers=1, out=tmp_path, settings={"lr": 0.1})
    assert len(trained) == 16


def test_what_was_finished_before_a_crash_is_kept(tmp_path, monkeypatch):
    original, done = module._train_once, []

    def crash(job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job)
        return original(job)

    monkeypatch.setattr(module, "_train_once", crash)
    with pytest.raises(KeyboardInterrupt):
        run_study("adc", CARD, **SMALL, workers=1, out=tmp_path)
    assert len(list((tmp_path / "adc").iterdir())) == 2
    assert not list((tmp_path / "adc").glob("*.partial*"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "weather"}, "'weather' is unknown; there are: tolerance, isolation, adc"),
        ({"levels": ()}, "give at least one"),
        ({"levels": (2, 2)}, "different from each other"),
        ({"levels": (float("nan"),)}, "all finite"),
        ({"levels": (2.5,)}, "whole number of bits"),
        ({"dies": ()}, "give a die"),
        ({"steps": 0}, "steps 0"),
        ({"batch": 0}, "batch 0"),
        ({"workers": 0}, "workers = 0"),
        ({"workers": 2, "scheduler": "tcp://host:8786"}, "leave one of them out"),
        ({"settings": {"damping": lambda step: 0.1}}, "plain data|numbers, strings"),
        ({"readings": ()}, "give readings, each once, of refined, bare"),
        ({"readings": ("twice",)}, "give readings, each once, of refined, bare"),
        ({"settings": {"reading": "bare"}}, "no reading in settings"),
        ({"settings": {"wieght_decay": 0.1}}, "wieght_decay is not a setting of the optimizer tngd"),
    ],
)
def test_bad_arguments(changes, words):
    with pytest.raises(InputError, match=words):
        run_study(**({"name": "adc", "card": CARD, "workers": 1} | SMALL | changes))
