"""Several samples and auto-zero: the variance of a mean of correlated readings, and the offset that is left."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, solve_continuous_lyapunov

from thermograd.circuits.errors import InputError
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.cell_law import cell_law
from thermograd.devicemodel.devices.spice import SpiceDevice, sampled
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.systems import Dense

from ...systems import spd, true_card

IDEAL = preset("ideal")
NOISY = IDEAL.replace(thermal__johnson_noise=True)
OFFSETS = IDEAL.replace(opamp__offset=1e-3, adc__offset=2e-3)
A, B = Dense(torch.tensor(spd(3, 20.0, 2))), torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64)
EXACT = torch.linalg.solve(A.A, B)


def device(technology, read_out, die=3, seed=0):
    return SurrogateDevice(true_card(technology), die, seed, read_out=read_out)


def error(technology, read_out, duration=math.inf, wanted=EXACT):
    return float((device(technology, read_out).solve(A, B, duration).x - wanted).norm() / EXACT.norm())


# Averaging


def noise_law(program, card):
    """(drift in units of 1 / tau, stationary covariance) of the voltages."""
    found = cell_law(program, np.zeros(program.size), card)
    return found.drift * program.tau, solve_continuous_lyapunov(found.drift, -found.diffusion)


def of_mean(drift, stationary, duration, samples, interval):
    """Covariance of the mean of `samples` readings after `duration` from a known state, by summing all pairs."""
    total = np.zeros_like(stationary)
    for k in range(samples):
        for m in range(samples):
            early, late = sorted((k, m))
            lost = expm(drift * (duration + early * interval))
            at = stationary - lost @ stationary @ lost.T
            cross = expm(drift * (late - early) * interval) @ at
            total += cross if m <= k else cross.T
    return total / samples**2


@pytest.mark.parametrize(("samples", "interval", "duration"), [(1, 0.0, 0.3), (4, 0.2, 0.3), (6, 0.05, 20.0)])
def test_the_mean_of_correlated_samples_has_the_variance_of_its_law(samples, interval, duration):
    board = device(NOISY, ReadOut(samples, interval), die=None)
    ends = []
    for _ in range(500):
        board.solve(A, B, duration, x0=EXACT)
        ends.append(board.probe.settled)
    drift, stationary = noise_law(board.program, board.card)

    def misfit(covariance):
        """Deviation of the mean square of 1500 whitened readings from one, in standard errors."""
        white = np.linalg.solve(np.linalg.cholesky(covariance), (ends - np.mean(ends, axis=0)).T)
        return abs(np.sum(white**2) / (1500 - 3) - 1) / math.sqrt(2 / 1500)

    assert misfit(of_mean(drift, stationary, duration, samples, interval)) < 4
    # Negative controls: noise that is 30 % off in power; samples taken for independent; and for one and the same.
    assert misfit(1.3 * of_mean(drift, stationary, duration, samples, interval)) > 4
    if samples > 1:
        single = of_mean(drift, stationary, duration, 1, 0.0)
        assert misfit(single / samples) > 8
        assert misfit(single) > 8


def test_conversion_noise_goes_down_with_the_number_of_samples():
    noise, m = 1e-2, 5
    board = device(IDEAL.replace(adc__noise=noise), ReadOut(m))
    read = []
    for _ in range(400):
        board.solve(A, B, math.inf)
        read.append(board.probe.read - board.probe.settled)
    # 1200 readings.
    assert np.mean(np.square(read)) == pytest.approx(noise**2 / m, rel=4 * math.sqrt(2 / 1200))
    assert np.mean(np.square(read)) < 0.5 * noise**2


def test_the_run_goes_on_while_it_is_read_and_its_time_counts():
    board, plain = device(IDEAL, ReadOut(3, 0.5)), device(IDEAL, None)
    ends = [plain.solve(A, B, t, x0=torch.zeros_like(B)).x for t in (0.4, 0.9, 1.4)]
    solution = board.solve(A, B, 0.4)
    np.testing.assert_allclose(solution.x, sum(ends) / 3, rtol=1e-9)
    assert solution.seconds == pytest.approx(1.4 * solution.attempts * board.program.tau)
    # The state is that of the last sample.
    np.testing.assert_allclose(board.solve(A, B, 0.0).x, sum(
        plain.solve(A, B, t, x0=torch.zeros_like(B)).x for t in (1.4, 1.9, 2.4)
    ) / 3, rtol=1e-9)  # fmt: skip


def test_samples_of_spice_are_those_of_runs_of_their_own():
    a = Dense(torch.tensor(spd(3, 5.0, 1)))
    plain = SpiceDevice(IDEAL, johnson_noise=False)
    ends = [plain.solve(a, B, t, x0=torch.zeros_like(B)).x for t in (0.4, 0.9, 1.4)]
    board = SpiceDevice(IDEAL, johnson_noise=False, read_out=ReadOut(3, 0.5))
    np.testing.assert_allclose(board.solve(a, B, 0.4).x, sum(ends) / 3, rtol=1e-4)
    np.testing.assert_allclose(board.probe.start, 0.0)
    settled = SpiceDevice(IDEAL, read_out=ReadOut(3, 0.5)).solve(a, B, math.inf).x
    np.testing.assert_allclose(settled, torch.linalg.solve(a.A, B), rtol=1e-6)


@settings(max_examples=60)
@given(
    first=st.just(0.0) | st.floats(0.01, 50.0),
    interval=st.floats(0.01, 5.0),
    samples=st.integers(1, 6),
    seed=st.integers(0, 50),
)
def test_noisy_samples_of_spice_lie_on_the_grid_of_its_noise(first, interval, samples, seed):
    program = lay_out(spd(4, 5.0, seed), "crossbar", NOISY)
    spans = (first, *[interval] * (samples - 1))
    if sum(spans) == 0:
        return
    analysis, rows = sampled(program, spans, johnson_noise=True)
    behaviour = program.behaviour
    fastest = 1 / np.abs(np.linalg.eigvals(behaviour.conductance / behaviour.capacitance[:, None])).max()
    assert analysis.step <= 0.5 * fastest * (1 + 1e-9)
    assert rows[-1] == analysis.steps
    # The first span, which need not be a multiple of the others, is met to half a step.
    off = np.abs(np.diff(rows, prepend=0) * analysis.step - np.array(spans) * program.tau)
    assert np.all(off <= 0.5 * analysis.step * (1 + 1e-6))


@pytest.mark.slow
def test_samples_of_spice_are_correlated_as_the_law_says():
    program = lay_out(np.array([[1.0, 0.6], [0.6, 1.0]]), "crossbar", NOISY)
    spans = (20.0, *[0.8] * 6000)
    analysis, rows = sampled(program, spans, johnson_noise=True)
    zero = np.zeros(2)
    result = run(program.circuit(zero, zero), analysis, seed=5, timeout=300)
    volts = program.cell_volts(result.voltages)[:, rows - 1]
    drift, stationary = noise_law(program, true_card(NOISY))
    white = np.linalg.solve(np.linalg.cholesky(stationary), volts)
    seen = white[:, 1:] @ white[:, :-1].T / 6000
    rooted = np.linalg.cholesky(stationary)

    def misfit(correlation):
        # Products of neighbours with correlation c: variance below (1 + c^2) (1 + c^2) / (1 - c^2) of independent ones, c = 0.73.
        return np.abs(seen - np.linalg.solve(rooted, correlation @ rooted)).max() / math.sqrt(2.2 * 3.3 / 6000)

    assert misfit(expm(0.8 * drift)) < 4
    for wrong in (expm(1.2 * drift), expm(0.4 * drift), 0 * drift):
        assert misfit(wrong) > 5


def test_samples_too_close_for_a_grid_of_noise_are_rejected():
    program = lay_out(spd(4, 5.0, 1), "crossbar", NOISY)
    with pytest.raises(InputError, match="noise steps"):
        sampled(program, (10.0, 1e-6, 1e-6), johnson_noise=True)


# Auto-zero


def test_auto_zero_removes_the_offsets_of_amplifiers_and_adc():
    plain, zeroed = error(OFFSETS, None), error(OFFSETS, ReadOut(auto_zero=True))
    assert plain > 1e-3
    assert zeroed < 1e-9


def test_auto_zero_leaves_the_dacs_offset():
    technology = IDEAL.replace(dac__offset=1e-3)
    assert error(technology, None) > 1e-3
    assert error(technology, ReadOut(auto_zero=True)) == pytest.approx(error(technology, None), rel=1e-9)


@pytest.mark.parametrize(("change", "share"), [({"adc__gain_error": 0.01}, 0.03), ({"adc__inl": 0.01}, 0.1)])
def test_what_auto_zero_leaves_is_of_second_order(change, share):
    alone = device(IDEAL.replace(**change), ReadOut(auto_zero=True)).solve(A, B, math.inf).x
    left = error(OFFSETS.replace(**change), ReadOut(auto_zero=True), wanted=alone)
    assert 0 < left < share * error(OFFSETS, None)


def test_auto_zero_on_the_way_and_from_run_to_run():
    clean, zeroed, plain = device(IDEAL, None), device(OFFSETS, ReadOut(auto_zero=True)), device(OFFSETS, None)
    x0 = 0.3 * B
    for step in range(3):
        start = x0 if step == 0 else None
        wanted, found, without = (board.solve(A, B, 0.4, x0=start).x for board in (clean, zeroed, plain))
        np.testing.assert_allclose(found, wanted, atol=1e-9 * float(wanted.norm()))
        assert float((without - wanted).norm()) > 1e-4 * float(wanted.norm())
    np.testing.assert_allclose(zeroed.evolve(0.4).x, clean.evolve(0.4).x, atol=1e-9)
    # A state that was saved takes its zero along.
    again = device(OFFSETS, ReadOut(auto_zero=True))
    again.load_state_dict(zeroed.state_dict())
    assert torch.equal(again.solve(A, B, 0.4).x, zeroed.solve(A, B, 0.4).x)


def test_auto_zero_costs_a_run_and_doubles_the_noise():
    noise = 1e-2
    technology = IDEAL.replace(adc__noise=noise)
    board, plain = device(technology, ReadOut(auto_zero=True)), device(technology, None)
    read = []
    for _ in range(400):
        solution, single = board.solve(A, B, 30.0, x0=EXACT), plain.solve(A, B, 30.0, x0=EXACT)
        read.append(board.probe.read - board.probe.zero - board.probe.settled)
    assert solution.attempts == single.attempts + 1
    assert solution.seconds == pytest.approx(single.seconds + 30.0 * board.program.tau)
    assert np.mean(np.square(read)) == pytest.approx(2 * noise**2, rel=4 * math.sqrt(2 / 1200))
    assert plain.probe.zero is None


@pytest.mark.parametrize("seed", [1, 2])
def test_auto_zero_of_the_board_in_spice(seed):
    a = Dense(torch.tensor(spd(4, 10.0, seed)))
    b = torch.tensor(np.random.default_rng(seed).standard_normal(4))
    exact = torch.linalg.solve(a.A, b)

    def left(read_out):
        board = SpiceDevice(OFFSETS, seed, "crossbar", johnson_noise=False, read_out=read_out)
        return float((board.solve(a, b, math.inf).x - exact).norm() / exact.norm())

    assert left(ReadOut(auto_zero=True)) < 1e-6
    assert left(None) > 1e-3


def test_a_zero_beyond_the_rail_is_a_clipped_reading():
    technology = IDEAL.replace(opamp__offset=0.1, opamp__output_limit=0.05)
    assert device(technology, ReadOut(auto_zero=True)).solve(A, B, math.inf).outcome is Outcome.OFFSET_CLIPPED


@pytest.mark.parametrize(
    ("options", "message"),
    [({"reads": 0}, "reads is 0"), ({"reads": 2.0}, "reads is 2.0"), ({"interval": -1.0}, "interval is -1"),
     ({"interval": 0.5}, "interval is 0.5 with a single read"),
     ({"interval": math.inf}, "interval is inf"), ({"interval": math.nan}, "interval is nan")],
)  # fmt: skip
def test_an_impossible_read_out_is_named(options, message):
    with pytest.raises(InputError, match=message):
        ReadOut(**options)
