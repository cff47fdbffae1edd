"""The compiler as a whole: a definite matrix becomes a circuit that solves it, anything else an error that names it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, compile_system, lay_out
from thermograd.compiler.linear_system import FactoredSystem, LinearSystem

from ..systems import built_for, passive, spd
from .oracle import operating_point

IDEAL_GAIN = 1e8  # what the netlist writes for an infinite one


@st.composite
def systems(draw):
    """(A, b, fabric): A of mixed signs and condition up to 1e4, in any units, and a fabric that can hold it."""
    n, seed = draw(st.integers(1, 12)), draw(st.integers(0, 10**6))
    units = 10.0 ** draw(st.integers(-12, 12))
    fabric = draw(st.sampled_from(["dual_rail", "crossbar", "auto"]))
    condition = 10.0 ** draw(st.floats(0, 4))
    a = passive(n, 1.0 / condition, seed) if fabric == "dual_rail" else spd(n, condition, seed)
    return units * a, np.random.default_rng(seed).standard_normal(n), fabric


@settings(max_examples=40)
@given(systems())
def test_the_circuit_solves_the_system(system):
    a, b, fabric = system
    program = compile_matrix(a, fabric, b=b)
    x, exact = program.decode(operating_point(program.to_spice(b))), np.linalg.solve(a, b)
    # First-order error of amplifiers of gain A0: |A^-1 D x| / A0; besides, rounding times the condition number.
    load = np.abs(a).sum(axis=1) + np.abs(a).max()
    bound = (
        1.1 * np.linalg.norm(np.linalg.solve(a, load * exact)) / IDEAL_GAIN if program.fabric_name == "crossbar" else 0
    )
    assert np.linalg.norm(x - exact) <= bound + 1e-13 * np.linalg.cond(a) * len(b) * np.linalg.norm(exact)


@settings(max_examples=15)
@given(systems(), st.sampled_from(["breadboard", "integrated"]))
def test_a_rounded_circuit_solves_its_own_matrix_or_is_rejected(system, technology):
    a, b, fabric = system
    try:
        program = compile_matrix(a, fabric, built_for(fabric, technology), b=b)
    except UnrealisableError as error:
        message = str(error)
        assert "rounded to" in message
        return
    x = program.decode(operating_point(program.to_spice(b)))
    exact = np.linalg.solve(program.matrix, b)
    assert np.linalg.norm(x - exact) <= 1e-11 * np.linalg.cond(program.matrix) * np.linalg.norm(exact)


@settings(max_examples=15)
@given(systems())
def test_no_solution_voltage_passes_the_planned_share_of_the_rail(system):
    a, b, fabric = system
    program = compile_matrix(
        a, fabric, "integrated" if fabric == "auto" else "ideal", damping=0.1 * np.abs(a).max(), b=b
    )
    y = np.linalg.solve(program.target, b) / program.scaling * program.volts_per_unit
    assert np.abs(y).max() <= 0.5 * program.technology.opamp.output_limit * (1 + 1e-9)
    if program.fabric_name == "crossbar":
        sources = program.currents(b) / program.parts.drive_nominal
        assert np.abs(sources).max() <= program.technology.dac.full_scale * (1 + 1e-9)


def test_without_a_right_hand_side_every_one_of_unit_norm_is_safe():
    a = spd(6, 30.0, 5)
    program = compile_matrix(a, "crossbar")
    b = np.random.default_rng(0).standard_normal((6, 500))
    y = np.linalg.solve(a, b / np.linalg.norm(b, axis=0)) * program.volts_per_unit
    assert 0.3 < np.abs(y).max() <= 0.5 + 1e-9


def test_damping_is_solved_with():
    a, b = spd(4, 1e3, 1), np.ones(4)
    program = compile_matrix(a, damping=2.0, b=b)
    np.testing.assert_allclose(
        program.decode(operating_point(program.to_spice(b))), np.linalg.solve(a + 2 * np.eye(4), b), rtol=1e-4
    )
    assert program.report.damping == 2.0


def test_damping_by_lambda_star_makes_the_matrix_passive():
    a = spd(6, 50.0, 4)
    needed = compile_matrix(a).lambda_star
    assert needed > 0
    assert compile_matrix(a, damping=needed * 1.001).fabric_name == "dual_rail"
    assert compile_matrix(a, damping=needed * 0.999).fabric_name == "crossbar"


def test_a_drive_of_zero_is_legal():
    program = compile_matrix(np.eye(3), b=np.zeros(3))
    np.testing.assert_array_equal(program.decode(operating_point(program.to_spice(np.zeros(3)))), np.zeros(3))


def test_laying_out_and_compiling_give_the_same_parts():
    a = spd(5, 20.0, 3)
    np.testing.assert_array_equal(
        lay_out(a, "auto", preset("integrated")).parts.coupling,
        compile_matrix(a, technology="integrated").parts.coupling,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"matrix": np.ones((2, 3))}, "square"),
        ({"matrix": [[1.0, np.nan], [np.nan, 1.0]]}, r"entry \[0, 1\] is nan"),
        ({"matrix": [[1.0, 0.5], [0.4, 1.0]]}, "not symmetric"),
        ({"matrix": [[1.0, 2.0], [2.0, 1.0]]}, "indefinite.*damping > 1"),
        ({"matrix": np.ones((3, 3))}, "singular"),
        ({"matrix": np.zeros((0, 0))}, "size 0"),
        ({"b": [1.0]}, r"b has shape \(1,\).*2 unknowns"),
        ({"b": [1.0, np.inf]}, r"b\[1\] is inf"),
        ({"fabric": "rx"}, "fabric 'rx' is unknown.*crossbar"),
        ({"technology": "silicon"}, "technology preset 'silicon'.*integrated"),
        ({"technology": []}, "technology is a list: give a Technology or the name"),
        ({"damping": -1.0}, "damping must be"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        compile_matrix(**({"matrix": np.eye(2)} | arguments))
    assert "\n" not in str(caught.value)


numbers = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text(max_size=3)
anything = st.recursive(numbers, lambda inner: st.lists(inner, max_size=3), max_leaves=9)


@settings(max_examples=150)
@given(
    matrix=anything, damping=numbers, b=st.none() | anything, fabric=st.sampled_from(["auto", "dual_rail", "crossbar"])
)
def test_whatever_is_given_it_compiles_or_is_an_input_error(matrix, damping, b, fabric):
    try:
        compile_matrix(matrix, fabric, damping=damping, b=b)
    except InputError as error:
        message = str(error)
        assert message


def test_codes_too_coarse_for_the_matrix_are_rejected_with_a_remedy():
    a = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.42], [0.0, 0.42, 1.0]])
    with pytest.raises(UnrealisableError, match=r"2 bit codes.*unstable.*more damping"):
        compile_matrix(a, "crossbar", preset("ideal").replace(resistors__bits=2))


def test_a_passive_circuit_whose_resistors_to_ground_are_rounded_away_is_rejected():
    # The differential mode stays definite, but the rails' common mode has no path to ground.
    a = np.ones((3, 3)) + 1.001 * np.eye(3)
    with pytest.raises(UnrealisableError, match=r"4 bit codes.*float.*crossbar"):
        compile_matrix(a, "dual_rail", preset("ideal").replace(resistors__bits=4))


class Ladder:
    """F_1 F_2 F_3 + damping in numpy alone: whatever satisfies the protocol is a system."""

    size, damping = 6, 0.25

    def __init__(self, factored: bool) -> None:
        step = sparse.csr_array(np.eye(5, 6) - np.eye(5, 6, 1))
        self.parts = (sparse.csr_array(step.T), sparse.csr_array(np.diag([1.0, 2.0, 1.0, 0.5, 1.0])), step)
        if factored:
            self.factors = lambda: self.parts

    def dense(self):
        return (self.parts[0] @ self.parts[1] @ self.parts[2]).toarray() + self.damping * np.eye(6)

    def matvec(self, x):
        return x @ self.dense()

    def diagonal(self):
        return np.diag(self.dense())


@pytest.mark.parametrize(("factored", "fabrics"), [(True, {"factored", "rc", "crossbar"}), (False, {"rc", "crossbar"})])
def test_a_system_needs_no_torch_and_no_certain_class(factored, fabrics):
    system = Ladder(factored)
    assert isinstance(system, LinearSystem)
    assert isinstance(system, FactoredSystem) == factored
    for fabric in fabrics:
        program = compile_system(system, fabric)
        np.testing.assert_allclose(program.matrix, system.dense(), rtol=1e-9, atol=1e-12)
        assert program.damping == 0.25
    with pytest.raises(InputError, match="matrix is a Ladder; use compile_system"):
        compile_matrix(system)
    if not factored:
        with pytest.raises(UnrealisableError, match=r"not by its factors.*or an \.npz with J, H, damping"):
            compile_system(system, "factored")
