import json
import math

import numpy as np
import pytest

from thermograd import compile_matrix
from thermograd.circuits import InputError
from thermograd.circuits.technology import preset
from thermograd.circuits.technology.area import conductance_area, resistor_area
from thermograd.compiler.analysis import describe, program_area
from thermograd.devicemodel import compiled_array
from thermograd.devicemodel.cost.planned import planned_array

A = np.array([[2.0, -0.5, 0.2], [-0.5, 1.5, 0.0], [0.2, 0.0, 1.0]])


def test_a_programmed_array_has_all_places_and_one_made_to_order_its_own() -> None:
    technology = preset("integrated")
    sizes, resistors = technology.area, technology.resistors
    assert sizes is not None
    found = program_area(compile_matrix(A, "crossbar", technology))
    assert found.parts["conductances"] == pytest.approx(9 * 2 * conductance_area(sizes, resistors, 1e4))
    assert found.parts["resistors"] == pytest.approx(3 * 2 * resistor_area(sizes, resistors, 1e4))
    fixed = technology.replace(resistors__bits=None)
    program = compile_matrix(A, "crossbar", fixed)
    made = dict(program.parts.inventory())["resistor"]
    # Seven entries and three input resistors, on two rails each.
    assert len(made) == 20
    found = program_area(program)
    assert found.parts["resistors"] == pytest.approx(math.fsum(resistor_area(sizes, resistors, r) for r in made))
    assert found.parts["conductances"] == found.parts["memory"] == found.crosspoint == 0.0


@pytest.mark.parametrize(("fabric", "amplifiers"), [("crossbar", 3), ("crossbar_single", 5), ("oscillator", 6)])
def test_amplifiers_of_every_array_are_counted(fabric: str, amplifiers: int) -> None:
    technology = preset("integrated").replace(opamp__outputs=1 if fabric == "crossbar_single" else 2, opamp__supply=1.0)
    found = program_area(compile_matrix(A, fabric, technology))
    assert technology.area is not None
    assert found.parts["amplifiers"] == pytest.approx(amplifiers * technology.area.amplifier.value)


def test_a_plan_and_a_compiled_array_of_its_size_have_one_area() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((8, 8))
    program = compile_matrix(root @ root.T / 8 + np.eye(8), "crossbar", "integrated")
    planned = planned_array("dense", 8, 1, 1, preset("integrated")).area
    compiled = compiled_array(program).area
    assert planned is not None
    assert compiled is not None
    assert planned.parts == pytest.approx(compiled.parts)


def test_reports_say_the_area_or_that_there_is_none() -> None:
    report = describe(compile_matrix(A, "crossbar", "integrated"))
    assert report.area is not None
    assert "mm^2" in str(report)
    assert json.loads(json.dumps(report.to_dict()))["area"]["total_mm2"] == pytest.approx(report.area.total * 1e6)
    report = describe(compile_matrix(A, "crossbar_single", "breadboard"))
    assert report.area is None
    assert "not known: technology breadboard states no areas" in str(report)
    assert report.to_dict()["area"] is None
    inductors = compile_matrix(
        np.array([[2.0, -0.5], [-0.5, 1.0]]), "lc", preset("integrated").replace(resistors__bits=None)
    )
    with pytest.raises(InputError, match="inductors, which have no area"):
        program_area(inductors)
