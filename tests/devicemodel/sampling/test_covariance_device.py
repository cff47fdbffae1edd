"""`CovarianceDevice`: right on average, off by what the law says, with error bars that say so."""

import numpy as np
import pytest
import torch
from scipy.linalg import solve_continuous_lyapunov

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel import CovarianceDevice, Outcome, Refined, SamplingLaw, SpiceCovarianceDevice, solve_many
from thermograd.devicemodel.host.converters import Adc
from thermograd.devicemodel.systems import Dense, Implicit

from ...systems import m_matrix

IDEAL = preset("ideal")
A = m_matrix(3, 2, 0.5)
B = np.array([1.0, -2.0, 0.5])
X = np.linalg.solve(A, B)


def dense(a=A):
    return Dense(torch.from_numpy(a))


def solved(device, duration, b=B):
    return device.solve(dense(), torch.from_numpy(b), duration)


def rms(values):
    """Root mean square and its standard error, of independent values."""
    squares = np.asarray(values) ** 2
    mean = squares.mean()
    return np.sqrt(mean), squares.std(ddof=1) / np.sqrt(len(squares)) / (2 * np.sqrt(mean))


@pytest.fixture(scope="module")
def ensembles():
    """Errors |x - A^-1 b| of 60 runs of one device for either of two times, and what the runs said of them."""
    device = CovarianceDevice(IDEAL, interval=0.15, seed=3)
    found = {}
    for duration in (150.0, 1200.0):
        solutions = [solved(device, duration) for _ in range(60)]
        assert all(one.outcome is Outcome.OK for one in solutions)
        errors = np.array([one.x.numpy() - X for one in solutions])
        found[duration] = errors, np.array([one.standard_error.numpy() for one in solutions])
    return found


def test_the_error_is_that_of_the_law_and_falls_as_the_root_of_the_time(ensembles):
    program = lay_out(A, "spu", IDEAL)
    law, far_apart = SamplingLaw(program, 0.15), SamplingLaw(program, 200.0)
    logs = []
    for duration, (errors, _) in ensembles.items():
        expected = np.linalg.norm(law.error_of_solution(B, duration))
        found, error = rms(np.linalg.norm(errors, axis=1))
        assert abs(found - expected) < 3.5 * error
        logs.append((np.log(found), error / found))
        # A law that takes as many samples for independent ones is rejected.
        independent = np.linalg.norm(far_apart.error_of_solution(B, duration / 0.15 * 200.0))
        assert abs(found - independent) > 5 * error
        assert np.abs(errors.mean(axis=0)).max() < 4 * expected / np.sqrt(60)
    (short, first), (long, last) = logs
    slope, uncertainty = (long - short) / np.log(8), np.hypot(first, last) / np.log(8)
    assert abs(slope + 0.5) < 3.5 * uncertainty < 0.2


def test_the_error_bar_is_the_scatter_of_many_runs(ensembles):
    for errors, bars in ensembles.values():
        found, error = rms((errors / bars).ravel())
        # 60 runs of three correlated entries; bars of 64 blocks scatter by 9 %.
        assert abs(found - 1.0) < 4 * np.sqrt(3) * error + 0.05
        assert np.ptp(bars, axis=0).max() < 1.5 * bars.max()


def test_one_run_is_the_whole_inverse_and_every_solution():
    drives = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 3)))
    device = CovarianceDevice(IDEAL, seed=1)
    found = device.inverse(dense(), 2000.0)
    law = SamplingLaw(lay_out(A, "spu", IDEAL), device.spacing)
    exact = np.linalg.inv(A)
    assert (np.abs(found.matrix.numpy() - exact) < 4.5 * law.error_of_inverse(2000.0)).all()
    np.testing.assert_allclose(found.standard_error.numpy(), law.error_of_inverse(2000.0), rtol=0.45)
    again = CovarianceDevice(IDEAL, seed=1)
    several = solve_many(again, dense(), drives, 2000.0)
    for one, b in zip(several, drives, strict=True):
        np.testing.assert_allclose(one.x, found.matrix @ b, rtol=1e-9, atol=1e-12)
    assert [one.attempts > 0 for one in several] == [True, False, False, False]
    assert several[0].seconds == pytest.approx(found.seconds)
    alone = CovarianceDevice(IDEAL, seed=1).solve(dense(), drives[2], 2000.0)
    np.testing.assert_allclose(alone.x, several[2].x, rtol=1e-9, atol=1e-12)
    assert device.work.multiply_adds == 6 * found.samples == again.work.multiply_adds
    assert found.samples * again.spacing == pytest.approx(2000.0, rel=0.05)


