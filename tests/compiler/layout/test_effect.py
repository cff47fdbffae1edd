"""The law of the extracted netlist: wires, switches and parasitics against circuits solved elsewhere, by hand, and in the limits."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import splu

from thermograd.circuits.errors import UnrealisableError
from thermograd.circuits.linear.descriptor import describe_netlist
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import VCVS, Resistor, VoltageSource
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.compiler.compile import compile_matrix, lay_out
from thermograd.compiler.fabrics.registry import fabric_names
from thermograd.compiler.layout.effect import effective_conductance, layout_admittance, layout_effect, layout_matrix
from thermograd.compiler.layout.extraction import extracted_netlist

from ...systems import spd
from ..oracle import operating_point
from .layouts import ALL, IDEAL, at_rest, with_zeros

ARRAYS = fabric_names("has_layout")
CROSSBARS = ("crossbar", "crossbar_single")

GAIN = 1e8
"""What the netlist writes for an infinite gain."""


def impedance(program, s):
    """x-nodes' voltages for unit host currents, (n, n), of the extracted netlist."""
    descriptor = describe_netlist(extracted_netlist(program))
    place = {name: k for k, name in enumerate(descriptor.sources)}
    drive = np.zeros((len(place), program.size))
    for i, sources in enumerate(program.fabric.drives(program.parts)):
        for name, per_ampere in sources.items():
            drive[place[name], i] = per_ampere
    solved = splu(descriptor.at(complex(s))).solve((descriptor.input @ drive).astype(complex))
    return descriptor.differences(list(program.readouts)) @ solved


# The whole law


@pytest.mark.parametrize("fabric", ARRAYS)
@pytest.mark.parametrize("changes", [{}, {"opamp__gbw": math.inf}, {"wires__segment_resistance": 0.0}])
def test_the_law_is_the_netlists_at_every_frequency(fabric, changes):
    program = lay_out(with_zeros(4, 3), fabric, ALL.replace(**changes))
    for s in (0.0, 1.0, 1 + 2j, 30j):
        found = impedance(program, s / program.tau) @ layout_admittance(program, s / program.tau)
        np.testing.assert_allclose(found, np.eye(4), atol=1e-11)


