"""The spread over dies that a report predicts, against dies solved from their text by code that shares nothing with the package."""

import dataclasses
import math

import numpy as np
import pytest

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.netlist.elements import Capacitor, Resistor
from thermograd.circuits.spice.parameters import value_of
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.parts import PROGRAMMING_ERRORS
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.redraw import Redraw
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.analysis.deviations import deviations
from thermograd.compiler.analysis.die_spread import die_spread
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.conductance_errors import fluctuating
from thermograd.compiler.program import AnalogProgram

from ..oracle import operating_point
from ..spread import CASES, LARGEST, LEAST, UNKNOWNS, program_of, spread_z

DIES = 100


def solutions(program, b, dies: int = DIES) -> np.ndarray:
    """(dies, n): each die's, programmed once and read once, by nodal analysis of its text."""
    texts = (once(program, seed).to_spice(b) for seed in range(dies))
    return np.array([program.decode(operating_point(text)) for text in texts])


def once(program: AnalogProgram, seed: int) -> AnalogProgram:
    occasion, resistors = Redraw(0, seed, 0), program.technology.resistors
    held = program.on(Die(program.technology, seed), writing=occasion)
    return dataclasses.replace(held, parts=fluctuating(held.parts, resistors, occasion))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_dies_spread_as_predicted(case: str, shared: bool) -> None:
    """Eight comparisons at a fixed seed: 4 standard errors; tolerances three quarters or twice as large are rejected."""
    program, b = program_of(case, shared=shared)
    found, predicted = solutions(program, b), die_spread(program, b)
    np.testing.assert_allclose(program.decode(operating_point(program.to_spice(b))), predicted.nominal, rtol=1e-9)
    assert LEAST < spread_z(found, predicted.nominal, predicted.covariance) < LARGEST
    single = found.std(axis=0) / predicted.deviation
    np.testing.assert_allclose(single, 1.0, atol=4.5 / math.sqrt(2 * DIES))
    less, more = (die_spread(program_of(case, scale, shared)[0], b).covariance for scale in (0.75, 2.0))
    assert spread_z(found, predicted.nominal, less) > LARGEST
    assert spread_z(found, predicted.nominal, more) < LEAST


@pytest.mark.parametrize("case", CASES)
def test_offsets_and_resistors_add_up_to_the_report(case: str) -> None:
    program, b = program_of(case)
    predicted, reported = die_spread(program, b), describe(program, b).die_error
    assert reported.relative_error == pytest.approx(math.hypot(predicted.resistors, predicted.offsets))
    assert reported.deviation == tuple(predicted.deviation)
    assert (predicted.offsets > 0) == program.fabric.active
    assert f"{reported.relative_error:.3g} (relative, rms over dies)" in str(describe(program, b))


def test_the_rms_over_b_is_what_sensitivities_say() -> None:
    """sum over unit vectors of tr Cov over that of |x|^2 is the report's tolerance error squared: another derivation, part by part."""
    for case in CASES:
        program, _ = program_of(case)
        program = compile_matrix(program.target, program.fabric_name, program.technology.replace(opamp__offset=0.0))
        spreads = [die_spread(program, row) for row in np.eye(UNKNOWNS)]
        square = sum(np.trace(s.covariance) for s in spreads) / sum(s.nominal @ s.nominal for s in spreads)
        # Sensitivities are those of the intended matrix, without rounding and finite gain.
        assert math.sqrt(square) == pytest.approx(program.report.tolerance_error, rel=0.02)


@pytest.mark.parametrize("case", CASES)
def test_places_are_those_of_dies(case: str) -> None:
    """On a die without mismatch ln(value / nominal) is exactly what its deviates and each part's place say."""
    shared = {"die_to_die": 0.02, "gradient": 0.03}
    changes = {f"{part}__{name}": value for part in ("resistors", "capacitors") for name, value in shared.items()}
    changes |= {f"resistors__{name}": 0.0 for name in ("tolerance", *PROGRAMMING_ERRORS)}
    technology = program_of(case)[0].technology.replace(capacitors__tolerance=0.0, **changes)
    program = compile_matrix(program_of(case)[0].target, CASES[case][0], technology)
    die, acting = Die(technology, 3), deviations(program)
    nominal, made = program.netlist(), program.on(die).netlist()
    parts = [part for part in nominal if isinstance(part, Resistor | Capacitor) and part.name in acting]
    assert {acting[part.name].kind for part in parts} == {"resistor", "capacitor"}
    for part in parts:
        kind, row, column, *_ = acting[part.name]
        down, across = die.deviates(f"{kind}_gradient", (1, 2))[0]
        expected = 0.02 * die.deviates(f"{kind}_die_to_die", (1, 1))[0, 0] + 0.03 * (down * row + across * column)
        assert math.log(value_of(made[part.name]) / value_of(part)) == pytest.approx(expected, abs=1e-12)
    amplifiers = "RA", "CA"
    assert {part.name for part in nominal if isinstance(part, Resistor | Capacitor)} - set(acting) == {
        part.name for part in nominal if part.name.startswith(amplifiers)
    }


def test_what_has_no_spread_says_so() -> None:
    ideal = compile_matrix(np.eye(2), "lc", "ideal")
    with pytest.raises(UnrealisableError, match=r"fabric lc is not read at rest"):
        die_spread(ideal, [1.0, 0.0])
    program, b = program_of("dual_rail")
    with pytest.raises(InputError, match="b is zero"):
        die_spread(program, 0 * b)
    assert describe(program).die_error is describe(program, 0 * b).die_error is None
    assert describe(compile_matrix(np.eye(2), "rc", preset("ideal")), [1.0, 0.0]).die_error is None
    assert describe(ideal, [1.0, 0.0]).die_error is None
