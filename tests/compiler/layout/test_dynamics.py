"""Capacitances of the layout, the oscillations that they can cause, and what the report says of it all."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.optimize import brentq

from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.compile import compile_matrix, lay_out
from thermograd.compiler.fabrics.registry import fabric_names
from thermograd.compiler.layout.effect import effective_conductance, layout_admittance, layout_effect, layout_matrix
from thermograd.compiler.layout.extraction import extracted_netlist

from ...systems import spd
from .layouts import ALL, IDEAL, at_rest, with_zeros

ARRAYS = fabric_names("has_layout")

# Capacitances


def test_crosspoint_capacitances_cancel_in_pairs_of_lines():
    technology = IDEAL.replace(wires__crosspoint_capacitance=5e-11)
    program, bare = (lay_out(with_zeros(4, 3), "crossbar", tech) for tech in (technology, IDEAL))
    s = 2j / program.tau
    coupled, load = effective_conductance(program, s)
    np.testing.assert_allclose(coupled, effective_conductance(bare)[0], rtol=1e-12)
    np.testing.assert_allclose(load - effective_conductance(bare)[1], s * 2 * 4 * 5e-11 * np.eye(4), rtol=1e-9)
    # In a single line they couple: s c from every column to every row, less what an inverted line brings.
    program, bare = (lay_out(with_zeros(4, 3), "crossbar_single", tech) for tech in (technology, IDEAL))
    inverted = (program.parts.polarity < 0).any(axis=0)
    assert not inverted.all()
    change = effective_conductance(program, s)[0] - effective_conductance(bare)[0]
    np.testing.assert_allclose(change, s * 5e-11 * np.ones((4, 1)) * ~inverted, atol=1e-6 * abs(s) * 5e-11)


@pytest.mark.parametrize("fabric", ARRAYS)
def test_capacitances_do_not_move_the_solution_at_rest(fabric):
    program = lay_out(with_zeros(4, 3), fabric, ALL)
    zeros = dict.fromkeys(
        ("wires__segment_capacitance", "wires__crosspoint_capacitance", "wires__input_capacitance", "dac__capacitance"),
        0.0,
    )
    bare = dataclasses.replace(program, technology=ALL.replace(**zeros))
    np.testing.assert_allclose(layout_matrix(program), layout_matrix(bare), rtol=1e-13)
    slowest, bares = (state_space(extracted_netlist(p)).eigenvalues[0].real for p in (program, bare))
    assert abs(slowest / bares - 1) > 1e-3


# Stability


def test_the_integrated_arrays_modes_decay_as_its_law_says():
    program = lay_out(spd(4, 10.0, 2), "crossbar", preset("integrated"))
    space = state_space(extracted_netlist(program))
    assert space.is_stable
    # The slow ones are zeros of det Y(s); the lines' own are a million times as fast.
    slow = space.eigenvalues[:4]
    assert space.eigenvalues[-1].real < 1e6 * slow[0].real
    for value in slow:
        at, beside = (abs(np.linalg.det(layout_admittance(program, s) * 1e4)) for s in (value, 1.01 * value))
        assert at < 1e-4 * beside


@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single"])
def test_a_lines_delay_makes_one_unknown_oscillate_beyond_rouths_limit(fabric):
    # s C (1 + s t) (1 + 2 r / R + s t) + 1 / R with t = r c: stable exactly for t < R C (1 + 2 r / R) (2 + 2 r / R).
    resistance, capacitance, wire = 1e3, 1e-9, 50.0
    beta = 1 + 2 * wire / resistance
    limit = resistance * capacitance * beta * (1 + beta) / wire
    for share, stable in ((0.99, True), (1.01, False)):
        technology = IDEAL.replace(wires__segment_resistance=wire, wires__segment_capacitance=share * limit)
        program = lay_out([[1.0]], fabric, technology)
        space = state_space(extracted_netlist(program))
        assert space.is_stable == stable
        assert abs(space.eigenvalues[0].imag) > 0.1 / (resistance * capacitance)
        assert state_space(program.netlist()).is_stable
        # Its equilibrium exists all the same, and no operating point distinguishes the two.
        assert at_rest(program, [1.0])[0] == pytest.approx(beta, rel=1e-6)
        assert layout_effect(program).stable == stable
        assert ("UNSTABLE" in str(layout_effect(program))) == (not stable)


def test_an_inverters_input_capacitance_oscillates_beyond_twice_the_integrators_over_the_coupling():
    # Mode (1, -1) of [[1, -a], [-a, 1]]: s C (1 + e) + e (L + s C_in) + g [1 + a / (1 + e (2 + s R C_in))], e = s / w.
    a, g, farad = 0.8, 1e-3, 1e-9

    def growth(ratio, w, amplifier=1.0):
        s, one = np.poly1d([1.0, 0.0]), np.poly1d([1.0])
        e, c_in = s / w, ratio * farad
        inverter = one + e * (2 * one + s * (c_in / g))
        integrator = s * farad * (one + amplifier * e) + amplifier * e * (g * (2 + a) * one + s * c_in)
        return float(((integrator + g * one) * inverter + g * a * one).roots.real.max())

    # Without the integrators' own lag Routh's limit is 2 / a for fast amplifiers.
    assert brentq(growth, 0.5, 5.0, args=(1e12, 0.0)) == pytest.approx(2 / a, rel=1e-3)
    for gbw in (1e7, 1e8):
        limit = brentq(growth, 0.5, 5.0, args=(2 * math.pi * gbw,))
        for share, stable in ((0.99, True), (1.01, False)):
            technology = IDEAL.replace(opamp__gbw=gbw, wires__input_capacitance=share * limit * farad)
            program = lay_out([[1.0, -a], [-a, 1.0]], "crossbar_single", technology)
            assert state_space(extracted_netlist(program)).is_stable == stable
            # The differential array has no inverters, and stays quiet.
            assert state_space(extracted_netlist(lay_out([[1.0, -a], [-a, 1.0]], "crossbar", technology))).is_stable


# What is reported


def test_the_report_says_the_error_of_the_schematic_and_of_the_layout():
    b = np.array([1.0, -2.0, 0.5, 3.0])
    program = compile_matrix(with_zeros(4, 3), "crossbar", ALL, b=b)
    exact = np.linalg.solve(program.target, b)
    report = describe(program, b, layout=True)
    for error, x in (
        (report.error_for_b, np.linalg.solve(program.emitted_matrix, b)),
        (report.layout.error_for_b, at_rest(program, b)),
    ):
        assert error == pytest.approx(np.linalg.norm(x - exact) / np.linalg.norm(exact), rel=1e-6)
    assert report.layout.error_for_b > 1.2 * report.error_for_b
    assert (
        f"{report.layout.solution_error:.3g} (relative, rms over b), {report.layout.error_for_b:.3g} for this b"
        in str(report)
    )
    assert report.to_dict()["layout"]["stable"] is True
    assert describe(program, layout=True).layout.error_for_b is None
    assert describe(program, b).layout is None
    large = describe(lay_out(spd(16, 10.0, 1), "crossbar", ALL), layout=True).layout
    assert large.stable is None
    assert f"({large.nodes} nodes)" in str(large)
