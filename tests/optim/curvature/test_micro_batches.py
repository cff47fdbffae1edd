"""Models whose shapes mislead, and micro-batches that do not look alike: each step against the dense curvature in float64."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.optim.optimizers.kfac import KFAC
from thermograd.optim.optimizers.ngd import NGD

from ..oracle import dense_ggn
from .joined_batch import flat

F64 = torch.float64
DAMPING = 0.1


def numbers(seed, *shape):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def softmax(z):
    return F.cross_entropy(z, torch.arange(len(z)) % z.shape[-1])


def exact(model, x):
    """-(C + lambda I)^-1 g from the dense matrix."""
    C, g = dense_ggn(model, x, softmax)
    return -torch.linalg.solve(C + DAMPING * torch.eye(len(g), dtype=F64), g)


def off(optimizer, model, x):
    """Of a step from here, relative; the parameters are put back."""
    before, wanted = flat(model.parameters()), exact(model, x)

    def closure():
        z = model(x)
        return softmax(z), z

    optimizer.step(closure)
    moved = flat(model.parameters()) - before
    with torch.no_grad():
        nn.utils.vector_to_parameters(before, model.parameters())
    return float((moved - wanted).norm() / wanted.norm())


class Placed(nn.Module):
    """Words and their places: the table of places is looked up once, for all samples."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(7, 4), nn.Embedding(8, 4)
        self.inner, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = self.words(x) + self.places(torch.arange(x.shape[1]))
        return self.head(torch.tanh(self.inner(h)).mean(1))


class TimeFirst(nn.Module):
    """A layer on (T, b, ...)."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.inner(x.transpose(0, 1))).mean(0))


class Queries(nn.Module):
    """Learned queries, which go through a layer of their own."""

    def __init__(self):
        super().__init__()
        self.queries, self.key, self.head = nn.Parameter(torch.randn(5, 3)), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        weights = torch.softmax(x @ self.key(self.queries).mT, dim=-1)
        return self.head((weights @ self.queries).mean(1))


def words(seed, b, T):
    return torch.randint(0, 7, (b, T), generator=torch.Generator().manual_seed(seed))


MISLEADING = {
    "places": (Placed, lambda b: words(b, b, 6), (6, 4)),
    "time first": (TimeFirst, lambda b: numbers(b, b, 4, 3), (4, 6)),
    "queries": (Queries, lambda b: numbers(b, b, 2, 3), (5, 7)),
}


@pytest.mark.filterwarnings("ignore:.*no layer with a direct form")
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", MISLEADING)
def test_a_dimension_as_long_as_the_batch_is_not_the_batch(name, first):
    """Whether such a batch comes first or later, when the model was checked already."""
    build, make, sizes = MISLEADING[name]
    torch.manual_seed(0)
    model = build().double()
    optimizer = NGD(model.parameters(), lr=1.0, damping=DAMPING)
    for b in (sizes[first], sizes[1 - first], sizes[first]):
        assert off(optimizer, model, make(b)) < 1e-8


def test_what_falls_back_is_told_once_and_recorded():
    torch.manual_seed(0)
    model, x = Queries().double(), numbers(1, 7, 2, 3)
    optimizer = NGD(model.parameters(), lr=0.1, damping=DAMPING)

    def closure():
        z = model(x)
        return softmax(z), z

    with pytest.warns(UserWarning, match=r"3 parameters are in no layer with a direct form \(\(5, 3\), \(3, 3\)"):
        optimizer.step(closure)
    assert optimizer.last.fallbacks == (0, 1, 2)  # queries and key: the same for all samples
    optimizer.step(closure)  # a second warning would be an error here
    plain = nn.Linear(3, 3)
    other = NGD(plain.parameters(), lr=0.1, damping=DAMPING)
    other.step(lambda: (lambda z: (softmax(z), z))(plain(torch.ones(4, 3))))
    assert other.last.fallbacks == ()


class Pooled(nn.Module):
    """Over any length, or any size of image."""

    def __init__(self, width, image):
        super().__init__()
        first = nn.Conv2d(1, width, 2) if image else nn.Linear(4, width)
        second = nn.Conv2d(width, width, 2) if image else nn.Linear(width, width)
        norm = nn.Identity() if image else nn.LayerNorm(width)
        self.body = nn.Sequential(first, nn.Tanh(), second, norm, nn.Tanh())
        self.image, self.head = image, nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3) if self.image else 1))


class Worded(nn.Module):
    """Over any number of words."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(7, 4, padding_idx=0), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.table(x)).mean(1))


UNEVEN = {
    "sequences": (lambda: Pooled(5, False), numbers(1, 4, 6, 4), numbers(2, 3, 9, 4)),
    "sequences, wide": (lambda: Pooled(40, False), numbers(1, 4, 6, 4), numbers(2, 3, 9, 4)),
    "words": (Worded, words(1, 4, 3), words(2, 3, 8)),
    "images": (lambda: Pooled(4, True), numbers(1, 4, 1, 5, 6), numbers(2, 3, 1, 8, 4)),
    "one sample": (lambda: Pooled(6, True), numbers(1, 7, 1, 6, 6), numbers(2, 1, 1, 6, 6)),
}


