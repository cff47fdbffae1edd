"""Cases of optimizers, trainings, studies and landscapes."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thermograd.devicemodel import CascadeDevice, IdealDevice, ReadOut, SurrogateDevice
from thermograd.optim import (
    KFAC,
    NGD,
    NGDCG,
    OPTIMIZERS,
    TNGD,
    LevenbergMarquardt,
    NGDWoodbury,
    curvature_systems,
    follow,
    landscape,
    make_task,
    study,
    train,
)

from .inputs import UNEVEN, card_of
from .store import Case, Items


def network(kind: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """A small network and a batch for it."""
    nn, inputs = torch.nn, torch.from_numpy(np.random.default_rng(1).standard_normal((6, 1, 6, 6)))
    conv = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 3))
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, 3))
    words = nn.Sequential(nn.Embedding(7, 4), nn.Conv1d(5, 4, 1), nn.GELU(), nn.Flatten(), nn.Linear(16, 3))
    tokens = torch.from_numpy(np.random.default_rng(2).integers(0, 7, (6, 5)))
    if kind == "words":
        return words.double(), tokens
    return (mlp.float(), inputs.float()) if kind == "single" else ({"conv": conv, "mlp": mlp}[kind].double(), inputs)


def surrogate() -> SurrogateDevice:
    """A fresh device."""
    return SurrogateDevice(card_of(UNEVEN, "crossbar"), 2, seed=1, extrapolate=True)


MAKERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "ngd": lambda p: NGD(p, 0.1, 0.3),
    "ngd_gram": lambda p: NGD(p, 0.1, 0.3, method="gram", momentum=0.5, weight_decay=0.01, clip=0.2),
    "ngd_cg": lambda p: NGD(p, 0.1, 0.3, method="cg"),
    "ngd_fisher": lambda p: NGD(p, 0.1, 0.3, curvature="fisher", update="adam"),
    "ngd_empirical": lambda p: NGD(p, 0.1, 0.3, curvature="empirical"),
    "ngd_sampled": lambda p: NGD(p, 0.1, 0.3, curvature="mc-fisher", mc_samples=2, seed=3),
    "ngd_groups": lambda p: NGD([{"params": [q], "damping": 0.1 * (k + 1)} for k, q in enumerate(p)], 0.1, 0.3),
    "ngd_scheduled": lambda p: NGD(p, 0.1, lambda step: 1.0 / (1 + step)),
    "ngd_adapted": lambda p: NGD(p, 0.5, LevenbergMarquardt(1.0)),
    "cg": lambda p: NGDCG(p, 0.1, 0.3, warm_start=True),
    "cg_hessian": lambda p: NGDCG(p, 0.1, 3.0, curvature="hessian", max_iter=5),
    "cg_adapted": lambda p: NGDCG(p, 0.5, LevenbergMarquardt(1.0)),
    "woodbury": lambda p: NGDWoodbury(p, 0.1, 0.3),
    "kfac": lambda p: KFAC(p, 0.1, 0.3, refresh=2, curvature="mc-fisher", seed=1),
    "kfac_ggn": lambda p: KFAC(p, 0.1, 0.3),
    "tngd": lambda p: TNGD(p, 0.1, 0.3, duration=3.0),
    "tngd_reads": lambda p: TNGD(p, 0.1, 0.3, duration=3.0, reads=3, device=IdealDevice(1e-4, seed=1), update="adam"),
    "tngd_primal": lambda p: TNGD(p, 0.1, 0.3, duration=2.0, delay_time=0.5, reset=False, system="primal"),
    "tngd_kronecker": lambda p: TNGD(p, 0.1, 0.3, duration=3.0, system="kronecker"),
    "tngd_surrogate": lambda p: TNGD(p, 0.1, 0.3, duration=10.0, device=surrogate()),
    "tngd_factored": lambda p: TNGD(
        p, 0.1, 0.3, duration=5.0, system="kronecker", device=CascadeDevice(UNEVEN, 2, seed=1)
    ),
    "tngd_adapted": lambda p: TNGD(p, 0.5, LevenbergMarquardt(1.0), duration=20.0),
}


def steps(kind: str, optimizer: str, loss: str) -> Items:
    """Parameters after three steps, the third of two micro-batches."""
    model, inputs = network(kind)
    labels = torch.from_numpy(np.random.default_rng(4).integers(0, 3, 6))
    targets = labels if loss == "entropy" else torch.nn.functional.one_hot(labels, 3).to(inputs.dtype)
    of = torch.nn.functional.cross_entropy if loss == "entropy" else torch.nn.functional.mse_loss
    chosen: Any = MAKERS[optimizer](list(model.parameters()))

    def closure(part: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = model(inputs[part])
        return of(outputs, targets[part]), outputs

    found: dict[str, Any] = {}
    for k in range(3):
        if k == 2 and optimizer not in ("tngd_primal", "cg_hessian"):
            chosen.prepare(lambda: closure(slice(0, 3)))
            chosen.prepare(lambda: closure(slice(3, 6)))
            chosen.step()
        else:
            chosen.step(closure)
        last = chosen.last
        found[f"step {k}"] = [last.loss, last.cells, last.analog_seconds, last.attempts, last.damping, last.iterations]
        found[f"outcome {k}"] = f"{last.outcome.value} {last.fallbacks}"
        found[f"parameters {k}"] = [p.detach().clone() for p in model.parameters()]
    yield "steps.npz", found


def history_of(history: Any) -> dict[str, Any]:
    """A training's history without what was measured by the clock."""
    words = " ".join(history.outcome)
    return {"loss": history.loss, "analog": history.analog_seconds, "test": history.evaluations, "outcome": words}


