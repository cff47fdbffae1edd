"""The loss's Hessian as a product: against dense automatic differentiation, and said to be indefinite where it is."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, hessian

from thermograd.circuits.errors import InputError
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature
from thermograd.optim.optimizers.ngd import NGD, NGDCG

from ..joined_batch import flat


def problem(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv1d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)).double()
    return model, torch.randn(6, 1, 5, dtype=torch.float64), torch.arange(6) % 3


def dense_hessian(model, x, y, penalty=0.0):
    names, shapes = zip(*((name, p.shape) for name, p in model.named_parameters()), strict=True)
    sizes = [shape.numel() for shape in shapes]

    def loss(theta):
        parts = [part.view(shape) for part, shape in zip(theta.split(sizes), shapes, strict=True)]
        return (
            F.cross_entropy(functional_call(model, dict(zip(names, parts, strict=True)), (x,)), y)
            + penalty * theta.square().sum()
        )

    return hessian(loss)(flat(model.parameters()))


def product(model, x, y, v, penalty=0.0):
    def closure():
        z = model(x)
        return F.cross_entropy(z, y) + penalty * sum(p.square().sum() for p in model.parameters()), z

    found = Curvature(evaluate(closure), list(model.parameters()), "hessian")
    parts = v.split([p.numel() for p in model.parameters()])
    return flat(found.product([part.view_as(p) for part, p in zip(parts, model.parameters(), strict=True)]))


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_product_is_the_dense_matrix_on_a_vector(penalty):
    """A penalty in the loss counts, too: nothing here goes through the outputs."""
    model, x, y = problem()
    v = torch.randn(sum(p.numel() for p in model.parameters()), dtype=torch.float64)
    H = dense_hessian(model, x, y, penalty)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = product(model, x, y, v, penalty)
    torch.testing.assert_close(found, H @ v)
    assert float((found - dense_hessian(model, x, y, penalty + 0.1) @ v).norm()) > 0.1 * float(found.norm())


def test_a_direction_of_negative_curvature_is_told_once():
    model, x, y = problem()
    w, V = torch.linalg.eigh(dense_hessian(model, x, y))
    assert w[0] < 0 < w[-1]
    with pytest.warns(UserWarning, match="not positive semi-definite.*raise damping"):
        product(model, x, y, V[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        product(model, x, y, V[:, -1])


def test_conjugate_gradients_take_it_and_factored_solutions_do_not():
    model, x, y = problem()
    H, theta = dense_hessian(model, x, y), flat(model.parameters())
    damping = 2 * float(torch.linalg.eigvalsh(H).abs().max())

    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    (g,) = (flat(torch.autograd.grad(closure()[0], list(model.parameters()))),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        NGDCG(model.parameters(), lr=1.0, damping=damping, tolerance=1e-12, max_iter=200, curvature="hessian").step(
            closure
        )
    expected = -torch.linalg.solve(H + damping * torch.eye(len(g), dtype=torch.float64), g)
    torch.testing.assert_close(flat(model.parameters()) - theta, expected, rtol=1e-8, atol=1e-12)
    with pytest.raises(InputError, match="use NGDCG"):
        NGD(model.parameters(), curvature="hessian").step(closure)
