"""Rows from the closure's own graph, by plain passes and through its nodes, against one pass for each output of the same graph."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from thermograd.circuits.errors import InputError
from thermograd.optim.curvature import assignment
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature
from thermograd.optim.curvature.residuals import derivatives
from thermograd.optim.curvature.rows import explicit_rows, node_rows
from thermograd.optim.curvature.rows import graph_rows as rows

from ..layer_oracle import F64, Oracle, built, compare, seeded

THROUGH_NODES = pytest.mark.parametrize("small", [0, 2**60], ids=["nodes", "plain"])


@pytest.fixture
def plain(monkeypatch):
    """Parameters whose rows took plain passes."""
    found = []
    run = explicit_rows.graph_rows
    monkeypatch.setattr(explicit_rows, "graph_rows", lambda z, L, p: found.extend(p) or run(z, L, p))
    return found


def oracle_of(batch, parameters):
    """By the graph that the closure left, one pass for each number, and H by differences of the slope in the outputs."""
    outputs, found = batch.outputs, []
    for one in outputs.reshape(-1):
        parts = torch.autograd.grad(one, parameters, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, parts, strict=True)]
        found.append(torch.cat([part.reshape(-1) for part in parts]))
    (r,) = torch.autograd.grad(batch.loss, outputs, create_graph=True)
    H = [torch.autograd.grad(r, outputs, e.view_as(r), retain_graph=True)[0] for e in torch.eye(r.numel(), dtype=F64)]
    J = torch.stack(found).reshape(len(outputs), -1, sum(p.numel() for p in parameters))
    return Oracle(J, torch.stack(H).flatten(1), r.detach().flatten())


def check(closure, parameters, fallbacks=None):
    batch = evaluate(closure)
    parameters = list(parameters)
    found = Curvature(batch, parameters)
    found.verify()
    compare(found, oracle_of(batch, parameters))
    if fallbacks is not None:
        assert len(found.fallbacks) == fallbacks
    return found


def squared(outputs):
    return (outputs - torch.linspace(-1, 1, outputs.numel(), dtype=F64).view_as(outputs)).square().sum()


def closure_of(model, x):
    def closure():
        outputs = model(x)
        return squared(outputs), outputs

    return closure


def normed(layer):
    """Normalised weights, which are no parameters of the layer's own."""
    return nn.utils.parametrizations.weight_norm(layer)


class Last(nn.Module):
    """A recurrent layer and a head on its last state."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.layer(x.view(len(x), 3, 2))[0][:, -1])


class Draws(nn.Module):
    """Draws from a generator that only its forward knows."""

    def __init__(self, draw):
        super().__init__()
        self.scale, self.head, self.draw = nn.Parameter(torch.ones(6)), nn.Linear(6, 2), draw

    def forward(self, x):
        return self.head(torch.tanh(x * self.scale) * self.draw())


class Masked(nn.Module):
    """Attention with a mask over (T, T) positions."""

    def __init__(self):
        super().__init__()
        self.attend, self.head = nn.MultiheadAttention(2, 1, batch_first=True), nn.Linear(2, 2)

    def forward(self, x, mask):
        h = x.view(len(x), 3, 2)
        with sdpa_kernel(SDPBackend.MATH):
            return self.head(self.attend(h, h, h, attn_mask=mask, need_weights=False)[0].mean(1))


class Squares(torch.autograd.Function):
    """An operation that vmap cannot run backward."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 2 * x if float(g.detach().sum()) < 1e300 else g  # vmap has no such number


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.head = nn.Parameter(torch.ones(6)), nn.Linear(6, 2)

    def forward(self, x):
        return self.head(Squares.apply(x * self.scale))


MODELS = {
    "lstm": lambda: Last(nn.LSTM(2, 3, batch_first=True)),
    "gru": lambda: Last(nn.GRU(2, 3, num_layers=2, batch_first=True)),
    "weight norm": lambda: nn.Sequential(weight_norm(nn.Linear(6, 4)), nn.Tanh(), nn.Linear(4, 2)),
    "spectral norm": lambda: nn.Sequential(spectral_norm(nn.Linear(6, 4)), nn.PReLU(), nn.Linear(4, 2)),
    "dropout": lambda: nn.Sequential(nn.Linear(6, 6), nn.Dropout(), weight_norm(nn.Linear(6, 2))),
    "functional dropout": lambda: Draws(lambda: torch.nn.functional.dropout(torch.ones(6, dtype=F64))),
    "random": lambda: Draws(random.random),
    "numpy": lambda: Draws(np.random.rand),
    "generator": lambda: Draws(np.random.default_rng(0).random),
    "custom": Custom,
    "normed convolutions": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 3)), normed(nn.Conv1d(2, 4, 2, padding=1, groups=2)), nn.Tanh(),
        normed(nn.ConvTranspose1d(4, 2, 2, stride=2, groups=2)), nn.Unflatten(1, (1, 2)), nn.Tanh(),
        normed(nn.Conv2d(1, 2, (1, 3), (1, 2), padding="valid", padding_mode="circular")), nn.Flatten(), nn.Linear(12, 2)
    ),
}  # fmt: skip


