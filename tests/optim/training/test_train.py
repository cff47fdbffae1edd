"""The training loop: data, measurements, exact resume, and that each optimizer learns."""

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.optim.optimizers.kfac import KFAC
from thermograd.optim.optimizers.registry import OPTIMIZERS, make_optimizer
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.train import train

from ...toy_device import ToyDevice
from ..oracle import flat


def test_split_is_stratified_scaled_and_seeded():
    task = digits(0)
    assert task.train_inputs.shape == (1437, 64)
    assert task.test_inputs.shape == (360, 64)
    assert task.train_inputs.dtype is torch.float32
    assert 0.0 <= float(task.train_inputs.min()) <= float(task.train_inputs.max()) == 1.0
    share = task.test_targets.bincount() / 360 - task.train_targets.bincount() / 1437
    assert float(share.abs().max()) < 2 / 360
    assert torch.equal(task.test_inputs, digits(0).test_inputs)
    assert not torch.equal(task.test_inputs, digits(1).test_inputs)


def test_batches_are_epochs_and_a_function_of_the_step():
    task = digits(0)
    per_epoch = 1437 // 16
    seen = torch.cat([task.batch(step, 16, 5)[0] for step in range(per_epoch)])
    rows = {tuple(row.tolist()) for row in seen}
    assert len(rows) == len({tuple(row.tolist()) for row in torch.unique(seen, dim=0)})
    assert len(torch.unique(seen, dim=0)) >= per_epoch * 16 - 5  # the data set itself holds hardly any duplicates
    assert torch.equal(task.batch(100, 16, 5)[0], task.batch(100, 16, 5)[0])
    assert not torch.equal(task.batch(0, 16, 5)[0], task.batch(per_epoch, 16, 5)[0])
    for bad in ((0, 0, 0), (0, 1438, 0), (-1, 4, 0), (0, 4, -1)):
        with pytest.raises(InputError):
            task.batch(*bad)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_named_optimizer_learns(name):
    callbacks = []
    history = train(
        digits(0),
        name,
        steps=60,
        batch=16,
        seed=0,
        evaluate_every=20,
        callbacks=[lambda step, h: callbacks.append(step)],
    )
    assert callbacks == list(range(1, 61))
    assert [step for step, _ in history.evaluations] == [0, 20, 40, 60]
    assert history.final_score > 0.8
    assert np.mean(history.loss[-10:]) < 0.8 < 2.0 < history.loss[0]
    for series in (history.digital_seconds, history.device_seconds, history.analog_seconds, history.outcome):
        assert len(series) == history.steps == 60
    assert min(history.digital_seconds) > 0
    device = name.startswith("tngd")
    assert (min(history.device_seconds) > 0) is device
    assert (min(history.analog_seconds) > 0) is device
    assert history.steps_to(0.5) in (20, 40, 60)
    assert history.steps_to(1.01) is None


