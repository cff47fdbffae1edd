"""Nonlinearity of converters: what a bench would measure of them, and the law of the steps' errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.host.converters import Adc, Dac, step_of
from thermograd.devicemodel.host.nonlinearity import level_error, transition_error

DIE = Die(preset("ideal"), 5)
CHANNELS = 4000


def dac_levels(converter, channels=CHANNELS, die=DIE):
    """Output of every code, (codes, channels) V, as a bench would step through them."""
    nominal = (np.arange(2**converter.bits) - 2**converter.bits / 2 + 0.5) * step_of(converter)
    return np.array([Dac(converter, die).convert(np.full(channels, volts)) for volts in nominal])


def adc_transitions(converter, channels, die=DIE):
    """Input at which each code is first met, (codes - 1, channels) V, by bisection on the converter's answers."""
    adc, rng, step = Adc(converter, die), np.random.default_rng(0), step_of(converter)
    found = []
    for code in range(1, 2**converter.bits):
        low, high = np.full(channels, -2 * converter.full_scale), np.full(channels, 2 * converter.full_scale)
        for _ in range(50):
            middle = (low + high) / 2
            met = adc.convert(middle, rng).volts > (code - 2**converter.bits / 2) * step
            low, high = np.where(met, low, middle), np.where(met, middle, high)
        found.append(high)
    return np.array(found)


def integral(levels, step):
    """INL by endpoint fit, (levels, channels) LSB."""
    share = np.linspace(0, 1, len(levels))[:, None]
    return (levels - levels[0] - share * (levels[-1] - levels[0])) / step


