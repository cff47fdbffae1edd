"""Records built directly: what they do not accept is an `InputError` that names the field."""

import inspect
import pickle

import pytest
from pydantic import ValidationError

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.parts import OpAmp, Thermal
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.estimate import Estimate


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OpAmp(gain=-1), r"^OpAmp field gain: Input should be greater than 1, got -1$"),
        (lambda: Converter(bits=99), r"^Converter field bits: Input should be less than or equal to 24, got 99$"),
        (lambda: Thermal(celss=3), r"^Thermal field celss: .*\(remove it or correct its spelling\)$"),
        (lambda: Converter(dnl=0.1), r"^Converter: dnl is the scatter .*set bits"),
        (lambda: Estimate(value=1.0), r"^Estimate field std: Field required$"),
        (lambda: OpAmp(gain=-1, gbw="x"), r"^OpAmp field gain: .*; OpAmp field gbw: "),
    ],
)
def test_a_record_names_the_field_on_one_line(make, message):
    with pytest.raises(InputError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
    assert "pydantic" not in str(error.value)


def test_a_record_inside_another_is_named_by_the_whole_path():
    with pytest.raises(InputError, match=r"^technology field opamp\.gain: Input should be greater than 1, got -1$"):
        Technology(opamp={"gain": -1})
    with pytest.raises(ValidationError) as error:
        Technology.model_validate({"opamp": {"gain": -1}})
    assert [item["loc"] for item in error.value.errors()] == [("opamp", "gain")]


def test_records_that_are_accepted_are_as_before():
    opamp = OpAmp(gain=10.0)
    assert pickle.loads(pickle.dumps(opamp)) == opamp == OpAmp.model_validate({"gain": 10.0})  # noqa: S301
    assert Technology(opamp=opamp).opamp is opamp
    assert list(inspect.signature(OpAmp).parameters) == list(OpAmp.model_fields)


@pytest.mark.parametrize("value", ["1000", "1k", True, "nan"])
@pytest.mark.parametrize("name", ["unit", "bits"])
def test_texts_and_truth_values_are_no_numbers(name, value):
    with pytest.raises(
        InputError, match=rf"field resistors\.{name}: {value!r} is no (number|integer); give one without quotes"
    ):
        Technology(name="t", resistors={name: value})


def test_what_json_cannot_write_otherwise_is_a_number(tmp_path):
    technology = preset("ideal")
    technology.write(tmp_path / "ideal.json")
    assert '"Infinity"' in (tmp_path / "ideal.json").read_text()
    assert Technology.read(tmp_path / "ideal.json") == technology


def test_files_are_utf8_with_or_without_a_mark_and_hold_each_field_once(tmp_path):
    path = tmp_path / "board.json"
    text = preset("breadboard").model_dump_json()
    path.write_text("\ufeff" + text, encoding="utf-8")
    assert Technology.read(path) == preset("breadboard")
    path.write_text(text.replace('"unit":1000.0', '"unit":1000.0,"unit":5.0', 1), encoding="utf-8")
    with pytest.raises(InputError, match="field 'unit' stands twice"):
        Technology.read(path)
    path.write_text(text, encoding="utf-16")
    with pytest.raises(InputError, match=r"not UTF-8 text.*save it as UTF-8"):
        Technology.read(path)