def test_sampling_on_sharpens_the_estimate_and_a_resumed_device_draws_the_same_runs():
    device = CovarianceDevice(IDEAL, seed=5)
    first = solved(device, 300.0)
    state = device.state_dict()
    more = device.evolve(9 * 300.0)
    ratio = (first.standard_error / more.standard_error).numpy()
    assert (np.abs(np.log(ratio / np.sqrt(10))) < 0.6).all()
    second = solved(device, 300.0)
    other = CovarianceDevice(IDEAL, seed=5)
    other.load_state_dict(state)
    with pytest.raises(InputError, match="call solve first"):
        other.evolve(100.0)
    resumed = solved(other, 300.0)
    # The level is found again, in attempts of their own: the same law, other numbers.
    assert resumed.attempts >= second.attempts
    with pytest.raises(InputError, match="another device, die or technology"):
        CovarianceDevice(IDEAL, die=1).load_state_dict(state)


def test_the_converters_own_errors_are_taken_off():
    """4 bits, offsets of a fifth and noise of a tenth of the full scale: the mean and the variance that they add are known."""
    technology = IDEAL.replace(adc__bits=4, adc__offset=0.05, adc__noise=0.1)
    device = CovarianceDevice(technology, seed=7)
    device._adc = Adc(technology.adc, Die(technology, 4))  # the circuit's parts stay nominal
    found = device.inverse(dense(), 6000.0)
    exact = np.linalg.inv(A)
    # Of the node voltages and of the conversions alike.
    added = np.diag(exact / covariance(device, A) * (0.1**2 + (2 / 15) ** 2 / 12))
    off = (found.matrix.numpy() - exact) / found.standard_error.numpy()
    assert np.abs(off).max() < 4.5
    assert (added / np.diag(found.standard_error.numpy())).max() > 8


def covariance(device, a, bandwidth=None, program=None):
    """Of the node voltages, or of what samplers of a bandwidth see: the Lyapunov equation, (n, n) V^2."""
    program, n = program or lay_out(a, "spu", device.technology), len(a)
    inverse = np.linalg.inv(program.parts.matrix().toarray())
    g, henry = program.parts.shunt[0], program.parts.storage[0]
    f = np.block([[-inverse * g, -inverse], [np.diag(1 / henry), np.zeros((n, n))]])
    drive = np.concatenate([inverse, np.zeros((n, n))])
    if bandwidth is not None:
        pole = 2 * np.pi * bandwidth
        rows = np.hstack([pole * np.eye(n), np.zeros((n, n)), -pole * np.eye(n)])
        f, drive = np.vstack([np.hstack([f, np.zeros((2 * n, n))]), rows]), np.vstack([drive, np.zeros((n, n))])
    units = np.concatenate([np.ones(n), np.full(n, 1e3), np.ones(len(f) - 2 * n)])
    f, drive = f * units[:, None] / units, drive * units[:, None]
    p = solve_continuous_lyapunov(f, -device.density * drive @ drive.T)
    return p[:n, :n] if bandwidth is None else p[2 * n :, 2 * n :]


@pytest.mark.parametrize("margin", [1.0, 0.01])
def test_refinement_contracts_whatever_the_condition_number(margin):
    """By sqrt(max_l (sum_k tau_kl + tau_ll) / T) in the norm of A; 24 inverses, each against the error that contracts least."""
    a = m_matrix(3, 7, margin)
    device, program = CovarianceDevice(IDEAL, interval=0.5, seed=4), lay_out(a, "spu", IDEAL)
    law = SamplingLaw(program, 0.5)
    duration = 8 * 16.0 * law.correlation_times().max()
    values, modes = np.linalg.eigh(program.parts.matrix().toarray() / program.conductance_unit)
    times = law.correlation_times()
    worst = program.scaling * (modes[:, (times.sum(axis=0) + np.diag(times)).argmax()])
    factors = []
    for _ in range(24):
        left = worst - device.inverse(dense(a), duration).matrix.numpy() @ (a @ worst)
        factors.append(np.sqrt(left @ a @ left / (worst @ a @ worst)))
    found, error = rms(factors)
    assert abs(found - law.contraction(duration)) < 3.5 * error
    assert law.contraction(duration) < 0.3
    solution = Refined(device, rounds=6, tolerance=1e-6).solve(dense(a), torch.from_numpy(B), duration)
    assert solution.refinement.residual < 1e-4
    assert values[0] > 0


def test_on_a_die_it_is_the_inverse_of_what_the_die_holds():
    technology = IDEAL.replace(capacitors__tolerance=0.1, dac__gain_error=0.05)
    device = CovarianceDevice(technology, die=3, seed=1)
    found = device.inverse(dense(), 20_000.0)
    unit = np.linalg.inv(A) / covariance(device, A)
    gain = 1.0 + 0.05 * device.die.deviates("dac_gain", (1, 1))[0, 0]
    held = gain**2 * unit * covariance(device, A, program=device.program)
    bar = found.standard_error.numpy()
    assert (np.abs(found.matrix.numpy() - held) < 4.5 * bar).all()
    # No error bar of one die shows that.
    assert (np.abs(found.matrix.numpy() - np.linalg.inv(A)) > 5 * bar).any()


