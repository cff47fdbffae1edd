"""Every layer with a direct form against rows of the Jacobian taken output by output, in float64: products, Gram matrix, rows."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thermograd.optim.curvature import blocks

from .layer_oracle import Positions, built, check, compare, convolved, found_for, oracle, seeded, softmax, squared

SEEDS = st.integers(0, 9999)


@given(
    b=st.integers(1, 4),
    positions=st.lists(st.integers(1, 3), max_size=2),
    width=st.integers(1, 4),
    times=st.integers(1, 3),
    bias=st.booleans(),
    loss=st.sampled_from([squared, softmax]),
    seed=SEEDS,
)
@settings(max_examples=15)
def test_linear(b, positions, width, times, bias, loss, seed):
    model = built(seed, lambda: Positions(width, nn.Linear(width, width, bias=bias), times))
    check(model, seeded(seed, b, *positions, 2), loss)


@given(bias=st.sampled_from(["own", "one", "none", "shared"]), positions=st.integers(0, 2), seed=SEEDS)
@settings(max_examples=8)
def test_two_linears_with_one_weight(bias, positions, seed):
    def build():
        first, second = nn.Linear(3, 3, bias=bias != "none"), nn.Linear(3, 3, bias=bias not in ("none", "one"))
        second.weight = first.weight
        if bias == "shared":
            second.bias = first.bias
        return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), nn.Linear(3, 2))

    model = built(seed, build).double()
    x = seeded(seed, 3, *[2] * positions, 3)
    check(model, x)


@st.composite
def convolutions(draw, dimensions):
    """(layer, shape of a sample): any stride, padding, dilation and groups that leave an output."""
    groups, mode = draw(st.integers(1, 3)), draw(st.sampled_from(["zeros", "circular", "reflect", "replicate"]))
    of_each = st.tuples(*[st.integers(1, 3)] * dimensions)
    kernel, dilation = draw(of_each), draw(st.tuples(*[st.integers(1, 2)] * dimensions))
    padding = draw(st.sampled_from(["same", "valid", 0, 1, 2]))
    stride = 1 if padding == "same" else draw(st.tuples(*[st.integers(1, 3)] * dimensions))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sizes = tuple(max(3, r) + draw(st.integers(0, 2)) for r in reach)
    q, o = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kind, bias = (nn.Conv1d if dimensions == 1 else nn.Conv2d), draw(st.booleans())
    layer = kind(q, o, kernel, stride, padding, dilation, groups, bias, mode)
    return layer, (q, *sizes)


@given(convolutions(1), st.integers(1, 4), SEEDS)
@settings(max_examples=25)
def test_conv1d(layer, b, seed):
    check(convolved(*layer, seed), seeded(seed, b, *layer[1]))


@given(convolutions(2), st.integers(1, 3), SEEDS)
@settings(max_examples=25)
def test_conv2d(layer, b, seed):
    check(convolved(*layer, seed), seeded(seed, b, *layer[1]))


class Tokens(nn.Module):
    """An embedding, whose table is the output matrix, too, where it is tied."""

    def __init__(self, hole, tied):
        super().__init__()
        self.table, self.inner, self.head = nn.Embedding(5, 3, padding_idx=hole), nn.Linear(3, 3), nn.Linear(3, 5)
        if tied:
            self.head.weight = self.table.weight

    def forward(self, tokens):
        return self.head(torch.tanh(self.inner(self.table(tokens))).sum(1))


@given(
    hole=st.sampled_from([None, 0, 3, -1]),
    tied=st.booleans(),
    tokens=st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=4),
    loss=st.sampled_from([squared, softmax]),
    seed=SEEDS,
)
@settings(max_examples=15)
def test_embedding(hole, tied, tokens, loss, seed):
    check(built(seed, lambda: Tokens(hole, tied)), torch.tensor(tokens), loss)


@given(
    b=st.integers(1, 4),
    positions=st.lists(st.integers(1, 3), max_size=2),
    both=st.booleans(),
    bias=st.booleans(),
    times=st.integers(1, 2),
    seed=SEEDS,
)
@settings(max_examples=15)
def test_layer_norm(b, positions, both, bias, times, seed):
    def build():
        shape = (positions[-1], 4) if both and positions else (4,)
        layer = nn.LayerNorm(shape, bias=bias)
        nn.init.normal_(layer.weight)
        return Positions(4, layer, times)

    check(built(seed, build), seeded(seed, b, *positions, 2))


@given(planes=st.booleans(), sizes=st.integers(1, 3), running=st.booleans(), seed=SEEDS)
@settings(max_examples=10)
def test_batch_norm_in_evaluation(planes, sizes, running, seed):
    def build():
        norm = (nn.BatchNorm2d if planes else nn.BatchNorm1d)(3)
        nn.init.normal_(norm.weight)
        if running:
            nn.init.normal_(norm.running_mean)
            norm.running_var.uniform_(0.5, 2.0)
        width = 3 * (sizes**2 if planes else sizes)
        return nn.Sequential(norm, nn.Tanh(), nn.Flatten(), nn.Linear(width, 2))

    model = built(seed, build).double().eval()
    check(model, seeded(seed, 3, 3, *[sizes] * (2 if planes else 1)))
    if not planes:
        flat = built(seed, lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)))
        check(flat.double().eval(), seeded(seed, 3, 4))


def wrong_dilation(model):
    model[0].dilation, model[0].padding, model[0]._reversed_padding_repeated_twice = (1,), (1,), [1, 1]


def wrong_padding(model):
    model[0].padding_mode = "zeros"


def wrong_groups(model):
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight.flip(0))


def wrong_bias(model):
    model[0].bias = nn.Parameter(torch.zeros_like(model[0].bias), requires_grad=False)


@pytest.mark.parametrize("change", [wrong_dilation, wrong_padding, wrong_groups, wrong_bias])
def test_a_wrong_layer_is_distinguished_from_the_right_one(change):
    """The comparison itself: an oracle of a layer with another dilation, padding, order of groups, or without its bias."""
    layer = nn.Conv1d(2, 2, 3, dilation=2, padding=2, groups=2, padding_mode="circular")
    model, x = convolved(layer, (2, 5), 1).double(), seeded(1, 3, 2, 5)
    parameters = list(model.parameters())
    found = found_for(model, x, squared, parameters)
    compare(found, oracle(model, x, squared, parameters))
    other = copy.deepcopy(model)
    trained = list(other.parameters())
    change(other)
    wrong = oracle(other, x, squared, trained)
    with pytest.raises(AssertionError, match="off by"):
        compare(found, wrong)


class TiedAcrossGroups(nn.Module):
    """One weight as that of a convolution in one group and of another in two."""

    def __init__(self):
        super().__init__()
        self.whole = nn.Conv2d(2, 4, 2, bias=False)
        self.split = nn.Conv2d(4, 4, 2, groups=2, bias=False)
        self.split.weight = self.whole.weight
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.split(torch.tanh(self.whole(x)))).flatten(1))


def test_one_weight_in_convolutions_of_other_groups():
    check(built(1, TiedAcrossGroups), seeded(1, 5, 2, 3, 3))


def test_rows_of_an_embedding_are_of_the_tokens_that_occur(monkeypatch):
    """However large the table, and a few tokens at a time; the padding token has none."""
    largest = []
    original = blocks.add_product
    monkeypatch.setattr(blocks, "add_product", lambda K, M: largest.append(M.numel()) or original(K, M))
    table = built(1, lambda: nn.Embedding(5000, 4, padding_idx=3)).double()
    net = nn.Sequential(table, Mean(), nn.Linear(4, 2)).double()
    tokens = torch.tensor([[3, 17, 4999], [17, 17, 8], [1, 3, 3]])
    for entries in (2**24, 50):
        monkeypatch.setattr(blocks, "MAX_ENTRIES", entries)
        found = found_for(net, tokens, softmax, list(net.parameters()), keep_sensitivities=True)
        largest.clear()
        K = found.gram()
        assert max(largest) <= 3 * 1 * 5 * 4  # b m, five tokens, four numbers each
        M = found.jacobian()
        torch.testing.assert_close(K, M @ M.mT)
        assert M[:, 3 * 4 : 4 * 4].abs().max() == 0
        assert M[:, 17 * 4].abs().min() == 0
        assert M[:, 17 * 4].abs().max() > 0


class Mean(nn.Module):
    """Over positions."""

    def forward(self, x):
        return x.mean(1)
