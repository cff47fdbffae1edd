"""Gains of channels, and the attenuator behind a DAC: each drive by its law, in every device."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.calibration.fitting import Conversion, fit_converter
from thermograd.devicemodel.devices.cell_measurement import measure_cells
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.converters import Adc, Dac, attenuation_of, drive_codes, quantise, step_of
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.systems import Dense

from ...systems import spd, true_card

IDEAL = preset("ideal")
A, B = torch.tensor(spd(5, 40.0, 2)), torch.tensor([1.0, -0.5, 0.2, 0.7, -0.3], dtype=torch.float64)


@pytest.mark.parametrize("kind", [Dac, Adc])
def test_each_channel_has_its_own_gain(kind: type) -> None:
    converter, die, name = Converter(gain_error=0.01, gain_mismatch=0.02), Die(IDEAL, 3), kind.__name__.lower()
    volts = np.random.default_rng(0).uniform(-0.9, 0.9, 2000)
    device = kind(converter, die)
    out = device.convert(volts) if kind is Dac else device.convert(volts, np.random.default_rng(1)).volts
    shared = 1 + 0.01 * die.deviates(f"{name}_gain", (1, 1))[0, 0]
    own = out / volts / shared - 1
    assert own.std() == pytest.approx(0.02, rel=4 / math.sqrt(2 * 2000))
    assert own.std() != pytest.approx(0.022, rel=4 / math.sqrt(2 * 2000)), "negative control: 10 % more"
    # A channel keeps its gain, whatever the others are and however many.
    few = (
        device.convert(0.5 * volts[:7]) if kind is Dac else device.convert(0.5 * volts[:7], np.random.default_rng(1))[0]
    )
    np.testing.assert_allclose(few, 0.5 * out[:7], rtol=1e-12)
    np.testing.assert_array_equal(Dac(converter, Die(IDEAL, None)).convert(volts), volts)


def test_channel_gains_drive_a_device_as_they_should() -> None:
    """x = A^-1 diag(1 + g) b."""
    technology = IDEAL.replace(dac__gain_mismatch=0.05)
    gains = 1 + 0.05 * Die(technology, 3).deviates("dac_channel_gain", (1, 5))[0]
    card, exact = true_card(technology), np.linalg.solve(A.numpy(), gains * B.numpy())
    surrogate = SurrogateDevice(card, 3).solve(Dense(A), B, math.inf).x.numpy()
    np.testing.assert_allclose(surrogate, exact, rtol=1e-9)
    np.testing.assert_allclose(DieBatch(card, [3]).solve(A, B, math.inf).x[0].numpy(), exact, rtol=1e-9)
    spice = SpiceDevice(technology, 3, "crossbar", johnson_noise=False).solve(Dense(A), B, math.inf).x.numpy()
    np.testing.assert_allclose(spice, exact, rtol=1e-5)
    assert not np.allclose(np.linalg.solve(A.numpy(), B.numpy()), exact, rtol=1e-2)


@pytest.mark.parametrize(
    ("largest", "setting"), [(1.2, 0), (1.0, 0), (0.51, 0), (0.5, 1), (0.2, 2), (0.01, 3), (0.0, 3)]
)
def test_the_setting_is_the_smallest_ratio_that_holds_every_drive(largest: float, setting: int) -> None:
    assert attenuation_of(np.array([0.3 * largest, -largest]), Converter(attenuations=4)) == setting
    assert attenuation_of(np.array([largest]), Converter()) == 0


def test_an_attenuated_drive_has_the_steps_and_offsets_of_a_smaller_converter() -> None:
    whole = Converter(bits=8, offset=2e-3, attenuations=4)
    small, die = whole.model_copy(update={"attenuations": 1, "full_scale": 0.25, "offset": 5e-4}), Die(IDEAL, 3)
    volts = np.random.default_rng(0).uniform(-0.25, 0.25, 200)
    np.testing.assert_allclose(Dac(whole, die).convert(volts), Dac(small, die).convert(volts), rtol=1e-12)
    np.testing.assert_allclose(drive_codes(volts, whole), quantise(volts, small), rtol=1e-12)
    # One setting for all channels: a single large drive takes the others' resolution.
    large = np.append(volts, 0.9)
    assert np.abs(Dac(whole, Die(IDEAL, None)).convert(large) - large).max() > step_of(whole) / 2 * 0.9


def test_the_ratios_err_by_the_die_and_the_first_does_not() -> None:
    converter, volts = Converter(attenuations=3, attenuation_error=0.02), np.array([1.0, -0.4])
    found = []
    for seed in range(400):
        dac = Dac(converter, Die(IDEAL, seed))
        np.testing.assert_array_equal(dac.convert(volts), volts)
        halved, quartered = dac.convert(volts / 2) / (volts / 2) - 1, dac.convert(volts / 8) / (volts / 8) - 1
        assert halved[0] == pytest.approx(halved[1], rel=1e-9), "all channels alike"
        found.append((halved[0], quartered[0]))
    np.testing.assert_allclose(np.std(found, axis=0), 0.02, rtol=4 / math.sqrt(2 * 400))
    assert abs(np.corrcoef(np.array(found).T)[0, 1]) < 4 / math.sqrt(400)


def test_a_device_reads_better_through_an_attenuator_and_all_models_alike() -> None:
    """A solution that is large for its drive leaves most of the DAC's codes idle."""
    base, drives = (
        IDEAL.replace(dac__bits=8, dac__offset=2e-3),
        torch.from_numpy(np.random.default_rng(0).standard_normal((12, 5))),
    )
    errors, settings = {}, []
    for count in (1, 6):
        technology, squares = base.replace(dac__attenuations=count), 0.0
        device, batch = SurrogateDevice(true_card(technology), 3), DieBatch(true_card(technology), [3])
        for b in drives:
            exact = torch.linalg.solve(A, b)
            solution = SurrogateDevice(true_card(technology), 3).solve(Dense(A), b, math.inf)
            torch.testing.assert_close(batch.solve(A, b, math.inf).x[0], solution.x, rtol=1e-9, atol=1e-12)
            squares += float((solution.x - exact).norm() / exact.norm()) ** 2
            device.solve(Dense(A), b, math.inf)
            assert device.probe is not None
            settings.append(attenuation_of(device.probe.requested, technology.dac))
        spice = SpiceDevice(technology, 3, "crossbar", johnson_noise=False).solve(Dense(A), b, math.inf).x
        torch.testing.assert_close(spice, solution.x, rtol=1e-4, atol=1e-5)
        errors[count] = math.sqrt(squares)
    assert min(settings[12:]) >= 1
    assert max(settings[:12]) == 0
    # Offsets and steps are smaller by the ratio, which the signal level leaves room for.
    gain = 2.0 ** np.mean(settings[12:])
    assert errors[6] == pytest.approx(errors[1] / gain, rel=0.5)


