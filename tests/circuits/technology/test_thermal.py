"""The die's thermal network: conservation of heat, its bounds, and a nodal solution written out cell by cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.parts import Thermal
from thermograd.circuits.technology.presets import SITUATIONS, preset, thermal_preset
from thermograd.circuits.technology.technology import Technology
from thermograd.circuits.technology.thermal import (
    heat_at,
    temperature_at,
    temperature_map,
    temperature_transient,
    time_constants,
)

thermals = st.builds(
    Thermal,
    cells=st.integers(1, 5),
    ambient=st.floats(250, 350),
    hot_temperature=st.floats(350, 450),
    to_ambient=st.floats(1e-5, 1e-2),
    to_neighbour=st.floats(0, 1e-1),
    to_hot=st.floats(0, 1e-2),
    power=st.floats(0, 1e-2),
)


def heat_balance(thermal, grid, power=0.0):
    """Net heat (W) that flows into each cell, neighbour by neighbour: zero in the steady state."""
    m = thermal.cells
    net = np.full((m, m), thermal.power) + power
    for i in range(m):
        for j in range(m):
            net[i, j] += thermal.to_ambient * (thermal.ambient - grid[i, j])
            net[i, j] += thermal.to_hot * (thermal.hot_temperature - grid[i, j]) * (j == 0)
            for k, q in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= k < m and 0 <= q < m:
                    net[i, j] += thermal.to_neighbour * (grid[k, q] - grid[i, j])
    return net


@settings(max_examples=30)
@given(thermals)
def test_no_cell_gains_heat(thermal):
    grid = temperature_map(thermal)
    flow = (thermal.to_ambient + thermal.to_hot + 4 * thermal.to_neighbour) * grid.max()
    np.testing.assert_allclose(heat_balance(thermal, grid), 0.0, atol=1e-10 * flow)


@settings(max_examples=30)
@given(thermals)
def test_without_self_heating_no_cell_leaves_the_range_of_its_surroundings(thermal):
    grid = temperature_map(thermal.model_copy(update={"power": 0.0}))
    assert grid.min() >= thermal.ambient - 1e-6
    assert grid.max() <= max(thermal.ambient, thermal.hot_temperature) + 1e-6


def test_perfect_isolation_leaves_the_die_at_ambient_temperature():
    np.testing.assert_allclose(temperature_map(Thermal(to_hot=0.0, ambient=310.0)), 310.0, rtol=1e-12)


def test_self_heating_raises_the_mean_by_power_over_conductance():
    # Heat can leave only to the ambient, whatever the paths inside.
    grid = temperature_map(Thermal(cells=5, power=1e-3, to_ambient=5e-4, ambient=300.0))
    assert grid.mean() == pytest.approx(302.0, rel=1e-12)


def test_the_hot_edge_is_column_zero_and_the_die_cools_away_from_it():
    grid = temperature_map(Thermal(to_hot=1e-3))
    assert (np.diff(grid, axis=1) < 0).all()
    np.testing.assert_allclose(grid, grid[::-1], rtol=1e-12)  # top and bottom are alike


def test_a_dies_own_ambient_overrides_the_record():
    np.testing.assert_allclose(temperature_map(Thermal(), ambient=290.0), 290.0, rtol=1e-12)


def test_positions_fall_into_their_cells():
    grid = np.arange(16.0).reshape(4, 4)
    assert temperature_at(grid, 0.0, 0.0) == 0
    assert temperature_at(grid, 0.26, 0.99) == 7
    assert temperature_at(grid, 1.0, 1.0) == 15
    place = np.array([0.1, 0.9])
    np.testing.assert_array_equal(temperature_at(grid, place[:, None], place[None, :]), [[0, 3], [12, 15]])


@settings(max_examples=30)
@given(thermals, st.integers(0, 1000))
def test_no_cell_gains_heat_under_a_map_of_its_own(thermal, seed):
    power = np.random.default_rng(seed).exponential(1e-3, (thermal.cells, thermal.cells))
    grid = temperature_map(thermal, power=power)
    flow = (thermal.to_ambient + thermal.to_hot + 4 * thermal.to_neighbour) * grid.max()
    np.testing.assert_allclose(heat_balance(thermal, grid, power), 0.0, atol=1e-10 * flow)


def test_the_balance_above_sees_a_heat_map_that_lies_elsewhere():
    thermal, power = Thermal(cells=4, to_hot=1e-3), np.zeros((4, 4))
    power[1, 2] = 1e-3
    assert np.abs(heat_balance(thermal, temperature_map(thermal, power=power.T), power)).max() > 0.9e-3


def test_a_uniform_heat_map_is_the_records_own_power():
    thermal = Thermal(cells=3, to_hot=2e-3)
    other = temperature_map(thermal.model_copy(update={"power": 1e-3}))
    np.testing.assert_allclose(temperature_map(thermal, power=np.full((3, 3), 1e-3)), other, rtol=1e-13)


@pytest.mark.parametrize("to_hot", [0.0, 1.0])
@pytest.mark.parametrize("share", [1e-3, 1e-9, 1e-15])
def test_a_die_that_barely_touches_its_surroundings_keeps_its_heat_balance(share, to_hot):
    # A factorisation of the conductance matrix would lose the mean to rounding.
    power = np.zeros((4, 4))
    power[0, 3] = 1e-6
    thermal = Thermal(cells=4, to_ambient=share, to_neighbour=0.05, to_hot=to_hot * share, hot_temperature=1e-12)
    grid = temperature_map(thermal, ambient=0.0, power=power)
    left = share * (grid.sum() + to_hot * (grid[:, 0] - 1e-12).sum())
    assert left == pytest.approx(1e-6, rel=1e-9)


@pytest.mark.parametrize("to_hot", [0.0, 2e-3])
@pytest.mark.parametrize("cells", [1, 3])
def test_the_transient_is_the_networks_matrix_exponential(cells, to_hot):
    thermal = Thermal(cells=cells, to_ambient=1e-3, to_neighbour=5e-3, to_hot=to_hot, heat_capacity=2e-4, power=1e-4)
    rng = np.random.default_rng(cells)
    power, start = rng.uniform(0, 1e-3, (cells, cells)), rng.uniform(300, 340, (cells, cells))
    # The network's matrix from its own balance of heat, column by column.
    rest = heat_balance(thermal, np.zeros((cells, cells)), power).ravel()
    columns = [heat_balance(thermal, e.reshape(cells, cells), power).ravel() - rest for e in np.eye(cells**2)]
    flow = np.array(columns).T / thermal.heat_capacity
    end = np.linalg.solve(flow, -rest / thermal.heat_capacity)
    times = np.array([0.0, 0.01, 0.1, 1.0])
    expected = [(end + expm(flow * t) @ (start.ravel() - end)).reshape(cells, cells) for t in times]
    found = temperature_transient(thermal, times, start, power=power)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(
        temperature_transient(thermal, [1e4], start, power=power)[0], temperature_map(thermal, power=power), rtol=1e-13
    )
    np.testing.assert_allclose(time_constants(thermal), np.sort(-1 / np.linalg.eigvals(flow).real)[::-1], rtol=1e-10)
    slower = thermal.model_copy(update={"heat_capacity": 4e-4})
    assert np.abs(temperature_transient(slower, times, start, power=power) - expected).max() > 0.5


def test_an_isolated_cell_cools_with_its_heat_capacity_over_its_conductance():
    thermal = Thermal(cells=2, to_ambient=5e-4, heat_capacity=2e-4, ambient=300.0)
    assert time_constants(thermal)[0] == pytest.approx(0.4, rel=1e-12)
    cooled = temperature_transient(thermal, [0.4], 310.0)
    np.testing.assert_allclose(cooled, 300.0 + 10.0 / np.e, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: temperature_map(t, power=np.zeros((2, 3))), r"power has shape \(2, 3\).*\(2, 2\)"),
        (lambda t: temperature_map(t, power=1e-3), r"power has shape \(\)"),
        (lambda t: temperature_map(t, power=[[0, np.nan], [0, 0]]), "power holds nan"),
        (lambda t: temperature_transient(t, [-1.0], 300.0), "times must be finite and not negative"),
        (lambda t: temperature_transient(t, [0.0], np.zeros(3)), r"start has shape \(3,\)"),
    ],
)
def test_a_map_that_does_not_fit_the_grid_is_rejected(call, message):
    with pytest.raises(InputError, match=message):
        call(Thermal(cells=2))


def test_heat_goes_where_temperature_is_read():
    rng = np.random.default_rng(1)
    row, column, power = rng.uniform(size=40), rng.uniform(size=40), rng.uniform(size=40)
    numbers = np.arange(25.0).reshape(5, 5)
    expected = np.zeros(25)
    for cell, watts in zip(temperature_at(numbers, row, column).astype(int), power, strict=True):
        expected[cell] += watts
    np.testing.assert_allclose(heat_at(5, power, row, column), expected.reshape(5, 5), rtol=1e-13)
    assert heat_at(2, 1.0, row[:, None], column[None, :]).sum() == 1600


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_every_situation_says_where_it_comes_from_and_survives_a_file(tmp_path, name, suffix):
    thermal = thermal_preset(name)
    assert len(thermal.source) > 40
    technology = preset("integrated").replace(thermal=thermal)
    technology.write(tmp_path / f"t{suffix}")
    assert Technology.read(tmp_path / f"t{suffix}").thermal == thermal


def test_the_situations_go_from_isolated_to_bare():
    spreads = [np.ptp(temperature_map(thermal_preset(name))) for name in SITUATIONS]
    assert tuple(SITUATIONS) == ("isolated", "packaged", "beside a GPU", "bare")
    assert spreads[0] < 1e-9
    assert (np.diff(spreads) > 0).all()


@pytest.mark.parametrize(("name", "total"), [("isolated", 390.0), ("packaged", 31.0)])
def test_the_whole_dies_resistance_to_ambient_is_the_one_that_its_source_states(name, total):
    thermal = thermal_preset(name)
    assert 1 / (thermal.cells**2 * thermal.to_ambient) == pytest.approx(total, rel=0.02)


@pytest.mark.parametrize("name", ["nowhere", None, []])
def test_an_unknown_situation_lists_those_there_are(name):
    with pytest.raises(InputError, match=r"unknown.*isolated.*bare"):
        thermal_preset(name)


def test_a_die_at_another_map_is_the_same_die():
    technology = preset("integrated").replace(thermal__cells=2)
    die = Die(technology, 3)
    before = die.temperatures.copy()
    other = die.at([[310.0, 320.0], [330.0, 340.0]])
    np.testing.assert_array_equal(die.temperatures, before)
    assert other.temperature_of(0.9, 0.1) == 330.0
    assert (other.ambient, other.seed) == (die.ambient, die.seed)
    np.testing.assert_array_equal(other.deviates("coupling", (2, 3, 3)), die.deviates("coupling", (2, 3, 3)))


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (np.full((3, 3), 300.0), r"shape \(3, 3\).*\(2, 2\)"),
        ([[300, np.inf], [300, 300]], "inf K"),
        ([[300, -1], [300, 300]], r"-1\.0 K"),
    ],
)
def test_a_die_rejects_a_map_that_is_no_temperature_of_its_grid(grid, message):
    with pytest.raises(InputError, match=message):
        Die(preset("ideal").replace(thermal__cells=2), None).at(grid)
