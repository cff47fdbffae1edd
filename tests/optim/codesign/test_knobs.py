"""What a knob does to a device, and which settings a card does not take."""

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import PRESETS
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense
from thermograd.optim.codesign.knobs import KNOBS

from ...systems import spd, true_card

CARD = true_card(PRESETS["integrated"])


def errors(card, dies):
    """Relative errors of a system's solution on each die."""
    A, b = torch.from_numpy(spd(4, 5.0, 0)), torch.from_numpy(np.random.default_rng(1).standard_normal(4))
    exact = torch.linalg.solve(A, b)
    found = [SurrogateDevice(card, die, die, extrapolate=True).solve(Dense(A), b, 40.0) for die in dies]
    return np.array([float((solution.x - exact).norm() / exact.norm()) for solution in found])


def test_errors_are_proportional_to_the_tolerance_of_resistors():
    """Of the same dies, at tolerances that outweigh everything else; the rounding of a fine ADC is far below."""
    small, large = (errors(KNOBS["tolerance"].card_at(CARD, level), range(1, 9)) for level in (0.02, 0.04))
    assert np.median(large / small) == pytest.approx(2.0, rel=0.1)


def test_bits_of_the_converter_are_heeded():
    coarse, middle, fine = (errors(KNOBS["adc"].card_at(CARD, bits), range(1, 9)).mean() for bits in (2, 4, 10))
    assert coarse > 2 * middle > 4 * fine


def test_less_isolation_is_a_larger_spread_of_temperatures():
    knob = KNOBS["isolation"]
    shown = [knob.shown(knob.card_at(CARD, level), level) for level in knob.levels]
    assert shown[0] == pytest.approx(0.0, abs=1e-9)
    assert (np.diff(shown) > 0).all()


@pytest.mark.parametrize("name", KNOBS)
def test_a_knob_shows_what_it_is_set_to_and_leaves_the_card_alone(name):
    knob, before = KNOBS[name], CARD.model_dump_json()
    cards = {level: knob.card_at(CARD, level) for level in knob.levels}
    assert len({card.model_dump_json() for card in cards.values()}) == len(knob.levels)
    if name != "isolation":  # which shows kelvins
        assert [knob.shown(card, level) for level, card in cards.items()] == list(knob.levels)
    assert CARD.model_dump_json() == before


@pytest.mark.parametrize(("name", "level"), [("adc", 3.5), ("adc", 0.0), ("adc", 1000.0), ("tolerance", -0.1)])
def test_impossible_levels(name, level):
    with pytest.raises(InputError, match=f"level {level:g} of the study|whole number of bits"):
        KNOBS[name].card_at(CARD, level)
