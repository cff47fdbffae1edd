"""Accuracy of calibrated surrogates of every fabric: against ngspice on held-out systems and dies, node voltages before the converters.

    python benchmarks/devicemodel/fabrics/held_out_fabrics.py                   (a quarter of an hour on two cores)

For each fabric a card is calibrated (`integrated`, dies 1 to 3, up to 12 unknowns, seed 0), and then compared with ngspice on systems that
were not fitted, some on the fitted dies, others on eight new ones; 8 and 16 unknowns, condition number 5 to 100 (of passive fabrics less):

    at rest   the error vector x - A^-1 b eight slowest time constants after a step of the drive from zero: the share of its variance left
              unexplained, 1 - R^2. An `spu` rests at zero: its voltages two tau after the step, against the nominal circuit's
    early     the same one tau (`spu`: half a tau) after the step, against where the nominal circuit is then
    noise     variance of every cell in long seeded transients, over the card's law, of six unknowns on three new dies, four runs of each,
              with the standard error of both, over the runs and of the card's noise power; white noise alone

and, as a negative control, at rest for a card whose mismatches are 20 % too large.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

from thermograd.circuits.ngspice.run_many import run_many
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.analysis.stationary import stationary_covariances
from thermograd.compiler.fabrics.registry import fabric_named, fabric_names
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.calibration.cases import Problem, system_for, written_out
from thermograd.devicemodel.calibration.noise_runs import noise_waveform
from thermograd.devicemodel.calibration.predicted import predicted
from thermograd.devicemodel.calibration.resampling import interval
from thermograd.devicemodel.calibration.simulated import calibrate
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.cell_law import propagate
from thermograd.devicemodel.devices.circuit_noise import SimulatedCircuit
from thermograd.devicemodel.devices.spice import transient
from thermograd.devicemodel.estimate import Estimate

TECHNOLOGY = preset("integrated")
FABRICS = fabric_names("can_calibrate")
SIZES, SYSTEMS = (8, 16), 8
FITTED, NEW = (1, 2, 3), tuple(range(501, 509))
NOISE_RUNS = 4
LEVEL = 0.25
"""Largest nominal voltage at rest, V."""


def unexplained(card: DeviceCard, wrong: DeviceCard, n: int, dies: tuple[int, ...], early: bool) -> dict[str, Any]:
    """Left squares of the card and of a wrong one over the varied ones, and SPICE's error, of systems of one size on dies in turn."""
    fabric, rng = fabric_named(card.fabric), np.random.default_rng([n, len(dies), 77])
    jobs, asked = [], []
    for k in range(SYSTEMS):
        given, die = system_for(fabric, n, float(rng.uniform(5, 100)), rng, k), dies[k % len(dies)]
        problem = Problem(fabric, TECHNOLOGY, given, rng.standard_normal(n))
        duration = problem.times[0 if early else 1]
        nominal = problem.case(duration, die).laid_out(card.fabric, TECHNOLOGY)
        ideal, zero = DeviceCard.uncalibrated(TECHNOLOGY, card.fabric), np.zeros(n)
        along = nominal.scaling * problem.b
        response = predicted(nominal, along, zero, problem.times[1], ideal)
        currents = LEVEL / float(np.abs(response).max()) * along
        exact = predicted(nominal, currents, zero, duration, ideal)
        if fabric.mean and not early:
            # At rest the solution itself: in volts, A^-1 b at this drive.
            level = LEVEL / float(np.abs(response).max()) / nominal.conductance_unit
            exact = level * np.linalg.solve(written_out(given), problem.b) / nominal.readout_scale
        program = nominal.on(Die(TECHNOLOGY, die))
        jobs.append((program.circuit(currents, zero), transient(program, duration, johnson_noise=False), None))
        asked.append((nominal, die, program, currents, exact, duration))
    seen = {k: found.voltages for k, found in run_many(jobs)}  # type: ignore[union-attr]
    rows = []
    for k, (nominal, die, program, currents, exact, duration) in enumerate(asked):
        size, zero = float(np.linalg.norm(exact)), np.zeros(n)
        spice = (program.cell_volts(seen[k])[:, -1] - exact) / size
        laws = [
            (predicted(one.on(nominal, Die(TECHNOLOGY, die)), currents, zero, duration, one) - exact) / size
            for one in (card, wrong)
        ]
        rows.append([*(_square(spice - law) for law in laws), _square(spice - spice.mean()), _square(spice)])
    left, off, varied, squares = np.array(rows).T
    within = interval(
        lambda w: (w @ left) / (w @ varied), range(SYSTEMS), [dies[k % len(dies)] for k in range(SYSTEMS)]
    )
    assert within is not None
    return {
        "left": left.sum() / varied.sum(),
        "within": within,
        "wrong": off.sum() / varied.sum(),
        "error": float(np.sqrt(squares.mean())),
    }


