"""The presets made from foundries' models against those models: one amplifier, and arrays of it, by the record and in transistors."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import pytest

from thermograd import compile_matrix
from thermograd.circuits.amplifiers.models import AmplifierCell, Macromodel, OnePole
from thermograd.circuits.amplifiers.process_amplifier import process_amplifier
from thermograd.circuits.amplifiers.testbench import Bench
from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.netlist.analyses import Noise, OperatingPoint
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.program import AnalogProgram
from thermograd.tools.technologies.designs import DESIGNS

from ...processes import needs_process

A, B = np.array([[1.0, 0.35], [0.35, 0.6]]), np.array([1.0, -0.4])
pytestmark = needs_process("gf180mcu")


@functools.cache
def amplifier() -> Amplifier:
    return process_amplifier("gf180mcu")


@functools.cache
def program() -> AnalogProgram:
    """Two unknowns in resistors of any value that load the amplifiers with the record's 30 kohm, within a fifth."""
    technology = preset("gf180mcu").replace(resistors__unit=3.45e4, resistors__bits=None, resistors__write_energy=0.0)
    return compile_matrix(A, "crossbar", technology, b=B)


def test_the_record_is_of_the_netlist_that_is_there() -> None:
    """Gain and power, of two runs; `python -m tools.technologies --check` compares all figures."""
    design, record = DESIGNS["gf180mcu"], preset("gf180mcu").opamp
    bench = Bench(amplifier(), 2, design.load_resistance, design.load_capacitance, 300.15, 60.0)
    _, response = bench.gain(1e3, 1e-6, 1e-5, 1)
    assert abs(response[0]) == pytest.approx(record.gain, rel=0.01)
    rest = bench.rest(1e3)
    power = sum(volts * -rest[f"current_{node}"] for node, volts in amplifier().rails.items())
    assert power == pytest.approx(record.power, rel=0.01)


def settled(cell: AmplifierCell | None) -> np.ndarray:
    found = run(program().netlist(B, amplifier=cell), OperatingPoint(program().nodes))
    return program().decode(found.voltages) - np.linalg.solve(A, B)


def test_the_macromodel_explains_where_transistors_settle() -> None:
    """What it misses is that each column loads its amplifier by another resistance; with half of the gain it misses as much as there is."""
    opamp = program().technology.opamp
    true = settled(amplifier())
    missed, control = (
        float(np.linalg.norm(settled(Macromodel(one)) - true) / np.linalg.norm(true))
        for one in (opamp, opamp.model_copy(update={"gain": opamp.gain / 2}))
    )
    assert missed < 0.3
    assert control > 0.7


def test_the_law_has_the_noise_of_transistors_below_their_bandwidth() -> None:
    opamp, (plus, minus) = program().technology.opamp, program().readouts[0]
    source = next(iter(program().fabric.drives(program().parts)[0]))
    analysis = Noise((plus, minus), source, 1e2, 0.1 * opamp.gbw, 10)

    def power(cell: AmplifierCell) -> float:
        found = run(program().netlist(amplifier=cell), analysis)
        # ngspice may go some points beyond the end.
        edges = np.geomspace(1e2, 0.1 * opamp.gbw, 60)
        return float(np.trapezoid(np.interp(edges, found.frequency, found.density**2), edges))

    quieter = dataclasses.replace(OnePole(opamp, noisy=True), opamp=opamp.model_copy(update={"noise_voltage": 0.0}))
    true = power(amplifier())
    assert power(OnePole(opamp, noisy=True)) == pytest.approx(true, rel=0.02)
    assert not math.isclose(power(quieter), true, rel_tol=0.1)
