"""Calibration's regressions: parameters put into synthetic data come out again, with honest uncertainties."""

import dataclasses

import numpy as np
import pytest

from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.devicemodel.calibration.fitting import (
    Conversion,
    Observation,
    fit_converter,
    fit_law,
    fit_noise,
    parameters_of,
)
from thermograd.devicemodel.devices.cell_law import propagate
from thermograd.devicemodel.host.converters import Adc, Dac
from thermograd.devicemodel.host.probe import Probe

from ...systems import passive, spd, true_card

TECHNOLOGY = preset("integrated").replace(resistors__bits=None)
TRUTH = {"gain": 1.01, "leak": 8e-4, "lag": 4e-10, "mismatch": 0.013, "capacitor_mismatch": 0.007, "offset": 8e-4}


def observations(fabric, noise=0.0, seed=0, count=8, technology=TECHNOLOGY):
    """Probes of dies that behave by the law with `TRUTH`, read with a relative error `noise`."""
    rng = np.random.default_rng(seed)
    amplifiers = {} if fabric == "crossbar" else {"leak": 0.0, "lag": 0.0}
    card = true_card(technology, fabric, **TRUTH | amplifiers)
    found = []
    for k in range(count):
        n = 4 + 2 * (k % 4)
        a = passive(n, 0.3, k) if fabric == "dual_rail" else spd(n, 20.0, k)
        nominal, die = lay_out(a, fabric, technology), Die(technology, 1 + k % 3)
        per_volt = nominal.parts.drive_nominal or 1 / technology.resistors.unit
        driven, start = rng.uniform(-0.5, 0.5, n), rng.uniform(-0.1, 0.1, n)
        duration = (1.0, 20.0)[k % 2]
        program = nominal.on(die, TRUTH["mismatch"], TRUTH["capacitor_mismatch"], TRUTH["offset"])
        end, _ = propagate(program, driven * per_volt, start, duration, card, noisy=False)
        end = end + noise * np.sqrt(np.mean(end**2)) * rng.standard_normal(n)
        found.append(Observation(nominal, die, Probe(driven, driven, start, end, end, duration, 1.0), k))
    return found


def blank(fabric, technology=TECHNOLOGY):
    return true_card(technology, fabric, leak=0.0, lag=0.0, mismatch=0.0, capacitor_mismatch=0.0, offset=0.0)


@pytest.mark.parametrize("fabric", ["crossbar", "dual_rail"])
def test_parameters_of_perfect_data_are_found_exactly(fabric):
    fitted, unidentifiable = fit_law(blank(fabric), observations(fabric))
    assert unidentifiable == ()
    assert set(fitted) == set(parameters_of(fabric_named(fabric)))
    for name, estimate in fitted.items():
        assert estimate.value == pytest.approx(TRUTH[name], rel=1e-4), name


@pytest.mark.parametrize("fabric", ["crossbar", "dual_rail"])
def test_lot_and_gradient_are_not_taken_for_mismatch(fabric):
    technology = TECHNOLOGY.replace(
        resistors__die_to_die=0.15, resistors__gradient=0.05, capacitors__die_to_die=0.1, capacitors__gradient=0.05
    )
    seen = observations(fabric, technology=technology)
    for name, estimate in fit_law(blank(fabric, technology), seen)[0].items():
        assert estimate.value == pytest.approx(TRUTH[name], rel=1e-4), name
    # Negative control: fitted to dies of a technology without them.
    without = [
        dataclasses.replace(
            item,
            nominal=lay_out(item.nominal.target, fabric, TECHNOLOGY),
            die=Die(TECHNOLOGY, item.die.seed),
        )
        for item in seen
    ]
    fitted, _ = fit_law(blank(fabric), without)
    assert any(abs(fitted[name].value / TRUTH[name] - 1) > 0.1 for name in fitted)


def test_parameters_of_noisy_data_are_found_within_their_uncertainties():
    within = []
    for seed in range(3):
        fitted, _ = fit_law(blank("crossbar"), observations("crossbar", noise=1e-3, seed=seed))
        for name, estimate in fitted.items():
            within.append([low <= TRUTH[name] <= high for low, high in map(estimate.interval, (0.683, 0.999))])
            assert 1.0 <= estimate.degrees_of_freedom <= 8.0, name
    # 18 estimates, of which six come from one run of the errors: binomial to four standard errors.
    inside, nearly_all = np.sum(within, axis=0)
    assert inside >= 12.3 - 4 * np.sqrt(18 * 0.683 * 0.317)
    assert nearly_all >= 17


def test_what_the_runs_cannot_tell_is_said():
    """Readings at rest hold neither the bandwidth nor the capacitors; without deviates there is no mismatch or offset to see."""
    late = [item for item in observations("crossbar") if item.probe.duration > 10]
    rested = [dataclasses.replace(item, probe=dataclasses.replace(item.probe, duration=np.inf)) for item in late]
    _, unidentifiable = fit_law(blank("crossbar"), rested)
    assert sorted(unidentifiable) == [
        "capacitor_mismatch: not identified by these runs",
        "lag: not identified by these runs",
    ]
    same = [dataclasses.replace(item, die=Die(TECHNOLOGY, None)) for item in observations("crossbar")]
    _, unidentifiable = fit_law(blank("crossbar"), same)
    assert {text.split(":")[0] for text in unidentifiable} >= {"mismatch", "capacitor_mismatch", "offset"}
    assert fit_law(blank("crossbar"), observations("crossbar"))[1] == ()


