"""White noise of a cascade's amplifiers against the state space of the emitted circuit with their noise sources in it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.amplifiers.models import OnePole
from thermograd.circuits.errors import InputError
from thermograd.circuits.linear.noise_spectra import noise_covariance
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import compile_system
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.systems import Kronecker, LowRank

QUICK = preset("integrated").replace(
    # Fast enough that stages follow all that cells do, as the law has it.
    opamp__gbw=5e10,
    opamp__second_pole=math.inf,
    opamp__noise_voltage=2e-8,
    opamp__noise_voltage_corner=0.0,
    opamp__noise_current=2e-13,
    resistors__bits=None,
    resistors__tolerance=0.0,
    resistors__tc1=0.0,
    capacitors__tolerance=0.0,
    opamp__offset=0.0,
    opamp__power=0.0,
    thermal__ambient_rms=0.0,
    adc__bits=None,
    adc__noise=0.0,
)


def low_rank() -> LowRank:
    rng = np.random.default_rng(3)
    return LowRank(torch.from_numpy(rng.standard_normal((2, 5))), None, 0.5)


class Unit:
    """A generator whose normals are all 0 but one, the columns of what a linear map makes of them."""

    def __init__(self, which: int) -> None:
        self.which, self.count = which, 0

    def standard_normal(self, shape: int | tuple[int, ...]) -> np.ndarray:
        drawn = np.zeros(shape)
        if 0 <= self.which - self.count < drawn.size:
            drawn.flat[self.which - self.count] = 1.0
        self.count += drawn.size
        return drawn


def read_covariance(technology: Technology, direct: bool = True) -> np.ndarray:
    """Of what a device reads of its cells at rest, V^2."""
    device, system = CascadeDevice(technology), low_rank()
    device.solve(system, torch.ones(5, dtype=torch.float64), 50.0)
    law = device.dynamics
    first = Unit(-1)
    law.fluctuation(1e6, first)
    columns = [law.fluctuation(1e6, Unit(k)) for k in range(first.count)]
    found = np.asarray(sum(np.outer(column, column) for column in columns))
    return found + (np.diag(law.direct_deviation() ** 2) if direct else 0.0)


def circuit_covariance(technology: Technology) -> np.ndarray:
    program = compile_system(low_rank(), "factored", technology)
    zero = np.zeros(program.size)
    netlist = program.circuit(zero, zero, OnePole(technology.opamp, noisy=True))
    return noise_covariance(netlist, list(program.readouts))


def test_readings_have_the_covariance_of_the_circuit() -> None:
    exact, found, slow = circuit_covariance(QUICK), read_covariance(QUICK), read_covariance(QUICK, direct=False)
    np.testing.assert_allclose(np.diag(found), np.diag(exact), rtol=1e-3)
    # What cells share is all of the slow motion.
    spread, shared = np.sqrt(np.diag(slow)), ~np.eye(5, dtype=bool)
    scale = np.outer(spread, spread)
    assert np.abs((found - exact) / scale)[shared].max() < 0.01
    # Negative controls: resistors alone; without what the outputs show at once.
    quiet = read_covariance(QUICK.replace(opamp__noise_voltage=0.0, opamp__noise_current=0.0))
    assert np.abs((quiet - exact) / scale)[shared].max() > 0.1
    assert (np.diag(slow) < 0.1 * np.diag(exact)).all()


@pytest.mark.parametrize("system", [low_rank(), Kronecker(torch.eye(2).double() * 1.5, torch.eye(3).double(), 0.5)])
def test_a_reading_is_noisier_than_what_stays_in_the_cells(system: LowRank | Kronecker) -> None:
    """The same drive many times: readings scatter by the direct noise, too, and no run inherits it."""
    device, b = CascadeDevice(QUICK, seed=2), torch.full((system.size,), 0.3, dtype=torch.float64)
    reads = np.stack([device.solve(system, b, 0.05, x0=torch.zeros_like(b)).x.numpy() for _ in range(400)])
    level = float(np.abs(device.probe.read).max() / np.abs(reads[-1]).max())
    direct = device.dynamics.direct_deviation() / level
    ratio = reads.var(axis=0, ddof=1) / direct**2
    # In so short a run the cells have hardly gathered any noise.
    assert (ratio > 0.8).all()
    assert (ratio < 1.6).all()


def test_what_is_not_modelled_is_rejected() -> None:
    with pytest.raises(InputError, match=r"adc\.bandwidth = 1e"):
        CascadeDevice(QUICK.replace(adc__bandwidth=1e7))
    with pytest.raises(InputError, match="infinite variance"):
        CascadeDevice(QUICK.replace(opamp__gbw=math.inf))
