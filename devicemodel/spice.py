"""`SpiceDevice`: the device as ngspice sees it. Every solve builds this die's netlist and simulates it with thermal noise."""

from __future__ import annotations

import math

import numpy as np

from ..circuits.errors import InputError
from ..circuits.ngspice import OperatingPoint, Transient, run
from ..circuits.technology import Technology
from ..compiler.program import AnalogProgram
from .circuit_device import CircuitDevice

MIN_NOISE_POINTS, MAX_NOISE_POINTS = 400, 40_000
TOLERANCE = 1e-6
"""Relative tolerance of a noiseless transient; its end is then right to 1e-6 of the largest voltage."""


class SpiceDevice(CircuitDevice):
    """A board in ngspice.

    Args:
        technology: its parts.
        die: seed of the die; None has nominal parts.
        fabric: "auto", "rc", "dual_rail" or "crossbar".
        noise: Johnson noise in the transient, on one time step of half the fastest time constant; default as the technology
            says. A settled run (duration = inf) is an operating point and has none.
        timeout: seconds that one simulation may take.
        seed: of the noise; runs of one device draw anew.

    Raises:
        SimulationError: ngspice failed, was killed or ran out of time; the device stays usable.
    """

    def __init__(
        self,
        technology: Technology | str,
        die: int | None = None,
        fabric: str = "auto",
        noise: bool | None = None,
        timeout: float = 300.0,
        seed: int = 0,
    ) -> None:
        technology = technology if isinstance(technology, Technology) else Technology.preset(technology)
        super().__init__(technology, die, fabric, seed)
        self.noise = technology.thermal.johnson_noise if noise is None else noise
        self.timeout = timeout

    def _relax(
        self, program: AnalogProgram, currents: np.ndarray, state: np.ndarray, duration: float, rng: np.random.Generator
    ) -> np.ndarray:
        if duration == 0:
            return state
        netlist = program.circuit(currents, state)
        if math.isinf(duration):
            voltages = run(netlist, OperatingPoint(nodes=program.nodes), timeout=self.timeout).voltages
            return program.cell_volts(voltages)
        analysis = transient(program, duration, self.noise)
        seed = int(rng.integers(2**31)) if self.noise else None
        result = run(netlist, analysis, seed=seed, timeout=self.timeout)
        return program.cell_volts({node: values[-1] for node, values in result.voltages.items()})


def transient(program: AnalogProgram, duration: float, noise: bool) -> Transient:
    """The analysis that follows a program for `duration` tau; with noise, on a uniform grid that resolves the fastest mode."""
    stop = duration * program.tau
    if not noise:
        return Transient(stop, nodes=program.nodes, tolerance=TOLERANCE)
    law = program.behaviour
    fastest = 1.0 / float(np.abs(np.linalg.eigvals(law.stiffness / law.capacitance[:, None])).max())
    points = max(MIN_NOISE_POINTS, math.ceil(stop / (0.5 * fastest)))
    if points > MAX_NOISE_POINTS:
        raise InputError(
            f"{duration:g} tau take {points} noise steps (at most {MAX_NOISE_POINTS}); use a shorter duration, or noise=False"
        )
    return Transient(stop, step=stop / points, nodes=program.nodes, noise=True)
