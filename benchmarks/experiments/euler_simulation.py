r"""A step of TNGD by the exact law of its device, and by the Euler-Maruyama simulation of arXiv 2405.13817: times and difference.

    python benchmarks/experiments/euler_simulation.py --data mnist.npz [--at 0,20,100] [--docs docs/experiments/README.md]

MNIST at the published settings (batch 64, t = 50 tau, damping 0.01, no noise). The publication's steps of dt = 0.1 tau,

    x <- x - dt (J^T H J x + lambda x - g),        500 of them,

each take a product with J (forward mode: the outputs once more, and their derivative along x), one with H, and one with J^T
(the outputs again, and a backward pass): three model calls. "Graph kept" is the same iteration with the outputs' graph made
once for all 500, two backward passes a step, which the publication does not do. Processor time, one thread, alternating in
one process; medians. A step is all that an optimizer does (forward pass, gradient, curvature, solution, update) on one side,
and the iteration with its gradient alone on the other.

Euler's iteration grows without bound where dt times the largest eigenvalue of J^T H J + lambda is above 2. --at: steps of
training before the one that is measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp

from thermograd.circuits.files import write_text
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.mnist import BATCH, PATH_VARIABLE
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.tasks.task import Task
from thermograd.optim.training.train import train

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "optim"))

from ngd_speed_parts.report import filled

LR, DAMPING, DURATION, STEP = 0.01, 0.01, 50.0, 0.1
SETTINGS = {"lr": LR, "damping": DAMPING, "duration": DURATION, "momentum": 0.0, "reading": "bare"}
NAME = "euler"

Parameters = dict[str, Tensor]


class Simulation:
    """The published simulation of one step on a batch.

    Args:
        model: the network.
        x, y: (b, ...) inputs and (b,) classes of the mean cross-entropy.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor) -> None:
        self.model, self.x, self.y = model, x, y
        self.parameters = {name: p.detach() for name, p in model.named_parameters()}

    def outputs(self, parameters: Parameters) -> Tensor:
        found: Tensor = functional_call(self.model, parameters, (self.x,))
        return found

    def gradient(self) -> tuple[Parameters, Tensor]:
        """g, and the probabilities (b, classes), of which H = (diag(p) - p p^T) / b is made."""
        with torch.enable_grad():
            outputs, back = vjp(self.outputs, self.parameters)
        p = outputs.softmax(-1)
        (found,) = back((p - nn.functional.one_hot(self.y, p.shape[-1])) / len(p))
        return found, p

    def products(self, v: Parameters, p: Tensor) -> Parameters:
        """J^T H J v by three model calls."""
        _, tangent = jvp(self.outputs, (self.parameters,), (v,))
        with torch.enable_grad():
            _, back = vjp(self.outputs, self.parameters)
        (found,) = back(curved(p, tangent))
        return found

    def run(self, steps: int) -> Tensor:
        """x after so many steps from x = g, (N,)."""
        g, p = self.gradient()
        state = {name: part.clone() for name, part in g.items()}
        for _ in range(steps):
            change = self.products(state, p)
            state = {n: v - STEP * (change[n] + DAMPING * v - g[n]) for n, v in state.items()}
        return flat(state.values())

    def run_on_kept_graph(self, steps: int) -> Tensor:
        """The same with one forward pass: J v is the derivative of J^T w in w."""
        leaves = [part.clone().requires_grad_() for part in self.parameters.values()]
        outputs = self.outputs(dict(zip(self.parameters, leaves, strict=True)))
        dummy = torch.zeros_like(outputs, requires_grad=True)
        pulled = torch.autograd.grad(outputs, leaves, dummy, create_graph=True)
        p = outputs.detach().softmax(-1)

        def back(w: Tensor) -> tuple[Tensor, ...]:
            return torch.autograd.grad(outputs, leaves, w, retain_graph=True)

        g = back((p - nn.functional.one_hot(self.y, p.shape[-1])) / len(p))
        state = g
        for _ in range(steps):
            (tangent,) = torch.autograd.grad(pulled, dummy, state, retain_graph=True)
            change = back(curved(p, tangent))
            state = tuple(v - STEP * (c + DAMPING * v - d) for v, c, d in zip(state, change, g, strict=True))
        return flat(state)

    def largest_eigenvalue(self, iterations: int = 60) -> float:
        """Of J^T H J + lambda, by power iteration."""
        v, p = self.gradient()
        size = 0.0
        for _ in range(iterations):
            v = self.products(v, p)
            size = float(flat(v.values()).norm())
            v = {name: part / size for name, part in v.items()}
        return size + DAMPING


