"""Technologies: presets, files, and errors that name the field."""

import inspect
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.parts import OpAmp, Resistors
from thermograd.circuits.technology.presets import PRESETS, as_technology, preset
from thermograd.circuits.technology.technology import Technology

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
fields = st.sampled_from(
    ["name", "source", "resistors", "opamp", "adc", "thermal", "unit", "bits", "self", "gain", "cells"]
)
records = st.dictionaries(
    fields, scalars | st.lists(scalars, max_size=2) | st.dictionaries(fields, scalars, max_size=3), max_size=3
)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_every_preset_survives_a_file(tmp_path, name, suffix):
    technology = preset(name)
    technology.write(tmp_path / f"t{suffix}")
    assert Technology.read(tmp_path / f"t{suffix}") == technology


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_names_itself_and_its_source(name):
    technology = preset(name)
    assert technology.name == name
    assert len(technology.source) > 20


def test_the_ideal_technology_is_perfect():
    ideal = preset("ideal")
    assert ideal.opamp.gain == ideal.opamp.gbw == math.inf
    assert (ideal.resistors.tolerance, ideal.capacitors.tolerance, ideal.opamp.offset) == (0, 0, 0)
    assert ideal.adc.bits is None
    assert not ideal.thermal.johnson_noise


def test_the_paper_technology_has_the_papers_figures():
    paper = preset("paper")
    assert paper.resistors.unit * paper.capacitors.unit == pytest.approx(1e-6)
    assert (paper.dac.bits, paper.adc.bits, paper.link.rate, paper.link.word) == (16, 16, 50e9, 16)


@settings(max_examples=25)
@given(st.floats(1.1, 1e12) | st.just(math.inf), st.floats(1, 1e12) | st.just(math.inf), st.floats(1e-3, 1e9))
def test_infinite_and_ordinary_values_survive_both_formats(tmp_path_factory, gain, gbw, unit):
    folder = tmp_path_factory.mktemp("technology")
    technology = Technology(opamp=OpAmp(gain=gain, gbw=gbw), resistors=Resistors(unit=unit))
    for name in ("t.toml", "t.json"):
        technology.write(folder / name)
        assert Technology.read(folder / name) == technology


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adc__bits": 77}, r"adc\.bits.*24.*77"),
        ({"resistors__unit": -1.0}, r"resistors\.unit.*greater than 0.*-1"),
        ({"resistors__tolerance": math.nan}, r"resistors\.tolerance.*nan"),
        ({"opamp__gain": 0.5}, r"opamp\.gain"),
        ({"thermal__cells": 0}, r"thermal\.cells"),
        ({"adc__bit": 8}, r"adc\.bit:.*spelling"),
        ({"amplifier": 1}, r"amplifier:.*spelling"),
        ({"name": "bad\nname"}, "name"),
        ({"resistors__series": "E13"}, r"resistors\.series.*E24"),
    ],
)
def test_a_field_out_of_range_is_named(change, message):
    with pytest.raises(InputError, match=message):
        preset("ideal").replace(**change)


def test_series_and_bits_exclude_each_other():
    with pytest.raises(InputError, match="series and bits"):
        preset("ideal").replace(resistors__series="E24", resistors__bits=8)


@pytest.mark.parametrize("part", ["resistors", "capacitors"])
@settings(max_examples=30)
@given(matching=st.floats(1e-10, 1e-6), area=st.floats(1e-12, 1e-6))
def test_mismatch_follows_from_the_area_of_a_part(part, matching, area):
    def mismatch(size):
        technology = Technology(**{part: {"pelgrom_coefficient": matching, "area": size}})
        return getattr(technology, part).mismatch

    if matching / math.sqrt(2 * area) > 0.5:
        with pytest.raises(InputError, match=rf"{part}.*at most 0.5: set a larger area"):
            mismatch(area)
        return
    # The law is of pairs, and the variance of a pair's difference is that of two parts.
    assert math.hypot(mismatch(area), mismatch(area)) == pytest.approx(matching / math.sqrt(area), rel=1e-12)
    assert mismatch(area) == pytest.approx(2 * mismatch(4 * area), rel=1e-12)


