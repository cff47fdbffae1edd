"""Every layer with a direct form against rows of the Jacobian taken output by output, in float64: products, Gram matrix, rows."""

import copy
import itertools
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from thermograd.optim.curvature import blocks, curvature, layers, sensitivities
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.blocks import LayerBlock, LayerRowsBlock
from thermograd.optim.curvature.curvature import Curvature
from thermograd.optim.curvature.factor import Factor

F64 = torch.float64
SEEDS = st.integers(0, 9999)


@dataclass
class Oracle:
    """J by one backward pass for each number in the outputs, (b, c, N), and the dense H, (b c, b c): no formula of any layer."""

    J: torch.Tensor
    H: torch.Tensor
    slope: torch.Tensor

    def rows(self, L):
        """L^T J, (b m, N)."""
        return torch.einsum("bcm,bcn->bmn", L, self.J).flatten(0, 1)


def oracle(model, x, loss_of, parameters):
    z = model(x)
    rows = []
    for one in z.reshape(-1):
        found = torch.autograd.grad(one, parameters, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
        rows.append(torch.cat([part.reshape(-1) for part in parts]))
    flat = z.detach().reshape(-1)
    J = torch.stack(rows).reshape(len(x), -1, sum(p.numel() for p in parameters))
    H = torch.autograd.functional.hessian(lambda v: loss_of(v.view_as(z)), flat)
    return Oracle(J, H, torch.func.grad(lambda v: loss_of(v.view_as(z)))(flat))


def squared(z):
    """A squared error with targets that are not the outputs."""
    return (z - torch.linspace(-1, 1, z.numel(), dtype=z.dtype).view_as(z)).square().sum()


def softmax(z):
    """Cross-entropy with classes last."""
    flat = z.reshape(-1, z.shape[-1])
    return F.cross_entropy(flat, torch.arange(len(flat)) % z.shape[-1])


def found_for(model, x, loss_of, parameters, keep_sensitivities=False):
    def closure():
        with sdpa_kernel(SDPBackend.MATH):  # torch's fused attention cannot be differentiated twice, as `product` does
            z = model(x)
        return loss_of(z), z

    result = Curvature(evaluate(closure), parameters, keep_sensitivities=keep_sensitivities)
    result.verify()
    return result


def compare(found, expected, tolerance=1e-9):
    """All views of one curvature against an `Oracle`, to a fraction of their largest entry."""
    M, flat = expected.rows(found.loss.factor), expected.J.flatten(0, 1)
    k, n = M.shape
    generator = torch.Generator().manual_seed(1)
    v, u = torch.randn(n, dtype=F64, generator=generator), torch.randn(k, dtype=F64, generator=generator)
    parts = [
        piece.view_as(p)
        for piece, p in zip(v.split([p.numel() for p in found.parameters]), found.parameters, strict=True)
    ]

    def joined(values):
        return torch.cat([part.reshape(-1) for part in values])

    b, c = found.loss.factor.shape[:2]
    blocks_of_H = expected.H.view(b, c, b, c)[range(b), :, range(b)]
    through = flat.T @ (expected.H @ (flat @ v))
    for name, got, wanted in (
        ("factor", found.loss.factor @ found.loss.factor.mT, blocks_of_H),
        ("jacobian", found.jacobian(), M),
        ("gram", found.gram(), M @ M.T),
        ("matvec", found.matvec(parts), M @ v),
        ("rmatvec", joined(found.rmatvec(u)), M.T @ u),
        ("product by blocks", joined(Factor.product(found, parts)), through),
        ("product", joined(found.product(parts)), through),
        ("gradient", joined(found.gradient()), flat.T @ expected.slope),
        ("sources", joined(found.rmatvec(found.sources)), flat.T @ expected.slope),
    ):
        size = float(wanted.abs().max()) + 1e-300
        off = float((got - wanted).abs().max()) / size if wanted.any() else float(got.abs().max())
        assert off < tolerance, f"{name} is off by {off:.2g}"


def check(model, x, loss_of=squared, direct=True):
    model = model.double()
    parameters = list(model.parameters())
    expected = oracle(model, x, loss_of, parameters)
    for keep in (True, False):
        found = found_for(model, x, loss_of, parameters, keep)
        assert bool(found.fallbacks) is not direct
        compare(found, expected)
    return found


def seeded(seed, *shape):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def built(seed, build):
    """A module with reproducible weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


class Positions(nn.Module):
    """A layer between two others, over the positions of a sequence, `times` in a row."""

    def __init__(self, width, layer, times=1):
        super().__init__()
        self.first, self.layer, self.head, self.times = nn.Linear(2, width), layer, nn.Linear(width, 2), times

    def forward(self, x):
        h = torch.tanh(self.first(x))
        for _ in range(self.times):
            h = torch.tanh(self.layer(h))
        z = self.head(h)
        return z.flatten(1, -2).sum(1) if z.dim() > 2 else z


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


def convolved(layer, shape, seed):
    """The layer with reproducible weights, before a small head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer.reset_parameters()
        width = layer(torch.zeros(1, *shape)).numel()
        return nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(width, 2))


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
    "encoder": (lambda: encoder(True), False),
    "encoder in evaluation": (lambda: encoder(False), False),
    "group norm": (group_norm, False),
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
    "rows in chunks": {"_PAIR_COST": float("inf"), "ENTRIES": 1},
    "few stripes": {"_STRIPES": 1},
}


