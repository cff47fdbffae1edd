"""Mean and covariance of every fabric's readings in ngspice against its law, in standard errors.

    python benchmarks/devicemodel/fabrics/fabric_table.py                       (some fifteen minutes of one core)
    python benchmarks/devicemodel/fabrics/fabric_table.py --sizes 8 --conditions 10 --fabrics oscillator lc        (some seconds)

Systems. n = 8 and 16, condition number 10, 100 and 1,000, one random matrix each: of mixed signs in the active fabrics, a damped graph
Laplacian in the passive ones (with the signs of random unknowns turned over in those of two rails), J^T J + damping with n / 2 rows in
`factored`. Ideal amplifiers and exact parts, all resistors at 300 K.

A run. Johnson noise of all resistors, from rest at 0 V, with a drive whose settled voltages are about `SIGNAL` times the noise; the first
`BURN_IN` slowest time constants are discarded, the following `LENGTH`, or `STEPS` steps if these are more, are the record. Law: mean
-R F^-1 B I and Lyapunov solution of the device model (`Fabric.linear_law`; of first-order fabrics `behaviour`).

Figures. In the basis of the eigenvectors of the law's own covariance: (seen - law) / standard error, root mean square over the n means, the
n variances and the n (n - 1) / 2 covariances: 1 is agreement. Standard errors are those of time averages over the record under the law,

    var mean = S(0) / T,        var C_ij = (2 / T) int_0^inf [C_ii(t) C_jj(t) + C_ij(t) C_ji(t)] dt,

with S(0) that of the currents really injected (trapezoidal steps: `circuits.linear.johnson`). Controls: a law whose mean is 1 % larger;
variances 10 % larger; and, over variances and covariances, another kind of law. In active fabrics this is equipartition, (k T / C) A^-1 a
rail; in passive ones it is the covariance of the other kind, of the same trace, A^-1 where the law is k T C^-1 and I where it is A^-1.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from scipy.constants import Boltzmann
from scipy.linalg import expm, matrix_balance, solve_continuous_lyapunov

from thermograd.circuits.errors import UnrealisableError
from thermograd.circuits.linear.johnson import johnson_currents
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.fabrics.registry import fabric_named, fabric_names
from thermograd.compiler.matrices import dense
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.systems import LowRank

SIZES, CONDITIONS = (8, 16), (10.0, 100.0, 1000.0)
SIGNAL, BURN_IN = 50.0, 8.0
LENGTH, STEPS = 20.0, 30000
"""Of the record at least, in slowest time constants and in steps."""
BIAS = 3e-3
"""Most that the covariance of the injected noise may be off: of `lc`, whose currents through inductors take none, steps are shorter."""
NOISY = preset("ideal").replace(thermal__johnson_noise=True)


def random_matrix(n: int, condition: float, rng: np.random.Generator) -> np.ndarray:
    """Of mixed signs, eigenvalues from 1 / condition to 1."""
    vectors, _ = np.linalg.qr(rng.standard_normal((n, n)))
    matrix = (vectors * np.geomspace(1 / condition, 1.0, n)) @ vectors.T
    return (matrix + matrix.T) / 2


def laplacian(n: int, condition: float, rng: np.random.Generator, turned: bool) -> np.ndarray:
    """A weighted graph's Laplacian, damped to this condition number; `turned`: the sign of every other unknown at random."""
    weights = np.triu(rng.uniform(0.2, 1.0, (n, n)) * (rng.uniform(size=(n, n)) < 0.5), 1) + np.diag(np.ones(n - 1), 1)
    weights = weights + weights.T
    matrix = np.diag(weights.sum(axis=1)) - weights
    matrix /= np.linalg.eigvalsh(matrix)[-1]
    signs = rng.choice([-1.0, 1.0], n) if turned else np.ones(n)
    return (matrix + np.eye(n) / (condition - 1)) * np.outer(signs, signs)


