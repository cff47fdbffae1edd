"""What a design point makes of a technology, a card and a die: what was asked for, and nothing else."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import PRESETS
from thermograd.devicemodel.card import REPLACED_FIGURES, DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.optim.codesign.knobs import ALIASES, KNOBS, DesignPoint, knob_named
from thermograd.optim.codesign.knobs.design_point import _PARAMETERS

from ....systems import spd, true_card

CARD = true_card(PRESETS["integrated"])
A, B = torch.from_numpy(spd(4, 5.0, 0)), torch.from_numpy(np.random.default_rng(1).standard_normal(4))


def solution(device):
    return device.solve(Dense(A), B, 40.0).x


def errors(point, dies):
    """Relative errors of a system's solution on each die."""
    exact = torch.linalg.solve(A, B)
    found = [solution(point.device_at(CARD, die, die)) for die in dies]
    return np.array([float((x - exact).norm() / exact.norm()) for x in found])


def test_errors_are_proportional_to_the_tolerance_of_resistors():
    """Of the same dies, at tolerances that outweigh everything else; the rounding of a fine ADC is far below."""
    small, large = (errors(DesignPoint({"tolerance": level}), range(1, 9)) for level in (0.02, 0.04))
    assert np.median(large / small) == pytest.approx(2.0, rel=0.1)


def test_bits_of_the_converter_are_heeded():
    coarse, middle, fine = (errors(DesignPoint({"adc.bits": bits}), range(1, 9)).mean() for bits in (2, 4, 10))
    assert coarse > 2 * middle > 4 * fine


def test_less_isolation_is_a_larger_spread_of_temperatures():
    knob = ALIASES["isolation"]
    shown = [knob.shown(DesignPoint({"isolation": level}).card_at(CARD), level) for level in knob.levels]
    assert shown[0] == pytest.approx(0.0, abs=1e-9)
    assert (np.diff(shown) > 0).all()


@pytest.mark.parametrize("name", ALIASES)
def test_an_alias_shows_what_it_is_set_to_and_leaves_the_card_alone(name):
    knob, before = ALIASES[name], CARD.model_dump_json()
    cards = {level: DesignPoint({name: level}).card_at(CARD) for level in knob.levels}
    assert len({card.model_dump_json() for card in cards.values()}) == len(knob.levels)
    if name != "isolation":  # which shows kelvins
        assert [knob.shown(card, level) for level, card in cards.items()] == list(knob.levels)
    assert CARD.model_dump_json() == before


@pytest.mark.parametrize(
    ("name", "level", "change"),
    [
        ("adc", 4, lambda card: card.replace(technology=card.technology.replace(adc__bits=4))),
        ("isolation", 0.01, lambda card: card.replace(technology=card.technology.replace(thermal__to_hot=0.01))),
        ("tolerance", 0.1, lambda card: card.replace(mismatch=0.1)),
    ],
)
def test_dies_of_the_three_aliases_are_those_that_they_always_were(name, level, change):
    """To the last bit: of the first two the whole card is, so that studies that were stopped go on where they were."""
    now, then = DesignPoint({name: level}).card_at(CARD), change(CARD)
    if name != "tolerance":
        assert now.model_dump_json() == then.model_dump_json()
    a, b = (solution(SurrogateDevice(card, 3, 3, extrapolate=True)) for card in (now, then))
    assert torch.equal(a, b)


def test_every_figure_that_a_card_has_a_parameter_for_changes_both():
    """The parameter is that of the new figure alone, whatever the fitted one was."""
    assert set(_PARAMETERS.values()) == {change.partition("=")[0] for change in REPLACED_FIGURES.values()}
    fitted = CARD.replace(leak=3e-4, lag=1e-8, mismatch=0.02)
    card = DesignPoint({"opamp.gain": 1e3, "opamp.gbw": 1e6}).card_at(fitted)
    assert card.leak.value == pytest.approx(1e-3)
    assert card.lag.value == pytest.approx(1 / (2 * math.pi * 1e6))
    assert (card.leak.std, card.technology.opamp.gain, card.technology.opamp.gbw) == (0.0, 1e3, 1e6)
    assert card.mismatch == fitted.mismatch
    assert card.validity == fitted.validity
    # Also where the figure is the technology's own, which the fit was 1.3 times of.
    again = DesignPoint({"opamp.gain": CARD.technology.opamp.gain}).card_at(fitted)
    assert again.leak.value == pytest.approx(1 / CARD.technology.opamp.gain)


def test_one_statement_replaces_another():
    law = DesignPoint({"resistors.pelgrom_coefficient": 1e-8, "resistors.area": 1e-12})
    card = law.card_at(CARD)
    assert card.mismatch.value == pytest.approx(1e-8 / math.sqrt(2e-12))
    assert card.technology.resistors.tolerance == 0.0
    back = DesignPoint({"resistors.tolerance": 0.05}).card_at(card)
    assert (back.mismatch.value, back.technology.resistors.area) == (0.05, None)
    silicon = DeviceCard.uncalibrated("gf180mcu")
    assert silicon.technology.opamp.transistors
    offset = DesignPoint({"opamp.offset": 1e-3}).card_at(silicon)
    assert (offset.offset.value, offset.technology.opamp.transistors) == (1e-3, ())
    with pytest.raises(InputError, match=r"resistors.area = 1e-12: .*belong together"):
        DesignPoint({"resistors.area": 1e-12}).card_at(CARD)
    with pytest.raises(InputError, match="tolerance excludes"):
        DesignPoint({**law, "resistors.tolerance": 0.1}).card_at(CARD)


