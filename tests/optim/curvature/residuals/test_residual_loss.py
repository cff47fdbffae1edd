"""`ResidualLoss`: steps against the dense Gauss-Newton system in float64, as a closure, in micro-batches; what it refuses."""

import itertools
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian, jacrev
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import thermograd as tg
from thermograd.optim import Curvature, evaluate
from thermograd.optim.curvature.residuals import residual_loss

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


@pytest.mark.parametrize("captured", ["beside", "own"])
def test_unknown_coefficients_that_a_residual_captures(captured):
    """A coefficient and a network with a LayerNorm beside the model, or a parameter of the model's own: J from an independent jacrev."""
    model, other = network(2, 6, 1), nn.Sequential(network(2, 4), nn.LayerNorm(4, dtype=F64), network(4, 1, seed=5))
    k = nn.Parameter(numbers(8, 2))
    if captured == "own":
        model.k, model.other = k, other
        model.forward = lambda x: model[2](model[1](model[0](x)))
    params = [*model.parameters(), *([k, *other.parameters()] if captured == "beside" else [])]
    X = numbers(1, 5, 2)

    def r(u, x):
        return (
            k.exp() @ tg.gradient(u, x).squeeze()
            + torch.stack([k[0], k.sum()]).prod()
            + tg.laplacian(lambda z: other(z) * u(z), x)
        )

    def written_out(theta, x):
        values = dict(zip(map(id, params), theta, strict=True))

        def u(z):
            W1, b1, W2, b2 = (values[id(p)] for p in (*model[0].parameters(), *model[2].parameters()))
            return W2 @ torch.tanh(W1 @ z + b1) + b2

        def c(z):
            (A, a), (w, d), (B, e) = ([values[id(p)] for p in part.parameters()] for part in other)
            h = A @ z + a
            return B @ (w * (h - h.mean()) / (h.var(unbiased=False) + 1e-5).sqrt() + d) + e

        (slope,), coefficient = jacrev(u)(x), values[id(k)]
        lap = hessian(lambda z: (c(z) * u(z)).sum())(x).trace()
        return coefficient.exp() @ slope + coefficient[0] * coefficient.sum() + lap

    theta = [p.detach() for p in params]
    J = torch.stack([torch.cat([part.flatten() for part in jacrev(written_out)(theta, x)]) for x in X])
    values = torch.stack([written_out(theta, x) for x in X])
    optimizer = tg.NGD(params, lr=1.0, damping=DAMPING)
    before = parameters_to_vector(params).detach()
    optimizer.step(tg.ResidualLoss(model, r, X))
    found, wanted = parameters_to_vector(params).detach() - before, exact(J.T @ J / 5, J.T @ values / 5)
    assert float((found - wanted).norm()) < 1e-10 * float(wanted.norm())


@pytest.mark.parametrize("channels", [1, 4])
def test_prelu_of_single_samples(channels):
    """torch's own cannot be differentiated in its weight under vmap."""
    model = nn.Sequential(network(2, 4), nn.PReLU(channels, dtype=F64), network(4, 1, seed=3))
    params, X = list(model.parameters()), numbers(1, 5, 2) - 0.5

    def written_out(W, b, slope, V, c, x):
        h = W @ x + b
        gain = torch.where(h < 0, slope, 1.0)
        return (V @ (gain * W.T).T + V @ (gain * h) + c).sum()

    J = torch.stack([torch.cat([p.flatten() for p in jacrev(written_out, tuple(range(5)))(*params, x)]) for x in X])
    r = torch.stack([written_out(*params, x) for x in X]).detach()
    loss = tg.ResidualLoss(model, lambda u, x: (tg.gradient(u, x) + u(x)).sum(), X)
    found = moved(tg.NGD(params, lr=1.0, damping=DAMPING), model, loss)
    torch.testing.assert_close(found, exact(J.T @ J / 5, J.T @ r / 5), rtol=1e-9, atol=1e-12)


