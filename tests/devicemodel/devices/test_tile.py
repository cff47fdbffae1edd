"""A tile's product is that of its parts and converters, written out one by one; its noise obeys Nyquist."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.constants import Boltzmann

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.devices.tile import AnalogTile
from thermograd.devicemodel.host.converters import quantise

INTEGRATED = preset("integrated")
SILENT = INTEGRATED.replace(adc__noise=0.0, thermal__johnson_noise=False)


def weights(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6), st.sampled_from([None, 4, 8]), st.booleans())
def test_product_is_that_of_the_parts_one_by_one(rows, columns, die, bits, coded):
    technology = SILENT.replace(
        dac__bits=bits,
        adc__bits=bits,
        resistors__bits=6 if coded else None,
        resistors__die_to_die=0.1,
        resistors__gradient=0.05,
    )
    w = weights(rows, columns, die)
    tile = AnalogTile(w, technology, die, input_range=2.0, output_range=5.0, dtype=torch.float64)
    x = 3.0 * torch.rand(columns, generator=torch.Generator().manual_seed(die), dtype=torch.float64) - 1.5
    dac, adc, unit = technology.dac, technology.adc, technology.resistors.unit
    drawn = Die(technology, die)
    driven = quantise(x.numpy() / 2.0 * dac.full_scale, dac)
    driven = driven * (1 + dac.gain_error * drawn.deviates("dac_gain", (1, 1))[0, 0])
    driven = driven + dac.offset * drawn.deviates("dac_offset", (1, columns))[0]
    largest, z = float(w.abs().max()), drawn.deviates("coupling", (2, rows, columns))
    feedback = unit * adc.full_scale * largest * 2.0 / (dac.full_scale * 5.0)
    volts = np.zeros(rows)
    for m in range(rows):
        for j in range(columns):
            share = abs(float(w[m, j])) / largest
            share = round(share * 63) / 63 if coded else share
            rail = 0 if w[m, j] > 0 else 1
            at = (m + 0.5) / rows, (j + 0.5) / columns
            shift = drawn.resistor_shift(np.array(at[0]), np.array(at[1]))
            hot = drawn.temperature_factor(drawn.temperature_of(np.array(at[0]), np.array(at[1])))
            g = share / unit * np.exp(-technology.resistors.mismatch * z[rail, m, j] - shift) / hot
            volts[m] += feedback * (1 - 2 * rail) * g * driven[j]
    seen = (1 + adc.gain_error * drawn.deviates("adc_gain", (1, 1))[0, 0]) * volts
    read = quantise(seen + adc.offset * drawn.deviates("adc_offset", (1, rows))[0], adc) * 5.0 / adc.full_scale
    step = 0.0 if bits is None else 2 * 5.0 / (2**bits - 1)
    # A value within rounding of a code's edge may fall on either side.
    off = np.abs(tile(x).numpy() - read)
    assert np.all((off < 1e-9) | (np.abs(off - step) < 1e-9))
    assert (off > 1e-9).sum() <= 1


def test_ideal_parts_multiply():
    w = weights(5, 7)
    tile = AnalogTile(w, "ideal", input_range=4.0, output_range=100.0, dtype=torch.float64)
    x = torch.randn(3, 2, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64).clamp(-4, 4)
    torch.testing.assert_close(tile(x), x @ w.T, rtol=1e-12, atol=1e-12)
    assert not tile.noisy


def test_noise_is_that_of_the_conductances_and_the_adc():
    """Variance over 20,000 readings, standard error sqrt(2 / 20,000) = 1 %; a tenth more temperature is rejected."""
    technology = INTEGRATED.replace(dac__bits=None, adc__bits=None, adc__noise=1e-5)
    w = weights(3, 16)
    tile = AnalogTile(w, technology, None, output_range=4.0, integration=1e-9, dtype=torch.float64)
    values = tile(torch.zeros(20_000, 16, dtype=torch.float64), torch.Generator().manual_seed(2)).numpy() / 4.0
    unit, largest = technology.resistors.unit, float(w.abs().max())
    feedback = unit * largest / 4.0
    total = np.round(w.abs().numpy() / largest * 255) / 255 / unit
    johnson = 2 * Boltzmann * 300.15 * (total.sum(axis=1) + 1 / feedback) * feedback**2 / 1e-9
    ratio = values.var(axis=0) / (johnson + 1e-10)
    assert np.all(np.abs(ratio - 1) < 4 * 0.01)
    assert not np.all(np.abs(values.var(axis=0) / (1.1 * johnson + 1e-10) - 1) < 4 * 0.01)


def test_one_seed_is_one_die_and_one_noise():
    w, x = weights(4, 4), torch.full((4,), 0.5)
    one, same, other = (AnalogTile(w, INTEGRATED, die) for die in (3, 3, 4))
    assert torch.equal(one.matrix, same.matrix)
    assert not torch.equal(one.matrix, other.matrix)
    assert torch.equal(one(x, torch.Generator().manual_seed(1)), same(x, torch.Generator().manual_seed(1)))


def test_converters_clip_at_their_ranges():
    tile = AnalogTile(torch.eye(2), SILENT, None, input_range=1.0, output_range=0.5)
    read = tile(torch.tensor([[2.0, -2.0], [0.1, 0.1]]))
    torch.testing.assert_close(read[0], torch.tensor([0.5, -0.5]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": torch.zeros(2, 2)}, "not all zero"),
        ({"weight": torch.ones(2)}, "a matrix"),
        ({"weight": torch.full((1, 1), math.nan)}, "finite"),
        ({"input_range": 0.0}, "input_range = 0.0"),
        ({"integration": -1.0}, "integration"),
        ({"technology": INTEGRATED.replace(adc__inl=1e-3)}, "no inl and dnl"),
        ({"technology": "breadboard"}, "programmed"),
        ({"technology": "nothing"}, "preset 'nothing' is unknown"),
    ],
)
def test_unusable_tiles_are_rejected(change, message):
    with pytest.raises(InputError, match=message):
        AnalogTile(**({"weight": torch.eye(2), "technology": INTEGRATED} | change))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(2, 3), r"x is of shape \(2, 3\): the tile takes a tensor \(\.\.\., 4\)"),
        (torch.tensor(1.0), r"x is of shape \(\)"),
        ([1.0, 2.0, 3.0, 4.0], "x is a list"),
    ],
)
def test_inputs_of_another_width_are_rejected(x: object, message: str) -> None:
    tile = AnalogTile(weights(3, 4), "integrated")
    with pytest.raises(InputError, match=message):
        tile(x)
    with pytest.raises(InputError, match="weight is a list: give a tensor"):
        AnalogTile([[1.0]], "integrated")  # type: ignore[arg-type]


def test_no_gradient_passes_a_converter_with_bits_and_one_passes_around_it() -> None:
    W = weights(3, 4)
    x = torch.full((4,), 0.3, requires_grad=True)
    coded = AnalogTile(W, preset("integrated").replace(thermal__johnson_noise=False), output_range=4.0)
    (gradient,) = torch.autograd.grad(coded(x).sum(), x)
    assert not gradient.any()
    straight = AnalogTile(W, preset("ideal"), output_range=4.0)
    (gradient,) = torch.autograd.grad(straight(x).sum(), x)
    torch.testing.assert_close(gradient, W.sum(0).to(gradient), rtol=1e-4, atol=1e-4)
    # What the docs give to train with: the tile's value, the gradient of x W^T.
    plain, read = x @ W.to(x).T, coded(x)
    around = plain + (read - plain).detach()
    torch.testing.assert_close(around, read)
    torch.testing.assert_close(torch.autograd.grad(around.sum(), x)[0], W.sum(0).to(x))


def test_a_state_is_taken_by_a_tile_made_alike(tmp_path):
    w, x = weights(3, 4), 0.5 * weights(5, 4, 1)
    saved, other = AnalogTile(w, SILENT, 3, 2.0, 4.0), AnalogTile(2 * weights(3, 4, 2), SILENT, 3, 2.0, 4.0)
    torch.save(saved.state_dict(), tmp_path / "tile.pt")
    other.load_state_dict(torch.load(tmp_path / "tile.pt", weights_only=True))
    assert torch.equal(other(x), saved(x))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("input_range", {"input_range": 1.0}),
        ("output_range", {"output_range": 8.0}),
        ("die", {"die": 4}),
        ("integration", {"integration": 1e-5}),
        ("technology", {"technology": INTEGRATED}),
    ],
)
def test_a_state_of_another_tile_raises_and_changes_nothing(name, change):
    made = {"technology": SILENT, "die": 3, "input_range": 2.0, "output_range": 4.0}
    w, x = weights(3, 4), 0.5 * weights(5, 4, 1)
    model = torch.nn.ModuleDict({"layer": AnalogTile(w, **{**made, **change})})
    before = model["layer"].matrix.clone()
    with pytest.raises(InputError, match=f"whose {name} is"):
        model.load_state_dict({f"layer.{k}": v for k, v in AnalogTile(2 * w, **made).state_dict().items()})
    assert torch.equal(model["layer"].matrix, before)
    state = AnalogTile(w, **made).state_dict()
    del state["_extra_state"]
    with pytest.raises(InputError, match="does not say what it was made with"):
        AnalogTile(w, **made).load_state_dict(state, strict=False)
    # What was read before: numbers of other ranges, taken as they are.
    wrong = AnalogTile(w, **{**made, "input_range": 8.0, "output_range": 1.0})
    wrong.matrix.copy_(AnalogTile(w, **made).matrix)
    assert not torch.allclose(wrong(x), AnalogTile(w, **made)(x), rtol=0.5)
