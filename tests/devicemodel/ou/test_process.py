"""Laws of a dense process against quadrature of their definitions, for every kind of drift and noise."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.ou.process import OU, PiecewiseConstant
from thermograd.devicemodel.systems import Dense, Kronecker, LowRank

from . import oracle
from .oracle import SHEAR, UNEQUAL

F64 = torch.float64
DRIFTS = st.sampled_from(["symmetric", "stable", "singular", "rotating", "growing"])
NOISES = st.sampled_from(["equal", "unequal", "general", "singular", "detailed balance"])


def tensor(value, dtype=F64):
    return torch.tensor(np.asarray(value), dtype=dtype)


def problem(n, seed, drift, noise):
    """A, D, u, x0 of a kind."""
    rng = np.random.default_rng([n, seed, 2])
    A = oracle.drift(n, seed, drift)
    if noise == "detailed balance":  # unequal capacitors C: A = C^-1 G, D = 2 C^-1 G C^-1
        G, C = oracle.drift(n, seed, "symmetric"), np.diag(rng.uniform(0.3, 3, n))
        A, D = np.linalg.solve(C, G), 2 * np.linalg.solve(C, np.linalg.solve(C, G).T)
    else:
        D = oracle.diffusion(n, seed, noise)
    return A, D, rng.standard_normal(n), rng.standard_normal(n)


def assert_law(gaussian, mean, covariance):
    np.testing.assert_allclose(gaussian.mean, mean, rtol=0, atol=1e-9 * np.abs(mean).max())
    size = np.abs(covariance).max()
    np.testing.assert_allclose(gaussian.covariance, covariance, rtol=0, atol=1e-9 * size)
    np.testing.assert_allclose(gaussian.variance, np.diag(covariance), rtol=0, atol=1e-9 * size)


@settings(max_examples=60)
@given(
    n=st.integers(1, 5), seed=st.integers(0, 999), drift=DRIFTS, noise=NOISES, t=st.sampled_from([1e-6, 0.03, 1.0, 4.0])
)
def test_marginal_is_the_integral_of_its_definition(n, seed, drift, noise, t):
    A, D, u, x0 = problem(n, seed, drift, noise)
    found = OU(tensor(A), tensor(u), tensor(D)).marginal(tensor(x0), t)
    assert_law(found, oracle.mean(A, u, x0, t), oracle.covariance(A, D, t))


@settings(max_examples=15)
@given(
    n=st.integers(1, 3),
    seed=st.integers(0, 999),
    drift=DRIFTS,
    noise=NOISES,
    start=st.sampled_from([0.0, 0.3, 2.0]),
    window=st.sampled_from([1e-3, 0.7, 3.0]),
)
def test_time_average_is_the_integral_over_its_shocks(n, seed, drift, noise, start, window):
    A, D, u, x0 = problem(n, seed, drift, noise)
    found = OU(tensor(A), tensor(u), tensor(D)).time_average(tensor(x0), start, window)
    expected = oracle.average_mean(A, u, x0, start, window), oracle.average_covariance(A, D, start, window)
    assert_law(found, *expected)


@pytest.mark.parametrize("D", [np.eye(2), UNEQUAL, np.array([[2.0, 1.0], [1.0, 0.5]])])
@pytest.mark.parametrize("A", [SHEAR, np.array([[1.0, 0.5], [0.5, 3.0]]), np.array([[0.5, 4.0], [-4.0, 0.5]])])
def test_shear_and_unequal_noise_and_rotation(A, D):
    u, x0 = np.array([1.0, -2.0]), np.array([0.3, 0.4])
    process = OU(tensor(A), tensor(u), tensor(D))
    assert_law(process.marginal(tensor(x0), 0.8), oracle.mean(A, u, x0, 0.8), oracle.covariance(A, D, 0.8))
    assert_law(process.stationary(), np.linalg.solve(A, u), linalg.solve_continuous_lyapunov(A, D))
    settled = process.time_average(tensor(x0), math.inf, 2.0)
    assert_law(settled, np.linalg.solve(A, u), oracle.average_covariance(A, D, 30.0, 2.0))
    step = process.transition(0.8)
    np.testing.assert_allclose(step.propagator, linalg.expm(-0.8 * A), rtol=1e-11)
    np.testing.assert_allclose(step.mean, oracle.mean(A, u, 0 * u, 0.8), rtol=1e-9)
    np.testing.assert_allclose(step.covariance, oracle.covariance(A, D, 0.8), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("A", "D", "at_least"),
    [
        (np.array([[1.0, 1.5], [0.0, 1.2]]), np.eye(2), 0.45),
        (np.array([[1.0, 0.5], [0.5, 3.0]]), UNEQUAL, 0.15),
    ],
)
def test_the_checks_above_reject_the_law_of_a_normal_drift(A, D, at_least):
    # Negative control: it is wrong exactly where a drift is not normal, and the tolerance sees it by many decades.
    wrong, right = oracle.eigenbasis_covariance(A, D, 8.0), oracle.covariance(A, D, 8.0)
    assert np.linalg.norm(wrong - right) > at_least * np.linalg.norm(right)
    found = OU(tensor(A), diffusion=tensor(D)).marginal(torch.zeros(2, dtype=F64), 8.0)
    assert np.linalg.norm(found.covariance.numpy() - right) < 1e-9 * np.linalg.norm(right)
    normal = np.array([[1.0, 0.5], [-0.5, 1.0]])
    right = oracle.covariance(normal, np.eye(2), 8.0)
    np.testing.assert_allclose(oracle.eigenbasis_covariance(normal, np.eye(2), 8.0), right, rtol=1e-9, atol=1e-12)


# Drives that jump


@settings(max_examples=25)
@given(n=st.integers(1, 3), seed=st.integers(0, 99), drift=DRIFTS, t=st.sampled_from([0.2, 0.5, 0.9, 3.0]))
def test_a_delayed_drive(n, seed, drift, t):
    A, D, _, x0 = problem(n, seed, drift, "general")
    values, switches = np.random.default_rng(seed).standard_normal((3, n)), (0.5, 0.8)
    drive = PiecewiseConstant(tuple(tensor(v) for v in values), switches)
    process = OU(tensor(A), drive, tensor(D))
    assert_law(
        process.marginal(tensor(x0), t), oracle.driven_mean(A, values, switches, x0, t), oracle.covariance(A, D, t)
    )
    average = process.time_average(tensor(x0), t, 1.1)
    edges = [t, *(s for s in switches if t < s < t + 1.1), t + 1.1]
    parts = [
        oracle.quad(lambda s: oracle.driven_mean(A, values, switches, x0, s), a, b)
        for a, b in itertools.pairwise(edges)
    ]
    np.testing.assert_allclose(average.mean, sum(parts) / 1.1, rtol=0, atol=1e-9 * (np.abs(sum(parts)).max() + 1))


def test_the_settled_law_is_that_of_the_last_drive():
    values = (torch.ones(2, dtype=F64), tensor([3.0, -1.0]))
    process = OU(tensor(SHEAR), PiecewiseConstant(values, (0.3,)), tensor(UNEQUAL))
    np.testing.assert_allclose(process.stationary().mean, np.linalg.solve(SHEAR, [3.0, -1.0]), rtol=1e-10)
    np.testing.assert_allclose(
        process.time_average(values[0], math.inf, 1.0).mean, np.linalg.solve(SHEAR, [3.0, -1.0]), rtol=1e-10
    )


# Batches, types, gradients


@pytest.mark.parametrize("symmetric", [True, False])
def test_dies_right_hand_sides_and_starts_broadcast(symmetric):
    g = torch.Generator().manual_seed(3)
    dies = torch.stack([tensor(oracle.drift(3, s, "symmetric" if symmetric else "stable")) for s in range(4)])
    drives = torch.randn(5, 1, 3, generator=g, dtype=F64)
    starts = torch.randn(2, 1, 1, 3, generator=g, dtype=F64)
    noise = 0.7 * torch.eye(3, dtype=F64) if symmetric else tensor(oracle.diffusion(3, 0, "general"))
    process = OU(dies, drives, noise)
    many, averages = process.marginal(starts, 0.6), process.time_average(starts, 0.2, 0.5)
    quiet = OU(dies, drives).trajectory(starts, 0.3, 2)
    assert many.mean.shape == averages.mean.shape == (2, 5, 4, 3)
    assert quiet.shape == (2, 5, 4, 2, 3)
    for i, j, k in np.ndindex(2, 5, 4):
        one = OU(dies[k], drives[j, 0], noise)
        alone = one.marginal(starts[i, 0, 0], 0.6)
        torch.testing.assert_close(many.mean[i, j, k], alone.mean)
        torch.testing.assert_close(many.covariance[k], alone.covariance)
        torch.testing.assert_close(averages.mean[i, j, k], one.time_average(starts[i, 0, 0], 0.2, 0.5).mean)
        torch.testing.assert_close(averages.covariance[k], one.time_average(starts[i, 0, 0], 0.2, 0.5).covariance)
        torch.testing.assert_close(quiet[i, j, k, 1], alone.mean)


def test_a_batch_of_noises_alone():
    noises = torch.stack([tensor(oracle.diffusion(2, s, "general")) for s in range(3)])
    law = OU(tensor(SHEAR), diffusion=noises).marginal(torch.zeros(2, dtype=F64), 0.4)
    assert law.mean.shape == (3, 2)
    assert law.sample(torch.Generator().manual_seed(0), 7).shape == (7, 3, 2)
    for k in range(3):
        np.testing.assert_allclose(law.covariance[k], oracle.covariance(SHEAR, noises[k].numpy(), 0.4), rtol=1e-9)


@pytest.mark.parametrize("A", [SHEAR, np.array([[1.0, 0.5], [0.5, 3.0]])])
def test_float32_gives_the_law_to_its_own_rounding(A):
    f32 = torch.float32
    process = OU(tensor(A, f32), tensor([1.0, -2.0], f32), 0.5)
    law = process.time_average(torch.zeros(2, dtype=f32), 0.4, 30.0)
    assert law.mean.dtype == law.covariance.dtype == process.dtype == f32
    exact = OU(tensor(A, f32).double(), tensor([1.0, -2.0]), 0.5).time_average(torch.zeros(2, dtype=F64), 0.4, 30.0)
    torch.testing.assert_close(law.mean.double(), exact.mean, rtol=2e-7, atol=0)
    torch.testing.assert_close(law.covariance.double(), exact.covariance, rtol=4e-7, atol=0)


def test_laws_have_gradients():
    x0, at = tensor([0.3, -0.2]), tensor([1.0, 2.0])

    def figures(A, u, D):
        law = OU(A, u, D).time_average(x0, 0.2, 0.5)
        drawn = OU(A, u, D).marginal(x0, 0.4).sample(torch.Generator().manual_seed(1))
        return law.mean @ at, law.covariance.sum(), drawn

    symmetric = np.array([[1.0, 0.0], [0.0, 1.0]])  # equal eigenvalues, where eigenvectors have no derivative
    for A in (SHEAR, symmetric):
        inputs = [tensor(v).requires_grad_() for v in (A, [0.5, 1.0])]
        assert torch.autograd.gradcheck(lambda A, u: figures(A, u, tensor(UNEQUAL)), inputs)
    half = tensor([[1.0, 0.3], [0.0, 0.8]]).requires_grad_()
    assert torch.autograd.gradcheck(lambda h: figures(tensor(SHEAR), x0, h @ h.mT), [half])
    for _ in range(2):  # nothing of the first graph is kept for the second
        figures(inputs[0], inputs[1], tensor(UNEQUAL))[0].backward()


# Second order


@settings(max_examples=20)
@given(n=st.integers(1, 3), seed=st.integers(0, 99), t=st.sampled_from([0.1, 2.0]))
def test_underdamped_is_its_first_order_form(n, seed, t):
    M, G, K, Q = (oracle.drift(n, 10 * seed + i, "symmetric") for i in range(4))
    f, x0 = np.random.default_rng(seed).standard_normal((2, 2 * n))
    found = OU.underdamped(tensor(M), tensor(G), tensor(K), tensor(f[:n]), tensor(Q)).marginal(tensor(x0), t)
    inverse, zero = np.linalg.inv(M), np.zeros((n, n))
    A = np.block([[zero, -np.eye(n)], [inverse @ K, inverse @ G]])
    D = np.block([[zero, zero], [zero, inverse @ Q @ inverse]])
    assert_law(found, oracle.mean(A, np.append(0 * f[:n], inverse @ f[:n]), x0, t), oracle.covariance(A, D, t))


def test_equipartition_of_a_gigahertz_circuit_in_si_units():
    # Fluxes in Wb, voltages in V: variances 22 decades apart. kT K^-1 and kT C^-1 whatever the losses.
    kT = 1.380649e-23 * 300
    C = np.diag([1e-12, 2e-12])
    G = 1e-4 * np.array([[2.0, -0.5], [-0.5, 1.5]])
    K = 1e9 * np.array([[2.0, -1.0], [-1.0, 3.0]])
    settled = OU.underdamped(tensor(C), tensor(G), tensor(K), diffusion=tensor(2 * kT * G)).stationary()
    np.testing.assert_allclose(settled.covariance[:2, :2], kT * np.linalg.inv(K), rtol=1e-8)
    np.testing.assert_allclose(settled.covariance[2:, 2:], kT * np.linalg.inv(C), rtol=1e-8, atol=1e-8 * kT / 1e-12)
    x = settled.sample(torch.Generator().manual_seed(0), 20_000).numpy()
    expected = linalg.block_diag(kT * np.linalg.inv(K), kT * np.linalg.inv(C))
    assert oracle.misfit(x, expected) < 4
    unequal = linalg.block_diag(kT * np.linalg.inv(K), 1.1 * kT * np.linalg.inv(C))
    assert oracle.misfit(x, unequal) > 6


# The same law elsewhere in the package


def test_devices_systems():
    g = torch.Generator().manual_seed(0)
    J, b, x0 = (torch.randn(*s, generator=g, dtype=F64) for s in ((2, 6), (6,), (6,)))
    P, Q = (tensor(oracle.drift(n, 0, "symmetric")) for n in (2, 3))
    for system in (LowRank(J, torch.diag(tensor([1.0, 3.0])), 0.2), Kronecker(P, Q, 0.1), Dense(J.mT @ J)):
        found = OU.of_system(system, b, kappa0=0.3).marginal(x0, 0.7)
        torch.testing.assert_close(found.mean, IdealDevice().solve(system, b, 0.7, x0=x0).x, rtol=1e-9, atol=1e-9)
        expected = oracle.covariance(system.dense().numpy(), 0.6 * np.eye(6), 0.7)
        np.testing.assert_allclose(found.covariance, expected, rtol=0, atol=1e-9 * expected.max())


# What raises

eye = torch.eye(2, dtype=F64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OU(torch.ones(2, 3, dtype=F64)), r"drift has shape \(2, 3\).*square"),
        (lambda: OU(torch.eye(2, dtype=torch.int64)), "drift is .*int64: give a float32 or float64"),
        (lambda: OU(tensor([[1.0, math.nan], [0.0, 1.0]])), r"drift\[0, 1\] is nan"),
        (lambda: OU(eye, torch.ones(3, dtype=F64)), r"drive is \(3,\).*takes \(\.\.\., 2\)"),
        (lambda: OU(eye, torch.ones(2)), "drive is .*float32.*float64"),
        (lambda: OU(eye, diffusion=-1.0), "diffusion is -1.0"),
        (
            lambda: OU(eye, diffusion=tensor([[1.0, 0.5], [0.0, 1.0]])),
            r"diffusion is not symmetric: diffusion\[0, 1\] = 0.5",
        ),
        (lambda: OU(eye, diffusion=tensor([[1.0, 2.0], [2.0, 1.0]])), "diffusion has the eigenvalue -1"),
        (lambda: OU(eye.expand(3, 2, 2), torch.ones(2, 2, dtype=F64)), "batches of .* do not go together"),
        (lambda: OU(eye).marginal(torch.ones(3, dtype=F64), 1.0), r"x0 is \(3,\)"),
        (lambda: OU(eye).marginal(torch.ones(2, dtype=F64), -1.0), "t is -1.0: give a number >= 0"),
        (lambda: OU(eye).time_average(torch.ones(2, dtype=F64), 0.0, 0.0), "window is 0.0: give a finite number > 0"),
        (lambda: OU(eye).trajectory(torch.ones(2, dtype=F64), 0.1, 0), "count is 0"),
        (lambda: OU(eye).trajectory(torch.ones(2, dtype=F64), 0.1, 10.5), r"count is 10\.5: give a whole number"),
        (
            lambda: OU(eye).trajectory_at(torch.ones(2, dtype=F64), torch.ones(2, 3, dtype=F64)),
            r"times has shape \(2, 3\)",
        ),
        (
            lambda: OU(eye.expand(3, 2, 2)).marginal(torch.ones(2, 2, dtype=F64), 1.0),
            r"x0 has the batch \(2,\) .*process \(3,\)",
        ),
        (lambda: OU(eye.expand(3, 2, 2)).trajectory(torch.ones(2, 2, dtype=F64), 0.1, 3), r"x0 has the batch \(2,\)"),
        (lambda: OU(eye, diffusion="a"), "diffusion is 'a': give a finite number"),
        (lambda: OU.of_system(3, torch.ones(2, dtype=F64)), "system is a int: give a Dense"),
        (lambda: OU.of_system(Dense(eye), torch.ones(2, dtype=F64), "a"), "kappa0 is 'a'"),
        (
            lambda: OU(eye, diffusion=1.0).marginal(torch.ones(2, dtype=F64), 1.0).sample(None),
            "generator is None: give",
        ),
        (lambda: OU(eye).marginal(torch.ones(2, dtype=F64), 1.0).sample(torch.Generator(), -1), "count is -1"),
        (
            lambda: OU.underdamped(eye, eye, eye, torch.ones(3, dtype=F64)),
            r"force has shape \(3,\): the 2 states take \(\.\.\., 2\)",
        ),
        (lambda: OU.underdamped(eye, eye, eye, torch.ones(2)), "force is torch.float32 .* mass is torch.float64"),
        (lambda: OU.underdamped(eye, eye, eye, diffusion=0.1), "diffusion is float: give a float32 or float64 tensor"),
        (lambda: OU.underdamped(eye, eye, eye, diffusion=torch.ones(3, 3, dtype=F64)), r"diffusion has shape \(3, 3\)"),
        (
            lambda: OU.underdamped(eye, eye, eye, diffusion=tensor([[1.0, 1.0], [0.0, 1.0]])),
            "diffusion is not symmetric",
        ),
        (lambda: OU.underdamped(eye.expand(3, 2, 2), eye, eye, torch.ones(4, 2, dtype=F64)), "batches of .* do not go"),
        (
            lambda: OU(tensor([[1.0, 1.0], [1.0, 1.0 + 4e-16]]), diffusion=1.0).stationary(),
            r"beside 2, a ratio of .*float64 does not tell it from 0 below 2e-15",
        ),
        (
            lambda: OU.underdamped(tensor(np.diag([1e-15, 1e-3])), eye, eye).stationary(),
            r"real part 1 beside 1e\+15, a ratio of 1e-15: float64 does not tell it from 0 below 4e-15",
        ),
        (
            lambda: OU.underdamped(tensor(np.diag([1e-13, 1.0])), eye, eye).stationary(),
            r"real part 0.5 beside 1e\+13, a ratio of 5e-14: it is followed to rest in float64 down to 1e-12",
        ),
        (lambda: OU(eye, diffusion=1.0).trajectory(torch.ones(2, dtype=F64), 0.1, 3), "give a generator"),
        (lambda: OU(eye).trajectory_at(torch.ones(2, dtype=F64), tensor([1.0, 0.5])), "do not decrease: sort them"),
        (lambda: OU(-eye, diffusion=1.0).stationary(), "eigenvalue -1: there is no settled state"),
        (lambda: OU(-tensor(SHEAR), diffusion=tensor(UNEQUAL)).stationary(), "real part -1.2"),
        (lambda: OU(0 * eye, diffusion=1.0).stationary(), "eigenvalue 0"),
        (lambda: OU(tensor([[1.0, 1e13], [0.0, 1.0]]), diffusion=1.0).stationary(), "too much growth before its decay"),
        (lambda: PiecewiseConstant((torch.ones(2),), (0.5,)), "1 values with 1 switches"),
        (lambda: PiecewiseConstant((torch.ones(2),) * 3, (0.5, 0.5)), "increasing"),
        (lambda: OU.underdamped(0 * eye, eye, eye), "mass is singular: .* is 0 of the largest, and torch.float64"),
        (lambda: OU.underdamped(torch.ones(2, 2, dtype=F64), eye, eye), "mass is singular"),
        (lambda: OU.underdamped(eye, torch.ones(3, 3, dtype=F64), eye), "friction has shape"),
        (lambda: OU(LowRank(torch.ones(1, 2, dtype=F64)), diffusion=eye).stationary(), "diffusion as a number"),
        (lambda: OU(LowRank(torch.ones(1, 2, dtype=F64)), diffusion=1.0).stationary(), "no settled state"),
        (lambda: LowRank(torch.ones(1, 2), damping=-1.0), "damping must be .* got -1.0"),
        (lambda: LowRank(torch.ones(1, 2), torch.ones(2, 2)), r"H must be \(1, 1\)"),
        (lambda: Kronecker(torch.eye(2), eye), "B is .*float64.* but A is .*float32"),
        (lambda: Kronecker(tensor([[1.0, 2.0], [0.0, 1.0]]), eye), "A is not symmetric"),
    ],
)
def test_bad_input_is_named_with_its_remedy(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(("dtype", "masses"), [(F64, (1e-18, 1e-2)), (torch.float32, (1e-12, 1e-3))])
def test_masses_of_any_units_are_taken(dtype, masses):
    mass, coupling = np.diag(masses), np.array([[2.0, 0.5], [0.5, 1.0]])
    # Units in which the masses are alike leave the law as it is.
    units = np.sqrt(np.array(masses))
    process = OU.underdamped(
        tensor(mass).to(dtype), *(tensor(units[:, None] * coupling * units).to(dtype) for _ in range(2))
    )
    restoring = process.drift[2:, :2].double().numpy() * units[:, None] / units
    np.testing.assert_allclose(restoring, coupling, rtol=1e-5 if dtype is torch.float32 else 1e-12)


def test_rates_of_a_diagonal_drift_are_what_they_are_however_far_apart():
    found = OU(tensor(np.diag([1.0, 1e15])), torch.ones(2, dtype=F64), 1.0).stationary()
    np.testing.assert_allclose(found.mean, [1.0, 1e-15], rtol=1e-14)
    np.testing.assert_allclose(found.variance, [0.5, 0.5e-15], rtol=1e-14)
    # Negative control: a zero is none.
    with pytest.raises(InputError, match="eigenvalue 0: there is no settled state"):
        OU(tensor(np.diag([0.0, 1e15])), diffusion=1.0).stationary()