def test_the_parts_of_the_wrong_dies_explain_no_mismatch():
    # Negative control: with other dies' deviates the pattern is not there to be found.
    mixed = [dataclasses.replace(item, die=Die(TECHNOLOGY, 50 + k)) for k, item in enumerate(observations("crossbar"))]
    fitted, _ = fit_law(blank("crossbar"), mixed)
    assert abs(fitted["mismatch"].value) < 0.6 * TRUTH["mismatch"]
    assert fitted["mismatch"].std > 1e-3


@pytest.mark.parametrize("power", [1.0, 1.3])
def test_noise_power_is_the_ratio_to_the_law(power):
    rng, pairs = np.random.default_rng(2), []
    for k in range(60):
        law = 1e-8 * spd(6, 30.0, k)
        pairs.append((np.linalg.cholesky(power * law) @ rng.standard_normal((6, 200)), law))
    fitted = fit_noise(pairs)
    # A standard deviation of 60 waveforms has a relative error of 1 / sqrt(2 * 59).
    assert fitted.std == pytest.approx(power * np.sqrt(2 / 72_000), rel=4 / np.sqrt(118))
    assert fitted.degrees_of_freedom == 59
    assert abs(fitted.value - power) < 4 * fitted.std


def test_noise_that_is_ten_percent_off_is_seen():
    law, rng = 1e-8 * np.eye(6), np.random.default_rng(3)
    fitted = fit_noise([(np.sqrt(1.1e-8) * rng.standard_normal((6, 500)), law) for _ in range(12)])
    assert fitted.interval(0.9999)[0] > 1.0


def test_noise_that_lasts_over_a_waveform_is_in_the_error():
    """Power that scatters by 10 % from waveform to waveform, as 1/f noise makes it."""
    law, rng = np.eye(4), np.random.default_rng(4)
    powers = 1 + 0.1 * rng.standard_normal(30)
    fitted = fit_noise([(np.sqrt(power) * rng.standard_normal((4, 5000)), law) for power in powers])
    assert fitted.std == pytest.approx(0.1 / np.sqrt(30), rel=4 / np.sqrt(58))
    # Negative control: samples that count as independent would claim six times less.
    assert fitted.std > 4 * np.sqrt(2 / 600_000)


@pytest.mark.parametrize("kind", ["dac", "adc"])
@pytest.mark.parametrize("bits", [None, 8])
def test_converter_errors_are_found_again(kind, bits):
    truth = Converter(bits=bits, gain_error=5e-3, offset=3e-3, noise=4e-3 if kind == "adc" else 0.0)
    rng, readings = np.random.default_rng(4), []
    for seed in range(1, 30):
        die = Die(TECHNOLOGY, seed)
        volts = rng.uniform(-0.9, 0.9, (4, 12))
        device = Dac(truth, die) if kind == "dac" else Adc(truth, die)
        out = np.array([device.convert(v) if kind == "dac" else device.convert(v, rng)[0] for v in volts])
        readings.append(Conversion(die, volts, out, np.ones(4)))
    found = fit_converter(Converter(bits=bits), kind, readings)
    # 1392 readings of scatter s (rounding and noise), volts of rms 0.5: an offset is known to s / sqrt(1392), a gain
    # to twice that.
    scatter = np.sqrt(truth.noise**2 + (0 if bits is None else (2 / 255) ** 2 / 12))
    error = scatter / np.sqrt(1392)
    assert found.gain_error == pytest.approx(truth.gain_error, abs=4 * 2 * error + 1e-9)
    assert found.offset == pytest.approx(truth.offset, abs=4 * error + 1e-9)
    assert found.noise == pytest.approx(truth.noise, rel=0.12, abs=1e-9)
    assert found.bits == bits


def test_readings_beyond_the_full_scale_are_not_fitted():
    die = Die(TECHNOLOGY, 1)
    volts = np.array([[0.5, -0.5, 3.0, 0.2]])
    out = np.clip(volts, -1, 1)
    found = fit_converter(Converter(), "adc", [Conversion(die, volts, out, np.ones(1))])
    assert (found.gain_error, found.offset, found.noise) == pytest.approx((0, 0, 0), abs=1e-9)


@pytest.mark.parametrize("kind", ["dac", "adc"])
def test_nonlinearity_is_found_again_and_not_taken_for_noise(kind):
    truth = Converter(bits=8, gain_error=5e-3, offset=3e-3, inl=6e-3, dnl=0.2, noise=4e-3 if kind == "adc" else 0.0)
    rng, readings = np.random.default_rng(4), []
    for seed in range(1, 30):
        die = Die(TECHNOLOGY, seed)
        volts = rng.uniform(-0.9, 0.9, (4, 12))
        device = Dac(truth, die) if kind == "dac" else Adc(truth, die)
        out = np.array([device.convert(v) if kind == "dac" else device.convert(v, rng)[0] for v in volts])
        readings.append(Conversion(die, volts, out, np.ones(4)))
    sheet = Converter(bits=8, inl=1e-3, dnl=0.01)
    found = fit_converter(sheet, kind, readings)
    # The curve is as large as an offset; a bridge's rms over the range is sqrt(255 / 6) dnl LSB, 5 % of the volts.
    scatter = np.sqrt(truth.noise**2 + (2 / 255) ** 2 / 12 * (1 + 12 * 0.2**2)) / np.sqrt(1392)
    assert found.inl == pytest.approx(truth.inl, abs=4 * 2 * scatter)
    assert found.dnl == pytest.approx(truth.dnl, abs=4 * scatter / (np.sqrt(255 / 6) * 2 / 255))
    assert found.noise == pytest.approx(truth.noise, rel=0.15, abs=1e-3)
    # Negative control: a fit that does not look for it sees noise instead.
    assert fit_converter(Converter(bits=8), kind, readings).noise > 1.5 * max(truth.noise, 3e-3)
