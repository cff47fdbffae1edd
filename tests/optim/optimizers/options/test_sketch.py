"""Sketched solutions: those of the whole system whatever the rank, in few iterations where the rank covers what is above the damping."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thermograd as tg
from thermograd.circuits.errors import InputError
from thermograd.optim.optimizers.options.sketch import solve_sketched

F64 = torch.float64


def falling(k, n, decade):
    """M with singular values 10^(-i / decade), and sources."""
    generator = torch.Generator().manual_seed(0)
    U = torch.linalg.qr(torch.randn(k, k, dtype=F64, generator=generator))[0]
    V = torch.linalg.qr(torch.randn(n, k, dtype=F64, generator=generator))[0]
    return U * 10.0 ** (-torch.arange(k) / decade) @ V.mT, torch.randn(k, dtype=F64, generator=generator)


@pytest.mark.parametrize("damping", [1e-2, 1e-8])
def test_the_rank_sets_the_iterations_and_not_the_solution(damping):
    M, s = falling(80, 120, 8)
    K = M @ M.mT + damping * torch.eye(80, dtype=F64)
    exact = M.mT @ torch.linalg.solve(K, s)
    above = int((torch.linalg.svdvals(M).square() > damping).sum())
    counts = []
    for rank in (80, above + 10, above // 4):
        x, count = solve_sketched(M, s, damping, rank, torch.Generator().manual_seed(1))
        assert (x - exact).norm() < 3e-8 * exact.norm()
        counts.append(count)
    assert counts[0] <= 3
    assert counts[1] <= 20
    assert counts[2] > 2 * counts[1]


def test_the_sketch_alone_is_not_enough():
    """Control: the system with the approximation of K in its place has another solution."""
    M, s = falling(80, 120, 8)
    K, damping = M @ M.mT, 1e-8
    Q = torch.linalg.qr(torch.randn(80, 20, dtype=F64, generator=torch.Generator().manual_seed(1)))[0]
    sketch = K @ Q @ torch.linalg.solve(Q.mT @ K @ Q, Q.mT @ K)
    eye = damping * torch.eye(80, dtype=F64)
    exact, found = (M.mT @ torch.linalg.solve(A + eye, s) for A in (K, sketch))
    assert (found - exact).norm() > 0.5 * exact.norm()


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-7), (torch.float32, 1e-3)])
@pytest.mark.parametrize("loss", [F.mse_loss, F.huber_loss])
def test_steps_are_those_of_the_whole_system(dtype, tolerance, loss):
    """Those of Huber's outliers, too, whose gradient is not in the range of M."""
    ends = []
    for sketch in (None, 10):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)).to(dtype)
        x, y = torch.randn(20, 3, dtype=dtype), 2 * torch.randn(20, 2, dtype=dtype)
        optimizer = tg.NGDWoodbury(model.parameters(), lr=0.5, damping=0.05, sketch=sketch)
        for _ in range(3):
            optimizer.step(lambda model=model, x=x, y=y: (loss(z := model(x), y), z))
        assert (optimizer.last.iterations > 0) is (sketch is not None and loss is F.mse_loss)
        ends.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
    torch.testing.assert_close(ends[1], ends[0], rtol=tolerance, atol=tolerance)


def test_a_rank_that_is_no_number_raises():
    with pytest.raises(InputError, match="sketch is 0: give an integer >= 1, a number of random vectors"):
        tg.NGDWoodbury(nn.Linear(2, 2).parameters(), sketch=0)
