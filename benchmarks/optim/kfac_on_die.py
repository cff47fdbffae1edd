"""K-FAC on dies of 8 bits and 1 % mismatch, layer by layer and column by column, against digital K-FAC of the same damping.

    python benchmarks/optim/kfac_on_die.py [--task digits] [--dies 1,2,3] [--seeds 0,1,2] [--out out/kfac_on_die]
    python benchmarks/optim/kfac_on_die.py --tables 1,2,3
    python benchmarks/optim/kfac_on_die.py --task mnist --data mnist.npz --steps-apart 5,25,100

Three tables: two dampings of the factors (`KFAC(factored_damping=True)`; the settings of `train` and the best of a short search), and the
damping of their product (`KFAC()`), to which a die that holds the damped factors is refined. Every die with every seed; differences to the
digital optimizer are paired by seed, with their 95 % interval over the runs by Student's t. Rows:

    digital         eigenvectors of the factors, renewed in every step
    bare            one reading a column, at the end of its run
    refined         each column corrected to |b - A x| <= 1e-2 |b|; for the product, all columns together
    2 rounds of CG  a control: two rounds of "fcg" with the identity in place of a die, which is plain CG on the unit diagonal
    CG to 1e-2      the other: as many rounds of it as the refined die's residual takes

A product is one with a factor, for one column; for the damping of the product, one with both, for all columns. Without a card, one of the
integrated preset's own figures. Runs are stored one by one: an interrupted table resumes.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from thermograd.circuits.files import output_folder
from thermograd.circuits.job_store import JobStore, job_key
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Device
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.optim.optimizers.kfac import KFAC
from thermograd.optim.optimizers.readings.reading import TOLERANCE
from thermograd.optim.optimizers.step import StepRecord
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.registry import make_task
from thermograd.optim.tasks.task import Task
from thermograd.optim.training.train import train

sys.path.insert(0, str(Path(__file__).resolve().parent))

from dies import NoDie, card_of_preset, counted, interval


class Setting(NamedTuple):
    """Of a table: whether each factor is damped, or their product; lambda; the learning rate."""

    factored: bool
    damping: float
    rate: float


SETTINGS = {
    "digits": (Setting(True, 0.3, 0.3), Setting(True, 0.03, 0.05), Setting(False, 0.1, 0.05)),
    "mnist": (Setting(True, 0.03, 0.03), Setting(False, 0.1, 0.03)),
}
BATCH, STEPS = {"digits": 8, "mnist": 64}, {"digits": 300, "mnist": 780}
CURVATURE: Any = "mc-fisher"
TIME_CONSTANTS = 6.0
"""Length of a run, over that of the factors' floor, sqrt(damping): 11 tau at 0.3."""
CONTROL_ROUNDS = 2
MOST_ROUNDS = 2000
ROWS = ("digital", "bare", "refined", "2 rounds of CG", "CG to 1e-2")
ON_A_DIE = ("bare", "refined")
EXACT = "refined, exact device"
"""Of single steps towards the damped product alone: what factored damping is worth as its preconditioner."""


def rows_of(setting: Setting, asked: list[str]) -> tuple[str, ...]:
    """The rows of a table: without factored damping there is no bare reading of the system."""
    return tuple(row for row in ROWS if row == "digital" or (row in asked and (setting.factored or row != "bare")))


def optimizer_of(
    row: str, setting: Setting, card: DeviceCard, die: int | None, params: Iterable[Tensor], curvature: Any = CURVATURE
) -> KFAC | TNGD:
    """The optimizer of a row."""
    factored, damping, rate = setting
    if row == "digital":
        return KFAC(params, rate, damping, refresh=1, factored_damping=factored, curvature=curvature)
    device: Device = NoDie() if die is None else SurrogateDevice(card, die=die, extrapolate=True)
    if row == EXACT:
        device = IdealDevice()
    elif row == "2 rounds of CG":
        device = Refined(device, rounds=CONTROL_ROUNDS, method="fcg")
    elif row == "CG to 1e-2":
        device = Refined(device, rounds=MOST_ROUNDS, tolerance=TOLERANCE, method="fcg")
    # Plain CG takes the damped product as it is.
    by_columns = factored or die is not None or row == EXACT
    return TNGD(
        params,
        rate,
        damping,
        duration=TIME_CONSTANTS / math.sqrt(damping),
        device=device,
        system="kfac" if by_columns else "kronecker",
        reading="bare" if row == "bare" else "refined",
        curvature=curvature,
        factored_damping=factored or not by_columns,
    )