def curved(p: Tensor, v: Tensor) -> Tensor:
    """H v of the mean cross-entropy."""
    return (p * v - p * (p * v).sum(-1, keepdim=True)) / len(p)


def flat(parts: object) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])  # type: ignore[attr-defined]


def seconds(call: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measured(task: Task, at: int, repeats: int) -> dict[str, float]:
    """Times, their ratios and the differences of the solutions after `at` steps of training."""
    torch.manual_seed(0)
    model = task.model()
    if at:
        train(task, "tngd", at, BATCH, 0, model=model, evaluate_every=0, settings=SETTINGS)
    start = [p.detach().clone() for p in model.parameters()]
    x, y = task.batch(at, BATCH, 0)  # type: ignore[attr-defined]
    simulation = Simulation(model, x, y)
    simulation.parameters = {name: p.detach().clone() for name, p in model.named_parameters()}
    steps = round(DURATION / STEP)

    def own() -> None:
        optimizer.step(task.closure(model, at, BATCH, 0))

    def moved() -> Tensor:
        return flat([(a.double() - p.detach().double()) / LR for a, p in zip(start, model.parameters(), strict=True)])

    def restore() -> None:
        with torch.no_grad():
            for p, value in zip(model.parameters(), start, strict=True):
                p.copy_(value)

    optimizer = TNGD(model.parameters(), **SETTINGS)  # type: ignore[arg-type]
    own()
    exact = moved()
    restore()
    times: dict[str, list[float]] = {"own": [], "euler": [], "kept": []}
    for _ in range(repeats):
        for _ in range(10):
            times["own"].append(seconds(own))
            restore()
        times["euler"].append(seconds(lambda: simulation.run(steps)))
        times["kept"].append(seconds(lambda: simulation.run_on_kept_graph(steps)))
    middle = {name: statistics.median(found) for name, found in times.items()}
    found = simulation.run(steps).double()
    return middle | {
        "at": at,
        "eigenvalue": simulation.largest_eigenvalue(),
        "difference": float((found - exact).norm() / exact.norm()),
    }


def table(rows: list[dict[str, float]]) -> str:
    """Markdown."""
    lines = [
        "| after steps | exact law, ms a step | 500 Euler steps, s | ratio | graph kept, s | ratio | largest eigenvalue "
        "| difference of the steps |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        own, euler, kept = r["own"], r["euler"], r["kept"]
        apart = f"{r['difference']:.2g}" if r["difference"] < 10 else "grows without bound"
        times = f"{1e3 * own:.1f} | {euler:.1f} | {euler / own:.0f} | {kept:.1f} | {kept / own:.0f}"
        lines.append(f"| {r['at']:g} | {times} | {r['eigenvalue']:.1f} | {apart} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default=os.environ.get(PATH_VARIABLE), help=f"mnist.npz; default: {PATH_VARIABLE}")
    parser.add_argument("--at", default="0,20,100", help="steps of training before the step that is measured")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--docs", type=Path, help=f"page whose table behind <!-- {NAME} --> is replaced")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task = make_task("mnist", {"path": arguments.data})
    text = table([measured(task, int(at), arguments.repeats) for at in arguments.at.split(",")])
    print(text)
    if arguments.docs is not None:
        write_text(arguments.docs, filled(arguments.docs.read_text(encoding="utf-8"), NAME, text + "\n"))


if __name__ == "__main__":
    main()
