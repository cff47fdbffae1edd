"""Signal levels of cells that swing farther than they settle: bounds and step responses against the state space of the netlist."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import expm

from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.fabrics.oscillators import swings as oscillator_swings
from thermograd.compiler.passes.signal_level import LOADED
from thermograd.compiler.program import AnalogProgram

FAST = preset("integrated").replace(
    resistors__bits=None, opamp__gbw=5e10, opamp__second_pole=math.inf, opamp__gain=1e6, opamp__output_current=math.inf,
    opamp__output_resistance=0.0, dac__full_scale=100.0, thermal__johnson_noise=False,
)  # fmt: skip


def system(n: int, largest: float, condition: float) -> tuple[np.ndarray, np.ndarray]:
    """A and b."""
    rng = np.random.default_rng(n)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    matrix = (basis * np.geomspace(largest, largest / condition, n)) @ basis.T
    return (matrix + matrix.T) / 2, rng.standard_normal(n)


def highest(program: AnalogProgram, b: np.ndarray) -> np.ndarray:
    """Largest differential voltage of each position, then of each velocity, V: the netlist's states from rest."""
    pairs = [
        (f"{v}p{k + 1}", f"{v}m{k + 1}") if v else (f"p{k + 1}", f"m{k + 1}") for v in ("", "v") for k in range(len(b))
    ]
    space = state_space(program.netlist(b), {f"x{k}": pair for k, pair in enumerate(pairs)})
    resting = np.linalg.solve(space.F, -(space.B @ space.nominal))
    step = 0.05 * program.tau / math.sqrt(float(np.linalg.eigvalsh(program.target)[-1]))
    onward, away, found = expm(space.F * step), space.initial - resting, np.zeros(2 * len(b))
    for _ in range(int(6 * program.settling_time / step)):
        found = np.maximum(found, np.abs(space.H @ (resting + away)))
        away = onward @ away
    return found


@pytest.mark.parametrize("given", [True, False])
def test_outputs_stay_within_their_range_on_the_way(given: bool) -> None:
    """Of a matrix with an eigenvalue of 5 in units of its largest entry velocities swing farther than positions settle."""
    n = 6
    matrix, b = np.ones((n, n)) * 6 + np.eye(n) * 1.2, np.ones(n) / math.sqrt(n)
    program = compile_matrix(matrix, "oscillator", FAST, b=b if given else None, check=False)
    found, limit = highest(program, b), FAST.opamp.output_limit
    assert found.max() <= 1.01 * LOADED * limit
    assert found[n:].max() > 1.2 * np.abs(np.linalg.solve(matrix, b)).max() * program.volts_per_unit
    if given:  # the level is no lower than it must be
        assert found.max() == pytest.approx(LOADED * limit, rel=0.03)


def test_step_responses_are_those_of_the_netlist_and_larger_systems_have_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix, b = system(5, 1.0, 30.0)
    program = compile_matrix(matrix, "oscillator", FAST, b=b, check=False)

    def swung(vector: np.ndarray | None) -> np.ndarray:
        swings = program.fabric.swings(
            program.parts, program.technology, program.target, program.scaling, program.conductance_unit, vector
        )
        return np.concatenate([swing.volts for swing in swings])

    found, exact, worst = highest(program, b), swung(b) * program.volts_per_unit, swung(None)
    np.testing.assert_allclose(exact, found, rtol=0.03)
    assert (swung(b) <= worst * np.linalg.norm(b)).all()
    monkeypatch.setattr(oscillator_swings, "LARGEST", 0)
    assert (swung(b) >= 0.999 * exact / program.volts_per_unit).all()
    assert (swung(None) >= 0.999 * worst).all()
    assert (swung(None) <= 4 * worst).all()
