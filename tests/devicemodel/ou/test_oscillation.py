"""Ideal oscillators against the exponential of the companion matrix, their noise against Van Loan's integral, and their limits."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest
import torch
from scipy import linalg

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense, Implicit, Kronecker, LowRank

from ...systems import true_card

F64 = torch.float64


def companion(A, friction):
    eye = np.eye(len(A))
    return np.block([[0 * eye, eye], [-np.asarray(A), -friction * eye]])


def path(A, friction, b, start, t):
    """[x, x'] after t, b as one more state."""
    n = len(b)
    M = np.zeros((2 * n + 1, 2 * n + 1))
    M[: 2 * n, : 2 * n], M[n : 2 * n, -1] = companion(A, friction), b
    return (linalg.expm(M * t) @ np.append(start, 1.0))[: 2 * n]


def draw(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, dtype=F64, generator=generator) for shape in shapes]


def systems():
    J, left, right = draw(3, (2, 4), (2, 2), (2, 2))
    A = J.mT @ J
    return {
        "low rank": LowRank(J, None, 0.3),
        "free modes": LowRank(J, None, 0.0),
        "more rows than unknowns": LowRank(J.mT[:, :1] @ J[:1, :1], None, 0.3),
        "dense": Dense(A + 0.3 * torch.eye(4, dtype=F64)),
        "of either sign": Dense(A - 0.2 * torch.eye(4, dtype=F64)),
        "kronecker": Kronecker(left @ left.mT, right @ right.mT, 0.2),
    }


@pytest.mark.parametrize("name", systems())
def test_the_mean_is_that_of_the_companion_matrix_and_goes_on_with_velocities(name):
    system = systems()[name]
    n, device = system.size, IdealDevice(friction=0.9)
    b, x0 = draw(5, (n,), (n,))
    at = np.append(x0.numpy(), np.zeros(n))
    for k, t in enumerate([0.0, 1e-4, 0.7, 6.0]):
        if name == "of either sign":
            # A board that runs away is discharged.
            found, at = device.solve(system, b, t, x0=x0), path(system.dense().numpy(), 0.9, b.numpy(), at, t)
            np.testing.assert_allclose(found.x, at[:n], rtol=1e-9, atol=1e-10)
            assert found.outcome is Outcome.UNSTABLE
            at = np.append(x0.numpy(), np.zeros(n))
            continue
        found = device.solve(system, b, t, x0=x0 if k == 0 else None)
        at = path(system.dense().numpy(), 0.9, b.numpy(), at, t)
        np.testing.assert_allclose(found.x, at[:n], rtol=1e-9, atol=1e-10 * np.abs(at).max())
        np.testing.assert_allclose(device.state_dict()["state"], at, rtol=1e-9, atol=1e-10 * np.abs(at).max())
        assert found.outcome is Outcome.OK


def test_a_resumed_device_goes_on_with_both():
    system, (b, x0) = systems()["dense"], draw(5, (4,), (4,))
    device, resumed = (IdealDevice(1e-3, seed=4, friction="critical") for _ in range(2))
    system = Dense(system.A, floor=0.3)
    device.solve(system, b, 0.8, x0=x0)
    resumed.load_state_dict(device.state_dict())
    assert torch.equal(resumed.solve(system, b, 1.1).x, device.solve(system, b, 1.1).x)


@pytest.mark.parametrize("t", [0.3, 4.0, math.inf])
def test_noise_has_the_covariance_of_kt(t):
    friction, kappa, n, copies, runs = 0.9, 0.04, 4, 200, 20
    A = systems()["low rank"].dense()
    system, A = Kronecker(A, torch.eye(copies, dtype=F64)), A.numpy()
    F, Q = companion(A, friction), np.zeros((8, 8))
    Q[4:, 4:] = 2 * friction * kappa * np.eye(n)
    if math.isinf(t):
        # Equipartition, which Lyapunov's equation says as well.
        expected = linalg.block_diag(kappa * np.linalg.inv(A), kappa * np.eye(n))
        np.testing.assert_allclose(linalg.solve_continuous_lyapunov(F, -Q), expected, atol=1e-10)
    else:
        E = linalg.expm(np.block([[F, Q], [np.zeros_like(F), -F.T]]) * t)
        expected = E[:8, 8:] @ E[:8, :8].T
    device, zero, states = IdealDevice(kappa, seed=1, friction=friction), torch.zeros(n * copies, dtype=F64), []
    for _ in range(runs):
        device.solve(system, zero, t, x0=zero)
        states.append(device.state_dict()["state"].reshape(2 * n, copies).numpy())
    whitened = np.linalg.solve(np.linalg.cholesky(expected), np.concatenate(states, axis=1))
    deviation = whitened @ whitened.T / (runs * copies) - np.eye(8)
    # Of 36 variances and covariances of 4,000 draws none is 5 standard errors off; noise 15 % too strong is.
    errors = np.sqrt(np.where(np.eye(8) == 1, 2, 1) / (runs * copies))
    assert np.abs(deviation / errors).max() < 5
    assert np.abs((1.15 * (deviation + np.eye(8)) - np.eye(8)) / errors).max() > 5


