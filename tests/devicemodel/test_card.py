"""Device cards: files come back as they were, and no damaged one is taken."""

import json
import math

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology import Converter, Technology
from thermograd.devicemodel.card import DeviceCard, Estimate

from ..systems import true_card

CARD = true_card(Technology.preset("integrated"))


def changed(**fields):
    return json.dumps(json.loads(CARD.model_dump_json()) | fields)


@pytest.mark.parametrize("name", ["ideal", "integrated"])
def test_a_card_survives_its_file(tmp_path, name):
    card = true_card(Technology.preset(name), leak=0.0, lag=0.0)
    card.write(tmp_path / "card.json")
    assert DeviceCard.read(tmp_path / "card.json") == card


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        (CARD.model_dump_json()[:-20], "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[1]", "format None"),
        ("{}", "format None"),
        (changed(format=99), "format 99.*reads 1"),
        (changed(fabric="rc"), "fabric"),
        (changed(technology={"adc": {"bits": 99}}), r"adc\.bits"),
        (changed(technology={"self": 1}), "self"),
        (changed(mismatch={"value": "NaN", "std": 0}), r"mismatch\.value"),
        (changed(mismatch={"value": 0.1, "std": -1}), r"mismatch\.std"),
        (changed(mismatch=0.1), "mismatch"),
        (changed(adc={"bits": 99}), r"adc\.bits"),
        (changed(surprise=1), "surprise"),
        (changed(provenance={"who": {"deep": 1}}), "provenance"),
    ],
)
def test_a_damaged_card_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        DeviceCard.read(path)
    assert "card.json" in str(caught.value)


def test_a_missing_or_unreadable_card_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json.*No such file"):
        DeviceCard.read(tmp_path / "nowhere.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.json"):
        DeviceCard.read(tmp_path / "binary.json")


def test_a_what_if_changes_one_parameter():
    card = CARD.replace(mismatch=0.05, adc=Converter(bits=4))
    assert card.mismatch == Estimate(value=0.05, std=0.0)
    assert card.adc.bits == 4
    assert card.replace(mismatch=CARD.mismatch, adc=CARD.adc) == CARD


@pytest.mark.parametrize(
    "change", [{"mismach": 1.0}, {"mismatch": "much"}, {"mismatch": math.nan}, {"fabric": "rc"}, {"adc": 3}]
)
def test_an_impossible_what_if_is_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        CARD.replace(**change)


def test_the_summary_names_what_was_fitted():
    names = [name for name, _ in CARD.summary()]
    assert {"gain", "leak", "lag", "mismatch", "capacitor_mismatch", "offset", "noise"} <= set(names)
