"""SPICE in the loop of refinement on systems of a training, against the surrogate of the same die, with two negative controls.

`benchmarks/devicemodel/refined_spice.py` has the figures, for more systems and unknowns, and says what difference is to be expected.
"""

import math
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host import loaded
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.optim.tasks.classification import Classification
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.curvature_systems import curvature_systems

from ...systems import true_card

HELD_OUT = 4e-3
"""Residual of the card of technology integrated, by `thermograd calibrate`."""
SILENT = preset("integrated").replace(thermal__johnson_noise=False)
ROUNDS = 3


class Watched:
    """A system that keeps each x whose product with A is asked for: the solutions after each reading."""

    def __init__(self, system):
        self.seen, self._system = [], system
        self.size, self.damping, self.dtype = system.size, 0.0, system.dtype
        self.diagonal, self.dense = system.diagonal, system.dense

    def matvec(self, x):
        self.seen.append(x)
        return self._system.matvec(x)


@cache
def training(n, damping, *steps):
    """Systems, drives and exact solutions of some steps; a batch of n has n unknowns with two classes."""
    task = digits()
    parity = Classification(
        "digits, odd or even",
        task.train_inputs,
        task.train_targets % 2,
        task.test_inputs,
        task.test_targets % 2,
        lambda: nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 2)),
    )
    found = curvature_systems(parity, steps, n, seed=7, settings={"damping": damping, "lr": 0.3})
    systems = [Dense(torch.from_numpy(one.matrix), floor=damping * 0.999) for one in found]
    drives = [torch.from_numpy(one.b) for one in found]
    return [(A, b, torch.linalg.solve(A.A, b)) for A, b in zip(systems, drives, strict=True)]


def solutions(device, system, b, duration):
    """x after each reading."""
    watched = Watched(system)
    Refined(device, rounds=ROUNDS).solve(watched, b, duration)
    return watched.seen


def expected_difference(card, die, system, b, duration):
    """Standard error of x after each reading, of two devices that differ by the card's residual."""
    device = SurrogateDevice(card, die, extrapolate=True)
    solutions(device, system, b, duration)
    volts = float(np.sqrt(np.mean(device.probe.settled**2)))
    noise = math.sqrt(2 * card.technology.adc.noise**2 + 2 * (HELD_OUT * volts) ** 2)
    noisier = card.replace(technology=card.technology.replace(adc__noise=noise))
    runs = [solutions(SurrogateDevice(noisier, die, seed), system, b, duration) for seed in range(1, 21)]
    return [float(torch.stack(one).var(dim=0).sum().sqrt()) for one in zip(*runs, strict=True)]


@pytest.mark.slow
def test_ngspice_and_the_surrogate_agree_round_by_round():
    card, ratios = true_card(SILENT), []
    for die, (system, b, exact) in enumerate(training(8, 0.1, 2, 20), start=1):
        duration = 7 / float(torch.linalg.eigvalsh(system.A)[0])
        spice = solutions(SpiceDevice(SILENT, die, "crossbar"), system, b, duration)
        device = SurrogateDevice(card, die)
        law = solutions(device, system, b, duration)
        scale = expected_difference(card, die, system, b, duration)
        ratios += [float((x - y).norm()) / d for x, y, d in zip(spice, law, scale, strict=True)]
        errors = [[float((x - exact).norm() / exact.norm()) for x in path] for path in (spice, law)]
        rounds = [next(k for k, error in enumerate(path) if error < 1e-3) for path in errors]
        assert rounds[0] == rounds[1]
        realised = np.linalg.solve(device.program.matrix, device.program.target)
        rho = float(np.abs(np.linalg.eigvals(np.eye(8) - realised)).max())
        predicted = math.ceil(math.log(1e-3) / math.log(rho)) - 1
        assert errors[0][predicted] < 1e-3
        # Negative control: another die is told apart.
        other = solutions(SurrogateDevice(card, die + 100), system, b, duration)
        assert float((spice[0] - other[0]).norm()) > 3 * scale[0]
    # Of 8 differences, of 8 components each, none beyond 2.5 of its standard errors.
    assert 0.3 < float(np.sqrt(np.mean(np.square(ratios)))) < 1.5
    assert max(ratios) < 2.5


@pytest.mark.slow
def test_with_refinement_off_the_old_failure_is_reproduced():
    """A diagonal that spreads over a factor of a hundred, in ngspice itself: clipped cells take the drive down to a few codes."""
    system, b, exact = training(16, 0.03, 200)[0]

    def error(device):
        return float((device.solve(system, b, math.inf).x - exact).norm() / exact.norm())

    assert float(system.diagonal().max() / system.diagonal().min()) > 50
    assert error(SpiceDevice(SILENT, 2, "crossbar")) > 0.5
    assert error(Refined(SpiceDevice(SILENT, 2, "crossbar"), rounds=2)) < 1e-2
    # What does it: with the host's old protocol, rounds alone do not.
    as_before = Refined(SpiceDevice(SILENT, 2, "crossbar"), rounds=2, chopped=False, equilibrate=False)
    assert error(as_before) > 5 * error(Refined(SpiceDevice(SILENT, 2, "crossbar"), rounds=2))


@pytest.mark.slow
def test_the_bound_notices_the_residual_of_another_matrix(monkeypatch):
    """Fed with products of another step's matrix the iteration in ngspice ends content: the true error is beyond its bound."""
    (system, b, exact), (other, _, _) = training(8, 0.1, 2, 20)

    def refined():
        return Refined(SpiceDevice(SILENT, 1, "crossbar"), tolerance=1e-6, method="fcg").solve(system, b, math.inf)

    honest = refined()
    assert float((honest.x - exact).norm()) <= honest.refinement.bound
    monkeypatch.setattr(loaded, "product_with", lambda _: other.matvec)
    misled = refined()
    assert float((misled.x - exact).norm()) > 3 * misled.refinement.bound
