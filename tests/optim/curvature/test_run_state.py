"""A closure that is run again as it was: equal losses to the last bit, nothing moved."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from thermograd import NGD, LevenbergMarquardt
from thermograd.optim.curvature.batch import evaluate


class Drawing(nn.Module):
    """Draws of torch, Python and numpy; a buffer that is changed in place, and one that is replaced."""

    def __init__(self):
        super().__init__()
        self.inner, self.drop, self.head = nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, x):
        self.count += 1
        self.mean = 0.5 * self.mean + x.mean()
        noise = random.random() + np.random.random()  # noqa: NPY002
        return self.head(self.drop(torch.tanh(self.inner(x)))) * (1 + noise) + self.count + self.mean


def closure_of(model):
    def closure():
        x = torch.rand(4, 3)  # a batch that is drawn
        z = model(x)
        return z.square().mean(), z

    return closure


def state(model):
    drawn = torch.get_rng_state(), random.getstate(), np.random.get_state()[1:3]  # noqa: NPY002
    return [*(buffer.clone() for buffer in model.buffers()), *drawn]


def same(one, other):
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else str(a) == str(b) for a, b in zip(one, other, strict=True)
    )


def test_again_is_the_same_run():
    torch.manual_seed(0)
    model = Drawing()
    closure = closure_of(model)
    batch = evaluate(closure, repeatable=True)
    before = state(model)
    for _ in range(2):
        assert float(batch.again()[0]) == float(batch.loss)
        assert same(before, state(model))
    batch.loss.backward()  # its graph is still valid
    # the control: the closure alone
    assert abs(float(closure()[0]) / float(batch.loss) - 1) > 1e-3
    assert not same(before, state(model))


@pytest.mark.parametrize("policy", [0.1, LevenbergMarquardt(start=0.1)])
def test_a_step_runs_the_model_once(policy):
    """Buffers and generators after a step are those after one forward pass, whether or not damping is adapted by a further one."""
    found = []
    for step in (True, False):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        model = Drawing()
        if step:
            NGD(model.parameters(), damping=policy).step(closure_of(model))
        else:
            closure_of(model)()
        found.append(state(model))
    assert same(*found)


def test_the_reduction_ratio_is_of_one_function():
    """A quadratic loss behind dropout: its model is exact, so that the ratio is 1 and damping falls; with other masks it is anything."""
    torch.manual_seed(3)
    x, y = torch.randn(6, 8), torch.randn(6, 1)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 1))

    def closure():
        z = model(x)
        return (z - y).square().mean() / 2, z

    optimizer = NGD(model.parameters(), lr=1.0, damping=LevenbergMarquardt(start=1.0))
    for _ in range(4):
        before = optimizer.state_dict()["adapted"]
        optimizer.step(closure)
        assert optimizer.state_dict()["adapted"] < before
