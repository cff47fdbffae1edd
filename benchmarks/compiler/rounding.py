"""Effect of the rounding method on the solution, measured on the realised matrix of the compiled programs.

    python benchmarks/compiler/rounding.py

First table: rounding for the solution against nearest values, on random systems of 8 to 16 unknowns and 6 bit codes. Second: the mean of
stochastically rounded programs against their number.
"""

from __future__ import annotations

import time

import numpy as np
from joblib import Parallel, delayed

from thermograd.circuits.errors import UnrealisableError
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.ensemble import compile_ensemble
from thermograd.compiler.program import AnalogProgram

SYSTEMS = {"crossbar": 200, "dual_rail": 40, "rc": 40}
CONDITION = 100.0
ENSEMBLE = 256
ENSEMBLES = 12
REGIMES = ((8, 10.0), (4, 10.0))
"""Bits and condition number of the second table."""


def coded(bits: int) -> Technology:
    return preset("ideal").replace(name=f"{bits} bit codes", resistors__bits=bits)


def dense_system(n: int, condition: float, rng: np.random.Generator) -> np.ndarray:
    """Random eigenvectors, eigenvalues uniform in the logarithm from 1 to the condition number."""
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    a = (basis * condition ** np.concatenate([[0.0, 1.0], rng.uniform(size=n - 2)])) @ basis.T
    return (a + a.T) / 2


def passive_system(n: int, condition: float, signed: bool, rng: np.random.Generator) -> np.ndarray:
    """A Laplacian of random weights and ground conductances; the condition number is met without signs, and a bound with them."""
    weights = np.triu(rng.uniform(size=(n, n)), 1)
    weights += weights.T
    signs = np.triu(rng.choice([-1.0, 1.0], (n, n)) if signed else -np.ones((n, n)), 1)
    a = np.diag(weights.sum(axis=1)) + weights * (signs + signs.T)
    return a + np.linalg.eigvalsh(a)[-1] / (condition - 1) * np.eye(n)


def error(program: AnalogProgram, b: np.ndarray) -> float:
    """Relative error of the realised circuit's solutions of the columns of b."""
    exact = np.linalg.solve(program.target, b)
    return float(np.linalg.norm(np.linalg.solve(program.matrix, b) - exact) / np.linalg.norm(exact))


def compare(fabric: str, number: int) -> list[float]:
    """Nearest: error for b, mean over b, condition. For b: error, mean over b. For the mean: error. Empty: nearest is unstable."""
    rng = np.random.default_rng([number, len(fabric)])
    n = 8 + number % 9
    if fabric == "crossbar":
        matrix = dense_system(n, CONDITION, rng)
    else:
        matrix = passive_system(n, CONDITION, fabric == "dual_rail", rng)
    b, every = rng.standard_normal(n), np.eye(n)
    try:
        nearest = compile_matrix(matrix, fabric, coded(6), b=b, check=False)
    except UnrealisableError:
        return []
    for_b = compile_matrix(matrix, fabric, coded(6), b=b, check=False, rounding="solution")
    for_mean = compile_matrix(matrix, fabric, coded(6), check=False, rounding="solution")
    return [
        error(nearest, b),
        error(nearest, every),
        float(np.linalg.cond(matrix)),
        error(for_b, b),
        error(for_b, every),
        error(for_mean, every),
    ]


def with_interval(ratios: np.ndarray) -> str:
    """Median, and the 95 % interval of 2000 bootstrap resamples."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return f"{np.median(ratios):.3f} [{low:.3f}, {high:.3f}]"


def mean_errors(bits: int, condition: float, number: int) -> list[float]:
    """Errors of the mean inverse of the first 1, 2, 4, ... programs, then of the nearest values and of rounding for the mean over b."""
    matrix = dense_system(8, condition, np.random.default_rng([number, 1]))
    exact, technology = np.linalg.inv(matrix), coded(bits)
    programs = compile_ensemble(matrix, ENSEMBLE, "crossbar", technology, check=False, seed=number)
    sums = np.cumsum([np.linalg.inv(program.matrix) for program in programs], axis=0)
    counts = 2 ** np.arange(int(np.log2(ENSEMBLE)) + 1)
    found = [float(np.linalg.norm(sums[m - 1] / m - exact) / np.linalg.norm(exact)) for m in counts]
    for rounding in ("nearest", "solution"):
        program = compile_matrix(matrix, "crossbar", technology, check=False, rounding=rounding)
        found.append(error(program, np.eye(8)))
    return found


def main() -> None:
    began = time.perf_counter()
    pool = Parallel(n_jobs=2)
    print("Relative error of the solution, 6 bit codes, 8 to 16 unknowns; medians, ratios with 95 % bootstrap interval")
    print(
        "  for b: rounded for one random b and measured with it; mean: over all b; for b, mean: the price for other b\n"
    )
    print(
        f"  {'fabric':10}{'systems':>9}{'cond.':>7}{'nearest: b':>12}{'mean':>8}"
        f"{'for b / nearest':>24}{'mean / nearest':>24}{'for b, mean / nearest':>26}"
    )
    for fabric, count in SYSTEMS.items():
        rows = pool(delayed(compare)(fabric, number) for number in range(count))
        found = np.array([row for row in rows if row])
        b, every, condition, for_b, for_b_mean, for_mean = found.T
        print(
            f"  {fabric:10}{len(found):>9}{np.median(condition):>7.0f}{np.median(b):>12.3g}{np.median(every):>8.2g}"
            f"{with_interval(for_b / b):>24}{with_interval(for_mean / every):>24}{with_interval(for_b_mean / every):>26}"
        )
        if len(found) < count:
            print(f"  {'':10}({count - len(found)} left out: unstable with the nearest values)")
    print(
        f"\nError of the mean of m stochastically rounded programs (crossbar, 8 unknowns, median of {ENSEMBLES} systems)\n"
    )
    counts = 2 ** np.arange(int(np.log2(ENSEMBLE)) + 1)
    tables = [
        np.array(pool(delayed(mean_errors)(bits, condition, number) for number in range(ENSEMBLES)))
        for bits, condition in REGIMES
    ]
    print(f"  {'m':>10}" + "".join(f"{f'{bits} bit, cond. {c:g}':>20}" for bits, c in REGIMES))
    for k, m in enumerate(counts):
        print(f"  {m:>10}" + "".join(f"{np.median(table[:, k]):>20.3g}" for table in tables))
    for k, name in ((-2, "nearest"), (-1, "solution")):
        print(f"  {name:>10}" + "".join(f"{np.median(table[:, k]):>20.3g}" for table in tables))
    cells = []
    for table in tables:
        slopes = np.polyfit(np.log(counts), np.log(table[:, : len(counts)]).T, 1)[0]
        cells.append(f"{slopes.mean():.3f} +- {slopes.std(ddof=1) / np.sqrt(len(slopes)):.3f}")
    print(
        f"  {'slope':>10}"
        + "".join(f"{cell:>20}" for cell in cells)
        + "   of log error against log m; 1/sqrt(m) is -0.5"
    )
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
