"""docs/experiments: each TOML file runs. benchmarks/experiments: the published simulation and forms of a step are what they say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from thermograd.circuits.technology.presets import PRESETS
from thermograd.devicemodel.card import DeviceCard
from thermograd.optim.training.experiment import Experiment, run_experiment

from ..optim.tasks.mnist_data import arrays

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docs" / "experiments").glob("*.toml"))
ON_MNIST = [file for file in FILES if Experiment.read(file).task == "mnist"]


def script(name):
    """A script of benchmarks/experiments as a module."""
    path = ROOT / "benchmarks" / "experiments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"experiments_{name}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", ON_MNIST, ids=lambda file: file.stem)
def test_every_experiment_on_mnist_runs(file, tmp_path):
    np.savez(tmp_path / "mnist.npz", **arrays())
    experiment = Experiment.read(file)
    small = {"path": str(tmp_path / "mnist.npz"), "train": 60, "test": 25, "width": 1}
    runs = tuple(run.model_copy(update={"steps": 2}) for run in experiment.runs)
    changes = {"seeds": (0,), "batch": 4, "evaluate_every": 0, "settings": small, "runs": runs}
    result = run_experiment(experiment.model_copy(update=changes), workers=1)
    assert result.labels == tuple(run.label for run in experiment.runs)
    assert all(one.history.steps == 2 for one in result.runs)
    assert len({one.history.loss[0] for one in result.runs}) == 1  # the same weights and batch


def test_the_card_of_the_dies_is_calibrated():
    for file in ON_MNIST:
        for run in Experiment.read(file).runs:
            if run.device is not None and run.device.card not in (
                None,
                *PRESETS,
            ):  # a preset's own figures are not fitted
                assert DeviceCard.read(run.device.card).held_out.systems > 0


def small_network():
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).double()
    return model, torch.randn(6, 5, dtype=torch.float64), torch.randint(3, (6,))


def dense_system(model, x, y):
    """J^T H J and g, by the whole Jacobian of the outputs and of the gradient in them."""
    names, values = zip(*((name, p.detach()) for name, p in model.named_parameters()), strict=True)
    sizes = [value.numel() for value in values]

    def outputs(flat):
        parts = [part.view_as(value) for part, value in zip(flat.split(sizes), values, strict=True)]
        return torch.func.functional_call(model, dict(zip(names, parts, strict=True)), (x,)).reshape(-1)

    def loss(z):
        return torch.nn.functional.cross_entropy(z.view(len(y), -1), y)

    start = torch.cat([value.reshape(-1) for value in values])
    J, z = torch.autograd.functional.jacobian(outputs, start), outputs(start)
    return J.T @ torch.autograd.functional.hessian(loss, z) @ J, J.T @ torch.autograd.functional.jacobian(loss, z)


def test_the_published_simulation_is_eulers_iteration_and_approaches_the_law():
    euler = script("euler_simulation")
    model, x, y = small_network()
    G, g = dense_system(model, x, y)
    simulation = euler.Simulation(model, x, y)
    wanted = g
    for _ in range(30):
        wanted = wanted - 0.1 * (G @ wanted + 0.01 * wanted - g)
    torch.testing.assert_close(simulation.run(30), wanted, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(simulation.run_on_kept_graph(30), wanted, rtol=1e-10, atol=1e-12)
    A = G + 0.01 * torch.eye(len(g), dtype=torch.float64)
    rest = torch.linalg.solve(A, g)
    law = rest + torch.linalg.matrix_exp(-3 * A) @ (g - rest)
    assert (simulation.run(30) - law).norm() < 0.02 * law.norm() < (simulation.run(20) - law).norm()
    assert simulation.largest_eigenvalue() == pytest.approx(float(torch.linalg.eigvalsh(A)[-1]), rel=1e-3)


def test_the_published_forms_of_a_step_agree():
    times = script("iteration_time")
    problem = times.Problem(400, 3)
    found = []
    for step in (
        lambda: times.dense(problem),
        lambda: times.woodbury(problem),
        lambda: times.NGD(problem.parameters, lr=times.LR, damping=times.DAMPING).step(problem.closure),
    ):
        step()
        found.append(
            torch.cat([(a - p.detach()).reshape(-1) for a, p in zip(problem.start, problem.parameters, strict=True)])
        )
        problem.restore()
    for one in found[1:]:
        assert (one - found[0]).norm() < 2e-3 * found[0].norm()


def test_exponents_are_fitted():
    times = script("iteration_time")
    assert times.slope([1.0, 2.0, 4.0], [3.0, 24.0, 192.0]) == "3.00 ± 0.00"
    assert times.slope([1.0, 2.0], [1.0, 2.0]) == "-"