@THROUGH_NODES
@pytest.mark.parametrize("name", MODELS)
def test_models_without_a_direct_form(name, small, monkeypatch, plain):
    """Several forward passes: buffers move and draws differ; each has its own right rows."""
    monkeypatch.setattr(explicit_rows, "_SMALL", small)
    monkeypatch.setattr(
        assignment, "functional_products", lambda *_: {}
    )  # what recurrent layers are made of on the CPU
    model = built(1, MODELS[name]).double()
    for seed in range(3):
        assert check(closure_of(model, seeded(seed, 4, 6)), model.parameters()).fallbacks
    assert bool(plain) is (small > 0)


class Places(nn.Module):
    """Embedded positions, a scale and a free matrix."""

    def __init__(self):
        super().__init__()
        self.place, self.scale = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.ones(4))
        self.matrix, self.inner, self.head = nn.Parameter(torch.randn(4, 4)), nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x, mixed=False):
        h = torch.tanh((self.inner(x.view(len(x), 3, 2)) + self.place) * self.scale)
        h = h - h.mean(0) if mixed else h
        return self.head(torch.tanh(h @ self.matrix.T).mean(1))


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("mixed", [False, True])
def test_rows_through_nodes_in_all_precisions(dtype, tolerance, mixed):
    """Against plain passes of the same graph; where samples mix, the rows of a node further up are those of single samples."""
    model = built(1, Places).to(F64 if dtype is F64 else torch.float32)
    x = seeded(1, 11, 6).to(next(model.parameters()).dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        outputs = model(x, mixed)
    factor, parameters = (
        torch.randn(11, 2, 3, dtype=F64, generator=torch.Generator().manual_seed(1)),
        list(model.parameters()),
    )
    factor[0] *= 1e-6  # a sample of little weight has exact rows, too
    found = node_rows.node_rows(outputs, factor, parameters)
    expected = rows.graph_rows(outputs, factor, parameters)
    assert all(part is not None for part in found)
    for part, right in zip(found, expected, strict=True):
        assert bool(((part - right).norm(dim=1) <= tolerance * right.norm(dim=1)).all())


@THROUGH_NODES
@pytest.mark.parametrize("b", [2, 3, 4])
def test_a_mask_over_positions_is_no_batch(b, small, monkeypatch):
    """Of 3 positions, also in a batch of 3."""
    monkeypatch.setattr(explicit_rows, "_SMALL", small)
    model = built(1, Masked).double()
    mask = torch.triu(torch.full((3, 3), float("-inf"), dtype=F64), 1)
    check(closure_of(lambda x: model(x, mask), seeded(2, b, 6)), model.parameters())


@THROUGH_NODES
def test_outputs_that_no_module_returned(small, monkeypatch, plain):
    """A slice, a sum of two modules' outputs, outputs of two batches in a row."""
    monkeypatch.setattr(explicit_rows, "_SMALL", small)
    one, two = built(1, MODELS["weight norm"]).double(), built(2, MODELS["weight norm"]).double()
    x, y = seeded(1, 4, 6), seeded(2, 3, 6)
    both = [*one.parameters(), *two.parameters()]
    check(closure_of(lambda x: one(x)[:, 1], x), one.parameters())
    check(closure_of(lambda x: one(x)[1:], x), one.parameters())
    check(closure_of(lambda x: one(x) + 2 * two(x), x), both)
    check(closure_of(lambda x: torch.cat([one(x), two(y)]), x), both)


def interior(model, x):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    second = [torch.autograd.grad(slope[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(2)]
    return second[0] + second[1] + x.detach().prod(1)


@THROUGH_NODES
def test_residuals_of_a_differential_equation(small, monkeypatch, plain):
    monkeypatch.setattr(explicit_rows, "_SMALL", small)
    model = built(1, lambda: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)))
    model = model.double()
    inside, edge = seeded(1, 5, 2), seeded(2, 3, 2)
    check(closure_of(lambda x: torch.cat([interior(model, x), model(edge)[:, 0]]), inside), model.parameters(), 6)
    assert bool(plain) is (small > 0)


def test_the_forward_laplacian_is_not_disturbed_by_recording(monkeypatch):
    """What it hands to layers in place of tensors is none of the recorder's business."""
    monkeypatch.setattr(derivatives, "_forward_over_reverse", None)
    model = built(1, lambda: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))).double()
    inside, edge = seeded(1, 5, 2), seeded(2, 3, 2)
    check(
        closure_of(lambda x: torch.cat([derivatives.laplacian(model, x), model(edge)]), inside), model.parameters(), 4
    )


