import math

import numpy as np
import pytest

from thermograd.circuits import InputError
from thermograd.circuits.technology import (
    Areas,
    ArrayCounts,
    Figure,
    array_area,
    foundry_areas,
    layout_area,
    preset,
)
from thermograd.circuits.technology.area import conductance_area, resistor_area
from thermograd.circuits.technology.parts import Resistors

MICRON = 1e-6


def figure(value: float) -> Figure:
    return Figure(value=value, kind="chosen", source="test")


def areas(**changed: Figure | str) -> Areas:
    sizes = {
        "sheet_resistance": 1e3,
        "resistor_width": 2 * MICRON,
        "resistor_head": 0.5 * MICRON,
        "resistor_spacing": 1 * MICRON,
        "capacitance_density": 1e-3,
        "capacitor_border": 1 * MICRON,
        "amplifier": 1e-9,
        "switch": 1e-11,
        "bit": 1e-11,
        "dac": 1e-8,
        "adc": 1e-8,
        "line_pitch": 1 * MICRON,
        "overhead": 0.5,
    }
    return Areas(**({name: figure(value) for name, value in sizes.items()} | changed))


def solved_ladder(bits: int, unit: float, code: int) -> float:
    """Conductance from the input of an R-2R ladder to a virtual ground, by nodal analysis of the whole network.

    Nodes 0 ... bits - 1 lie behind each other; from each a leg of 2 R goes to the virtual ground or to ground, the last has one to ground.
    """
    g = 1.0 / unit
    a, to_virtual = np.zeros((bits, bits)), np.zeros(bits)
    for k in range(bits):
        a[k, k] += g / 2
        if code >> (bits - 1 - k) & 1:
            to_virtual[k] = g / 2
        if k + 1 < bits:
            a[k, k] += g
            a[k + 1, k + 1] += g
            a[k, k + 1] -= g
            a[k + 1, k] -= g
    a[-1, -1] += g / 2
    # One volt at node 0.
    volts = np.concatenate([[1.0], np.linalg.solve(a[1:, 1:], -a[1:, 0])])
    return float(to_virtual @ volts)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_ladders_reach_the_unit_conductance_and_have_the_film_that_is_counted(bits: int) -> None:
    """Each is built up here, resistor by resistor, and reaches 1/unit with all bits set."""
    ohm, sheet, width = 1e4, 1e3, 2 * MICRON
    resistors, strip = Resistors(unit=ohm, bits=bits), width + 1 * MICRON
    full = 2**bits - 1
    binary = [ohm * full / 2**k for k in range(bits)]
    assert math.fsum(1 / r for r in binary) == pytest.approx(1 / ohm)
    film = math.fsum((r / sheet * width + 2 * 0.5 * MICRON) * strip for r in binary)
    assert conductance_area(areas(), resistors, ohm) == pytest.approx(film, rel=1e-12)

    unit = ohm * full / 2**bits
    assert solved_ladder(bits, unit, full) == pytest.approx(1 / ohm, rel=1e-12)
    assert solved_ladder(bits, unit, 1) == pytest.approx(1 / ohm / full, rel=1e-12)
    legs, links = [2 * unit] * (bits + 1), [unit] * (bits - 1)
    film = (math.fsum((*legs, *links)) / sheet * width + 2 * bits * 2 * 0.5 * MICRON) * strip
    assert len(legs) + len(links) == 2 * bits
    assert conductance_area(areas(ladder="R-2R"), resistors, ohm) == pytest.approx(film, rel=1e-12)


def test_with_a_smallest_conductance_its_resistor_is_beside_the_ladder() -> None:
    resistors = Resistors(unit=1e4, bits=4, on_off=10.0)
    beside, rest = 1e5, 1 / (1 / 1e4 - 1 / 1e5)
    wanted = resistor_area(areas(), resistors, beside) + conductance_area(areas(), Resistors(unit=rest, bits=4), rest)
    assert conductance_area(areas(), resistors, 1e4) == pytest.approx(wanted, rel=1e-12)


