"""Products with C of models that torch cannot differentiate twice, against the dense step from rows of the Jacobian."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thermograd as tg
from thermograd.circuits.errors import InputError

from .layer_oracle import built, oracle, seeded, softmax, squared


class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.project, self.head = nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x):
        q, k, v = self.project(x).unsqueeze(1).chunk(3, dim=-1)
        return self.head(F.scaled_dot_product_attention(q, k, v).mean((1, 2)))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.layer(x).mean(1))


def bag():
    return nn.Sequential(nn.EmbeddingBag(5, 4, mode="mean"), nn.Tanh(), nn.Linear(4, 3))


def counted():
    """Its gradients are divided by how often a row occurs, which its second derivatives are not."""
    return nn.Sequential(nn.Embedding(5, 4, scale_grad_by_freq=True), nn.Flatten(), nn.Tanh(), nn.Linear(8, 3))


MODELS = {
    "fused attention": (Fused, lambda: seeded(1, 3, 4, 4)),
    "encoder": (Encoder, lambda: seeded(1, 3, 4, 4)),
    "bag": (bag, lambda: torch.tensor([[0, 1], [2, 2], [3, 4]])),
    "counted": (counted, lambda: torch.tensor([[0, 1], [2, 2], [2, 4]])),
}


def dense_step(model, x, loss_of, damping):
    parameters = list(model.parameters())
    found = oracle(model, x, loss_of, parameters)
    J = found.J.flatten(0, 1)
    return torch.linalg.solve(J.T @ found.H @ J + damping * torch.eye(J.shape[1]), J.T @ found.slope)


def step_of(optimizer, model, x, loss_of):
    before = torch.cat([p.detach().clone().reshape(-1) for p in model.parameters()])
    optimizer.step(lambda: (lambda z: (loss_of(z), z))(model(x)))
    return before - torch.cat([p.detach().reshape(-1) for p in model.parameters()])


@pytest.mark.parametrize("loss", [squared, softmax])
@pytest.mark.parametrize("name", MODELS)
def test_cg_takes_rows_where_the_model_cannot_be_differentiated_twice(name, loss):
    build, inputs = MODELS[name]
    model, x = built(1, build).double(), inputs()
    expected = dense_step(model, x, loss, 0.05)
    optimizer = tg.NGDCG(
        model.parameters(), lr=1.0, damping=tg.LevenbergMarquardt(start=0.05), tolerance=1e-12, max_iter=500
    )
    with pytest.warns(UserWarning, match="cannot be differentiated twice"):
        found = step_of(optimizer, model, x, loss)
    assert float((found - expected).norm()) < 1e-8 * float(expected.norm())


@pytest.mark.parametrize("kind", [tg.NGD, tg.NGDCG])
def test_gradients_may_be_sparse(kind):
    words = torch.tensor([[0, 1], [2, 2], [2, 4]])
    steps = []
    for sparse in (False, True):
        model = built(
            1, lambda s=sparse: nn.Sequential(nn.Embedding(5, 4, sparse=s), nn.Flatten(), nn.Linear(8, 3))
        ).double()
        steps.append(step_of(kind(model.parameters(), lr=1.0, damping=0.1), model, words, softmax))
    assert torch.allclose(*steps, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["fused attention", "encoder", "bag"])
def test_the_hessian_says_what_it_needs(name):
    build, inputs = MODELS[name]
    model, x = built(1, build).double(), inputs()
    with pytest.raises(InputError, match="cannot be differentiated twice"):
        step_of(tg.NGDCG(model.parameters(), curvature="hessian"), model, x, squared)


def test_a_loss_without_curvature_gives_the_gradient_over_the_damping():
    model, x = built(1, lambda: nn.Linear(2, 2)).double(), seeded(1, 3, 2)
    optimizer = tg.NGDCG(model.parameters(), lr=1.0, damping=0.5, tolerance=1e-12)
    found = step_of(optimizer, model, x, lambda z: z.sum())
    expected = torch.cat([x.sum(0).repeat(2), torch.full((2,), 3.0, dtype=torch.float64)]) / 0.5
    assert torch.allclose(found, expected, rtol=1e-12)


def test_negative_curvature_is_an_error_in_words():
    """(tanh z - y)^2 far from y curves down; the Gauss-Newton matrix is indefinite. With the Hessian it is the user's choice."""
    model, x = built(1, lambda: nn.Linear(2, 1)).double(), seeded(1, 3, 2)
    with pytest.raises(InputError, match="not convex in the outputs"):
        step_of(
            tg.NGDCG(model.parameters(), damping=1e-3), model, x, lambda z: 10 * (torch.tanh(z + 1) + 2).square().sum()
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step_of(tg.NGDCG(model.parameters(), damping=1e-3, curvature="hessian"), model, x, lambda z: -z.square().sum())
