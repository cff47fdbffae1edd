"""The geodesic acceleration: against dense second derivatives, and the order to which its path keeps to the model."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, jacrev

import thermograd as tg
from thermograd.circuits.errors import InputError
from thermograd.devicemodel.device import Outcome, Solution
from thermograd.optim.optimizers.options.reevaluation import evaluate_again

F64 = torch.float64
DAMPING = 0.02
KINDS = {
    "gram": (tg.NGD, {}),
    "woodbury": (tg.NGDWoodbury, {}),
    "cells": (tg.TNGD, {"duration": math.inf}),
    "parameters": (tg.TNGD, {"duration": math.inf, "system": "primal"}),
}


def flat(parts):
    return torch.cat([part.detach().reshape(-1) for part in parts])


def problem(linear=False):
    torch.manual_seed(0)
    layers = [nn.Linear(2, 2)] if linear else [nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2)]
    model = nn.Sequential(*layers).double()
    x, t, w = torch.randn(7, 2, dtype=F64), torch.randn(7, 2, dtype=F64), 0.5 + torch.rand(7, 1, dtype=F64)

    def closure():
        z = model(x)
        return (w * (z - t).square()).sum() / 2, z

    sizes = [p.numel() for p in model.parameters()]

    def residuals(theta):
        parts = [part.view_as(p) for part, p in zip(theta.split(sizes), model.parameters(), strict=True)]
        names = [name for name, _ in model.named_parameters()]
        return (w.sqrt() * (functional_call(model, dict(zip(names, parts, strict=True)), (x,)) - t)).reshape(-1)

    return model, closure, residuals


def moved(optimizer, model, closure):
    before = flat(model.parameters())
    optimizer.step(closure)
    return flat(model.parameters()) - before


def derivatives(residuals, theta, damping=DAMPING):
    """Step v and acceleration a at theta, dense."""
    J, r = jacrev(residuals)(theta), residuals(theta)
    A = J.T @ J + damping * torch.eye(len(theta), dtype=F64)
    v = -torch.linalg.solve(A, J.T @ r)
    second = jacrev(jacrev(lambda t: residuals(theta + t * v)))(torch.zeros((), dtype=F64))
    return v, -torch.linalg.solve(A, J.T @ second)


@pytest.mark.parametrize("name", KINDS)
def test_it_is_the_second_derivative_along_the_step(name):
    model, closure, residuals = problem()
    v, a = derivatives(residuals, flat(model.parameters()))
    kind, options = KINDS[name]
    optimizer = kind(model.parameters(), lr=0.5, damping=DAMPING, geodesic=100.0, **options)
    found = moved(optimizer, model, closure)
    assert optimizer.last.accelerated
    bend = 8 * (found - 0.5 * v)
    assert (bend - a).norm() < 1e-5 * a.norm()
    assert (0.5 * bend - v).norm() > 0.1 * v.norm()


class Unstable(tg.IdealDevice):
    """Unstable in its first runs, as with a damping that is too small for it; keeps the systems of the others."""

    def __init__(self, runs):
        super().__init__()
        self.runs, self.systems = runs, []

    def solve(self, system, b, duration, x0=None):
        if self.runs > 0:
            self.runs -= 1
            return Solution(torch.full_like(b, math.nan), Outcome.UNSTABLE, 0.0)
        self.systems.append(system)
        return super().solve(system, b, duration, x0=x0)


@pytest.mark.parametrize("system", ["dual", "primal"])
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_device_is_driven_anew_with_the_program_of_the_step(system, retries):
    """With the damping at which the step was read; where it could not be read there is no acceleration."""
    model, closure, residuals = problem()
    device = Unstable(retries)
    optimizer = tg.TNGD(
        model.parameters(),
        1.0,
        DAMPING,
        math.inf,
        device=tg.Refined(device, 4, 1e-9, chopped=False),
        system=system,
        geodesic=100.0,
    )
    v, a = derivatives(residuals, flat(model.parameters()), DAMPING * 4.0**retries)
    found = moved(optimizer, model, closure)
    if retries == 3:
        assert optimizer.last.reading == "gradient"
        assert not optimizer.last.accelerated
        return
    assert (found - v - a / 2).norm() < 1e-5 * a.norm()
    assert optimizer.last.programmings == 1 + retries
    assert all(one is device.systems[0] for one in device.systems)


def test_without_damping_its_path_keeps_to_the_model_to_third_order():
    """Residuals fall as (1 - t) r along it, up to t^3; along the straight step up to t^2."""
    model, closure, residuals = problem()
    theta = flat(model.parameters())

    def errors(**options):
        found = []
        for t in (2e-3, 1e-3):
            nn.utils.vector_to_parameters(theta.clone(), model.parameters())
            tg.NGD(model.parameters(), lr=t, damping=1e-13, **options).step(closure)
            found.append(float((residuals(flat(model.parameters())) - (1 - t) * residuals(theta)).norm()))
        return math.log2(found[0] / found[1])

    assert errors(geodesic=1e6) == pytest.approx(3, abs=0.1)
    assert errors() == pytest.approx(2, abs=0.1)


def test_it_vanishes_where_the_outputs_are_linear_in_the_parameters():
    model, closure, _ = problem(linear=True)
    other, again, _ = problem(linear=True)
    bent = moved(tg.NGD(model.parameters(), damping=DAMPING, geodesic=0.75), model, closure)
    straight = moved(tg.NGD(other.parameters(), damping=DAMPING), other, again)
    torch.testing.assert_close(bent, straight, rtol=1e-6, atol=1e-7)


def test_a_step_that_bends_too_much_is_straight():
    model, closure, _ = problem()
    other, again, _ = problem()
    optimizer = tg.NGD(model.parameters(), lr=1.0, damping=DAMPING, geodesic=1e-3)
    straight = moved(tg.NGD(other.parameters(), lr=1.0, damping=DAMPING), other, again)
    assert torch.equal(moved(optimizer, model, closure), straight)
    assert not optimizer.last.accelerated
    assert optimizer.last.trials == 3


def test_micro_batches_are_one_batch():
    model, closure, _ = problem()
    other, half, _ = problem()
    whole = tg.NGD(model.parameters(), damping=DAMPING, geodesic=10.0, line_search=True, spring=0.5)
    parts = tg.NGD(other.parameters(), damping=DAMPING, geodesic=10.0, line_search=True, spring=0.5)
    for _ in range(2):
        whole.step(closure)
        parts.prepare(half)
        parts.prepare(half)
        parts.step()
    torch.testing.assert_close(flat(other.parameters()), flat(model.parameters()), rtol=1e-7, atol=1e-8)


def test_a_residual_loss_takes_the_steps_of_its_closure():
    """Also below the rounding of the loss, where its change comes from the slopes in the outputs."""
    model, _, _ = problem()
    other, _, _ = problem()
    x, t = torch.randn(7, 2, dtype=F64), torch.randn(7, 2, dtype=F64)
    terms = [
        tg.ResidualLoss(model, lambda net, one: net(one[0]) - one[1], samples=(x[some], t[some]), weight=weight)
        for some, weight in ((slice(0, 4), 3.0), (slice(4, 7), 1.0))
    ]

    def closure():
        r = other(x) - t
        weights = torch.cat([torch.full((4, 1), 3 / 4, dtype=F64), torch.full((3, 1), 1 / 3, dtype=F64)])
        return (weights * r.square()).sum() / 2, r

    options = {"lr": 1.0, "damping": 1e-6, "line_search": True, "geodesic": 0.75}
    ends = []
    for net, batch in ((model, sum(terms)), (other, closure)):
        optimizer = tg.NGD(net.parameters(), **options)
        for _ in range(5):
            optimizer.step(batch)
        ends.append((flat(net.parameters()), optimizer.last.length, optimizer.last.trials))
    torch.testing.assert_close(ends[0][0], ends[1][0], rtol=1e-6, atol=1e-6)
    assert ends[0][1:] == ends[1][1:]
    first = evaluate_again(terms[0])
    (slope,) = torch.autograd.grad(*terms[0]())
    assert torch.allclose(first.slope, slope)


def test_a_resumed_run_is_the_same_to_the_bit():
    model, closure, _ = problem()
    options = {"lr": 1.0, "damping": tg.LevenbergMarquardt(1e-3), "geodesic": 0.75, "line_search": True, "spring": 0.3}
    optimizer = tg.NGD(model.parameters(), **options)
    for _ in range(3):
        optimizer.step(closure)
    theta, state = flat(model.parameters()), copy.deepcopy(optimizer.state_dict())
    ends = []
    for resumed in (optimizer, tg.NGD(model.parameters(), **options)):
        if resumed is not optimizer:
            nn.utils.vector_to_parameters(theta.clone(), model.parameters())
            resumed.load_state_dict(state)
        for _ in range(3):
            resumed.step(closure)
        ends.append(flat(model.parameters()))
    assert torch.equal(*ends)


def test_conjugate_gradients_raise():
    model, closure, _ = problem()
    with pytest.raises(InputError, match=r'k = 14 takes conjugate gradients: give method="gram"'):
        tg.NGD(model.parameters(), method="cg", geodesic=0.75).step(closure)


def test_other_losses_raise():
    model, _, _ = problem()
    x, y = torch.randn(7, 2, dtype=F64), torch.arange(7) % 2

    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    with pytest.raises(InputError, match="geodesic is for squared errors, and the loss is not quadratic"):
        tg.NGD(model.parameters(), geodesic=0.75).step(closure)


@pytest.mark.parametrize(("samples", "routine"), [(7, "linalg.cholesky_ex"), (40, "geqrf")])
def test_step_and_acceleration_share_a_factorisation(samples, routine, monkeypatch):
    """The control is the step without the acceleration; that both solutions are right is tested above."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x, t = torch.randn(samples, 2, dtype=F64), torch.randn(samples, 1, dtype=F64)

    def closure():
        z = model(x)
        return (z - t).square().mean(), z

    calls = 0
    module, _, name = routine.rpartition(".")
    home = getattr(torch, module) if module else torch
    whole = getattr(home, name)

    def counted(*arguments, **options):
        nonlocal calls
        calls += 1
        return whole(*arguments, **options)

    optimizers = [tg.NGD(model.parameters(), damping=DAMPING, geodesic=bound) for bound in (None, 1.0)]
    monkeypatch.setattr(home, name, counted)
    for optimizer in optimizers:
        optimizer.step(closure)
        assert calls == 1
        calls = 0
