"""Transposed convolutions against rows of the Jacobian taken output by output, in float64: products, Gram matrix, rows."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ..layer_oracle import built, check, seeded


@st.composite
def layers(draw):
    """(layer, shape of a sample): any stride, padding, output padding, dilation and groups."""
    d, groups = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    kernel, stride, dilation = (draw(st.tuples(*[st.integers(1, high)] * d)) for high in (3, 3, 2))
    more = tuple(draw(st.integers(0, max(s, t) - 1)) for s, t in zip(stride, dilation, strict=True))
    reach = [t * (k - 1) for t, k in zip(dilation, kernel, strict=True)]
    padding = tuple(draw(st.integers(0, min(1, r // 2))) for r in reach)
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[d - 1]
    layer = kind(groups, 2 * groups, kernel, stride, padding, more, groups, draw(st.booleans()), dilation)
    return layer, (groups, *draw(st.tuples(*[st.integers(1, 3)] * d)))


@given(layers(), st.integers(1, 3), st.integers(0, 9999))
@settings(max_examples=20)
def test_transposed_convolutions(layer, b, seed):
    module, shape = layer

    def build():
        module.reset_parameters()
        width = math.prod(module(torch.zeros(1, *shape)).shape)
        return nn.Sequential(module, nn.Tanh(), nn.Flatten(), nn.Linear(width, 2))

    check(built(seed, build), seeded(seed, b, *shape))


class Sized(nn.Module):
    """Back to the size before a convolution, which the caller gives; several directions at a time."""

    def __init__(self):
        super().__init__()
        self.down, self.up, self.head = nn.Conv2d(1, 2, 3, 2, 1), nn.ConvTranspose2d(2, 1, 3, 2, 1), nn.Linear(16, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.up(torch.tanh(self.down(x)), output_size=x.shape)).flatten(1))


@pytest.mark.parametrize("entries", [1, 2**22])
def test_an_output_size_of_the_callers(entries, monkeypatch):
    from thermograd.optim.curvature.layers import transposed_convolution

    monkeypatch.setattr(transposed_convolution, "_ENTRIES", entries)
    check(built(1, Sized), seeded(1, 3, 1, 4, 4))