def one(
    task: Task, batch: int, card: DeviceCard, row: str, setting: Setting, seed: int, die: int | None, steps: int
) -> dict[str, Any]:
    """One training."""
    torch.set_num_threads(1)
    made: list[KFAC | TNGD] = []
    records: list[StepRecord] = []

    def optimizer(params: Iterable[Tensor]) -> KFAC | TNGD:
        made.append(optimizer_of(row, setting, card, die, params))
        return made[0]

    def record(done: int, history: Any) -> None:
        records.append(made[0].last)

    history = train(task, optimizer, steps, batch, seed, callbacks=[record], evaluate_every=0)
    return {
        "accuracy": history.final_score,
        "skipped": sum(not one.applied for one in records),
        "retried": sum(one.retries > 0 and one.reading == "refined" for one in records),
        "gradient": sum(one.reading == "gradient" for one in records),
        "runs": float(np.mean([one.attempts for one in records])) if die is not None else 0.0,
        "products": float(np.mean([one.products for one in records])),
        "rounds": float(np.mean([one.rounds for one in records])),
        "residual": float(np.median([one.residual or 0.0 for one in records])),
        "seconds": float(sum(history.digital_seconds) + sum(history.device_seconds)),
    }


def steps_apart(task: Task, batch: int, card: DeviceCard, setting: Setting, dies: list[int], at: Sequence[int]) -> str:
    """Markdown: relative errors of single steps, |x - digital| / |digital|, along one digital training."""
    torch.set_num_threads(1)
    made: list[KFAC] = []

    def digital(params: Iterable[Tensor]) -> KFAC:
        found = optimizer_of("digital", setting, card, None, params, "ggn")
        assert isinstance(found, KFAC)
        made.append(found)
        return found

    kept: dict[int, Any] = {}
    model = _seeded(task)

    def keep(done: int, history: Any) -> None:
        if done in at:
            kept[done] = copy.deepcopy((model.state_dict(), [made[0].state[p] for p in model.parameters()]))

    train(task, digital, max(at), batch, 0, model=model, callbacks=[keep], evaluate_every=0)
    lines = [f"| reading | {' | '.join(f'step {step}' for step in at)} |", f"|---|{'---|' * len(at)}"]
    for row in (*rows_of(setting, list(ROWS))[1:], *(() if setting.factored else (EXACT,))):
        cells = []
        for step in at:
            exact, _ = _step(task, batch, "digital", setting, card, None, step, kept[step])
            found = [
                _step(task, batch, row, setting, card, die, step, kept[step])
                for die in (dies if row in ON_A_DIE else [None])
            ]
            worst = max(float((x - exact).norm() / exact.norm()) for x, _ in found)
            products, runs = (
                float(np.mean([getattr(last, name) for _, last in found])) for name in ("products", "attempts")
            )
            spent = f"{products:.0f} products" + (f", {runs:.0f} runs" if row in ON_A_DIE else "")
            odd = sum(last.retries > 0 or last.reading == "gradient" or not last.applied for _, last in found)
            cells.append(f"{worst:.2g}; {spent}" + (f"; {odd} not as asked" if odd else ""))
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _step(
    task: Task, batch: int, row: str, setting: Setting, card: DeviceCard, die: int | None, step: int, kept: Any
) -> tuple[Tensor, StepRecord]:
    """Change of the parameters by the next step, and its record."""
    model = _seeded(task)
    weights, averages = copy.deepcopy(kept)
    model.load_state_dict(weights)
    optimizer = optimizer_of(row, setting, card, die, model.parameters(), "ggn")
    for p, state in zip(model.parameters(), averages, strict=True):
        optimizer.state[p].update({name: state[name] for name in ("inputs", "outputs") if name in state})

    before = torch.cat([p.detach().flatten().double() for p in model.parameters()])
    optimizer.step(task.closure(model, step, batch, 0))
    return torch.cat([p.detach().flatten().double() for p in model.parameters()]) - before, optimizer.last


