"""The ideal device against the law written out with matrix exponentials, and its noise against the law's covariance."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.device import Device, Outcome
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.systems import Dense, Kronecker, LowRank

F64 = torch.float64


def augmented_mean(A, b, x0, t):
    """x(t) from one matrix exponential of the augmented system (x, 1): shares no formula with the device."""
    n = len(b)
    M = np.zeros((n + 1, n + 1))
    M[:n, :n], M[:n, n] = -A, b
    return (linalg.expm(M * t) @ np.append(x0, 1.0))[:n]


def transition_covariance(A, kappa, t):
    """Covariance of noise 2 kappa over a time t by Van Loan's block exponential."""
    n = len(A)
    M = np.block([[A, 2 * kappa * np.eye(n)], [np.zeros((n, n)), -A.T]])
    E = linalg.expm(M * t)
    return E[n:, n:].T @ E[:n, n:]


def draw(seed, k, n):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, dtype=F64, generator=generator) for shape in ((k, n), (k, k), (n,), (n,))]


@given(
    k=st.integers(1, 7),
    n=st.integers(1, 7),
    core=st.booleans(),
    damping=st.sampled_from([0.0, 1e-8, 0.01, 1.0]),
    t=st.sampled_from([0.0, 1e-6, 0.3, 5.0]),
    seed=st.integers(0, 9999),
)
@settings(max_examples=80, deadline=None)
def test_mean_is_the_matrix_exponential(k, n, core, damping, t, seed):
    J, B, b, x0 = draw(seed, k, n)
    system = LowRank(J, B @ B.T if core else None, damping)
    A = system.dense()
    expected = augmented_mean(A.numpy(), b.numpy(), x0.numpy(), t)
    scale = np.abs(expected).max() + np.abs(x0.numpy()).max()
    for candidate in (system, Dense((A + A.T) / 2)):
        solution = IdealDevice().solve(candidate, b, t, x0=x0)
        assert solution.outcome is Outcome.OK
        np.testing.assert_allclose(solution.x.numpy(), expected, atol=1e-10 * scale, rtol=0)


@given(
    p=st.integers(1, 4), q=st.integers(1, 4), t=st.sampled_from([0.0, 0.3, 5.0, math.inf]), seed=st.integers(0, 9999)
)
@settings(max_examples=40, deadline=None)
def test_kronecker_factors_give_the_path_of_their_product(p, q, t, seed):
    generator = torch.Generator().manual_seed(seed)
    A, B = (torch.randn(n, n, dtype=F64, generator=generator) for n in (p, q))
    system = Kronecker(A @ A.T, B @ B.T, 0.2)
    b, x0 = (torch.randn(p * q, dtype=F64, generator=generator) for _ in range(2))
    found, expected = (IdealDevice().solve(one, b, t, x0=x0) for one in (system, Dense(system.dense())))
    assert found.outcome is expected.outcome is Outcome.OK
    torch.testing.assert_close(found.x, expected.x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("kind", ["dense", "low rank", "low rank, no damping"])
def test_noise_has_the_transition_covariance(kind, t):
    J, _, b, _ = draw(3, 2, 4)
    system = LowRank(J, None, 0.0 if "no" in kind else 0.5)
    device = IdealDevice(kappa0=0.1, seed=7)
    A = system.dense()
    run = Dense(A) if kind == "dense" else system
    zero = torch.zeros(4, dtype=F64)
    samples = np.stack([device.solve(run, b, t, x0=zero).x.numpy() for _ in range(1000)])
    expected = transition_covariance(A.numpy(), 0.1, t) if t < 20 else None
    if expected is None:  # Van Loan's blocks overflow at long times: integrate the law's spectrum instead
        w, V = np.linalg.eigh(A.numpy())
        grid = np.array([0.1 * 2 * t if abs(a) < 1e-12 else 0.1 * (1 - math.exp(-2 * a * t)) / a for a in w])
        expected = (V * grid) @ V.T
    # entries of a sample covariance have variance (S_ii S_jj + S_ij^2) / n; 5 sigma over 10 entries
    found = np.cov(samples.T)
    sigma = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / len(samples))
    assert np.all(np.abs(found - expected) < 5 * sigma)
    # negative control: a noise variance 50 % too large would not pass
    assert np.any(np.abs(1.5 * found - expected) > 5 * sigma)
    error = samples.mean(0) - augmented_mean(A.numpy(), b.numpy(), zero.numpy(), t)
    assert np.all(np.abs(error) < 5 * np.sqrt(np.diag(expected) / len(samples)))