def _square(values: np.ndarray) -> float:
    return float(values @ values)


def noise(card: DeviceCard) -> Estimate:
    """Variance of the cells' noise in ngspice over the card's law."""
    white = {"opamp__noise_voltage_corner": 0.0, "opamp__noise_current_corner": 0.0}
    technology, fabric = TECHNOLOGY.replace(**white), fabric_named(card.fabric)
    powers = []
    for k in range(3 * NOISE_RUNS):
        die = 701 + k // NOISE_RUNS
        problem = Problem(fabric, technology, system_for(fabric, 6, 5.0, np.random.default_rng(die)), np.zeros(6))
        nominal = problem.case(0.0, die).laid_out(card.fabric, technology)
        volts = noise_waveform(SimulatedCircuit(nominal.on(Die(technology, die))), problem.slow, 1000 * die + k)
        law = variances(card.model_copy(update={"technology": technology}), nominal, die)
        powers.append(float(np.mean(np.mean(volts**2, axis=1) / law)))
    found, own = float(np.mean(powers)), card.noise_power
    spread = math.hypot(float(np.std(powers, ddof=1)) / math.sqrt(len(powers)), found * own.std / own.value)
    return Estimate(value=found, std=spread, degrees_of_freedom=len(powers) - 1.0)


def variances(card: DeviceCard, nominal: AnalogProgram, die: int) -> np.ndarray:
    """Of the cells' noise at rest by the card, (n,) V^2."""
    program, technology = card.on(nominal, Die(card.technology, die)), card.circuit_technology()
    if not program.fabric.has_linear_law:
        _, covariance = propagate(program, np.zeros(program.size), np.zeros(program.size), np.inf, card, noisy=True)
        assert covariance is not None
        return np.diag(covariance.numpy())
    kinds = stationary_covariances(program.fabric.linear_law(program.parts, technology), technology.opamp)
    return card.noise_power.value * np.diag(sum(kinds))


def row(fabric: str, technology: Technology) -> str:
    """Of the table."""
    card = calibrate(technology, fabric, sizes=(4, 8, 12))
    wrong = {name: 1.2 * getattr(card, name).value for name in ("mismatch", "capacitor_mismatch", "inductor_mismatch")}
    cells = []
    for n in SIZES:
        old, new, early = (
            unexplained(card, card.replace(**wrong), n, dies, early)
            for dies, early in ((FITTED, False), (NEW, False), (NEW, True))
        )
        shown = [f"{one['left']:.1e} ({one['within'][1]:.0e})" for one in (old, new, early)]
        cells.append(f"| {fabric} | {n} | {100 * new['error']:.2g} % | {' | '.join(shown)} | {new['wrong']:.1e} |")
    found = noise(card)
    return "\n".join(
        f"{line} {found.value:.3f} +- {found.std:.3f} |" if k == 0 else f"{line} |" for k, line in enumerate(cells)
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fabrics", nargs="*", default=FABRICS)
    print(
        "| fabric | n | error in ngspice, new dies (rms) | left unexplained at rest, fitted dies (95 %: at most) | new dies "
        "| early, new dies | with 20 % more mismatch | noise, ngspice / card |\n|---|---|---|---|---|---|---|---|"
    )
    for fabric in parser.parse_args().fabrics:
        print(row(fabric, TECHNOLOGY), flush=True)


if __name__ == "__main__":
    main()
