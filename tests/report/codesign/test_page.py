"""What the page of a co-design says, and what it rejects."""

from __future__ import annotations

import json
import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.report.codesign import answer, units
from thermograd.report.codesign.page import page_of, script_data, write_codesign_page
from thermograd.report.codesign.payload import knob_axes, payload
from thermograd.report.codesign.result_file import checked, read_result
from thermograd.report.codesign.specification import margin_meaning, specification
from thermograd.report.codesign.yield_curve import threshold, yield_curve

from .sample_codesign import EXACT, KNOBS, sample_codesign

SAMPLE = sample_codesign(designs=20)
_PLAIN = st.recursive(
    st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(st.text(), deeper, max_size=4),
    max_leaves=10,
)


def test_the_winner_is_named_with_its_spread_and_against_no_die():
    said = " ".join(answer.answer(checked(SAMPLE)))
    assert f"Design {SAMPLE['winner']} is the cheapest" in said
    assert "97.00 % ± 0.15 % over 10 dies × 3 seeds; exact NGD 97.20 %" in said
    assert "The die pays in energy and not in time" in said


@pytest.mark.parametrize(
    ("seconds", "joules", "verdict"),
    [
        (1.0, 9.0, "does not pay, in energy or time"),
        (1e-6, 1e-6, "pays, in energy and time"),
    ],
)
def test_whether_the_die_pays_follows_the_costs(seconds, joules, verdict):
    result = sample_codesign(designs=20)
    for design in result["designs"]:
        design.update(seconds=seconds, joules=joules)
    assert verdict in " ".join(answer.answer(checked(result)))


def test_unsourced_prices_are_named_in_the_line_of_the_total():
    result = sample_codesign(designs=20)
    for design in result["designs"]:
        design["unsourced"] = ["area.adc: chosen", "link.energy: chosen"]
    data = payload(checked(result))
    assert answer.answer(checked(result))[0].count("unsourced prices") == 2
    for design in data["designs"]:
        lines = dict(design["facts"])
        assert "link.energy" in lines["energy of the training"]
        assert "link.energy" in lines["time of the training"]
        assert "area.adc" in lines["area"]
        assert all(design["texts"][key].endswith("†") for key in ("energy", "time", "area"))
    page = page_of(checked(result), "")
    assert "<li>link.energy: chosen</li>" in page


def test_margins_are_those_of_the_winner_alone():
    result = checked(SAMPLE)
    knobs = knob_axes(result)
    rows = {
        design.number: {row[1]: row[3:] for row in specification(design, result, knobs)} for design in result.designs
    }
    own = rows[result.winner]
    assert own["resistors.tolerance"][0].startswith("up to")
    assert own["resistors.tolerance"][1] == "1.8 ×"
    assert own["adc.bits"] == ["no worse", "none"]
    assert own["opamp.gain"] == ["no end found", ""]
    assert own["opamp.gbw"][0].startswith("down to")
    assert all(set(map(tuple, of.values())) == {("–", "")} for number, of in rows.items() if number != result.winner)


def test_a_bare_design_has_no_figures_of_refinement():
    data = sample_codesign(designs=2, winner=False)
    data["designs"][0]["reading"] = "bare"
    result = checked(data)
    bare, refined = ({row[1] for row in specification(design, result, knob_axes(result))} for design in result.designs)
    assert refined - bare == {"refined.chopped"}
    assert payload(result)["designs"][0]["texts"]["refined.chopped"] == units.NONE


def test_a_margin_on_both_sides_is_an_interval():
    both = {
        "knob": "opamp.gbw",
        "value": 1e8,
        "worst": 2e8,
        "factor": 2,
        "low": 1e7,
        "high": 2e8,
        "low_misses": 9e6,
        "high_misses": 3e8,
    }
    fixed = {"knob": "opamp.offset", "value": 1e-4, "worst": 4e-4, "factor": 4.0}
    result = checked(sample_codesign(designs=20) | {"margins": [both, fixed], "margins_by": "short"})
    found = {row[1]: row for row in specification(result.design(result.winner), result, knob_axes(result))}
    assert found["opamp.gbw"][3:] == ["10 MHz to 200 MHz", "2.0 ×"]
    assert found["opamp.offset"][2:] == ["100 µV", "up to 400 µV", "4.0 ×"]
    assert "short trainings" in margin_meaning(result)
    assert all(column["key"] != "opamp.offset" for column in payload(result)["columns"])


