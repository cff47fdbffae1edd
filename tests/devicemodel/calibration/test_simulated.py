"""Calibration against ngspice, small but whole: what it predicts, what it rejects, and that a wrong card fails."""

import math
import re
from importlib.metadata import version

import numpy as np
import pytest
import torch

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.calibration.evidence import Comparison, compare, explained_variance
from thermograd.devicemodel.calibration.fitting import parameters_of
from thermograd.devicemodel.calibration.simulated import calibrate, calibrate_with_evidence
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.estimate import RANGES
from thermograd.devicemodel.systems import Dense

SMALL = {"seed": 3, "sizes": (4, 6), "dies": (1, 2), "new_dies": (101,)}


@pytest.fixture(scope="module")
def calibration():
    return calibrate_with_evidence("integrated", **SMALL)


def judged(card, comparisons):
    """The same held-out systems, as another card predicts them."""
    found = []
    for item in comparisons:
        case = item.case
        x = (
            SurrogateDevice(card, case.die, extrapolate=True)
            .solve(Dense(torch.tensor(case.matrix)), torch.tensor(case.b), case.duration)
            .x.numpy()
        )
        error = (x - case.solution) / np.linalg.norm(case.solution)
        found.append(Comparison(case, item.spice, error, item.new_die))
    return found


@pytest.mark.slow
def test_held_out_systems_of_the_same_dies_are_explained(calibration):
    held = calibration.card.held_out
    assert held.explained_variance >= 0.95
    assert held.systems == len(calibration.comparisons) == 4
    assert held.residual < 0.3 * held.spice_error
    same = [item for item in calibration.comparisons if not item.new_die]
    assert held.explained_variance == pytest.approx(explained_variance(same))


@pytest.mark.slow
def test_dies_that_were_not_fitted_are_explained_too(calibration):
    assert calibration.card.held_out.explained_variance_new_dies >= 0.9
    assert {item.case.die for item in calibration.comparisons if item.new_die} == {101}


@pytest.mark.slow
def test_the_technologys_own_figures_are_found(calibration):
    card, technology = calibration.card, preset("integrated")
    truth = {
        "gain": 1.0,
        "leak": 1 / technology.opamp.gain,
        "lag": 1 / (2 * math.pi * technology.opamp.gbw),
        "mismatch": technology.resistors.tolerance,
        "capacitor_mismatch": technology.capacitors.tolerance,
        "offset": technology.opamp.offset,
        "noise_power": 1.0,
    }
    for name, true in truth.items():
        low, high = getattr(card, name).interval(0.999)
        assert low <= true <= high, name
        assert getattr(card, name).value == pytest.approx(true, rel=0.2 if name == "noise_power" else 0.02), name


@pytest.mark.slow
def test_held_out_figures_have_intervals(calibration):
    held = calibration.card.held_out
    assert set(held.intervals) == {"explained_variance", "explained_variance_new_dies", "spice_error", "residual"}
    for name, (low, high) in held.intervals.items():
        assert low <= getattr(held, name) <= high
    assert " (95 %: " in dict(calibration.card.summary())["left unexplained"]


@pytest.mark.slow
def test_the_card_says_what_it_has_seen_and_by_what(calibration):
    card, cases = calibration.card, [item.case for item in calibration.comparisons]
    validity, technology = card.validity, preset("integrated")
    assert validity.unknowns == (4, 6)
    assert validity.condition_number[1] >= max(np.linalg.cond(case.matrix) for case in cases) * (1 - 1e-9)
    assert validity.duration == math.inf
    assert 0.8 <= validity.level <= technology.opamp.output_limit
    for seed in (1, 2, 101):
        die = Die(technology, seed)
        assert validity.temperature[0] <= die.temperatures.min() < die.temperatures.max() <= validity.temperature[1]
    assert re.fullmatch(r"ngspice .*\d.*", card.provenance["simulator"])
    assert card.provenance["thermograd"] == version("thermograd")
    assert card.provenance["fitted_runs"] == 8
    # So its own systems are within, and a larger one is not.
    device = SurrogateDevice(card, 1)
    for case in cases:
        found = device.solve(Dense(torch.tensor(case.matrix)), torch.tensor(case.b), case.duration)
        assert found.violations == ()
    with pytest.raises(InputError, match="7 unknowns, calibrated for 4 to 6"):
        device.solve(Dense(torch.eye(7, dtype=torch.float64)), torch.ones(7, dtype=torch.float64), 1.0)


FINE = preset("integrated").replace(thermal__johnson_noise=False, dac__bits=None, adc__bits=None, adc__noise=0.0)
"""Converters that hide nothing: what a surrogate leaves unexplained is the law's."""


@pytest.mark.parametrize(
    ("fabric", "wrong"),
    [
        ("rc", {"mismatch": 0.02}),
        ("lc", {"inductor_mismatch": 0.0}),
        ("spu", {"capacitor_mismatch": 0.01}),
        ("oscillator", {"leak": 2e-3}),
    ],
)
def test_a_card_of_each_fabric_has_its_parts_and_predicts_other_systems_and_dies(fabric, wrong):
    found = calibrate_with_evidence(FINE, fabric, seed=3, sizes=(3,), dies=(1, 2), new_dies=(101,))
    card, kind = found.card, fabric_named(fabric)
    assert min(card.held_out.explained_variance, card.held_out.explained_variance_new_dies) > 0.98
    for name in parameters_of(kind):
        low, high = getattr(card, name).interval(0.999)
        assert low <= getattr(DeviceCard.uncalibrated(FINE, fabric), name).value <= high, name
    assert card.validity.duration == (math.inf if kind.mean else 2.0)
    # Negative control: the card's figures do not matter by chance.
    other = [
        compare(item.case, run, card.replace(**wrong), item.new_die)
        for item, run in zip(found.comparisons, found.held, strict=True)
    ]
    assert explained_variance(other) < 0.98


