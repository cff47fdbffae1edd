"""Linear and convolution layers against rows of the Jacobian taken output by output, in float64: products, Gram matrix, rows."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ..layer_oracle import Positions, built, check, compare, convolved, found_for, oracle, seeded, softmax, squared

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
    kind, bias = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1], draw(st.booleans())
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


@given(convolutions(3), st.integers(1, 2), SEEDS)
@settings(max_examples=8)
def test_conv3d(layer, b, seed):
    check(convolved(*layer, seed), seeded(seed, b, *layer[1]))


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