def test_a_slow_sampler_shifts_the_mean_by_what_its_pole_takes():
    tau = lay_out(A, "spu", IDEAL).tau
    technology = IDEAL.replace(adc__bandwidth=0.8 / tau)
    device = CovarianceDevice(technology, seed=2)
    found = device.inverse(dense(), 3000.0)
    seen = np.linalg.inv(A) * covariance(device, A, 0.8 / tau) / covariance(device, A)
    assert (np.abs(found.matrix.numpy() - seen) < 4.5 * found.standard_error.numpy()).all()
    assert (np.abs(found.matrix.numpy() - np.linalg.inv(A)) > 5 * found.standard_error.numpy()).any()


def test_johnson_noise_alone_is_seen_by_an_ideal_converter_only():
    hot = IDEAL.replace(thermal__johnson_noise=True)
    solution = solved(CovarianceDevice(hot, noise_density=0.0, seed=1), 2000.0)
    assert (torch.abs(solution.x - torch.from_numpy(X)) < 4.5 * solution.standard_error).all()
    coarse = hot.replace(adc__bits=8, adc__max_gain=64)
    device = CovarianceDevice(coarse, noise_density=0.0, seed=1)
    unseen = solved(device, 2000.0)
    assert device.gain == 64
    assert (torch.abs(unseen.x - torch.from_numpy(X)) > 1e3 * torch.from_numpy(np.abs(X))).any()


def test_noise_beyond_the_range_is_turned_down_or_said():
    technology = IDEAL.replace(adc__bits=10, adc__max_gain=64)
    fixed = CovarianceDevice(technology, seed=1)
    solved(fixed, 300.0)
    loud = CovarianceDevice(technology, noise_density=100 * fixed.density, seed=1)
    solution = solved(loud, 300.0)
    assert (solution.outcome, loud.gain) == (Outcome.CLIPPED, 1.0)
    # What clips only once in a while, long after the pilot, is sampled again with half the gain.
    low, system = CovarianceDevice(technology, noise_density=fixed.density / 16**2, seed=1), dense()
    before = low.solve(system, torch.from_numpy(B), 300.0)
    gain, low.gain = low.gain, 8 * low.gain
    after = low.solve(system, torch.from_numpy(B), 300.0)
    assert (before.outcome, after.outcome) == (Outcome.OK, Outcome.OK)
    assert low.gain == 8 * gain / 2 ** (after.attempts - 1) <= 2 * gain


def test_ngspice_samples_the_same_law():
    """Two cells; the circuit's own netlist, noise drawn by its state space."""
    a = A[:2, :2]
    device = SpiceCovarianceDevice(IDEAL, interval=1.0, seed=1)
    found = device.inverse(dense(a), 1500.0)
    law = SamplingLaw(lay_out(a, "spu", IDEAL), 1.0)
    off = (found.matrix.numpy() - np.linalg.inv(a)) / law.error_of_inverse(1500.0)
    assert np.abs(off).max() < 4
    np.testing.assert_allclose(found.standard_error.numpy(), law.error_of_inverse(1500.0), rtol=0.45)
    wrong = (found.matrix.numpy() / 1.3 - np.linalg.inv(a)) / law.error_of_inverse(1500.0)
    assert np.abs(wrong).max() > 5


def test_what_it_cannot_do_is_said():
    b, device = torch.from_numpy(B), CovarianceDevice(IDEAL)
    with pytest.raises(UnrealisableError, match=r"spu cannot realise .* is positive"):
        device.solve(dense(np.abs(A)), b, 1000.0)
    with pytest.raises(UnrealisableError, match="more damping"):
        device.solve(dense(A - np.eye(3)), b, 1000.0)
    for arguments, words in (
        ({"duration": 5.0}, r"duration is 5 tau, too short for an error bar: give [\d.]+ tau or more"),
        ({"duration": np.inf}, "duration is inf"),
        ({"duration": 1000.0, "x0": b}, "no initial state"),
    ):
        with pytest.raises(InputError, match=words):
            device.solve(dense(), b, **arguments)
    with pytest.raises(InputError, match="system is a Implicit"):
        device.solve(implicit(), b, 1000.0)
    with pytest.raises(InputError, match="nothing to sample"):
        solved(CovarianceDevice(IDEAL, noise_density=0.0), 1000.0)
    with pytest.raises(InputError, match=r"the ADCs take 1e-05 s .* give [\d.]+ tau or more"):
        solved(CovarianceDevice(IDEAL.replace(adc__rate=1e5), interval=1.0), 1000.0)
    for options, words in (
        ({"seed": -1}, "seed is -1"),
        ({"noise_density": -1.0}, "noise_density is -1"),
        ({"interval": 0.0}, "interval is 0"),
    ):
        with pytest.raises(InputError, match=words):
            CovarianceDevice(IDEAL, **options)
    with pytest.raises(InputError, match=r"adc\.bandwidth is finite"):
        SpiceCovarianceDevice(IDEAL.replace(adc__bandwidth=1e6))


def implicit():
    class Rows:
        shape, dtype = (3, 3), torch.float64

    return Implicit(Rows(), 0.1)
