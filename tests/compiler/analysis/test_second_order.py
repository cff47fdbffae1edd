"""Figures of oscillators in a report: against natural frequencies of the netlist, and what excess phase makes by its first-order law."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.compile import compile_matrix
from thermograd.report.formatting import to_json

TECHNOLOGY = preset("integrated").replace(resistors__bits=None, opamp__second_pole=math.inf, opamp__gbw=2e9)


def system(n: int, condition: float) -> np.ndarray:
    """Symmetric positive definite, of unequal diagonal."""
    basis, _ = np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))
    matrix = (basis * np.geomspace(3.0, 3.0 / condition, n)) @ basis.T
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("equilibrate", [False, True])
def test_figures_are_those_of_the_netlist(equilibrate: bool) -> None:
    matrix = system(6, 100.0)
    program = compile_matrix(matrix, "oscillator", TECHNOLOGY, equilibrate=equilibrate)
    found = describe(program, dies=0).second_order
    assert found is not None
    least, most = np.linalg.eigvalsh(matrix)[[0, -1]]
    assert found.critical == pytest.approx(2 * math.sqrt(least))
    assert found.total == pytest.approx(found.critical, rel=0.01)
    assert found.friction < found.total
    roots = state_space(program.netlist()).eigenvalues
    fastest = roots[np.argmax(np.where(np.abs(roots) < 0.1 * 2 * math.pi * 2e9, roots.imag, -1.0))]
    assert found.highest_q == pytest.approx(abs(fastest) / (-2 * fastest.real), rel=1e-3)
    assert found.hertz == pytest.approx(fastest.imag / 2 / math.pi, rel=0.02)
    # Without R_z excess phase takes 2 lambda / (omega_t tau) of the friction.
    lost = 2 * most / (2 * math.pi * 2e9 * program.tau) / found.total
    assert found.uncompensated == pytest.approx(found.kept - lost, abs=0.1 * lost)
    assert lost > 0.01


def test_rows_name_what_rounding_and_finite_gain_do_and_other_fabrics_have_none() -> None:
    rounded = describe(compile_matrix(system(6, 300.0), "oscillator", TECHNOLOGY.replace(resistors__bits=6)), dies=0)
    text = str(rounded)
    assert "that of the matrix as it is rounded" in text
    assert "R_z of" in text
    assert "with what finite gain adds" in text
    assert json.loads(to_json(rounded.to_dict()))["second_order"]["highest_q"] > 3
    ideal = str(describe(compile_matrix(system(3, 30.0), "oscillator"), dies=0))
    assert "s to 1e-3" in ideal
    assert "R_z" not in ideal
    assert "finite gain" not in ideal
    other = describe(compile_matrix(system(3, 30.0), "crossbar"), dies=0)
    assert other.second_order is None
    assert "friction" not in str(other)
