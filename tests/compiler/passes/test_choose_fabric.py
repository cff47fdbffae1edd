"""Which fabric: lambda* is exact, the scaling works, the reason says so."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.h_matrix import lambda_star
from thermograd.compiler.matrices import comparison_matrix
from thermograd.compiler.passes.choose_fabric import choose_fabric

from ...systems import passive, spd

IDEAL = preset("ideal")
NEEDS_AMPLIFIERS = np.full((3, 3), 0.9) + 0.1 * np.eye(3)


def test_comparison_matrix_by_hand():
    np.testing.assert_array_equal(comparison_matrix(np.array([[2.0, -1.0], [-1.0, 3.0]])), [[2, -1], [-1, 3]])
    np.testing.assert_array_equal(comparison_matrix(np.array([[2.0, 1.0], [1.0, 3.0]])), [[2, -1], [-1, 3]])


def test_lambda_star_by_hand():
    # M has eigenvalues 1 - 2 * 0.9 and 1.9 twice.
    assert lambda_star(NEEDS_AMPLIFIERS) == pytest.approx(0.8)
    assert lambda_star(np.eye(3)) == 0.0


@settings(max_examples=40)
@given(n=st.integers(4, 12), seed=st.integers(0, 999))
def test_lambda_star_is_the_least_damping_that_makes_the_matrix_passive(n, seed):
    a = spd(n, 100.0, seed)
    needed = lambda_star(a)
    assume(needed > 0)
    choose_fabric(a + 1.0001 * needed * np.eye(n), "dual_rail", IDEAL)
    with pytest.raises(UnrealisableError):
        choose_fabric(a + 0.9999 * needed * np.eye(n), "dual_rail", IDEAL)


@settings(max_examples=40)
@given(n=st.integers(1, 12), seed=st.integers(0, 999), margin=st.floats(1e-6, 1.0))
def test_the_scaling_leaves_a_positive_conductance_to_ground_in_every_row(n, seed, margin):
    a = passive(n, margin, seed)
    d = choose_fabric(a, "auto", IDEAL).scaling
    assert (d > 0).all()
    assert d.max() == 1.0
    assert (comparison_matrix(a * np.outer(d, d)).sum(axis=1) > 0).all()


def test_auto_is_passive_where_it_can_be():
    assert choose_fabric(np.array([[1.0, -0.5], [-0.5, 1.0]]), "auto", IDEAL).fabric.name == "rc"
    assert choose_fabric(np.array([[1.0, 0.5], [0.5, 1.0]]), "auto", IDEAL).fabric.name == "dual_rail"
    choice = choose_fabric(NEEDS_AMPLIFIERS, "auto", IDEAL)
    assert choice.fabric.name == "crossbar"
    np.testing.assert_array_equal(choice.scaling, 1.0)


def test_the_reason_holds_lambda_star_in_numbers():
    assert "lambda* = 0.8, 0.8 times the mean diagonal)" in choose_fabric(NEEDS_AMPLIFIERS, "auto", IDEAL).reason
    assert "it was asked for" in choose_fabric(np.eye(2), "crossbar", IDEAL).reason
    with pytest.raises(UnrealisableError, match=re.escape("lambda* = 0.8, 0.8 times the mean diagonal")):
        choose_fabric(NEEDS_AMPLIFIERS, "dual_rail", IDEAL)


def test_any_definite_matrix_finds_a_fabric():
    for n in range(1, 13):
        assert choose_fabric(spd(n, 1e4, n), "auto", IDEAL).lambda_star >= 0


@pytest.mark.parametrize("name", ["rx", "", None, 3, ["crossbar"]])
def test_an_unknown_fabric_lists_those_there_are(name):
    with pytest.raises(InputError, match=r"(is unknown|its name is needed).*auto, rc, dual_rail, crossbar"):
        choose_fabric(np.eye(2), name, IDEAL)


def test_auto_passes_over_fabrics_whose_amplifiers_the_technology_does_not_have():
    choice = choose_fabric(NEEDS_AMPLIFIERS, "auto", preset("breadboard"))
    assert choice.fabric.name == "crossbar_single"
    assert "not crossbar: its amplifiers need two outputs, and technology breadboard's have one" in choice.reason
    assert (
        choose_fabric(NEEDS_AMPLIFIERS, "auto", preset("breadboard").replace(opamp__outputs=2)).fabric.name
        == "crossbar"
    )
    # One output of a fully differential amplifier is as good as one.
    assert choose_fabric(NEEDS_AMPLIFIERS, "crossbar_single", IDEAL).fabric.name == "crossbar_single"


def test_passive_matrices_need_no_amplifiers_of_any_kind():
    choice = choose_fabric(np.array([[1.0, 0.5], [0.5, 1.0]]), "auto", preset("breadboard"))
    assert choice.fabric.name == "dual_rail"
    assert "amplifier" not in choice.reason


def test_a_differential_fabric_of_single_ended_amplifiers_says_what_to_do():
    for name in ("crossbar", "factored"):
        with pytest.raises(UnrealisableError, match="its amplifiers need two outputs") as raised:
            choose_fabric(NEEDS_AMPLIFIERS, name, preset("breadboard"))
        assert "use fabric='crossbar_single'" in str(raised.value)
        assert "set opamp.outputs to 2" in str(raised.value)
    with pytest.raises(UnrealisableError, match="use fabric='crossbar_single', which realises any sign"):
        choose_fabric(NEEDS_AMPLIFIERS, "dual_rail", preset("breadboard"))


def test_two_slices_of_single_ended_amplifiers_leave_no_fabric():
    technology = preset("integrated").replace(opamp__outputs=1, opamp__supply=1.0, resistors__slices=2)
    with pytest.raises(
        UnrealisableError, match=r"not crossbar: its amplifiers.*; not crossbar_single: it has one slice"
    ):
        choose_fabric(NEEDS_AMPLIFIERS, "auto", technology)


@pytest.mark.parametrize(
    ("fabric", "matrix", "said", "remedy"),
    [
        ("rc", NEEDS_AMPLIFIERS, "lambda* = 0.8", "use fabric='crossbar', which realises any sign"),
        ("dual_rail", NEEDS_AMPLIFIERS, "lambda* = 0.8", "add damping, or use fabric='crossbar', which realises"),
        ("lc", NEEDS_AMPLIFIERS, "lambda* = 0.8", "any sign, or 'oscillator', whose cells swing, too"),
        ("spu", NEEDS_AMPLIFIERS, "lambda* = 0.8", "any sign, or 'oscillator', whose cells swing, too"),
        ("rc", [[1.0, 0.5], [0.5, 1.0]], "[0, 1] = 0.5 is positive", "use fabric='dual_rail', which holds it as it is"),
        ("spu", [[1.0, 0.5], [0.5, 1.0]], "[0, 1] = 0.5 is positive", "use fabric='lc', which holds it as it is"),
    ],
)
def test_a_passive_fabric_names_lambda_star_and_the_fabric_that_can(fabric, matrix, said, remedy):
    with pytest.raises(UnrealisableError, match=re.escape(said)) as raised:
        choose_fabric(np.array(matrix), fabric, IDEAL)
    assert remedy in str(raised.value)
    # Of signs no damping makes them right.
    assert ("add damping" in str(raised.value)) == (fabric in ("dual_rail", "lc"))
    named = re.search(r"use fabric='(\w+)'", str(raised.value))
    assert choose_fabric(np.array(matrix), named[1], IDEAL).fabric.name == named[1]


def test_a_singular_matrix_needs_damping_of_any_size():
    laplacian = np.array([[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]])
    for fabric in ("rc", "lc", "spu"):
        with pytest.raises(UnrealisableError, match="singular; positive parts need some damping, however little"):
            choose_fabric(laplacian, fabric, IDEAL)
