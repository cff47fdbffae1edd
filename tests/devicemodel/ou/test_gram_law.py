"""Dual cells that are known by products have the law of their matrix written out, within the bounds of docs/speed.md."""

import math
from dataclasses import dataclass

import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.implicit_gram import ImplicitGram
from thermograd.devicemodel.ou import gram_law
from thermograd.devicemodel.ou.gram_law import GramLaw
from thermograd.devicemodel.ou.gram_solve import solve_gram

KAPPA = 1e-3
BOUNDS = {torch.float32: (1e-4, 1e-2), torch.float64: (1e-8, 1e-6)}
"""Of M^T x(t) and of M^T times the noise."""


@dataclass(frozen=True)
class Products:
    """Of a matrix that is known after all."""

    M: torch.Tensor

    @property
    def cells(self):
        return len(self.M)

    @property
    def dtype(self):
        return self.M.dtype

    def lower_gram(self, dtype):
        return self.M.to(dtype) @ self.M.to(dtype).mT

    def summed_gram(self):
        return self.lower_gram(self.M.dtype).double()

    def gram_product(self, u):
        return (self.M @ (self.M.mT @ u.to(self.M.dtype))).double()


def problem(k, dtype, largest=30.0):
    """M with singular values over five decades, a drive and normal numbers."""
    generator = torch.Generator().manual_seed(k)
    U, _ = torch.linalg.qr(torch.randn(k, k, generator=generator, dtype=torch.float64))
    V, _ = torch.linalg.qr(torch.randn(k + 20, k, generator=generator, dtype=torch.float64))
    M = (U * torch.logspace(math.log10(largest) / 2, -4, k).double()) @ V.mT
    s, xi = (torch.randn(k, generator=generator, dtype=torch.float64) for _ in range(2))
    return M.to(dtype), s, xi


def exact(M, damping, s, t, xi):
    """M^T times the mean from x(0) = s, and times the noise, of the matrix's own eigenvectors."""
    w, U = torch.linalg.eigh(M.double() @ M.double().mT)
    a = w.clamp(min=0) + damping
    left = torch.exp(-a * t)
    mean = U @ ((left + (1 - left) / a) * (U.mT @ s))
    noise = U @ (torch.sqrt(KAPPA * (1 - left**2) / a) * (U.mT @ xi))
    return M.double().mT @ mean, M.double().mT @ noise


def test_a_settled_state_at_a_damping_near_the_rounding_of_the_matrix():
    """Where residuals do not fall it is that of the matrix in double precision; its path's law was off by five times the state."""
    generator, damping = torch.Generator().manual_seed(0), 1e-11
    U, _ = torch.linalg.qr(torch.randn(60, 60, dtype=torch.float64, generator=generator))
    V, _ = torch.linalg.qr(torch.randn(120, 60, dtype=torch.float64, generator=generator))
    M = (U * torch.logspace(2.1, -9, 60, dtype=torch.float64)) @ V.mT
    s = M @ torch.randn(120, dtype=torch.float64, generator=generator)
    assert solve_gram(Products(M), Products(M).lower_gram(M.dtype), s, damping) is None
    found = M.mT @ GramLaw(ImplicitGram(Products(M), damping)).state(s, s, math.inf, 0.0, None)
    U, a, V = torch.linalg.svd(M, full_matrices=False)
    expected = V.mT @ (a / (a.square() + damping) * (U.mT @ s))
    assert (found - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize(
    ("t", "damping"), [(0.3, 0.01), (50.0, 0.01), (50.0, 0.001), (1e3, 0.1), (math.inf, 0.01), (math.inf, 0.001)]
)
def test_the_law_by_products_is_that_of_the_matrix(dtype, t, damping):
    M, s, xi = problem(300, dtype)
    law = GramLaw(ImplicitGram(Products(M), damping))
    mean, noise = exact(M, damping, s, t, xi)
    found = law.state(s, s, t, KAPPA, None)
    assert float((M.double().mT @ found - mean).norm() / mean.norm()) < BOUNDS[dtype][0]
    if math.isfinite(t):
        drawn = law.state(s, s, t, KAPPA, xi) - found
        assert float((M.double().mT @ drawn - noise).norm() / noise.norm()) < BOUNDS[dtype][1]


@pytest.mark.parametrize("t", [2.0, math.inf])
def test_the_covariance_of_the_noise_is_the_law_s(t):
    M, s, _ = problem(8, torch.float64, largest=1.0)
    A = M @ M.mT + 0.05 * torch.eye(8, dtype=torch.float64)
    law = GramLaw(ImplicitGram(Products(M), 0.05))
    mean = law.state(s, s, t, KAPPA, None)
    G = torch.stack([law.state(s, s, t, KAPPA, e) - mean for e in torch.eye(8, dtype=torch.float64)], dim=1)
    wanted = KAPPA * torch.linalg.inv(A)
    if math.isfinite(t):
        wanted = wanted - KAPPA * torch.matrix_exp(-2 * t * A) @ torch.linalg.inv(A)
    assert torch.allclose(G @ G.mT, wanted, rtol=1e-8, atol=1e-14)


def test_too_loose_a_tolerance_is_seen(monkeypatch):
    """Control: where iteration ends too early, the bound of the mean is missed."""
    monkeypatch.setitem(gram_law.MEAN, torch.float32, 0.5)
    M, s, xi = problem(300, torch.float32)
    mean, _ = exact(M, 0.01, s, 50.0, xi)
    found = GramLaw(ImplicitGram(Products(M), 0.01)).state(s, s, 50.0, KAPPA, None)
    assert float((M.double().mT @ found - mean).norm() / mean.norm()) > BOUNDS[torch.float32][0]


def test_a_run_goes_on_from_its_state():
    M, s, _ = problem(280, torch.float64)
    system = ImplicitGram(Products(M), 0.02)
    at_once, in_parts = IdealDevice(), IdealDevice()
    whole = at_once.solve(system, s, 12.0, x0=s).x
    in_parts.solve(system, s, 5.0, x0=s)
    kept = IdealDevice()
    kept.load_state_dict(in_parts.state_dict())
    assert torch.allclose(in_parts.evolve(7.0).x, whole, rtol=1e-7, atol=1e-8)
    assert torch.allclose(kept.solve(system, s, 7.0).x, whole, rtol=1e-7, atol=1e-8)


def test_what_is_not_finite_has_no_reading_and_oscillators_need_the_matrix():
    M, s, _ = problem(280, torch.float32)
    M[3, 3] = math.nan
    system = ImplicitGram(Products(M), 0.02)
    for t in (1.0, math.inf):
        assert IdealDevice().solve(system, s, t).outcome is Outcome.NOT_FINITE
    assert not IdealDevice(friction=0.1).accepts(system)
    with pytest.raises(InputError, match="finite number > 0"):
        ImplicitGram(Products(M), 0.0)
