"""Mistakes that a laboratory makes in its tables: which are named, and how often honest tables are suspected.

    python benchmarks/devicemodel/laboratory/mistakes.py               (some two minutes of one core)
    python benchmarks/devicemodel/laboratory/mistakes.py --honest 0    (without the honest boards)

The tables are those of `boards.py`, of a board of two nodes: a step at each node, spectra and cross-spectrum, the stationary
covariance. Each row printed has one mistake in one of them; beside it is what the fit alone says, and what `suspicions` does.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import boards as lab

from thermograd.circuits.errors import InputError
from thermograd.devicemodel import Measurements, calibrate_from_measurements, suspicions

NODES = 2
EXCHANGED = {"n1": "n2", "n2": "n1"}


def changed(table: Measurements, **columns: np.ndarray) -> Measurements:
    """A table with other columns."""
    return Measurements(table.kind, {**table.columns, **columns}, table.source, table.sha256)


def named(table: Measurements, source: str) -> Measurements:
    """As read from a file of that name."""
    return Measurements(table.kind, table.columns, source, table.sha256)


def measured(seed: int) -> list[Measurements]:
    """The honest tables of a board."""
    rng = np.random.default_rng([seed, NODES])
    board = lab.Board.nominal(NODES).made(rng)
    return [
        named(lab.steps(board, rng, 1.0), "steps.csv"),
        named(lab.spectra(board, rng, 1.0), "spectra.csv"),
        named(lab.covariances(board, rng, 1.0), "covariances.csv"),
    ]


def mistakes(seed: int) -> Iterator[tuple[str, list[Measurements]]]:
    """Each mistake in words, and the tables with it."""
    steps, spectra, covariances = measured(seed)
    autos = spectra.take(spectra.columns["node"] == spectra.columns["node_b"])
    density = autos.columns["density_v2_per_hz"]
    names = np.array([EXCHANGED[str(name)] for name in steps.columns["node"]])
    late, large = changed(steps, time_s=1e3 * steps.columns["time_s"]), 1e3 * steps.columns["volts"]
    yield "times in ms, steps alone", [late]
    yield "times in ms", [late, spectra, covariances]
    yield "volts and errors in mV", [changed(steps, volts=large, std_v=1e3 * steps.columns["std_v"]), spectra]
    yield "volts in mV, errors in V", [changed(steps, volts=large), spectra]
    yield "densities in V/sqrt(Hz)", [steps, changed(autos, density_v2_per_hz=np.sqrt(density))]
    yield "densities in dB", [steps, changed(autos, density_v2_per_hz=10 * np.log10(density))]
    yield "frequencies in kHz", [steps, changed(spectra, frequency_hz=spectra.columns["frequency_hz"] / 1e3)]
    yield "nodes exchanged in the steps", [changed(steps, node=names), spectra, covariances]
    yield "std_v 8.6 times too small", [changed(steps, std_v=steps.columns["std_v"] / 8.6), spectra, covariances]
    yield "std_v 3 times too large", [changed(steps, std_v=3 * steps.columns["std_v"]), spectra, covariances]
    yield "averages 4 times too large", [steps, changed(spectra, averages=4 * spectra.columns["averages"]), covariances]


def advice(tables: list[Measurements]) -> tuple[str, tuple[str, ...]]:
    """(what the fit says, suspicions)."""
    board = lab.Board.nominal(NODES)
    circuit, parts = lab.netlist(board), list(board.by_name())
    try:
        found = calibrate_from_measurements(circuit, parts, tables, starts=0)
    except InputError as error:
        return f"error: {error}", ()
    doubted = suspicions(circuit, tables, found)
    return f"{found.verdict.value}, p = {found.fit.p_value:.2g}", tuple(one.text for one in doubted)


def main(argv: list[str] | None = None) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Print the tables; what was said by mistake."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--honest", type=int, default=40, help="boards without a mistake (default 40)")
    arguments = parser.parse_args(argv)
    found = {}
    print("| mistake | the fit alone | said |\n|---|---|---|")
    for name, tables in mistakes(0):
        found[name] = verdict, said = advice(tables)
        print(f"| {name} | {verdict} | {'; '.join(said)} |")
    if arguments.honest:
        wrong = [text for seed in range(arguments.honest) for text in advice(measured(1000 + seed))[1]]
        # Clopper and Pearson's upper end, for no false alarm.
        bound = f", so below {1 - math.pow(0.05, 1 / arguments.honest):.2g} with 95 % confidence" if not wrong else ""
        print(f"\n{len(wrong)} suspicions of {arguments.honest} honest boards{bound}")
        for text in wrong:
            print("  " + text)
    return found


if __name__ == "__main__":
    main()
