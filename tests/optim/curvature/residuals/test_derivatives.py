"""Derivatives of networks in their inputs against dense reverse-mode derivatives, with values and models of several kinds."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, jacrev

import thermograd as tg
from thermograd.circuits.errors import InputError
from thermograd.optim.curvature.residuals import derivatives
from thermograd.optim.curvature.residuals.written_out import WrittenOut

F64 = torch.float64
ACTIVATIONS = [
    *(nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.Softplus(2.0), nn.Mish(), nn.ELU(0.7)),
    *(nn.Tanhshrink(), nn.LayerNorm(4)),
]


class NoRules:
    def __init__(self, *_):
        raise TypeError


class Norm(nn.LayerNorm):
    """Written out: in torch 2.13 the third derivative of `layer_norm` by reverse mode is wrong."""

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + self.eps) * self.weight + self.bias


class Gated(nn.Module):
    """Fourier features, gates, a quotient, and a factor that is zero on the boundary."""

    def __init__(self, outputs):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(3, 4), nn.Linear(6, 4), nn.Linear(4, outputs)
        self.register_buffer("frequencies", torch.randn(3, 3))

    def forward(self, x):
        z = x @ self.frequencies
        a = torch.sigmoid(self.first(x))
        b = F.gelu(self.second(torch.cat([torch.sin(z), z.cos()], dim=-1)))
        y = self.last(a * b + (1 - a) * torch.tanh(b) / (2 + b**2))
        return y * x[..., :1] * (1 - x[..., 1:2]) - 0.3 * x.sum(-1, keepdim=True)


class Asking(nn.Module):
    """Takes another way for what is no tensor."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, x):
        if not torch.is_tensor(x):
            x = torch.stack([2 * one for one in x], dim=-1)
        return torch.tanh(self.inner(x))