def trained(optimizer: str) -> Items:
    """A few steps on the digits; stopped and resumed."""
    yield "history.npz", history_of(train(make_task("digits"), optimizer, 6, 8, seed=1, evaluate_every=2))
    small = {"hidden": 8, "activation": "relu"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.pt"
        train(make_task("digits", small), optimizer, 2, 8, checkpoint=path)
        yield "resumed.npz", history_of(train(make_task("digits", small), optimizer, 4, 8, checkpoint=path))
        state = torch.load(path, weights_only=True)
        yield "model.npz", dict(state["model"])


def on_devices() -> Items:
    """Trainings on simulated devices, and of the convolutional network on images drawn here."""
    card = card_of(UNEVEN, "crossbar")
    averaged = ReadOut(2, 0.5, auto_zero=True)
    for name, device in (
        ("surrogate", SurrogateDevice(card, 3, seed=1, extrapolate=True)),
        ("two_reads", SurrogateDevice(card, 3, read_out=averaged, extrapolate=True)),
        ("noisy", IdealDevice(1e-4, seed=1)),
    ):
        yield f"{name}.npz", history_of(train(make_task("digits"), "tngd", 12, 4, seed=2, device=device))
    rng = np.random.default_rng(6)
    with tempfile.TemporaryDirectory() as folder:
        data = {f"x_{part}": rng.integers(0, 256, (n, 28, 28), np.uint8) for part, n in (("train", 40), ("test", 20))}
        data |= {f"y_{part}": rng.integers(0, 10, n, np.uint8) for part, n in (("train", 40), ("test", 20))}
        np.savez(Path(folder) / "mnist.npz", allow_pickle=False, **data)
        task = make_task("mnist", {"path": Path(folder) / "mnist.npz", "train": 30, "test": 15, "width": 2})
        for optimizer in ("adam", "ngd", "kfac", "tngd"):
            yield f"images_{optimizer}.npz", history_of(train(task, optimizer, 3, 6))


def studied(name: str, levels: list[float]) -> Items:
    """A small study."""
    found = study("digits", name, levels, (1, 2), card=card_of(UNEVEN, "crossbar"), steps=3, batch=4, workers=1)
    yield "study.json", found.to_dict()


def pictured() -> Items:
    """Paths, planes through them, and systems that the device meets on the way."""
    task = make_task("digits", {"hidden": 8})
    paths = [follow(task, name, 4, 8, seed=1, samples=60) for name in ("sgd", "ngd", "tngd")]
    yield "points.npz", [[one.steps, one.points, one.loss] for one in paths]
    for kind in ("paths", "random"):
        found = landscape(task, paths, kind, points=4, samples=60, seed=2)
        yield f"{kind}.npz", found.arrays()
        yield f"{kind}.json", found.to_dict()
    yield "systems.npz", [dataclasses.astuple(one) for one in curvature_systems(task, [0, 2], 3)]


def cases() -> Iterator[Case]:
    """All cases of optimizers and trainings."""
    for kind, loss in (
        ("mlp", "entropy"),
        ("conv", "entropy"),
        ("words", "entropy"),
        ("single", "entropy"),
        ("mlp", "squares"),
    ):
        # The empirical Fisher matrix of squares has no dual system here.
        for optimizer in sorted(MAKERS.keys() - ({"ngd_empirical"} if loss == "squares" else set())):
            yield f"optimizers/{kind}_{loss}_{optimizer}", steps, (kind, optimizer, loss)
    for optimizer in OPTIMIZERS:
        yield f"training/{optimizer}", trained, (optimizer,)
    yield "training/study_tolerance", studied, ("tolerance", [0.01, 0.1])
    yield "training/devices", on_devices, ()
    yield "training/study_isolation", studied, ("isolation", [1e-3])
    yield "training/landscape", pictured, ()
