"""Temperatures in time: the network's own matrix exponential, and the law of a low-pass behind an Ornstein-Uhlenbeck process."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.linalg import expm, solve_continuous_lyapunov

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.parts import Thermal
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.thermal import temperature_map, temperature_transient, time_constants
from thermograd.circuits.technology.thermal_state import ThermalState

CELLS = 3
MOVING = Thermal(
    cells=CELLS,
    dynamic=True,
    ambient_rms=2.0,
    ambient_time=1.5,
    to_hot=1e-3,
    to_neighbour=2e-3,
    to_ambient=5e-4,
    heat_capacity=2e-4,
    power=1e-4,
)
STILL = MOVING.model_copy(update={"ambient_time": np.inf})


def network(thermal):
    """Drift (1/s) and constant input (K/s) of (ambient, cell 0, 1, ...), and the power of the ambient's noise, K^2/s; cell by cell."""
    m, c = thermal.cells, thermal.heat_capacity
    drift, constant = np.zeros((1 + m * m,) * 2), np.zeros(1 + m * m)
    drift[0, 0], constant[0] = -1 / thermal.ambient_time, thermal.ambient / thermal.ambient_time
    for i in range(m):
        for j in range(m):
            k = 1 + i * m + j
            drift[k, k] -= thermal.to_ambient / c
            drift[k, 0] += thermal.to_ambient / c
            constant[k] += thermal.power / c
            if j == 0:
                drift[k, k] -= thermal.to_hot / c
                constant[k] += thermal.to_hot * thermal.hot_temperature / c
            for a, b in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if 0 <= a < m and 0 <= b < m:
                    drift[k, k] -= thermal.to_neighbour / c
                    drift[k, 1 + a * m + b] += thermal.to_neighbour / c
    return drift, constant, 2 * thermal.ambient_rms**2 / thermal.ambient_time


def over(thermal, seconds):
    """Propagator, input and covariance after that time, by a block exponential (C. F. Van Loan, IEEE TAC 23:395, 1978)."""
    drift, constant, power = network(thermal)
    n = len(drift)
    noise = np.zeros((n, n))
    noise[0, 0] = power
    block = expm(np.block([[-drift, noise], [np.zeros((n, n)), drift.T]]) * seconds)
    move = block[n:, n:].T
    added = expm(np.block([[drift, constant[:, None]], [np.zeros((1, n + 1))]]) * seconds)[:n, n]
    return move, added, move @ block[:n, n:]


@pytest.mark.parametrize("seconds", [1e-3, 0.05, 0.4])
def test_a_step_is_the_networks_exponential_with_the_ambient_in_it(seconds):
    move, added, covariance = over(MOVING, seconds)
    start = np.random.default_rng(1).uniform(300, 330, CELLS**2)
    state = ThermalState(MOVING, 307.0, start.reshape(CELLS, CELLS))
    state.advance(seconds)  # without deviates: the mean
    mean = move @ np.append(307.0, start) + added
    np.testing.assert_allclose(np.append(state.ambient, state.temperatures), mean, rtol=1e-12)
    # Unit deviates one by one give the columns of a root of the covariance.
    columns = []
    for unit in np.eye(state.draws):
        state = ThermalState(MOVING, 307.0, start.reshape(CELLS, CELLS))
        state.advance(seconds, deviates=unit)
        columns.append(np.append(state.ambient, state.temperatures) - mean)
    found = np.array(columns).T @ np.array(columns)
    np.testing.assert_allclose(found, covariance, rtol=1e-6, atol=1e-11 * covariance.max())
    assert np.abs(found - over(MOVING, 1.1 * seconds)[2]).max() > 0.01 * covariance.max()


def test_two_steps_are_one_of_both_times():
    """Covariances over a short and a long time add up as those of a Markov process, at times 1e6 apart too."""
    long, short = 3.0, 3e-6
    state = ThermalState(MOVING, 300.0, 300.0)
    half, whole = state._factor(long / 2), state._factor(long)
    move = np.diag(np.exp(-np.append(1 / MOVING.ambient_time, state._rates[0]) * long / 2))
    move[1:, 0] = state._step(long / 2)[1]
    np.testing.assert_allclose(move @ half @ half.T @ move.T + half @ half.T, whole @ whole.T, rtol=1e-9)
    tiny = state._factor(short)
    tiny = tiny @ tiny.T
    # u^2 = 2 a s^2 t, and y beta u t / sqrt(3) behind it.
    assert tiny[0, 0] == pytest.approx(2 * 4.0 * short / 1.5, rel=1e-4)
    beta = MOVING.to_ambient / MOVING.heat_capacity * state._uniform
    np.testing.assert_allclose(tiny.diagonal()[1:], tiny[0, 0] * (beta * short) ** 2 / 3, rtol=1e-4)


