"""Paths of every kind of process: their mean against matrix exponentials, their joint law and long averages by statistics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from thermograd.devicemodel.ou.process import OU, PiecewiseConstant
from thermograd.devicemodel.ou.recent import KEPT
from thermograd.devicemodel.systems import Kronecker, LowRank

from . import oracle
from .oracle import SHEAR, UNEQUAL

F64 = torch.float64
MILD_SHEAR = np.array([[1.0, 1.5], [0.0, 1.2]])


def tensor(value, dtype=F64):
    return torch.tensor(np.asarray(value), dtype=dtype)


def kinds(dtype=F64):
    """One process of each kind as (name, drift, diffusion, A, D) with A and D dense."""
    symmetric = np.array([[1.0, 0.5], [0.5, 3.0]])
    C = np.diag([0.5, 2.0])
    johnson = np.linalg.solve(C, symmetric)
    J, P, Q = np.array([[1.0, -2.0, 0.5]]), symmetric, np.array([[1.2]])
    oscillator = OU.underdamped(torch.eye(1, dtype=F64), tensor([[0.4]]), tensor([[9.0]]), diffusion=tensor([[0.8]]))
    return {
        "independent modes": (tensor(symmetric, dtype), 0.7, symmetric, 0.7 * np.eye(2)),
        "detailed balance": (
            tensor(johnson, dtype),
            tensor(johnson @ np.linalg.inv(C), dtype),
            johnson,
            johnson @ np.linalg.inv(C),
        ),
        "unequal noise": (tensor(symmetric, dtype), tensor(UNEQUAL, dtype), symmetric, UNEQUAL),
        "shear": (tensor(SHEAR, dtype), tensor(UNEQUAL, dtype), SHEAR, UNEQUAL),
        "underdamped": (
            oscillator.drift.to(dtype),
            oscillator.diffusion.to(dtype),
            oscillator.drift.numpy(),
            oscillator.diffusion.numpy(),
        ),
        "low rank": (LowRank(tensor(J, dtype), damping=0.3), 0.7, J.T @ J + 0.3 * np.eye(3), 0.7 * np.eye(3)),
        "Kronecker": (
            Kronecker(tensor(P, dtype), tensor(Q, dtype), 0.1),
            0.7,
            1.2 * P + 0.1 * np.eye(2),
            0.7 * np.eye(2),
        ),
    }


NAMES = list(kinds())
IRREGULAR = [0.1, 0.3, 0.3, 0.02, 0.6, 0.6, 0.6]


@settings(max_examples=40)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 99), count=st.integers(1, 12), irregular=st.booleans())
def test_quiet_paths_follow_the_mean_under_a_drive_that_jumps(name, seed, count, irregular):
    rng = np.random.default_rng(seed)
    drift, _, A, _ = kinds()[name]
    n, switches = len(A), (0.45, 0.9)
    values, x0 = rng.standard_normal((3, n)), rng.standard_normal(n)
    steps = rng.uniform(0, 0.4, count) if irregular else np.full(count, rng.choice([0.09, 0.15, 0.31]))
    for drive, jumps in ((PiecewiseConstant(tuple(map(tensor, values)), switches), switches), (tensor(values[0]), ())):
        process = OU(drift, drive)
        if irregular:
            path = process.trajectory_at(tensor(x0), tensor(np.cumsum(steps)))
        else:
            path = process.trajectory(tensor(x0), steps[0], count)
        means = [oracle.driven_mean(A, values[: len(jumps) + 1], jumps, x0, t) for t in np.cumsum(steps)]
        np.testing.assert_allclose(path, means, rtol=0, atol=1e-10 * np.abs(means).max())


def paths(name, steps, count=20_000, dtype=F64, seed=7):
    """Deviations from the mean of many paths, (count, T n), and the dense A, D."""
    drift, diffusion, A, D = kinds(dtype)[name]
    g, n = torch.Generator().manual_seed(seed), len(A)
    u, x0 = tensor(np.arange(1.0, n + 1), dtype), torch.ones(n, dtype=dtype)
    switches = (0.4,)
    process = OU(drift, PiecewiseConstant((u, -u), switches), diffusion)
    starts = x0.expand(count, n)
    if len(set(steps)) == 1:
        x = process.trajectory(starts, steps[0], len(steps), g)
    else:
        x = process.trajectory_at(starts, tensor(np.cumsum(steps)), g)
    values = np.stack([u.double().numpy(), -u.double().numpy()])
    means = [oracle.driven_mean(A, values, switches, np.ones(n), t) for t in np.cumsum(steps)]
    return (x.double().numpy() - np.array(means)).reshape(count, -1), A, D


@pytest.mark.parametrize("steps", [[0.25] * 7, IRREGULAR], ids=["uniform", "irregular"])
@pytest.mark.parametrize("name", NAMES)
def test_consecutive_states_have_their_joint_law(name, steps):
    x, A, D = paths(name, steps)
    # up to 21 dimensions and 231 entries: the largest of as many standard normals passes 5 once in 7000 seeds
    assert oracle.misfit(x, oracle.joint_covariance(A, D, steps)) < 5
    spread = np.sqrt(np.diag(oracle.joint_covariance(A, D, steps)) / len(x))
    assert np.abs(x.mean(axis=0) / spread).max() < 5


@pytest.mark.parametrize("name", ["independent modes", "shear", "low rank"])
def test_float32_paths_have_the_same_law(name):
    x, A, D = paths(name, IRREGULAR, dtype=torch.float32)
    assert oracle.misfit(x, oracle.joint_covariance(A, D, IRREGULAR)) < 5


def test_the_check_above_rejects_the_law_of_a_normal_drift_and_a_tenth_more_noise():
    # Negative control: the recurrence with the eigenbasis covariance in place of the exact one.
    steps, n = [0.5] * 5, 2
    E, S = linalg.expm(-0.5 * MILD_SHEAR), oracle.eigenbasis_covariance(MILD_SHEAR, np.eye(2), 0.5)
    rng, x, path = np.random.default_rng(0), np.zeros((20_000, n)), []
    for _ in steps:
        x = x @ E.T + rng.standard_normal(x.shape) @ np.linalg.cholesky(S).T
        path.append(x)
    expected = oracle.joint_covariance(MILD_SHEAR, np.eye(2), steps)
    assert oracle.misfit(np.concatenate(path, axis=1), expected) > 6
    starts, g = torch.zeros(20_000, n, dtype=F64), torch.Generator().manual_seed(0)
    right = OU(tensor(MILD_SHEAR), diffusion=1.0).trajectory(starts, 0.5, 5, g).flatten(1).numpy()
    assert oracle.misfit(right, expected) < 5
    assert oracle.misfit(right, 1.1 * expected) > 6


def test_one_long_path_settles_to_the_lyapunov_covariance():
    step, count = 0.4, 100_000
    process = OU(tensor(MILD_SHEAR), tensor([1.0, 0.0]), tensor(UNEQUAL))
    g = torch.Generator().manual_seed(1)
    x = process.trajectory(process.stationary().sample(g), step, count, g).numpy() - np.linalg.solve(
        MILD_SHEAR, [1.0, 0.0]
    )
    S = linalg.solve_continuous_lyapunov(MILD_SHEAR, UNEQUAL)
    E, lag, total = linalg.expm(-MILD_SHEAR * step), S.copy(), np.zeros((2, 2))
    for m in range(60):  # Isserlis: variance of the mean of x_i x_j is a sum over lags
        weight = 1 if m == 0 else 2
        total += weight * (np.outer(np.diag(lag), np.diag(lag)) + lag * lag.T)
        lag = E @ lag
    error = np.sqrt(total / count)
    found = x.T @ x / count
    assert np.abs((found - S) / error).max() < 4
    wrong = oracle.eigenbasis_covariance(MILD_SHEAR, UNEQUAL, 50.0)
    assert np.abs((found - wrong) / error).max() > 6


@pytest.mark.parametrize("name", ["independent modes", "shear", "underdamped"])
def test_averages_of_fine_paths_have_the_law_of_the_time_average(name):
    drift, diffusion, A, _ = kinds()[name]
    count, fine, start, window = 20_000, 100, 0.3, 1.0
    process, g = OU(drift, diffusion=diffusion), torch.Generator().manual_seed(2)
    x0 = torch.zeros(count, len(A), dtype=F64)
    first = process.trajectory(x0, start, 1, g)
    rest = process.trajectory(first[:, 0], window / fine, fine, g)
    x = torch.cat([first, rest], dim=1)
    # the trapezoidal rule is off by (h A)^2 / 12 < 1e-3 of the covariance, a tenth of a standard error
    average = (x[:, 1:] + x[:, :-1]).mean(dim=1) / 2
    law = process.time_average(x0[0], start, window)
    assert oracle.misfit(average.numpy(), law.covariance.numpy()) < 4
    instant = process.marginal(x0[0], start + window)
    assert oracle.misfit(average.numpy(), instant.covariance.numpy()) > 6


def test_a_grid_in_floating_point_is_uniform():
    process, x0 = OU(tensor(SHEAR), diffusion=tensor(UNEQUAL)), torch.zeros(2, dtype=F64)
    for dtype in (F64, torch.float32):
        grid = torch.linspace(0.1, 5.0, 50, dtype=dtype)
        process.trajectory_at(x0, grid, torch.Generator().manual_seed(0))
    assert len(process._law._steppers) <= 2  # one for each type of the grid, and not one for each step
    process.trajectory_at(x0, grid**2, torch.Generator().manual_seed(0))
    assert len(process._law._steppers) == KEPT


def test_one_seed_is_one_path_and_paths_of_a_batch_differ():
    for drift, diffusion, A, _ in kinds().values():
        process, x0 = OU(drift, diffusion=diffusion), torch.zeros(3, len(A), dtype=F64)
        one, again, other = (process.trajectory(x0, 0.1, 9, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
        assert torch.equal(one, again)
        assert not torch.equal(one, other)
        assert not torch.equal(one[0], one[1])
        assert one.shape == (3, 9, len(A))


def test_a_start_is_not_written_over():
    for drift, diffusion, A, _ in kinds().values():
        x0 = torch.ones(len(A), dtype=F64)
        OU(drift, torch.ones_like(x0), diffusion).trajectory(x0, 0.1, 9, torch.Generator().manual_seed(0))
        assert torch.equal(x0, torch.ones_like(x0))


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_made_on_the_device_of_the_process(name):
    # Under a default device that holds no numbers, whatever is made without naming its device has none, and says so.
    drift, diffusion, A, _ = kinds(torch.float32)[name]
    x0, times, g = torch.ones(len(A)), torch.tensor([0.1, 0.2, 0.5]), torch.Generator().manual_seed(0)
    u = PiecewiseConstant((x0, -x0), (0.15,))
    with torch.device("meta"):
        process = OU(drift, u, diffusion)
        law = process.time_average(x0, 0.1, 1.0)
        found = [
            process.trajectory(x0, 0.1, 4, g),
            process.trajectory_at(x0, times, g),
            process.stationary().sample(g),
            law.variance,
            law.covariance,
            process.transition(0.3).propagator,
        ]
    assert all(bool(torch.isfinite(part).all()) for part in found)


def test_growth_without_bound_is_followed():
    path = OU(tensor([[-1.0]])).trajectory(torch.ones(1, dtype=F64), 0.5, 40)
    np.testing.assert_allclose(path[:, 0], np.exp(0.5 * np.arange(1, 41)), rtol=1e-12)
    assert math.isfinite(float(path[-1, 0]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_batch_may_come_with_any_piece_of_the_drive(name, first):
    drift, _, A, _ = kinds()[name]
    n, rng = len(A), np.random.default_rng(5)
    pieces = [tensor(rng.standard_normal((3, n) if i == first else n)) for i in range(3)]
    process, x0 = OU(drift, PiecewiseConstant(tuple(pieces), (0.5, 1.2))), tensor(rng.standard_normal(n))
    path = process.trajectory(x0, 0.1, 20)
    assert path.shape == (3, 20, n)
    for die in range(3):
        alone = tuple(piece[die] if piece.dim() > 1 else piece for piece in pieces)
        one = OU(drift, PiecewiseConstant(alone, (0.5, 1.2))).trajectory(x0, 0.1, 20)
        torch.testing.assert_close(path[die], one, rtol=1e-10, atol=1e-12)
    assert float((path[0] - path[1]).abs().max()) > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_in_a_later_piece_draws_noise_for_each(name):
    drift, noise, A, _ = kinds()[name]
    drive = PiecewiseConstant((torch.ones(len(A), dtype=F64), torch.ones(3, len(A), dtype=F64)), (0.5,))
    path = OU(drift, drive, noise).trajectory(torch.zeros(len(A), dtype=F64), 0.1, 20, torch.Generator().manual_seed(1))
    assert path.shape == (3, 20, len(A))
    assert float((path[0] - path[1]).abs().amax(-1).min()) > 0
