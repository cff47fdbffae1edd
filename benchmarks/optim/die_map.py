r"""How bad may a die be? Accuracy of digits over mismatch and bits of the die, and rounds of refinement.

    python benchmarks/optim/die_map.py [--task mnist --data mnist.npz] [--seeds 1,2] [--workers 1] [--kept] --out out/die_map \
        --docs docs/optimizer.md

Dies of the integrated technology with other resistors (standard deviation of their conductance) and b bits: of conductances, DAC and ADC.
NGD's best damping and rate on the task; each cell of the map is trained with as many seeds as dies, die k with seed k. All readings are
taken with a unit diagonal and at +b and -b (`Refined`):

    0, 1, 2, 4      rounds of Richardson's iteration
    fcg             flexible CG with the die as preconditioner, to |b - A x| <= 1e-2 |b|, at most 20 rounds
    no die          the control: CG on the unit-diagonal matrix, as many rounds of it, and to 1e-2

A die trains if it loses at most a point against exact NGD, and at most 1 % of its steps take more damping or the gradient. It counts as
useful where it needs at most half of the products with A that CG takes to the same residual. The border is where the law of
`devicemodel.limits` predicts a contraction of 1 by codes, mismatch and leak, on systems of a digital training.

--task mnist runs the corners of the map alone. Runs of one thread are stored one by one: an interrupted map resumes; --kept draws what
there is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from thermograd.circuits.files import output_folder, write_text
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Device
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.optim.optimizers.readings.reading import TOLERANCE
from thermograd.optim.optimizers.registry import make_optimizer
from thermograd.optim.optimizers.step import StepRecord
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.tasks.task import Task
from thermograd.optim.training.curvature_systems import curvature_systems
from thermograd.optim.training.train import train
from thermograd.report.figures.style import BLACK, ORANGE, VERMILLION, save, styled

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import NoDie, counted
from ngd_speed_parts.report import filled

MISMATCHES = (0.003, 0.01, 0.03, 0.1)
BITS = (4, 5, 6, 8, 10)
METHODS = ("0", "1", "2", "4", "fcg")
MAX_ROUNDS = 20
LEVEL = 0.01
"""Loss of accuracy against exact NGD up to which a die trains."""
MAX_BAD = 0.01
"""Share of steps with more damping, with the gradient or skipped up to which a die trains."""
SEEDS = "1,2"


class Trial(NamedTuple):
    """What is trained, in which way: batch, steps, damping and rate of NGD, and the steps of its systems that the law is asked about."""

    batch: int
    steps: int
    damping: float
    rate: float
    momentum: float
    systems: tuple[int, ...]


TRIALS = {
    "digits": Trial(8, 150, 0.1, 0.2, 0.0, (10, 50, 140)),
    "mnist": Trial(64, 200, 1.0, 0.03, 0.9, (25, 100, 190)),
}
Cell = tuple[float | None, int | None, str, int]
"""Mismatch and bits (None: no die), method, seed."""


def technology_of(mismatch: float, bits: int) -> Technology:
    return preset("integrated").replace(
        resistors__tolerance=mismatch, resistors__bits=bits, dac__bits=bits, adc__bits=bits
    )


def refined(device: Device, method: str, plain: bool) -> Refined[Device]:
    """Readings by a method of `METHODS`; of no die by CG always."""
    if method == "fcg":
        return Refined(device, 1000 if plain else MAX_ROUNDS, TOLERANCE, method="fcg")
    return Refined(device, int(method), method="fcg" if plain else "richardson")


def one(task: Task, trial: Trial, cell: Cell) -> dict[str, Any]:
    """One training."""
    torch.set_num_threads(1)
    mismatch, bits, method, seed = cell
    settings: dict[str, Any] = {"lr": trial.rate, "damping": trial.damping, "momentum": trial.momentum}
    device: Device | None = None
    if method != "exact":
        settings["duration"] = 6 / trial.damping
        plain = mismatch is None
        if mismatch is None or bits is None:
            device = refined(NoDie(), method, plain)
        else:
            card = DeviceCard.uncalibrated(technology_of(mismatch, bits))
            device = refined(SurrogateDevice(card, die=seed, extrapolate=True), method, plain)
    made: list[Any] = []
    records: list[StepRecord] = []

    def optimizer(params: Iterable[Tensor]) -> torch.optim.Optimizer:
        made.append(make_optimizer("ngd" if method == "exact" else "tngd", params, device, settings))
        return made[0]

    history = train(
        task,
        optimizer,
        trial.steps,
        trial.batch,
        seed,
        callbacks=[lambda done, so_far: records.append(made[0].last)],
        evaluate_every=0,
    )
    residuals = [record.residual for record in records if record.residual is not None]
    return {
        "accuracy": history.final_score,
        "residual": float(np.median(residuals)) if residuals else None,
        "products": float(np.mean([record.products for record in records])),
        "runs": float(np.mean([record.attempts for record in records])),
        "bad": float(
            np.mean([record.retries > 0 or not record.applied or record.reading == "gradient" for record in records])
        ),
    }


def systems_of(task: Task, trial: Trial) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of a training by an ideal device."""
    settings = {"lr": trial.rate, "damping": trial.damping, "momentum": trial.momentum, "duration": 6 / trial.damping}
    found = curvature_systems(task, list(trial.systems), trial.batch, settings=settings)
    return [(system.matrix, system.b) for system in found]