def test_a_steady_ambient_is_the_transient_and_ends_in_the_map():
    rng = np.random.default_rng(2)
    power, start = rng.uniform(0, 1e-3, (CELLS, CELLS)), rng.uniform(300, 330, (CELLS, CELLS))
    state = ThermalState(STILL, 303.0, start)
    assert state.draws == 0
    for _ in range(3):
        state.advance(0.1, power)
    expected = temperature_transient(STILL, [0.3], start, 303.0, power)[0]
    np.testing.assert_allclose(state.temperatures, expected, rtol=1e-13)
    state.advance(1e5, power)
    np.testing.assert_allclose(state.temperatures, temperature_map(STILL, 303.0, power), rtol=1e-13)
    flow = STILL.to_ambient * (state.temperatures - 303.0).sum()
    flow += STILL.to_hot * (state.temperatures[:, 0] - STILL.hot_temperature).sum()
    assert flow == pytest.approx(power.sum() + CELLS**2 * STILL.power, rel=1e-9)
    assert state.ambient == 303.0


def test_a_hot_start_decays_with_the_time_constants():
    thermal = STILL.model_copy(update={"to_hot": 0.0, "power": 0.0, "ambient_rms": 0.0})
    slowest = time_constants(thermal)[0]
    state = ThermalState(thermal, thermal.ambient, 340.0)
    for _ in range(4):
        state.advance(slowest / 4)
    np.testing.assert_allclose(state.temperatures - thermal.ambient, (340 - thermal.ambient) / np.e, rtol=1e-12)


STEP, STEPS = 0.3, 6000


def test_the_ambient_is_an_ornstein_uhlenbeck_process_and_the_die_its_low_pass():
    """One cell: of variance s^2 and correlation time 1/a, behind r: s^2 r / (r + a); z of variance and of correlation over a step."""
    thermal = Thermal(cells=1, dynamic=True, ambient_rms=2.0, ambient_time=1.5, to_ambient=5e-4, heat_capacity=2e-4)
    a, r = 1 / 1.5, 2.5
    seen, rng = [], np.random.default_rng(5)
    state = ThermalState(thermal, thermal.ambient, thermal.ambient)
    for _ in range(STEPS):
        state.advance(STEP, deviates=rng.standard_normal(2))
        seen.append((state.ambient, state.temperatures[0, 0]))
    u, t = np.array(seen[200:]).T - thermal.ambient

    def error(law_variance, law_time, values):
        """Standard errors by which a variance is off, for a process of that correlation time (some 1 / law_time a step)."""
        independent = len(values) * STEP / law_time
        return (values.var() / law_variance - 1) * np.sqrt(independent / 2)

    assert abs(error(4.0, 1.5, u)) < 3.5
    filtered = 4.0 * r / (r + a)
    assert abs(error(filtered, 1.5 + 0.4, t)) < 3.5

    def lag(values):
        return float(np.corrcoef(values[:-1], values[1:])[0, 1])

    assert lag(u) == pytest.approx(np.exp(-a * STEP), abs=0.03)
    # r exp(-a t) - a exp(-r t) over r - a: of a low-pass behind the process.
    assert lag(t) == pytest.approx((r * np.exp(-a * STEP) - a * np.exp(-r * STEP)) / (r - a), abs=0.02)
    # Negative controls: a die that follows the ambient at once, one that hears nothing of it, and one whose ambient is constant.
    assert error(4.0, 1.5, t) < -4
    assert t.var() > 1.0
    state = ThermalState(STILL.model_copy(update={"cells": 1}), 300.15, 300.15)
    state.advance(1.0)
    assert state.ambient == 300.15


def test_what_a_long_step_leaves_is_the_stationary_covariance():
    drift, _, power = network(MOVING)
    noise = np.zeros_like(drift)
    noise[0, 0] = power
    stationary = solve_continuous_lyapunov(drift, -noise)
    state = ThermalState(MOVING, 300.0, 300.0)
    factor = state._factor(1e4)
    modes = factor @ factor.T
    back = np.zeros((1 + CELLS**2, 1 + CELLS))
    back[0, 0] = 1.0
    for k in range(CELLS):
        unit = np.zeros((CELLS, CELLS))
        unit[0, k] = 1.0
        back[1:, 1 + k] = state._modes.back(unit).ravel()
    np.testing.assert_allclose(back @ modes @ back.T, stationary, rtol=1e-8)


@pytest.mark.parametrize("change", [{"ambient_time": 10.0}, {"between_runs": 1e-3}])
def test_what_needs_time_needs_temperatures_that_move(change):
    with pytest.raises((InputError, ValidationError), match="set dynamic to true"):
        Thermal(**change)
    with pytest.raises(InputError, match=r"thermal.*set dynamic to true"):
        preset("integrated").replace(**{f"thermal__{name}": value for name, value in change.items()})


@pytest.mark.parametrize("seconds", [-1.0, np.inf, np.nan])
def test_time_is_finite_and_goes_forward(seconds):
    with pytest.raises(InputError, match="finite time"):
        ThermalState(STILL, 300.0, 300.0).advance(seconds)


def test_a_start_below_absolute_zero_is_rejected():
    with pytest.raises(InputError, match="above 0 K"):
        ThermalState(STILL, 300.0, -1.0)