def test_the_film_has_the_area_of_pelgroms_law() -> None:
    """A resistor of ten squares of 10 um by 10 um: its mismatch is that of 1000 um^2."""
    resistors = Resistors(unit=1e4, pelgrom_coefficient=2e-8, area=1e-9)
    assert resistor_area(areas(), resistors, 1e4) == pytest.approx((100 + 1) * (10 + 1) * MICRON**2)
    narrow = resistors.model_copy(update={"area": 1e-12})
    assert resistor_area(areas(), narrow, 1e4) == pytest.approx((20 + 1) * (2 + 1) * MICRON**2)


def test_the_area_of_an_array_adds_up() -> None:
    technology = preset("integrated").replace(area=areas())
    n, rails, bits = 8, 2, 8
    counts = ArrayCounts(n, rails, n * n, n * n, n, 0, [(1e-11, rails * n)])
    found = array_area(technology, counts)
    one = conductance_area(areas(), technology.resistors, 1e4)
    assert found.parts["conductances"] == pytest.approx(n * n * rails * one)
    assert found.parts["switches"] == pytest.approx(n * n * rails * (bits + 2) * 1e-11)
    assert found.parts["memory"] == pytest.approx(n * n * (bits + 1) * 1e-11)
    assert found.parts["capacitors"] == pytest.approx(rails * n * (102 * MICRON) ** 2)
    assert found.parts["amplifiers"] == pytest.approx(n * 1e-9)
    assert found.parts["DACs"] == found.parts["ADCs"] == pytest.approx(n * 1e-8)
    assert found.total == pytest.approx(
        1.5 * math.fsum(area for name, area in found.parts.items() if name != "overhead")
    )
    shared = technology.replace(dac__count=1, adc__count=2)
    assert array_area(shared, counts).parts["DACs"] == pytest.approx(1e-8)
    assert found.crosspoint_pitch == pytest.approx(math.sqrt(rails * one + (rails * 10 + 9) * 1e-11))
    assert found.to_dict()["figures"]["amplifier"] == {"value": 1e-9, "kind": "chosen", "source": "test"}


def test_a_crosspoint_is_no_smaller_than_its_lines() -> None:
    coarse = preset("integrated").replace(area=areas(line_pitch=figure(1e-3)))
    found = array_area(coarse, ArrayCounts(2, 2, 4, 4, 2, 0, []))
    made = found.parts["conductances"] + found.parts["switches"] + found.parts["memory"]
    assert made + found.parts["lines"] == pytest.approx(4 * (2e-3) ** 2)


def test_without_sizes_there_is_no_area() -> None:
    with pytest.raises(InputError, match="technology breadboard states no areas"):
        array_area(preset("breadboard"), ArrayCounts(2, 1, 4, 4, 2, 0, []))


def test_every_figure_has_a_kind_and_a_source() -> None:
    with pytest.raises(InputError, match="kind"):
        Figure(value=1.0, kind="guessed", source="?")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="source"):
        Figure(value=1.0, kind="chosen", source="")


@pytest.mark.parametrize("process", ["gf180mcu", "sky130"])
def test_a_block_takes_twice_its_parts(process: str) -> None:
    found = foundry_areas(process, amplifier=figure(1e-9), switch=figure(1e-11))
    border = 2 * found.capacitor_border.value
    plate = layout_area(process, [], capacitors=[(5 * MICRON, 8 * MICRON)])
    assert plate == pytest.approx(2 * (5 * MICRON + border) * (8 * MICRON + border))
    narrow, wide = (layout_area(process, [(w * MICRON, 1 * MICRON)]) for w in (1, 10))
    assert wide == pytest.approx(10 * narrow)
    assert narrow > 2 * MICRON**2
    width = found.resistor_width.value
    strip = resistor_area(found, Resistors(), 1e4)
    assert layout_area(process, [], resistors=[(width, 1e4 / found.sheet_resistance.value * width)]) == pytest.approx(
        2 * strip
    )
    with pytest.raises(InputError, match="0 m by"):
        layout_area(process, [(0.0, 1e-6)])
