import math

import numpy as np
import pytest

from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.layout.extraction import extracted_netlist
from thermograd.devicemodel import contraction
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.limits.contraction_law import programmed
from thermograd.devicemodel.sizing import refined_reading

WIRED = preset("integrated").replace(
    wires__segment_resistance=50.0, resistors__bits=None, opamp__gain=math.inf, switches__leakage=0.0
)


@pytest.mark.parametrize("n", [4, 8])
def test_a_round_multiplies_the_error_of_wires_as_ngspice_does(n: int) -> None:
    """x += X^-1 (b - M x), X^-1 read from ngspice after layout."""
    a = random_system(n, 10.0, False, np.random.default_rng(n))
    wanted, _ = programmed(a)
    program = lay_out(wanted, "crossbar", WIRED)
    columns = []
    for one in np.eye(n):
        volts = run(extracted_netlist(program, 0.1 * one), OperatingPoint(nodes=program.nodes)).voltages
        columns.append(10 * program.decode(volts))
    step = np.eye(n) - np.column_stack(columns) @ wanted
    radius = float(np.abs(np.linalg.eigvals(step)).max())
    factor = refined_reading(a, WIRED, "crossbar", 0.01, 20).factors["wires"]
    assert factor == pytest.approx(radius, rel=1e-3)
    assert factor > 0.01


def test_without_wires_and_with_strong_amplifiers_it_is_the_law_of_limits() -> None:
    technology = preset("integrated").replace(
        opamp__output_current=math.inf,
        switches__on_resistance=0.0,
        switches__leakage=0.0,
        **{
            f"wires__{name}": 0.0
            for name in ("segment_resistance", "segment_capacitance", "crosspoint_capacitance", "input_capacitance")
        },
    )
    a = random_system(24, 30.0, False, np.random.default_rng(1))
    found, law = refined_reading(a, technology, "crossbar", 0.01, 20), contraction(a, technology, readings=21)
    assert found.total == pytest.approx(law.total, rel=1e-12)
    assert (found.factors["wires"], found.factors["output current"]) == (0.0, 0.0)
    assert found.factors["mismatch"] == pytest.approx(law.mismatch)


def test_amplifiers_that_drive_half_of_the_range_double_the_share_of_steps_and_noise() -> None:
    """Where the limit sets the level, half of it halves the level."""
    free = preset("integrated").replace(
        dac__full_scale=100.0, dac__bits=None, adc__bits=None, opamp__offset=0.0, dac__offset=0.0
    )
    a = random_system(16, 10.0, False, np.random.default_rng(2))
    wanted, _ = programmed(a)
    # Two outputs of half of a cell's voltage each.
    most = float(np.abs(wanted).sum(axis=0).max()) * 1e-4 * 0.5 / 2
    before = refined_reading(a, free.replace(opamp__output_current=math.inf), "crossbar", 0.01, 20)
    after = refined_reading(a, free.replace(opamp__output_current=most), "crossbar", 0.01, 20)
    assert after.factors["noise"] == pytest.approx(before.factors["noise"])
    assert after.factors["output current"] == pytest.approx(math.sqrt(3) * before.factors["noise"], rel=1e-6)
