"""Models whose samples are apart in the first step and mixed in the second, with the same shapes: each step against the dense one."""

import pytest
import torch
from torch import nn

import thermograd as tg
from thermograd.optim.curvature import graph_signature
from thermograd.optim.curvature.graph_signature import signature

from .layer_oracle import built, oracle, seeded, squared
from .test_networks import encoder, small_cnn


class Exchange(torch.autograd.Function):
    """A user's own function that reverses the samples where it is told to."""

    @staticmethod
    def forward(ctx, h, mixed):
        ctx.mixed = mixed
        return h.flip(0) if mixed else h.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.flip(0) if ctx.mixed else gradient, None


def reordered(h, mixed):
    return 0.7 * h + 0.3 * h[torch.arange(len(h)).flip(0) if mixed else torch.arange(len(h))]


MIXTURES = {
    "mixup by an order": reordered,
    "mixup with a weight of 1": lambda h, mixed: (0.7 if mixed else 1.0) * h + (0.3 if mixed else 0.0) * h.flip(0),
    "mean": lambda h, mixed: h - (0.5 if mixed else 0.0) * h.mean(0, keepdim=True),
    "sum": lambda h, mixed: h - (0.5 if mixed else 0.0) * h.sum(),
    "similarity": lambda h, mixed: h + (0.5 if mixed else 0.0) * (h @ h.T) @ h,
    "shift": lambda h, mixed: torch.cat([h[:1], h[:-1]]) if mixed else h,
    "selected": lambda h, mixed: torch.stack([h[-i - 1 if mixed else i] for i in range(len(h))]),
    "own function": Exchange.apply,
}


class Mixed(nn.Module):
    def __init__(self, run):
        super().__init__()
        self.first, self.head, self.run, self.mixed = nn.Linear(3, 4), nn.Linear(4, 2), run, False

    def forward(self, x):
        return self.head(torch.tanh(self.run(torch.tanh(self.first(x)), self.mixed)))


def errors(run):
    """Of three steps, the first without mixing, relative to the dense step."""
    model, x = built(1, lambda: Mixed(run)).double(), seeded(2, 4, 3)
    optimizer = tg.NGD(model.parameters(), lr=1.0, damping=0.5)
    parameters, found = list(model.parameters()), []
    for step in range(3):
        model.mixed = step > 0
        dense = oracle(model, x, squared, parameters)
        J = dense.J.flatten(0, 1)
        expected = torch.linalg.solve(J.T @ dense.H @ J + 0.5 * torch.eye(J.shape[1]), J.T @ dense.slope)
        before = nn.utils.parameters_to_vector(parameters).detach().clone()
        optimizer.step(lambda: (lambda z: (squared(z), z))(model(x)))
        taken = before - nn.utils.parameters_to_vector(parameters).detach()
        found.append(float((taken - expected).norm() / expected.norm()))
    return found


@pytest.mark.filterwarnings("ignore:outputs depend on other samples")
@pytest.mark.parametrize("name", MIXTURES)
def test_samples_that_meet_later_are_noticed(name, monkeypatch):
    assert max(errors(MIXTURES[name])) < 1e-9
    monkeypatch.setattr(graph_signature, "_mixes", lambda *args: False)
    if name not in ("shift", "selected"):  # (those show in the operations themselves)
        assert max(errors(MIXTURES[name])) > 1e-3


@pytest.mark.parametrize("build", [small_cnn, lambda: encoder(True)])
def test_usual_networks_are_verified_once(build):
    model = built(1, build).double()
    x = seeded(3, 4, 1, 4, 4) if build is small_cnn else seeded(3, 4, 16)
    one, other = signature(model(x).grad_fn), signature(model(2 * x).grad_fn)
    assert one == other
    assert one.nodes != signature(torch.tanh(model(x)).grad_fn).nodes
    assert not one.mixes
