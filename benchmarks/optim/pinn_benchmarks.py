"""The field's benchmarks of physics-informed networks, Poisson's equation in 2D and 5D, beside the published GPU figures.

    python benchmarks/optim/pinn_benchmarks.py [--problem 2d 5d 5d-large] [--ways ngd adam] [--seeds 0 1 2] [--threads 2]
        [--seconds 60] [--until 1e-5] [--clock wall] [--out out/pinn] [--picture docs/pinn_benchmarks.png] [--docs docs/residuals.md]

The task `poisson-cube` (`optim/tasks/poisson_cube.py`): the sources' networks, points, loss (both terms of weight 1) and error, an
*absolute* root mean square over 10 n_i points of their own; the relative one is printed beside it. A seed is that of weights and points.
Times are of the steps, with drawing of points, without evaluations; two steps of a small problem before the first load torch's parts.
Wall times mean something where nothing else runs: OMP_NUM_THREADS=2 with --threads 2 for two cores. Where others run: --threads 1
--clock processor.
--solvers: what the solution of a step of the large network takes, by its Gram matrix and by sketches.
Runs are stored one by one: a command that was interrupted goes on with those that are missing (a run of its own begins anew).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from thermograd.circuits.files import output_folder, write_text
from thermograd.optim.tasks.poisson_cube import SETTINGS

sys.path.insert(0, str(Path(__file__).resolve().parent))

from pinn_benchmarks_parts.report import picture, save, stamps, table
from pinn_benchmarks_parts.runs import WAYS, Run, trained, warm_up
from pinn_benchmarks_parts.solvers import solvers

SECONDS = {"2d": 30.0, "5d": 60.0, "5d-large": 600.0}
SEEDS = {"2d": (0, 1, 2, 3, 4), "5d": (0, 1, 2, 3, 4), "5d-large": (0,)}
MARK = "pinn benchmarks"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=["ngd"])
    parser.add_argument("--seeds", nargs="+", type=int, help="default: five, one of 5d-large")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--seconds", type=float, help="limit of each run; default: 30, 60 and 600")
    parser.add_argument("--until", type=float, default=0.0, help="error at which a run ends")
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall", help="of the limits and the tables")
    parser.add_argument("--out", type=Path, default=Path("out/pinn"), help="folder of the runs")
    parser.add_argument("--picture", type=Path, help="error against wall time")
    parser.add_argument("--docs", type=Path, help="page whose tables to replace")
    parser.add_argument("--solvers", action="store_true", help="instead: time of a step's solution by sketches")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    if given.solvers:
        print(f"\n{solvers()}")
        return
    folder = output_folder(given.out)
    warm_up()
    runs: list[Run] = []
    for preset in given.problem:
        for way in given.ways:
            for seed in given.seeds or SEEDS[preset]:
                path = folder / f"{preset}-{way}-{seed}.json"
                limit = given.seconds or SECONDS[preset]
                run = trained(preset, way, seed, limit, given.until, given.clock == "processor", path, given.threads)
                runs.append(run)
                print(
                    f"{preset} {way} seed {seed}: {run.steps[-1]} steps, {run.wall[-1]:.1f} s wall, {run.processor[-1]:.1f} s processor, "
                    f"best absolute L2 error {min(run.errors):.2e}",
                    flush=True,
                )
    wall = given.clock == "wall"
    text = f"{table(runs, wall)}\n\n{stamps(runs, wall)}"
    print(f"\n{text}")
    if given.picture is not None:
        save(picture(runs, wall), given.picture)
    if given.docs is not None:
        before, rest = given.docs.read_text(encoding="utf-8").split(f"<!-- {MARK} -->\n")
        _, after = rest.split("<!-- end -->", 1)
        write_text(given.docs, f"{before}<!-- {MARK} -->\n{text}\n<!-- end -->{after}")


if __name__ == "__main__":
    main()
