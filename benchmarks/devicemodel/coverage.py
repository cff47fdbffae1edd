"""How often the intervals of a calibration hold the true values: 68.3 % and 95 % of the times, if its standard errors are honest.

    python benchmarks/devicemodel/coverage.py                        (forty seeds of each; about 15 minutes of one core)
    python benchmarks/devicemodel/coverage.py --only measured        (some seconds)
    python benchmarks/devicemodel/coverage.py --textbook             (negative control)

    calibrate       random systems of 4 to 10 unknowns in ngspice, two of each size fitted, on three dies; each seed has its own systems,
                    dies and noise. The truth is the technology's figures.
    measured        two RC nodes with a resistor between them: spectra and cross-spectrum of their noise, averages of 40 periodograms at
                    14 frequencies, and the response to a step, 60 readings of 1 mV error, drawn from closed forms. R3, C1 and C2 are free.

Each row counts the seeds whose interval holds the truth; beside it is the range of such counts that 99 % of honest errors have
(binomial). `--textbook` takes the errors that `calibrate` had before: s^2 (J^T J)^-1 of the law alone, without a voltmeter's error, as if
all residuals were independent.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from scipy.stats import binom

from thermograd.circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.calibration import fit_runs, fitting
from thermograd.devicemodel.calibration.measured.calibrate import calibrate_from_measurements
from thermograd.devicemodel.calibration.measured.measurements import Measurements
from thermograd.devicemodel.calibration.simulated import calibrate

LEVELS = (0.683, 0.95)
SIZES = (4, 6, 8, 10)

BOLTZMANN, KELVIN = 1.380649e-23, 300.0
CIRCUIT = {"R1": 4.7e3, "R2": 4.7e3, "R3": 6.8e3, "C1": 22e-9, "C2": 30e-9}
SOUGHT = ("R3", "C1", "C2")
FREQUENCIES = np.geomspace(200.0, 2e4, 14)
AVERAGES, READING = 40, 1e-3


class Count(NamedTuple):
    """Of one value over the seeds.

    Attributes:
        truth: the true value. within: seeds whose interval holds it, by level. error: median stated standard error.
        pull: rms of (estimate - truth) / stated standard error. seeds: their number.
    """

    truth: float
    within: tuple[int, ...]
    error: float
    pull: float
    seeds: int


def limits(level: float, seeds: int) -> tuple[int, int]:
    """The counts that honest intervals of a level have 99 times in 100."""
    low, high = binom(seeds, level).interval(0.99)
    return int(low), int(high)


def true_figures(technology: Technology) -> dict[str, float]:
    """What a perfect calibration of linear amplifiers of one pole would find."""
    opamp = technology.opamp
    return {
        "gain": 1.0,
        "leak": 1 / opamp.gain,
        "lag": 1 / (2 * math.pi * opamp.gbw),
        "mismatch": technology.resistors.mismatch,
        "capacitor_mismatch": technology.capacitors.mismatch,
        "offset": opamp.offset_mismatch,
        "noise_power": 1.0,
    }


def simulated(name: str, seeds: Sequence[int], workers: int | None = None) -> dict[str, Count]:
    """Coverage of `calibrate`."""
    truth = true_figures(preset(name))
    found: dict[str, list[tuple[list[bool], float, float]]] = {key: [] for key in truth}
    for seed in seeds:
        dies = [1000 * (seed + 1) + k for k in range(3)]
        card = calibrate(name, seed=seed, sizes=SIZES, dies=dies, new_dies=[dies[-1] + 1], workers=workers)
        for key, true in truth.items():
            estimate = getattr(card, key)
            spans = [estimate.interval(level) for level in LEVELS]
            found[key].append(([low <= true <= high for low, high in spans], estimate.std, estimate.value - true))
    return counts(truth, found)


def measured(seeds: Sequence[int]) -> dict[str, Count]:
    """Coverage of `calibrate_from_measurements`."""
    truth = {name: CIRCUIT[name] for name in SOUGHT}
    found: dict[str, list[tuple[list[bool], float, float]]] = {key: [] for key in truth}
    start = {"R3": 9e3, "C1": 15e-9, "C2": 25e-9}
    for seed in seeds:
        rng = np.random.default_rng([seed, 99])
        card = calibrate_from_measurements(netlist, start, [spectra(rng), step(rng)], starts=0)
        for key, true in truth.items():
            value = card[key]
            assert value.std is not None
            spans = [value.interval(level) for level in LEVELS]
            found[key].append(
                ([span is not None and span[0] <= true <= span[1] for span in spans], value.std, value.value - true)
            )
    return counts(truth, found)


def counts(truth: dict[str, float], found: dict[str, list[tuple[list[bool], float, float]]]) -> dict[str, Count]:
    """Over the seeds; a row is whether the intervals hold the truth, the stated error and the actual one."""
    table = {}
    for key, rows in found.items():
        within, error, off = (np.array(column) for column in zip(*rows, strict=True))
        pull = float(np.sqrt(np.mean((off / error) ** 2)))
        table[key] = Count(truth[key], tuple(within.sum(axis=0).tolist()), float(np.median(error)), pull, len(rows))
    return table


@contextmanager
def textbook_errors() -> Iterator[None]:
    """Calibration as it was: s^2 (J^T J)^-1 of the first-order law, and readings without error."""

    def textbook(
        design: np.ndarray, residuals: np.ndarray, clusters: object, ridge: float, floor: float
    ) -> tuple[np.ndarray, np.ndarray]:
        size = design.shape[1]
        spread = residuals @ residuals / max(1, len(residuals) - size)
        errors = np.sqrt(np.diag(np.linalg.pinv(design.T @ design)) * spread)
        return errors, np.full(size, math.inf)

    with (
        patch.object(fitting, "clustered_errors", textbook),
        patch.object(fit_runs, "REFITS", 0),
        patch.object(fit_runs, "READING", 0.0),
    ):
        yield


def netlist(values: Mapping[str, float]) -> Netlist:
    """The two nodes, with the given values in place of the true ones, and a source that steps from 0 to 1 V at R1."""
    part = CIRCUIT | dict(values)
    circuit = Netlist("two nodes", temperature=KELVIN)
    circuit.add(
        VoltageSource("V1", "s", "0", 1.0),
        Resistor("R1", "a", "s", part["R1"]),
        Resistor("R2", "b", "0", part["R2"]),
        Resistor("R3", "a", "b", part["R3"]),
        Capacitor("C1", "a", "0", part["C1"]),
        Capacitor("C2", "b", "0", part["C2"]),
    )
    return circuit


def matrices() -> tuple[np.ndarray, np.ndarray]:
    """Conductance and capacitance matrix of the true circuit."""
    g1, g2, g3 = (1 / CIRCUIT[name] for name in ("R1", "R2", "R3"))
    return np.array([[g1 + g3, -g3], [-g3, g2 + g3]]), np.diag([CIRCUIT["C1"], CIRCUIT["C2"]])


def spectra(rng: np.random.Generator) -> Measurements:
    """Averaged periodograms: sums over complex normal amplitudes of density 4 k T Re Z."""
    conductance, capacitance = matrices()
    impedance = np.linalg.inv(conductance + 2j * np.pi * FREQUENCIES[:, None, None] * capacitance)
    shape = (len(FREQUENCIES), 2, AVERAGES)
    white = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / math.sqrt(2)
    amplitudes = np.linalg.cholesky(4 * BOLTZMANN * KELVIN * impedance.real) @ white
    seen = amplitudes @ amplitudes.conj().transpose(0, 2, 1) / AVERAGES
    places = ((0, 0), (1, 1), (0, 1))
    return Measurements.of(
        "spectrum",
        frequency_hz=np.tile(FREQUENCIES, 3),
        node=np.repeat(["a", "b", "a"], len(FREQUENCIES)),
        node_b=np.repeat(["a", "b", "b"], len(FREQUENCIES)),
        density_v2_per_hz=np.concatenate([seen[:, i, j].real for i, j in places]),
        density_imag_v2_per_hz=np.concatenate([seen[:, i, j].imag for i, j in places]),
        averages=AVERAGES,
    )


def step(rng: np.random.Generator) -> Measurements:
    """Readings of node b after the step, by the eigenvectors of C^-1 G."""
    conductance, capacitance = matrices()
    rates, vectors = np.linalg.eig(np.linalg.solve(capacitance, conductance))
    rest = np.linalg.solve(conductance, [1 / CIRCUIT["R1"], 0.0])
    times = np.linspace(1e-5, 6e-4, 60)
    amplitudes = np.linalg.solve(vectors, rest)
    volts = rest[1] - np.exp(-np.outer(times, rates)) @ (vectors[1] * amplitudes)
    return Measurements.of(
        "trace",
        time_s=times,
        node=np.full(len(times), "b"),
        volts=volts + READING * rng.standard_normal(len(times)),
        std_v=READING,
    )


def show(title: str, table: dict[str, Count]) -> None:
    """Print a table."""
    seeds = next(iter(table.values())).seeds
    spans = ["{} to {}".format(*limits(level, seeds)) for level in LEVELS]
    print(f"{title}, {seeds} seeds\n")
    print(
        f"| value | true | stated error (median) | in the 68.3 % interval ({spans[0]}) | in the 95 % one ({spans[1]}) | rms pull |"
    )
    print("|---|---|---|---|---|---|")
    for name, row in table.items():
        print(f"| {name} | {row.truth:.4g} | {row.error:.2g} | {row.within[0]} | {row.within[1]} | {row.pull:.1f} |")
    print(flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--only", choices=("calibrate", "measured"))
    parser.add_argument("--technology", action="append", help="default: integrated and breadboard")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--textbook", action="store_true")
    options = parser.parse_args()
    seeds = range(options.seeds)
    if options.only != "calibrate" and not options.textbook:
        show("calibrate_from_measurements", measured(seeds))
    if options.only == "measured":
        return
    for name in options.technology or ("integrated", "breadboard"):
        with textbook_errors() if options.textbook else nullcontext():
            show(f"calibrate({name!r})", simulated(name, seeds, options.workers))


if __name__ == "__main__":
    main()
