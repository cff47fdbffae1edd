"""Figures of data sheets against laws of ideal parts, and against technologies that are known to be worse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from thermograd.circuits import preset
from thermograd.circuits.errors import InputError
from thermograd.devicemodel import DatasheetConditions, DeviceCard, Specification, make_datasheet
from thermograd.devicemodel.card import shipped_card
from thermograd.devicemodel.datasheet import Corner
from thermograd.devicemodel.datasheet.spice_check import chosen

A = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.2], [0.0, -0.2, 1.5]])
B = np.array([1.0, -2.0, 0.5])


def sheet(hardware: Any, specification: Specification | None = None, **fields: Any) -> dict[str, Any]:
    """Of one system of three unknowns; of one die at 27 C if nothing else is said."""
    given = {"unknowns": (), "dies": 1, "temperatures": (27.0,), "repeats": 2} | fields
    return make_datasheet(hardware, DatasheetConditions(**given), specification, [(A, B)])


def figure(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["figures"] if one["figure"] == name)


def test_an_ideal_technology_settles_by_the_law_and_errs_by_the_rest() -> None:
    found = sheet("ideal", accuracy=0.001)
    board = preset("ideal")
    tau = board.resistors.unit * board.capacitors.unit / np.abs(A).max() ** 0
    seconds = figure(found, "settling")["max"]
    # |exp(-A t)| = exp(-lambda_min t), in units of the largest entry's conductance.
    expected = tau * math.log(1000) * np.abs(A).max() / np.linalg.eigvalsh(A)[0]
    assert seconds == pytest.approx(expected, rel=2e-3)
    assert 0 < figure(found, "bare_error")["max"] <= 0.001 * (1 + 1e-6)
    assert figure(found, "refined_error")["max"] < 1e-6
    assert figure(found, "noise")["max"] == 0
    assert figure(found, "area")["max"] is None
    assert figure(found, "area")["why_missing"] == "technology ideal states no areas"
    assert "opamp.power" in figure(found, "energy_bare")["unsourced"]


def test_resistors_that_are_all_off_show_in_a_passive_array_and_cancel_in_a_crossbar() -> None:
    board = preset("ideal").replace(resistors__die_to_die=0.05)
    asked = {"corners": {"slow": Corner(resistors=3.0)}, "accuracy": 1e-6}
    passive = sheet(DeviceCard.uncalibrated(board, "dual_rail"), **asked)
    assert figure(passive, "bare_error")["max"] == pytest.approx(math.exp(0.15) - 1, rel=1e-3)
    assert figure(sheet(board, **asked), "bare_error")["max"] < 1e-4


def test_a_slow_corner_settles_later_and_the_host_waits_for_it() -> None:
    board = preset("ideal").replace(capacitors__die_to_die=0.05)
    found = sheet(board)
    places = {one["corner"]: one for one in figure(found, "settling")["places"]}
    slow, fast = places["slow"]["max"], places["fast"]["max"]
    assert slow / fast == pytest.approx(math.exp(6 * 0.05), rel=1e-3)
    # Runs last as long as the slowest die needs: nowhere is the rest of settling above 1 %.
    assert figure(found, "bare_error")["max"] <= 0.01 * (1 + 1e-3)
    times = figure(found, "time_bare")
    assert times["min"] == times["max"]


def test_a_worse_technology_fails_what_a_better_one_passes() -> None:
    limits = Specification(limit=[{"figure": "bare_error", "max": 0.1}, {"figure": "area", "max": 1.0}])
    board = preset("ideal").replace(resistors__tolerance=0.01, area=preset("integrated").area.model_dump())
    good = sheet(board, limits)
    assert [one["verdict"] for one in good["specification"]] == ["pass", "pass"]
    assert good["passed"] is True
    bad = sheet(board.replace(resistors__tolerance=0.3, area=None), limits)
    assert [one["verdict"] for one in bad["specification"]] == ["fail", "not known"]
    assert bad["passed"] is False
    assert figure(bad, "bare_error")["typ"] > 3 * figure(good, "bare_error")["typ"]


def test_noise_follows_the_temperature_of_its_resistors() -> None:
    quiet = preset("integrated").replace(opamp__noise_voltage=0.0, adc__noise=0.0, thermal__ambient_rms=0.0)
    found = sheet(quiet, temperatures=(-173.15, 226.85), repeats=150)
    cold, hot = (one["typ"] for one in figure(found, "noise")["places"])
    # 447 degrees of freedom each: the ratio's standard error is 4.7 %; noise that did not follow would be 11 of them away.
    assert hot / cold == pytest.approx(math.sqrt(500 / 100), rel=0.15)


def test_a_card_says_what_it_was_not_calibrated_for_and_where_figures_are_from() -> None:
    found = sheet(shipped_card("gf180mcu"), temperatures=(27.0, 85.0), corners=("tt", "ss"))
    assert any("calibrated for 4 to 16" in one for one in found["remarks"])
    assert found["made_of"]["calibrated"] is True
    origins = {one["figure"]: one for one in found["origins"]}
    assert origins["opamp.gain"]["kind"] == "simulated"
    assert origins["card.lag"]["source"].startswith("fitted to simulator ngspice")
    assert origins["corner.ss"]["kind"] == "simulated"
    assert origins["area.adc"]["kind"] == "published"
    assert figure(found, "energy_refined")["unsourced"] == []
    effects = {one["effect"]: one for one in found["not_modelled"]}
    assert effects["slew rate of amplifiers"]["stated"] is True
    assert "corners state them" in effects["temperature of offset, gain and bandwidth"]["remark"]
    places = {(one["corner"], one["temperature"]): one["typ"] for one in figure(found, "settling")["places"]}
    assert places["ss", 85.0] > places["tt", 27.0]


def test_an_edited_figure_loses_its_source() -> None:
    board = preset("gf180mcu").replace(link__energy=0.0, opamp__power=1e-3)
    found = sheet(board, corners=("typical",))
    origins = {one["figure"]: one["kind"] for one in found["origins"]}
    assert (origins["opamp.power"], origins["link.energy"], origins["dac.figure_of_merit"]) == (
        "stated",
        "not stated",
        "projected",
    )
    assert figure(found, "energy_bare")["unsourced"] == ["opamp.power", "link.energy"]


def test_a_die_reads_the_same_again_and_beside_others() -> None:
    noisy = preset("ideal").replace(resistors__tolerance=0.01, thermal__johnson_noise=True)
    both = sheet(noisy, dies=[4, 9])
    alone = sheet(noisy, dies=[9], run=figure(both, "settling")["max"])
    for name in ("bare_error", "refined_error", "noise", "damping", "energy_bare"):
        assert figure(alone, name)["dies"][0] == figure(both, name)["dies"][1]


def test_a_matrix_that_cannot_be_held_is_no_figure_and_no_crash() -> None:
    board = preset("ideal").replace(resistors__bits=1)
    stiff = np.array([[1.0, 0.99], [0.99, 1.0]])
    found = make_datasheet(
        board,
        DatasheetConditions(unknowns=(), dies=1, temperatures=(27.0,), repeats=2),
        Specification(limit=[{"figure": "bare_error", "max": 1.0}]),
        [(stiff, np.ones(2))],
    )
    assert found["passed"] is False
    assert any("cannot be built" in one for one in found["remarks"])
    assert figure(found, "bare_error")["missing"] == 1


@pytest.mark.parametrize(
    ("hardware", "fields", "systems", "message"),
    [
        (3, {}, [], "hardware is a int"),
        ("integrated", {"corners": ("ss",)}, [], "corner 'ss' is none of technology integrated's, which has typical"),
        ("gf180mcu", {"temperatures": (50.0,)}, [], "known at -40, 27, 85 C"),
        ("integrated", {"unknowns": ()}, [], "nothing to solve"),
        ("integrated", {}, [(A, np.zeros(3))], "b is zero"),
        ("integrated", {}, [(-A, B)], "not positive definite"),
        (DeviceCard.uncalibrated("integrated", "factored"), {}, [], "has no data sheet yet"),
    ],
)
def test_mistakes_are_named(hardware: Any, fields: dict[str, Any], systems: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_datasheet(hardware, DatasheetConditions(**fields), systems=systems)


def test_readings_are_repeated_in_ngspice() -> None:
    board = preset("integrated").replace(resistors__die_to_die=0.05)
    found = sheet(board, corners=("slow",), spice=1)["spice"]
    assert found["readings"] == 1
    # Without noise, rounding of converters included: far below the error itself.
    assert found["largest_difference"] < 0.01 * found["spice_errors"][0]
    assert found["surrogate_errors"][0] == pytest.approx(found["spice_errors"][0], rel=0.01)


def test_the_worst_reading_and_others_in_between_are_repeated() -> None:
    assert chosen(np.array([0.1, np.nan, 0.5, 0.2, 0.3]), 3) == [2, 0, 3]
    assert chosen(np.array([np.nan]), 3) == []


def test_passive_arrays_take_systems_that_they_hold() -> None:
    asked = DatasheetConditions(unknowns=(3,), systems=1, dies=1, temperatures=(27.0,), repeats=2)
    found = make_datasheet(DeviceCard.uncalibrated("ideal", "rc"), asked)
    assert figure(found, "refined_error")["max"] < 1e-4
    assert figure(found, "damping_law")["why_missing"].startswith("there is no law of it for this fabric")
    assert found["remarks"] == []