@pytest.mark.parametrize(
    "field",
    [
        "switches__on_resistance",
        "switches__leakage",
        "wires__segment_resistance",
        "wires__segment_capacitance",
        "wires__crosspoint_capacitance",
        "wires__input_capacitance",
        "dac__resistance",
        "dac__capacitance",
    ],
)
def test_a_law_with_one_record_half_a_percent_off_is_distinguished_from_it(field):
    # Negative control: each part is in the comparison, and seen to ten digits at least.
    program = lay_out(with_zeros(4, 3), "crossbar_single", ALL)
    part, name = field.split("__")
    wrong = dataclasses.replace(program, technology=ALL.replace(**{field: 1.005 * getattr(getattr(ALL, part), name)}))
    s = (1 + 2j) / program.tau
    assert np.abs(impedance(program, s) @ layout_admittance(wrong, s) - np.eye(4)).max() > 1e-8


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(0, 10**6),
    st.sampled_from(ARRAYS),
    st.sampled_from([0.0, 1e-2, 1.0, 1e3]),
    st.sampled_from([0.0, 1.0, 1e4]),
    st.sampled_from([0.0, 1e-9, 1e-5]),
    st.sampled_from([0.0, 100.0]),
)
def test_any_array_settles_where_its_law_says(n, seed, fabric, wire, closed, leakage, dac):
    technology = IDEAL.replace(
        opamp__gain=500.0,
        wires__segment_resistance=wire,
        switches__on_resistance=closed,
        switches__leakage=leakage,
        dac__resistance=dac,
    )
    program = lay_out(with_zeros(n, seed), fabric, technology)
    b = np.random.default_rng(seed).standard_normal(n)
    expected = np.linalg.solve(layout_matrix(program), b)
    np.testing.assert_allclose(at_rest(program, b), expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("fabric", ARRAYS)
def test_ngspice_and_the_state_space_settle_there_too(fabric):
    program = compile_matrix(with_zeros(5, 7), fabric, ALL, b=np.ones(5))
    netlist = extracted_netlist(program, np.ones(5))
    expected = np.linalg.solve(layout_matrix(program), np.ones(5))
    x = program.decode(run(netlist, OperatingPoint(nodes=program.nodes)).voltages)
    np.testing.assert_allclose(x, expected, rtol=1e-6)
    space = state_space(netlist)
    x = program.decode(dict(zip(space.outputs, space.equilibrium(), strict=True)))
    np.testing.assert_allclose(x, expected, rtol=1e-7)
    # Negative control: the schematic's matrix is not the one.
    assert np.abs(np.linalg.solve(program.emitted_matrix, np.ones(5)) / expected - 1).max() > 1e-2


@pytest.mark.parametrize("fabric", ARRAYS)
def test_with_records_of_zeros_the_matrix_is_the_emitted_one(fabric):
    technology = IDEAL.replace(opamp__gain=100.0)
    program = compile_matrix(with_zeros(4, 1), fabric, technology, equilibrate=True)
    np.testing.assert_allclose(layout_matrix(program), program.emitted_matrix, rtol=1e-13, atol=1e-15)
    assert not np.allclose(program.scaling, 1.0)


def test_a_mismatch_of_rails_is_wrong_only_in_second_order():
    def error(tolerance):
        technology = ALL.replace(resistors__tolerance=tolerance)
        program = lay_out(with_zeros(4, 5), "crossbar", technology).on(Die(technology, 2))
        wanted = np.linalg.solve(layout_matrix(program), np.ones(4))
        return float(np.linalg.norm(at_rest(program, np.ones(4)) - wanted) / np.linalg.norm(wanted))

    assert error(0.0) < 1e-10
    assert error(0.08) / error(0.02) > 10  # 16; a law that is wrong in first order would have 4


# Laws by hand


@pytest.mark.parametrize("fabric", ARRAYS)
def test_one_unknown_is_a_series_of_resistors(fabric):
    technology = IDEAL.replace(wires__segment_resistance=7.0, switches__on_resistance=30.0, dac__resistance=50.0)
    program = lay_out([[4.0]], fabric, technology)
    coupled, load = effective_conductance(program)
    assert coupled[0, 0] == pytest.approx(1 / (1000.0 + 30.0 + 2 * 7.0), rel=1e-12)
    assert load[0, 0] == pytest.approx(coupled[0, 0], rel=1e-12)
    # x = b / 4 times (R + R_on + 2 r) / (R_in + R_dac) R_in / R.
    assert at_rest(program, [2.0])[0] == pytest.approx(0.5 * 1044.0 / 1050.0, rel=1e-6)


def test_two_unknowns_are_a_ladder_worked_out_by_hand():
    # Single-ended, no negative entry: two columns, two rows. Row 1, r in units of 1 kOhm, rows loaded by both of their crosspoints.
    r, a = 0.01, np.array([[1.0, 0.5], [0.5, 0.8]])
    program = lay_out(a, "crossbar_single", IDEAL.replace(wires__segment_resistance=1e3 * r))
    # Unknown taps: a11 a21 a12 a22 (column j at row i: a_ij), e11 e12 e21 e22.
    g = 1 / r
    nodes = np.array(
        [
            [2 * g + 1.0, -g, 0, 0, -1.0, 0, 0, 0],
            [-g, g + 0.5, 0, 0, 0, 0, -0.5, 0],
            [0, 0, 2 * g + 0.5, -g, 0, -0.5, 0, 0],
            [0, 0, -g, g + 0.8, 0, 0, 0, -0.8],
            [-1.0, 0, 0, 0, g + 1.0, -g, 0, 0],
            [0, 0, -0.5, 0, -g, 2 * g + 0.5, 0, 0],
            [0, -0.5, 0, 0, 0, 0, g + 0.5, -g],
            [0, 0, 0, -0.8, 0, 0, -g, 2 * g + 0.8],
        ]
    )
    expected = np.empty((2, 2))
    for j, first in enumerate((0, 2)):
        drive = np.zeros(8)
        drive[first] = g
        taps = np.linalg.solve(nodes, drive)
        expected[:, j] = g * taps[5], g * taps[7]
    np.testing.assert_allclose(1e3 * effective_conductance(program)[0], expected, rtol=1e-11)
    assert not np.allclose(expected, expected.T, rtol=1e-4)


@pytest.mark.parametrize("fabric", ARRAYS)
def test_a_closed_switch_is_in_series_with_its_entry(fabric):
    program = lay_out(with_zeros(4, 3), fabric, IDEAL.replace(switches__on_resistance=50.0))
    signed = program.parts.polarity * program.parts.coupling[0]
    expected = np.sign(signed) * np.abs(signed) / (1 + 50.0 * np.abs(signed))
    np.testing.assert_allclose(effective_conductance(program)[0], expected, rtol=1e-7, atol=1e-20)
    np.testing.assert_allclose(
        at_rest(program, np.ones(4)), np.linalg.solve(layout_matrix(program), np.ones(4)), rtol=1e-9
    )


@pytest.mark.parametrize("gain", [np.inf, 300.0])
@pytest.mark.parametrize("fabric", CROSSBARS)
def test_leakage_adds_to_the_matrix_by_sign_and_to_the_load_by_count(fabric, gain):
    leakage = 2e-6
    a = with_zeros(5, 3)
    technology = IDEAL.replace(switches__leakage=leakage, opamp__gain=gain)
    program, tight = (lay_out(a, fabric, tech) for tech in (technology, IDEAL.replace(opamp__gain=gain)))
    sign = program.parts.polarity
    inverted = (sign < 0).any(axis=0)
    assert (sign == 0).any()
    assert 0 < inverted.sum() < 5
    # A pair of lines cancels where neither place is in use; a column without inverter has one line only.
    if fabric == "crossbar":
        change, unused = -leakage * sign, (2 - np.abs(sign)).sum(axis=1)
    else:
        error = 2 / min(gain, GAIN)  # of an inverter's gain
        change = leakage * ((sign <= 0) - (sign >= 0) * inverted / (1 + error))
        unused = (1 + inverted - np.abs(sign)).sum(axis=1)
        np.testing.assert_allclose(change, np.where(inverted, -sign, sign == 0) * leakage, atol=2 * error * leakage)
    (coupled, load), (alone, own) = effective_conductance(program), effective_conductance(tight)
    np.testing.assert_allclose(coupled, alone + change, rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(load, own + leakage * np.diag(unused), rtol=1e-12)
    # The netlist says so, too: its amplifiers divide the load by A0, and the matrix by nothing.
    error = 1 / min(gain, GAIN)
    expected = np.linalg.inv(tight.emitted_matrix)
    unit = program.conductance_unit
    moved = np.linalg.inv(tight.emitted_matrix + (change + error * leakage * np.diag(unused)) / unit)
    found = np.stack([at_rest(program, column) for column in np.eye(5)], axis=1)
    np.testing.assert_allclose(found, moved, rtol=1e-9, atol=1e-12)
    # Negative control: leakage that only loads the rows, as between grounds.
    only_load = np.linalg.inv(tight.emitted_matrix + error * leakage * np.diag(unused) / unit)
    assert np.abs(found - only_load).max() > 1e-4
    assert np.abs(found - expected).max() > 1e-4


@pytest.mark.parametrize("fabric", ARRAYS)
def test_a_dacs_resistance_scales_the_solution_and_nothing_else(fabric):
    technology = IDEAL.replace(dac__resistance=50.0)
    program = lay_out(with_zeros(4, 3), fabric, technology)
    b = np.array([1.0, -2.0, 0.5, 0.0])
    expected = np.linalg.solve(program.target, b) * 1000.0 / 1050.0
    np.testing.assert_allclose(at_rest(program, b), expected, atol=1e-6)


@pytest.mark.parametrize("fabric", ARRAYS)
def test_all_power_of_the_sources_becomes_heat_in_the_resistors(fabric):
    # Tellegen's theorem: amplifier outputs and DACs deliver what the resistors take; controlling inputs carry no current.
    technology = IDEAL.replace(
        wires__segment_resistance=30.0,
        switches__on_resistance=200.0,
        switches__leakage=3e-6,
        dac__resistance=100.0,
    )
    program = lay_out(with_zeros(4, 3), fabric, technology)
    netlist = extracted_netlist(program, [1.0, -2.0, 0.5, 3.0])
    volts = operating_point(netlist.to_spice()) | {"0": 0.0}
    heat, inflow = 0.0, dict.fromkeys(volts, 0.0)
    for part in netlist.of(Resistor):
        current = (volts[part.a] - volts[part.b]) / part.resistance
        heat += current * (volts[part.a] - volts[part.b])
        inflow[part.a] += current
        inflow[part.b] -= current
    driven = {part.a for part in (*netlist.of(VCVS), *netlist.of(VoltageSource))}
    assert sum(volts[node] * inflow[node] for node in driven) == pytest.approx(heat, rel=1e-9)
    # Kirchhoff's current law at every tap.
    largest = max(abs(current) for current in inflow.values())
    assert max(abs(inflow[node]) for node in inflow if node not in driven and node != "0") < 1e-9 * largest
    # Negative control: the heat of the matrix resistors alone is not all of it.
    assert (
        sum((volts[r.a] - volts[r.b]) ** 2 / r.resistance for r in netlist.of(Resistor) if r.name[1].isdigit())
        < 0.9 * heat
    )


# First order, and how it grows


def first_order(program, ohm, far_inputs=True):
    """K o [1 - r (N |K| + |K| Q)] of the docstring, entry by entry."""
    n = program.size
    signed = program.parts.polarity * program.parts.coupling[0]
    size, lost = np.abs(signed), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            lost[i, j] += sum((min(i, k) + 1) * size[k, j] for k in range(n))
            lost[i, j] += sum((n - max(j, k) if far_inputs else min(j, k) + 1) * size[i, k] for k in range(n))
    return signed * (1 - ohm * lost)


def wired(program, ohm):
    return dataclasses.replace(program, technology=program.technology.replace(wires__segment_resistance=ohm))


def test_the_first_order_formula_is_wrong_in_second_order_only():
    program = lay_out(spd(6, 10.0, 4), "crossbar", IDEAL)
    errors, misplaced = [], []
    for ohm in (0.4, 0.2):
        found = effective_conductance(wired(program, ohm))[0]
        errors.append(np.abs(found - first_order(program, ohm)).max())
        misplaced.append(np.abs(found - first_order(program, ohm, far_inputs=False)).max())
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)
    # Negative control: amplifier inputs at the near end of the rows are another circuit, in first order.
    assert misplaced[0] / misplaced[1] == pytest.approx(2.0, rel=0.05)
    assert misplaced[1] > 10 * errors[1]


def test_the_solution_moves_by_the_first_order_amount():
    a, b = spd(6, 10.0, 4), np.arange(6.0) - 2
    program = lay_out(a, "crossbar", IDEAL)
    exact = at_rest(program, b)
    errors = []
    for ohm in (0.4, 0.2):
        unit = program.conductance_unit
        change = first_order(program, ohm) / unit - a
        errors.append(np.linalg.norm(at_rest(wired(program, ohm), b) - exact + np.linalg.solve(a, change @ exact)))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize(("matrix", "order"), [("dense", 2), ("tridiagonal", 1)])
def test_the_mean_loss_grows_with_the_square_of_a_dense_arrays_size_and_with_a_sparse_ones(matrix, order):
    ohm, losses, sizes = 1e-4, [], (8, 16, 32, 64)
    for n in sizes:
        a = 0.5 * np.eye(n) + 0.5 if matrix == "dense" else 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
        program = wired(lay_out(a, "crossbar", IDEAL), ohm)
        signed = program.parts.polarity * program.parts.coupling[0]
        used = signed != 0
        losses.append((1 - effective_conductance(program)[0][used] / signed[used]).mean())
        if matrix == "dense":
            # Conductances g off the diagonal and 2 g on it, which counts as one more entry a row.
            assert losses[-1] == pytest.approx(ohm * 0.5e-3 * (n + 1) * (2 * n + 1) / 3 * (1 + 1 / n), rel=1e-3)
    assert np.log2(losses[-1] / losses[-2]) == pytest.approx(order, abs=0.07)


def test_the_loss_is_least_beside_the_drivers_and_the_amplifiers():
    program = wired(lay_out(0.5 * np.eye(8) + 0.5, "crossbar", IDEAL), 1.0)
    signed = program.parts.polarity * program.parts.coupling[0]
    loss = 1 - effective_conductance(program)[0] / signed
    assert np.unravel_index(np.argmin(loss), loss.shape) == (0, 7)
    assert np.unravel_index(np.argmax(loss), loss.shape) == (7, 0)
    assert (loss > 0).all()


def test_a_fabric_without_a_layout_has_no_such_law():
    program = compile_matrix(np.eye(2) + 0.1, "dual_rail")
    for ask in (effective_conductance, layout_admittance, layout_matrix, layout_effect):
        with pytest.raises(UnrealisableError, match="dual_rail has no layout"):
            ask(program)
