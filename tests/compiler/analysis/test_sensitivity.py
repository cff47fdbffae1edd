"""Sensitivities against differences of realised matrices, and tolerances against fabricated dies."""

import dataclasses

import numpy as np
import pytest

from thermograd.circuits.technology.die import Die
from thermograd.compiler.analysis.sensitivity import sensitivities
from thermograd.compiler.compile import compile_matrix, compile_system

from ...systems import built_for, low_rank, passive, spd
from ..passes.test_equilibrate import graded

PRECISE = built_for("crossbar", "breadboard").replace(resistors__series=None)
B = np.array([1.0, -2.0, 0.5, 0.3, -1.0])


def matrix_for(fabric):
    signed = passive(5, 0.4, 3)
    if fabric in ("rc", "lc", "spu"):
        return 2 * np.diag(np.diag(signed)) - np.abs(signed)
    return signed if fabric == "dual_rail" else spd(5, 20.0, 3)


def changed(program, name, share):
    """The program with one part's weight (conductance, inverse inductance, capacitance) changed by a share."""
    parts = program.parts
    fields = {"RB": ("drive", slice(None)), "RI": ("inverter", 0), "RF": ("inverter", 1)}
    if name[:2] in fields:
        field, row = fields[name[:2]]
        values = getattr(parts, field).copy()
        values[row, int(name[2:]) - 1] *= 1 + share
        return dataclasses.replace(program, parts=dataclasses.replace(parts, **{field: values}))
    digits = name.lstrip("RLCG").split("_")
    i, j = int(digits[0]) - 1, int(digits[1]) - 1 if len(digits) > 1 else None
    if j is None:
        ground = parts.ground.copy()
        ground[:, i] *= 1 + share
        return dataclasses.replace(program, parts=dataclasses.replace(parts, ground=ground))
    coupling = parts.coupling.copy()
    if hasattr(parts, "first"):
        coupling[:, (parts.first == i) & (parts.second == j)] *= 1 + share
    else:
        coupling[:, i, j] *= 1 + share
        if not parts.drive_nominal:
            coupling[:, j, i] *= 1 + share
    return dataclasses.replace(program, parts=dataclasses.replace(parts, coupling=coupling))


@pytest.mark.parametrize("with_b", [False, True])
@pytest.mark.parametrize("fabric", ["rc", "dual_rail", "crossbar", "crossbar_single", "lc", "spu", "oscillator"])
def test_the_ten_that_matter_most_are_those_whose_change_moves_the_solution_most(fabric, with_b):
    program = compile_matrix(matrix_for(fabric), fabric, PRECISE)
    b, share = B if with_b else None, 1e-6
    right = np.eye(5) if b is None else b
    exact = np.linalg.solve(program.matrix, right)
    found = sensitivities(program, b)
    for item in found.most:
        other = changed(program, item.part, share)
        # A host reads by nominal parts: of an lc a flux by its inductor to ground.
        seen = (program.readout_scale / other.readout_scale).reshape(-1, *(1,) * (right.ndim - 1))
        moved = seen * np.linalg.solve(other.matrix, right)
        assert item.per_unit == pytest.approx(np.linalg.norm(moved - exact) / np.linalg.norm(exact) / share, rel=5e-3)
    assert [item.per_unit for item in found.most] == sorted((item.per_unit for item in found.most), reverse=True)
    assert f"{found.most[0].part}" in program.to_spice()


@pytest.mark.parametrize("fabric", ["rc", "dual_rail", "crossbar", "crossbar_single"])
def test_the_tolerance_predicts_the_scatter_over_dies(fabric):
    technology = PRECISE.replace(resistors__tolerance=1e-3, resistors__tc1=0.0)
    program = compile_matrix(matrix_for(fabric), fabric, technology)
    exact = np.linalg.inv(program.matrix)
    errors = [
        np.linalg.norm(np.linalg.inv(program.on(Die(technology, seed)).matrix) - exact) / np.linalg.norm(exact)
        for seed in range(300)
    ]
    # A mean square over 300 dies, dominated by a few parts: 1 / sqrt(300) of it, twice that for a few degrees of freedom.
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(program.report.tolerance_error, rel=0.12)


def test_a_mismatch_by_area_counts_as_a_tolerance():
    direct, by_area = (
        PRECISE.replace(resistors={"unit": 1e3, **figures})
        for figures in ({"tolerance": 0.01}, {"pelgrom_coefficient": 2e-8, "area": 2e-12})
    )
    errors = [compile_matrix(spd(5, 20.0, 3), "crossbar", which).report.tolerance_error for which in (direct, by_area)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-12)
    assert errors[0] > 0.005


def test_scaled_unknowns_have_the_same_sensitivities():
    a = graded(6, 2)
    plain, scaled = (compile_matrix(a, "crossbar", PRECISE, equilibrate=flag) for flag in (False, True))
    one, other = sensitivities(plain), sensitivities(scaled)
    assert [item.part for item in one.most] == [item.part for item in other.most]
    np.testing.assert_allclose([i.per_unit for i in one.most], [i.per_unit for i in other.most], rtol=1e-9)


def test_what_has_none_says_none():
    program = compile_system(low_rank(np.ones((1, 4)), damping=1.0), "factored")
    assert sensitivities(program) is None
    assert program.report.most_sensitive == ()
