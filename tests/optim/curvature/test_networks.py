"""Networks of several layers, with and without a direct form, against rows of the Jacobian, by every route to the Gram matrix."""

import itertools

import pytest
import torch
from torch import nn

from thermograd.optim.curvature import blocks, curvature, sensitivities
from thermograd.optim.curvature.blocks import LayerBlock, LayerRowsBlock
from thermograd.optim.curvature.layers import matrix

from .layer_oracle import Positions, built, check, compare, convolved, found_for, oracle, seeded, softmax, squared


class Network(nn.Module):
    """Layers with a name each and a forward of its own."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._run = forward

    def forward(self, x):
        return self._run(self, x)


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 2, bias=False),
        nn.BatchNorm2d(4).eval(),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4, 3),
    ).eval()


def residual():
    def forward(net, x):
        h = net.stem(x)
        h = h + net.inner(torch.relu(net.norm(h)))
        h = h + net.inner(torch.relu(net.norm(h)))
        return net.head(h)

    return Network(forward, stem=nn.Linear(16, 4), norm=nn.LayerNorm(4), inner=nn.Linear(4, 4), head=nn.Linear(4, 3))


def convolutional_residual():
    def forward(net, x):
        h = net.stem(x)
        h = h + net.inner(torch.relu(h))
        return net.head(h.mean((2, 3)))

    layers = {"stem": nn.Conv2d(1, 2, 2), "inner": nn.Conv2d(2, 2, 3, padding="same"), "head": nn.Linear(2, 3)}
    return Network(forward, **layers)


def attention(training):
    def forward(net, x):
        h = net.embed(x.view(len(x), 4, 4))
        h = h + net.attend(net.first(h), net.first(h), net.first(h), need_weights=False)[0]
        h = h + net.wide(torch.relu(net.narrow(net.second(h))))
        return net.head(h.mean(1))

    return Network(
        forward,
        embed=nn.Linear(4, 4),
        attend=nn.MultiheadAttention(4, 2, batch_first=True),
        first=nn.LayerNorm(4),
        second=nn.LayerNorm(4),
        narrow=nn.Linear(4, 6),
        wide=nn.Linear(6, 4),
        head=nn.Linear(4, 3),
    ).train(training)


def encoder(training):
    def forward(net, x):
        return net.head(net.layer(x.view(len(x), 4, 4)).mean(1))

    layer = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True)
    return Network(forward, layer=layer, head=nn.Linear(4, 3)).train(training)


def group_norm():
    return nn.Sequential(nn.Conv2d(1, 4, 2), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3))


def free():
    def forward(net, x):
        return net.head(torch.tanh(net.inner(x.flatten(1)) * net.scale))

    return Network(forward, inner=nn.Linear(16, 4), head=nn.Linear(4, 3), scale=nn.Parameter(torch.ones(4)))


MIXED = {
    "cnn": (small_cnn, True),
    "residual": (residual, True),
    "convolutional residual": (convolutional_residual, True),
    "attention": (lambda: attention(True), False),
    "attention in evaluation": (lambda: attention(False), False),
    "encoder": (lambda: encoder(True), True),
    "encoder in evaluation": (lambda: encoder(False), True),
    "group norm": (group_norm, True),
    "free parameter": (free, False),
}


def mixed_input(name):
    images = name in ("cnn", "convolutional residual", "group norm")
    return seeded(3, 4, 1, 4, 4) if images else seeded(3, 4, 16)


@pytest.mark.parametrize("loss", [squared, softmax])
@pytest.mark.parametrize("name", MIXED)
def test_mixtures(name, loss):
    build, direct = MIXED[name]
    check(built(1, build), mixed_input(name), loss, direct)


ROUTES = {
    "pairs": {"_PAIR_COST": 0.0},
    "rows": {"_PAIR_COST": float("inf")},
    "rows in chunks": {"_PAIR_COST": float("inf"), "MAX_ENTRIES": 1},
    "few stripes": {"_STRIPES": 1},
}


def sequence():
    return Positions(3, nn.Linear(3, 3), 2)


@pytest.mark.parametrize("patches", [1, matrix._PATCH_ENTRIES])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("bias", [True, False])
def test_every_route_to_the_gram_matrix(route, bias, patches, monkeypatch):
    monkeypatch.setattr(matrix, "_PATCH_ENTRIES", patches)
    taken = []
    for name in ("_add_pairs", "_row_ranges"):
        original = getattr(blocks, name)
        monkeypatch.setattr(blocks, name, lambda *args, _run=original, _name=name: taken.append(_name) or _run(*args))
    for name, value in ROUTES[route].items():
        monkeypatch.setattr(blocks, name, value)
    check(built(2, lambda: Positions(3, nn.Linear(3, 3, bias=bias), 2)), seeded(2, 3, 4, 2))
    if route != "few stripes":
        assert set(taken) == {"_add_pairs" if route == "pairs" else "_row_ranges"}
    check(built(2, small_cnn), seeded(3, 4, 1, 4, 4), softmax)
    grouped = nn.Conv2d(4, 6, 2, stride=2, padding=1, groups=2, bias=bias)
    check(convolved(grouped, (4, 3, 3), 5), seeded(5, 4, 4, 3, 3))


def test_layers_are_written_out_as_rows_where_the_gram_matrix_is_made_of_them(monkeypatch):
    """Of 8 x 8 images: the first convolution has 40 parameters and 392 outputs, the second 444 and 300; the head is of one position."""
    net = built(3, lambda: nn.Sequential(
        nn.Conv2d(1, 8, 2), nn.ReLU(), nn.Conv2d(8, 12, 2, padding=0, stride=(1, 2)), nn.Flatten(), nn.Linear(12 * 18, 3)
    ))  # fmt: skip
    x = seeded(3, 4, 1, 8, 8)
    assert [type(block) for block in check(net, x, softmax).blocks] == [LayerRowsBlock, LayerRowsBlock, LayerBlock]
    monkeypatch.setattr(sensitivities, "MAX_ENTRIES", 0)  # now a layer of more parameters than outputs is not
    assert [type(block) for block in check(net, x, softmax).blocks] == [LayerRowsBlock, LayerBlock, LayerBlock]


@pytest.mark.parametrize("limit", [0, 10**9], ids=["one by one", "batched"])
@pytest.mark.parametrize("name", MIXED)
def test_directions_go_backward_together_or_one_by_one(name, limit, monkeypatch):
    monkeypatch.setattr(curvature, "_BATCHED_ENTRIES", limit)
    build, direct = MIXED[name]
    check(built(4, build), mixed_input(name), softmax, direct)


def test_positions_are_not_averaged_away():
    """The rows of a sequence are sums over positions: the oracle of the last position alone must disagree."""
    model, x = built(1, sequence).double(), seeded(1, 3, 4, 2)
    found = found_for(model, x, squared, list(model.parameters()))
    with pytest.raises(AssertionError, match="off by"):
        compare(found, oracle(model, x[:, -1:], squared, list(model.parameters())))


def test_the_order_of_parameters_is_the_optimizers():
    model, x = built(1, small_cnn).double(), seeded(3, 4, 1, 4, 4)
    for order in itertools.islice(itertools.permutations(model.parameters()), 0, None, 1007):
        compare(found_for(model, x, softmax, list(order)), oracle(model, x, softmax, list(order)))
