"""`ResidualLoss`: steps against the dense Gauss-Newton system in float64, as a closure, in micro-batches; what it refuses."""

import itertools

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian, jacrev
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import thermograd as tg

F64 = torch.float64
DAMPING = 0.03


def numbers(seed, *shape):
    return torch.rand(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def network(*widths, seed=0):
    layers = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b, dtype=F64), nn.Tanh()]
    net = nn.Sequential(*layers[:-1])
    vector_to_parameters(numbers(seed, sum(p.numel() for p in net.parameters())) - 0.5, net.parameters())
    return net


def interior(model, x):
    return tg.laplacian(model, x) - x.prod()


def boundary(model, sample):
    x, y = sample
    return model(x) - y


def problem(model, n=7, m=5):
    return tg.ResidualLoss(model, residual=interior, samples=numbers(1, n, 2)) + tg.ResidualLoss(
        model, residual=boundary, samples=(numbers(2, m, 2), numbers(3, m, 1)), weight=50.0
    )


def dense(model, n=7, m=5):
    """(loss, C, g) by dense differentiation of the written-out sum, sample by sample, with the Laplacian from torch.func.hessian."""
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]
    x, y, u = numbers(1, n, 2), numbers(2, m, 2), numbers(3, m, 1)

    def s(theta):
        parts = theta.split([shape.numel() for shape in shapes])
        values = {k: part.view(shape) for k, part, shape in zip(names, parts, shapes, strict=True)}

        def f(z):
            return functional_call(model, values, (z,))

        inside = [hessian(f)(z).diagonal(dim1=-2, dim2=-1).sum(-1) - z.prod() for z in x]
        outside = [f(z) - value for z, value in zip(y, u, strict=True)]
        return torch.cat([torch.cat(inside) / n**0.5, torch.cat(outside) * (50.0 / m) ** 0.5])

    theta = parameters_to_vector(model.parameters()).detach()
    J, r = jacrev(s)(theta), s(theta)
    return float(r @ r) / 2, J.T @ J, J.T @ r


def moved(optimizer, model, *arguments):
    before = parameters_to_vector(model.parameters()).detach()
    optimizer.step(*arguments)
    return parameters_to_vector(model.parameters()).detach() - before


def exact(C, g, damping=DAMPING):
    return -torch.linalg.solve(C + damping * torch.eye(len(g), dtype=F64), g)


OPTIMIZERS = {
    "ngd": lambda params: tg.NGD(params, lr=1.0, damping=DAMPING),
    "woodbury": lambda params: tg.NGDWoodbury(params, lr=1.0, damping=DAMPING),
    "cg": lambda params: tg.NGDCG(params, lr=1.0, damping=DAMPING, tolerance=1e-13, max_iter=500),
    "dual": lambda params: tg.TNGD(params, lr=1.0, damping=DAMPING, duration=float("inf")),
    "primal": lambda params: tg.TNGD(params, lr=1.0, damping=DAMPING, duration=float("inf"), system="primal"),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_step_is_that_of_the_dense_system(name):
    model = network(2, 6, 6, 1)
    _, C, g = dense(model)
    found = moved(OPTIMIZERS[name](model.parameters()), model, problem(model))
    wanted = exact(C, g)
    assert float((found - wanted).norm()) < 1e-10 * float(wanted.norm())
    assert float((found - exact(C, g, 2 * DAMPING)).norm()) > 0.01 * float(wanted.norm())


def test_as_a_closure_it_is_the_same_loss_with_its_gradient():
    model = network(2, 6, 6, 1)
    value, _, g = dense(model)
    loss, outputs = problem(model)()
    loss.backward()
    assert outputs.shape == (12, 1)
    assert float(loss) == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(parameters_to_vector([p.grad for p in model.parameters()]), g, rtol=1e-10, atol=1e-12)
    bare = problem(model).loss()
    assert not bare.requires_grad
    assert float(bare) == pytest.approx(value, rel=1e-12)
    with torch.no_grad():
        assert not problem(model)()[1].requires_grad
