"""Normalisations and PReLU against rows of the Jacobian taken output by output, in float64: products, Gram matrix, rows."""

import pytest
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


LAYERS = {
    "group": lambda d: nn.GroupNorm(2, 4),
    "instance": lambda d: getattr(nn, f"InstanceNorm{d}d")(4, affine=True),
    "instance, running": lambda d: getattr(nn, f"InstanceNorm{d}d")(4, affine=True, track_running_stats=True),
    "batch": lambda d: getattr(nn, f"BatchNorm{d}d")(4),
    "rms": lambda d: nn.RMSNorm((3,) * d),
    "prelu": lambda d: nn.PReLU(4),
    "one prelu": lambda d: nn.PReLU(),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_scales_of_channels(name, dimensions):
    """On (b, channels, ...), in evaluation with running statistics that are not the batch's."""

    def build():
        layer = LAYERS[name](dimensions)
        nn.init.normal_(layer.weight)
        if getattr(layer, "running_var", None) is not None:
            nn.init.normal_(layer.running_mean)
            layer.running_var.uniform_(0.5, 2.0)
        return nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(4 * 3**dimensions, 2))

    model = built(dimensions, build).double()
    x = seeded(1, 3, 4, *[3] * dimensions)
    check(model.eval(), x)
    if name != "batch":
        check(model.train(), x)


def test_batch_norm_of_vectors():
    flat = built(1, lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)))
    check(flat.double().eval(), seeded(1, 3, 4))


@pytest.mark.parametrize("x", [(3, 2), (3, 4)], ids=["matrix", "of as many positions as channels"])
def test_an_instance_norm_without_a_batch_has_no_direct_form(x):
    """(channels, positions): the module takes it for one sample, however many rows it has."""
    norm = built(1, lambda: nn.InstanceNorm1d(3, affine=True)).double()
    found = check(norm, seeded(1, *x), direct=False)
    assert found.fallbacks == [0, 1]