def test_a_tolerance_is_the_mismatch_and_an_offset_its_own():
    technology = Technology(resistors={"tolerance": 0.02}, opamp={"offset": 1e-3})
    assert (technology.resistors.mismatch, technology.capacitors.mismatch) == (0.02, 0.0)
    assert technology.opamp.offset_mismatch == 1e-3


def test_an_offset_is_a_pairs_difference():
    # 5 mV um on 100 um^2 is 0.5 mV, without the sqrt(2) of a single part.
    opamp = Technology(opamp={"offset_pelgrom_coefficient": 5e-9, "input_area": 1e-10}).opamp
    assert opamp.offset_mismatch == pytest.approx(5e-4, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"resistors__pelgrom_coefficient": 1e-8, "resistors__area": 1e-12, "resistors__tolerance": 0.01},
            "tolerance excludes pelgrom_coefficient and area: set tolerance to 0, or leave pelgrom_coefficient and area out",
        ),
        (
            {"capacitors__area": 1e-12, "capacitors__tolerance": 0.01},
            "set tolerance to 0, or leave area out",
        ),
        (
            {"resistors__pelgrom_coefficient": 1e-8},
            "belong together: set both of them, or leave pelgrom_coefficient out",
        ),
        ({"capacitors__area": 1e-12}, "belong together: set both of them, or leave area out"),
        ({"resistors__area": 0.0}, r"resistors\.area.*greater than 0"),
        ({"resistors__die_to_die": 0.6}, r"resistors\.die_to_die.*0\.5.*0\.6"),
        ({"capacitors__gradient": -0.1}, r"capacitors\.gradient.*-0\.1"),
        (
            {"opamp__offset": 1e-3, "opamp__offset_pelgrom_coefficient": 5e-9, "opamp__input_area": 1e-10},
            "offset excludes offset_pelgrom_coefficient and input_area: set offset to 0",
        ),
        ({"opamp__input_area": 1e-10}, "belong together: set both of them, or leave input_area out"),
        (
            {"opamp__offset_pelgrom_coefficient": 5e-9, "opamp__input_area": 1e-16},
            r"0\.5 V, at most 0\.1 V.*larger input_area",
        ),
    ],
)
def test_a_mismatch_is_given_one_way(change, message):
    with pytest.raises(InputError, match=message):
        preset("ideal").replace(**change)


@pytest.mark.parametrize(("name", "most"), [("breadboard", 10.0), ("integrated", 0.5)])
def test_outputs_stay_within_their_supply(name, most):
    """One of two outputs moves by half of their difference."""
    preset(name).replace(opamp__supply=most)
    with pytest.raises(InputError, match=rf"beyond a supply of .* V: set supply to {most:g} or more"):
        preset(name).replace(opamp__supply=0.99 * most)


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_variation_gradient_and_area_survive_a_file(tmp_path, suffix):
    technology = Technology(
        resistors={"pelgrom_coefficient": 1e-8, "area": 1e-11, "die_to_die": 0.15, "gradient": 0.01},
        capacitors={"tolerance": 0.005, "die_to_die": 0.1},
        opamp={"offset_pelgrom_coefficient": 5e-9, "input_area": 1e-10},
    )
    technology.write(tmp_path / f"t{suffix}")
    assert Technology.read(tmp_path / f"t{suffix}") == technology


def test_replace_changes_only_what_it_names():
    before = preset("integrated")
    after = before.replace(adc__bits=4, name="four bit", capacitors=before.capacitors)
    assert (after.adc.bits, after.name) == (4, "four bit")
    assert after.replace(adc__bits=before.adc.bits, name=before.name) == before
    assert before.adc.bits == 8


