"""Networks as users of torch build them, in training mode: the step against the dense (C + lambda I)^-1 g in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thermograd import NGD, NGDCG, TNGD, IdealDevice, NGDWoodbury

from ..curvature.layer_oracle import built, oracle, seeded

DAMPING = 0.1


class Encoder(nn.Module):
    """Token and position tables, a default `nn.TransformerEncoder` (dropout 0.1), and a head on the first position."""

    def __init__(self, batch_first):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=batch_first)
        self.tokens, self.places = nn.Embedding(7, 4, padding_idx=0), nn.Parameter(torch.randn(3, 4))
        self.encoder, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(4, 3)
        self.batch_first = batch_first

    def forward(self, x):
        tokens = (x * 3).long().abs() % 7
        tokens[:, 0] = 1
        h = self.tokens(tokens) + self.places
        h = self.encoder(h if self.batch_first else h.transpose(0, 1), src_key_padding_mask=tokens == 0)
        return self.head(h[:, 0] if self.batch_first else h[0])


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 2), nn.GroupNorm(2, 4), nn.ReLU(inplace=True), nn.Dropout2d(0.3),
        nn.Conv2d(4, 4, 2, groups=2), nn.InstanceNorm2d(4, affine=True), nn.PReLU(4), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(16, 3),
    )  # fmt: skip


def recurrent():
    class Last(nn.Module):
        def forward(self, found):
            return found[0][:, -1]

    return nn.Sequential(nn.LSTM(2, 3, 2, batch_first=True, dropout=0.2), Last(), nn.Linear(3, 3))


MODELS = {
    "cnn": (cnn, (1, 4, 4), 0),
    "encoder": (lambda: Encoder(True), (3,), 1),
    "encoder, positions first": (lambda: Encoder(False), (3,), 1),
    "recurrent": (recurrent, (3, 2), 0),
}
OPTIMIZERS = {
    "NGD": lambda p: NGD(p, lr=1.0, damping=DAMPING),
    "NGDCG": lambda p: NGDCG(p, lr=1.0, damping=DAMPING, tolerance=1e-9, max_iter=500),
    "NGDWoodbury": lambda p: NGDWoodbury(p, lr=1.0, damping=DAMPING),
    "TNGD": lambda p: TNGD(p, lr=1.0, damping=DAMPING, duration=math.inf, device=IdealDevice()),
}


def loss_of(z):
    return F.cross_entropy(z.view(-1, 3), torch.arange(z.numel() // 3) % 3)


def dense_step(model, x, seed):
    def run(x):
        torch.manual_seed(seed)
        return model(x)

    found = oracle(run, x, loss_of, list(model.parameters()))
    J = found.J.flatten(0, 1)
    A = J.T @ found.H @ J + DAMPING * torch.eye(J.shape[1], dtype=J.dtype)
    return torch.linalg.solve(A, J.T @ found.slope.detach())


def flat(values):
    return torch.cat([part.detach().reshape(-1) for part in values])


@pytest.mark.filterwarnings("ignore:.*no layer with a direct form")
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_steps_in_training_mode(name, kind):
    build, shape, fallbacks = MODELS[name]
    model, x = built(1, build).double(), seeded(1, 3, *shape)
    expected, control = (dense_step(model, x, seed) for seed in (0, 1))
    before = flat(model.parameters())
    optimizer = OPTIMIZERS[kind](model.parameters())

    def closure():
        torch.manual_seed(0)
        z = model(x)
        return loss_of(z), z

    optimizer.step(closure)
    step = before - flat(model.parameters())
    assert (step - expected).norm() < 1e-6 * expected.norm()
    assert (step - control).norm() > 1e-3 * expected.norm()  # another draw of dropout
    assert len(optimizer.last.fallbacks) == (0 if kind == "NGDCG" else fallbacks)
