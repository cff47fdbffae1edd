"""A system known by its products is the system written out: the same law, and with the same seed the same reading."""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.systems import Dense, Implicit, LowRank


@dataclass(frozen=True)
class Products:
    """Of a matrix that is known after all."""

    J: torch.Tensor

    @property
    def shape(self):
        return tuple(self.J.shape)

    @property
    def dtype(self):
        return self.J.dtype

    def gram(self):
        return self.J.double() @ self.J.double().mT

    def matvec(self, v):
        return self.J @ v.to(self.J.dtype)

    def rmatvec(self, u):
        return self.J.mT @ u.to(self.J.dtype)


def problem(k, n, seed, dtype=torch.float64, decades=3.0):
    generator = torch.Generator().manual_seed(seed)
    J = (
        torch.randn(k, n, generator=generator, dtype=torch.float64)
        * torch.logspace(0, -decades / 2, k).double()[:, None]
    )
    b, x0 = (torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(2))
    return J.to(dtype), b.to(dtype), x0.to(dtype)


@given(
    k=st.integers(1, 8),
    more=st.integers(1, 30),
    damping=st.floats(1e-3, 10.0),
    t=st.one_of(st.just(math.inf), st.just(0.0), st.floats(1e-3, 1e3)),
    noise=st.sampled_from([0.0, 1e-2]),
    same=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=40)
def test_it_is_the_system_written_out(k, more, damping, t, noise, same, seed):
    J, b, x0 = problem(k, k + more, seed)
    x0 = b if same else x0
    systems = (LowRank(J, None, damping), Implicit(Products(J), damping))
    written, implicit = (
        IdealDevice(kappa0=noise, seed=4 if noise else None).solve(system, b, t, x0=x0) for system in systems
    )
    assert written.outcome is implicit.outcome is Outcome.OK
    torch.testing.assert_close(implicit.x, written.x, rtol=1e-8, atol=1e-8 * float(written.x.abs().max()))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-9)])
@pytest.mark.parametrize("t", [0.5, 20.0])
def test_many_rows_go_through_lanczos_to_the_same_reading(dtype, tolerance, t):
    J, b, _ = problem(400, 1500, 1, dtype)
    J = J / float(torch.linalg.matrix_norm(J.double(), 2)) * 3
    written = IdealDevice(kappa0=1e-4, seed=2).solve(LowRank(J.double(), None, 0.05), b.double(), t, x0=b.double())
    device = IdealDevice(kappa0=1e-4, seed=2)
    implicit = device.solve(Implicit(Products(J), 0.05), b, t, x0=b)
    assert float((implicit.x - written.x).norm() / written.x.norm()) < tolerance
    assert "eigen" not in device._loaded[0].gram.__dict__  # it was not the eigenvalues
    other = IdealDevice(kappa0=1e-4, seed=3).solve(Implicit(Products(J), 0.05), b, t, x0=b)
    assert float((other.x - written.x).norm() / written.x.norm()) > 10 * tolerance


def test_it_runs_on_and_resumes_as_any_other():
    J, b, _ = problem(3, 9, 5)
    found = []
    for system in (LowRank(J, None, 0.1), Implicit(Products(J), 0.1)):
        device = IdealDevice(kappa0=1e-3, seed=1)
        device.solve(system, b, 0.7)
        device.evolve(0.4)
        again = IdealDevice(kappa0=1e-3, seed=1)
        again.load_state_dict(device.state_dict())
        found.append(again.solve(system, 2 * b, 0.3).x)
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("t", [0.0, 0.5, 20.0, math.inf])
@pytest.mark.parametrize("k", [5, 300])
def test_a_dense_system_with_a_floor_has_the_reading_that_its_eigenvalues_give(k, t):
    """Of eight decades, too, where the bound is not met and eigenvalues are taken after all; a wrong floor gives another reading."""
    for decades in (1.0, 8.0):
        J, _, _ = problem(k, 2 * k, 6, decades=decades)
        K = J @ J.mT / float(torch.linalg.matrix_norm(J, 2)) ** 2
        A = K + 0.05 * torch.eye(k, dtype=torch.float64)
        b, x0 = torch.randn(2, k, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        for start in (b, x0):
            found = [
                IdealDevice(kappa0=1e-3, seed=2).solve(system, b, t, x0=start)
                for system in (Dense(A), Dense(A, floor=0.05), Dense(A, floor=0.3))
            ]
            assert found[1].outcome is Outcome.OK
            size = float(found[0].x.norm())
            assert float((found[1].x - found[0].x).norm()) < 2e-8 * size
            if k > 256 and t > 0 and decades == 8.0:
                assert float((found[2].x - found[0].x).norm()) > 1e-5 * size


@pytest.mark.parametrize("floor", [-1.0, math.inf, math.nan])
def test_a_floor_is_a_number(floor):
    with pytest.raises(InputError, match="floor is"):
        Dense(torch.eye(2), floor)


@pytest.mark.parametrize("damping", [0.0, -1.0, math.inf, math.nan])
def test_it_needs_damping(damping):
    with pytest.raises(InputError, match="damping"):
        Implicit(Products(torch.eye(2)), damping)
