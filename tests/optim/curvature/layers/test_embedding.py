"""Embeddings against rows of the Jacobian taken output by output, in float64: products, Gram matrix, rows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thermograd.optim.curvature import blocks

from ..layer_oracle import built, check, found_for, softmax, squared

SEEDS = st.integers(0, 9999)


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


@pytest.mark.filterwarnings("ignore:.*cannot be differentiated twice")
@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("padding", [None, 1])
def test_bags(mode, padding):
    """Of tokens that come twice, of padding, and of nothing else."""
    model = built(1, lambda: nn.Sequential(nn.EmbeddingBag(5, 3, mode=mode, padding_idx=padding), nn.Linear(3, 2)))
    check(model, torch.tensor([[0, 1, 0], [1, 1, 1], [4, 2, 3], [1, 2, 2]]), softmax)


class Bags(nn.Module):
    """What else a bag may be."""

    def __init__(self, mode, **given):
        super().__init__()
        self.table, self.head, self.given = nn.EmbeddingBag(5, 3, mode=mode), nn.Linear(3, 2), given

    def forward(self, tokens):
        return self.head(self.table(tokens, **self.given))


@pytest.mark.filterwarnings("ignore:.*cannot be differentiated twice")
@pytest.mark.parametrize(
    "bags",
    [
        lambda: Bags("max"),
        lambda: Bags("sum", per_sample_weights=torch.rand(3, 2, dtype=torch.float64)),
        lambda: nn.Sequential(nn.Flatten(0), Bags("sum", offsets=torch.tensor([0, 1, 4]))),
    ],
)
def test_other_bags_have_no_direct_form(bags):
    found = check(built(1, bags), torch.tensor([[0, 1], [1, 1], [4, 2]]), squared, direct=False)
    assert found.fallbacks == [0]
