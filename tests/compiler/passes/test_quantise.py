"""Rounding of the parts: codes and preferred numbers."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.technology.parts import Resistors
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.compiler.passes.quantise import code_step, nearest, quantise, smallest_code

from ...systems import passive


def parts_of(n, seed, fabric="dual_rail", unit=1e3):
    technology = preset("ideal").replace(resistors__unit=unit)
    parts, _ = fabric_named(fabric).place(
        passive(n, 0.3, seed) * 0.9 ** np.add.outer(range(n), range(n)), np.ones(n), technology
    )
    return parts


@settings(max_examples=40)
@given(
    n=st.integers(1, 8),
    seed=st.integers(0, 99),
    bits=st.integers(1, 16),
    fabric=st.sampled_from(["dual_rail", "crossbar", "crossbar_single"]),
)
def test_codes_are_the_nearest_multiples_of_a_step(n, seed, bits, fabric):
    parts = parts_of(n, seed, fabric, unit=1e4)
    rounded = quantise(parts, Resistors(unit=1e4, bits=bits))
    step = 1e-4 / (2**bits - 1)
    for name in ("coupling", "ground", "drive"):
        codes = getattr(rounded, name) / step
        np.testing.assert_allclose(codes, np.round(codes), atol=1e-6)
        assert (np.abs(getattr(rounded, name) - getattr(parts, name)) <= step / 2 * (1 + 1e-9)).all()
        assert codes.max() <= 2**bits - 1 + 1e-6


@settings(max_examples=40)
@given(
    n=st.integers(1, 8), seed=st.integers(0, 99), fabric=st.sampled_from(["dual_rail", "crossbar", "crossbar_single"])
)
def test_a_series_rounds_by_ratio_and_loses_no_part(n, seed, fabric):
    parts = parts_of(n, seed, fabric)
    rounded = quantise(parts, Resistors(series="E12"))
    for name in ("coupling", "ground", "drive"):
        before, after = getattr(parts, name), getattr(rounded, name)
        np.testing.assert_array_equal(after > 0, before > 0)
        # Half of the widest gap of E12, 1.2 to 1.5, is a factor sqrt(1.25).
        assert (np.abs(np.log(after[after > 0] / before[before > 0])) <= np.log(1.25) / 2 + 1e-12).all()


def test_both_rails_are_rounded_alike():
    rounded = quantise(parts_of(6, 1), Resistors(bits=3))
    np.testing.assert_array_equal(rounded.coupling[0], rounded.coupling[1])


def test_a_coupling_below_half_a_step_disappears():
    parts, step = parts_of(3, 1), 1e-3 / 7
    for share, left in ((0.49, 0.0), (0.51, step)):
        weak = dataclasses.replace(parts, coupling=np.where(parts.polarity, share * step, np.zeros((2, 3, 3))))
        np.testing.assert_allclose(
            quantise(weak, Resistors(bits=3)).coupling, np.where(parts.polarity, left, np.zeros((2, 3, 3))), rtol=1e-12
        )


def test_without_a_series_or_bits_nothing_changes():
    parts = parts_of(4, 2)
    assert quantise(parts, Resistors()) is parts


@pytest.mark.parametrize("resistors", [Resistors(bits=8), Resistors(series="E96")])
def test_rounding_twice_is_rounding_once(resistors):
    once = quantise(parts_of(5, 3), resistors)
    np.testing.assert_allclose(quantise(once, resistors).coupling, once.coupling, rtol=1e-12)


@settings(max_examples=40)
@given(bits=st.integers(1, 12), on_off=st.floats(1.5, 1e4), shares=st.lists(st.floats(0.0, 1.0), min_size=1))
def test_with_an_on_off_ratio_codes_run_from_the_smallest_conductance_to_the_units(bits, on_off, shares):
    resistors = Resistors(unit=1e4, bits=bits, on_off=on_off)
    largest, smallest = 1e-4, 1e-4 / on_off
    wanted = largest * np.array(shares)
    found = nearest(wanted, resistors)
    codes = np.append(0.0, smallest + np.arange(2**bits) / (2**bits - 1) * (largest - smallest))
    np.testing.assert_allclose(
        [smallest_code(resistors), smallest + (2**bits - 1) * code_step(resistors)], codes[[1, -1]]
    )
    # Every result is a code, and no code is nearer.
    distance = np.abs(codes[None, :] - wanted[:, None])
    np.testing.assert_allclose(np.abs(found - wanted), distance.min(axis=1), atol=1e-9 * largest)
    np.testing.assert_allclose(np.abs(codes[None, :] - found[:, None]).min(axis=1), 0.0, atol=1e-9 * largest)
    np.testing.assert_array_equal(found == 0, wanted < smallest / 2)
