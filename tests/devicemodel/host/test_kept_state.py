"""States of more than n voltages: velocities go on, are saved and rescaled with positions; and what clips on the way is seen."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.host.offset_nulling import NulledBoard
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.systems import Dense

from ...toy_oscillator import ToyOscillator, ToyOscillators, companion

CONVERTER = Converter()
EXACT = preset("integrated").replace(dac=CONVERTER, adc=CONVERTER)
MATRIX = np.array([[1.0, 0.3, 0.0], [0.3, 0.8, -0.2], [0.0, -0.2, 0.6]])
A = Dense(torch.tensor(MATRIX))
B, X0 = (torch.tensor(values, dtype=torch.float64) for values in ([0.3, -0.7, 0.2], [0.5, 0.1, -0.4]))


def path(t: float, start: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """[x, x'] after t, by the exponential of the companion matrix with b as one more state."""
    n, b = len(MATRIX), B.numpy() if b is None else b
    drift = np.zeros((2 * n + 1, 2 * n + 1))
    drift[: 2 * n, : 2 * n], drift[n : 2 * n, -1] = companion(MATRIX, 0.5), b
    return (expm(drift * t) @ np.append(start, 1.0))[: 2 * n]


def from_rest(x0: torch.Tensor) -> np.ndarray:
    return np.append(x0.numpy(), np.zeros(3))


def test_a_run_starts_at_x0_with_velocities_of_zero_and_goes_on_with_what_they_are():
    device = ToyOscillators(EXACT)
    first = device.solve(A, B, 0.8, x0=X0)
    at = path(0.8, from_rest(X0))
    np.testing.assert_allclose(first.x, at[:3], rtol=1e-9)
    # Another level: the drive is ten times as strong.
    second = device.solve(A, 10 * B, 1.3)
    assert second.outcome is Outcome.OK
    np.testing.assert_allclose(second.x, path(1.3, at, 10 * B.numpy())[:3], rtol=1e-9)
    stopped = path(1.3, np.append(at[:3], np.zeros(3)), 10 * B.numpy())[:3]
    assert np.abs(second.x.numpy() - stopped).max() > 0.05


def test_both_are_saved_and_a_resumed_device_goes_on_alike():
    device, resumed = ToyOscillators(EXACT), ToyOscillators(EXACT)
    device.solve(A, B, 0.8, x0=X0)
    state = device.state_dict()
    np.testing.assert_allclose(state["state"], path(0.8, from_rest(X0)), rtol=1e-9)
    resumed.load_state_dict(state)
    assert torch.equal(resumed.solve(A, B, 1.0).x, device.solve(A, B, 1.0).x)


def test_a_state_of_another_number_of_voltages_is_discharged():
    device = ToyOscillators(EXACT)
    device.solve(Dense(torch.eye(6, dtype=torch.float64)), torch.ones(6, dtype=torch.float64), 1.0)
    state = device.state_dict()
    found = device.solve(A, B, 1.0)
    np.testing.assert_allclose(found.x, path(1.0, np.zeros(6))[:3], rtol=1e-9)
    assert len(state["state"]) == 12


def test_cells_whose_state_a_host_cannot_set_start_from_rest_or_go_on():
    class Fluxes(ToyOscillators):
        takes_start = False

    device = Fluxes(EXACT)
    with pytest.raises(InputError, match=r"x0 has an entry of 0.5.*leave x0 out"):
        device.solve(A, B, 1.0, x0=X0)
    first = device.solve(A, B, 1.0, x0=torch.zeros_like(X0))
    at = path(1.0, np.zeros(6))
    np.testing.assert_allclose(first.x, at[:3], rtol=1e-9)
    np.testing.assert_allclose(device.solve(A, B, 0.7).x, path(0.7, at)[:3], rtol=1e-9)


def test_runs_without_drive_and_nulled_boards_keep_velocities_too():
    device = ToyOscillators(EXACT, read_out=ReadOut(auto_zero=True))
    device.solve(A, B, 0.8, x0=X0)
    np.testing.assert_allclose(device.solve(A, B, 1.0).x, path(1.0, path(0.8, from_rest(X0)))[:3], rtol=1e-9)
    assert device.state_dict()["without_drive"].shape == (6,)
    board = NulledBoard(ToyOscillator(MATRIX, 0.5, 1.0), np.zeros(3), 1.0)
    assert board.kept == 6
    assert board.takes_start
    nulled = ToyOscillators(EXACT, read_out=ReadOut(null_offsets=True))
    np.testing.assert_allclose(nulled.solve(A, B, 0.8, x0=X0).x, path(0.8, from_rest(X0))[:3], atol=1e-9)


STIFF = Dense(torch.diag(torch.tensor([1.0, 0.01, 0.01], dtype=torch.float64)))
"""Slow cells that swing to nearly twice where they settle, at 100 times the drive."""


@pytest.mark.parametrize("watched", [True, False], ids=["watched on the way", "looked at when read"])
def test_what_clips_on_the_way_is_run_again_at_a_smaller_level(watched):
    limit, device = EXACT.opamp.output_limit, ToyOscillators(EXACT)
    device.friction, device.watched = 0.02, watched
    b = torch.tensor([0.0, 0.01, 0.01], dtype=torch.float64)
    # Two swings on, cells are back where they began.
    found = device.solve(STIFF, b, 2 * math.pi / 0.1)
    drift, peak = companion(STIFF.A.numpy(), 0.02), 0.0
    rest = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    level = float(np.abs(device.probe.driven).max()) / 0.01
    for t in np.linspace(0, 2 * math.pi / 0.1, 300):
        peak = max(peak, level * float(np.abs(rest - expm(drift * t) @ rest).max()))
    assert found.outcome is Outcome.OK
    if watched:
        assert peak <= limit
        assert found.attempts > 1
    else:
        # The device that looks at the reading alone calls it ok with amplifiers far beyond their range.
        assert peak > 1.2 * limit


def test_a_run_that_clips_on_the_way_at_every_level_is_clipped():
    class Ringing(ToyOscillator):
        def relax(self, *run):
            return dataclasses.replace(super().relax(*run), overload=np.array([1.01]))

    class Hopeless(ToyOscillators):
        def _program(self, system):
            return Ringing(MATRIX, 0.5, 1.0)

    device = Hopeless(EXACT)
    assert device.solve(A, B, 5.0).outcome.clipped
    assert device.state_dict()["state"] is None


def test_a_start_leaves_the_range_that_cells_swing_to_from_it():
    def attempts(overshoot: float) -> int:
        device, x0 = ToyOscillators(EXACT), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
        device.overshoot, device.friction = overshoot, 0.02
        # Driven half against its start, a cell would swing to twice it without friction.
        found = device.solve(Dense(torch.eye(3, dtype=torch.float64)), -0.5 * x0, 4.0, x0=x0)
        assert found.outcome is Outcome.OK
        return found.attempts

    assert attempts(2.0) == 1
    assert attempts(1.0) > 1


@pytest.mark.parametrize(("overshoot", "again"), [(1.0, False), (2.0, True)])
def test_offsets_of_cells_that_swing_are_nulled_for_each_length_of_runs(overshoot, again):
    device = ToyOscillators(EXACT, read_out=ReadOut(null_offsets=True))
    device.overshoot = overshoot
    assert device.solve(A, B, 9.0).products > 0
    assert (device.solve(A, B, 2.0).products > 0) is again
    assert device.solve(A, B, 2.0).products == 0
    assert device.solve(A, B, 12.0).products > 0
