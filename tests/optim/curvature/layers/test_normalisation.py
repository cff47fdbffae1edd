"""Normalisations against rows of the Jacobian taken output by output, in float64: products, Gram matrix, rows."""

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ..layer_oracle import Positions, built, check, seeded

SEEDS = st.integers(0, 9999)


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