@THROUGH_NODES
def test_samples_that_depend_on_one_another_are_right_in_rows(small, monkeypatch, plain):
    """Centred by the mean over the batch, before and after a parameter without a direct form, and behind a layer that has one."""
    monkeypatch.setattr(explicit_rows, "_SMALL", small)
    scale = nn.Parameter(seeded(3, 6))
    check(closure_of(lambda x: torch.tanh(x - (x * scale).mean(0)), seeded(1, 4, 6)), [scale], 1)

    def mixed(x):
        h = x * scale
        for _ in range(node_rows._MAX_DEPTH):
            h = torch.tanh(h).roll(1, 0) + h
        return h

    check(closure_of(mixed, seeded(1, 4, 6)), [scale], 1)
    assert plain


COUPLED = {
    "centred": lambda h: h - h.mean(0),
    "rolled": lambda h: h.roll(1, 0),
    "next one only": lambda h: torch.cat([h[1:], h[-1:]]),
    "normalised": lambda h: nn.functional.batch_norm(h, None, None, training=True),
    "sorted": lambda h: h.sort(0).values,
}


@pytest.mark.parametrize("found", [True, False], ids=["found by passes", "found by verification"])
@pytest.mark.parametrize("name", COUPLED)
def test_layers_before_what_couples_samples_take_rows(name, found, monkeypatch, recwarn):
    first, head = built(1, lambda: nn.Linear(6, 4)).double(), built(2, lambda: nn.Linear(4, 2)).double()
    if not found:
        monkeypatch.setattr(
            assignment, "sample_layouts", lambda _, calls, known: (dict.fromkeys(range(len(calls)), 1), known)
        )
    closure = closure_of(lambda x: head(COUPLED[name](torch.tanh(first(x)))), seeded(1, 4, 6))
    check(closure, [*first.parameters(), *head.parameters()], 2 if found else 4)
    assert any("depend on other samples" in str(one.message) for one in recwarn) is not found


def test_positions_of_which_the_first_is_read():
    """Positions first, as many as samples: rows of the first position are of all samples, and of the others of none."""
    inner, head = built(1, lambda: nn.Linear(2, 3)).double(), built(2, lambda: nn.Linear(3, 2)).double()
    closure = closure_of(lambda x: head(torch.tanh(inner(x.view(4, 3, 2).transpose(0, 1)[:, :3]))[0]), seeded(1, 4, 6))
    check(closure, [*inner.parameters(), *head.parameters()])
    closure = closure_of(lambda x: head(torch.tanh(inner(x.view(3, 3, 2).transpose(0, 1)))[0]), seeded(1, 3, 6))
    check(closure, [*inner.parameters(), *head.parameters()], 0)


def test_a_wrong_owner_is_noticed(monkeypatch):
    """Control: rows that are given to the next sample disagree with the backward pass, and plain rows take their place."""
    monkeypatch.setattr(assignment, "functional_products", lambda *_: {})
    monkeypatch.setattr(explicit_rows, "_SMALL", 0)
    model = built(1, MODELS["lstm"]).double()
    closure, parameters = closure_of(model, seeded(1, 4, 6)), list(model.parameters())
    right = node_rows.owners_of
    monkeypatch.setattr(node_rows, "owners_of", lambda *args: None if right(*args) is None else (right(*args) + 1) % 4)
    wrong = Curvature(evaluate(closure), parameters)
    with pytest.raises(AssertionError, match="off by"):
        compare(wrong, oracle_of(wrong.batch, parameters))
    check(closure, parameters)


@pytest.mark.parametrize("entries", [1, 1000])
def test_rows_in_chunks(entries, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_ENTRIES", entries)
    model = built(1, MODELS["weight norm"]).double()
    check(closure_of(model, seeded(1, 4, 6)), model.parameters())


def test_more_rows_than_memory_raise(monkeypatch):
    monkeypatch.setattr(rows, "TOTAL_ENTRIES", 10)
    model = built(1, MODELS["weight norm"]).double()
    with pytest.raises(InputError, match="a smaller batch, NGDCG"):
        check(closure_of(model, seeded(1, 4, 6)), model.parameters())
