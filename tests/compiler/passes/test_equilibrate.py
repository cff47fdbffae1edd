"""Jacobi scaling of active fabrics: the same problem, in a narrower range of conductances."""

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.compiler.passes.verify import verify

from ...systems import passive, spd


def graded(n, seed):
    """A matrix whose diagonal spans four decades."""
    d = np.logspace(0, -2, n)
    return spd(n, 5.0, seed) * np.outer(d, d)


def spread(program):
    conductances = program.parts.coupling[program.parts.coupling > 0]
    return conductances.max() / conductances.min()


@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single", "oscillator"])
def test_the_same_matrix_is_realised_with_less_spread(fabric):
    a, b = graded(6, 1), np.arange(1.0, 7.0)
    plain, scaled = (compile_matrix(a, fabric, b=b, equilibrate=flag) for flag in (False, True))
    np.testing.assert_allclose(scaled.matrix, a, rtol=1e-9, atol=1e-12)
    assert spread(scaled) < spread(plain) / 100
    assert verify(scaled) < 1e-9
    np.testing.assert_allclose(scaled.scaling, np.diag(a) ** -0.5 / np.max(np.diag(a) ** -0.5))


def test_codes_of_few_bits_hold_it_much_better():
    technology = preset("ideal").replace(resistors__bits=8)
    d = np.logspace(0, -0.8, 6)
    plain, scaled = (
        np.median(
            [
                compile_matrix(
                    spd(6, 5.0, seed) * np.outer(d, d), "crossbar", technology, equilibrate=flag
                ).report.solution_error
                for seed in range(9)
            ]
        )
        for flag in (False, True)
    )
    assert scaled < plain / 3


@pytest.mark.parametrize("fabric", ["rc", "dual_rail"])
def test_a_passive_fabric_asked_for_raises(fabric):
    with pytest.raises(
        InputError,
        match=f"equilibrate=True .* fabric {fabric} is passive .*leave equilibrate out, or use fabric='crossbar'",
    ):
        compile_matrix(np.diag([2.0, 1.0]), fabric, equilibrate=True)
    compile_matrix(np.diag([2.0, 1.0]), fabric)


def test_a_passive_fabric_that_auto_chooses_keeps_its_own_scaling_and_says_so():
    a = passive(4, 0.3, 1)
    one, other = (compile_matrix(a, equilibrate=flag) for flag in (False, True))
    assert not fabric_named(other.fabric_name).active
    np.testing.assert_array_equal(one.scaling, other.scaling)
    assert other.reason == f"{one.reason}; its scaling is its own, not equilibrated"


def test_an_active_fabric_that_auto_chooses_is_equilibrated_and_says_nothing():
    a = spd(6, 50.0, 2)
    one, other = (compile_matrix(a, equilibrate=flag) for flag in (False, True))
    assert fabric_named(other.fabric_name).active
    assert not np.array_equal(one.scaling, other.scaling)
    assert len({each.reason.split("; oscillator")[0] for each in (one, other)}) == 1
