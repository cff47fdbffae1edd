"""Causes of the error in a training: of which systems, and what a die does on them."""

from __future__ import annotations

import numpy as np
import torch

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.curvature_systems import curvature_systems
from thermograd.optim.training.error_budget import training_error_budget


def test_the_errors_are_those_of_the_die_on_the_systems_of_the_training() -> None:
    card = DeviceCard.uncalibrated(preset("integrated").replace(resistors__bits=6))
    task, steps, batch = digits(), (3, 12), 2
    seen = []
    found = training_error_budget(
        task, card, steps, (1, 2), batch, seed=4, settings={"duration": 9.0}, rounds=1,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert found.bare.total.shape == found.refined.contributions[0].remaining.shape == (2, 2)
    assert found.hardware.duration == 9.0
    for column, one in enumerate(curvature_systems(task, steps, batch, 4, {"duration": 9.0})):
        system, b, start = Dense(torch.from_numpy(one.matrix)), torch.from_numpy(one.b), torch.from_numpy(one.start)
        exact = np.linalg.solve(one.matrix, one.b)
        assert one.step == steps[column]
        assert 0 < one.floor <= np.linalg.eigvalsh(one.matrix)[0] * (1 + 1e-9), "which oscillators are damped by"
        for row, die in enumerate((1, 2)):
            x = SurrogateDevice(card, die, seed=4).solve(system, b, 9.0, x0=start).x.numpy()
            error = np.linalg.norm(x - exact) / np.linalg.norm(exact)
            np.testing.assert_allclose(found.bare.total[row, column], error, rtol=1e-9)
    assert float(found.bare.ideal.max()) < 1e-10
    assert float(found.refined.total.max()) < float(found.bare.total.min())
    assert seen[-1][0] == seen[-1][1]