def test_products_with_more_rows_than_fit_go_by_the_graph(monkeypatch):
    model = network(2, 6, 6, 1)
    _, C, g = dense(model)
    monkeypatch.setattr(residual_loss, "TOTAL_ENTRIES", 100)
    assert problem(model).linearise(list(model.parameters())) is None
    found, wanted = moved(OPTIMIZERS["cg"](model.parameters()), model, problem(model)), exact(C, g)
    assert float((found - wanted).norm()) < 1e-10 * float(wanted.norm())


def test_as_a_closure_it_is_the_same_loss_with_its_gradient():
    model = network(2, 6, 6, 1)
    value, C, g = dense(model)
    loss, outputs = problem(model)()
    loss.backward()
    assert outputs.shape == (12, 1)
    assert float(loss.detach()) == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(parameters_to_vector([p.grad for p in model.parameters()]), g, rtol=1e-10, atol=1e-12)
    bare = problem(model).loss()
    assert not bare.requires_grad
    assert float(bare) == pytest.approx(value, rel=1e-12)
    with torch.no_grad():
        assert not problem(model)()[1].requires_grad
    by_its_graph = Curvature(evaluate(problem(model)), list(model.parameters()))
    torch.testing.assert_close(by_its_graph.dense(), C, rtol=1e-10, atol=1e-12)


def test_micro_batches_are_one_batch_and_groups_have_their_dampings():
    """Two problems prepared have half the weight each; the second layer has ten times the damping, the bias of the first is frozen."""
    model = network(2, 6, 1)
    model[0].bias.requires_grad_(False)
    params = list(model.parameters())
    groups = [{"params": params[:2]}, {"params": params[2:], "damping": 10 * DAMPING}]
    optimizer = tg.NGD(groups, lr=1.0, damping=DAMPING)
    (_, C, g), (_, C2, g2) = dense(model), dense(model, 4, 3)
    optimizer.prepare(problem(model))
    found = moved(optimizer, model, problem(model, 4, 3))
    live = torch.cat([torch.full((p.numel(),), p.requires_grad) for p in params])
    damping = torch.cat(
        [torch.full((p.numel(),), DAMPING * (10 if i > 1 else 1), dtype=F64) for i, p in enumerate(params)]
    )
    A = ((C + C2) / 2 + damping.diag())[live][:, live]
    wanted = -torch.linalg.solve(A, ((g + g2) / 2)[live])
    assert float((found[live] - wanted).norm()) < 1e-10 * float(wanted.norm())
    assert not found[~live].any()


class Modes(nn.Module):
    """Linear in its parameters: amplitudes of sines."""

    def __init__(self, count):
        super().__init__()
        self.amplitudes = nn.Parameter(torch.zeros(count, dtype=F64))

    def forward(self, x):
        waves = torch.arange(1, len(self.amplitudes) + 1, dtype=F64)
        return torch.sin(torch.pi * x * waves) @ self.amplitudes


@pytest.mark.parametrize(("count", "damping"), [(4, 1e-5), (20, 0.0)])
def test_one_step_of_a_linear_model_lands_at_the_least_squares_solution(count, damping):
    """u'' = f by sines: overdetermined, and underdetermined, where of all solutions it is the one nearest to the start."""
    model, x = Modes(count), numbers(8, 12, 1)

    def equation(m, sample):
        return tg.laplacian(m, sample) + sample.exp().sum()

    def distance(damping):
        with torch.no_grad():
            model.amplitudes.zero_()
        tg.NGD(model.parameters(), lr=1.0, damping=damping).step(tg.ResidualLoss(model, equation, x))
        return float((model.amplitudes.detach() - wanted).norm() / wanted.norm())

    waves = torch.arange(1, count + 1, dtype=F64) * torch.pi
    A = -(waves**2) * torch.sin(x * waves)
    wanted = torch.linalg.lstsq(A, -x.exp(), driver="gelsd").solution.squeeze(1)
    assert distance(damping) < 1e-6
    assert distance(1e4) > 1e-3


