"""The die's own heat: energy part by part, exact drift laws, fixed points solved by hand, runaway."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.netlist.elements import Resistor
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.parts import Thermal
from thermograd.circuits.technology.presets import preset, thermal_preset
from thermograd.circuits.technology.thermal import heat_at, temperature_at, temperature_map
from thermograd.compiler.analysis.electrothermal import ThermalOutcome, self_heated
from thermograd.compiler.analysis.heat import dissipation, equilibrium, heat_map
from thermograd.compiler.compile import compile_matrix

from ...systems import passive, spd
from ..oracle import operating_point

FABRICS = ("rc", "dual_rail", "crossbar", "crossbar_single")
SINGLE = ("rc", "crossbar_single")
"""Of one rail."""
IDEAL = preset("ideal")
B = np.array([1.0, -2.0, 0.5, 0.3, -1.0])
REFERENCE = 300.15


def matrix_for(fabric):
    signed = passive(5, 0.4, 3)
    if fabric == "rc":
        return 2 * np.diag(np.diag(signed)) - np.abs(signed)
    return signed if fabric == "dual_rail" else spd(5, 20.0, 3)


def compiled(fabric, **changes):
    return compile_matrix(matrix_for(fabric), fabric, IDEAL.replace(**changes), b=B)


def numbered(cells):
    """A map with another temperature in each cell."""
    return REFERENCE + 0.25 * np.arange(float(cells**2)).reshape(cells, cells)


def part_powers(program, b):
    """Name -> (heat, temperature) of each resistor, from the emitted text by the independent simulator."""
    netlist = program.netlist(b)
    volts = operating_point(program.to_spice(b)) | {"0": 0.0}
    return {r.name: ((volts[r.a] - volts[r.b]) ** 2 / r.resistance, r.temperature) for r in netlist.of(Resistor)}


# Energy


@pytest.mark.parametrize("fabric", FABRICS)
def test_each_resistor_makes_the_heat_that_its_netlist_says(fabric):
    program = compiled(fabric, opamp__gain=50.0, opamp__offset=0.02, resistors__tc1=2e-3)
    program = program.on(Die(program.technology, 4).at(numbered(8)))
    heat = dissipation(program, equilibrium(program, B), B)
    expected = part_powers(program, B)
    found = {}
    parts = program.parts
    for rail in range(1 if fabric in SINGLE else 2):
        suffix = "" if fabric in SINGLE else "pm"[rail]
        for i in range(5):
            found[f"RG{i + 1}{suffix}"] = heat.ground[rail, i]
            found[f"RB{i + 1}{suffix}"] = heat.drive[rail, i]
            if fabric != "rc":
                found |= {f"R{i + 1}_{j + 1}{suffix}": heat.coupling[rail, i, j] for j in range(5)}
        if fabric == "rc":
            pairs = zip(parts.first, parts.second, heat.coupling[0], strict=True)
            found |= {f"R{i + 1}_{j + 1}": power for i, j, power in pairs}
    if fabric == "crossbar_single":
        found |= {f"R{letter}{j + 1}": heat.inverter[k, j] for k, letter in enumerate("IF") for j in range(5)}
        assert heat.inverter[:, 0].all()
    for name, (power, _) in expected.items():
        assert found.pop(name) == pytest.approx(power, rel=1e-7, abs=1e-16), name
    assert not any(found.values())  # what the netlist lacks makes no heat


@pytest.mark.parametrize("fabric", [*FABRICS, "oscillator"])
def test_heat_falls_into_the_cells_whose_temperature_the_netlist_gives_its_parts(fabric):
    program = compiled(fabric)
    die = Die(program.technology, None).at(numbered(8))
    program = program.on(die)
    expected = np.zeros((8, 8))
    for power, temperature in part_powers(program, B).values():
        expected[die.temperatures == temperature] += power
    found = heat_map(program, die, equilibrium(program, B), B)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * expected.max())
    assert np.abs(found.T - expected).max() > 1e-2 * expected.max()


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize("fabric", ["rc", "dual_rail"])
def test_a_passive_program_turns_its_drives_power_into_heat(fabric, seed):
    program = compiled(fabric, resistors__tolerance=0.05, resistors__tc1=1e-3, thermal__to_hot=1e-2)
    die = Die(program.technology, seed)
    program = program.on(die)
    x = equilibrium(program, B)
    # Half of the current into a rail at half of the voltage, twice.
    rails = 1 if fabric == "rc" else 2
    driven = float(program.currents(B) @ (x / program.readout_scale * program.volts_per_unit)) / rails
    assert dissipation(program, x, B).total == pytest.approx(driven, rel=1e-9)
    assert heat_map(program, die, x, B).sum() == pytest.approx(driven, rel=1e-9)
    # Away from rest the two differ: the capacitors take or give the rest.
    assert abs(dissipation(program, 1.01 * x, B).total / driven / 1.01 - 1) > 5e-3


def test_a_mismatch_of_rails_changes_the_heat_in_second_order():
    errors = []
    for tolerance in (0.02, 0.01):
        program = compiled("dual_rail", resistors__tolerance=tolerance)
        program = program.on(Die(program.technology, 5))
        exact = sum(power for power, _ in part_powers(program, B).values())
        errors.append(dissipation(program, equilibrium(program, B), B).total / exact - 1)
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)
    assert abs(errors[0]) < 0.02**2 * 10


# What temperature does to the solution


@pytest.mark.parametrize("rise", [40.0, -30.0])
@pytest.mark.parametrize("fabric", FABRICS)
def test_a_uniform_rise_only_rescales_the_solution(fabric, rise):
    program = compiled(
        fabric,
        resistors__tolerance=0.02,
        resistors__tc1=2e-3,
        resistors__tc2=1e-5,
        opamp__gain=100.0,
        opamp__offset=1e-3,
    )
    die = Die(program.technology, 2)
    cold, warm = (program.on(die.at(np.full((8, 8), t))) for t in (REFERENCE, REFERENCE + rise))
    drift = 1 + 2e-3 * rise + 1e-5 * rise**2
    # A current through a warmer resistor makes more volts; in a crossbar input and array drift together.
    scale = 1.0 if fabric.startswith("crossbar") else drift
    x, y = equilibrium(cold, B), equilibrium(warm, B)
    np.testing.assert_allclose(y, scale * x, rtol=1e-12)
    wrong = drift if scale == 1.0 else 1.0
    assert np.abs(y / x - wrong).min() > 0.5 * abs(drift - 1)


def first_order(program, parts, rise_of, tc1):
    """-M^-1 dM x with dM summed part by part; `rise_of` the same parts on the warm die."""
    n, unit, d = program.size, program.conductance_unit, program.scaling
    change = np.zeros((n, n))
    if program.fabric_name == "crossbar":
        matrix = parts.polarity * parts.coupling.mean(axis=0)
        change = -matrix * tc1 * (rise_of.coupling_temperature - REFERENCE)
        # An input resistor drives less current when warm, which is the same as a larger row.
        change += matrix * (tc1 * (rise_of.drive_temperature - REFERENCE))[:, None]
    else:
        coupling, ground = parts.coupling.mean(axis=0), parts.ground.mean(axis=0)
        if program.fabric_name == "rc":
            branches = zip(
                parts.first, parts.second, parts.polarity, coupling, rise_of.coupling_temperature, strict=True
            )
        else:
            i, j = np.nonzero(np.triu(coupling, 1))
            hot = rise_of.coupling_temperature[i, j]
            branches = zip(i, j, parts.polarity[i, j], coupling[i, j], hot, strict=True)
        for i, j, sign, g, hot in branches:
            branch = np.zeros(n)
            branch[i], branch[j] = 1.0, sign
            change -= g * tc1 * (hot - REFERENCE) * np.outer(branch, branch)
        change -= np.diag(ground * tc1 * (rise_of.ground_temperature - REFERENCE))
    change /= unit * np.outer(d, d)
    matrix = np.asarray(program.matrix.todense() if hasattr(program.matrix, "todense") else program.matrix)
    return -np.linalg.solve(matrix, change @ equilibrium(program, B))


@pytest.mark.parametrize("fabric", ["rc", "dual_rail", "crossbar"])
def test_a_gradient_distorts_the_solution_by_the_first_order_amount(fabric):
    tc1 = 1e-3
    program = compiled(fabric, resistors__tc1=tc1, thermal__cells=16)
    die = Die(program.technology, None)
    x = equilibrium(program, B)
    edge = np.linspace(1.0, 0.0, 16)
    slope = 8.0 * (edge[None, :] + edge[:, None] * edge[None, :] ** 2)  # no product of a row's and a column's factor
    errors, uniform = [], []
    for share in (1.0, 0.5):
        warm = program.on(die.at(REFERENCE + share * slope))
        moved = equilibrium(warm, B)
        errors.append(np.linalg.norm(moved - x - first_order(program, program.parts, warm.parts, tc1)))
        # Negative control: all parts at the mean temperature.
        mean = 1.0 if fabric == "crossbar" else 1 + tc1 * share * slope.mean()
        uniform.append(np.linalg.norm(moved - x * mean))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)
    assert uniform[0] / uniform[1] == pytest.approx(2.0, rel=0.1)
    assert uniform[0] > 10 * errors[0]


def test_a_crossbar_takes_a_gradient_along_its_columns_as_a_scale_of_each_unknown():
    # K diag(1 / f_j) x = b / f_in: exact, and no condition number amplifies it.
    program = compiled("crossbar", resistors__tc1=1e-3)
    technology = program.technology
    die = Die(technology, None)
    columns = np.linspace(60.0, 5.0, 8)
    warm = program.on(die.at(np.broadcast_to(REFERENCE + columns, (8, 8))))
    factor = 1 + 1e-3 * (warm.parts.coupling_temperature[0] - REFERENCE)
    np.testing.assert_allclose(equilibrium(warm, B), equilibrium(program, B) * factor / 1.005, rtol=1e-10)
    turned = program.on(die.at(np.broadcast_to(REFERENCE + columns[:, None], (8, 8))))
    # Along its rows input and array drift together, row by row.
    np.testing.assert_allclose(equilibrium(turned, B), equilibrium(program, B), rtol=1e-10)


# Fixed points


def one_cell(fabric, rise, **coefficients):
    """One unknown on one thermal cell, driven so that at the reference temperature its heat would raise it by `rise` K."""
    changes = {f"resistors__{name}": value for name, value in coefficients.items()}
    technology = IDEAL.replace(thermal=Thermal(cells=1, to_ambient=1e-3), **changes)
    program = compile_matrix([[1.0]], fabric, technology)
    power = dissipation(program, equilibrium(program, [1.0]), [1.0]).total
    return program, Die(technology, None), np.array([np.sqrt(rise * 1e-3 / power)])


@pytest.mark.parametrize("tc1", [5e-3, -5e-3])
def test_one_voltage_driven_cell_meets_its_quadratic(tc1):
    # D = q / (1 + a D), so a D^2 + D - q = 0; the root that goes to q with a.
    program, die, b = one_cell("crossbar", 20.0, tc1=tc1)
    found = self_heated(program, die, b)
    root = (-1 + np.sqrt(1 + 4 * tc1 * 20.0)) / (2 * tc1)
    assert found.outcome is ThermalOutcome.CONVERGED
    assert found.max_rise == pytest.approx(root, abs=1e-6)
    assert abs(found.max_rise - 20.0) > 1.0
    np.testing.assert_allclose(found.x, b, rtol=1e-7)


def test_one_current_driven_cell_meets_its_quadratic():
    # D = q (1 + a D + c D^2)
    q, a, c = 10.0, 4e-3, 5e-4
    program, die, b = one_cell("rc", q, tc1=a, tc2=c)
    found = self_heated(program, die, b)
    root = ((1 - q * a) - np.sqrt((1 - q * a) ** 2 - 4 * q**2 * c)) / (2 * q * c)
    assert found.max_rise == pytest.approx(root, abs=1e-6)
    np.testing.assert_allclose(found.x, b * (1 + a * root + c * root**2), rtol=1e-8)
    assert found.total_power == pytest.approx(1e-3 * root, rel=1e-6)


@pytest.mark.parametrize("fabric", [*FABRICS, "oscillator"])
def test_all_heat_leaves_to_the_ambient_and_the_neighbour(fabric):
    thermal = Thermal(cells=4, to_ambient=1e-6, to_neighbour=1e-5, to_hot=2e-6, power=1e-6, ambient_rms=3.0)
    program = compiled(fabric, resistors__tc1=1e-3, resistors__tolerance=0.02, thermal=thermal)
    die = Die(program.technology, 6)
    found = self_heated(program, die, B)
    assert found.outcome is ThermalOutcome.CONVERGED
    assert found.max_rise > 5.0
    outward = thermal.to_ambient * (found.temperatures - die.ambient).sum()
    outward += thermal.to_hot * (found.temperatures[:, 0] - thermal.hot_temperature).sum()
    assert found.total_power + 16 * thermal.power == pytest.approx(outward, rel=1e-9)
    # The heat is the one of the parts at these temperatures, and the solution theirs.
    again = heat_map(found.program, die, found.x, B)
    np.testing.assert_allclose(again, found.heat, rtol=1e-7)
    np.testing.assert_allclose(found.x, equilibrium(program.on(die.at(found.temperatures)), B), rtol=1e-13)
    assert found.spread == pytest.approx(np.ptp(found.temperatures))


def test_without_coefficients_the_first_map_is_the_answer():
    program = compiled("crossbar", thermal=thermal_preset("isolated"))
    die = Die(program.technology, None)
    found = self_heated(program, die, B)
    assert found.iterations <= 2
    np.testing.assert_allclose(found.heat, heat_map(program, die, equilibrium(program, B), B), rtol=1e-12)


# Runaway

FOLDS = {
    # D = q (1 + c D^2) has a root up to q = 1 / (2 sqrt(c)), D = q / (1 + a D) with a < 0 up to q = 1 / (4 |a|).
    "rc": ({"tc2": 1e-3}, 1 / (2 * np.sqrt(1e-3)), 1 / np.sqrt(1e-3)),
    "crossbar": ({"tc1": -0.01}, 25.0, 50.0),
}


@pytest.mark.parametrize("fabric", FOLDS)
def test_just_below_the_fold_it_converges_and_just_above_it_runs_away(fabric):
    coefficients, threshold, at_fold = FOLDS[fabric]
    below = self_heated(*one_cell(fabric, 0.999 * threshold, **coefficients), iterations=2000)
    assert below.outcome is ThermalOutcome.CONVERGED
    assert 0.9 * at_fold < below.max_rise < at_fold
    for share in (1.001, 1.05, 2.0, 1e6):
        above = self_heated(*one_cell(fabric, share * threshold, **coefficients), iterations=2000)
        assert above.outcome is ThermalOutcome.RUNAWAY
        assert "lower the signal level" in above.reason


def test_a_linear_runaway_is_distinguished_from_its_growth_before_the_limit():
    # D = q (1 + a D) has no root for q a > 1, and its distance from balance grows by q a each time.
    found = self_heated(*one_cell("rc", 5.0, tc1=0.02), limit=1e6)
    assert found.outcome is ThermalOutcome.CONVERGED
    found = self_heated(*one_cell("rc", 51.0, tc1=0.02), limit=1e6)
    assert found.outcome is ThermalOutcome.RUNAWAY
    assert "each degree makes more than a degree" in found.reason


def test_a_strong_negative_feedback_is_damped_and_no_runaway():
    # The undamped first step would pass the limit of 1000 K, and the next one would go back.
    found = self_heated(*one_cell("rc", 900.0, tc1=-0.02))
    assert found.outcome is ThermalOutcome.CONVERGED
    assert found.max_rise == pytest.approx(900.0 / (1 + 0.02 * 900.0), abs=1e-6)


def test_a_die_that_is_too_hot_by_itself_says_so():
    program, die, b = one_cell("rc", 1.0)
    hot = Die(IDEAL.replace(thermal=Thermal(cells=1, to_ambient=1e-6, power=1e-2)), None)
    found = self_heated(program, hot, b)
    assert (found.outcome, found.iterations) == (ThermalOutcome.RUNAWAY, 0)
    assert "without the program's own heat" in found.reason
    assert self_heated(program, die, b, limit=305.0).outcome is ThermalOutcome.CONVERGED
    assert self_heated(program, die, 10 * b, limit=305.0).outcome is ThermalOutcome.RUNAWAY


def test_parts_beyond_the_end_of_their_law_are_no_convergence():
    found = self_heated(*one_cell("rc", 2000.0, tc1=-0.02))
    assert found.outcome is ThermalOutcome.NOT_CONVERGED
    assert "law ends" in found.reason


def test_too_few_iterations_say_what_to_try():
    found = self_heated(*one_cell("crossbar", 20.0, tc1=-0.01), iterations=3)
    assert (found.outcome, found.iterations) == (ThermalOutcome.NOT_CONVERGED, 3)
    assert "allow more iterations" in found.reason
    assert found.residual > 1e-6


def test_heat_that_makes_the_matrix_indefinite_is_reported():
    thermal = Thermal(cells=8, to_ambient=1e-6, to_neighbour=0.0)
    technology = IDEAL.replace(resistors__tc1=5e-3, thermal=thermal)
    program = compile_matrix(spd(5, 1e4, 3), "crossbar", technology, b=B)
    found = self_heated(program, Die(technology, None), B)
    assert found.outcome is ThermalOutcome.NOT_CONVERGED
    assert "not positive definite" in found.reason
    assert np.isnan(found.x).all()


@settings(max_examples=60)
@given(
    fabric=st.sampled_from(FABRICS),
    thermal=st.builds(
        Thermal,
        cells=st.integers(1, 4),
        ambient=st.floats(1.0, 1000.0),
        hot_temperature=st.floats(1.0, 1000.0),
        to_ambient=st.floats(1e-12, 1e2) | st.just(5e-324),
        to_neighbour=st.floats(0, 1e2),
        to_hot=st.just(0.0) | st.floats(0, 1e2),
        power=st.just(0.0) | st.floats(0, 1e2),
    ),
    tc1=st.floats(-0.02, 0.02),
    tc2=st.floats(-1e-3, 1e-3),
    level=st.sampled_from([0.0, 1e-6, 1.0, 1e3, 1e200]),
)
def test_any_thermal_figures_end_in_an_outcome(fabric, thermal, tc1, tc2, level):
    program = compiled(fabric, resistors__tc1=tc1, resistors__tc2=tc2)
    technology = program.technology.replace(thermal=thermal)
    with np.errstate(all="ignore"):
        die = Die(technology, None)
    found = self_heated(dataclasses.replace(program, technology=technology), die, level * B, iterations=60)
    assert found.outcome in ThermalOutcome
    assert found.reason
    if found.outcome is ThermalOutcome.CONVERGED:
        assert np.isfinite(found.x).all()
        assert found.temperatures.max() <= 1000.0
        outward = thermal.to_ambient * (found.temperatures - die.ambient).sum()
        outward += thermal.to_hot * (found.temperatures[:, 0] - thermal.hot_temperature).sum()
        conductance = thermal.to_ambient + thermal.to_hot + thermal.to_neighbour
        scale = conductance * thermal.cells**2 * found.temperatures.max()
        made = found.total_power + thermal.cells**2 * thermal.power
        assert made == pytest.approx(
            outward, rel=1e-8, abs=1e-12 * scale + 1e-300
        )  # which denormal numbers do not resolve


# Arguments


def test_fabrics_without_such_resistors_are_rejected():
    matrix = matrix_for("rc")
    programs = [compile_matrix(matrix, name) for name in ("lc", "spu")]
    for program in programs:
        with pytest.raises(UnrealisableError, match=f"fabric {program.fabric_name} has no resistors with places"):
            self_heated(program, Die(IDEAL, None), B)
        with pytest.raises(UnrealisableError, match="the heat is known for rc, dual_rail, crossbar, crossbar_single"):
            heat_map(program, Die(IDEAL, None), B, B)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"damping": 1.5}, "damping is 1.5"),
        ({"limit": np.nan}, "limit is nan"),
        ({"iterations": 0}, "iterations is 0"),
        ({"iterations": 2.5}, "iterations is 2.5"),
        ({"b": [1.0]}, "b has shape"),
    ],
)
def test_an_argument_out_of_range_is_named(change, message):
    program = compiled("rc")
    with pytest.raises(InputError, match=message):
        self_heated(**{"program": program, "die": Die(IDEAL, None), "b": B} | change)


@pytest.mark.parametrize("x", [np.zeros(4), [0, 0, np.nan, 0, 0], ["a"] * 5])
def test_a_solution_that_does_not_fit_is_rejected(x):
    with pytest.raises(InputError, match="x must"):
        dissipation(compiled("rc"), x, B)


# Amplifiers


AMPLIFIERS = {"crossbar": 5, "crossbar_single": 10, "dual_rail": 0, "rc": 0}
"""Of `matrix_for`: one a cell, and one a column with a negative entry."""


def supplied(fabric, **changes):
    thermal = {"thermal__to_hot": 1e-4, "thermal__ambient_rms": 2.0, "thermal__power": 1e-5, "resistors__tc1": 1e-3}
    return compiled(fabric, opamp__power=2e-3, **thermal, **changes)


@pytest.mark.parametrize("fabric", FABRICS)
def test_the_heat_of_amplifiers_and_resistors_leaves_to_the_ambient_and_the_neighbour(fabric):
    program = supplied(fabric)
    die, thermal = Die(program.technology, 6), program.technology.thermal
    found = self_heated(program, die, B)
    resistors = dissipation(found.program, found.x, B).total
    assert found.amplifier_heat.sum() == pytest.approx(2e-3 * AMPLIFIERS[fabric], rel=1e-12)
    assert found.total_power == pytest.approx(resistors + 2e-3 * AMPLIFIERS[fabric], rel=1e-6)
    outward = thermal.to_ambient * (found.temperatures - die.ambient).sum()
    outward += thermal.to_hot * (found.temperatures[:, 0] - thermal.hot_temperature).sum()
    assert found.total_power + 64 * thermal.power == pytest.approx(outward, rel=1e-6)
    if AMPLIFIERS[fabric]:
        assert abs(resistors + 64 * thermal.power - outward) > 0.5 * outward


def test_a_dies_temperatures_have_the_amplifiers_in_them_where_they_are():
    program = supplied("crossbar")
    die, parts = Die(program.technology, 6), program.parts
    place = (np.arange(5) + 0.5) / 5
    warm = temperature_map(program.technology.thermal, die.ambient, heat_at(8, 2e-3, place, np.ones(5)))
    found = program.on(die).parts
    np.testing.assert_array_equal(found.drive_temperature, temperature_at(warm, place, np.ones(5)))
    np.testing.assert_array_equal(found.coupling_temperature, temperature_at(warm, place[:, None], place[None, :]))
    assert (found.drive_temperature - die.temperature_of(place, np.ones(5))).min() > 0.1
    other = temperature_map(program.technology.thermal, die.ambient, heat_at(8, 2e-3, place, np.zeros(5)))
    assert np.abs(found.drive_temperature - temperature_at(other, place, np.ones(5))).min() > 0.05
    # A map that is given is the whole of it, and input resistors of another range are as warm.
    given = program.on(die.at(die.temperatures)).parts
    np.testing.assert_array_equal(given.drive_temperature, die.temperature_of(place, np.ones(5)))
    again = program.on(die).with_drive(parts.drive_nominal, die).parts
    np.testing.assert_array_equal(again.drive, found.drive)


@pytest.mark.parametrize("changes", [{"thermal__amplifiers_apart": True}, {"opamp__power": 0.0}])
def test_amplifiers_elsewhere_or_without_power_leave_the_die_as_it_is(changes):
    program = supplied("crossbar_single")
    program = compile_matrix(matrix_for("crossbar"), "crossbar_single", program.technology.replace(**changes))
    die = Die(program.technology, 6)
    assert program.parts.supplied(die) is die
    assert not program.parts.amplifier_heat(die).any()
