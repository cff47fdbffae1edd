"""Steps of models with fewer parameters than rows, by a factorisation of M, against singular values in closed form and the Gram matrix."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thermograd as tg
from thermograd.circuits.errors import InputError

F64 = torch.float64


def numbers(seed, *shape):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def step(model, x, loss_of, **options):
    """-x of a step, flat."""
    before = nn.utils.parameters_to_vector(model.parameters()).detach()

    def closure():
        z = model(x)
        return loss_of(z), z

    tg.NGD(model.parameters(), lr=1.0, **options).step(closure)
    moved = nn.utils.parameters_to_vector(model.parameters()).detach() - before
    with torch.no_grad():
        nn.utils.vector_to_parameters(before, model.parameters())
    return moved


@pytest.mark.parametrize("damping", [0.0, 1e-13, 1e-3])
def test_steps_are_right_where_the_gram_matrix_has_no_digits_left(damping):
    """M has singular values from 1 to 1e-7, so that those of K reach 1e-14."""
    n, k = 6, 30
    U, V = (torch.linalg.qr(numbers(seed, size, n)).Q for seed, size in ((0, k), (1, n)))
    sigma = torch.logspace(0, -7, n, dtype=F64)
    model, y = nn.Linear(n, 1, bias=False, dtype=F64), numbers(2, k, 1)
    X = (U * sigma) @ V.mT * (k / 2) ** 0.5
    with torch.no_grad():
        model.weight.zero_()
    wanted = V @ (sigma / (sigma**2 + damping) * (U.mT @ y.squeeze(1))) * (2 / k) ** 0.5
    found = step(model, X, lambda z: F.mse_loss(z, y), damping=damping)
    assert float((found - wanted).norm()) < 1e-8 * float(wanted.norm())
    if damping == 1e-13:
        by_gram = step(model, X, lambda z: F.mse_loss(z, y), damping=damping, method="gram")
        assert float((by_gram - wanted).norm()) > 1e-5 * float(wanted.norm())


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("loss_of", ["classes", "outliers"])
def test_both_ways_take_the_same_step(dtype, loss_of):
    """Convolutions, frozen and unused parameters; the remainder of outliers' slopes."""
    model = nn.Sequential(nn.Conv1d(1, 1, 3), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3))
    with torch.no_grad():
        nn.utils.vector_to_parameters(0.5 * numbers(3, 31).float(), model.parameters())
    model[4].bias.requires_grad_(False)
    model.unused = nn.Parameter(torch.ones(2))
    model.to(dtype)
    x, y = numbers(4, 40, 1, 6).to(dtype), torch.arange(40) % 3
    loss = {
        "classes": lambda z: F.cross_entropy(z[:, 0], y),
        "outliers": lambda z: F.huber_loss(z[:, 0], 2 * F.one_hot(y).to(dtype)),
    }[loss_of]

    def forward(x):
        return nn.Sequential.forward(model, x)

    found, by_gram = (step(model, x, loss, damping=0.05, method=method) for method in ("auto", "gram"))
    assert float((found - by_gram).norm()) < (1e-11 if dtype == F64 else 3e-5) * float(by_gram.norm())
    assert not found[:2].any()
    assert found[2:30].abs().min() > 0


def test_a_singular_curvature_without_damping_is_an_error():
    model = nn.Linear(3, 1, dtype=F64)
    x = numbers(5, 12, 3)
    x[:, 2] = x[:, 1]
    with pytest.raises(InputError, match="singular"):
        step(model, x, lambda z: z.square().mean(), damping=0.0)