def test_areas_are_chosen_then():
    point = DesignPoint({"area.adc": 1e-8})
    figure = point.technology_at(PRESETS["integrated"]).area.adc
    assert (figure.value, figure.kind) == (1e-8, "chosen")
    with pytest.raises(InputError, match="states no areas"):
        point.technology_at(PRESETS["ideal"])


def test_the_device_is_read_programmed_and_refined_as_the_point_says():
    plain = solution(DesignPoint().device_at(CARD, 1, 2))
    assert torch.equal(plain, solution(SurrogateDevice(CARD, 1, 2, extrapolate=True)))
    noisy = solution(DesignPoint({"adc.noise": 0.01}).device_at(CARD, 1, 2))
    turned = {
        "readout.reads": 4,
        "readout.null_offsets": True,
        "programming.compensate_leak": True,
        "programming.verified_cells": 4,
        "device.layout": True,
        "refined.rounds": 1,
    }
    for name, value in turned.items():
        point = DesignPoint({"adc.noise": 0.01, name: value})
        point.require_heeded(CARD)
        assert not torch.equal(solution(point.device_at(CARD, 1, 2)), noisy), name
    device = DesignPoint({"refined.deflation": 1, "readout.reads": 2}).device_at(CARD, 1, 2)
    assert isinstance(device, Refined)
    assert (device.rounds, device.tolerance, device.deflation) == (8, 1e-2, 1)
    assert device.device.read_out == ReadOut(reads=2)


def test_settings_of_the_optimizer():
    point = DesignPoint({"tngd.damping": 1, "tngd.system": "primal", "training.batch": 4.0, "adc": 8})
    assert point.settings == {"damping": 1.0, "system": "primal"}
    assert (point.steps, point.batch) == (None, 4)
    assert dict(point.of("technology")) == {"adc.bits": 8}
    assert point["adc"] == 8
    assert dict(point | {"adc": 4}) == {**point, "adc.bits": 4}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"adc.bit": 8}, r"knob 'adc.bit' is unknown; .*did you mean adc.bits\?"),
        ({"damping": 0.1}, "knob 'damping' is unknown; .*did you mean tngd.damping|of that there are: tngd.damping"),
        ({"adc": 8, "adc.bits": 4}, "adc.bits is given twice"),
        ({"adc.bits": 30}, "adc.bits is 30 bit: give a whole number from 1 to 24, or none"),
        ({"adc.bits": True}, "adc.bits is True: give a whole number"),
        ({"resistors.tolerance": math.nan}, "resistors.tolerance is nan: give a number from 0 to 0.5"),
        ({"tngd.system": "triple"}, "tngd.system is 'triple': give one of dual, primal, kronecker, kfac"),
        ({"refined.chopped": 1}, "refined.chopped is 1: give true or false"),
        ({"refined.tolerance": 1.0}, "refined.tolerance is 1: give a number above 0 and below 1, or none"),
        ({"opamp.gain": "large"}, "opamp.gain is 'large': give a number above 1 or inf"),
    ],
)
def test_bad_values(values, words):
    with pytest.raises(InputError, match=words):
        DesignPoint(values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"opamp.slew": 1e6}, "slew rate of amplifiers.*SpiceDevice with amplifier=Macromodel"),
        ({"dac.capacitance": 1e-12}, "capacitance at DACs.*SpiceDevice with layout=True"),
        ({"dac.noise": 1e-3}, "only an ADC's is modelled: leave dac.noise out"),
        ({"inductors.unit": 1e-3}, "fabric .* has no inductors"),
        ({"adc.rate": 1e6}, "changes no reading: see `thermograd cost`"),
        ({"area.bit": 1e-12}, "it decides on area"),
        ({"wires.segment_resistance": 1.0}, "set device.layout to true"),
        ({"opamp.noise_voltage_corner": 1e3}, "set opamp.noise_voltage"),
        ({"thermal.hot_temperature": 350.0}, "set thermal.to_hot"),
        ({"programming.verify_levels": 8}, "set programming.verified_cells"),
    ],
)
def test_what_nothing_heeds_is_said_with_the_remedy(values, words):
    card = CARD.replace(technology=CARD.technology.replace(opamp__noise_voltage=0.0, thermal__to_hot=0.0))
    with pytest.raises(InputError, match=words):
        DesignPoint(values).require_heeded(card)


def test_what_acts_through_another_knob_is_heeded_beside_it():
    for values in (
        {"wires.segment_resistance": 1.0, "device.layout": True},
        {"opamp.noise_voltage_corner": 1e3, "opamp.noise_voltage": 1e-8},
        {"thermal.hot_temperature": 350.0, "isolation": 0.01},
        {"programming.verify_levels": 8, "programming.verified_cells": 4},
    ):
        DesignPoint(values).require_heeded(CARD)


def test_a_passive_fabric_has_no_amplifiers():
    card = DeviceCard.uncalibrated("ideal", "rc")
    with pytest.raises(InputError, match="fabric rc has no amplifiers"):
        DesignPoint({"opamp.gain": 1e3}).card_at(card)


def test_a_machine_that_is_no_card_keeps_its_technology():
    with pytest.raises(InputError, match="a str is a machine as it was built"):
        DesignPoint({"adc": 8}).card_at("board.json")  # type: ignore[arg-type]
    assert DesignPoint({"tngd.damping": 0.1}).card_at("board.json") == "board.json"  # type: ignore[arg-type]


def test_names_are_read_from_aliases_too():
    assert knob_named("adc").target == "adc.bits"
    assert dataclasses.replace(ALIASES["adc"], name="adc.bits", of="").allowed == KNOBS["adc.bits"].allowed
    assert hash(DesignPoint({"adc": 8})) == hash(DesignPoint({"adc.bits": 8.0}))
