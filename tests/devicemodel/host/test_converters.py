"""Converters: the quantiser's law, its limits, and the errors of a die."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.host.converters import Adc, Dac, code_of, quantise, step_of

IDEAL = preset("ideal")
converters = st.builds(Converter, bits=st.none() | st.integers(1, 20), full_scale=st.floats(1e-2, 100.0))
voltages = st.lists(st.floats(-300, 300), min_size=1, max_size=20).map(np.array)


def rng():
    return np.random.default_rng(3)


@settings(max_examples=60)
@given(converters, voltages)
def test_the_error_is_half_a_step_inside_the_range_and_the_output_never_leaves_it(converter, volts):
    out = quantise(volts, converter)
    assert (np.abs(out) <= converter.full_scale * (1 + 1e-12)).all()
    inside = np.abs(volts) <= converter.full_scale
    assert (np.abs(out - volts)[inside] <= step_of(converter) / 2 + 1e-9 * converter.full_scale).all()
    np.testing.assert_allclose(np.abs(out[~inside]), converter.full_scale, rtol=1e-12)


@settings(max_examples=60)
@given(converters, voltages)
def test_a_quantiser_is_odd_monotonic_and_idempotent(converter, volts):
    out = quantise(volts, converter)
    np.testing.assert_allclose(quantise(out, converter), out, rtol=1e-12, atol=1e-12)
    order = np.argsort(volts)
    assert (np.diff(out[order]) >= 0).all()
    levels = volts / (step_of(converter) or 1.0)
    away = np.abs(levels - np.round(levels)) > 1e-6  # a decision level may go either way
    np.testing.assert_allclose(quantise(-volts, converter)[away], -out[away], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
def test_a_converter_has_two_to_the_bits_codes(bits):
    out = quantise(np.linspace(-1.2, 1.2, 20_001), Converter(bits=bits))
    assert len(np.unique(np.round(out, 12))) == 2**bits
    assert out.min() == -1
    assert out.max() == 1


def test_rounding_noise_has_variance_step_squared_over_twelve():
    converter = Converter(bits=8)
    volts = rng().uniform(-0.99, 0.99, 40_000)
    error = (quantise(volts, converter) - volts) / step_of(converter)
    # The square of a uniform error has relative standard deviation sqrt(4/5): over 40,000 draws 0.45 %; four of them.
    assert 12 * np.mean(error**2) == pytest.approx(1.0, abs=0.018)
    assert abs(error.mean()) < 4 * np.sqrt(1 / 12 / 40_000)


def test_the_test_above_sees_a_bit_less():
    volts = rng().uniform(-0.99, 0.99, 40_000)
    error = (quantise(volts, Converter(bits=7)) - volts) / step_of(Converter(bits=8))
    assert 12 * np.mean(error**2) > 3.9


def test_without_errors_a_converter_is_a_wire():
    volts = np.array([0.3, -0.7, 0.0])
    np.testing.assert_array_equal(Dac(Converter(), Die(IDEAL, 4)).convert(volts), volts)
    np.testing.assert_array_equal(Adc(Converter(), Die(IDEAL, 4)).convert(volts, rng())[0], volts)


@pytest.mark.parametrize("kind", [Dac, Adc])
def test_gain_and_offsets_belong_to_the_die(kind):
    converter = Converter(gain_error=0.01, offset=1e-3)
    volts = np.linspace(-0.9, 0.9, 7)

    def out(seed):
        device = kind(converter, Die(IDEAL, seed))
        return device.convert(volts) if kind is Dac else device.convert(volts, rng())[0]

    np.testing.assert_array_equal(out(1), out(1))
    die, name = Die(IDEAL, 1), kind.__name__.lower()
    gain, offset = die.deviates(f"{name}_gain", (1, 1))[0, 0], die.deviates(f"{name}_offset", (1, 7))[0]
    np.testing.assert_allclose(out(1), (1 + 0.01 * gain) * volts + 1e-3 * offset, atol=1e-15)
    assert np.abs(out(1) - out(2)).min() > 0
    np.testing.assert_array_equal(out(None), volts)


def test_conversion_noise_is_drawn_anew_and_has_its_variance():
    adc, generator = Adc(Converter(noise=1e-2), Die(IDEAL, None)), rng()
    read = np.array([adc.convert(np.zeros(100), generator)[0] for _ in range(100)])
    assert read.std() == pytest.approx(1e-2, rel=4 / np.sqrt(2 * 10_000))
    assert np.abs(np.corrcoef(read[0], read[1])[0, 1]) < 0.4


@settings(max_examples=60)
@given(peak=st.floats(1e-9, 5.0), most=st.floats(1.0, 4096.0))
def test_the_amplifiers_gain_is_the_largest_power_of_two_inside_the_range(peak, most):
    gain = Adc(Converter(max_gain=most), Die(IDEAL, None)).gain_for(np.array([0.1 * peak, -peak]))
    assert np.log2(gain) == int(np.log2(gain))
    assert 1 <= gain <= most
    assert gain == 1 or gain * peak <= 1
    assert 2 * gain > most or 2 * gain * peak > 1


def test_gain_before_the_adc_makes_its_step_finer():
    coarse, fine = (Adc(Converter(bits=8, max_gain=g), Die(IDEAL, None)) for g in (1, 64))
    volts = rng().uniform(-0.01, 0.01, 2000)
    errors = [np.std(adc.convert(volts, rng())[0] - volts) for adc in (coarse, fine)]
    # 64 times finer; the coarse one has only three steps in the signal, so its error is uniform to some 10 % only.
    assert errors[0] / errors[1] == pytest.approx(64, rel=0.2)


def test_no_signal_needs_no_gain():
    assert Adc(Converter(max_gain=64), Die(IDEAL, None)).gain_for(np.zeros(3)) == 1.0


@pytest.mark.parametrize("dnl", [0.0, 0.3])
@pytest.mark.filterwarnings("error")
def test_nan_is_no_code(dnl):
    technology = preset("integrated")
    converter = technology.adc.model_copy(update={"dnl": dnl})
    volts, die = np.array([0.1, np.nan, -0.1]), Die(technology, 1)
    read = Adc(converter, die).convert(volts, rng()).volts
    assert np.isnan(read).tolist() == [False, True, False]
    assert np.isnan(Dac(converter, die).convert(volts)).tolist() == [False, True, False]
    with pytest.raises(InputError, match=r"volts\[1\] is nan"):
        code_of(volts, converter)