class Scalar(nn.Module):
    """A value without a dimension, by stacking and unbinding."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 4)

    def forward(self, x):
        a, b, c = x.unbind(-1)
        y = self.inner(torch.stack([a * b, torch.exp(-c), c - 1.5 / (2.0 + a)], dim=-1))
        return torch.sqrt(1 + y.square().sum(-1))


def made(build, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().double()


def sequential(activation, outputs=2):
    return nn.Sequential(
        *(nn.Linear(3, 4), activation, nn.Linear(4, 4), copy.deepcopy(activation), nn.Linear(4, outputs))
    )


MODELS = [*(lambda a=a: sequential(a) for a in ACTIVATIONS), lambda: Gated(2), Scalar, Asking, lambda: nn.Linear(3, 2)]


def dense(model, x):
    """(u, du/dx, d2u/dx2), by reverse over reverse mode."""
    return model(x), jacrev(model)(x), jacrev(jacrev(model))(x)


def close(found, wanted, size=1.0):
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-13 * size)


@pytest.mark.parametrize("build", MODELS)
@pytest.mark.parametrize("general", [False, True])
def test_value_gradient_and_laplacian_are_those_of_the_dense_hessian(build, general, monkeypatch):
    if general:
        monkeypatch.setattr(derivatives, "Taylor", NoRules)
    model = made(build)
    x, weights, v = torch.tensor([[0.3, -0.7, 0.5], [1.0, -2.0, 0.5], [0.4, 0.1, -1.1]], dtype=F64)
    u, J, H = dense(model, x)
    diagonal = H.diagonal(dim1=-2, dim2=-1)
    found = tg.value_gradient_laplacian(model, x, weights)
    close(found.value, u)
    close(found.gradient, J)
    close(found.laplacian, (weights * diagonal).sum(-1))
    close(tg.laplacian(model, x), diagonal.sum(-1))
    close(tg.laplacian(model, x, weights=(0, 0, 2)), 2 * diagonal[..., 2])
    close(tg.gradient(model, x), J)
    close(tg.second_derivative(model, x, v), torch.einsum("...ij,i,j->...", H, v, v))
    assert float((tg.laplacian(model, x) - found.laplacian).abs().max()) > 1e-3 or isinstance(model, nn.Linear)
    batch = torch.stack([x, v, weights])
    for part, each in zip(
        tg.value_gradient_laplacian(model, batch),
        zip(*(tg.value_gradient_laplacian(model, y) for y in batch), strict=True),
        strict=True,
    ):
        close(part, torch.stack(each))


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.LayerNorm(4), nn.Hardswish()])
@pytest.mark.parametrize("general", [False, True])
def test_a_laplacian_is_differentiated_in_the_parameters(activation, general, monkeypatch):
    """The oracle is reverse mode thrice."""
    if general:
        monkeypatch.setattr(derivatives, "Taylor", NoRules)
    model, x = made(lambda: sequential(activation)), torch.tensor([0.3, -0.7, 0.5], dtype=F64)
    twin = made(lambda: sequential(Norm(4) if isinstance(activation, nn.LayerNorm) else activation))
    values = {name: p.detach() for name, p in model.named_parameters()}

    def laplacian_of(theta):
        return tg.laplacian(lambda z: functional_call(model, theta, (z,)), x)

    def written_out(theta):
        H = jacrev(jacrev(lambda z: functional_call(twin, theta, (z,))))(x)
        return H.diagonal(dim1=-2, dim2=-1).sum(-1)

    found, wanted = jacrev(laplacian_of)(values), jacrev(written_out)(values)
    for name in values:
        close(found[name], wanted[name], size=10)


def test_torchs_own_layer_norm_has_a_wrong_third_derivative():
    """If this fails, torch has mended it, and `layer_norm.py` can go."""
    model, twin = (made(lambda norm=norm: sequential(norm)) for norm in (nn.LayerNorm(4), Norm(4)))
    x = torch.tensor([0.3, -0.7, 0.5], dtype=F64)
    third, wanted = (jacrev(jacrev(jacrev(one)))(x) for one in (model, twin))
    assert float((third - wanted).abs().max()) > 0.01 * float(wanted.abs().max())
    with WrittenOut():
        close(jacrev(jacrev(jacrev(model)))(x), wanted, size=10)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.data())
def test_any_composition_of_rules(data):
    """Random expressions of products, sums, quotients, powers and activations."""
    count = data.draw(st.integers(1, 6))
    steps = data.draw(
        st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9), st.integers(0, 9)), min_size=count, max_size=count)
    )
    scale = torch.tensor([0.7, -0.4], dtype=F64)

    def u(x):
        parts = [x, x[..., :1] - 0.2]
        for kind, i, j in steps:
            a, b = parts[i % len(parts)], parts[j % len(parts)]
            parts.append(
                (
                    a * b,
                    a + b,
                    scale - a,
                    a * scale,
                    torch.sin(a),
                    torch.tanh(a) ** 3,
                    b / (1.5 + torch.tanh(a)),
                    torch.cat([a, b], -1).mean(-1, True),
                )[kind]
            )
        return parts[-1]

    x = torch.tensor([0.3, -0.6], dtype=F64)
    value, J, H = dense(u, x)
    found = tg.value_gradient_laplacian(u, x)
    close(found.value, value)
    close(found.gradient, J, size=100)
    close(found.laplacian, H.diagonal(dim1=-2, dim2=-1).sum(-1), size=1000)


def test_a_direction_may_be_numbers():
    x = torch.tensor([0.3, -0.6], dtype=F64)
    close(tg.second_derivative(lambda z: z[0] ** 3 * z[1], x, (1, 0)), 6 * x[0] * x[1])


def test_shapes_that_do_not_fit_are_errors():
    model = made(lambda: nn.Linear(3, 1))
    x = torch.zeros(3, dtype=F64)
    with pytest.raises(InputError, match="one for each coordinate"):
        tg.laplacian(model, x, weights=torch.ones(2, dtype=F64))
    with pytest.raises(InputError, match=r"direction is of shape \(2,\): give \(3,\)"):
        tg.second_derivative(model, x, torch.ones(2, dtype=F64))
    with pytest.raises(InputError, match=r"direction is 0: give d numbers, such as \(1, 0\)"):
        tg.second_derivative(model, x, 0)
    for wrong in (1.0, torch.tensor([1, 2, 3])):
        with pytest.raises(InputError, match="give a floating-point tensor"):
            tg.laplacian(model, wrong)
    with pytest.raises(InputError, match="scalar"):
        tg.laplacian(model, torch.tensor(0.5, dtype=F64))
    with pytest.raises(RuntimeError, match="multiplied"):
        tg.laplacian(model, torch.zeros(2, dtype=F64))