class Tied(nn.Module):
    """A layer used twice, its weight a third time in another module, an unknown coefficient, and normalisations with buffers."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.other = nn.Linear(3, 3, bias=False)
        self.other.weight = self.inner.weight
        self.body = nn.Sequential(nn.Linear(2, 3), self.inner, nn.Tanh(), self.inner, nn.LayerNorm(3), self.other)
        self.norm = nn.BatchNorm1d(3).eval()
        self.register_buffer("shift", torch.tensor([0.1, -0.2, 0.3]))
        self.head = nn.Linear(3, 1)
        self.coefficient = nn.Parameter(torch.tensor(0.7))

    def forward(self, x):
        return self.head(self.norm((self.body(x) + self.shift).reshape(-1, 3)).reshape(*x.shape[:-1], 3))


class Written(nn.Module):
    """`Tied` written out, its layer normalisation included."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        m, norm, outer = self.model, self.model.body[4], self.model.norm
        h = m.inner(torch.tanh(m.inner(m.body[0](x))))
        h = h - h.mean()
        h = h / torch.sqrt(h.square().mean() + norm.eps) * norm.weight + norm.bias
        h = m.inner.weight @ h + m.shift
        return m.head((h - outer.running_mean) / torch.sqrt(outer.running_var + outer.eps) * outer.weight + outer.bias)


def tied(seed=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Tied().double()


def inverse(model, sample):
    """A vector: an equation with a coefficient to be found, and the value."""
    x, y = sample["x"], sample["y"]
    return torch.cat([model.coefficient * tg.laplacian(model, x) - model(x) ** 2, model(x) - y])


def test_tied_parameters_a_coefficient_buffers_and_vectors_of_residuals():
    model = tied()
    names, shapes = zip(*((name, p.shape) for name, p in model.named_parameters()), strict=True)
    samples = {"x": numbers(4, 6, 2), "y": numbers(5, 6, 1)}
    found = moved(
        tg.NGD(model.parameters(), lr=1.0, damping=DAMPING), model, tg.ResidualLoss(model, inverse, samples, weight=2.0)
    )
    with torch.no_grad():
        vector_to_parameters(parameters_to_vector(model.parameters()) - found, model.parameters())

    def s(theta):
        parts = theta.split([shape.numel() for shape in shapes])
        values = {k: part.view(shape) for k, part, shape in zip(names, parts, shapes, strict=True)}

        def u(z):
            given = {f"model.{k}": v for k, v in values.items()}
            return functional_call(Written(model), given, (z,), tie_weights=False)

        rows = [
            torch.cat(
                [values["coefficient"] * jacrev(jacrev(u))(x).diagonal(dim1=-2, dim2=-1).sum(-1) - u(x) ** 2, u(x) - y]
            )
            for x, y in zip(samples["x"], samples["y"], strict=True)
        ]
        return torch.cat(rows) * (2.0 / 6) ** 0.5

    theta = parameters_to_vector(model.parameters()).detach()
    J, r = jacrev(s)(theta), s(theta)
    wanted = exact(J.T @ J, J.T @ r)
    assert float((found - wanted).norm()) < 1e-10 * float(wanted.norm())
    assert all(type(p) is nn.Parameter for p in model.parameters())
    loss, outputs = tg.ResidualLoss(model, inverse, samples, weight=2.0)()
    grads = torch.autograd.grad(loss, list(model.parameters()))
    assert outputs.shape == (12, 1)
    torch.testing.assert_close(parameters_to_vector(grads), J.T @ r, rtol=1e-9, atol=1e-11)


def test_the_example_of_the_documentation():
    page = (Path(__file__).parents[4] / "docs" / "residuals.md").read_text(encoding="utf-8")
    section = page.split("## Residuals of differential equations")[1].split("\n## ")[0]
    [example] = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    names = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(example.replace("range(100)", "range(20)"), names)
    x = numbers(9, 100, 2)
    exact_solution = torch.sin(torch.pi * x).prod(1)
    error = names["model"](x)[:, 0].detach() - exact_solution
    assert float(error.norm() / exact_solution.norm()) < 0.5  # (1 at the start)