def test_an_attenuator_lets_the_level_fall_further() -> None:
    """A matrix whose solution clips at the least code of the DAC itself is read through the attenuator."""
    hard = torch.diag(torch.tensor([1.0, 2e-3], dtype=torch.float64))
    b = torch.tensor([0.0, 1.0], dtype=torch.float64)
    coarse = IDEAL.replace(dac__bits=4)
    clipped, read = (
        SurrogateDevice(true_card(coarse.replace(dac__attenuations=count)), None, extrapolate=True).solve(
            Dense(hard), b, math.inf
        )
        for count in (1, 8)
    )
    assert clipped.outcome.clipped
    assert not read.outcome.clipped


def test_offsets_are_nulled_to_the_attenuated_step() -> None:
    left = {}
    for count in (1, 6):
        technology = IDEAL.replace(dac__bits=8, opamp__offset=5e-3, dac__attenuations=count)
        device = SurrogateDevice(true_card(technology, offset=5e-3), 3, read_out=ReadOut(null_offsets=True))
        solution = device.solve(Dense(A), B, math.inf)
        left[count] = float((solution.x - torch.linalg.solve(A, B)).norm())
    assert left[6] < left[1] / 2


def test_measured_cells_are_right_behind_an_attenuator() -> None:
    technology = preset("integrated").replace(dac__attenuations=4, opamp__output_limit=0.2)
    device = SurrogateDevice(true_card(technology), 3, extrapolate=True)
    table = measure_cells(device, 3, levels=16)
    assert table.repeatability < 5e-3


@pytest.mark.parametrize("kind", ["dac", "adc"])
def test_a_fit_finds_the_mismatch_of_gains(kind: str) -> None:
    truth = Converter(bits=12, gain_error=5e-3, gain_mismatch=8e-3, offset=3e-3, attenuations=3 if kind == "dac" else 1)
    readings, rng = [], np.random.default_rng(0)
    for seed in range(6):
        die = Die(IDEAL, seed)
        for scale in (0.95, 0.2):
            volts = rng.uniform(-scale, scale, 40)
            out = Dac(truth, die).convert(volts) if kind == "dac" else Adc(truth, die).convert(volts, rng).volts
            gain = 2.0 ** attenuation_of(volts, truth) if kind == "dac" else 1.0
            readings.append(Conversion(die, volts[None], out[None], np.array([gain])))
    found = fit_converter(truth.model_copy(update={"gain_mismatch": 1e-3}), kind, readings)
    error = step_of(truth) / math.sqrt(12) / math.sqrt(480)
    assert found.gain_mismatch == pytest.approx(8e-3, abs=10 * error)
    assert found.offset == pytest.approx(3e-3, abs=10 * error)


@pytest.mark.parametrize("name", ["attenuations", "attenuation_error"])
def test_an_adc_has_no_attenuator(name: str) -> None:
    with pytest.raises(InputError, match=rf"adc\.{name} is .*only a DAC's output has an attenuator"):
        IDEAL.replace(**{f"adc__{name}": 2 if name == "attenuations" else 0.02})
