"""The row "no die": what CG needs against CG itself, Cholesky's time against that of a training's step, break-even points by hand."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cost.digital_host import DigitalHost
from thermograd.devicemodel.cost.model import Scenario
from thermograd.devicemodel.cost.no_die import (
    SOLVERS,
    advantage,
    break_even,
    cg_iterations,
    pays_from,
    solution_figures,
    without_die,
)
from thermograd.devicemodel.cost.refinement import ReadingPlan

MNIST = Scenario(28602, 64, 9, "dual", preset("integrated"))
FAST = DigitalHost(bandwidth=math.inf)


def conjugate_gradients(A, b, count):
    x, r = np.zeros_like(b), b.copy()
    p, rho = r, r @ r
    for _ in range(count):
        if rho < 1e-28 * (b @ b):
            break
        alpha = rho / (p @ A @ p)
        x, r = x + alpha * p, r - alpha * (A @ p)
        p, rho = r + (r @ r) / rho * p, r @ r
    return x


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 25), st.floats(1.1, 1e4), st.sampled_from([1e-1, 1e-2, 1e-3]))
def test_iterations_suffice_for_any_matrix_of_that_condition(seed, n, condition, accuracy):
    random = np.random.default_rng(seed)
    Q = np.linalg.qr(random.normal(size=(n, n)))[0]
    values = np.concatenate([[1.0, condition], np.exp(random.uniform(0, np.log(condition), n - 2))])
    A, b = Q * values @ Q.T, random.normal(size=n)
    exact = Q @ ((Q.T @ b) / values)
    wrong = conjugate_gradients(A, b, cg_iterations(condition, accuracy)) - exact
    assert math.sqrt(wrong @ A @ wrong) <= 1.001 * accuracy * math.sqrt(exact @ A @ exact)


def test_iterations_are_not_far_more_than_the_worst_spectrum_takes():
    """The bound for Chebyshev's worst spectrum: of a wide even one, half as many do not suffice."""
    n, condition = 400, 1e3
    values = np.cos(np.pi * (np.arange(n) + 0.5) / n) * (condition - 1) / 2 + (condition + 1) / 2
    A, b, exact = np.diag(values), np.sqrt(values), 1 / np.sqrt(values)
    wrong = conjugate_gradients(A, b, cg_iterations(condition, 1e-3) // 2) - exact
    assert math.sqrt(wrong @ A @ wrong) > 2e-3 * math.sqrt(exact @ A @ exact)


def test_cholesky_at_576_takes_what_the_host_s_rate_says():
    cholesky, cg, products = without_die(MNIST)
    assert cholesky.to_dict()["solution_seconds"] == pytest.approx((576**3 / 3 + 2 * 576**2) / 5.85e12)
    assert cg.to_dict()["solution_seconds"] == pytest.approx(cg.iterations * 4 * 576**2 / 1.555e12)  # memory decides
    assert products.cost.part("digital solve").seconds == pytest.approx(
        products.iterations * 4 * 2 * 64 * 28602 / 5.85e12
    )
    assert [one.solver for one in (cholesky, cg, products)] == list(SOLVERS)
    assert cholesky.cost.part("derivatives").seconds == pytest.approx(MNIST.cost().part("derivatives").seconds)


def test_break_even_size_and_rate_against_cholesky_by_hand():
    """Programming k^2 / 2 words and k^3 / 3 operations: k = 1.5 w rate / B, but for converters, settling and the word's return."""
    machine = dataclasses.replace(MNIST, host=FAST)
    size = pays_from(machine, "batch", 1, 1e4, solver="Cholesky")
    assert 9 * size == pytest.approx(1.5 * 16 * 5.85e12 / 50e9, rel=0.02)
    rate = pays_from(machine, "rate", 1e9, 1e15, solver="Cholesky")
    left = solution_figures(machine.turned("rate", math.inf))["solution_seconds"]
    [cholesky, _, _] = without_die(machine)
    words = 576 * 577 / 2 + 2 * 576
    assert rate == pytest.approx(16 * words / (cholesky.to_dict()["solution_seconds"] - left), rel=2e-3)


def test_cg_is_never_overtaken_by_size_but_by_the_condition_number():
    machine = dataclasses.replace(MNIST, host=FAST)
    assert pays_from(machine, "batch", 1, 1e4, solver="CG") is None
    assert pays_from(MNIST, "condition", 2, 1e4, solver="CG") is not None


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["batch", "rate", "condition"]),
    st.sampled_from([None, *SOLVERS]),
    st.booleans(),
    st.sampled_from(["paper", "integrated", "gf180mcu"]),
)
def test_from_where_it_pays_it_does_and_just_below_it_does_not(knob, solver, energy, technology):
    low, high = {"batch": (1, 1e4), "rate": (1e9, 1e16), "condition": (2, 1e4)}[knob]
    scenario = dataclasses.replace(MNIST, technology=preset(technology))
    found = pays_from(scenario, knob, low, high, energy, solver)
    if found is None:
        assert advantage(scenario.turned(knob, high), energy, solver) < 1
        return
    assert advantage(scenario.turned(knob, found), energy, solver) >= 1
    if found > low:
        below = found - 1 if knob == "batch" else found / 1.002
        assert advantage(scenario.turned(knob, below), energy, solver) < 1


def test_more_rounds_ask_more_of_the_host_too_up_to_single_precision():
    counts = [without_die(dataclasses.replace(MNIST, reading=ReadingPlan(r)))[1].iterations for r in (0, 1, 2, 8, 9)]
    assert counts[0] == without_die(MNIST)[1].iterations
    assert counts[0] < counts[1] < counts[2] < counts[3] == counts[4]


def test_break_even_is_plain_and_wrong_names_are_named():
    found = break_even(MNIST)
    assert [one.to_dict()["solver"] for one in found] == [None, None, "Cholesky", "Cholesky", "CG", "CG"]
    assert all(one.places == {} for one in found if one.advantage >= 1)
    with pytest.raises(InputError, match="solver 'LU' is unknown; there are: Cholesky, CG"):
        advantage(MNIST, solver="LU")
