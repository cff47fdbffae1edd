"""The die's thermal network: conservation of heat, its bounds, and a nodal solution written out cell by cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.technology import Thermal
from thermograd.circuits.thermal import temperature_at, temperature_map

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


def heat_balance(thermal, grid):
    """Net heat (W) that flows into each cell, neighbour by neighbour: zero in the steady state."""
    m = thermal.cells
    net = np.full((m, m), thermal.power)
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
