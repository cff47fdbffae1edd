r"""Figure 2 of arXiv 2405.13817: time of an iteration against the number of parameters N and the number of outputs dz.

    python benchmarks/experiments/iteration_time.py --out out/figure_2 [--docs docs/experiments/README.md]     (three minutes)

b = 32; dz = 20 in the first panel and N = 4,000 in the second; a network 64-h-h-dz after 50 steps of Adam on a random
teacher's classes; damping 0.01, float32, one thread. Processor time of all that an optimizer does in a step, in turns, medians:

    NGD             J by vmap(jacrev), F = J^T H J + lambda of N x N, Cholesky
    NGD-CG, c=200   200 iterations, each with a product with J and one with J^T
    NGD-Woodbury    J by vmap(jacrev), the system of b dz by LU
    TNGD, modelled  J, H and g on the host (measured here, as above), all else by the published timing model (`thermograd cost`):
                    16 bits, 50 Gb/s, tau = 1 us, b dz (b dz + 2 N) codes, a run of 50 tau

and beside the published forms NGD-CG with what it needs for a residual of 1e-2 of g, this package's exact NGD (the Gram matrix,
without J) and its simulation of TNGD (the exact law x(t), dual system). "A100" is TNGD with the derivatives' time modelled, too:
their operations at 30 % of that card's peak. Exponents are fitted to N >= 1e4 by least squares of the logarithms (NGD of
N x N to N >= 2000: at 1e5 the matrix alone takes 40 GB), with their standard error.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from thermograd.circuits.files import output_folder, write_text
from thermograd.cli.outputs import to_json
from thermograd.devicemodel.cost.model import Scenario
from thermograd.optim.optimizers.ngd import NGD, NGDCG
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.report.figures.style import CYCLE, log_ticks, save, styled

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "optim"))

from ngd_speed_parts.report import filled

BATCH, INPUTS, DAMPING, LR, DURATION = 32, 64, 0.01, 1e-3, 50.0
SIZES, OUTPUTS = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 100_000), 20
ALL_OUTPUTS, SIZE = (5, 10, 20, 40, 80), 4_000
LARGEST = 8_000
"""N up to which an N x N matrix is formed."""
ITERATIONS, TOLERANCE, MOST = 200, 1e-2, 5000
"""c as published; what CG goes to, and its limit."""
NAME = "figure 2"
DENSE, WOODBURY, FIXED, NEEDED = "NGD (N x N)", "NGD-Woodbury", "NGD-CG, c = 200", "NGD-CG to 1e-2"
MODELLED, A100 = "TNGD, modelled", "TNGD, modelled, A100"
OWN, SIMULATED = "exact NGD (Gram)", "TNGD, simulated"
SHOWN = ("SGD", "Adam", DENSE, FIXED, NEEDED, WOODBURY, OWN, SIMULATED, MODELLED, A100)
LAW = {"SGD": "b N", "Adam": "b N", DENSE: "N³", FIXED: "c b N", WOODBURY: "b² dz² N + b³ dz³", MODELLED: "b dz N + t"}


class Problem:
    """A network of about N parameters, trained a little, and a batch; each method steps from the same parameters."""

    def __init__(self, size: int, outputs: int) -> None:
        torch.manual_seed(0)
        half = (INPUTS + outputs + 2) / 2
        h = max(1, round(math.sqrt(half * half + size - outputs) - half))
        self.model = nn.Sequential(
            nn.Linear(INPUTS, h), nn.Tanh(), nn.Linear(h, h), nn.Tanh(), nn.Linear(h, outputs)
        )  # fmt: skip
        teacher = nn.Sequential(nn.Linear(INPUTS, 32), nn.Tanh(), nn.Linear(32, outputs))
        adam = torch.optim.Adam(self.model.parameters(), lr=3e-3)
        for _ in range(51):
            self.x = torch.randn(BATCH, INPUTS)
            self.y = teacher(self.x).argmax(-1)
            loss = self.closure()[0]
            adam.zero_grad()
            loss.backward()
            adam.step()
        self.outputs, self.parameters = outputs, list(self.model.parameters())
        self.size = sum(p.numel() for p in self.parameters)
        self.start = [p.detach().clone() for p in self.parameters]

    def closure(self) -> tuple[Tensor, Tensor]:
        outputs = self.model(self.x)
        return nn.functional.cross_entropy(outputs, self.y), outputs

    def restore(self) -> None:
        with torch.no_grad():
            for p, value in zip(self.parameters, self.start, strict=True):
                p.copy_(value)
                p.grad = None

    def derivatives(self) -> tuple[Tensor, Tensor, Tensor]:
        """J (b dz, N), H (b, dz, dz) and g = J^T r of the mean cross-entropy."""
        values = {name: p.detach() for name, p in self.model.named_parameters()}

        def single(values: dict[str, Tensor], x: Tensor) -> Tensor:
            outputs: Tensor = functional_call(self.model, values, (x.unsqueeze(0),))
            return outputs.squeeze(0)

        with torch.no_grad():
            p = self.model(self.x).softmax(-1)
            rows = vmap(jacrev(single), (None, 0))(values, self.x)
            J = torch.cat([part.reshape(BATCH * self.outputs, -1) for part in rows.values()], dim=1)
            r = (p - nn.functional.one_hot(self.y, self.outputs)) / BATCH
            H = (torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)) / BATCH
            return J, H, J.mT @ r.reshape(-1)

    def update(self, x: Tensor) -> None:
        with torch.no_grad():
            pieces = x.split([p.numel() for p in self.parameters])
            for p, piece in zip(self.parameters, pieces, strict=True):
                p.sub_(piece.view_as(p), alpha=LR)


def curved(H: Tensor, J: Tensor) -> Tensor:
    """H J with H of one block a sample."""
    return (H @ J.reshape(len(H), H.shape[1], -1)).reshape(J.shape)


def dense(problem: Problem) -> None:
    J, H, g = problem.derivatives()
    F = J.mT @ curved(H, J)
    F.diagonal().add_(DAMPING)
    problem.update(torch.cholesky_solve(g.unsqueeze(1), torch.linalg.cholesky(F)).squeeze(1))


def woodbury(problem: Problem) -> None:
    """x = (g - J^T (lambda + H J J^T)^-1 H J g) / lambda."""
    J, H, g = problem.derivatives()
    A = curved(H, J @ J.mT)
    A.diagonal().add_(DAMPING)
    inner = torch.linalg.solve(A, curved(H, (J @ g).unsqueeze(1)).squeeze(1))
    problem.update((g - J.mT @ inner) / DAMPING)


def stepped(problem: Problem, optimizer: Any) -> Callable[[], object]:
    return lambda: optimizer.step(problem.closure)


def first_order(problem: Problem, kind: Any) -> Callable[[], object]:
    optimizer = kind(problem.parameters, lr=LR)

    def step() -> None:
        optimizer.zero_grad()
        problem.closure()[0].backward()
        optimizer.step()

    return step


def measured(size: int, outputs: int, seconds: float) -> dict[str, Any]:
    """Seconds of each method, and the iterations of CG."""
    problem = Problem(size, outputs)
    common = {"lr": LR, "damping": DAMPING}
    needed = NGDCG(problem.parameters, **common, tolerance=TOLERANCE, max_iter=MOST)  # type: ignore[arg-type]
    steps: dict[str, Callable[[], object]] = {
        "SGD": first_order(problem, torch.optim.SGD),
        "Adam": first_order(problem, torch.optim.Adam),
        FIXED: stepped(problem, NGDCG(problem.parameters, **common, tolerance=0.0, max_iter=ITERATIONS)),  # type: ignore[arg-type]
        NEEDED: stepped(problem, needed),
        WOODBURY: lambda: woodbury(problem),
        OWN: stepped(problem, NGD(problem.parameters, **common)),  # type: ignore[arg-type]
        SIMULATED: stepped(problem, TNGD(problem.parameters, **common, duration=DURATION, reading="bare")),  # type: ignore[arg-type]
        "derivatives": problem.derivatives,
    }
    if problem.size <= 1.1 * LARGEST:
        steps[DENSE] = lambda: dense(problem)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(12):
        for name, step in steps.items():
            if turn > 2 and sum(times[name]) > seconds:
                continue
            if turn > 1 and name == DENSE and sum(times[name]) > 5:
                continue
            start = time.process_time()
            step()
            times[name].append(time.process_time() - start)
            problem.restore()
    found = {name: statistics.median(all_of[1:]) for name, all_of in times.items() if len(all_of) > 1}
    scenario = Scenario(problem.size, BATCH, outputs, "factored", duration=DURATION)
    model = {
        digital: Scenario(**{**vars(scenario), "digital_seconds": digital}).cost()
        for digital in (None, found["derivatives"])
    }
    found |= {A100: model[None].seconds, MODELLED: model[found["derivatives"]].seconds}
    parts = {part.name: part.seconds for part in model[found["derivatives"]].parts}
    return {
        "parameters": problem.size,
        "outputs": outputs,
        "seconds": found,
        "iterations": needed.last.iterations,
        "parts": parts,
    }


def slope(x: list[float], y: list[float]) -> str:
    """Exponent of y ~ x^a, with its standard error."""
    if len(x) < 3:
        return "-"
    u, v = np.log(x), np.log(y)
    u = u - u.mean()
    a = float(u @ v / (u @ u))
    error = math.sqrt(float(np.sum((v - v.mean() - a * u) ** 2)) / (len(x) - 2) / float(u @ u))
    return f"{a:.2f} ± {error:.2f}"


def exponent(rows: list[dict[str, Any]], name: str, letter: str) -> str:
    least = {"outputs": 0}.get(letter, 1_500 if name == DENSE else 9_000)
    rows = [row for row in rows if name in row["seconds"] and row[letter] >= least]
    return slope([row[letter] for row in rows], [row["seconds"][name] for row in rows])


def duration(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}"


def table(rows: list[dict[str, Any]], letter: str) -> str:
    """Markdown: milliseconds of each method at each N or dz, and the exponent."""
    symbol = "N" if letter == "parameters" else "dz"
    lines = [
        "| ms | "
        + " | ".join(f"{symbol} = {row[letter]:,}" for row in rows)
        + f" | exponent in {symbol} | published law |",
        "|---" * (len(rows) + 3) + "|",
    ]
    for name in SHOWN:
        cells = [duration(row["seconds"][name]) if name in row["seconds"] else "-" for row in rows]
        lines.append("| " + " | ".join([name, *cells, exponent(rows, name, letter), LAW.get(name, "-")]) + " |")
    lines.append("| iterations of CG to 1e-2 | " + " | ".join(f"{row['iterations']}" for row in rows) + " | | |")
    share = [row["parts"]["derivatives"] / sum(row["parts"].values()) for row in rows]
    lines.append(
        "| derivatives' share of TNGD, modelled, % | " + " | ".join(f"{100 * one:.0f}" for one in share) + " | | |"
    )
    return "\n".join(lines)


STYLES = {
    "SGD": (CYCLE[5], ":"), "Adam": (CYCLE[5], "-"), DENSE: (CYCLE[1], "-"), FIXED: (CYCLE[4], "-"), NEEDED: (CYCLE[4], "--"),
    WOODBURY: (CYCLE[3], "-"), OWN: (CYCLE[3], "--"), SIMULATED: (CYCLE[0], ":"), MODELLED: (CYCLE[0], "-"), A100: (CYCLE[0], "--"),
}  # fmt: skip


def draw(ax: Axes, rows: list[dict[str, Any]], letter: str) -> None:
    for name in SHOWN:
        there = [row for row in rows if name in row["seconds"]]
        colour, dash = STYLES[name]
        x, y = [row[letter] for row in there], [row["seconds"][name] for row in there]
        ax.loglog(x, y, dash, color=colour, marker="o", markersize=3, linewidth=1.3, label=name)
    if letter == "parameters":
        log_ticks(ax.xaxis)
        ax.set(xlabel="parameters N")
    else:
        ax.set_xticks(ALL_OUTPUTS, [str(dz) for dz in ALL_OUTPUTS])
        ax.set_xticks([], minor=True)
        ax.set(xlabel="outputs dz")


@styled
def picture(panels: dict[str, list[dict[str, Any]]]) -> Figure:
    figure = Figure(figsize=(9.4, 4.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (letter, rows) in zip(axes, panels.items(), strict=True):
        draw(ax, rows, letter)
    log_ticks(axes[0].yaxis)
    axes[0].set(ylabel="time of an iteration, s", title=f"b = {BATCH}, dz = {OUTPUTS}")
    axes[1].set(title=f"b = {BATCH}, N = {SIZE:,}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/figure_2"))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="N of the first panel")
    parser.add_argument("--outputs", default=",".join(map(str, ALL_OUTPUTS)), help="dz of the second panel")
    parser.add_argument("--seconds", type=float, default=0.6, help="of a method in each column, beyond three rounds")
    parser.add_argument(
        "--docs", type=Path, help=f"page whose tables behind <!-- {NAME} --> are replaced, and picture beside it"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sizes, outputs = ([int(one) for one in text.split(",")] for text in (arguments.sizes, arguments.outputs))
    panels = {
        "parameters": [measured(size, OUTPUTS, arguments.seconds) for size in sizes],
        "outputs": [measured(SIZE, dz, arguments.seconds) for dz in outputs],
    }
    folder = output_folder(arguments.out)
    write_text(folder / "iteration_time.json", to_json(panels))
    text = "\n\n".join(table(rows, letter) for letter, rows in panels.items())
    print(text)
    save(picture(panels), folder / "figure_2.png")
    if arguments.docs is not None:
        write_text(arguments.docs, filled(arguments.docs.read_text(encoding="utf-8"), NAME, text + "\n"))
        save(picture(panels), arguments.docs.parent / "figure_2.png")


if __name__ == "__main__":
    main()