@pytest.mark.parametrize("kind", [NGD, KFAC])
@pytest.mark.parametrize("name", UNEVEN)
def test_micro_batches_of_several_shapes_are_one_batch(name, kind):
    """Each counts alike, so that the joint curvature is the mean of both, and the gradient, too."""
    build, *parts = UNEVEN[name]
    torch.manual_seed(0)
    model = build().double()
    optimizer = kind(model.parameters(), lr=1.0, damping=DAMPING)
    before = flat(model.parameters())
    for x in parts:
        optimizer.prepare(lambda x=x: (lambda z: (softmax(z), z))(model(x)))
    if kind is KFAC and name in ("images", "sequences", "sequences, wide"):
        with pytest.raises(InputError, match="images of one size" if name == "images" else "differ in length"):
            optimizer.step()
        return
    optimizer.step()
    moved = flat(model.parameters()) - before
    assert math.isfinite(float(moved.norm()))
    if kind is KFAC:
        return
    with torch.no_grad():
        nn.utils.vector_to_parameters(before, model.parameters())
    pairs = [dense_ggn(copy.deepcopy(model), x, softmax) for x in parts]
    C, g = (sum(part) / len(parts) for part in zip(*pairs, strict=True))
    wanted = -torch.linalg.solve(C + DAMPING * torch.eye(len(g), dtype=F64), g)
    assert float((moved - wanted).norm() / wanted.norm()) < 1e-8
    first = -torch.linalg.solve(pairs[0][0] + DAMPING * torch.eye(len(g), dtype=F64), pairs[0][1])
    assert float((moved - first).norm() / wanted.norm()) > 1e-2  # both count


class Branch(nn.Module):
    """Runs another layer for batches of more than two samples, and its own head for all."""

    def __init__(self):
        super().__init__()
        self.few, self.many, self.head = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.many(x) if len(x) > 2 else self.few(x)))


@pytest.mark.parametrize("seen", ["a masked batch has fewer directions", "batches run different layers"])
@pytest.mark.parametrize("groups", [False, True])
def test_batches_need_not_look_alike(seen, groups):
    torch.manual_seed(2)
    model = (Branch() if "layers" in seen else nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))).double()
    batches = [numbers(seed, size, 3) for seed, size in ((1, 2), (2, 4), (3, 3))]
    weights = [torch.tensor([1.0, 0.0, 1.0]), torch.ones(3), torch.zeros(3)]

    def loss_of(z, w):
        if "layers" in seen:
            return softmax(z)
        return (w * (z - 1) ** 2).sum() + (w[1] * z.logsumexp(-1)).sum()

    found = [dense_ggn(model, x, lambda z, w=w: loss_of(z, w.to(z))) for x, w in zip(batches, weights, strict=True)]
    C, g = sum(part[0] for part in found) / 3, sum(part[1] for part in found) / 3
    own = list(model.parameters())
    dampings = torch.cat(
        [torch.full((p.numel(),), 0.4 if groups and i < 2 else 0.1, dtype=F64) for i, p in enumerate(own)]
    )
    wanted = -torch.linalg.solve(C + dampings.diag(), g)
    optimizer = NGD([{"params": own[:2], "damping": 0.4 if groups else 0.1}, {"params": own[2:]}], lr=1.0, damping=0.1)
    before = flat(own)
    for x, w in zip(batches, weights, strict=True):
        optimizer.prepare(lambda x=x, w=w: (lambda z: (loss_of(z, w.to(z)), z))(model(x)))
    optimizer.step()
    assert float((flat(own) - before - wanted).norm()) < 1e-9 * float(wanted.norm())
    if "layers" in seen:
        kfac = KFAC(model.parameters(), lr=1.0, damping=0.1)
        for x, w in zip(batches, weights, strict=True):
            kfac.prepare(lambda x=x, w=w: (lambda z: (loss_of(z, w.to(z)), z))(model(x)))
        with pytest.raises(InputError, match="run the same layers"):
            kfac.step()


def test_a_layer_may_see_inputs_of_several_dimensions():
    """A sequence in one micro-batch, its mean in the other."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    batches = [numbers(1, 2, 5, 3), numbers(2, 3, 3)]

    def loss_of(z):
        return softmax(z if z.dim() == 2 else z.mean(1))

    found = [dense_ggn(model, x, loss_of) for x in batches]
    C, g = sum(part[0] for part in found) / 2, sum(part[1] for part in found) / 2
    wanted = -torch.linalg.solve(C + 0.1 * torch.eye(len(g), dtype=F64), g)
    optimizer, before = NGD(model.parameters(), lr=1.0, damping=0.1), flat(model.parameters())
    for x in batches:
        optimizer.prepare(lambda x=x: (lambda z: (loss_of(z), z))(model(x)))
    optimizer.step()
    assert float((flat(model.parameters()) - before - wanted).norm()) < 1e-9 * float(wanted.norm())
