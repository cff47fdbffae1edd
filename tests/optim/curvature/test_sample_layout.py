"""Samples in other than the first dimension, and products that are no module's, against rows of the Jacobian."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thermograd.optim.curvature import assignment
from thermograd.optim.curvature.assignment import Structure
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature
from thermograd.optim.optimizers.ngd import NGD

from .layer_oracle import F64, built, check, seeded, softmax, squared


class SequenceFirst(nn.Module):
    """Token and position tables, a normalisation, a product and PReLU on (T, b, ...); the output is of one position, or of all."""

    def __init__(self, last):
        super().__init__()
        self.table, self.norm, self.inner, self.bend, self.head = (
            nn.Embedding(7, 4, padding_idx=1), nn.LayerNorm(4), nn.Linear(4, 5), nn.PReLU(), nn.Linear(5, 3)
        )  # fmt: skip
        self.last = last

    def forward(self, tokens):
        h = self.bend(self.inner(self.norm(self.table(tokens.T))))
        return self.head(h[0] if self.last else h.sum(0))


@pytest.mark.parametrize("b", [1, 2, 3, 4])
@pytest.mark.parametrize("last", [False, True])
def test_sequence_first(b, last):
    """Three positions; in a batch of three, only the passes tell them from samples."""
    tokens = torch.randint(7, (b, 3), generator=torch.Generator().manual_seed(b))
    check(built(1, lambda: SequenceFirst(last)), tokens, softmax)


class Folded(nn.Module):
    """Samples and positions as one dimension, in either order."""

    def __init__(self, batch_major):
        super().__init__()
        self.inner, self.norm, self.head, self.batch_major = (
            nn.Linear(2, 4),
            nn.LayerNorm(4),
            nn.Linear(4, 2),
            batch_major,
        )

    def forward(self, x):
        b, T = x.shape[:2]
        rows = x.flatten(0, 1) if self.batch_major else x.transpose(0, 1).flatten(0, 1)
        h = torch.tanh(self.norm(self.inner(rows)))
        h = h.view(b, T, -1) if self.batch_major else h.view(T, b, -1).transpose(0, 1)
        return self.head(h).sum(1)


@pytest.mark.parametrize("b", [1, 3, 4])
@pytest.mark.parametrize("batch_major", [True, False])
def test_folded_dimensions(b, batch_major):
    check(built(1, lambda: Folded(batch_major)), seeded(1, b, 3, 2))


def encoder(batch_first, norm_first=False, bias=True, dropout=0.1):
    layer = nn.TransformerEncoderLayer(4, 2, 5, dropout, batch_first=batch_first, norm_first=norm_first, bias=bias)
    return nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(4), enable_nested_tensor=False)


class Classifier(nn.Module):
    """A default encoder and a head; tokens beyond a sample's length are masked, and the future, if it is causal."""

    def __init__(self, causal, **options):
        super().__init__()
        self.encoder, self.head, self.causal = encoder(**options), nn.Linear(4, 3), causal
        self.batch_first = options["batch_first"]

    def forward(self, x):
        b, T = x.shape[:2]
        hole = torch.arange(T) >= 1 + torch.arange(b).unsqueeze(1) % T
        mask = nn.Transformer.generate_square_subsequent_mask(T, dtype=x.dtype) if self.causal else None
        h = x if self.batch_first else x.transpose(0, 1)
        hole = torch.zeros_like(hole, dtype=x.dtype).masked_fill(hole, float("-inf"))
        h = self.encoder(h, mask=mask, src_key_padding_mask=hole, is_causal=self.causal)
        return self.head(h[:, 0] if self.batch_first else h[0])


class Last(nn.Module):
    """The state at the last position."""

    def forward(self, found):
        return found[0][:, -1]


@pytest.mark.parametrize("b", [2, 3])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"batch_first": True},
        {"batch_first": False},
        {"batch_first": False, "norm_first": True},
        {"batch_first": True, "bias": False},
    ],
    ids=str,
)
def test_transformer_encoders_in_training_mode(b, causal, options):
    """With dropout of 0.1, as by default: every parameter has a direct form, also where positions are as many as samples."""
    model = built(1, lambda: Drawn(Classifier(causal, **options))).double()
    check(model, seeded(1, b, 3, 4), softmax)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_on_the_cpu(kind):
    """They are products of their weights, one for each position."""
    model = built(1, lambda: nn.Sequential(kind(2, 3, batch_first=True), Last(), nn.Linear(3, 2)))
    check(model, seeded(1, 4, 3, 2))


