"""Whether saturation is seen: random arrays of amplifiers that saturate behind their output resistance, and what devices say of them.

    python benchmarks/devicemodel/saturation.py [--systems 200]

`breadboard` and `integrated` with output resistances, largest currents and DAC ranges drawn anew for each system, 2 to 6 unknowns,
condition 3 to 100, settled and on their way. Three devices: ngspice with the macromodel, whose gain nodes are watched; ngspice with the
same amplifier as a netlist of a user's own, in which nothing can be watched; and the surrogate. What a device reads in the end is judged
by ngspice: the same die at the same drive, once more with the macromodel and once with one without limits of range and current. A reading
called ok may be apart from the latter by no more than what its detection states (`stated`). The control is the same devices without
detection.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.netlist.analyses import OperatingPoint, Transient
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.parts import OpAmp
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.fabrics.requirements import array_for
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.circuit import CircuitDevice, ProgramBoard
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.board import Voltages
from thermograd.devicemodel.host.converters import step_of
from thermograd.devicemodel.host.linearity import RESOLUTION, TOLERANCE
from thermograd.devicemodel.systems import Dense

SILENT = {"opamp__noise_voltage": 0.0, "opamp__noise_current": 0.0, "thermal__johnson_noise": False}
KINDS = ("macromodel", "netlist", "surrogate")
WATCHED = 0.01
"""Share of a reading by which one called ok may be apart from that of amplifiers without limits, where comparators watch: their gain has
fallen to half at the limit. The surrogate has them by its law."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One system on one die: A (n, n), b (n,), duration in tau."""

    technology: Technology
    die: int
    matrix: np.ndarray
    b: np.ndarray
    duration: float


def case_of(number: int) -> Case:
    """The case of a number, the same in every run."""
    rng = np.random.default_rng([number, 1405])
    name, ohm, ampere = (
        ("breadboard", 10 ** rng.uniform(1.0, 2.7), 10 ** rng.uniform(-2.3, -1.0)),
        ("integrated", 10 ** rng.uniform(1.0, 3.5), 10 ** rng.uniform(-4.3, -2.3)),
    )[number % 2]
    base = preset(name)
    technology = base.replace(
        opamp__output_resistance=ohm,
        opamp__output_current=ampere,
        dac__full_scale=base.dac.full_scale * 10 ** rng.uniform(-1.0, 0.3),
        **SILENT,
    )
    n = int(rng.integers(2, 7))
    matrix = random_system(n, float(10 ** rng.uniform(0.5, 2.0)), False, rng)
    slow = 1 / float(np.linalg.eigvalsh(matrix)[0])
    duration = (math.inf, 8 * slow, slow)[int(rng.integers(3))]
    return Case(technology, number + 1, matrix, rng.standard_normal(n), duration)


def as_netlist(opamp: OpAmp) -> Amplifier:
    """The macromodel's parts as a user's own amplifier."""
    netlist, inputs = Netlist("amplifier of one's own"), ("inp", "inn")
    outputs = ("outp", "outm")[: opamp.outputs]
    Macromodel(opamp).add(netlist, inputs, outputs, "1")
    return Amplifier(netlist, inputs, outputs, {})


class Unwatched(SpiceDevice):
    """The device as it was: the host sees the cells alone."""

    def _relax(self, *given: Any) -> Voltages:
        return dataclasses.replace(super()._relax(*given), overload=None)

    def _board_of(self, program: AnalogProgram, read_scale: np.ndarray) -> ProgramBoard:
        board = super()._board_of(program, read_scale)
        board.shows_overload = True
        return board


class UnwatchedSurrogate(SurrogateDevice):
    """As `Unwatched`."""

    def _relax(self, *given: Any) -> Voltages:
        return dataclasses.replace(super()._relax(*given), overload=None)


def device_of(kind: str, case: Case, watched: bool) -> CircuitDevice:
    """A device of a kind (`KINDS`) for a case."""
    technology, fabric = case.technology, array_for(case.technology)
    if kind == "surrogate":
        surrogate = SurrogateDevice if watched else UnwatchedSurrogate
        return surrogate(DeviceCard.uncalibrated(technology), case.die)
    amplifier = as_netlist(technology.opamp) if kind == "netlist" else Macromodel(technology.opamp)
    spice = SpiceDevice if watched else Unwatched
    return spice(technology, case.die, fabric, johnson_noise=False, amplifier=amplifier)


def stated(kind: str, device: CircuitDevice) -> float:
    """The same share for any kind: what the test of linearity allows, `TOLERANCE` and what the ADC does not tell apart in three runs."""
    if kind != "netlist":
        return WATCHED
    probe, adc = device.probe, device.technology.adc
    assert probe is not None
    unread = math.sqrt(6 * len(probe.settled) * ((step_of(adc) / probe.adc_gain) ** 2 / 12 + adc.noise**2))
    return TOLERANCE + RESOLUTION * unread / float(np.linalg.norm(probe.settled))


def departure(device: CircuitDevice, case: Case) -> float:
    """How far limits of range and current move what ngspice finds at the device's last drive, over what it finds without them."""
    probe, program, opamp = device.probe, device.program, case.technology.opamp
    assert probe is not None
    assert program is not None
    currents = probe.driven * (program.parts.drive_nominal or 1.0)
    # A gain node of 1000 times the range; a slew rate, which is no end of a range, stays.
    free = opamp.model_copy(update={"output_limit": 100.0, "output_current": math.inf})
    volts = []
    for one in (opamp, free):
        netlist = program.circuit(currents, probe.start, Macromodel(one))
        if math.isinf(case.duration):
            found = program.cell_volts(run(netlist, OperatingPoint(nodes=program.nodes)).voltages)
        else:
            analysis = Transient(case.duration * program.tau, nodes=program.nodes, tolerance=1e-6)
            found = program.cell_volts(run(netlist, analysis).voltages)[:, -1]
        volts.append(found)
    limited, unlimited = volts
    return float(np.linalg.norm(limited - unlimited) / np.linalg.norm(unlimited))


@dataclasses.dataclass
class Tally:
    """What came of the systems of one kind of device."""

    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    wrong: int = 0
    runs: list[int] = dataclasses.field(default_factory=list)
    departures: list[float] = dataclasses.field(default_factory=list)
    """Of readings called ok."""


def judged(kind: str, watched: bool, numbers: Sequence[int]) -> Tally:
    """The cases of some numbers on a kind of device."""
    tally = Tally()
    for number in numbers:
        case = case_of(number)
        device = device_of(kind, case, watched)
        solution = device.solve(Dense(torch.from_numpy(case.matrix)), torch.from_numpy(case.b), case.duration)
        tally.outcomes[solution.outcome.value] += 1
        tally.runs.append(solution.attempts)
        if solution.outcome is Outcome.OK:
            tally.departures.append(departure(device, case))
            tally.wrong += tally.departures[-1] > stated(kind, device)
    return tally


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--systems", type=int, default=200)
    numbers = range(parser.parse_args().systems)
    print(
        "| device | detection | ok | clipped | clipped by offsets | ok but saturated | largest departure of ok | runs a reading |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for kind in KINDS:
        for watched in (False, True):
            tally = judged(kind, watched, numbers)
            counts = [tally.outcomes[name.value] for name in (Outcome.OK, Outcome.CLIPPED, Outcome.OFFSET_CLIPPED)]
            worst, said = max(tally.departures, default=0.0), "on" if watched else "off"
            cells = [
                kind,
                said,
                *map(str, counts),
                str(tally.wrong),
                f"{100 * worst:.2g} %",
                f"{np.mean(tally.runs):.1f}",
            ]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