@pytest.mark.long
def test_amplifiers_with_limits_are_calibrated_too():
    technology = preset("integrated")
    found = calibrate_with_evidence(technology, **SMALL, amplifier=Macromodel(technology.opamp))
    card = found.card
    assert card.pole.value == pytest.approx(1 / (2 * math.pi * technology.opamp.second_pole))
    assert card.provenance["amplifier"] == "Macromodel"
    assert card.held_out.explained_variance >= 0.95
    # Negative control: where the host sees how far beyond the rail a linear amplifier would be, it takes another signal level.
    assert explained_variance(judged(card.replace(clamp=math.inf), found.comparisons)) < 0.95


@pytest.mark.long
def test_op_amps_of_one_output_are_calibrated_with_their_inverters():
    technology = preset("breadboard")
    found = calibrate_with_evidence(technology, **SMALL)
    card = found.card
    assert card.fabric == "crossbar_single"
    assert min(card.held_out.explained_variance, card.held_out.explained_variance_new_dies) > 0.99
    # What is left is the ADC's: its noise and steps, of a reading of some volts.
    assert card.held_out.residual < 0.1 * card.held_out.spice_error
    # One rail has no mismatch of a pair that the law would leave out.
    truth = {
        "mismatch": technology.resistors.tolerance,
        "capacitor_mismatch": technology.capacitors.tolerance,
        "offset": technology.opamp.offset,
        "leak": 1 / technology.opamp.gain,
        "lag": 1 / (2 * math.pi * technology.opamp.gbw),
    }
    for name, true in truth.items():
        low, high = getattr(card, name).interval(0.999)
        assert low <= true <= high, name
        assert getattr(card, name).value == pytest.approx(true, rel=0.1 if name == "leak" else 5e-3), name
    assert abs(card.noise_power.value - 1.0) < 4 * card.noise_power.std
    # Negative controls: the card's figures do not matter by chance.
    for change in ({"mismatch": 0.006}, {"offset": 0.0}):
        assert explained_variance(judged(card.replace(**change), found.comparisons)) < 0.99


def test_a_fabric_that_the_amplifiers_do_not_make_is_rejected_before_anything_is_simulated():
    with pytest.raises(UnrealisableError, match=r"set opamp\.outputs to 2.*use fabric='crossbar_single'"):
        calibrate("breadboard", fabric="crossbar")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_card(calibration):
    assert calibrate_with_evidence("integrated", **SMALL, workers=1).card == calibration.card


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"mismatch": 0.0}, {"mismatch": 0.03}, {"leak": 5e-3}])
def test_a_wrong_card_fails(calibration, change):
    assert explained_variance(judged(calibration.card, calibration.comparisons)) >= 0.9
    assert explained_variance(judged(calibration.card.replace(**change), calibration.comparisons)) < 0.8


@pytest.mark.parametrize("passive", [False, True])
def test_random_systems_are_definite_and_of_unit_mean_diagonal(passive):
    for n in (1, 2, 8):
        a = random_system(n, 30.0, passive, np.random.default_rng(n))
        assert np.linalg.eigvalsh(a)[0] > 0
        assert np.trace(a) == pytest.approx(n)
        np.testing.assert_array_equal(a, a.T)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"technology": "silicon"}, "preset 'silicon'"),
        ({"fabric": "copper"}, "fabric 'copper' cannot be calibrated; use 'auto' or"),
        ({"dies": ()}, "non-empty"),
        ({"dies": (1, 2), "new_dies": (2,)}, "common"),
        ({"sizes": ()}, "sizes"),
        ({"sizes": (0,)}, "sizes"),
        ({"seed": -1}, "seed"),
        ({"systems": [(np.ones((2, 3)), np.ones(2))]}, "square"),
        ({"systems": [(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2))]}, "indefinite"),
        ({"systems": [(np.eye(2), np.ones(3))]}, "2 unknowns"),
    ],
)
def test_bad_options_raise_before_anything_is_simulated(options, message):
    with pytest.raises(InputError, match=message):
        calibrate(**({"technology": "integrated"} | options))


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_where_there_is_nothing_to_explain_it_is_said(tmp_path):
    card = calibrate("integrated", **SMALL | {"sizes": (1,)})
    assert math.isnan(card.held_out.explained_variance)
    assert math.isnan(card.held_out.explained_variance_new_dies)
    assert "dac: not identified by these runs" in card.unidentifiable
    card.write(tmp_path / "card.json")
    assert DeviceCard.read(tmp_path / "card.json").validity.unknowns == (1, 1)


def test_nothing_is_explained_of_no_comparisons():
    assert math.isnan(explained_variance([]))


@pytest.mark.slow
@pytest.mark.parametrize("fabric", ["crossbar", "dual_rail"])
def test_parameters_that_are_zero_do_not_come_out_below(fabric, tmp_path):
    # And dies of very different temperatures have a range above zero.
    card = calibrate(preset("ideal").replace(thermal__ambient_rms=90.0), fabric=fabric, **SMALL | {"sizes": (4,)})
    assert card.validity.temperature[0] == 0.0
    assert all(getattr(card, name).value >= 0 for name in RANGES)
    card.write(tmp_path / "card.json")
    assert DeviceCard.read(tmp_path / "card.json") == card
    assert card.validity.layout is False