def misfit(errors, covariance):
    """Largest deviation of the mean square products of (levels, channels) from a law (levels, levels), in standard errors."""
    seen, m = errors @ errors.T / errors.shape[1], errors.shape[1]
    variance = (np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / m  # Isserlis
    return np.abs((seen - covariance) / np.sqrt(variance + 1e-30)).max()


def bridge(steps, dnl):
    k = np.arange(1, steps)
    return dnl**2 * np.minimum.outer(k, k) * (steps - np.maximum.outer(k, k)) / steps


def test_the_errors_of_a_dacs_levels_are_a_brownian_bridge():
    converter = Converter(bits=5, dnl=0.05)
    error = integral(dac_levels(converter), step_of(converter))[1:-1]
    # 465 products, the largest of as many normal deviates: below 4.5 with probability 0.997.
    assert misfit(error, bridge(31, 0.05)) < 4.5
    assert np.abs(error.mean(axis=1) / np.sqrt(np.diag(bridge(31, 0.05)) / CHANNELS)).max() < 4
    # Negative controls: 10 % more, one step more, errors that do not add up, and a walk that is not tied down.
    for wrong in (bridge(31, 0.055), bridge(41, 0.05)[:30, :30], np.diag(np.diag(bridge(31, 0.05))) + 1e-12):
        assert misfit(error, wrong) > 6
    k = np.arange(1, 31)
    assert misfit(error, 0.05**2 * np.minimum.outer(k, k)) > 6


def test_the_errors_of_an_adcs_transitions_are_a_brownian_bridge():
    converter = Converter(bits=4, dnl=0.05)
    error = integral(adc_transitions(converter, 1500), step_of(converter))[1:-1]
    assert misfit(error, bridge(14, 0.05)) < 4.5
    assert misfit(error, bridge(14, 0.06)) > 6
    assert misfit(error, bridge(15, 0.05)[:13, :13] * 1.2) > 6


def test_the_differential_nonlinearity_is_what_was_asked_for():
    converter = Converter(bits=6, dnl=0.2)
    dnl = np.diff(integral(dac_levels(converter, 500), step_of(converter)), axis=0)
    # 63 * 500 squares of normal deviates, with one constraint a channel.
    assert np.mean(dnl**2) == pytest.approx(0.2**2 * (1 - 1 / 63), rel=4 * np.sqrt(2 / dnl.size))
    assert abs(np.mean(dnl**2) / 0.22**2 - 1) > 10 * np.sqrt(2 / dnl.size)


@settings(max_examples=40)
@given(bits=st.integers(1, 24), inl=st.floats(0, 0.1), dnl=st.floats(0, 1.0), seed=st.integers(0, 2**40))
def test_both_ends_of_the_range_are_true(bits, inl, dnl, seed):
    converter, die = Converter(bits=bits, inl=inl, dnl=dnl, full_scale=2.0), Die(DIE.technology, seed)
    ends = np.array([-2.0, 2.0, -2.0])
    np.testing.assert_allclose(Dac(converter, die).convert(ends), ends, rtol=1e-12)
    np.testing.assert_array_equal(level_error(np.array([0, 2**bits - 1]), converter, die), 0.0)
    np.testing.assert_array_equal(transition_error(np.array([1, 2**bits - 1]), converter, die), 0.0)
    read = Adc(converter, die).convert(1.5 * ends, np.random.default_rng(0))
    np.testing.assert_allclose(read.volts, ends, rtol=1e-12)


def test_the_smooth_part_is_a_bow_and_an_s_of_the_size_asked_for():
    converter = Converter(inl=0.01)
    u = np.linspace(-1, 1, 41)
    curves = np.array([Dac(converter, DIE).convert(np.full(CHANNELS, v)) - v for v in u])
    shapes = np.stack([1 - u**2, 1.5 * np.sqrt(3) * u * (1 - u**2)], axis=1)
    assert np.abs(shapes).max(axis=0) == pytest.approx(1.0, abs=3e-3)
    sizes, left, *_ = np.linalg.lstsq(shapes, curves, rcond=None)
    assert np.abs(left).max() < 1e-20
    np.testing.assert_allclose(sizes.std(axis=1), 0.01, rtol=4 / np.sqrt(2 * CHANNELS))
    assert abs(np.corrcoef(sizes)[0, 1]) < 4 / np.sqrt(CHANNELS)
    # Negative control: without the S the curves are not explained.
    assert np.linalg.lstsq(shapes[:, :1], curves, rcond=None)[1].min() > 1e-10


def test_an_adc_reads_the_inverse_of_its_curve():
    converter, rng = Converter(bits=16, inl=0.01), np.random.default_rng(1)
    volts = rng.uniform(-0.99, 0.99, 200)
    even, odd = DIE.deviates("adc_inl", (2, 200))
    curve = 0.01 * (even + 1.5 * np.sqrt(3) * odd * volts) * (1 - volts**2)
    np.testing.assert_allclose(Adc(converter, DIE).convert(volts, rng).volts, volts - curve, atol=step_of(converter))


def test_a_channels_nonlinearity_is_its_own_whatever_the_number_of_channels():
    converter = Converter(bits=12, inl=1e-3, dnl=0.3)
    few, many = (
        dac_levels(converter.model_copy(update={"bits": 6}), 3),
        dac_levels(converter.model_copy(update={"bits": 6}), 7),
    )
    np.testing.assert_array_equal(few, many[:, :3])
    other = Die(DIE.technology, 6)
    volts = np.full(4, 0.1)
    assert np.abs(Dac(converter, DIE).convert(volts) - Dac(converter, other).convert(volts)).min() > 0
    np.testing.assert_array_equal(
        Dac(converter, Die(DIE.technology, None)).convert(volts),
        Dac(Converter(bits=12), DIE).convert(volts),
    )


def test_steps_as_unequal_as_they_are_large_cost_an_adc_codes():
    fine, coarse = (Converter(bits=6, dnl=dnl) for dnl in (0.05, 1.0))
    ramp = np.linspace(-1, 1, 4000)

    def codes(converter):
        adc, rng = Adc(converter, DIE), np.random.default_rng(0)
        return len(np.unique([adc.convert(np.full(1, v), rng).volts[0] for v in ramp]))

    assert codes(fine) == 64
    assert codes(coarse) < 60


def test_clipping_is_reported():
    adc, rng = Adc(Converter(bits=8, dnl=0.1, inl=1e-3), DIE), np.random.default_rng(0)
    assert not adc.convert(np.array([0.3, -1.0]), rng).clipped
    assert adc.convert(np.array([0.3, -1.01]), rng).clipped
    assert not Dac(Converter(bits=8), DIE).clips(np.array([1.0, -1.0]))
    assert Dac(Converter(bits=8), DIE).clips(np.array([0.0, 1.001]))
    # The offset counts: a voltage within the range may be read as one beyond it.
    assert Adc(Converter(bits=8, offset=0.1), DIE).convert(np.array([1.0, -1.0, 1.0, -1.0]), rng).clipped


def test_steps_without_codes_are_rejected():
    with pytest.raises(InputError, match="dnl is the scatter of the steps between codes"):
        Technology(dac=Converter.model_construct(dnl=0.1).model_dump())
    with pytest.raises(InputError, match=r"adc\.dnl"):
        Technology(adc={"bits": 8, "dnl": -0.1})
