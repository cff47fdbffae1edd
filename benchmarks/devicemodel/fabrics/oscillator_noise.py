"""Oscillators in ngspice against their laws: noise by equipartition in `lc`, by Lyapunov's equation in `oscillator`; and ends of runs.

    python benchmarks/devicemodel/fabrics/oscillator_noise.py [--tau 2000] [--runs 5]

Positions and velocities of four cells, undriven, sampled in transients of many tau in which every resistor has Johnson noise at its own
temperature, and amplifiers have their input noise. Samples are whitened with the covariance that a law predicts, so that theirs should be
the identity; block means of their products give it with standard errors. Laws: `lc` at one temperature has Cov(phi) = k T Gamma^-1 and
Cov(v) = k T C^-1 whatever its damping is (twice that for two rails); an `oscillator` of equal row loads, ideal amplifiers and capacitors C
has Cov(phi) = 2 (k T / C) (L A^-1 + 1 + gamma^2 A^-1) / gamma, L and gamma in units of the link's conductance, as it is unit conductance,
too; all others the solution of F P + P F^T + Q = 0. Negative control: equipartition at the mean temperature, where it does not hold, of
the best size.

Then runs without noise, from random starts of random drives on three dies: where they end in ngspice, and by the surrogate's exact law of
the same die (`state_space_law`), as a share of the run's largest voltage.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.constants import Boltzmann
from scipy.linalg import matrix_balance, solve_continuous_lyapunov
from scipy.stats import norm

from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.linear_law import LinearLaw
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.devices.circuit_noise import SimulatedCircuit
from thermograd.devicemodel.devices.spice import SpiceDevice, linear_law_of, sampled
from thermograd.devicemodel.devices.state_space_law import StateSpaceLaw

N, BLOCKS, BURN_IN = 4, 20, 30.0
RING = np.array([[1.0, -0.4, 0.1, -0.4], [-0.4, 1.0, -0.4, 0.1], [0.1, -0.4, 1.0, -0.4], [-0.4, 0.1, -0.4, 1.0]])
"""Row loads are equal; couplings of either sign; eigenvalues 0.3, 0.9, 1.9."""
ONE_POLE = {"opamp__second_pole": np.inf, "opamp__noise_voltage_corner": 0.0, "opamp__noise_current_corner": 0.0}
"""As the amplifiers of the netlist are, with white noise: 1/f noise hardly varies in a run."""


def stationary(law: LinearLaw) -> np.ndarray:
    """Covariance of the states."""
    _, (scale, _) = matrix_balance(law.drift, permute=False, separate=True)
    noise = (law.johnson + law.amplifiers) / np.outer(scale, scale)
    return np.outer(scale, scale) * solve_continuous_lyapunov(law.drift * scale / scale[:, None], -noise)


def shown(law: LinearLaw) -> np.ndarray:
    """Rows of what is looked at: what is read, and velocities as they are kept."""
    return np.concatenate([law.read, law.kept[law.size :]])


def lc_at(kelvin: np.ndarray, damping: float) -> AnalogProgram:
    """An `lc` of two rails, damping resistors at these temperatures, `damping` times the usual conductance."""
    program = lay_out(RING, "lc", preset("ideal"))
    parts: Any = program.parts
    parts = dataclasses.replace(parts, ground_temperature=kelvin, shunt=damping * parts.shunt)
    return dataclasses.replace(program, parts=parts)


def oscillator_at(kelvin: np.ndarray, technology: str, **noise: float) -> AnalogProgram:
    """An `oscillator` whose resistors are at the temperatures of their rows."""
    program = lay_out(RING, "oscillator", preset(technology).replace(**ONE_POLE, **noise))
    parts: Any = program.parts
    warm = np.repeat(kelvin[:, None], N, axis=1)
    parts = dataclasses.replace(parts, drive_temperature=kelvin, coupling_temperature=warm)
    return dataclasses.replace(program, parts=parts)


def equipartition(program: AnalogProgram, law: LinearLaw) -> np.ndarray:
    """Covariance of what is shown if energy k T were in each mode; mean temperature; of an oscillator in best size."""
    parts: Any = program.parts
    technology = program.technology
    if program.fabric_name == "lc":
        kt = Boltzmann * float(parts.ground_temperature.mean())
        nodes = parts.rails * N
        whole = np.zeros((law.order, law.order))
        whole[:nodes, :nodes] = kt * np.linalg.inv(parts.node_matrix())
        whole[nodes:, nodes:] = kt * np.diag(1 / parts.storage.ravel())
        return np.asarray(shown(law) @ whole @ shown(law).T)
    exact = shown(law) @ stationary(law) @ shown(law).T
    inverse = np.linalg.inv(program.fabric.at_rest(parts, technology).matrix)
    whole = np.zeros((2 * N, 2 * N))
    whole[:N, :N] = inverse * np.trace(exact[:N, :N]) / np.trace(inverse)
    whole[N:, N:] = np.eye(N) * np.trace(exact[N:, N:]) / N
    return whole


def by_formula(program: AnalogProgram) -> np.ndarray:
    """The covariance of positions of equal loads and ideal amplifiers, (n, n) V^2."""
    parts: Any = program.parts
    technology = program.technology
    link = float(parts.link.mean())
    assert np.isclose(link, program.conductance_unit)
    gamma, load = float(parts.friction.mean()) / link, float(parts.row_load.mean()) / link
    inverse, size = np.linalg.inv(program.matrix), 2 * Boltzmann * technology.thermal.ambient
    return np.asarray(size / technology.capacitors.unit * ((load + gamma**2) * inverse + np.eye(N)) / gamma)


def blocks_of(program: AnalogProgram, tau: float, seed: int) -> np.ndarray:
    """(blocks, samples, 2 n) V of a run in ngspice."""
    circuit = SimulatedCircuit(program)
    zero = np.zeros(N)
    netlist = circuit.netlist(zero, zero, noisy=True)
    analysis, _ = sampled(program, (BURN_IN + tau,), True)
    nodes = tuple(dict.fromkeys((*program.nodes, *circuit.kept_nodes(netlist, True))))
    analysis = dataclasses.replace(analysis, nodes=nodes)
    assert isinstance(analysis, Transient)
    found = run(netlist, analysis, seed=seed, timeout=600.0, currents=circuit.noise(float(analysis.step or 0.0)))
    seen = np.concatenate([circuit.read(found.voltages), circuit.course(found.voltages)[N:]])
    first = int(BURN_IN / (BURN_IN + tau) * seen.shape[1])
    length = (seen.shape[1] - first) // BLOCKS
    return seen[:, first : first + BLOCKS * length].T.reshape(BLOCKS, length, -1)


def deviation(blocks: np.ndarray, covariance: np.ndarray) -> tuple[float, float, float]:
    """Mean ratio of variances to those of a law over all modes, its standard error, and the largest deviation of any entry of the whitened
    covariance in standard errors."""
    k = len(covariance)
    white = np.linalg.solve(np.linalg.cholesky(covariance), blocks.reshape(-1, k).T).T.reshape(blocks.shape)
    each = np.einsum("bti,btj->bij", white, white) / blocks.shape[1]
    mean, error = each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(len(each))
    size = np.trace(each, axis1=1, axis2=2) / k
    largest = np.abs((mean - np.eye(k)) / error)[np.triu_indices(k)].max()
    return float(size.mean()), float(size.std(ddof=1) / np.sqrt(len(size))), float(largest)


def cases() -> Iterator[tuple[str, AnalogProgram, bool]]:
    """Name, program, and whether equipartition holds."""
    one, many = np.full(N, 300.15), np.array([250.0, 300.0, 400.0, 500.0])
    yield "lc, one temperature", lc_at(one, 1.0), True
    yield "lc, a fifth of the damping", lc_at(one, 0.2), True
    yield "lc, 250 to 500 K", lc_at(many, 1.0), False
    yield "oscillator, ideal amplifiers", oscillator_at(one, "ideal"), False
    yield "oscillator, integrated", oscillator_at(one, "integrated"), False
    loud = {"opamp__noise_voltage": 2e-8, "opamp__noise_current": 1e-12}
    yield "oscillator, amplifiers' noise", oscillator_at(one, "integrated", **loud), False
    yield "oscillator, 250 to 500 K", oscillator_at(many, "integrated"), False


def ends(fabric: str, duration: float) -> tuple[float, float]:
    """Largest distance of ngspice and law over three dies, of what is read and of what is kept, as shares of the largest voltage."""
    technology = preset("integrated").replace(opamp__second_pole=np.inf)
    matrix = RING if fabric != "spu" else 2 * np.diag(np.diag(RING)) - np.abs(RING)
    matrix = matrix + 0.1 * np.eye(N)
    read, kept = [], []
    for die in range(3):
        device, chance = SpiceDevice(technology, die, fabric, johnson_noise=False), np.random.default_rng(die)
        board = device.board_of(lay_out(matrix, fabric, technology))
        driven, start = chance.uniform(-0.2, 0.2, (1, N)), chance.uniform(-0.2, 0.2, (1, board.kept))
        found = board.relax(np.zeros(1, int), driven, start, (duration,), [chance])
        law = StateSpaceLaw(linear_law_of(board.program), technology.opamp, board.tau)
        force = torch.from_numpy(driven * board.amperes_per_volt)
        moved = law.advance(law.begin(torch.from_numpy(start), force), force, duration)
        assert moved is not None
        assert found.left is not None
        largest = max(np.abs(found.cells).max(), np.abs(start).max())
        read.append(np.abs(found.cells[:, 0] - law.read(moved).numpy()).max() / largest)
        kept.append(np.abs(found.left - law.left(moved).numpy()).max() / largest)
    return max(read), max(kept)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tau", type=float, default=2000.0, help="length of each run")
    parser.add_argument("--runs", type=int, default=5, help="of each case")
    given = parser.parse_args()
    entries = N * (2 * N + 1)
    print(
        f"largest of {entries} deviations that chance reaches in 1 of 100 tables: {norm.isf(0.005 / entries):.1f} s.e.\n"
    )
    print(f"{'case':32}{'variance / law':>20}{'law, s.e.':>12}{'equipartition, s.e.':>22}")
    for seed, (name, program, holds) in enumerate(cases()):
        law = program.fabric.linear_law(program.parts, program.technology)
        exact = shown(law) @ stationary(law) @ shown(law).T
        runs = [blocks_of(program, given.tau, 100 * seed + k) for k in range(given.runs)]
        length = min(one.shape[1] for one in runs)
        blocks = np.concatenate([one[:, :length] for one in runs])
        ratio, error, largest = deviation(blocks, exact)
        wrong = deviation(blocks, equipartition(program, law))[2]
        note = " (it holds)" if holds else ""
        print(f"{name:32}{ratio:12.4f} +- {error:.4f}{largest:12.1f}{wrong:22.1f}{note}")
    program = oscillator_at(np.full(N, 300.15), "ideal")
    law = program.fabric.linear_law(program.parts, program.technology)
    exact, formula = law.read @ stationary(law) @ law.read.T, by_formula(program)
    print(
        f"\n2 (k T / C) (L A^-1 + 1 + gamma^2 A^-1) / gamma: {np.abs(formula - exact).max() / exact.max():.1e} from Lyapunov's"
    )
    print(f"\n{'ends of runs, off by':32}{'read':>12}{'kept':>12}")
    for fabric in ("lc", "spu", "oscillator"):
        for duration in (1.0, 10.0, 100.0, np.inf):
            read, kept = ends(fabric, duration)
            print(f"{fabric + f', {duration:g} tau':32}{read:12.1e}{kept:12.1e}")


if __name__ == "__main__":
    main()
