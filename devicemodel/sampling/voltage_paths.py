"""Voltages of a noisy circuit that nothing drives, as samplers see them, one long path: by the exact law, or by ngspice.

The law is that of the circuit with all its states (`compiler.linear_law`), with the injected noise currents in it and a pole of each
sampler of finite bandwidth, propagated exactly from sample to sample: correlations are right at every lag, whatever the interval.
"""

from __future__ import annotations

import abc
import dataclasses
import math

import numpy as np
import torch
from scipy.constants import Boltzmann

from ...circuits.errors import InputError
from ...circuits.linear.johnson import johnson_currents
from ...circuits.linear.statespace import state_space
from ...circuits.netlist.analyses import Transient
from ...circuits.netlist.elements import Resistor
from ...circuits.netlist.netlist import Netlist
from ...circuits.ngspice.run import run
from ...compiler.program import AnalogProgram
from ..ou.process import OU

HELD = 4_000_000
"""Numbers of a path that are held at a time."""
PHASE = 0.05
"""ngspice's step times the fastest natural frequency: the trapezoidal rule misplaces some 0.1 % of the voltages' covariance."""
MOST_STEPS = 400_000
"""Of a transient in ngspice."""


class VoltagePath(abc.ABC):
    """A path of the cells' voltages, from all of them at zero.

    Attributes:
        most: samples that are best asked for at a time.
    """

    most: int

    @abc.abstractmethod
    def rest(self, seconds: float) -> None:
        """Let it run on unread."""

    @abc.abstractmethod
    def samples(self, count: int) -> np.ndarray:
        """The next samples, an interval apart, (count, n) V."""


class LawPath(VoltagePath):
    """By the exact law.

    Args:
        program: on its die. density: of the white current noise injected into each cell, two-sided, (n,) A^2/Hz.
        bandwidth: of the samplers, Hz; inf: none.
        interval: s. seed: of the noise.
    """

    def __init__(
        self, program: AnalogProgram, density: np.ndarray, bandwidth: float, interval: float, seed: int
    ) -> None:
        law = program.fabric.linear_law(program.parts, program.technology)
        noise = law.drive @ np.diag(density) @ law.drive.T
        if program.technology.thermal.johnson_noise:
            noise = noise + law.johnson + law.amplifiers
        drift, read, n = law.drift, law.read, law.size
        if math.isfinite(bandwidth):
            pole = 2 * math.pi * bandwidth
            drift = np.block([[drift, np.zeros((law.order, n))], [pole * read, -pole * np.eye(n)]])
            noise = np.pad(noise, (0, n))
            read = np.hstack([np.zeros((n, law.order)), np.eye(n)])
        self._process = OU(torch.from_numpy(-drift), None, torch.from_numpy((noise + noise.T) / 2))
        self._read, self._interval = read, interval
        self._state = torch.zeros(len(drift), dtype=torch.float64)
        self._generator = torch.Generator().manual_seed(seed)
        self.most = max(1, HELD // len(drift))

    def rest(self, seconds: float) -> None:
        """See `VoltagePath`."""
        self._state = self._process.trajectory(self._state, seconds, 1, self._generator)[-1]

    def samples(self, count: int) -> np.ndarray:
        """See `VoltagePath`."""
        path = self._process.trajectory(self._state, self._interval, count, self._generator)
        self._state = path[-1]
        return np.asarray(path.numpy() @ self._read.T)


class SpicePath(VoltagePath):
    """By ngspice, each request a transient of its own from zero, with the rest that was asked for before it.

    Equal resistors make equal white noise in every cell, as injected currents do: these are those of a circuit whose resistors are hot,
    T + S R / 2k, injected into the circuit as it is. Samplers take what is there at the instant.

    Args:
        program, density, interval, seed: as of `LawPath`. timeout: s for each simulation.

    Raises:
        InputError: in `samples`, more steps than `MOST_STEPS`.
    """

    most = 10**12

    def __init__(self, program: AnalogProgram, density: np.ndarray, interval: float, seed: int, timeout: float) -> None:
        self._program, self._interval, self._timeout, self._rest = program, interval, timeout, 0.0
        self._netlist, self._seeds = program.netlist(), np.random.SeedSequence(seed)
        fastest = float(np.abs(state_space(self._netlist, {}).eigenvalues).max())
        self._each = math.ceil(interval * fastest / PHASE)
        self._currents = johnson_currents(self._heated(density), interval / self._each)

    def _heated(self, density: np.ndarray) -> Netlist:
        """The circuit with the injected noise as heat of its resistors."""
        thermal, netlist = self._program.technology.thermal, self._netlist
        injected = {f"R{k + 1}": float(one) for k, one in enumerate(density)}
        heated = Netlist(netlist.title, netlist.temperature)
        for part in netlist:
            if isinstance(part, Resistor):
                own = (part.temperature or netlist.temperature) if thermal.johnson_noise else 0.0
                hot = own + injected[part.name] * part.resistance / (2 * Boltzmann)
                part = dataclasses.replace(part, temperature=hot)
            heated.add(part)
        return heated

    def rest(self, seconds: float) -> None:
        """See `VoltagePath`."""
        self._rest = max(self._rest, seconds)

    def samples(self, count: int) -> np.ndarray:
        """See `VoltagePath`."""
        first, step = math.ceil(self._rest / self._interval), self._interval / self._each
        steps = (first + count) * self._each
        if steps > MOST_STEPS:
            raise InputError(
                f"{count} samples take {steps} steps in ngspice (at most {MOST_STEPS}): sample for a shorter time, or use CovarianceDevice"
            )
        analysis = Transient(steps * step, step=step, nodes=self._program.nodes, noise=True)
        [seed] = self._seeds.spawn(1)
        result = run(self._netlist, analysis, seed=seed, timeout=self._timeout, currents=self._currents)
        volts = self._program.cell_volts(result.voltages).T
        return np.asarray(volts[first * self._each + self._each - 1 :: self._each][:count])