def products_of_cg(systems: Sequence[tuple[np.ndarray, np.ndarray]], damping: float) -> list[float]:
    """Median over the systems of |b - A x| / |b| of CG on the unit-diagonal matrix, after 1, 2, ... products."""
    curves = []
    for matrix, b in systems:
        asked = Refined(NoDie(), rounds=60, tolerance=1e-6, method="fcg")
        found = asked.solve(Dense(torch.from_numpy(matrix), floor=damping), torch.from_numpy(b), 1.0).refinement
        assert found is not None
        curves.append(np.minimum.accumulate([*found.residuals, *[found.residuals[-1]] * 61])[:61])
    return [float(value) for value in np.median(curves, axis=0)]


def border(systems: Sequence[tuple[np.ndarray, np.ndarray]], bits: int) -> float:
    """Mismatch at which the predicted contraction of a round, median over the systems, is 1; 0: it is above at any."""
    from thermograd.devicemodel.limits import contraction

    def beyond(mismatch: float) -> bool:
        technology = technology_of(mismatch, bits)
        return not float(np.median([contraction(matrix, technology).operator for matrix, _ in systems])) < 1

    low, high = 1e-4, 0.5
    if beyond(low):
        return 0.0
    for _ in range(14):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return low


@styled
def picture(
    task: str,
    accuracy: dict[str, np.ndarray],
    residual: dict[str, np.ndarray],
    useful: dict[str, np.ndarray],
    control: dict[str, tuple[float, float]],
    borders: dict[int, float],
) -> Figure:
    """A column for each method, control in its title; accuracy above, median residual below; useful cells framed, and the border."""
    figure = Figure(figsize=(12.4, 5.6), layout="constrained")
    rows = figure.subplots(2, len(METHODS), sharex=True, sharey=True)
    mismatches = np.log(MISMATCHES)
    line = [
        (np.interp(np.log(max(value, 1e-9)), mismatches, range(len(MISMATCHES)), left=-0.5), bits)
        for bits, value in borders.items()
    ]
    x, y = [place for place, _ in line], np.interp([bits for _, bits in line], BITS, range(len(BITS))).tolist()
    x, y = [*x, x[-1]], [*y, y[-1] + 0.5]
    for axes, values, low, high, label in (
        (rows[0], {name: 100 * one for name, one in accuracy.items()}, 85.0, 97.0, f"{task}: test accuracy (%)"),
        (
            rows[1],
            {name: np.log10(one) for name, one in residual.items()},
            0.0,
            -7.0,
            "median residual |b − A x| / |b|, log₁₀",
        ),
    ):
        for ax, method in zip(axes, METHODS, strict=True):
            shade = np.clip((values[method] - low) / (high - low), 0, 1)
            shown = ax.imshow(shade, origin="lower", vmin=0, vmax=1, cmap="Blues", aspect="auto")
            for (i, j), value in np.ndenumerate(values[method]):
                if np.isfinite(value):
                    colour = "white" if shade[i, j] > 0.55 else BLACK
                    ax.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=8.5, color=colour)
                if useful[method][i, j]:
                    ax.add_patch(_frame(j, i))
            ax.plot(x, y, color=VERMILLION, linewidth=1.8)
            for spine in ax.spines.values():
                spine.set_visible(False)
            ax.tick_params(length=0)
        bar = figure.colorbar(shown, ax=list(axes), shrink=0.9, pad=0.01, ticks=[0, 0.5, 1])
        bar.set_label(label, fontsize=8.5)
        bar.ax.set_yticklabels([f"{low + share * (high - low):g}" for share in (0, 0.5, 1)])
        axes[0].set_ylabel("bits")
    for ax, method in zip(rows[0], METHODS, strict=True):
        title = "flexible CG" if method == "fcg" else f"{method} round{'' if method == '1' else 's'}"
        reached, left = control[method]
        ax.set_title(f"{title}\nno die: {100 * reached:.1f} %, |r| = {left:.1g} |b|", fontsize=9)
    rows[0][0].set_xticks(range(len(MISMATCHES)), [f"{100 * value:g}" for value in MISMATCHES])
    rows[0][0].set_yticks(range(len(BITS)), [str(bits) for bits in BITS])
    rows[0][0].set_xlim(-0.5, len(MISMATCHES) - 0.5)
    rows[0][0].set_ylim(-0.5, len(BITS) - 0.5)
    for ax in rows[1]:
        ax.set_xlabel("mismatch (%)")
    return figure


