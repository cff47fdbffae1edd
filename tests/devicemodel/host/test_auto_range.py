"""The signal level, and its memory: what a hopeless system does to the ones after it, on every device."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host import auto_range
from thermograd.devicemodel.host.auto_range import MAX_ATTEMPTS, first_level, least_headroom, room, scaled_down
from thermograd.devicemodel.systems import Dense, LowRank

from ...systems import spd, true_card

BOARD = preset("integrated").replace(
    opamp__offset=5e-3, opamp__gain=1e6, resistors__bits=None, adc__noise=0.0, thermal__johnson_noise=False
)
"""Amplifiers whose offsets, over an eigenvalue of a thousandth, are far beyond their rails."""
J = torch.tensor([[1.0, -0.5, 0.2], [0.3, 0.8, -1.0]], dtype=torch.float64)
B = torch.tensor([1.0, -0.7, 0.4], dtype=torch.float64)


def flat() -> Dense:
    """A matrix that is nothing along one direction, nearly."""
    return Dense(1e-3 * torch.eye(3, dtype=torch.float64) + J.mT @ J)


DEVICES = {
    "spice": (lambda: SpiceDevice(BOARD, 1, "crossbar"), Dense(torch.tensor(spd(3, 4.0, 1))), flat),
    "surrogate": (
        lambda: SurrogateDevice(true_card(BOARD), 1, extrapolate=True),
        Dense(torch.tensor(spd(3, 4.0, 1))),
        flat,
    ),
    "cascade": (lambda: CascadeDevice(BOARD, 1), LowRank(J, None, 0.7), lambda: LowRank(J, None, 1e-3)),
}


def error(device, system):
    """Outcome and relative error of one reading at rest."""
    found = device.solve(system, B, math.inf)
    exact = torch.linalg.solve(system.dense(), B)
    return found.outcome, float((found.x - exact).norm() / exact.norm())


@pytest.mark.parametrize("name", DEVICES)
def test_a_good_system_reads_after_a_hundred_hopeless_ones_as_before(name):
    make, good, bad = DEVICES[name]
    device = make()
    before = error(device, good)
    assert before[0].readable
    assert before[1] < 0.1
    for _ in range(100):
        assert device.solve(bad(), B, math.inf).outcome is Outcome.OFFSET_CLIPPED
    outcome, after = error(device, good)
    assert outcome is before[0]
    assert after == pytest.approx(before[1], rel=1e-9)


@pytest.mark.parametrize("name", ["surrogate", "cascade"])
def test_a_level_that_an_earlier_system_needed_is_raised_again(name, monkeypatch):
    make, good, _ = DEVICES[name]
    (outcome, fine), [device, twin] = error(make(), good), [make(), make()]
    for one in (device, twin):
        one.load_state_dict(one.state_dict() | {"headroom": least_headroom(BOARD.dac)})
    again, found = error(device, good)
    assert again is outcome
    assert found < 2 * fine
    assert device.solve(good, B, math.inf).attempts == 1
    # Negative control: the level that was remembered, as it stands, is the DAC's least code.
    monkeypatch.setattr(auto_range, "SPARE", math.inf)
    assert error(twin, good)[1] > 5 * fine


def test_the_memory_of_a_clipped_reading_is_nothing():
    device = SurrogateDevice(true_card(BOARD), 1, extrapolate=True)
    device.solve(DEVICES["surrogate"][1], B, math.inf)
    assert device.state_dict()["headroom"] < 1
    device.solve(flat(), B, math.inf)
    state = device.state_dict()
    del state["identity"]
    state.pop("temperature", None)
    assert state == {"state": None, "without_drive": None, "headroom": 1.0, "runs": 2, "programmings": 2}


@pytest.mark.parametrize("name", ["surrogate", "cascade"])
def test_a_drive_that_clips_is_told_from_offsets_that_do(name):
    """Without offsets, and with a DAC too coarse for the gain of the system, it is the drive."""
    silent = BOARD.replace(opamp__offset=0.0, dac__offset=0.0, dac__bits=None, opamp__gain=1e9, opamp__power=0.0)
    make = {
        "surrogate": lambda: SurrogateDevice(true_card(silent, leak=0.0).replace(clamp=1.01), None, extrapolate=True),
        "cascade": lambda: CascadeDevice(true_card(silent, leak=0.0).replace(clamp=1.01), None, extrapolate=True),
    }[name]
    found = make().solve(LowRank(J, None, 1e-9), B, math.inf)
    assert found.outcome is Outcome.CLIPPED
    assert found.attempts == MAX_ATTEMPTS + 1
    assert make().solve(LowRank(J, None, 0.7), B, math.inf).outcome.clipped is False


def test_dies_of_a_batch_are_told_apart_as_single_ones_are():
    card, dies = true_card(BOARD), range(8)
    system = Dense(0.005 * torch.eye(3, dtype=torch.float64) + J.mT @ J)
    batch = DieBatch(card, dies, extrapolate=True)
    found = batch.solve(system, B, math.inf)
    alone = [SurrogateDevice(card, die, extrapolate=True).solve(system, B, math.inf) for die in dies]
    assert found.outcomes == tuple(one.outcome for one in alone)
    assert found.attempts.tolist() == [one.attempts for one in alone]
    assert {one.clipped for one in found.outcomes} == {True, False}
    # A batch has no memory.
    good = DEVICES["surrogate"][1]
    before = DieBatch(card, dies, extrapolate=True).solve(good, B, math.inf)
    assert torch.equal(batch.solve(good, B, math.inf).x, before.x)


def test_the_least_headroom_is_the_least_code_of_the_dac():
    dac = BOARD.dac.model_copy(update={"bits": 3, "full_scale": 2.0})
    assert least_headroom(dac) == pytest.approx(1 / 7)
    assert least_headroom(dac.model_copy(update={"bits": None})) == np.finfo(float).eps
    device = SurrogateDevice(true_card(BOARD.replace(dac__bits=3)), 1, extrapolate=True)
    device.solve(flat(), B, math.inf)
    assert np.abs(device.probe.requested).max() == pytest.approx(1 / 7)
    # Below it nothing changes on the board.
    converted = [device.host.dacs[0].convert(level * np.array([1.0, -0.4, 0.7])) for level in (1 / 7, 1 / 70)]
    np.testing.assert_array_equal(*converted)


def test_levels():
    assert first_level(strongest=4.0, start=0.0, headroom=0.5, full_scale=2.0, limit=1.0) == 0.25
    assert first_level(strongest=4.0, start=100.0, headroom=1.0, full_scale=2.0, limit=1.0) == auto_range.TARGET / 100
    assert first_level(0.0, 0.0, 1.0, 2.0, 1.0) == 1.0
    assert room([(0.5, 1.0), (4.0, 10.0)]) == pytest.approx(1.6)
    assert room([(0.0, 1.0)]) == math.inf
    assert scaled_down(0.1, 1) == 0.1
    assert scaled_down(0.1, 2) == pytest.approx(0.025)
    assert scaled_down(math.inf, 1) == 0.5
