"""The planned law of coupled oscillators against the ideal one, its excess phase, and what the plan refuses."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.parts import OpAmp
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.devicemodel.cost import compiled
from thermograd.devicemodel.cost.compiled import compiled_array
from thermograd.devicemodel.cost.loaded_circuit import LoadedCircuit
from thermograd.devicemodel.cost.planned import planned_array
from thermograd.devicemodel.cost.planned_oscillators import OscillatorLoop

UNIT, FARAD = 1e-4, 1e-11
TAU = FARAD / UNIT


def loop(smallest: float, gbw: float = math.inf, zero: bool = True) -> OscillatorLoop:
    """Of amplifiers without leak; eigenvalues in units of the link's conductance."""
    found = OscillatorLoop.planned(OpAmp(gain=1e9, gbw=gbw), FARAD, 4 * UNIT, 4 * UNIT, UNIT, smallest * UNIT)
    return found if zero else dataclasses.replace(found, zero=0.0)


@pytest.mark.parametrize("smallest", [0.1, 1e-2, 1e-3])
def test_settles_with_the_square_root_of_the_smallest_eigenvalue(smallest: float) -> None:
    """(1 + sqrt(lambda) t) exp(-sqrt(lambda) t) = 1e-3 at sqrt(lambda) t = 9.233, and no larger eigenvalue is slower."""
    ideal = loop(smallest)
    found = max(ideal.settling(mu, 1e-3) for mu in ideal.modes(smallest * UNIT, UNIT)) / TAU
    assert found == pytest.approx(9.2334 / math.sqrt(smallest), rel=2e-3)
    crossbar = math.log(1000) / smallest
    assert found < 0.5 * crossbar


def test_excess_phase_undoes_the_friction_unless_a_resistor_restores_it() -> None:
    """Without R_z a mode lambda has the friction gamma - 2 lambda / (omega_t tau), to first order in 1 / omega_t."""
    smallest, largest = 1e-4, 1.0
    limit = largest / math.sqrt(smallest)  # of omega_t tau

    def slowest(share: float, zero: bool) -> float:
        gbw = share * limit / TAU / 2 / math.pi
        return loop(smallest, gbw, zero).slowest(smallest * UNIT, largest * UNIT) / TAU

    assert slowest(0.9, zero=False) == math.inf
    assert slowest(1.1, zero=False) < math.inf
    ideal = 1 / math.sqrt(smallest)
    assert slowest(2.0, zero=False) == pytest.approx(2 * ideal, rel=0.1)
    assert slowest(2.0, zero=True) == pytest.approx(ideal, rel=0.1)


@pytest.mark.parametrize(
    "fields",
    [{}, {"opamp__gbw": 3e7, "opamp__second_pole": 9e7, "opamp__gain": 200.0}, {"opamp__output_resistance": 200.0}],
    ids=["fast", "slow", "soft"],
)
def test_rows_loaded_alike_have_the_natural_frequencies_of_the_netlist(fields: dict[str, float]) -> None:
    technology = preset("integrated").replace(
        resistors__bits=None, opamp__common_mode_gain=math.inf, opamp__common_mode_gbw=math.inf, **fields
    )
    row = 0.1 * np.random.default_rng(0).standard_normal(8)
    row = (row + np.roll(row[::-1], 1)) / 2
    row[0] = 1.0
    matrix = np.array([np.roll(row, k) for k in range(8)])
    program = compile_matrix(matrix, "oscillator", technology, check=False)
    load = float(np.abs(program.parts.matrix()).sum(axis=1)[0])  # type: ignore[attr-defined]
    low, high = program.conductance_unit * np.linalg.eigvalsh(matrix)[[0, -1]]
    made, circuit = (
        OscillatorLoop.planned(technology.opamp, FARAD, load + UNIT, load, UNIT, low),
        LoadedCircuit(program),
    )
    assert made.friction == pytest.approx(program.parts.friction[0, 0], rel=1e-9)  # type: ignore[attr-defined]
    assert made.slowest(low, high) == pytest.approx(circuit.slowest, rel=1e-4)
    assert made.settling(low, 0.01) == pytest.approx(circuit.settling(0.01), rel=3e-3)
    if "opamp__gain" in fields:  # the control: ideal amplifiers
        bare = dataclasses.replace(made, load=UNIT, opamp=OpAmp())
        assert abs(bare.settling(low, 0.01) / circuit.settling(0.01) - 1) > 0.005


def test_finite_gain_is_taken_off_the_friction() -> None:
    amplifiers = OpAmp(gain=2000)
    made = OscillatorLoop.planned(amplifiers, FARAD, 4 * UNIT, 4 * UNIT, UNIT, 1e-3 * UNIT)
    assert made.slowest(1e-3 * UNIT, UNIT) / TAU == pytest.approx(1 / math.sqrt(1e-3), rel=0.05)
    heavy = dataclasses.replace(made, friction=2 * math.sqrt(1e-3) * UNIT)
    assert heavy.slowest(1e-3 * UNIT, UNIT) > 1.15 * made.slowest(1e-3 * UNIT, UNIT)
    assert made.leak() < 0.02 * made.load / 2000


def test_large_programs_settle_as_their_slowest_mode_of_second_order(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.diag([1.0, 0.5, 0.01])
    program = compile_matrix(matrix, "oscillator", preset("integrated").replace(resistors__bits=None), check=False)
    exact = compiled_array(program).settling(1e-3)
    monkeypatch.setattr(compiled, "LARGEST", 4)  # half of it is less than three cells
    assert compiled_array(program).settling(1e-3) == pytest.approx(exact, rel=0.05)


def test_a_plan_of_oscillators_has_two_amplifiers_and_a_code_more_a_cell() -> None:
    technology = preset("integrated").replace(resistors__bits=None)
    crossbar, oscillator = (
        planned_array("dual", 1000, 16, 1, technology, 100.0, name) for name in ("crossbar", "oscillator")
    )
    assert oscillator.amplifiers == 2 * crossbar.amplifiers
    assert oscillator.codes == crossbar.codes + 16
    faster = [one.settling(1e-3) or math.nan for one in (crossbar, oscillator)]
    assert faster[0] > 3 * faster[1]
    slow = technology.replace(opamp__gbw=3e6, opamp__second_pole=9e6)
    [why] = [
        one for one in planned_array("dual", 1000, 16, 1, slow, 100.0, "oscillator").obstacles if "the loop" in one
    ]
    assert "swings at" in why
    assert np.isfinite(oscillator.settling(1e-3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layout", "fields", "fabric", "words"),
    [
        ("factored", {}, "oscillator", "one array"),
        ("dual", {"opamp__outputs": 1, "opamp__output_limit": 0.5}, "oscillator", "have one output"),
        ("dual", {}, "lc", "there are: crossbar, oscillator"),
    ],
)
def test_what_has_no_plan_is_named(layout: str, fields: dict[str, float], fabric: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        planned_array(layout, 100, 4, 1, preset("integrated").replace(**fields), fabric=fabric)
