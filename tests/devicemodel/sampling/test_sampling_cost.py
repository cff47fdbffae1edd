"""`sampling_cost`: what a run takes, counted by hand."""

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel import DigitalHost
from thermograd.devicemodel.sampling import sampling_cost


def test_its_parts_are_those_of_the_table():
    technology = preset("integrated")
    host = DigitalHost(rate=1e9, power=10.0, idle_power=2.0)
    cost = sampling_cost(technology, 8, 36, 1000, 1e-7, 1e-5, right_hand_sides=2, host=host)
    assert cost.conversions == 8000
    assert cost.work.multiply_adds == 1000 * 2 * 8 * 2
    assert cost.part("sampling").seconds == pytest.approx(1.1e-4)
    assert cost.part("ADC").joules == pytest.approx(8000 * 256 * 3.05e-14)
    assert cost.part("noise source").joules == pytest.approx(10 * 8 * 1100 * 256 * 3.05e-14)
    assert cost.part("transfers").joules == pytest.approx(8000 * 16 * 1.4e-12)
    # Two operations in double precision for each multiply-add, which takes longer than the circuit.
    assert cost.part("host").seconds == pytest.approx(32_000 * 4 / 1e9)
    assert cost.seconds == pytest.approx(36 * 16 / 50e9 + 1.28e-4)
    assert cost.part("idle host").joules == pytest.approx(2.0 * 36 * 16 / 50e9)
    assert cost.joules == pytest.approx(sum(part.joules for part in cost.parts))
    inverse = sampling_cost(technology, 8, 36, 1000, 1e-7)
    assert (
        inverse.work.multiply_adds
        == 1000 * 36
        == sampling_cost(technology, 8, 36, 1000, 1e-7, right_hand_sides=50).work.multiply_adds
    )


def test_what_makes_no_sense_is_rejected():
    with pytest.raises(InputError, match="samples is 0"):
        sampling_cost(preset("ideal"), 8, 36, 0, 1e-7)
    with pytest.raises(InputError, match="interval is 0"):
        sampling_cost(preset("ideal"), 8, 36, 10, 0)
