"""Exact paths of an Ornstein-Uhlenbeck process: speed and law against thermox, and the crossover of Lanczos' method and eigenvalues.

    python benchmarks/devicemodel/ou_speed.py          # with thermox where it is installed: pip install 'thermograd[bench]'

Methods are interleaved within a round, so that other load of the machine affects all of them; the tables give medians over the rounds,
and the extremes in brackets. Each number of threads is a process of its own, kept to as many cores. float32, the default of both.
Two threads need two idle cores: with other load on one of them, torch's threads wait for each other, which the results show.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from scipy import linalg

from thermograd.devicemodel.ou.functions import Bounded, Decay, Response, Spread
from thermograd.devicemodel.ou.gram import Gram, GramSum
from thermograd.devicemodel.ou.process import OU

SIZES = {16: 31, 64: 31, 256: 21, 1024: 9}
"""States, and rounds."""
COUNT, STEP = 1000, 0.1
DRAWS = 200_000
GRAMS = {256: 9, 512: 7, 1024: 5, 2048: 3}
"""Rows k, and rounds."""
SPECTRA = {"eight decades": (2, -6, 0.01, 5.0), "seven decades": (1, -6, 0.1, 20.0), "settled": (1, -4, 1.0, math.inf)}
"""Exponents of the largest and smallest eigenvalue of G, damping, time."""
SHEAR = np.array([[1.0, 1.5], [0.0, 1.2]])
TILTED = np.array([[1.0, 0.5], [0.5, 3.0]])
Timings = dict[str, list[float]]


def taking_turns(methods: dict[str, Callable[[], object]], rounds: int) -> Timings:
    """Milliseconds of each method in each round, after one call that is not counted."""
    for run in methods.values():
        run()
    timings: Timings = {name: [] for name in methods}
    for _ in range(rounds):
        for name, run in methods.items():
            began = time.perf_counter()
            run()
            timings[name].append(1e3 * (time.perf_counter() - began))
    return timings


def symmetric_drift(d: int) -> torch.Tensor:
    """X X^T / 2d + 0.1 of random X: eigenvalues from 0.2 to 1.6."""
    X = torch.randn(d, 2 * d, generator=torch.Generator().manual_seed(d), dtype=torch.float64)
    A = X @ X.mT / (2 * d) + 0.1 * torch.eye(d, dtype=torch.float64)
    return ((A + A.mT) / 2).float()


def sheared(A: torch.Tensor) -> torch.Tensor:
    """The same with a strictly triangular part: not normal."""
    return A + torch.triu(torch.ones_like(A), 1) / A.shape[0]


def ours(d: int) -> dict[str, Callable[[], object]]:
    """Paths of this package: symmetric drift, irregular times, float64, and a drift that is not normal."""
    A, b, g = symmetric_drift(d), torch.ones(d), torch.Generator().manual_seed(0)
    x0, times = torch.zeros(d), (STEP * (0.5 + torch.rand(COUNT, generator=g))).cumsum(0)
    normal, skew = OU(A, A @ b, 2.0), OU(sheared(A), A @ b, 2.0)
    double = OU(A.double(), (A @ b).double(), 2.0)
    return {
        "symmetric": lambda: normal.trajectory(x0, STEP, COUNT, g),
        "irregular": lambda: normal.trajectory_at(x0, times, g),
        "float64": lambda: double.trajectory(x0.double(), STEP, COUNT, g),
        "not normal": lambda: skew.trajectory(x0, STEP, COUNT, g),
    }


def theirs(d: int) -> tuple[dict[str, Callable[[], object]], float]:
    """Jitted paths of thermox, by both of its algorithms, and seconds of the first calls."""
    import jax
    import jax.numpy as jnp
    import thermox

    A, b, ts = jnp.array(symmetric_drift(d).numpy()), jnp.ones(d), jnp.arange(COUNT + 1) * STEP
    drift, noise = thermox.preprocess(A, 2.0 * jnp.eye(d))
    keys = iter(jax.random.split(jax.random.PRNGKey(0), 10_000))

    def path(associative: bool) -> Callable[[], object]:
        sample = jax.jit(
            lambda key: thermox.sample(key, ts, jnp.zeros(d), drift, b, noise, associative_scan=associative)
        )
        return lambda: sample(next(keys)).block_until_ready()

    methods = {"thermox scan": path(False), "thermox associative": path(True)}
    began = time.perf_counter()
    for run in methods.values():
        run()
    return methods, time.perf_counter() - began


def set_up(d: int) -> dict[str, Callable[[], object]]:
    """Set-up before the first path."""
    A = symmetric_drift(d)
    made: dict[str, Callable[[], object]] = {
        "symmetric": lambda: OU(A, diffusion=2.0).trajectory(torch.zeros(d), STEP, 1, torch.Generator()),
        "not normal": lambda: OU(sheared(A), diffusion=2.0).trajectory(torch.zeros(d), STEP, 1, torch.Generator()),
    }
    if find_spec("thermox"):
        import jax
        import jax.numpy as jnp
        import thermox

        drift, noise = jnp.array(A.numpy()), 2.0 * jnp.eye(d)
        preprocess = jax.jit(thermox.preprocess)
        made["thermox"] = lambda: jax.block_until_ready(preprocess(drift, noise))
    return made


def paths() -> None:
    """In a process of its own: timings of all sizes, as JSON."""
    found = {}
    for d, rounds in SIZES.items():
        methods, first = ours(d), 0.0
        if find_spec("thermox"):
            others, first = theirs(d)
            methods |= others
        found[d] = {"paths": taking_turns(methods, rounds), "first": first, "set-up": taking_turns(set_up(d), 3)}
    print(json.dumps(found))


def in_process(threads: int) -> dict[int, dict]:
    """Run `paths` on that many cores."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    run = subprocess.run(
        [sys.executable, __file__, "paths"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return {int(d): found for d, found in json.loads(run.stdout.splitlines()[-1]).items()}


def cell(values: list[float]) -> str:
    """Median and extremes."""
    return f"{statistics.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"


def print_paths(threads: int, found: dict[int, dict]) -> None:
    print(f"\n{COUNT} consecutive states, {threads} thread{'s' if threads > 1 else ''}, ms\n")
    names = list(next(iter(found.values()))["paths"])
    others = [name for name in names if name.startswith("thermox")]
    print(f"{'d':>6}" + "".join(f"{name:>28}" for name in names))
    for d, one in found.items():
        print(f"{d:>6}" + "".join(f"{cell(one['paths'][name]):>28}" for name in names))
    print("\nset-up, ms\n")
    for d, one in found.items():
        parts = [f"{name} {cell(values)}" for name, values in one["set-up"].items()]
        print(f"{d:>6}  " + ", ".join(parts) + (f"; thermox' first paths {one['first']:.1f} s" if others else ""))
    if others:
        print("\nthe faster of thermox' two over ours\n")
        for d, one in found.items():
            medians = {name: statistics.median(values) for name, values in one["paths"].items()}
            best = min(medians[name] for name in others)
            ratios = [f"{name} {best / medians[name]:.1f}" for name in names if name not in others]
            print(f"{d:>6}  " + ", ".join(ratios))


def print_laws() -> None:
    """Covariance of x(8) from x(0) = 0, by draws, against quadrature."""
    print(f"\nCovariance of x(8) from {DRAWS} draws: Frobenius norm of the error over that of the law, %\n")
    noise = math.sqrt(2 / DRAWS)
    print(f"{'':34}{'steps':>8}{'thermox':>10}{'ours':>10}   (a draw's own error is about {100 * noise:.1f})")
    for name, A, D in (
        ("shear [[1, 1.5], [0, 1.2]], D = 1", SHEAR, np.eye(2)),
        ("[[1, .5], [.5, 3]], D = diag(1, 5)", TILTED, np.diag([1.0, 5.0])),
    ):
        for steps in (1, 8, 160):
            row = f"{name:34}{steps:>8}"
            theirs = error(draws_by_thermox(A, D, 8.0, steps), A, D) if find_spec("thermox") else math.nan
            print(row + f"{100 * theirs:>10.1f}{100 * error(draws_by_ou(A, D, 8.0, steps), A, D):>10.1f}")
        exact = OU(torch.tensor(A), diffusion=torch.tensor(D)).marginal(torch.zeros(2, dtype=torch.float64), 8.0)
        print(f"{'  ours, as computed':34}{'':>18}{100 * relative(exact.covariance.numpy(), A, D):>10.0e}")


def relative(covariance: np.ndarray, A: np.ndarray, D: np.ndarray) -> float:
    """Relative error of the covariance of x(8), from S' = -A S - S A^T + D: S(t) = S - E S E^T with S the settled one."""
    settled, E = linalg.solve_continuous_lyapunov(A, D), linalg.expm(-8.0 * A)
    law = settled - E @ settled @ E.T
    return float(np.linalg.norm(covariance - law) / np.linalg.norm(law))


def error(x: np.ndarray, A: np.ndarray, D: np.ndarray) -> float:
    """Relative error of the covariance of samples with mean zero."""
    return relative(x.T @ x / len(x), A, D)


def draws_by_ou(A: np.ndarray, D: np.ndarray, t: float, steps: int) -> np.ndarray:
    process = OU(torch.tensor(A), diffusion=torch.tensor(D))
    x0 = torch.zeros(DRAWS, 2, dtype=torch.float64)
    return process.trajectory(x0, t / steps, steps, torch.Generator().manual_seed(1))[:, -1].numpy()


def draws_by_thermox(A: np.ndarray, D: np.ndarray, t: float, steps: int) -> np.ndarray:
    import jax
    import jax.numpy as jnp
    import thermox

    ts, zero = jnp.linspace(0, t, steps + 1), jnp.zeros(2)
    drift, noise = thermox.preprocess(jnp.array(A), jnp.array(D))
    sample = jax.vmap(lambda key: thermox.sample(key, ts, zero, drift, zero, noise, associative_scan=False)[-1])
    return np.asarray(jax.jit(sample)(jax.random.split(jax.random.PRNGKey(1), DRAWS)), dtype=float)


def gram_sum(k: int, spectrum: str, vectors: int) -> Callable[[str], GramSum]:
    """A sum of functions of A = J^T J + damping through its Gram matrix, by the method named."""
    top, bottom, damping, t = SPECTRA[spectrum]
    g = torch.Generator().manual_seed(k)
    U, _ = torch.linalg.qr(torch.randn(k, k, generator=g, dtype=torch.float64))
    w = torch.logspace(top, bottom, k, dtype=torch.float64)
    G = (U * w) @ U.mT
    functions: list[Bounded] = [Response(t), Spread(t, 0.1), Response(t) if math.isinf(t) else Decay(t)]
    functions = functions[:vectors]
    terms = [(f, (U * w.sqrt()) @ torch.randn(k, generator=g, dtype=torch.float64)) for f in functions]
    norm = math.sqrt(k) * torch.stack([f(torch.tensor(damping, dtype=torch.float64)) for f in functions]).norm()
    return lambda method: Gram(G).sum(terms, damping, norm, 1e-7, method)


def print_grams() -> None:
    torch.set_num_threads(1)
    print("\nFunctions of a k x k Gram matrix, 1 thread, float64, bound 1e-7 of the result, ms\n")
    print(f"{'k':>6}{'spectrum':>16}{'vectors':>9}{'eigenvalues':>28}{'Lanczos':>28}{'steps':>7}{'ratio':>7}")
    for k, rounds in GRAMS.items():
        for spectrum in SPECTRA:
            for vectors in (1, 3):
                run = gram_sum(k, spectrum, vectors)
                one = taking_turns({method: partial(run, method) for method in ("eigen", "lanczos")}, rounds)
                ratio = statistics.median(one["eigen"]) / statistics.median(one["lanczos"])
                print(
                    f"{k:>6}{spectrum:>16}{vectors:>9}{cell(one['eigen']):>28}{cell(one['lanczos']):>28}"
                    f"{run('lanczos').steps or 'none':>7}{ratio:>7.1f}"
                )


def main() -> None:
    began = time.perf_counter()
    if not find_spec("thermox"):
        print("thermox is not installed: only this package is measured (pip install 'thermograd[bench]')")
    for threads in (1, 2):
        if threads <= len(os.sched_getaffinity(0)):
            print_paths(threads, in_process(threads))
    print_laws()
    print_grams()
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    paths() if sys.argv[1:] == ["paths"] else main()
