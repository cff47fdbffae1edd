"""Twenty dies of an array of transistors: is its error what their draws predict, what does refinement leave, and what explains it?

    python benchmarks/devicemodel/transistor_dies.py gf180mcu                (3 minutes of CPU; `--only error`, `refined`, `calibrated`)

Eight unknowns, condition 10, fabric `crossbar`; every amplifier is the sub-circuit of examples/amplifiers with the threshold and current
factor that the die draws for each of its transistors, every resistor has its own mismatch. Runs are operating points in ngspice.

    error        |x - A^-1 b| / |A^-1 b| of 20 dies against the law of 2000 other dies, by a Kolmogorov-Smirnov test; beside it die by die
                 the part of the error vector that the law of the same seed misses, and that of the next die's seed
    control      the same test with dies of twice the mismatch, in ngspice
    refined      the same dies read by the host, with converters, by two rounds of refinement
    calibrated   a card fitted to the operating points of dies 1 to 10: share of the error's variance on dies 11 to 20 that the surrogate of
                 the same seeds explains
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import ks_2samp

from thermograd import compile_matrix
from thermograd.circuits import Die, OperatingPoint, Technology, preset, run
from thermograd.circuits.amplifiers.process_amplifier import process_amplifier
from thermograd.compiler import AnalogProgram
from thermograd.devicemodel.calibration.fit_runs import in_range
from thermograd.devicemodel.calibration.fitting import Observation, fit_law, on_die
from thermograd.devicemodel.calibration.predicted import predicted
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.estimate import Estimate
from thermograd.devicemodel.held_out import HeldOut
from thermograd.devicemodel.host.probe import Probe
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.devicemodel.validity import Validity

SIZE, CONDITION, FABRIC = 8, 10.0, "crossbar"
DIES, OTHERS = 20, 2000
ROUNDS = 2
LEVEL = 0.01
"""Of the test."""


def system(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A symmetric matrix of condition 10 with entries of both signs, and a right-hand side."""
    generator = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(generator.standard_normal((SIZE, SIZE)))
    matrix = (vectors * np.geomspace(1 / CONDITION, 1.0, SIZE)) @ vectors.T
    return (matrix + matrix.T) / 2, generator.standard_normal(SIZE)


def doubled(technology: Technology) -> Technology:
    """Twice the mismatch of transistors and resistors."""
    transistors = tuple(
        one.model_copy(update={"threshold": 2 * one.threshold, "current_factor": 2 * one.current_factor})
        for one in technology.opamp.transistors
    )
    own = {"tolerance": 2 * technology.resistors.mismatch, "pelgrom_coefficient": None, "area": None}
    resistors = technology.resistors.model_dump() | own
    return technology.replace(resistors=resistors, opamp__transistors=transistors)


def by_law(program: AnalogProgram, b: np.ndarray, die: int) -> np.ndarray:
    """Where the law of a die's parts rests, problem units."""
    made = program.on(Die(program.technology, die))
    rest = made.fabric.at_rest(made.parts, program.technology)
    volts = np.linalg.solve(rest.matrix, rest.drive * made.currents(b) + rest.offset)
    return np.asarray(volts * made.readout_scale / made.volts_per_unit)


class Transistors:
    """Dies of one program in ngspice."""

    def __init__(self, name: str, technology: Technology, matrix: np.ndarray, b: np.ndarray) -> None:
        self.amplifier, self.b = process_amplifier(name), b
        self.program = compile_matrix(matrix, FABRIC, technology.replace(resistors__bits=None), b=b)
        nominal = run(self.program.netlist(b, amplifier=self.amplifier), OperatingPoint(), timeout=600.0)
        self._guess = tuple(nominal.voltages.items())

    def at_rest(self, die: int) -> np.ndarray:
        """x of a die, problem units."""
        made = self.program.on(Die(self.program.technology, die))
        netlist = made.netlist(self.b, amplifier=self.amplifier)
        return made.decode(run(netlist, OperatingPoint(made.nodes, self._guess), timeout=600.0).voltages)


def errors(name: str, technology: Technology, seed: int) -> dict[str, Any]:
    """The distribution of the error, with its control."""
    matrix, b = system(seed)
    exact = np.linalg.solve(matrix, b)
    size = float(np.linalg.norm(exact))
    arrays, wider = (Transistors(name, one, matrix, b) for one in (technology, doubled(technology)))
    dies = range(1, DIES + 1)
    found = np.array([arrays.at_rest(die) for die in dies]) - exact
    wide = np.array([wider.at_rest(die) for die in dies]) - exact
    law = np.array([by_law(arrays.program, b, die) for die in (*dies, DIES + 1)]) - exact
    others = np.array([by_law(arrays.program, b, 1000 + die) for die in range(OTHERS)]) - exact
    norm = lambda rows: np.linalg.norm(rows, axis=1) / size  # noqa: E731
    test, control = (ks_2samp(norm(rows), norm(others)).pvalue for rows in (found, wide))
    missed = norm(found - law[:-1]) / norm(found)
    print("die   error in ngspice   by the law of its draws   of the error vector it misses, %   by the next die's, %")
    for die, mine, own, part, next_ in zip(
        dies, norm(found), norm(law), missed, norm(found - law[1:]) / norm(found), strict=False
    ):
        print(f"{die:3d} {mine:16.5f} {own:20.5f} {100 * part:28.2f} {100 * next_:26.1f}")
    explained = 1 - ((found - law[:-1]) ** 2).sum() / (found**2).sum()
    medians = [float(np.median(norm(rows))) for rows in (found, others, wide)]
    print(
        f"KS test against {OTHERS} dies of the law: p = {test:.3f} (at least {LEVEL}); of twice the mismatch: p = {control:.2g} (below)"
    )
    print("median error {:.4f}, of the law's dies {:.4f}, of twice the mismatch {:.4f}".format(*medians))
    print(f"the law of the same seeds explains {100 * explained:.2f} % of the errors' squares")
    return {"p": float(test), "control": float(control), "missed": missed.tolist()}


