"""The test of linearity: drives that a DAC has half-way, affine circuits pass whatever their offsets, and saturated ones do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.host.converters import Adc, drive_codes
from thermograd.devicemodel.host.linearity import departs, weaker_drives
from thermograd.devicemodel.systems import Dense

from ...toy_device import ToyBoard, ToyDevice

ADC = Converter(bits=12, full_scale=1.0, max_gain=64, noise=1e-4, offset=1e-3, gain_error=1e-3)
TECHNOLOGY = preset("integrated").replace(adc=ADC)


@pytest.mark.parametrize("dac", [Converter(bits=4), Converter(bits=8, attenuations=4), Converter()])
def test_the_half_drive_is_a_code_half_way_between_the_others(dac):
    rng = np.random.default_rng(0)
    for scale in (1.0, 0.3, 0.04):
        whole, bias = rng.uniform(-scale, scale, 50) * dac.full_scale, rng.uniform(-0.1, 0.1, 50) * scale
        half, none = weaker_drives(whole, bias, dac)
        if dac.bits is None:
            np.testing.assert_allclose(2 * half, whole + bias, rtol=1e-12)
            continue
        given = drive_codes(whole, dac)
        np.testing.assert_allclose(2 * half, given + none, atol=1e-12)
        # A step at most away from what b = 0 asks for, which rounding is half of.
        step = np.diff(np.unique(drive_codes(np.linspace(-1, 1, 10001) * np.abs(whole).max(), dac))).min()
        assert np.abs(none - drive_codes(bias, dac)).max() <= 1.01 * step * (dac.attenuations or 1)


def readings(volts: np.ndarray, seed: int = 0):
    adc = Adc(ADC, Die(TECHNOLOGY, 1))
    rng = np.random.default_rng(seed)
    return tuple([adc.convert(row, rng)] for row in volts)


@pytest.mark.parametrize("seed", range(10))
def test_affine_readings_pass_and_a_clipped_one_does_not(seed):
    rng = np.random.default_rng(seed)
    slope, offset = rng.uniform(-0.8, 0.8, 6), rng.uniform(-0.1, 0.1, 6)
    linear = np.stack([share * slope + offset for share in (1.0, 0.5, 0.0)])
    assert not departs(readings(linear), ADC)
    held = 0.7 * float(np.abs(linear).max())
    clipped = np.clip(linear, -held, held)
    assert np.linalg.norm(clipped - linear) > 0.1 * np.linalg.norm(linear[0] - linear[2])
    assert departs(readings(clipped), ADC)
    assert departs(readings(np.full((3, 6), np.nan)), ADC)


class Hidden(ToyBoard):
    """Its amplifiers end where no cell shows it."""

    shows_overload = False

    def relax(self, dies, driven, start, spans, streams):
        return super().relax(dies, np.clip(driven, -0.3, 0.3), start, spans, streams)


class HidingDevice(ToyDevice):
    def _program(self, system):
        return Hidden(system.dense().double().numpy(), tau=1e-6)


class Blind(HidingDevice):
    def _program(self, system):
        board = super()._program(system)
        board.shows_overload = True
        return board


def test_a_board_that_hides_its_overload_is_read_at_a_level_that_it_holds_and_its_runs_are_counted():
    a, b = 2 * torch.eye(3, dtype=torch.float64), torch.tensor([1.0, -0.4, 0.2], dtype=torch.float64)
    found, blind = (device("ideal").solve(Dense(a), b, 40.0) for device in (HidingDevice, Blind))
    assert (found.outcome, blind.outcome) == (Outcome.OK, Outcome.OK)
    torch.testing.assert_close(found.x, b / 2, rtol=1e-6, atol=1e-9)
    assert float((blind.x - b / 2).norm() / (b / 2).norm()) > 0.1
    # Each attempt within range takes a run at half of the drive and one without.
    assert found.attempts >= blind.attempts + 4
