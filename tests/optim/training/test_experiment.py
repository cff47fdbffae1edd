"""Experiments: the file, its errors, and that every job is the training that `train` does alone."""

import dataclasses
import tomllib

import pytest

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.device_choice import DeviceChoice
from thermograd.optim.training.experiment import Experiment, run_experiment
from thermograd.optim.training.train import train

FILE = """
task = "digits"
seeds = [0, 1]
steps = 6
evaluate_every = 3
[settings]
hidden = 8
[[run]]
label = "Adam"
optimizer = "adam"
settings = { lr = 0.02 }
schedule = "cosine"
[[run]]
label = "TNGD, die"
optimizer = "tngd"
batch = 2
steps = 3
device = { kind = "surrogate", card = "integrated", extrapolate = true }
dies = [1, 2]
"""


def of(text):
    return Experiment.of_table(tomllib.loads(text), None)


def test_every_run_with_every_seed_and_die(tmp_path):
    file, seen = tmp_path / "experiment.toml", []
    file.write_text(FILE)
    result = run_experiment(Experiment.read(file), tmp_path / "out", 1, lambda *done: seen.append(done))
    assert [(one.label, one.seed, one.die) for one in result.runs] == [
        ("Adam", 0, None),
        ("Adam", 1, None),
        *(("TNGD, die", seed, die) for seed in (0, 1) for die in (1, 2)),
    ]
    assert (seen[0], seen[-1]) == ((0, 24), (24, 24))
    alone = train(digits(hidden=8), "adam", 6, 16, 1, evaluate_every=3, settings={"lr": 0.02}, schedule="cosine")
    assert result.runs[1].history.loss == alone.loss
    assert result.runs[1].history.evaluations == alone.evaluations
    losses = [one.history.loss for one in result.of("TNGD, die")]
    assert losses[0][0] == losses[1][0]  # the same weights and batch on both dies
    assert len({tuple(loss) for loss in losses}) == 4
    again = run_experiment(Experiment.read(file), tmp_path / "out", 1)
    assert [str(one.history) for one in again.runs] == [str(one.history) for one in result.runs]  # kept, times included


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 6", "stepz = 6", "field 'stepz' is unknown; there are: task, seeds, steps, .*; did you mean steps?"),
        ('"adam"', '"adamm"', "optimizer 'adamm' is unknown; there are: sgd, adam, .*; did you mean adam?"),
        ('"cosine"', '"linear"', "schedule is 'linear': give one of constant, cosine"),
        ('"TNGD, die"', '"Adam"', "label 'Adam' occurs twice"),
        ("[0, 1]", "[0, 0]", r"seeds are \[0, 0\]; give at least one, each once"),
        ("[1, 2]", "[-1]", r"dies are \[-1\]"),
        (
            '"surrogate", card = "integrated"',
            '"spice", card = "integrated"',
            "field card does not apply to kind 'spice'",
        ),
        (', card = "integrated"', "", 'kind "surrogate" needs a card'),
        ('"tngd"', '"ngd"', "ngd uses no device"),
        ("seeds =", 'baseline = "SGD"\nseeds =', "^experiment: baseline 'SGD' is unknown; there are: Adam, TNGD, die"),
        ("schedule =", "schedul =", "^run 'Adam': field 'schedul' is unknown; .*; did you mean schedule?"),
        ("steps = 3", "steps = 0", "^run 'TNGD, die': field steps: Input should be greater than or equal to 1, got 0$"),
        ("lr = 0.02", 'schedule = "constant"', "^run 'Adam': schedule is given twice"),
        ("extrapolate = true", "refined = { round = 2 }", "^run 'TNGD, die': .* unexpected keyword argument 'round'"),
        ("extrapolate = true", "read_out = { read = 2 }", "^run 'TNGD, die': .* unexpected keyword argument 'read'"),
        ("extrapolate = true", "read_out = { reads = 0 }", "reads is 0: give an integer >= 1"),
    ],
)
def test_errors_of_the_file_say_what_there_is(old, new, message):
    assert old in FILE
    with pytest.raises(InputError, match=message):
        of(FILE.replace(old, new, 1))


def test_settings_are_checked_before_any_training_begins(tmp_path):
    for old, new, message in (
        (
            "lr = 0.02",
            "lrr = 0.02",
            "run 'Adam': setting of adam 'lrr' is unknown; there are: lr, .*; did you mean lr?",
        ),
        ("lr = 0.02", 'lr = "fast"', "run 'Adam': lr is 'fast': give a number"),
        (
            "hidden = 8",
            "hiden = 8",
            "settings of the task digits: setting 'hiden' is unknown; .*; did you mean hidden?",
        ),
        ("hidden = 8", 'hidden = "8"', "settings of the task digits: hidden is '8'"),
        ('task = "digits"', 'task = "digit"', "task 'digit' is unknown; .* did you mean digits?"),
        ("seeds =", "checkpoint_every = 0\nseeds =", "checkpoint_every"),
    ):
        assert old in FILE
        with pytest.raises(InputError, match=message):
            run_experiment(of(FILE.replace(old, new, 1)), tmp_path / "out", 1)
    with pytest.raises(InputError, match="tensorboard=True without out"):
        run_experiment(of(FILE), tensorboard=True)


def test_a_task_of_ones_own_is_known_by_its_data(tmp_path):
    run = of('task = "mine"\nsteps = 2\n[[run]]\nlabel = "a"\noptimizer = "sgd"')
    first = digits(hidden=8)
    changed = dataclasses.replace(first, train_inputs=2 * first.train_inputs)
    losses = [run_experiment(run, tmp_path, 1, task=task).runs[0].history.loss for task in (first, changed, first)]
    assert losses[0] == losses[2] != losses[1]
    assert len(list((tmp_path / "jobs").iterdir())) == 2


def test_runs_that_differ_by_their_label_alone_are_one_job(tmp_path):
    twice = of(
        """
        task = "digits"
        steps = 2
        [[run]]
        label = "a"
        optimizer = "sgd"
        [[run]]
        label = "b"
        optimizer = "sgd"
        """
    )
    result = run_experiment(twice, tmp_path, 1)
    assert [one.label for one in result.runs] == ["a", "b"]
    assert result.runs[0].history == result.runs[1].history
    assert len(list((tmp_path / "jobs").iterdir())) == 1


@pytest.mark.parametrize("rest", ['kind = "surrogate", card = "integrated"', 'kind = "spice"'])
def test_a_device_is_read_as_its_choice_says(rest):
    plain = tomllib.loads(f"device = {{ {rest}, read_out = {{ reads = 3, null_offsets = true }} }}")["device"]
    assert DeviceChoice(**plain).make(1, 0).read_out == ReadOut(reads=3, null_offsets=True)
