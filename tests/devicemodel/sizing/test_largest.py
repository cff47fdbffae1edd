import json
import math

import pytest

from thermograd.circuits import InputError
from thermograd.circuits.technology import preset
from thermograd.devicemodel.sizing import ArraySizes, largest_array

PERFECT = preset("ideal")


def largest(technology, **options) -> ArraySizes:
    return largest_array(technology, **({"largest": 16} | options))


def test_a_perfect_technology_ends_nowhere() -> None:
    found = largest(PERFECT)
    for answer in found.answers.values():
        assert (answer.unknowns, answer.cause) == (16, "")
        assert set(answer.alone.values()) == {None}
    assert found.no_area == "technology ideal states no areas"


def test_wires_end_the_array_at_their_law() -> None:
    """The end is one: that size works, and the next does not."""
    wired = PERFECT.replace(wires__segment_resistance=0.5)
    found = largest(wired)
    end = found.answers["array"].unknowns
    assert found.answers["array"].cause == "wires"
    assert 2 < end < 16
    errors = {size.unknowns: size.growing for size in found.sizes}
    assert errors[end] <= 0.01 < errors[end + 1]
    # A tenth of the wires' resistance is a larger array.
    assert largest(wired.replace(wires__segment_resistance=0.05)).answers["array"].unknowns > end
    # A host takes out what it knows of: refined, the same array goes on.
    assert found.answers["refined"].unknowns > end


def test_weak_amplifiers_end_it_by_their_current() -> None:
    weak = PERFECT.replace(opamp__output_current=2e-6, adc__bits=12, dac__bits=12)
    found = largest(weak)
    assert found.answers["array"].cause == "output current"
    assert {size.level_limit for size in found.sizes} == {"the current into the array"}
    strong = largest(weak.replace(opamp__output_current=math.inf))
    assert strong.answers["array"].cause == ""


def test_loads_that_take_the_gain_end_it() -> None:
    found = largest(PERFECT.replace(opamp__gain=500.0, opamp__output_resistance=2e3))
    assert found.answers["array"].cause == "loading"
    assert found.answers["array"].unknowns < 16


def test_dies_that_grow_end_it_whatever_their_error() -> None:
    rough = PERFECT.replace(resistors__tolerance=0.05)
    found = largest(rough, error=0.9, condition=300.0)
    answer = found.answers["array"]
    assert answer.cause == "stability yield"
    assert answer.alone["stability yield"] is not None
    shares = [size.share for size in found.sizes]
    assert min(shares) < 0.95


def test_a_matrix_that_codes_make_indefinite_ends_it() -> None:
    found = largest(PERFECT.replace(resistors__bits=3), condition=100.0, error=0.5)
    assert found.answers["bare"].cause == "programming"
    assert any("eigenvalue" in size.obstacle for size in found.sizes)


def test_oscillators_have_no_law_of_refinement() -> None:
    found = largest(preset("integrated"), fabric="oscillator", largest=4)
    assert set(found.answers) == {"array", "bare"}
    assert all(size.refined is None for size in found.sizes)
    assert all(size.area is not None for size in found.sizes)


def test_the_result_is_plain_data() -> None:
    found = largest(preset("breadboard"), largest=4).to_dict()
    assert json.loads(json.dumps(found))["fabric"] == "crossbar_single"
    assert found["sizes"][0]["area"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"error": 0.0}, "error is 0.0"),
        ({"condition": 0.5}, "condition is 0.5"),
        ({"largest": 1}, "largest is 1"),
        ({"fabric": "rc"}, "'rc' is no array of amplifiers"),
    ],
)
def test_arguments_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        largest_array("integrated", **options)  # type: ignore[arg-type]
