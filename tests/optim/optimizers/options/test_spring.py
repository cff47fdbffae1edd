"""SPRING's momentum against its definition, the dense least-squares problem in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thermograd as tg

from ...oracle import dense_ggn, flat

F64 = torch.float64
RATE, DAMPING, MU = 0.3, 0.05, 0.8
KINDS = {
    "gram": (tg.NGD, {}),
    "cg": (tg.NGDCG, {"tolerance": 1e-13, "max_iter": 300}),
    "woodbury": (tg.NGDWoodbury, {}),
    "cells": (tg.TNGD, {"duration": math.inf}),
    "parameters": (tg.TNGD, {"duration": math.inf, "system": "primal"}),
    "drawn labels": (tg.NGD, {"curvature": "mc-fisher", "mc_samples": 3}),
}


def problem():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    return model, [(torch.randn(6, 4, dtype=F64), torch.randint(3, (6,))) for _ in range(3)]


def step(optimizer, model, x, y):
    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    before = flat(model.parameters())
    optimizer.step(closure)
    return (before - flat(model.parameters())) / RATE


@pytest.mark.parametrize("name", [name for name in KINDS if name != "drawn labels"])
@pytest.mark.parametrize("dampings", [(DAMPING, DAMPING), (DAMPING, 0.3)])
def test_directions_solve_the_least_squares_problem(name, dampings):
    """(C + Lambda)^-1 (g + mu Lambda phi): what the argument of the minimum satisfies; heavy-ball momentum is another (the control)."""
    model, batches = problem()
    kind, options = KINDS[name]
    groups = [
        {"params": part.parameters(), "damping": damping} for part, damping in zip(model[::2], dampings, strict=True)
    ]
    optimizer = kind(groups, lr=RATE, spring=MU, **options)
    Lambda = torch.cat(
        [
            torch.full((sum(p.numel() for p in part.parameters()),), d, dtype=F64)
            for part, d in zip(model[::2], dampings, strict=True)
        ]
    )
    phi = heavy = torch.zeros_like(Lambda)
    for x, y in batches:
        C, g = dense_ggn(model, x, lambda z, y=y: F.cross_entropy(z, y))
        A = C + Lambda.diag()
        phi = torch.linalg.solve(A, g + MU * Lambda * phi)
        heavy = torch.linalg.solve(A, g) + MU * heavy
        torch.testing.assert_close(step(optimizer, model, x, y), phi, rtol=1e-8, atol=1e-9)
    assert (heavy - phi).norm() > 0.1 * phi.norm()


def test_without_momentum_it_is_the_natural_gradient_to_the_bit():
    (model, batches), (other, _) = problem(), problem()
    first, second = tg.NGD(model.parameters(), spring=0.0), tg.NGD(other.parameters())
    for x, y in batches:
        assert torch.equal(step(first, model, x, y), step(second, other, x, y))
    assert not first.state_dict()["state"]


def test_drawn_labels_whose_gradient_is_out_of_range():
    """x - mu phi solves with g - mu C phi, by the rows of the labels that were drawn in this very step."""
    model, batches = problem()
    kind, options = KINDS["drawn labels"]
    optimizer = kind(model.parameters(), lr=RATE, damping=DAMPING, spring=MU, seed=3, **options)
    phi = step(optimizer, model, *batches[0])
    x, y = batches[1]
    drawn = torch.Generator()
    drawn.set_state(optimizer.state_dict()["generator"])
    from thermograd.optim import Curvature, evaluate

    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    C = Curvature(evaluate(closure), list(model.parameters()), "mc-fisher", 3, drawn)
    A, g = C.dense(), flat(C.gradient())
    expected = torch.linalg.solve(A + DAMPING * torch.eye(len(A), dtype=F64), g + MU * DAMPING * phi)
    torch.testing.assert_close(step(optimizer, model, x, y), expected, rtol=1e-7, atol=1e-9)