def test_they_begin_with_half_the_square_of_time_and_settle_with_the_root_of_the_smallest_eigenvalue():
    A = torch.diag(torch.tensor([1.0, 0.3, 1e-4], dtype=F64))
    system, (b, x0) = Dense(A, floor=1e-4), draw(2, (3,), (3,))
    device, t = IdealDevice(friction="critical"), 1e-3
    gone = device.solve(system, b, t, x0=x0).x - x0
    torch.testing.assert_close(gone, t**2 / 2 * (b - A @ x0), rtol=2 * t, atol=0)
    exact = b / A.diagonal()

    def error(one: IdealDevice, duration: float) -> float:
        found = one.solve(system, b, duration, x0=torch.zeros(3, dtype=F64)).x
        return float((found - exact).norm() / exact.norm())

    # (1 + y) e^-y = 1e-3 at y = 9.23.
    assert error(device, 923.5) == pytest.approx(1e-3, rel=0.01)
    assert error(IdealDevice(), 923.5) > 0.9
    assert error(device, math.inf) < 1e-12


def test_free_modes_coast_to_a_stop_and_driven_ones_have_no_rest():
    system, (x0,) = LowRank(torch.tensor([[1.0, 0.0]], dtype=F64), None, 0.0), draw(1, (2,))
    device, drive = IdealDevice(friction=0.5), torch.tensor([0.4, 0.0], dtype=F64)
    # Pushed for 1 tau, the second cell has a velocity that friction takes 1 / 0.5 of on.
    device.solve(system, torch.tensor([0.0, 1.0], dtype=F64), 1.0, x0=x0)
    at = device.state_dict()["state"]
    found = device.solve(system, drive, math.inf)
    torch.testing.assert_close(found.x, torch.stack([drive[0], at[1] + at[3] / 0.5]))
    assert device.solve(system, torch.tensor([0.0, 1.0], dtype=F64), math.inf).outcome is Outcome.NOT_FINITE


@pytest.mark.parametrize("friction", [0.0, -1.0, math.inf, "strong", True])
def test_a_friction_that_is_none_is_rejected(friction):
    with pytest.raises(InputError, match="friction is"):
        IdealDevice(friction=friction)


def test_critical_friction_needs_a_floor_and_oscillators_eigenvalues():
    device = IdealDevice(friction="critical")
    with pytest.raises(InputError, match=r"Dense\(A, floor"):
        device.solve(Dense(torch.eye(2, dtype=F64)), torch.ones(2, dtype=F64), 1.0)
    products = Implicit(types.SimpleNamespace(shape=(1, 2), dtype=F64), 0.1)
    assert not device.accepts(products)
    assert IdealDevice().accepts(products)


@pytest.mark.parametrize("kind", ["surrogate", "spice"])
def test_a_circuit_of_ideal_parts_goes_on_as_they_do(kind):
    """Through converters and signal levels, over three runs of other drives, with the friction of the floor."""
    technology = preset("ideal")
    circuit = SpiceDevice(technology, None, "oscillator")
    if kind == "surrogate":
        circuit = SurrogateDevice(true_card(technology, "oscillator"), None, extrapolate=True)
    A, b, x0 = draw(7, (3, 3), (3,), (3,))
    system, ideal = Dense(A @ A.mT + 0.2 * torch.eye(3, dtype=F64), floor=0.2), IdealDevice(friction="critical")
    for k, (drive, t) in enumerate([(b, 0.6), (20 * b, 1.1), (-b, 0.4)]):
        found, expected = (one.solve(system, drive, t, x0=x0 if k == 0 else None) for one in (circuit, ideal))
        assert found.outcome is Outcome.OK
        torch.testing.assert_close(found.x, expected.x, rtol=0, atol=2e-5 * float(expected.x.abs().max()))


def test_half_a_swing_from_the_drive_steep_modes_are_read_with_the_wrong_sign():
    friction, one = 0.6, torch.ones(1, dtype=F64)

    def read(a: float) -> tuple[float, float]:
        w = math.sqrt(a - friction**2 / 4)
        found = IdealDevice(friction=friction).solve(Dense(a * torch.eye(1, dtype=F64)), one, math.pi / w, x0=one)
        return float(found.x), 1 + math.exp(friction * math.pi / (2 * w))

    for a in (2.0, 8.0):
        reading, threshold = read(a)
        assert (reading < 0) is (a > threshold)
    assert {a > read(a)[1] for a in (2.0, 8.0)} == {False, True}
    assert 1 / 8 <= float(IdealDevice().solve(Dense(8 * torch.eye(1, dtype=F64)), one, 0.2, x0=one).x) <= 1