def test_two_runs_make_one_long_run():
    J, _, b, x0 = draw(5, 3, 6)
    system = LowRank(J, None, 0.2)
    device = IdealDevice()
    device.solve(system, b, 0.4, x0=x0)
    later = device.evolve(0.9).x
    torch.testing.assert_close(later, IdealDevice().solve(system, b, 1.3, x0=x0).x)
    device.solve(system, b, 0.4, x0=x0)
    torch.testing.assert_close(device.solve(system, b, 0.9).x, later)  # x0=None goes on
    other = Dense(torch.eye(2, dtype=F64))
    c = torch.ones(2, dtype=F64)
    torch.testing.assert_close(
        device.solve(other, c, 1.0).x, IdealDevice().solve(other, c, 1.0, x0=0 * c).x
    )  # zeros after a change of size


def test_settled_state_solves_and_zero_time_returns_the_start_exactly():
    J, _, b, x0 = draw(6, 3, 5)
    for dtype, tolerance in ((torch.float32, 1e-6), (F64, 1e-12)):
        system = LowRank(J.to(dtype), None, 0.1)
        solution = IdealDevice().solve(system, b.to(dtype), math.inf)
        exact = torch.linalg.solve(LowRank(system.J.double(), None, 0.1).dense(), b.to(dtype).double())
        assert solution.x.dtype is dtype
        assert float((solution.x.double() - exact).norm() / exact.norm()) < tolerance
        assert torch.equal(IdealDevice().solve(system, b.to(dtype), 0.0, x0=x0.to(dtype)).x, x0.to(dtype))


def test_small_damping_keeps_its_digits_in_the_low_rank_dynamics():
    J, _, b, x0 = draw(8, 3, 9)
    J[2] = J[1] + 1e-6 * J[2]  # a singular value of about 1e-6
    system = LowRank(J, None, 1e-3)
    for t in (1.0, 100.0):
        low = IdealDevice().solve(system, b, t, x0=x0).x
        torch.testing.assert_close(low, IdealDevice().solve(Dense(system.dense()), b, t, x0=x0).x, rtol=1e-9, atol=1e-9)


def test_a_driven_free_mode_has_no_settled_state():
    J, _, b, _ = draw(9, 2, 4)
    for system in (LowRank(J), Dense(LowRank(J).dense())):
        device = IdealDevice()
        assert device.solve(system, b, math.inf).outcome is Outcome.NOT_FINITE
        assert device.solve(system, b, 3.0).outcome is Outcome.OK  # at a finite time it is merely far
        inside = J.T @ torch.ones(2, dtype=F64)
        settled = device.solve(system, inside, math.inf, x0=torch.zeros(4, dtype=F64))
        assert settled.outcome is Outcome.OK
        torch.testing.assert_close(settled.x, torch.linalg.pinv(LowRank(J).dense()) @ inside)
        noisy = IdealDevice(kappa0=1e-3, seed=0)
        assert noisy.solve(system, inside, math.inf).outcome is Outcome.NOT_FINITE
        assert noisy.solve(system, inside, 1.0).outcome is Outcome.OK


def test_a_growing_mode_is_unstable():
    system = Dense(torch.diag(torch.tensor([1.0, -0.1])))
    for t in (1.0, math.inf):
        assert IdealDevice().solve(system, torch.ones(2), t).outcome is Outcome.UNSTABLE


def test_noise_is_a_function_of_seed_and_run_number_and_resumes():
    J, _, b, _ = draw(10, 2, 4)
    system = LowRank(J, None, 1.0)
    first, second, other = (IdealDevice(kappa0=0.1, seed=seed) for seed in (4, 4, 5))
    runs = [first.solve(system, b, 1.0).x for _ in range(4)]
    for run in runs[:2]:
        assert torch.equal(second.solve(system, b, 1.0).x, run)
    resumed = IdealDevice(kappa0=0.1, seed=4)
    resumed.load_state_dict(second.state_dict())
    for run in runs[2:]:
        assert torch.equal(resumed.solve(system, b, 1.0).x, run)
    assert not torch.equal(other.solve(system, b, 1.0).x, runs[0])


def test_seconds_and_protocol():
    device = IdealDevice(tau=2e-6)
    assert isinstance(device, Device)
    assert device.solve(Dense(torch.eye(1)), torch.ones(1), 5.0).seconds == pytest.approx(1e-5)


@pytest.mark.parametrize(
    "arguments", [{"kappa0": -1.0}, {"kappa0": 0.1}, {"kappa0": math.nan}, {"seed": -1}, {"seed": 1.5}, {"tau": 0.0}]
)
def test_bad_arguments(arguments):
    with pytest.raises(InputError):
        IdealDevice(**arguments)


def test_bad_calls():
    device = IdealDevice()
    with pytest.raises(InputError, match="call solve first"):
        device.evolve(1.0)
    with pytest.raises(InputError, match="duration"):
        device.solve(Dense(torch.eye(1)), torch.ones(1), -1.0)
    with pytest.raises(InputError, match="give Dense"):
        device.solve(torch.eye(1), torch.ones(1), 1.0)
    with pytest.raises(InputError, match="positive semi-definite"):
        device.solve(LowRank(torch.ones(2, 3), -torch.eye(2)), torch.ones(3), 1.0)
