"""Runs on a test bench of circuits that rest with nothing to read, an `spu`: step currents into its ports, node voltages soon after.

The currents go along D b, and make the nominal circuit's largest voltage half of the ADC's range. What is compared are the node voltages of
such a step response, of the die against the nominal circuit; no device and no converter stands between.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ...circuits.ngspice.run import run
from ...circuits.technology.die import Die
from ...circuits.technology.technology import Technology
from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..devices.circuit_noise import SimulatedCircuit
from ..devices.spice import transient
from ..host.converters import Adc
from ..host.probe import Probe
from .cases import Case
from .predicted import predicted, reached

LEVEL = 0.5
"""Largest nominal voltage over the ADC's full scale."""


@dataclass(frozen=True, eq=False)
class PortRun:
    """A simulated run, with what a fit asks of a device that made one.

    Attributes:
        nominal: program, on no die. program: on the die. probe: `driven` are currents, in units of `Fabric.drive_unit`.
        reference: nominal voltages, (n,) V. simulator: the version that ngspice gave.
    """

    die: Die
    nominal: AnalogProgram
    program: AnalogProgram
    probe: Probe
    reference: np.ndarray
    simulator: str

    @property
    def technology(self) -> Technology:
        """Of the die."""
        return self.nominal.technology

    @property
    def fabric(self) -> str:
        """Name of its fabric."""
        return self.nominal.fabric_name


def port_run(case: Case, fabric: str, technology: Technology) -> PortRun:
    """A noiseless run of a case."""
    nominal, die = case.laid_out(fabric, technology), Die(technology, case.die)
    zero, along = np.zeros(case.matrix.shape[0]), nominal.scaling * case.b
    response = reached(nominal, along, zero, case.duration, technology)
    size = LEVEL * technology.adc.full_scale / float(np.abs(response).max())
    program, currents = nominal.on(die), size * along
    circuit = SimulatedCircuit(program)
    analysis = dataclasses.replace(transient(program, case.duration, johnson_noise=False), nodes=circuit.nodes)
    found = run(circuit.netlist(currents, zero), analysis)
    settled, driven = circuit.read(found.voltages)[:, -1], currents / nominal.fabric.drive_unit(technology)
    reading = Adc(technology.adc, die).convert(settled, np.random.default_rng([case.die, 4545]))
    probe = Probe(driven, driven, zero, settled, reading.volts, case.duration, reading.gain, used=LEVEL)
    return PortRun(die, nominal, program, probe, size * response, found.ngspice_version)


def port_errors(found: PortRun, card: DeviceCard) -> tuple[np.ndarray, np.ndarray]:
    """Deviations from the nominal voltages, over their length, of SPICE and of the card's law on that die, (n,) each."""
    currents = found.probe.driven * found.nominal.fabric.drive_unit(found.technology)
    law = predicted(card.on(found.nominal, found.die), currents, found.probe.start, found.probe.duration, card)
    scale = float(np.linalg.norm(found.reference))
    return (found.probe.settled - found.reference) / scale, (law - found.reference) / scale
