"""A laboratory that never was: the tables beside this file, drawn by a seed from a board whose parts are off by some percent.

    python examples/laboratory/measure.py --out examples/laboratory --seed 1

The formulas are written out for this circuit and share nothing with thermograd's: of the two nodes with conductances G and capacitances
C, the noise is 4 k T Re (G + 2 pi i f C)^-1, and the step's answer an exponential. `spectra.csv`: both nodes' densities and their
cross-spectrum, 400 periodograms averaged. `step.csv`: 1 V at the source from t = 0 on, read with errors of 2 mV. `step_later.csv`: the same
again, to hold out.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np

from thermograd.devicemodel import Measurements

TRUE = {"R1": 4.71e3, "R2": 4.66e3, "R3": 7.05e3, "C1": 23.1e-9, "C2": 21.2e-9}
KELVIN, BOLTZMANN = 300.15, 1.380649e-23
AVERAGES, READING = 400, 2e-3


def matrices() -> tuple[np.ndarray, np.ndarray]:
    """G in S and C in F."""
    between = 1 / TRUE["R3"]
    conductance = np.array([[1 / TRUE["R1"] + between, -between], [-between, 1 / TRUE["R2"] + between]])
    return conductance, np.diag([TRUE["C1"], TRUE["C2"]])


def spectra(rng: np.random.Generator) -> Measurements:
    """Averaged periodograms of complex normal amplitudes."""
    frequencies = np.geomspace(200, 2e4, 16)
    conductance, storage = matrices()
    law = 4 * BOLTZMANN * KELVIN * np.linalg.inv(conductance + 2j * math.pi * frequencies[:, None, None] * storage).real
    shape = (len(frequencies), 2, AVERAGES)
    white = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / math.sqrt(2)
    amplitudes = np.linalg.cholesky(law) @ white
    found = amplitudes @ amplitudes.conj().swapaxes(1, 2) / AVERAGES
    entries = (("n1", "n1", 0, 0), ("n2", "n2", 1, 1), ("n1", "n2", 0, 1))
    return Measurements.of(
        "spectrum",
        frequency_hz=np.tile(frequencies, 3),
        node=np.repeat([a for a, *_ in entries], len(frequencies)),
        node_b=np.repeat([b for _, b, *_ in entries], len(frequencies)),
        density_v2_per_hz=np.concatenate([found[:, i, j].real for *_, i, j in entries]),
        density_imag_v2_per_hz=np.concatenate(
            [found[:, i, j].imag if i != j else 0 * frequencies for *_, i, j in entries]
        ),
        averages=AVERAGES,
    )


def step(rng: np.random.Generator) -> Measurements:
    """v(t) = (1 - exp(-C^-1 G t)) G^-1 i of a current i = 1 V / R1 into n1."""
    times = np.linspace(20e-6, 600e-6, 24)
    conductance, storage = matrices()
    rates, vectors = np.linalg.eig(np.linalg.solve(storage, conductance))
    settled = np.linalg.solve(conductance, [1.0 / TRUE["R1"], 0.0])
    weights = np.linalg.solve(vectors, settled)
    volts = settled - (np.exp(-np.outer(times, rates)) * weights) @ vectors.T
    return Measurements.of(
        "trace",
        time_s=np.tile(times, 2),
        node=np.repeat(["n1", "n2"], len(times)),
        volts=volts.T.ravel() + READING * rng.standard_normal(2 * len(times)),
        std_v=READING,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/laboratory"), metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, table in (("spectra", spectra(rng)), ("step", step(rng)), ("step_later", step(rng))):
        table.write(arguments.out / f"{name}.csv")


if __name__ == "__main__":
    main()
