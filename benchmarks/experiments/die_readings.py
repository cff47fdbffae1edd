r"""What a calibrated die makes of the published MNIST steps: errors against the analog time of a reading, and its noise as a kappa0.

    python benchmarks/experiments/die_readings.py --data mnist.npz --card docs/experiments/integrated.json \
        [--docs docs/experiments/README.md]

Systems of exact NGD's training at the published settings (batch 64, damping 0.01), after --at steps. First table: relative error
of the step to exact NGD's, of one reading of the ideal device and of the die after t tau, and of the die refined to
|b - A x| <= 1e-2 |b| with a deflation of 20, with its rounds, its products of A, and those of plain CG without a die on the same
unit-diagonal matrix to the same residual. Medians over the systems.

Second table: two readings of one die that differ in the seed of their noise alone; the share of the noise in the step, and the
kappa0 of white noise on the N cells of the published device that has the same share at that t,

    E |noise|^2 = kappa0 tr((1 - e^(-2 A t)) A^-1),        A = J^T H J + lambda.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thermograd.circuits.files import write_text
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Device
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.optim.optimizers.ngd import NGD
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.mnist import BATCH, PATH_VARIABLE
from thermograd.optim.tasks.registry import make_task

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "optim"))

from dies import NoDie
from ngd_speed_parts.report import filled

LR, DAMPING, TOLERANCE, DEFLATION = 0.01, 0.01, 1e-2, 20
TIMES, MOST = (1.0, 5.0, 10.0, 20.0, 50.0), 640
NAME = "die readings"


class Steps:
    """Steps of one system by several devices, each from the same parameters."""

    def __init__(self, task: Any, model: torch.nn.Module, step: int) -> None:
        self.model, self.closure = model, task.closure(model, step, BATCH, 0)
        self.start = [p.detach().clone() for p in model.parameters()]

    def of(self, optimizer: Any) -> Tensor:
        """x, (N,) in float64."""
        optimizer.step(self.closure)
        pairs = list(zip(self.start, self.model.parameters(), strict=True))
        x = torch.cat([((a.double() - p.detach().double()) / LR).reshape(-1) for a, p in pairs])
        with torch.no_grad():
            for a, p in pairs:
                p.copy_(a)
        return x

    def read(self, device: Device, t: float) -> tuple[Tensor, TNGD]:
        reading = "refined" if isinstance(device, Refined) else "bare"
        optimizer = TNGD(self.model.parameters(), lr=LR, damping=DAMPING, duration=t, reading=reading, device=device)  # type: ignore[arg-type]
        return self.of(optimizer), optimizer


def eigenvalues(steps: Steps) -> np.ndarray:
    """Of J^T H J, those of its k x k Gram matrix, without damping."""
    optimizer = NGD(steps.model.parameters(), lr=LR, damping=DAMPING)
    found: list[Tensor] = []
    original = optimizer._direction

    def spied(factor: Any, damping: float) -> Any:
        found.append(factor.gram().double())
        return original(factor, damping)

    optimizer._direction = spied  # type: ignore[method-assign]
    steps.of(optimizer)
    return np.clip(torch.linalg.eigvalsh(found[0]).numpy(), 0, None)


def noise_trace(values: np.ndarray, parameters: int, t: float) -> float:
    """tr((1 - e^(-2 A t)) A^-1) of A on N cells."""
    a = np.concatenate([values + DAMPING, [DAMPING]])
    counts = np.concatenate([np.ones(len(values)), [parameters - len(values)]])
    return float(np.sum(counts * -np.expm1(-2 * a * t) / a))


def measured(steps: Steps, card: DeviceCard, die: int) -> dict[str, Any]:
    """All readings of one system."""
    exact = steps.of(NGD(steps.model.parameters(), lr=LR, damping=DAMPING))
    size = float(exact.norm())
    values = eigenvalues(steps)
    rows: dict[float, dict[str, float]] = {}
    for t in TIMES:
        ideal, _ = steps.read(IdealDevice(), t)
        pair = [steps.read(SurrogateDevice(card, die, seed=seed, extrapolate=True), t) for seed in (0, 1)]
        refined = Refined(SurrogateDevice(card, die, extrapolate=True), tolerance=TOLERANCE, deflation=DEFLATION)
        x, optimizer = steps.read(refined, t)
        last = optimizer.last
        assert last is not None
        readable = all(one.last is not None and one.last.applied for _, one in pair)
        share = (
            float((pair[0][0] - pair[1][0]).norm()) / math.sqrt(2) / float(pair[0][0].norm()) if readable else math.nan
        )
        rows[t] = {
            "ideal": float((ideal - exact).norm()) / size,
            "bare": float((pair[0][0] - exact).norm()) / size if readable else math.inf,
            "apart": float((pair[0][0] - ideal).norm() / ideal.norm()) if readable else math.inf,
            "refined": float((x - exact).norm()) / size,
            "rounds": last.rounds,
            "products": last.products,
            "analog": last.analog_seconds,
            "retries": last.retries,
            "residual": last.residual or math.nan,
            "noise": share,
            "kappa0": (share * float(ideal.norm())) ** 2 / noise_trace(values, len(x), t),
        }
    _, control = steps.read(Refined(NoDie(), MOST, TOLERANCE, method="fcg"), 50.0)
    assert control.last is not None
    return {"rows": rows, "cg": control.last.products, "largest": float(values.max())}


def middle(found: list[dict[str, Any]], t: float, name: str) -> float:
    """The median over the systems; inf counts as a reading that there is not, nan is left out."""
    return float(np.nanmedian([one["rows"][t][name] for one in found]))


def number(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) else "none: unstable"


def tables(found: list[dict[str, Any]]) -> str:
    """Markdown."""
    cg = np.median([one["cg"] for one in found])
    lines = [
        "| t, tau | error: ideal device | die, bare | die, refined | rounds | analog time of all runs, us | products "
        "| CG's without a die |",
        "|---" * 8 + "|",
    ]
    for t in TIMES:
        errors = [number(middle(found, t, name)) for name in ("ideal", "bare", "refined")]
        counts = f"{middle(found, t, 'rounds'):g} | {1e6 * middle(found, t, 'analog'):.2g} | {middle(found, t, 'products'):g} | {cg:g}"
        lines.append(f"| {t:g} | {' | '.join(errors)} | {counts} |")
    lines += [
        "",
        "| t, tau | systems at which the bare die is stable | its error, against the ideal device at that t | noise's share of the reading "
        "| kappa0 of that share |",
        "|---" * 5 + "|",
    ]
    for t in TIMES:
        stable = [one for one in found if math.isfinite(one["rows"][t]["apart"])]
        cells = [number(middle(stable, t, name)) if stable else "-" for name in ("apart", "noise", "kappa0")]
        lines.append(f"| {t:g} | {len(stable)} of {len(found)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default=os.environ.get(PATH_VARIABLE), help=f"mnist.npz; default: {PATH_VARIABLE}")
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--at", default="0,10,60,150,300", help="steps of training")
    parser.add_argument("--die", type=int, default=1)
    parser.add_argument("--docs", type=Path, help=f"page whose tables behind <!-- {NAME} --> are replaced")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    card, at = DeviceCard.read(arguments.card), [int(one) for one in arguments.at.split(",")]
    task = make_task("mnist", {"path": arguments.data, "test": 1000})
    torch.manual_seed(0)
    model = task.model()
    optimizer, found = NGD(model.parameters(), lr=LR, damping=DAMPING), []
    for step in range(max(at) + 1):
        if step in at:
            found.append(measured(Steps(task, model, step), card, arguments.die))
            print(step, found[-1], file=sys.stderr, flush=True)
        optimizer.step(task.closure(model, step, BATCH, 0))
    text = tables(found)
    print(text)
    if arguments.docs is not None:
        write_text(arguments.docs, filled(arguments.docs.read_text(encoding="utf-8"), NAME, text + "\n"))


if __name__ == "__main__":
    main()