def compiled(fabric: str, n: int, condition: float) -> AnalogProgram:
    """A program of that fabric."""
    rng = np.random.default_rng([n, int(condition)])
    kind = fabric_named(fabric)
    if kind.takes_factors:
        j = rng.standard_normal((n // 2, n)) / math.sqrt(n)
        damping = float(np.linalg.norm(j, 2) ** 2) / (condition - 1)
        return compile_system(LowRank(torch.from_numpy(j), None, damping), fabric, NOISY, check=False)
    if kind.active:
        return compile_matrix(random_matrix(n, condition, rng), fabric, NOISY, check=False)
    return compile_matrix(laplacian(n, condition, rng, fabric in ("dual_rail", "lc")), fabric, NOISY, check=False)


@dataclass(frozen=True)
class Law:
    """dz/dt = F z + B I + noise of density Q, v = R z: of a device model, in balanced units."""

    F: np.ndarray
    B: np.ndarray
    Q: np.ndarray
    R: np.ndarray

    @classmethod
    def of(cls, program: AnalogProgram) -> Law:
        try:
            law = program.fabric.linear_law(program.parts, program.technology)
        except UnrealisableError:
            first = program.behaviour
            store = 1.0 / first.capacitance
            # With that of inverters.
            noise = program.fabric.noise(program.parts, program.technology)(0.0).johnson.real
            return cls(
                -store[:, None] * dense(first.conductance),
                np.diag(store * first.drive),
                store[:, None] * noise * store,
                np.eye(program.size),
            )
        _, (scale, _) = matrix_balance(law.drift, permute=False, separate=True)
        return cls(
            law.drift / scale[:, None] * scale,
            law.drive / scale[:, None],
            (law.johnson + law.amplifiers) / np.outer(scale, scale),
            law.read * scale,
        )

    def mean(self, currents: np.ndarray) -> np.ndarray:
        """Volts at rest."""
        return -self.R @ np.linalg.solve(self.F, self.B @ currents)

    @property
    def state_covariance(self) -> np.ndarray:
        """Stationary."""
        rate = float(np.abs(self.F).max())
        found = solve_continuous_lyapunov(self.F / rate, -self.Q / rate)
        return (found + found.T) / 2

    @property
    def covariance(self) -> np.ndarray:
        """Of the read volts."""
        return self.R @ self.state_covariance @ self.R.T


def error_of_covariance(law: Law, basis: np.ndarray, step: float, slow: float, length: float) -> np.ndarray:
    """Standard error of each entry of the sample covariance over a record of `length` s, in the basis."""
    spread, read = law.state_covariance, basis.T @ law.R
    onward = expm(law.F * step)
    lagged = spread @ read.T
    total = np.zeros((len(basis), len(basis)))
    for k in range(math.ceil(8 * slow / step)):
        c = read @ lagged
        own = np.diag(c)
        total += (0.5 if k == 0 else 1.0) * (np.outer(own, own) + c * c.T)
        lagged = onward @ lagged
    return np.sqrt(2 * step * total / length)


def rms(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def row(fabric: str, n: int, condition: float) -> str:
    """One line of the table."""
    started = time.perf_counter()
    program = compiled(fabric, n, condition)
    law = Law.of(program)
    covariance = law.covariance
    roots = np.linalg.eigvals(law.F)
    slow, fast = -1 / float(roots.real.max()), float(np.abs(roots).max())
    step = (0.5 if np.abs(roots.imag).max() < 1e-6 * fast else 0.1) / fast
    noise = math.sqrt(float(np.trace(covariance)) / n)
    b = np.random.default_rng([n, 5]).standard_normal(n)
    driven = program.fabric.mean
    if driven:
        unit = program.at_scale(1.0)
        size = rms(law.mean(unit.currents(b)))
        program = program.at_scale(SIGNAL * noise / size)
    currents = program.currents(b) if driven else np.zeros(n)
    netlist = program.circuit(currents, np.zeros(n * program.fabric.states))
    while johnson_currents(netlist, step).bias > BIAS:
        step /= 2
    stop = BURN_IN * slow + max(LENGTH * slow, STEPS * step)
    analysis = Transient(stop, step=step, nodes=program.nodes, noise=True)
    injected = johnson_currents(netlist, step)
    result = run(netlist, analysis, seed=int(condition) + n, timeout=900.0, currents=injected)
    volts = program.cell_volts(result.voltages)[:, math.ceil(BURN_IN * slow / step) :]
    length = volts.shape[1] * step
    basis = np.linalg.eigh(covariance)[1]
    exact = law.mean(currents)
    # Zero-frequency density of what is injected, by the circuit's own response.
    space = state_space(netlist, {str(k): pair for k, pair in enumerate(program.readouts)})
    columns = [space.noise_nodes.index(node) for node in injected.nodes]
    response = space.Dn[:, columns] - space.H @ np.linalg.solve(space.F, space.Bn[:, columns])
    still = basis.T @ response @ injected.factor
    error = np.sqrt(step * np.sum(still**2, axis=1) / length) if driven else np.ones(n)
    off = basis.T @ (volts.mean(axis=1) - exact) / error
    wrong = basis.T @ (volts.mean(axis=1) - 1.01 * exact) / error
    seen = (volts - exact[:, None]) @ (volts - exact[:, None]).T / volts.shape[1]
    errors = error_of_covariance(law, basis, 4 * step, slow, length)
    pairs = np.triu_indices(n, 1)

    def apart(claimed: np.ndarray) -> np.ndarray:
        return (basis.T @ (seen - claimed) @ basis) / errors

    inverse = np.linalg.inv(dense(program.matrix))
    if program.fabric.active:
        other = program.parts.rails * Boltzmann * NOISY.thermal.ambient / NOISY.capacitors.unit * inverse
    else:
        other = np.eye(n) if program.fabric.covariance else inverse
        other = other * np.trace(covariance) / np.trace(other)
    cells = [
        fabric,
        f"{n}",
        f"{condition:,.0f}",
        f"{1e6 * slow:.3g}",
        f"{1e6 * noise:.3g}",
        f"{math.sqrt(float(np.trace(seen) / np.trace(covariance))):.3f}",
        f"{rms(off):.2f}" if driven else "-",
        f"{rms(wrong):.0f}" if driven else "-",
        f"{rms(np.diag(apart(covariance))):.2f}",
        f"{rms(apart(covariance)[pairs]):.2f}",
        f"{rms(np.diag(apart(1.1 * covariance))):.1f}",
        f"{rms(apart(other)[np.triu_indices(n)]):.0f}",
        f"{time.perf_counter() - started:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


COLUMNS = (
    "fabric",
    "n",
    "condition number",
    "slowest time constant, us",
    "noise of a cell, law, uV",
    "seen over law",
    "mean, s.e.",
    "1 % larger",
    "variances, s.e.",
    "covariances, s.e.",
    "10 % larger",
    "another law",
    "s",
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--conditions", type=float, nargs="+", default=list(CONDITIONS))
    parser.add_argument("--fabrics", nargs="+", default=list(fabric_names()))
    options = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for fabric in options.fabrics:
        for n in options.sizes:
            for condition in options.conditions:
                print(row(fabric, n, condition), flush=True)


if __name__ == "__main__":
    main()
