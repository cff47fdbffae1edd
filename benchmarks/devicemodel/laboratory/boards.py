"""Boards measured by a synthetic laboratory that shares no code with the package: do the intervals hold the boards' own values?

    python benchmarks/devicemodel/laboratory/boards.py                  (twenty boards of two and of four nodes; some minutes of one core)
    python benchmarks/devicemodel/laboratory/boards.py --understated    (negative control: errors stated 1.4 times too small)

A board is a chain of nodes: a resistor from its source to each, one between neighbours, a capacitor from each to ground. Every part is
drawn with a standard deviation of 1 % around its nominal value, from which the fit starts. With the nodes' conductance matrix G and their
capacitances C the laboratory has

    C dv/dt = g V - G v,        S(f) = 4 k T Re (G + 2 pi i f C)^-1,        Cov(v) = k T C^-1

(Kirchhoff, Nyquist, equipartition), and writes a step of 1 V at every node, 60 readings of 1 mV; spectra and cross-spectra of all nodes at
14 frequencies, averages of 40 periodograms that are drawn one by one; and the stationary covariance of 2,000 independent samples.

All values are free. Of one board they are correlated, so each board counts once: with the Fisher information I of the fit and e the error
of ln(value), e^T I e is chi^2-distributed with as many degrees of freedom as values, and the joint regions of 68.3 and 95 % hold the truth
of so many boards as a binomial says. The share of all separate intervals stands beside it, with its standard error over boards.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
from scipy.stats import binom, chi2, kstest

from thermograd.circuits import Capacitor, Netlist, Resistor, VoltageSource
from thermograd.devicemodel import Measurements, calibrate_from_measurements

BOLTZMANN, KELVIN = 1.380649e-23, 300.0
LEVELS = (0.683, 0.95)
MISMATCH = 0.01
SOURCE, LINK, CAPACITOR = 4.7e3, 6.8e3, 22e-9
FREQUENCIES = np.geomspace(200.0, 2e4, 14)
AVERAGES, READING, SAMPLES = 40, 1e-3, 2000
UNDERSTATED = 1.4
"""By what the control divides the errors that it states."""


class Board(NamedTuple):
    """Values of the parts, ohm and F: to the source (n,), between neighbours (n - 1,), to ground (n,)."""

    source: np.ndarray
    link: np.ndarray
    capacitor: np.ndarray

    @classmethod
    def nominal(cls, nodes: int) -> Board:
        """All parts as bought; capacitors grow from node to node, so that no two nodes are alike."""
        return cls(
            np.full(nodes, SOURCE), np.full(nodes - 1, LINK), CAPACITOR * (1 + 0.3 * np.arange(nodes) / (nodes - 1))
        )

    def made(self, rng: np.random.Generator) -> Board:
        """One such board."""
        return Board(*(values * np.exp(MISMATCH * rng.standard_normal(len(values))) for values in self))

    def by_name(self) -> dict[str, float]:
        """Name of a part -> its value."""
        n = len(self.source)
        names = [f"R{i + 1}" for i in range(n)] + [f"RC{i + 1}" for i in range(n - 1)] + [f"C{i + 1}" for i in range(n)]
        return dict(zip(names, np.concatenate(self).tolist(), strict=True))

    def conductances(self) -> np.ndarray:
        """G, (n, n) S."""
        matrix = np.diag(1 / self.source)
        for i, resistance in enumerate(self.link):
            matrix[i : i + 2, i : i + 2] += np.array([[1, -1], [-1, 1]]) / resistance
        return matrix

    def step(self, times: np.ndarray) -> np.ndarray:
        """Voltages after a step of 1 V, (times, n)."""
        matrix = self.conductances()
        end = np.linalg.solve(matrix, 1 / self.source)
        # C^-1/2 G C^-1/2 is symmetric.
        root = np.sqrt(self.capacitor)
        rates, modes = np.linalg.eigh(matrix / np.outer(root, root))
        decays = np.exp(-np.outer(times, rates)) * (modes.T @ (root * end))
        return np.asarray(end - decays @ modes.T / root)

    def density(self, frequency: float) -> np.ndarray:
        """One-sided cross-spectral densities of the nodes, (n, n) V^2/Hz."""
        impedance = np.linalg.inv(self.conductances() + 2j * np.pi * frequency * np.diag(self.capacitor))
        return np.asarray(4 * BOLTZMANN * KELVIN * impedance.real)


def steps(board: Board, rng: np.random.Generator, factor: float) -> Measurements:
    """Readings of a step at every node; the error stated is the true one over `factor`."""
    nodes = len(board.source)
    times = np.linspace(1e-5, 1.5e-3, 60)
    volts = board.step(times) + READING * rng.standard_normal((len(times), nodes))
    names = np.tile([f"n{i + 1}" for i in range(nodes)], len(times))
    stated = np.full(volts.size, READING / factor)
    return Measurements.of("trace", time_s=np.repeat(times, nodes), node=names, volts=volts.ravel(), std_v=stated)


def spectra(board: Board, rng: np.random.Generator, factor: float) -> Measurements:
    """Averaged periodograms of all pairs of nodes."""
    nodes = len(board.source)
    rows: list[tuple[float, str, str, float, float]] = []
    for frequency in FREQUENCIES.tolist():
        root = np.linalg.cholesky(board.density(frequency))
        pairs = rng.standard_normal((2, AVERAGES, nodes)) / np.sqrt(2)
        records = (pairs[0] + 1j * pairs[1]) @ root.T
        mean = records.T @ records.conj() / AVERAGES
        rows += [
            (frequency, f"n{i + 1}", f"n{j + 1}", mean[i, j].real, mean[i, j].imag if i < j else 0.0)
            for i in range(nodes)
            for j in range(i, nodes)
        ]
    frequency, node, other, real, imaginary = (np.array(column) for column in zip(*rows, strict=True))
    return Measurements.of(
        "spectrum",
        frequency_hz=frequency,
        node=node,
        node_b=other,
        density_v2_per_hz=real,
        density_imag_v2_per_hz=imaginary,
        averages=np.full(len(rows), AVERAGES * factor**2),
    )


def covariances(board: Board, rng: np.random.Generator, factor: float) -> Measurements:
    """Mean products of independent samples, with the errors that such means have."""
    nodes = len(board.source)
    variance = BOLTZMANN * KELVIN / board.capacitor
    samples = rng.standard_normal((SAMPLES, nodes)) * np.sqrt(variance)
    first, second = np.triu_indices(nodes)
    means = (samples.T @ samples / SAMPLES)[first, second]
    errors = np.sqrt(variance[first] * variance[second] * np.where(first == second, 2, 1) / SAMPLES)
    names = np.array([f"n{i + 1}" for i in range(nodes)])
    return Measurements.of(
        "covariance",
        node_a=names[first],
        node_b=names[second],
        f_lo_hz=np.zeros(len(first)),
        f_hi_hz=np.full(len(first), np.inf),
        covariance_v2=means,
        std_v2=errors / factor,
    )


def netlist(board: Board) -> Netlist:
    """The board, each source at 1 V."""
    nodes = len(board.source)
    circuit = Netlist(f"a chain of {nodes} nodes", temperature=KELVIN)
    for i in range(nodes):
        circuit.add(VoltageSource(f"V{i + 1}", f"in{i + 1}", "0", dc=1.0))
        circuit.add(Resistor(f"R{i + 1}", f"in{i + 1}", f"n{i + 1}", float(board.source[i])))
        circuit.add(Capacitor(f"C{i + 1}", f"n{i + 1}", "0", float(board.capacitor[i]), initial=0.0))
    for i in range(nodes - 1):
        circuit.add(Resistor(f"RC{i + 1}", f"n{i + 1}", f"n{i + 2}", float(board.link[i])))
    return circuit


class Measured(NamedTuple):
    """Of one board: (probability of a larger e^T I e, share of its separate intervals that hold the truth at each level, the p-value of
    the fit's chi^2)."""

    joint: float
    separate: tuple[float, ...]
    fit: float


def measure(nodes: int, seed: int, factor: float = 1.0) -> Measured:
    """Make a board, measure it, fit it."""
    rng = np.random.default_rng([seed, nodes])
    board = Board.nominal(nodes).made(rng)
    tables = [steps(board, rng, factor), spectra(board, rng, factor), covariances(board, rng, factor)]
    truth = board.by_name()
    found = calibrate_from_measurements(netlist(Board.nominal(nodes)), list(truth), tables, starts=0)
    off = np.log([found[name].value / value for name, value in truth.items()])
    distance = float(off @ np.array(found.information) @ off)
    spans = [[found[name].interval(level) for name in truth] for level in LEVELS]
    inside = [
        np.mean(
            [span is not None and span[0] <= value <= span[1] for span, value in zip(row, truth.values(), strict=True)]
        )
        for row in spans
    ]
    return Measured(float(chi2.sf(distance, len(truth))), tuple(float(share) for share in inside), found.fit.p_value)


def main(argv: list[str] | None = None) -> dict[int, list[Measured]]:
    """Print the table; the boards by number of nodes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", type=int, default=20, help="of each kind (default 20)")
    parser.add_argument("--nodes", default="2,4", help="kinds of boards (default 2,4)")
    parser.add_argument("--understated", action="store_true", help="state errors that are 1.4 times too small")
    arguments = parser.parse_args(argv)
    factor = UNDERSTATED if arguments.understated else 1.0
    found = {}
    print("| nodes | values | region | boards within | 99 % of honest errors | separate intervals | KS p, uniform |")
    print("|---|---|---|---|---|---|---|")
    for nodes in (int(text) for text in arguments.nodes.split(",")):
        rows = found[nodes] = [measure(nodes, seed, factor) for seed in range(arguments.boards)]
        joint = np.array([row.joint for row in rows])
        uniform = float(kstest(joint, "uniform").pvalue)
        for place, level in enumerate(LEVELS):
            low, high = binom(len(rows), level).interval(0.99)
            shares = 100 * np.array([row.separate[place] for row in rows])
            error = shares.std(ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.nan
            print(
                f"| {nodes} | {3 * nodes - 1} | {100 * level:g} % | {int((joint > 1 - level).sum())} of {len(rows)} "
                f"| {int(low)} to {int(high)} | {shares.mean():.0f} +- {error:.0f} % | {uniform:.2g} |"
            )
    return found


if __name__ == "__main__":
    main()