class Drawn(nn.Module):
    """The same draws in every run."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        torch.manual_seed(5)
        return self.inner(x)


class Functional(nn.Module):
    """F.linear with parameters of its own: shared by two uses, with and without bias, and with a module's weight."""

    def __init__(self):
        super().__init__()
        self.w, self.b, self.v = (
            nn.Parameter(torch.rand(4, 4)),
            nn.Parameter(torch.rand(4)),
            nn.Parameter(torch.rand(4)),
        )
        self.tied, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = torch.tanh(F.linear(x, self.w, self.b))
        h = torch.tanh(F.linear(h, self.w) + self.v)
        return self.head(F.linear(torch.tanh(self.tied(h)), self.tied.weight)).sum(1)


def test_functional_products():
    check(built(1, Functional), seeded(1, 3, 5, 4), squared)


class Tokens(nn.Module):
    """A table whose transpose is the output matrix, by a product that is no module's; and a matrix that is made of parameters alone."""

    def __init__(self):
        super().__init__()
        self.table, self.down, self.up = (
            nn.Embedding(5, 3),
            nn.Parameter(torch.rand(2, 3)),
            nn.Parameter(torch.rand(3, 2)),
        )

    def forward(self, tokens):
        h = self.table(tokens)
        h = torch.tanh(h + h @ (self.up @ self.down))
        return F.linear(h.sum(1), self.table.weight)


@pytest.mark.parametrize("b", [1, 3, 4])
def test_a_table_beside_its_product(b):
    tokens = torch.randint(5, (b, 4), generator=torch.Generator().manual_seed(1))
    found = check(built(1, Tokens), tokens, softmax, direct=False)
    assert found.fallbacks == ([1] if b == 1 else [0, 1])  # one sample's rows are all


class Other(Functional):
    """Uses that are not x W^T, or not alone."""

    def forward(self, x):
        h = torch.tanh(F.linear(x, self.w * 2, self.b * 2))
        h = torch.tanh(torch.addmm(self.v, h[:, 0], self.tied.weight.T, alpha=2.0))
        return self.head(h @ self.w)


def test_other_uses_are_no_products():
    found = check(built(1, Other), seeded(1, 3, 5, 4), squared, direct=False)
    assert len(found.fallbacks) == 4  # w, b, v, and the tied weight; its bias, wide, c, both and narrow are not used


def test_layouts_without_evidence_are_proved_later():
    """A layer of zeros hides the first in the first step; what is kept for later steps is only what was seen."""
    model = built(1, lambda: SequenceFirst(True)).double()
    tokens = torch.randint(7, (3, 3), generator=torch.Generator().manual_seed(1))
    weight = model.head.weight.detach().clone()
    verified = {}

    def found():
        def closure():
            z = model(tokens)
            return softmax(z), z

        result = Curvature(evaluate(closure), list(model.parameters()), verified=verified)
        result.verify()
        return result

    with torch.no_grad():
        model.head.weight.zero_()
    found()
    assert len(next(iter(verified.values())).layouts) == 1  # the head's
    with torch.no_grad():
        model.head.weight.copy_(weight)
    found()
    assert len(next(iter(verified.values())).layouts) == 5
    # the control: a first dimension that is taken for the samples without proof
    verified[next(iter(verified))] = Structure(dict.fromkeys(range(5), 3))
    with pytest.warns(UserWarning, match="direct forms of layers do not hold"):
        found()


def test_a_batch_of_halves():
    """Under autocast the products' inputs are rounded, and so are the rows."""
    model = built(1, lambda: Classifier(False, batch_first=False, dropout=0.0))
    x = seeded(1, 4, 3, 4).float()

    def closure():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = model(x)
        return softmax(z.float()), z

    found = Curvature(evaluate(closure), list(model.parameters()))
    found.verify()
    assert found.fallbacks == []
    assert found.jacobian().dtype == torch.float32
    assert found.gram().dtype == F64


def test_what_no_output_depends_on_at_first_is_looked_at_until_it_is_known(monkeypatch):
    """Low-rank adapters: behind a factor that starts at zero the other's layer has no sensitivities in the first step."""
    model = built(1, lambda: nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 3, bias=False))).double()
    nn.init.zeros_(model[1].weight)
    x, seen = seeded(5, 4, 3), []
    find = assignment.sample_layouts

    def watched(batch, calls, known):
        seen.append((len(calls), len(known)))
        return find(batch, calls, known)

    monkeypatch.setattr(assignment, "sample_layouts", watched)
    optimizer = NGD(model.parameters(), lr=0.1, damping=0.1)

    def closure():
        outputs = x + model(x)
        return squared(outputs), outputs

    for _ in range(4):
        optimizer.step(closure)
    assert seen == [(2, 0), (2, 1), (2, 2), (2, 2)]