def _frame(x: float, y: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.45, y - 0.44), 0.9, 0.88, fill=False, edgecolor=ORANGE, linewidth=1.6)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", choices=list(TRIALS), default="digits")
    parser.add_argument("--data", type=Path, help="mnist.npz, for --task mnist")
    parser.add_argument("--seeds", default=SEEDS, help="of weights and batches, and of the dies")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/die_map"), help="folder that keeps the runs")
    parser.add_argument("--kept", action="store_true", help="run nothing: draw what the folder keeps")
    parser.add_argument("--docs", type=Path, help="page whose table is to be replaced; the picture goes beside it")
    arguments = parser.parse_args()
    if arguments.task == "mnist" and arguments.data is None:
        print("no MNIST here: give --data", file=sys.stderr)
        return
    corners = arguments.task == "mnist"
    trial, folder = TRIALS[arguments.task], output_folder(arguments.out)
    task = make_task(arguments.task, {"path": str(arguments.data)} if corners else {})
    dies = [
        (mismatch, bits)
        for mismatch in MISMATCHES
        for bits in BITS
        if not corners or (mismatch in (MISMATCHES[0], MISMATCHES[-1]) and bits in (BITS[0], BITS[-1]))
    ]
    cells: list[Cell] = []
    for seed in [int(text) for text in arguments.seeds.split(",")]:
        cells += [(None, None, method, seed) for method in ("exact", *METHODS)]
        cells += [(mismatch, bits, method, seed) for method in METHODS for mismatch, bits in dies]
    jobs = {job_key(task.name, list(trial), *cell): cell for cell in cells}
    store: JobStore[dict[str, Any]] = JobStore(folder)
    found: dict[Cell, dict[str, Any]] = {}
    if arguments.kept:
        for key, cell in jobs.items():
            run = store.read(key)
            if run is not None:
                found[cell] = run
    else:
        for key, run in store.map(lambda cell: one(task, trial, cell), jobs, arguments.workers, progress=counted):
            found[jobs[key]] = run
    text, figure = summarised(arguments.task, task, trial, found, dies)
    print("\n" + text)
    save(figure, folder / f"die_map_{arguments.task}.png")
    if arguments.docs is not None:
        save(figure, arguments.docs.parent / f"die_map_{arguments.task}.png")
        name = f"die map: {arguments.task}"
        write_text(arguments.docs, filled(arguments.docs.read_text(encoding="utf-8"), name, text))