def _seeded(task: Task) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return task.model()


def title(setting: Setting) -> str:
    """Of a table."""
    what = "of each factor" if setting.factored else "of the factors' product"
    return f"Damping {what}, {setting.damping:g}, rate {setting.rate:g}."


def table(
    found: dict[tuple[Any, ...], dict[str, Any]],
    setting: Setting,
    rows: tuple[str, ...],
    seeds: list[int],
    dies: list[int],
    steps: int,
) -> str:
    """Markdown."""
    lines = [
        title(setting),
        "",
        "| reading | test accuracy, % | difference to digital, 95 % | worst run | skipped, retried, gradient, % of steps "
        "| analog runs a step | products a step | most rounds | residual | s a training |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        keys = [(row, setting, seed, die) for seed in seeds for die in (dies if row in ON_A_DIE else [None])]
        runs = [found[key] for key in keys]
        digital = np.array([100 * found["digital", setting, key[2], None]["accuracy"] for key in keys])
        accuracy = np.array([100 * run["accuracy"] for run in runs])
        means = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
        rare = ", ".join(f"{100 * means[name] / steps:.2g}" for name in ("skipped", "retried", "gradient"))
        apart, width = interval(accuracy - digital)
        difference = "-" if row == "digital" else f"{apart:+.2f} +- {width:.2f}"
        lines.append(
            f"| {row} | {accuracy.mean():.2f} | {difference} | {accuracy.min():.2f} | {rare} | {means['runs']:.0f} "
            f"| {means['products']:.0f} | {means['rounds']:.1f} | {means['residual']:.2g} | {means['seconds']:.0f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", choices=tuple(SETTINGS), default="digits")
    parser.add_argument("--data", type=Path, help="of mnist")
    parser.add_argument("--card", type=Path, help="of the integrated technology; default: the preset's own figures")
    parser.add_argument("--dies", default="1,2,3")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rows", default=",".join(ROWS), help="of each table; always with digital")
    parser.add_argument("--tables", default="1", help="numbers of the task's settings, in order")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--steps-apart", metavar="LIST", help="single steps along a digital training, and no more")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/kfac_on_die"), help="folder that keeps the runs")
    arguments = parser.parse_args()
    card = card_of_preset() if arguments.card is None else DeviceCard.read(arguments.card)
    task = make_task(arguments.task, {"path": str(arguments.data)} if arguments.data else {})
    dies, seeds, places = (
        [int(one) for one in text.split(",")] for text in (arguments.dies, arguments.seeds, arguments.tables)
    )
    settings, asked, batch = (
        [SETTINGS[arguments.task][i - 1] for i in places],
        arguments.rows.split(","),
        BATCH[arguments.task],
    )
    if arguments.steps_apart:
        for setting in settings:
            print(title(setting) + "\n")
            print(steps_apart(task, batch, card, setting, dies, [int(one) for one in arguments.steps_apart.split(",")]))
        return
    steps = arguments.steps or STEPS[arguments.task]
    store: JobStore[dict[str, Any]] = JobStore(output_folder(arguments.out))
    runs = [
        (row, setting, seed, die)
        for setting in settings
        for row in rows_of(setting, asked)
        for seed in seeds
        for die in (dies if row in ON_A_DIE else [None])
    ]
    jobs = {job_key(card.model_dump_json(), task.name, steps, CURVATURE, TIME_CONSTANTS, *run): run for run in runs}
    found = dict(store.map(lambda run: one(task, batch, card, *run, steps), jobs, arguments.workers, progress=counted))
    results = {run: found[key] for key, run in jobs.items()}
    print()
    for setting in settings:
        print(table(results, setting, rows_of(setting, asked), seeds, dies, steps))


if __name__ == "__main__":
    main()
