"""Deflation: what is left to the device, the solution composed, what it costs, and that it is the largest vectors that count."""

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.device import Outcome, Solution
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host import deflation
from thermograd.devicemodel.host.deflation import Deflation, lanczos
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense, Implicit, LowRank

from ...systems import true_card
from .test_refine import LinearDie

N, M = 40, 3


def decaying(seed=0, n=N, damping=0.02):
    """K + damping, K of eigenvalues 30, 15, 7.5, ... in a random basis; unit diagonal at last."""
    rng = np.random.default_rng([seed, n])
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    A = (basis * (30 * 0.5 ** np.arange(n) + damping)) @ basis.T
    d = 1 / np.sqrt(np.diag(A))
    A = torch.from_numpy((A + A.T) / 2 * np.outer(d, d))
    return Dense(A, floor=damping * float(d.min()) ** 2), torch.from_numpy(rng.standard_normal(n))


def test_the_rest_is_what_projections_leave():
    A = decaying()[0].A
    found = Deflation.of(A, M)
    V, one = found.vectors, torch.eye(N, dtype=torch.float64)
    torch.testing.assert_close(V.mT @ V, one[:M, :M])
    torch.testing.assert_close(found.images, A @ V)
    P = one - V @ V.mT
    torch.testing.assert_close(found.rest, P @ A @ P + found.replaced * V @ V.mT)
    # By interlacing: no eigenvalue below the least of A's and sigma.
    least = min(float(torch.linalg.eigvalsh(A)[0]), found.replaced)
    assert float(torch.linalg.eigvalsh(found.rest)[0]) >= least * (1 - 1e-9)
    torch.testing.assert_close(found.values, torch.linalg.eigvalsh(A).flip(0)[:M], rtol=1e-3, atol=0)
    assert found.bytes == 2 * N * M * 8


def test_lanczos_ends_where_its_space_does():
    A = torch.diag(torch.tensor([2.0, 2.0, 1.0, 1.0], dtype=torch.float64))
    basis, images = lanczos(lambda x: A @ x, 4, 4)
    assert basis.shape == images.shape == (4, 2)
    torch.testing.assert_close(images, A @ basis)


@pytest.mark.parametrize("equilibrate", [True, False])
def test_a_perfect_reading_is_composed_to_the_solution(equilibrate):
    """At the first reading to what the vectors' own error leaves, and rounds take that away."""
    system, b = decaying()
    found = Refined(LinearDie(0.0), rounds=3, deflation=M, equilibrate=equilibrate).solve(system, b, math.inf)
    first, *_, last = found.refinement.residuals
    assert first < 1e-3
    assert last < 1e-9
    torch.testing.assert_close(found.x, torch.linalg.solve(system.A, b), rtol=1e-6, atol=1e-6)


def residual(deflation, seed, share=0.005, rounds=2):
    system, b = decaying(seed)
    return (
        Refined(LinearDie(share, seed=seed), rounds=rounds, deflation=deflation).solve(system, b, math.inf).refinement
    )


def test_rounds_converge_faster_with_the_largest_vectors_out(monkeypatch):
    """The die's errors are shares of its entries: median residual over 9 dies and systems. Negative control: random vectors in place
    of eigenvectors gain nothing."""
    bare = np.median([residual(0, seed).residual for seed in range(9)])
    deflated = np.median([residual(M, seed).residual for seed in range(9)])
    assert deflated < bare / 50

    def random_space(product, n, steps):
        basis = torch.linalg.qr(torch.randn(n, M, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
        return basis, product(basis)

    monkeypatch.setattr(deflation, "lanczos", random_space)
    assert np.median([residual(M, seed).residual for seed in range(9)]) > bare / 3


class Counting:
    """A product that counts."""

    def __init__(self, A):
        self.A, self.count = A, 0

    def __call__(self, x):
        self.count += 1
        return self.A @ x


def test_products_are_counted():
    system, b = decaying()
    product = Counting(system.A)
    lanczos(product, N, 2 * M + deflation.MORE_STEPS)
    refined = Refined(LinearDie(0.0), rounds=1, deflation=M)
    first, second = (refined.solve(system, b, math.inf).refinement.products for _ in range(2))
    # The vectors and R once; two residuals, and 4 n m multiply-adds for each of two answers.
    assert first - second == product.count + M
    assert second == 2 + math.ceil(2 * 4 * M / N)
    assert Refined(LinearDie(0.0), rounds=1).solve(system, b, math.inf).refinement.products == 2
    many = refined.solve_many(decaying(seed=1)[0], torch.stack([b, b]), math.inf)
    assert [one.refinement.products for one in many] == [first, second]


def test_the_bound_holds():
    system, b = decaying()
    found = Refined(LinearDie(0.05), rounds=1, deflation=M).solve(system, b, math.inf)
    error = float((found.x - torch.linalg.solve(system.A, b)).norm())
    assert error <= found.refinement.bound


class Keeps(LinearDie):
    """Remembers what it is programmed with, and how long it runs."""

    def solve(self, system, b, duration, x0=None):
        self.programmed, self.duration = system, duration
        return Solution(torch.zeros_like(b), Outcome.OK, 0.0)


def test_the_die_holds_a_unit_diagonal_and_settles_as_well():
    system, b = decaying()
    device = Keeps()
    Refined(device, rounds=0, deflation=M, added_damping=0.5).solve(system, b, 100.0)
    torch.testing.assert_close(device.programmed.A.diagonal(), torch.full((N,), 1.5, dtype=torch.float64))
    # Time constants of the slowest mode that there can be: at least as many as of A's floor.
    assert device.duration * (device.programmed.floor - 0.5) >= 100.0 * system.floor * (1 - 1e-9)


@pytest.mark.parametrize("count", [-1, 1.0, True])
def test_a_bad_count_raises(count):
    with pytest.raises(InputError, match="deflation"):
        Refined(LinearDie(), deflation=count)


def test_systems_that_are_not_written_out_raise():
    J = torch.randn(3, 5, dtype=torch.float64)
    b = torch.ones(5, dtype=torch.float64)
    with pytest.raises(InputError, match="deflation is 5"):
        Refined(LinearDie(), deflation=5).solve(LowRank(J, None, 0.1), b, math.inf)
    with pytest.raises(InputError, match="Implicit"):
        Refined(LinearDie(takes=(Dense, Implicit)), deflation=2).solve(Implicit(Products(J), 0.1), b, math.inf)
    with pytest.raises(InputError, match="LowRank"):
        Refined(LinearDie(takes=LowRank), deflation=2).solve(LowRank(J, None, 0.1), b, math.inf)


class Products:
    def __init__(self, J):
        self.J, self.shape, self.dtype = J, J.shape, J.dtype

    def gram(self):
        return self.J @ self.J.mT

    def matvec(self, v):
        return self.J @ v

    def rmatvec(self, u):
        return self.J.mT @ u


def test_a_batch_of_dies_is_deflated_as_each_of_them():
    system, b = decaying(n=12)
    card = true_card(preset("integrated").replace(opamp__noise_voltage=0.0))
    together = Refined(DieBatch(card, [3, 4], extrapolate=True), rounds=2, deflation=M).solve(system, b, 2000.0)
    for k, die in enumerate((3, 4)):
        device = SurrogateDevice(card, die=die, extrapolate=True)
        alone = Refined(device, rounds=2, deflation=M).solve(system, b, 2000.0)
        torch.testing.assert_close(together.x[k], alone.x, rtol=1e-6, atol=1e-8)
        assert together.refinements[k].products == alone.refinement.products
