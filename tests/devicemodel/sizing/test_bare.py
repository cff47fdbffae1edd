"""Each cause of a bare reading against ngspice, at two sizes."""

import dataclasses
import math

import numpy as np
import pytest

from thermograd import compile_matrix
from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology import preset
from thermograd.compiler.layout.extraction import extracted_netlist
from thermograd.compiler.passes.signal_level import LOADED, LOADS
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.sizing import bare_reading

QUIET = preset("integrated").replace(opamp__noise_voltage=0.0, opamp__offset=0.0, thermal__johnson_noise=False)
LOADED_GAIN = QUIET.replace(opamp__output_resistance=3e3, opamp__output_current=math.inf, opamp__gain=300.0)


def compiled(n: int, technology=QUIET) -> tuple[AnalogProgram, np.ndarray]:
    rng = np.random.default_rng(n)
    a, b = random_system(n, 10.0, False, rng), rng.standard_normal(n)
    return compile_matrix(a, "crossbar", technology, b=b), b


def inverse_by_ngspice(program: AnalogProgram, layout: bool = False, macromodel: bool = False) -> np.ndarray:
    """Solutions for all unit vectors, (n, n): what the emitted circuit settles at."""
    found = []
    for one in np.eye(program.size):
        b = 0.1 * one / program.volts_per_unit
        amplifier = Macromodel(program.technology.opamp) if macromodel else None
        netlist = extracted_netlist(program, b) if layout else program.netlist(b, amplifier=amplifier)
        volts = run(netlist, OperatingPoint(nodes=program.nodes)).voltages
        found.append(program.decode(volts) * program.volts_per_unit / 0.1)
    return np.column_stack(found)


def relative(found: np.ndarray, before: np.ndarray, program: AnalogProgram) -> float:
    return float(np.linalg.norm(found - before) / np.linalg.norm(np.linalg.inv(program.target)))


@pytest.mark.parametrize("n", [4, 8])
def test_wires_make_the_error_that_ngspice_finds_after_layout(n: int) -> None:
    program, b = compiled(n)
    error = bare_reading(program, b, 1).errors["wires"]
    found = relative(inverse_by_ngspice(program, layout=True), inverse_by_ngspice(program), program)
    assert error == pytest.approx(found, rel=1e-4)
    # Negative control: twice the wires' resistance is seen.
    coarse = dataclasses.replace(program, technology=program.technology.replace(wires__segment_resistance=100.0))
    assert bare_reading(coarse, b, 1).errors["wires"] > 1.2 * found


@pytest.mark.parametrize("n", [4, 8])
def test_loading_makes_the_error_of_ngspices_amplifiers(n: int) -> None:
    """Of a macromodel with an output resistance against an ideal amplifier."""
    program, b = compiled(n, LOADED_GAIN)
    error = bare_reading(program, b, 1).errors["loading"]
    ideal = dataclasses.replace(program, technology=QUIET.replace(opamp__gain=math.inf))
    found = relative(inverse_by_ngspice(program, macromodel=True), inverse_by_ngspice(ideal), program)
    assert error == pytest.approx(found, rel=2e-3)
    unloaded = dataclasses.replace(program, technology=QUIET.replace(opamp__gain=300.0))
    assert bare_reading(unloaded, b, 1).errors["loading"] < 0.8 * found


@pytest.mark.parametrize("n", [4, 8])
def test_codes_make_the_error_of_the_rounded_netlist(n: int) -> None:
    program, b = compiled(n, QUIET.replace(opamp__gain=math.inf))
    found = relative(inverse_by_ngspice(program), np.linalg.inv(program.target), program)
    assert bare_reading(program, b, 1).errors["codes"] == pytest.approx(found, rel=1e-3)


def test_amplifiers_that_drive_half_of_the_level_double_steps_and_noise() -> None:
    """What the lower level adds is told apart: 4 = 1 + 3 in squares."""
    free, b = compiled(6, preset("integrated").replace(dac__full_scale=100.0, adc__max_gain=1.0))
    before = bare_reading(free, b, 1)
    assert before.errors["output current"] == 0.0
    assert before.output is not None
    limit = 0.5 * before.output.current / LOADED
    limited, _ = compiled(6, free.technology.replace(opamp__output_current=limit))
    assert limited.volts_per_unit == pytest.approx(0.5 * free.volts_per_unit, rel=1e-6)
    after = bare_reading(limited, b, 1)
    assert after.output is not None
    assert (after.output.level_limit, after.output.share) == (LOADS, pytest.approx(LOADED))
    assert after.errors["noise"] == pytest.approx(before.errors["noise"])
    # The DAC's steps count twice, as do noise and the ADC's.
    alone = math.hypot(before.errors["noise"], before.errors["converters"])
    assert after.errors["output current"] == pytest.approx(math.sqrt(3) * alone, rel=1e-6)


def test_dies_that_grow_are_counted() -> None:
    rng = np.random.default_rng(0)
    a, b = random_system(8, 300.0, False, rng), rng.standard_normal(8)
    rough = preset("integrated").replace(resistors__bits=None, resistors__tolerance=0.05, opamp__gain=1e5)
    found = bare_reading(compile_matrix(a, "crossbar", rough, b=b), b, 40)
    assert 0 < found.stable < found.dies == 40
    fine = rough.replace(resistors__tolerance=1e-4)
    assert bare_reading(compile_matrix(a, "crossbar", fine, b=b), b, 40).stable == 40
