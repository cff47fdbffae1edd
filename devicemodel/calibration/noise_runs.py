"""Noise runs of a calibration: small systems at rest, in seeded transients, whose power is compared with the law's.

Of transistors, which make no noise in a transient, `.noise` is compared with that of the same array with amplifiers of the law.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...circuits.amplifiers.models import AmplifierCell, Macromodel
from ...circuits.netlist.analyses import Noise, OperatingPoint
from ...circuits.netlist.netlist import Netlist
from ...circuits.ngspice.run import run
from ...circuits.technology.die import Die
from ...compiler.analysis.stationary import stationary_covariances
from ...compiler.fabrics.registry import fabric_named
from ..card import DeviceCard
from ..devices.circuit_noise import SimulatedCircuit, sampler_bandwidth
from ..devices.spice import transient
from ..estimate import Estimate
from .cases import Problem, system_for
from .fitting import fit_noise

RunAll = Callable[[Callable[[Any], Any], Sequence[Any], str], list[Any]]
"""Called with (work, jobs, stage): the results, in order."""
NOISE_RUNS, NOISE_TIMES, START_TIMES = 4, 150.0, 10.0
"""Noise runs of each die, their lengths, and the way from zero to equilibrium before each, in slowest time constants."""
BAND = 1e-3, 1e2
"""Of `.noise`: from this share of the slowest corner frequency, to so many gain-bandwidth products."""


def noise_power(
    card: DeviceCard, seed: int, dies: Sequence[int], amplifier: AmplifierCell | None, run_all: RunAll
) -> Estimate:
    """Power of the noise of resistors and amplifiers over the law's, from transients of each die, or from `.noise` (see the module)."""
    technology, rng = card.technology, np.random.default_rng([seed, 4343])
    fabric = fabric_named(card.fabric)
    jobs: list[tuple[SimulatedCircuit, float, int]] = []
    for die in [die for die in dies for _ in range(NOISE_RUNS)]:
        problem = Problem(fabric, technology, system_for(fabric, 6, 5.0, rng, len(jobs)), np.zeros(6))
        program = problem.case(0.0, die).laid_out(card.fabric, technology).on(Die(technology, die))
        circuit = SimulatedCircuit(program, amplifier, bandwidth=sampler_bandwidth(technology, amplifier, True))
        jobs.append((circuit, problem.slow, int(rng.integers(2**31))))

    if not (amplifier is None or isinstance(amplifier, Macromodel)):
        ratios = run_all(lambda job: noise_ratio(job[0], job[1]), jobs, "noise runs")
        spread = float(np.std(ratios, ddof=1)) / math.sqrt(len(ratios))
        return Estimate(value=float(np.mean(ratios)), std=spread, degrees_of_freedom=float(len(ratios) - 1))

    def record(job: tuple[SimulatedCircuit, float, int]) -> tuple[np.ndarray, np.ndarray]:
        return noise_waveform(*job), _covariance(job[0])

    return fit_noise(run_all(record, jobs, "noise runs"))


def noise_ratio(circuit: SimulatedCircuit, slow: float) -> float:
    """Power of the noise of the first cell's reading over that with amplifiers of the law, by `.noise` over `BAND`.

    Args:
        slow: slowest time constant, tau.
    """
    program = circuit.program
    corner = 1 / (2 * math.pi * slow * program.tau)
    gbw = program.technology.opamp.gbw
    source = next(iter(program.fabric.drives(program.parts)[0]))
    plus, minus = program.readouts[0] if circuit.direct else (circuit.nodes[0], "0")
    output = plus if minus == "0" else (plus, minus)
    analysis = Noise(output, source, BAND[0] * corner, BAND[1] * gbw, 20)
    law = dataclasses.replace(circuit, amplifier=None)
    powers = [run(one.noisy, analysis).total ** 2 for one in (circuit, law)]
    return powers[0] / powers[1]


def noise_waveform(circuit: SimulatedCircuit, slow: float, seed: int) -> np.ndarray:
    """What noise makes of the readings of a circuit that has come to rest without drive, (n, T) V.

    Args:
        slow: slowest time constant, tau. seed: of the noise.
    """
    zero = np.zeros(circuit.program.size)
    netlist, duration = circuit.netlist(zero, zero, noisy=True), (START_TIMES + NOISE_TIMES) * slow
    analysis = dataclasses.replace(transient(circuit.program, duration, johnson_noise=True), nodes=circuit.nodes)
    found = run(netlist, analysis, seed=seed, currents=circuit.noise(float(analysis.step or 0.0)))
    # Not about its own mean, which slow noise moves.
    volts = circuit.read(found.voltages) - _resting(circuit, netlist)[:, None]
    return volts[:, int(volts.shape[1] * START_TIMES / (START_TIMES + NOISE_TIMES)) :]


def _resting(circuit: SimulatedCircuit, netlist: Netlist) -> np.ndarray:
    """What is read of a circuit at rest without drive, (n,) V; without amplifiers, whose offsets move it, nothing."""
    if circuit.program.fabric.has_linear_law and not circuit.program.fabric.active:
        return np.zeros(circuit.program.size)
    return circuit.read(run(netlist, OperatingPoint(circuit.nodes)).voltages)


def _covariance(circuit: SimulatedCircuit) -> np.ndarray:
    """The law's covariance of what is read at rest, (n, n) V^2, with amplifiers of one pole."""
    program, technology = circuit.program, circuit.program.technology
    if not program.fabric.has_linear_law:
        law = dataclasses.replace(circuit, amplifier=None, bandwidth=technology.adc.bandwidth)
        return law.covariance()
    opamp = technology.opamp.model_copy(update={"second_pole": math.inf})
    linear = program.fabric.linear_law(program.parts, technology.model_copy(update={"opamp": opamp}))
    return np.asarray(sum(stationary_covariances(linear, opamp, technology.adc.bandwidth)))