def refined(name: str, technology: Technology, seed: int) -> dict[str, Any]:
    """What `ROUNDS` of refinement leave of the same dies' errors."""
    matrix, b = system(seed)
    exact, dense = np.linalg.solve(matrix, b), Dense(torch.from_numpy(matrix), floor=0.999 / CONDITION)
    found = []
    for die in range(1, DIES + 1):
        device = SpiceDevice(technology, die, FABRIC, amplifier=process_amplifier(name), timeout=600.0)
        x = Refined(device, rounds=ROUNDS).solve(dense, torch.from_numpy(b), math.inf).x.numpy()
        found.append(float(np.linalg.norm(x - exact) / np.linalg.norm(exact)))
        print(f"die {die}: refined error {found[-1]:.2e}", flush=True)
    print(f"largest refined error of {DIES} dies: {max(found):.2e} (below 1e-3)")
    return {"refined": found}


def calibrated(name: str, technology: Technology, seed: int) -> dict[str, Any]:
    """A card by the first half of the dies, and what it explains on the second half."""
    matrix, b = system(seed)
    arrays, half = Transistors(name, technology, matrix, b), DIES // 2
    program = arrays.program
    currents, exact, start = program.currents(b), np.linalg.solve(matrix, b), np.zeros(SIZE)
    driven = currents / program.parts.drive_nominal
    runs, found = [], []
    for number, die in enumerate(range(1, DIES + 1)):
        found.append(arrays.at_rest(die))
        volts = found[-1] / program.readout_scale * program.volts_per_unit
        probe = Probe(driven, driven, start, volts, volts, math.inf, 1.0)
        runs.append(Observation(program, Die(program.technology, die), probe, number))
    estimates, _ = fit_law(_blank(program.technology), runs[:half])
    card = _blank(program.technology)
    card = card.model_copy(update={key: in_range(key, value) for key, value in estimates.items()})
    law = []
    for one in runs[half:]:
        made, drive = on_die(one, card)
        law.append(predicted(made, drive, start, math.inf, card) * made.readout_scale / made.volts_per_unit)
    seen, told = np.array(found[half:]) - exact, np.array(law) - exact
    varied = ((seen - seen.mean(axis=0)) ** 2).sum()
    share, exchanged = (1 - ((seen - rows) ** 2).sum() / varied for rows in (told, np.roll(told, 1, axis=0)))
    made_by = 1e3 * technology.opamp.offset_mismatch
    print(
        f"fitted offset {1e3 * card.offset.value:.3f} mV (the transistors make {made_by:.3f}), mismatch {100 * card.mismatch.value:.3f} %"
    )
    print(
        f"the card of dies 1 to {half} explains {100 * share:.2f} % of the error's variance on dies {half + 1} to {DIES} (at least 95 %); "
        f"with the dies exchanged {100 * exchanged:.0f} %"
    )
    return {"explained": float(share), "exchanged": float(exchanged), "offset": card.offset.value}


def _blank(technology: Technology) -> DeviceCard:
    """Perfect parts, the starting point of a fit."""
    zero = Estimate(value=0.0, std=0.0)
    names = ("leak", "lag", "mismatch", "capacitor_mismatch", "offset", "noise_power")
    return DeviceCard(
        technology=technology,
        fabric=FABRIC,
        gain=Estimate(value=1.0, std=0.0),
        pole=Estimate(value=1 / (2 * math.pi * technology.opamp.second_pole), std=0.0),
        held_out=HeldOut(
            systems=0, explained_variance=0.0, explained_variance_new_dies=0.0, spice_error=0.0, residual=0.0
        ),
        validity=Validity(unknowns=(SIZE, SIZE), condition_number=(1.0, 2 * CONDITION)),
        provenance={},
        **dict.fromkeys(names, zero),
    )


STUDIES = {"error": errors, "refined": refined, "calibrated": calibrated}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run it all and print; the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("process", choices=("gf180mcu", "sky130"), help="preset and amplifier")
    parser.add_argument("--only", choices=tuple(STUDIES), help="one part")
    parser.add_argument("--technology", type=Path, help="file of it in place of the preset")
    parser.add_argument("--seed", type=int, default=0, help="of the system")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    technology = Technology.read(options.technology) if options.technology else preset(options.process)
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for key, study in STUDIES.items():
        if options.only in (None, key):
            found |= study(options.process, technology, options.seed)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2))
    return found


if __name__ == "__main__":
    main()