@given(records)
@settings(max_examples=60)
def test_any_content_is_a_technology_or_an_input_error(content):
    try:
        Technology(**content)
    except InputError as error:
        message = str(error)
        assert "technology field" in message


@pytest.mark.parametrize("name", ["nowhere", None, 3, []])
def test_an_unknown_preset_lists_those_there_are(name):
    with pytest.raises(InputError, match=r"unknown.*ideal.*integrated"):
        preset(name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.toml", b"adc = ["),
        ("t.json", b"{"),
        ("t.json", b"[1, 2]"),
        ("t.json", b"[" * 100_000),
        ("t.toml", b"\xff\xfe"),
        ("t.toml", b"[adc]\nbits = 99"),
        ("t.json", b'{"self": 1}'),
    ],
)
def test_a_damaged_file_is_an_input_error(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError):
        Technology.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml.*No such file"):
        Technology.read(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match="cannot be read"):
        Technology.read(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "t.toml"
    preset("paper").write(path)

    def reject(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", reject)
    with pytest.raises(OSError, match="disk full"):
        preset("ideal").write(path)
    assert Technology.read(path).name == "paper"
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.toml"]


def test_a_record_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        preset("ideal").name = "other"


def test_a_technology_is_given_as_a_record_or_by_name():
    record = preset("integrated").replace(name="mine")
    assert as_technology(record) is record
    assert as_technology("integrated") is preset("integrated")
    np.testing.assert_array_equal(
        Die("integrated", 3).deviates("coupling", (1, 2, 2)), Die(record, 3).deviates("coupling", (1, 2, 2))
    )
    for wrong in ("magic", "my.toml"):
        with pytest.raises(
            InputError, match=r"technology preset .* is unknown; there are: ideal, paper, breadboard, integrated"
        ):
            as_technology(wrong)
    with pytest.raises(InputError, match=r"a file is read by Technology.read\('my.toml'\)"):
        as_technology("my.toml")
    for wrong in (None, {}, 3):
        with pytest.raises(InputError, match=f"technology is a {type(wrong).__name__}: give a Technology"):
            as_technology(wrong)


def test_a_dac_has_nothing_of_an_adc_that_no_device_would_heed():
    for field, value in {"noise": 1e-3, "bandwidth": 1e6, "max_gain": 4.0, "leakage": 1e-9}.items():
        with pytest.raises(InputError, match=rf"dac\.{field} is .*only an ADC's is modelled"):
            preset("integrated").replace(**{f"dac__{field}": value})
    for field, value in {"noise": 1e-3, "bandwidth": 1e6, "max_gain": 4.0}.items():
        assert getattr(preset("integrated").replace(**{f"adc__{field}": value}).adc, field) == value


def test_an_adc_has_no_sample_and_hold_that_no_device_would_heed():
    for field, value in {"resistance": 1e3, "capacitance": 1e-12, "leakage": 1e-9}.items():
        message = (
            rf"adc\.{field} is .*no sample-and-hold: leave it at 0, and give sampling\.add_sample_and_hold a Converter"
        )
        with pytest.raises(InputError, match=message):
            preset("integrated").replace(**{f"adc__{field}": value})
        with pytest.raises(InputError, match=message):
            Technology(adc=Converter(**{field: value}))
    for field, value in {"resistance": 50.0, "capacitance": 1e-12}.items():
        assert getattr(preset("integrated").replace(**{f"dac__{field}": value}).dac, field) == value


def test_an_error_of_a_whole_part_does_not_repeat_it():
    with pytest.raises(InputError, match="offset excludes offset_pelgrom_coefficient") as error:
        preset("integrated").replace(opamp__offset_pelgrom_coefficient=1e-8)
    assert "got" not in str(error.value)


def test_the_signature_is_written_out():
    assert list(inspect.signature(Technology).parameters) == list(Technology.model_fields)