def test_the_yield_curve_counts_dies_by_the_mean_of_their_seeds():
    confirmation = {"dies": [1, 2], "seeds": [0, 1], "scores": [0.97, 0.98, 0.95, math.nan]}
    result = checked(sample_codesign(designs=5, confirmation=confirmation))
    curve = yield_curve(result)
    shares = dict(zip(curve["limits"], curve["share"], strict=True))
    assert threshold(result) == pytest.approx(EXACT - 0.003)
    assert threshold(checked(sample_codesign(designs=1, limit=0.9))) == 0.9
    assert threshold(checked(sample_codesign(designs=1, target="as good as can be"))) is None
    assert shares[0.975] == 0.5  # the second die has a training that diverged
    assert shares[max(shares)] == 0.0
    assert (curve["dies"], curve["seeds"]) == (2, 2)
    rows = checked(sample_codesign(designs=5, confirmation=confirmation | {"scores": [[0.97, 0.98], [0.95, None]]}))
    assert yield_curve(rows) == curve


def test_a_candidate_that_fails_on_further_dies_is_no_winner():
    confirmation = {
        "dies": [101, 102],
        "seeds": [0],
        "scores": [0.97, 0.1],
        "mean": 0.535,
        "std": 0.615,
        "holds": False,
    }
    result = checked(sample_codesign(designs=5, winner=False, confirmation=confirmation))
    assert "missed it on further dies and seeds: test accuracy 53.50 %" in answer.answer(result)[0]
    assert yield_curve(result)["whose"] == "the last design tried"


def test_nothing_checked_in_spice_is_said():
    assert "Nothing was checked in SPICE" in answer.spice(checked(sample_codesign(designs=5, confirmation=None)))[0]
    assert "12 solves" in answer.spice(checked(SAMPLE))[0]


def test_sensitivity_within_its_interval_is_not_advice():
    indices = {"first": 0.02, "first_conf": 0.2, "total": 0.1, "total_conf": 0.3}
    result = checked(sample_codesign(designs=5, sensitivity={"score": "test accuracy", "knobs": {"adc.bits": indices}}))
    assert "No figure stands out" in answer.sensitivity_sentence(result, knob_axes(result))


@settings(max_examples=40)
@given(_PLAIN)
def test_data_in_a_script_is_the_same_data_and_no_markup(data):
    text = script_data(data)
    assert json.loads(text) == data
    assert not set("<>&") & set(text)


@settings(max_examples=40)
@given(value=st.floats(min_value=1e-17, max_value=1e12))
def test_figures_are_short_and_to_three_digits(value):
    for text in (
        units.joules(value),
        units.seconds(value),
        units.area(value),
        units.setting(value, "Hz"),
        units.setting(value, ""),
    ):
        assert len(text) <= 18
        assert "e" not in text.removesuffix("min")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "reads 1"),
        ({"winner": 99}, "none of its 5 designs"),
        ({"designs": [SAMPLE["designs"][0]] * 2, "winner": None}, "stands twice"),
        ({"knobs": [{"title": "x"}]}, "knobs.0.name"),
        ({"score": "accuracy"}, "field score"),
        (
            {"designs": [SAMPLE["designs"][0] | {"yield": {"met": 1, "dies": 0, "low": 0, "high": 1}}], "winner": None},
            "yield.dies",
        ),
    ],
)
def test_a_result_that_cannot_be_is_rejected_with_its_field(changes, says):
    with pytest.raises(InputError, match=says):
        checked(sample_codesign(designs=5, winner=False) | changes)


def test_scores_that_do_not_fit_the_dies_are_rejected():
    with pytest.raises(InputError, match="same number of seeds"):
        yield_curve(checked(sample_codesign(designs=5, confirmation={"dies": [1, 2], "scores": [0.9, 0.9, 0.8]})))


def test_a_file_that_is_cut_is_rejected(tmp_path):
    path = tmp_path / "codesign.json"
    path.write_text(json.dumps(SAMPLE)[:-10])
    with pytest.raises(InputError, match="is the file complete"):
        read_result(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_result(tmp_path / "none.json")


def test_a_file_gives_the_page_that_its_result_does(tmp_path):
    path = tmp_path / "codesign.json"
    path.write_text(json.dumps(SAMPLE))  # nan and inf as Python writes them
    page = page_of(read_result(path), "")
    assert page == page_of(checked(SAMPLE), "")
    for knob in KNOBS:
        assert knob["name"] in page
    assert SAMPLE["seeds"][0] == 0
    assert "thermograd codesign --task digits" in page
    assert "5.85 TFLOP/s, 400 W at work, 53.0 W waiting" in page


def test_without_plotly_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(InputError, match=r"thermograd\[study\]"):
        write_codesign_page(SAMPLE, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