def test_the_callers_random_state_is_left_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train(digits(0), "sgd", steps=2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert train(digits(0), "sgd", steps=2).loss == first.loss


@pytest.mark.parametrize("optimizer", ["adam", "dual", "carried"])
def test_resume_is_bit_exact(tmp_path, optimizer):
    def factory(params):
        device = IdealDevice(kappa0=1e-4, seed=9)
        if optimizer == "dual":
            return TNGD(params, lr=0.01, duration=20.0, update="adam", device=device)
        return TNGD(params, lr=0.1, duration=1.0, delay_time=0.5, reset=False, system="primal", device=device)

    task, file = digits(0), tmp_path / "run.pt"
    choice = "adam" if optimizer == "adam" else factory
    models = []
    histories = []
    for parts in ((12,), (5, 12)):
        for steps in parts:
            torch.manual_seed(0)
            model = task.model()
            path = file if len(parts) == 2 else None
            history = train(
                task,
                choice,
                steps,
                8,
                seed=0,
                model=model,
                evaluate_every=4,
                checkpoint=path,
                checkpoint_every=path and 3,
            )
        models.append(model)
        histories.append(history)
    assert torch.equal(flat(models[0].parameters()), flat(models[1].parameters()))
    assert histories[0].loss == histories[1].loss
    assert dict(histories[0].evaluations) == {k: v for k, v in histories[1].evaluations if k != 5}
    assert not list(tmp_path.glob("*.partial"))


def test_a_checkpoint_of_another_run_or_a_broken_one_raises(tmp_path):
    task, file = digits(0), tmp_path / "run.pt"
    train(task, "sgd", 2, checkpoint=file)
    with pytest.raises(InputError, match=r"optimizer sgd \(this run: adam\)"):
        train(task, "adam", 2, checkpoint=file)
    with pytest.raises(InputError, match="seed 0"):
        train(task, "sgd", 2, seed=1, checkpoint=file)
    # The settings that a state holds would replace others without a word.
    with pytest.raises(InputError, match=r"another run: settings\.lr 0\.5 \(this run: 0\.1\); give"):
        train(task, "sgd", 2, checkpoint=file, settings={"lr": 0.1})
    assert train(task, "sgd", 3, checkpoint=file, settings={"lr": 0.5}).steps == 3
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(InputError, match="not a checkpoint"):
        train(task, "sgd", 2, checkpoint=file)


def test_a_checkpoint_that_does_not_fit_leaves_the_model_as_it_was(tmp_path):
    task, file = digits(0), tmp_path / "run.pt"
    train(task, lambda params: torch.optim.SGD(params, 0.1), 2, checkpoint=file)
    model = task.model()
    before = flat(model.parameters()).clone()
    with pytest.raises(InputError, match="the state was saved by another optimizer"):
        train(task, lambda params: KFAC(params), 3, model=model, checkpoint=file)
    assert torch.equal(flat(model.parameters()), before)
    wider = digits(0, hidden=40).model()
    before = flat(wider.parameters()).clone()
    with pytest.raises(InputError, match="not a checkpoint that this run can read"):
        train(task, lambda params: torch.optim.SGD(params, 0.1), 3, model=wider, checkpoint=file)
    assert torch.equal(flat(wider.parameters()), before)


@pytest.mark.parametrize("kind", [torch.optim.SGD, TNGD])
def test_a_cosine_schedule_takes_the_rate_to_zero(tmp_path, kind):
    """(1 + cos(pi s / T)) / 2 of the rate at each step, resumed or not; a resumed run has the same number of steps."""
    made, rates, file = [], [], tmp_path / "run.pt"

    def run(steps, *callbacks, checkpoint=file):
        def factory(params):
            made.append(kind(params, lr=0.4))
            return made[-1]

        seen = [lambda *_: rates.append(made[-1].param_groups[0]["lr"]), *callbacks]
        every = None if checkpoint is None else 2
        options = {"schedule": "cosine", "checkpoint": checkpoint, "checkpoint_every": every, "callbacks": seen}
        return train(digits(0), factory, steps, 4, evaluate_every=0, **options).loss

    def stop(done, history):
        if done == 5:
            raise KeyboardInterrupt

    whole = run(6, checkpoint=None)
    with pytest.raises(KeyboardInterrupt):
        run(6, stop)
    assert run(6) == whole
    wanted = [0.4 * (1 + math.cos(math.pi * s / 6)) / 2 for s in range(6)]
    assert rates == pytest.approx([*wanted, *wanted[:5], *wanted[4:]])
    with pytest.raises(InputError, match=r"another run: steps 6 \(this run: 7\)"):
        run(7)
    with pytest.raises(InputError, match="schedule is 'linear': give one of constant, cosine"):
        train(digits(0), "sgd", 1, schedule="linear")


def test_a_checkpoint_of_another_device_raises_and_names_what_differs(tmp_path):
    task, file = digits(0), tmp_path / "run.pt"
    paper = preset("paper")

    def spent(steps, device):
        return train(task, "tngd", steps, 2, evaluate_every=0, device=device, checkpoint=file).steps

    assert spent(1, ToyDevice(paper, die=1)) == 1
    other = paper.replace(opamp__gain=12345.0)
    for device, difference in (
        (ToyDevice(paper, die=2), r"device\.die 1 \(this run: 2\)"),
        (ToyDevice(paper), r"device\.die 1 \(this run: None\)"),
        (ToyDevice(paper, die=1, seed=7), r"device\.seed 0 \(this run: 7\)"),
        (ToyDevice(other, die=1), r"device\.technology with checksum \w{12} \(this run: with checksum \w{12}\)"),
        (IdealDevice(), r"device\.type ToyDevice \(this run: IdealDevice\)"),
    ):
        with pytest.raises(InputError, match=difference):
            spent(2, device)
    assert spent(2, ToyDevice(paper, die=1)) == 2


def test_so_does_one_of_another_device_that_is_refined(tmp_path):
    task, file = digits(0), tmp_path / "run.pt"
    paper = preset("paper")

    def spent(steps, device):
        return train(task, "tngd", steps, 2, evaluate_every=0, device=device, checkpoint=file).steps

    assert spent(1, Refined(ToyDevice(paper, die=1), rounds=1)) == 1
    for device, difference in (
        (Refined(ToyDevice(paper, die=2), rounds=1), r"device\.device\.die 1 \(this run: 2\)"),
        (Refined(ToyDevice(paper, die=1), rounds=2), r"device\.rounds 1 \(this run: 2\)"),
        (Refined(ToyDevice(paper, die=1), rounds=1, method="fcg"), r"device\.method 'richardson' \(this run: 'fcg'\)"),
        (ToyDevice(paper, die=1), r"device\.type Refined \(this run: ToyDevice\)"),
    ):
        with pytest.raises(InputError, match=difference):
            spent(2, device)
    assert spent(2, Refined(ToyDevice(paper, die=1), rounds=1)) == 2


def test_the_device_of_an_optimizer_function_is_part_of_a_checkpoint_too(tmp_path):
    task, file = digits(0), tmp_path / "run.pt"

    def run(kappa0):
        return train(
            task,
            lambda params: TNGD(params, duration=5.0, device=IdealDevice(kappa0, seed=1)),
            1,
            2,
            evaluate_every=0,
            checkpoint=file,
        )

    run(1e-4)
    assert run(1e-4).steps == 1
    with pytest.raises(InputError, match=r"device\.kappa0 0\.0001 \(this run: 0\.001\)"):
        run(1e-3)


def test_no_device_is_the_ideal_device_to_a_checkpoint(tmp_path):
    task, file = digits(0), tmp_path / "run.pt"
    train(task, "tngd", 1, 2, evaluate_every=0, checkpoint=file)
    assert train(task, "tngd", 2, 2, evaluate_every=0, device=IdealDevice(), checkpoint=file).steps == 2


def test_a_checkpoint_cannot_run_code(tmp_path):
    file = tmp_path / "run.pt"

    class Trap:
        def __reduce__(self):
            return (file.with_name("sprung").write_text, ("x",))

    torch.save({"identity": Trap()}, file)
    with pytest.raises(InputError, match="not a checkpoint"):
        train(digits(0), "sgd", 2, checkpoint=file)
    assert not file.with_name("sprung").exists()


def test_bad_arguments():
    task = digits(0)
    with pytest.raises(InputError, match="give one of sgd"):
        train(task, "lion", 1)
    with pytest.raises(InputError, match="task is 3: give a Task"):
        train(3, "sgd", 1)
    with pytest.raises(InputError, match="'letters' is unknown; there are: digits"):
        train("letters", "sgd", 1)
    with pytest.raises(InputError, match="optimizer is of type SGD: give a name, or a function"):
        train(task, torch.optim.SGD(task.model().parameters()), 1)
    with pytest.raises(InputError, match="does not use a device"):
        make_optimizer("adam", task.model().parameters(), IdealDevice())
    with pytest.raises(InputError, match="checkpoint_every is 5 without a checkpoint"):
        train(task, "sgd", 1, checkpoint_every=5)
    for given in ({"settings": {"lr": 0.1}}, {"device": IdealDevice()}):
        with pytest.raises(InputError, match="put them into the function"):
            train(task, lambda params: torch.optim.SGD(params), 1, **given)
    with pytest.raises(InputError, match="wieght_decay is not a setting of the optimizer kfac; it takes lr, damping"):
        make_optimizer("kfac", task.model().parameters(), settings={"wieght_decay": 0.1})
    for options in ({"steps": 0}, {"steps": 1, "seed": -1}, {"steps": 1, "evaluate_every": -1}):
        with pytest.raises(InputError):
            train(task, "sgd", **options)
    with pytest.raises(InputError):
        digits(activation="gelu")


def test_a_diverging_run_is_recorded_and_goes_on():
    history = train(digits(0, activation="relu"), "tngd", 6, 16, evaluate_every=0, settings={"lr": 1e30})
    assert history.steps == 6
    assert not all(math.isfinite(value) for value in history.loss)
    assert "not finite" in history.outcome