def summarised(
    name: str, task: Task, trial: Trial, found: dict[Cell, dict[str, Any]], dies: list[tuple[float, int]]
) -> tuple[str, Figure]:
    """The table of the poorest useful die of each method, and the picture."""

    def runs(mismatch: float | None, bits: int | None, method: str) -> list[dict[str, Any]]:
        return [run for cell, run in found.items() if cell[:3] == (mismatch, bits, method)]

    def mean(group: list[dict[str, Any]], field: str) -> float:
        values = [run[field] for run in group if run[field] is not None]
        return float(np.mean(values)) if values else float("nan")

    systems = systems_of(task, trial)
    curve = products_of_cg(systems, trial.damping)
    exact = mean(runs(None, None, "exact"), "accuracy")
    shape = len(BITS), len(MISMATCHES)
    accuracy = {method: np.full(shape, np.nan) for method in METHODS}
    left = {method: np.full(shape, np.nan) for method in METHODS}
    useful = {method: np.zeros(shape, dtype=bool) for method in METHODS}
    lines = [
        f"{name}, exact NGD {100 * exact:.1f} %; a die trains that loses at most {100 * LEVEL:g} point, with more damping or the gradient "
        f"in at most {100 * MAX_BAD:g} % of its steps.",
        "",
        "| rounds | no die: accuracy, % | products a step | dies that train | and are useful | poorest such die: mismatch, bits "
        "| its accuracy, % | residual | products a step | CG's to its residual |",
        "|---" * 10 + "|",
    ]
    for method in METHODS:
        trained: list[tuple[float, int, float, float, float, float]] = []
        count = 0
        for mismatch, bits in dies:
            group = runs(mismatch, bits, method)
            if not group:
                continue
            place = BITS.index(bits), MISMATCHES.index(mismatch)
            reached, residual, products = (mean(group, field) for field in ("accuracy", "residual", "products"))
            accuracy[method][place], left[method][place] = reached, residual
            if reached < exact - LEVEL or mean(group, "bad") > MAX_BAD:
                continue
            count += 1
            needed = 1.0 + next((k for k, value in enumerate(curve) if value <= residual), len(curve))
            if products <= needed / 2:
                useful[method][place] = True
                trained.append((mismatch, bits, reached, residual, products, needed))
        control = runs(None, None, method)
        cells = [
            "flexible CG to 1e-2" if method == "fcg" else method,
            f"{100 * mean(control, 'accuracy'):.1f}",
            f"{mean(control, 'products'):.1f}",
            f"{count} of {len(dies)}",
            f"{len(trained)}",
        ]
        if trained:
            # The poorest: fewest bits, then largest mismatch.
            mismatch, bits, reached, residual, products, needed = min(trained, key=lambda die: (die[1], -die[0]))
            cells += [
                f"{100 * mismatch:g} %, {bits}",
                f"{100 * reached:.1f}",
                f"{residual:.1g}",
                f"{products:.1f}",
                f"{needed:.0f}",
            ]
        else:
            cells += ["-"] * 5
        lines.append("| " + " | ".join(cells) + " |")
    borders = {bits: border(systems, bits) for bits in range(BITS[0], BITS[-1] + 1)}
    predicted = ", ".join(f"{100 * value:.2g} % at {bits}" for bits, value in borders.items())
    lines += [
        "",
        f"Mismatch at which a contraction of 1 is predicted (codes, mismatch and leak), by bits: {predicted}.",
    ]
    controls = {
        method: (mean(runs(None, None, method), "accuracy"), mean(runs(None, None, method), "residual"))
        for method in METHODS
    }
    return "\n".join(lines) + "\n", picture(name, accuracy, left, useful, controls, borders)


if __name__ == "__main__":
    main()
