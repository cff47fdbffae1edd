"""What a `ResidualLoss` and an optimizer of it reject, each in words that say what to do."""

import random

import numpy as np
import pytest
import torch
from torch import nn

import thermograd as tg
from thermograd.circuits.errors import InputError

F64 = torch.float64
X = torch.linspace(-1, 1, 8, dtype=F64).reshape(4, 2)


def linear(*, beside=None):
    return nn.Sequential(nn.Linear(2, 3), *([beside] if beside else []), nn.Linear(3, 1)).double()


def value(model, x):
    return model(x)


def step(model, residual, samples=X, make=tg.NGD, **options):
    return make(model.parameters(), **options).step(tg.ResidualLoss(model, residual, samples))


def by_autograd(model, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(model(x).sum(), x)[0]


WRONG = {
    "takes a batch": (
        lambda m, x: m(x)[:, 0],
        r"residual <lambda> failed on one sample, a tensor of shape \(2,\).*ONE",
    ),
    "takes other arguments": (lambda m: m(X), "failed on one sample.*ONE sample"),
    "returns no tensor": (lambda m, x: (m(x), m(x)), "returned a tuple for one sample: return a scalar or vector"),
    "returns nothing": (lambda m, x: None, "returned a NoneType"),
    "returns whole numbers": (lambda m, x: (m(x) > 0).long(), r"returned \(1,\) torch.int64"),
    "returns no entries": (lambda m, x: m(x)[:0], r"returned \(0,\)"),
    "branches on values": (lambda m, x: m(x) if x[0] > 0 else -m(x), "torch.func.vmap.*no `if` on values"),
    "reads a value": (lambda m, x: m(x) * x[0].item(), r"torch.func.vmap.*no .item\(\)"),
    "draws": (lambda m, x: m(x + torch.rand(2)), "draws random numbers.*give them as part of the samples"),
    "draws by Python": (lambda m, x: m(x) * random.random(), "draws random numbers"),
    "draws by numpy": (lambda m, x: m(x) * np.random.rand(), "draws random numbers"),  # noqa: NPY002
}


@pytest.mark.parametrize("name", WRONG)
def test_a_residual_that_is_none_is_told_what_it_must_be(name):
    residual, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        step(linear(), residual)
    with pytest.raises(InputError, match=message):
        tg.ResidualLoss(linear(), residual, X)()


def test_the_shapes_of_a_tuple_are_named():
    with pytest.raises(InputError, match=r"a tuple of a tensor of shape \(2,\), a tensor of shape \(\)"):
        step(linear(), lambda m, s: m(s[2]), (X, X[:, 0]))


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        (nn.BatchNorm1d(3), "statistics from the batch.*eval"),
        (nn.BatchNorm1d(3, track_running_stats=False).eval(), "statistics from the batch"),
        (nn.Dropout(0.5), "Dropout is active.*eval"),
    ],
)
def test_modules_that_couple_or_draw_are_named(beside, message):
    with pytest.raises(InputError, match=message):
        step(linear(beside=beside), value)


def test_samples_of_another_type_are_told_so():
    with pytest.raises(InputError, match="samples of the same floating-point type as the model's parameters"):
        step(linear(), value, X.float())


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 1).double()
        self.register_buffer("count", torch.zeros((), dtype=F64))

    def forward(self, x):
        self.count += 1
        return self.inner(x) * self.count


def test_a_model_that_changes_its_buffers_is_rejected_and_left_as_it_was():
    model = Counting()
    for act in (lambda: step(model, value), tg.ResidualLoss(model, value, X)):
        with pytest.raises(InputError, match="changes a buffer of the model"):
            act()
        assert float(model.count) == 0
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(2, 1).double())
    before = [one.clone() for one in normed.buffers()]
    with pytest.raises(InputError, match="changes a buffer of the model"):
        step(normed, value)
    assert all(torch.equal(one, was) for one, was in zip(normed.buffers(), before, strict=True))
    step(normed.eval(), value)


def test_what_was_computed_from_a_parameter_before_is_named():
    model, other = linear(), nn.Parameter(torch.tensor(0.3, dtype=F64))
    before = other.exp()
    both = tg.NGD([*model.parameters(), other])
    for graph in (True, False):
        with torch.set_grad_enabled(graph), pytest.raises(InputError, match="compute that inside the residual"):
            both.step(tg.ResidualLoss(model, lambda m, x: m(x) * before, X))
    both.step(tg.ResidualLoss(model, value, X))  # the parameter has no part in it
    assert float(other.detach()) == pytest.approx(0.3)
    with pytest.raises(InputError, match="of another model"):
        tg.NGD(linear().parameters()).step(tg.ResidualLoss(model, value, X))


@pytest.mark.parametrize(
    "make", [tg.KFAC, lambda p: tg.TNGD(p, system="kronecker"), lambda p: tg.TNGD(p, system="kfac")]
)
def test_what_needs_layers_is_rejected(make):
    with pytest.raises(InputError, match=r"no inputs and sensitivities of layers.*use NGD"):
        step(linear(), value, make=make)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": lambda x: x}, "model is a function: give a torch.nn.Module"),
        ({"residual": 3}, "residual is 3"),
        ({"weight": 0.0}, "weight is 0.0: give a finite number > 0"),
        ({"weight": float("nan")}, "weight is nan"),
        ({"samples": 1.0}, "samples are not tensors"),
        ({"samples": torch.tensor(1.0)}, "samples are not tensors"),
        ({"samples": (X, X[:3])}, "same first dimension"),
        ({"samples": X[:0]}, "b >= 1"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        tg.ResidualLoss(**{"model": linear(), "residual": value, "samples": X, **arguments})


def test_what_is_added_is_a_loss_of_residuals():
    loss = tg.ResidualLoss(linear(), value, X)
    with pytest.raises(TypeError):
        loss + 1
    assert len(sum([loss, loss, loss]).terms) == 3


def test_a_residual_that_is_not_finite_skips_the_step():
    model = linear()
    optimizer = tg.NGD(model.parameters())
    optimizer.step(tg.ResidualLoss(model, lambda m, x: m(x) * float("inf"), X))
    assert optimizer.last.outcome is tg.Outcome.NOT_FINITE
