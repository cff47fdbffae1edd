"""Dies trained together have the histories of dies trained one by one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.die_trainings import train_dies
from thermograd.optim.training.stacked_network import StackedNetwork
from thermograd.optim.training.train import train

QUIET = DeviceCard.uncalibrated(preset("integrated").replace(thermal__johnson_noise=False))
BARE = {"reading": "bare"}
SAME = ("outcome", "reading", "retries", "evaluations", "metrics")


def assert_same(found, alone):
    for name in SAME:
        assert getattr(found, name) == getattr(alone, name), name
    for name in ("loss", "analog_seconds", "hardware_seconds", "hardware_joules"):
        assert getattr(found, name) == pytest.approx(getattr(alone, name), rel=1e-5), name


@pytest.mark.parametrize(
    ("settings", "hidden", "activation"),
    [(BARE, 32, "tanh"), ({**BARE, "duration": 2.0, "momentum": 0.9, "weight_decay": 0.01, "lr": 0.1}, 5, "relu")],
)
def test_histories_are_those_of_single_trainings(settings, hidden, activation):
    """Same dies, seeds, draws of the ADC; two dies alike are trained from other weights."""
    task, dies, seeds = digits(hidden=hidden, activation=activation), [3, 1, 3], [0, 0, 2]
    found = train_dies(task, QUIET, dies, 6, 3, seeds, evaluate_every=3, settings=settings, extrapolate=True)
    for die, seed, history in zip(dies, seeds, found, strict=True):
        device = SurrogateDevice(QUIET, die, seed, extrapolate=True)
        assert_same(history, train(task, "tngd", 6, 3, seed, device, evaluate_every=3, settings=settings))
    assert found[0].loss != found[1].loss


def test_a_die_whose_weights_are_not_finite_stands_still_and_the_others_go_on():
    network = StackedNetwork([nn.Sequential(nn.Linear(4, 3)) for _ in range(2)])
    network.parameters[0][1, 0, 0] = float("nan")
    found = network.curvature(torch.randn(2, 5, 4), torch.zeros(2, 5, dtype=torch.int64))
    assert bool(torch.isfinite(found.gram[0]).all())
    assert not bool(torch.isfinite(found.loss[1]))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"settings": {"damping": 0.3}}, "refined"),
        ({"settings": {**BARE, "update": "adam"}}, "update"),
        ({"settings": {**BARE, "schedule": "cosine"}}, "schedule"),
        ({"settings": {**BARE, "damping": lambda step: 0.1}}, "a number"),
        ({"task": "poisson"}, "labelled samples"),
        ({"steps": 0}, "steps"),
        ({"seed": [1]}, "1 entries for 2 dies"),
    ],
)
def test_what_is_not_supported_is_named(change, named):
    taken = {"task": "digits", "steps": 1, "batch": 2, "settings": BARE, **change}
    with pytest.raises(InputError, match=named):
        train_dies(card=QUIET, dies=[0, 1], extrapolate=True, **taken)


def test_networks_of_other_layers_are_named():
    for model, named in (
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.Linear(2, 2)), "Conv2d"),
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh()), "ends in a Tanh"),
        (nn.Linear(2, 2), "has a Linear"),
    ):
        with pytest.raises(InputError, match=named):
            StackedNetwork([model])