def sequence():
    return Positions(3, nn.Linear(3, 3), 2)


@pytest.mark.parametrize("patches", [1, layers._PATCHES])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("bias", [True, False])
def test_every_route_to_the_gram_matrix(route, bias, patches, monkeypatch):
    monkeypatch.setattr(layers, "_PATCHES", patches)
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
    monkeypatch.setattr(sensitivities, "ENTRIES", 0)  # now a layer of more parameters than outputs is not
    assert [type(block) for block in check(net, x, softmax).blocks] == [LayerRowsBlock, LayerBlock, LayerBlock]


@pytest.mark.parametrize("limit", [0, 10**9], ids=["one by one", "batched"])
@pytest.mark.parametrize("name", MIXED)
def test_directions_go_backward_together_or_one_by_one(name, limit, monkeypatch):
    monkeypatch.setattr(curvature, "_LOOP", limit)
    build, direct = MIXED[name]
    check(built(4, build), mixed_input(name), softmax, direct)


def wrong_dilation(model):
    model[0].dilation, model[0].padding, model[0]._reversed_padding_repeated_twice = (1,), (1,), [1, 1]


def wrong_padding(model):
    model[0].padding_mode = "zeros"


def wrong_groups(model):
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight.flip(0))


def wrong_bias(model):
    model[0].bias = nn.Parameter(torch.zeros_like(model[0].bias), requires_grad=False)


@pytest.mark.parametrize("spoil", [wrong_dilation, wrong_padding, wrong_groups, wrong_bias])
def test_a_wrong_layer_is_told_from_the_right_one(spoil):
    """The comparison itself: an oracle of a layer with another dilation, padding, order of groups, or without its bias."""
    layer = nn.Conv1d(2, 2, 3, dilation=2, padding=2, groups=2, padding_mode="circular")
    model, x = convolved(layer, (2, 5), 1).double(), seeded(1, 3, 2, 5)
    parameters = list(model.parameters())
    found = found_for(model, x, squared, parameters)
    compare(found, oracle(model, x, squared, parameters))
    other = copy.deepcopy(model)
    trained = list(other.parameters())
    spoil(other)
    wrong = oracle(other, x, squared, trained)
    with pytest.raises(AssertionError, match="off by"):
        compare(found, wrong)


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
        monkeypatch.setattr(blocks, "ENTRIES", entries)
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
