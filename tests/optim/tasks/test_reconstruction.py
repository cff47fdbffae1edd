"""Reconstruction and autoencoders: the law of linear ones, the contract of tasks, the data, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.optim.optimizers.damping import LevenbergMarquardt
from thermograd.optim.tasks.autoencoder import autoencoder
from thermograd.optim.tasks.fashion_mnist import PATH_VARIABLE, fashion_mnist
from thermograd.optim.tasks.mnist import mnist
from thermograd.optim.tasks.reconstruction import Reconstruction, pca_error
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.tasks.shuffled_batches import held_out_from
from thermograd.optim.training.train import train

from .mnist_data import SIZES, arrays, write_idx


def linear(code: int, samples: int = 40, pixels: int = 6) -> Reconstruction:
    """A linear autoencoder of correlated data off the origin, tested on what it is trained on."""
    random = torch.Generator().manual_seed(0)
    mixed = torch.randn(samples, pixels, generator=random, dtype=torch.float64) @ torch.diag(
        torch.arange(1.0, pixels + 1).double()
    )
    x = mixed @ torch.linalg.qr(torch.randn(pixels, pixels, generator=random, dtype=torch.float64))[0] + 0.3

    def model() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(pixels, code), torch.nn.Linear(code, pixels)).double()

    return Reconstruction("linear", x, x, model, "squared")


def smallest_error(x: torch.Tensor, code: int) -> float:
    """What the best approximation of rank `code` of the centred samples leaves of their squares (Eckart and Young)."""
    return left_of(x.numpy() - x.numpy().mean(axis=0), code)


def left_of(x: np.ndarray, rank: int) -> float:
    return float((np.linalg.svd(x, compute_uv=False)[rank:] ** 2).sum() / len(x))


@pytest.mark.parametrize("code", [1, 3])
def test_the_optimum_of_a_linear_autoencoder_is_that_of_pca(code: int) -> None:
    task = linear(code)
    best = smallest_error(task.train_inputs, code)
    assert abs(pca_error(task.train_inputs, task.test_inputs, code) / best - 1) < 1e-10
    settings = {"lr": 1.0, "damping": LevenbergMarquardt(start=1.0, factor=0.5, lowest=1e-9), "line_search": True}
    history = train(task, "ngd", 60, 40, 0, evaluate_every=0, settings=settings)
    assert abs(history.final_score / best - 1) < 1e-6
    assert abs(2 * history.loss[-1] / best - 1) < 1e-6  # the loss is half of it
    # Negative control: one component fewer, or samples that are not centred, leave another error.
    for wrong in (smallest_error(task.train_inputs, code - 1), left_of(task.train_inputs.numpy(), code)):
        assert abs(wrong / history.final_score - 1) > 1e-3


def test_loss_and_score_are_sums_over_pixels_and_means_over_samples() -> None:
    x = torch.tensor([[0.0, 1.0, 0.25], [1.0, 0.5, 0.0]])
    task = Reconstruction("given", x, x, torch.nn.Identity)
    loss, outputs = task.closure(torch.nn.Identity(), 0, 2, 0)()
    s = 1 / (1 + np.exp(-x.double().numpy()))
    by_hand = -(x.numpy() * np.log(s) + (1 - x.numpy()) * np.log(1 - s)).sum() / 2
    assert abs(float(loss) / by_hand - 1) < 1e-6
    assert outputs.shape == (2, 3)
    assert abs(task.evaluate(torch.nn.Identity()) / (((s - x.numpy()) ** 2).sum() / 2) - 1) < 1e-6
    assert Reconstruction("given", x, x, torch.nn.Identity, "squared").evaluate(torch.nn.Identity()) == 0
    assert not task.score.more_is_better
    assert task.score.reaches(0.9, 1.0)


def test_closures_are_functions_of_their_arguments_and_runs_resume(tmp_path: Path) -> None:
    task = autoencoder(widths=(8, 2))
    model = task.model()
    for step in (0, 7, 3):
        first, again = (float(task.closure(model, step, 32, 1)()[0].detach()) for _ in range(2))
        assert first == again
    assert float(task.closure(model, 0, 32, 2)()[0].detach()) != float(task.closure(model, 0, 32, 1)()[0].detach())
    whole = train(task, "ngd", 4, 4, checkpoint=tmp_path / "whole.pt")
    train(task, "ngd", 2, 4, checkpoint=tmp_path / "run.pt")
    assert train(task, "ngd", 4, 4, checkpoint=tmp_path / "run.pt").loss == whole.loss


def test_held_out_data_are_neither_trained_on_nor_tested_on() -> None:
    task = autoencoder(widths=(4,))
    part = task.held_out()
    assert (len(part.train_inputs), len(part.test_inputs)) == (1078, 359)
    assert torch.equal(torch.cat([part.train_inputs, part.test_inputs]), task.train_inputs)
    assert part.name != task.name
    assert part.score.target == task.score.target
    with pytest.raises(InputError, match="has 1 training samples, of which none can be held out"):
        held_out_from("small", 1)


def test_networks_and_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", **arrays())
    task = autoencoder(path=tmp_path / "images.npz", **SIZES, widths=(5, 3))
    widths = [tuple(layer.weight.shape) for layer in task.model() if isinstance(layer, torch.nn.Linear)]
    assert widths == [(5, 784), (3, 5), (5, 3), (784, 5)]
    assert [type(layer).__name__ for layer in task.model()] == ["Linear", "Tanh", "Linear", "Linear", "Tanh", "Linear"]
    assert float(task.train_inputs.max()) == 1.0
    assert task.train_inputs.shape == (SIZES["train"], 784)
    assert sum(p.numel() for p in autoencoder().model().parameters()) == 5478
    assert not any(isinstance(layer, torch.nn.Tanh) for layer in autoencoder(activation="linear").model())
    assert autoencoder().score.target < autoencoder(widths=(5,)).score.target


def test_fashion_mnist_reads_both_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    with pytest.raises(InputError, match=f"task fashion-mnist needs its data.*{PATH_VARIABLE}"):
        fashion_mnist(**SIZES)
    np.savez(tmp_path / "fashion.npz", **arrays())
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "fashion.npz"))
    task = fashion_mnist(**SIZES)
    assert task.name == fashion_mnist(write_idx(tmp_path / "raw", arrays()), **SIZES).name
    assert task.name.startswith("fashion-mnist(")
    assert torch.equal(task.train_inputs, mnist(tmp_path / "fashion.npz", **SIZES).train_inputs)
    assert train(task, "adam", 2, 8).steps == 2
    assert autoencoder("fashion-mnist", **SIZES).train_inputs.shape == (60, 784)


def test_bad_input() -> None:
    for options, message in (
        ({"data": "letters"}, "data is 'letters': give digits or mnist or fashion-mnist"),
        ({"activation": "relu"}, "activation is 'relu'"),
        ({"widths": ()}, "give seed >= 0 and one width >= 1"),
        ({"widths": (4, 0)}, "give seed >= 0 and one width >= 1"),
        ({"seed": -1}, "give seed >= 0"),
        ({"loss": "hinge"}, "loss is 'hinge': give cross-entropy or squared"),
        ({"data": "digits", "train": 5}, "train is 5, but digits come with scikit-learn"),
    ):
        with pytest.raises(InputError, match=message):
            autoencoder(**options)  # type: ignore[arg-type]
    x = torch.full((4, 3), 2.0)
    with pytest.raises(InputError, match="inputs of big are from 2 to 2: cross-entropy takes 0 to 1"):
        Reconstruction("big", x, x, torch.nn.Identity)
    task = autoencoder()
    with pytest.raises(InputError, match="needs a number of samples a step"):
        task.closure(task.model(), 0, None, 0)
    with pytest.raises(InputError, match="batch is 2000"):
        task.closure(task.model(), 0, 2000, 0)


@pytest.mark.parametrize("name", ["poisson", "poisson-cube"])
def test_settings_of_points_are_chosen_at_other_points(name: str) -> None:
    task = make_task(name)
    other = task.held_out()
    torch.manual_seed(0)
    model = task.model()
    losses = [float(one.closure(model, 0, None, 0)()[0].detach()) for one in (task, other)]
    assert losses[0] != losses[1]
    assert abs(losses[0] / losses[1] - 1) < 0.2
    assert other.name != task.name
    assert other.plan is task.plan
