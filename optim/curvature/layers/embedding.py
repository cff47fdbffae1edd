"""`nn.Embedding` and `nn.EmbeddingBag`: the weight's rows of the tokens, and their sums or means."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..hooks import Call
from .use import Pair, Use


class EmbeddingUse(Use):
    """`nn.Embedding` on (b, ...) tokens."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.module = cast(nn.Embedding, call.module)

    def jvp(self, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """Rows of V of the tokens."""
        assert weight is not None
        return self._live(F.embedding(self.call.input, weight))

    def vjp(self, cotangent: Tensor, weight: bool, bias: bool) -> Pair:
        """Cotangents, summed for each token."""
        C = self._live(cotangent)
        table = C.new_zeros(self.module.num_embeddings, C.shape[-1])
        return table.index_add_(0, self.call.input.reshape(-1), C.reshape(-1, C.shape[-1])), None

    def rows(self, D: Tensor, weight: bool, bias: bool, hold: bool = False) -> Pair:
        """Rows for all tokens of the table; there is no bias."""
        b, m, o = D.shape[0], D.shape[1], D.shape[-1]
        padding = self.module.padding_idx
        D = D if padding is None else D * (self.call.input != padding).unsqueeze(1).unsqueeze(-1)
        D = D.reshape(b, m, -1, o)
        where = self.call.input.reshape(b, 1, -1, 1).expand(b, m, -1, o)
        return D.new_zeros(b, m, self.module.num_embeddings, o).scatter_add_(2, where, D).flatten(2), None

    def token_rows(self, D: Tensor, tokens: Tensor) -> Tensor:
        """(b, m, tokens, o): the rows of some tokens of the table, which are sorted; D is (b, m, ..., o)."""
        b, m, o, n = D.shape[0], D.shape[1], D.shape[-1], len(tokens)
        own = self.call.input.reshape(b, -1)
        at = torch.searchsorted(tokens, own).clamp(max=n - 1)
        padding = self.module.padding_idx
        at = torch.where((tokens[at] == own) & (own != (-1 if padding is None else padding)), at, n)
        where = at.reshape(b, 1, -1, 1).expand(b, m, -1, o)
        return D.new_zeros(b, m, n + 1, o).scatter_add_(2, where, D.reshape(b, m, -1, o))[:, :, :n]

    def _live(self, values: Tensor) -> Tensor:
        """Values with zeros at the padding token, which torch does not train."""
        padding = self.module.padding_idx
        return values if padding is None else values * (self.call.input != padding).unsqueeze(-1)


class EmbeddingBagUse(EmbeddingUse):
    """`nn.EmbeddingBag` on (b, T) tokens: the sum of their rows, or the mean, without the padding token."""

    def jvp(self, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """Sums of the rows of V."""
        return (super().jvp(weight, bias) * self._shares).sum(1)

    def vjp(self, cotangent: Tensor, weight: bool, bias: bool) -> Pair:
        """Each token takes its share of the bag's cotangent."""
        return super().vjp(cotangent.unsqueeze(1) * self._shares, weight, bias)

    def rows(self, D: Tensor, weight: bool, bias: bool, hold: bool = False) -> Pair:
        """Rows for all tokens of the table; there is no bias."""
        return super().rows(self._spread(D), weight, bias, hold)

    def token_rows(self, D: Tensor, tokens: Tensor) -> Tensor:
        """(b, m, tokens, o): the rows of some tokens of the table, which are sorted."""
        return super().token_rows(self._spread(D), tokens)

    def _spread(self, D: Tensor) -> Tensor:
        """(b, m, T, o)."""
        return D.unsqueeze(2) * self._shares.unsqueeze(1)

    @property
    def _shares(self) -> Tensor:
        """(b, T, 1)."""
        tokens, padding = self.call.input, self.module.padding_idx
        live = torch.ones_like(tokens) if padding is None else (tokens != padding).to(tokens.dtype)
        live = live.to(self.module.weight.dtype).unsqueeze(2)
        mean = cast(nn.EmbeddingBag, self.call.module).mode == "mean"
        return live / live.sum(1, keepdim=True).clamp(min=1) if mean else live
