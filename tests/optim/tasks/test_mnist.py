"""The task mnist: which images, how they are scaled, the network, its defaults; and that it learns the real ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.optim.optimizers.registry import OPTIMIZERS
from thermograd.optim.tasks.classification import EVALUATION_BATCH, Classification
from thermograd.optim.tasks.mnist import PATH_VARIABLE, PLAN, mnist, network
from thermograd.optim.tasks.registry import TASKS, make_task
from thermograd.optim.training.train import settings_for, train

from .mnist_data import SIZES, arrays, write_idx

DATA = arrays()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.savez(tmp_path / "mnist.npz", **DATA)
    return tmp_path / "mnist.npz"


def small(path: Path | None, **options: int) -> Classification:
    return mnist(path, **{**SIZES, **options})  # type: ignore[arg-type]


def originals(inputs: torch.Tensor, of: np.ndarray) -> np.ndarray:
    """Pixels 0 to 255 again, by the mean and deviation of the images `of`, taken in float64."""
    return np.rint(inputs[:, 0].double().numpy() * of.std(dtype=float) + of.mean(dtype=float)).astype(int)


def test_every_image_keeps_its_label_and_is_scaled_by_the_training_images(path: Path) -> None:
    task = small(path)
    assert task.train_inputs.shape == (60, 1, 28, 28)
    assert task.train_inputs.dtype is torch.float32
    assert task.train_targets.dtype is torch.int64
    assert abs(float(task.train_inputs.double().mean())) < 1e-6
    assert abs(float(task.train_inputs.double().std(correction=0)) - 1) < 1e-6
    for part in ("train", "test"):
        pixels = originals(getattr(task, f"{part}_inputs"), DATA["x_train"])
        order = pixels[:, 0, 0]
        assert sorted(order) == list(range(SIZES[part]))
        np.testing.assert_array_equal(pixels, DATA[f"x_{part}"][order])
        np.testing.assert_array_equal(getattr(task, f"{part}_targets"), DATA[f"y_{part}"][order])
    assert float(task.test_inputs.mean()) > 0.1  # brighter images stay brighter
    with pytest.raises(AssertionError):  # negative control: scaled by their own statistics
        np.testing.assert_array_equal(originals(task.test_inputs, DATA["x_test"])[:, 5, 5], DATA["x_test"][:, 5, 5])


def test_smaller_choices_are_parts_of_larger_ones_and_seeded(path: Path) -> None:
    def chosen(**options: int) -> list[int]:
        task = small(path, **options)
        order = task.train_inputs[:, 0, 0, 0].argsort().argsort()  # rank of the index within the choice
        assert len(order) == len(task.train_targets)
        return task.train_targets.tolist()

    assert chosen(train=20) == chosen()[:20]
    assert chosen(train=20) == chosen(train=20)
    assert chosen(seed=1) != chosen()
    assert sorted(chosen(seed=1)) == sorted(chosen())
    assert small(path, train=20).name != small(path, train=20, seed=1).name != small(path, seed=1, width=4).name


def test_where_the_data_are(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    with pytest.raises(InputError, match="--data PATH, or the environment variable THERMOGRAD_MNIST"):
        small(None)
    monkeypatch.setenv(PATH_VARIABLE, str(path))
    task = small(None)
    assert task.name == small(write_idx(tmp_path / "raw", DATA)).name  # the same images, whatever the file
    np.savez(tmp_path / "others.npz", **arrays(1))
    assert small(tmp_path / "others.npz").name != task.name


def test_bad_arguments(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train is 61: the data hold 60 images for it, give 1 to 60"):
        small(path, train=61)
    with pytest.raises(InputError, match="test is 0"):
        small(path, test=0)
    with pytest.raises(InputError, match="train is 10000"):
        mnist(path)
    for options in ({"seed": -1}, {"width": 0}):
        with pytest.raises(InputError, match="give seed >= 0 and width >= 1"):
            small(path, **options)
    np.savez(tmp_path / "grey.npz", **(DATA | {"x_train": np.full((60, 28, 28), 7, np.uint8)}))
    with pytest.raises(InputError, match="all pixels of the training images are 7"):
        small(tmp_path / "grey.npz")


def test_the_network_is_the_documented_one(path: Path) -> None:
    net = network()
    assert sum(p.numel() for p in net.parameters()) == 28_602
    assert [type(m) for m in net if list(m.parameters())] == [nn.Conv2d, nn.Linear, nn.Linear]
    torch.manual_seed(0)
    task = small(path, width=2)
    with torch.no_grad():
        outputs = task.model()(task.train_inputs[:5])
    assert outputs.shape == (5, 10)


def test_accuracy_is_counted_in_parts() -> None:
    """A model that reads the class off the input, wrong for a known share; and it never sees many samples at once."""
    n = 2 * EVALUATION_BATCH + 7
    targets = torch.arange(n) % 10
    shown = torch.where(torch.arange(n) % 4 == 3, (targets + 1) % 10, targets)
    sizes: list[int] = []

    class Reader(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sizes.append(len(x))
            assert not self.training
            return nn.functional.one_hot(x, 10).float()

    model = Reader()
    task = Classification("reader", shown, targets, shown, targets, Reader)
    assert task.evaluate(model) == 1 - (n // 4) / n
    assert model.training
    assert sizes == [EVALUATION_BATCH, EVALUATION_BATCH, 7]


def test_tasks_by_name(path: Path) -> None:
    assert make_task("mnist", {"path": path, **SIZES}).name == small(path).name
    assert make_task("digits").name.startswith("digits")
    with pytest.raises(InputError, match="'letters' is unknown; there are: digits, mnist"):
        make_task("letters")
    with pytest.raises(InputError, match="path is not a setting of the task digits; it takes seed, hidden, activation"):
        make_task("digits", {"path": path})
    assert set(TASKS) >= {"digits", "mnist", "fashion-mnist", "autoencoder", "poisson"}


def test_a_task_brings_its_defaults(path: Path) -> None:
    task = small(path)
    for optimizer, settings in PLAN.settings.items():
        assert settings.keys() <= OPTIMIZERS[optimizer][1].keys()
        assert settings_for(task, optimizer) == {**OPTIMIZERS[optimizer][1], **settings}
    assert settings_for(make_task("digits"), "adam") == OPTIMIZERS["adam"][1]
    own = train(task, "adam", 4, 8).loss
    assert own == train(task, "adam", 4, 8, settings={"lr": PLAN.settings["adam"]["lr"]}).loss
    assert own != train(task, "adam", 4, 8, settings={"lr": OPTIMIZERS["adam"][1]["lr"]}).loss
    history = train(make_task("digits"), "adam")
    assert (history.steps, len(history.evaluations)) == (300, 31)
    with pytest.raises(InputError, match=r"batch is 64: the task mnist.* has 60 training samples"):
        train(task, "adam", 1)


def test_a_checkpoint_made_with_other_images_raises(path: Path, tmp_path: Path) -> None:
    train(small(path), "adam", 2, 8, checkpoint=tmp_path / "run.pt")
    other = dict(DATA)
    other["x_test"] = DATA["x_test"] ^ np.uint8(1)
    np.savez(tmp_path / "others.npz", **other)
    train(small(path), "adam", 3, 8, checkpoint=tmp_path / "run.pt")
    with pytest.raises(InputError, match="is of another run: task"):
        train(small(tmp_path / "others.npz"), "adam", 3, 8, checkpoint=tmp_path / "run.pt")


def real_data() -> Path:
    """Where MNIST is, or the reason to skip."""
    candidates = [Path(os.environ[name]) / end for name, end in ((PATH_VARIABLE, ""), ("THERMOGRAD_DATA", "mnist.npz"))
                  if os.environ.get(name)]  # fmt: skip
    candidates.append(Path(__file__).resolve().parents[3].parent / "shared" / "data" / "mnist.npz")
    for candidate in candidates:
        if candidate.exists():
            return candidate
    pytest.skip(f"MNIST is not here: set {PATH_VARIABLE}, or put mnist.npz into THERMOGRAD_DATA or ../shared/data")


@pytest.mark.slow
def test_the_real_images_are_read_and_learnt() -> None:
    path = real_data()
    whole = mnist(path, train=60_000)
    assert whole.train_targets.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert whole.test_targets.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    background = float(whole.train_inputs.min())
    assert abs(background + 0.1307 / 0.3081) < 1e-3  # the set's well-known mean and deviation, of pixels 0 to 1
    history = train(mnist(path, test=2000), "adam", 312, evaluate_every=0)
    assert history.final_score > 0.95
