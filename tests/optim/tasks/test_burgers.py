"""The Burgers task: its solution against an independent method and a published slope, its equation, its network, its points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from thermograd.circuits.errors import InputError
from thermograd.optim.tasks.burgers import FRONT, RELATIVE_ERROR, VISCOSITY, burgers, points, solution
from thermograd.optim.training.train import train

from ..oracle import flat

SMALL = {"viscosity": 0.1, "width": 8, "layers": 2}


class Function(nn.Module):
    """A function of the points as a network with one parameter, its factor."""

    def __init__(self, function, factor=1.0):
        super().__init__()
        self.function = function
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, at: Tensor) -> Tensor:
        return self.factor * self.function(at)[..., None]


def spectral(viscosity: float, times: np.ndarray, n: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """x and u(t, x) by Fourier collocation and an explicit Runge-Kutta method of order 8."""
    x = -1 + 2 * np.arange(n) / n
    k = np.pi * np.fft.rfftfreq(n, 1 / n)
    odd = np.where(np.arange(len(k)) < n // 2, k, 0)

    def rate(_: float, u: np.ndarray) -> np.ndarray:
        return np.fft.irfft(-0.5j * odd * np.fft.rfft(u * u) - viscosity * k**2 * np.fft.rfft(u), n)

    run = solve_ivp(rate, (0, times[-1]), -np.sin(np.pi * x), "DOP853", times, rtol=1e-12, atol=1e-13)
    return x, run.y.T


def test_solution_is_that_of_a_spectral_method():
    """Negative control: with a viscosity of 0.0301 in place of 0.03 it is not."""
    times = np.array([0.01, 0.3, 0.6, 1.0])
    x, found = spectral(0.03, times)
    grid = torch.cartesian_prod(torch.tensor(times), torch.tensor(x))
    wanted = torch.from_numpy(found).flatten()
    assert float((solution(grid, 0.03) - wanted).abs().max()) < 1e-10
    assert float((solution(grid, 0.0301) - wanted).abs().max()) > 1e-4


def test_steepest_slope_is_the_published_one():
    """152.00516 at t = 1.6037 / pi (Basdevant et al., table 1), by differences at 1e-4 and twice that, extrapolated to h^4."""
    t, h = 1.6037 / math.pi, 1e-4
    u = solution(torch.tensor([[t, h], [t, 2 * h]], dtype=torch.float64))
    slope = float(-(8 * u[0] - u[1]) / (6 * h))
    assert slope == pytest.approx(152.00516, abs=1e-4)
    start = torch.tensor([[0.0, 0.3], [0.0, -1.0]], dtype=torch.float64)
    torch.testing.assert_close(solution(start), -torch.sin(math.pi * start[:, 1]), rtol=1e-13, atol=1e-13)


def test_a_steady_front_has_no_residual_and_another_function_has():
    """u = -a tanh(a x / (2 nu)) solves the equation; 1.01 u leaves 0.01 * 1.01 u u_x."""
    task, a = burgers(0.05), 0.7
    front = lambda at: -a * torch.tanh(a / (2 * 0.05) * at[..., 1])  # noqa: E731
    loss, outputs = task.closure(Function(front), 0, 40, 0)()
    assert outputs.shape == (40, 1)
    assert float(outputs.detach().abs().max()) < 1e-13
    at = points(40, 0, 0)
    u = front(at)
    slope = -(a**2 - u.square()) / (2 * 0.05)
    loss, wrong = task.closure(Function(front, 1.01), 0, 40, 0)()
    torch.testing.assert_close(wrong[:, 0].detach(), 0.0101 * u * slope, rtol=1e-9, atol=1e-12)
    assert float(loss.detach()) == pytest.approx(float((0.0101 * u * slope).square().mean() / 2), rel=1e-9)


def test_residual_of_the_network_by_double_backward():
    task = burgers(width=5, layers=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = task.model()
    at = points(30, 1, 2).requires_grad_()
    u = model(at)[:, 0]
    (slopes,) = torch.autograd.grad(u.sum(), at, create_graph=True)
    (second,) = torch.autograd.grad(slopes[:, 1].sum(), at)
    wanted = slopes[:, 0] + u * slopes[:, 1] - VISCOSITY * second[:, 1]
    _, outputs = task.closure(model, 2, 30, 1)()
    torch.testing.assert_close(outputs, wanted[:, None], rtol=1e-12, atol=1e-12)


def test_network_has_the_initial_values_the_boundary_values_and_the_symmetry():
    model = burgers(width=7).model()
    assert sum(p.numel() for p in burgers().model().parameters()) == 624
    x = torch.linspace(-1, 1, 11, dtype=torch.float64)
    at = lambda t: torch.stack([torch.full_like(x, t), x], 1)  # noqa: E731
    torch.testing.assert_close(model(at(0.0))[:, 0], -torch.sin(math.pi * x))
    late = model(at(0.7))[:, 0].detach()
    torch.testing.assert_close(late, -late.flip(0), rtol=1e-12, atol=1e-12)
    assert float(late[[0, 5, 10]].abs().max()) < 1e-14
    assert float((late + torch.sin(math.pi * x)).abs().max()) > 1e-3


def test_score_is_the_relative_error_on_the_grid():
    task = burgers()
    found = solution(task.grid[0][::137])
    torch.testing.assert_close(task.grid[1][::137], found, rtol=1e-13, atol=1e-13)
    assert task.evaluate(Function(lambda _: task.grid[1])) == 0
    assert task.evaluate(Function(lambda _: task.grid[1], 1.01)) == pytest.approx(0.01, rel=1e-10)
    assert task.score == RELATIVE_ERROR


def test_points_are_new_ones_in_every_step_and_half_of_them_near_the_front():
    at = points(4096, 3, 5)
    assert bool(((at > 0) & (at < 1)).all())
    assert torch.equal(at, points(4096, 3, 5))
    assert not any(torch.equal(at, other) for other in (points(4096, 3, 6), points(4096, 5, 3)))
    # uniform ones have the share d below a distance d, those near the front asinh(d / FRONT) / asinh(1 / FRONT)
    for d in (0.01, FRONT, 0.2):
        wanted = (d + math.asinh(d / FRONT) / math.asinh(1 / FRONT)) / 2
        assert float((at[:, 1] < d).double().mean()) == pytest.approx(wanted, abs=0.01)
    assert float(at[:, 0].mean()) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("optimizer", ["adam", "ngd"])
def test_resume_is_bit_exact(tmp_path, optimizer):
    task, models, histories = burgers(**SMALL), [], []
    for lengths, path in (((6,), None), ((4, 6), tmp_path / "run.pt")):
        for steps in lengths:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = task.model()
            history = train(
                task, optimizer, steps, 20, model=model, evaluate_every=0, checkpoint=path, schedule="constant"
            )
        models.append(model)
        histories.append(history)
    assert torch.equal(flat(models[0].parameters()), flat(models[1].parameters()))
    assert histories[0].loss == histories[1].loss
    assert len(set(histories[0].loss)) == 6


def test_natural_gradient_solves_a_wide_front():
    history = train(burgers(**SMALL), "ngd", 25, 150, evaluate_every=0, settings={"damping": 1e-5})
    assert history.final_score < 1e-3


def test_what_does_not_apply_is_said_in_words():
    with pytest.raises(InputError, match=r"batch is None: the task burgers.* draws new points in every step"):
        burgers().closure(nn.Identity(), 0, None, 0)
    for wrong in ({"viscosity": 0.0}, {"viscosity": math.nan}, {"width": 0}, {"layers": 1.5}, {"width": True}):
        with pytest.raises(InputError, match="give"):
            burgers(**wrong)
