"""compile plans no level at which an amplifier cannot supply what its column draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.amplifiers.output_stage import share_of_limits
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.elements import Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.compile import compile_matrix, compile_system, lay_out
from thermograd.compiler.passes.signal_level import LOADED, LOADS, output_use
from thermograd.compiler.program import AnalogProgram

from ...systems import low_rank, spd

SINGLE = preset("breadboard").replace(opamp__bias_current=0.0, opamp__noise_voltage=0.0, opamp__noise_current=0.0)
DOUBLE = preset("integrated").replace(opamp__noise_voltage=0.0, dac__full_scale=100.0)
LIMITS = {
    "single-ended, resistance": (
        SINGLE.replace(opamp__output_resistance=1e3, opamp__output_current=math.inf),
        "crossbar_single",
    ),
    "single-ended, current": (SINGLE.replace(opamp__output_current=6e-3), "crossbar_single"),
    "differential, current": (DOUBLE.replace(opamp__output_current=1e-5), "crossbar"),
    "differential, both": (DOUBLE.replace(opamp__output_current=1.5e-5, opamp__output_resistance=1e4), "crossbar"),
}
A, B = spd(6, 8.0, 3), np.array([1.0, -0.5, 0.3, 0.8, -1.0, 0.2])


def compiled(technology: Technology, fabric: str) -> AnalogProgram:
    return compile_matrix(A, fabric=fabric, technology=technology, b=B)


def solved(program: AnalogProgram, technology: Technology) -> np.ndarray:
    netlist = program.netlist(B, amplifier=Macromodel(technology.opamp))
    return program.decode(run(netlist, OperatingPoint(nodes=program.nodes)).voltages)


@pytest.mark.parametrize("name", LIMITS)
def test_the_level_is_one_that_loaded_amplifiers_hold(name):
    technology, fabric = LIMITS[name]
    free = technology.replace(opamp__output_current=math.inf, opamp__output_resistance=0.0)
    limited, careless = compiled(technology, fabric), compiled(free, fabric)
    assert limited.volts_per_unit < careless.volts_per_unit
    x = np.linalg.solve(A, B)
    volts = np.abs(x) * limited.volts_per_unit
    loads = [load for _, load in limited.parts.amplifier_loads()]
    worst = max(share_of_limits(technology.opamp, volts, load * volts / limited.parts.rails).max() for load in loads)
    assert worst == pytest.approx(LOADED, rel=1e-6)
    use = output_use(limited, B)
    assert use is not None
    assert (use.share, use.level_limit) == (pytest.approx(worst), LOADS)
    assert use.current == pytest.approx(max((load * volts).max() for load in loads) / limited.parts.rails)
    assert f"{use.current:.3g} A of " in str(describe(limited, B, dies=0))
    assert np.linalg.norm(solved(limited, technology) - x) < 0.02 * np.linalg.norm(x)
    # The negative control: at the level of amplifiers that drive any load, these are far off.
    assert np.linalg.norm(solved(careless, technology) - x) > 0.1 * np.linalg.norm(x)


def conductance_at(netlist: Netlist, node: str) -> float:
    return sum(1 / part.resistance for part in netlist.of(Resistor) if node in part.nodes)


@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single"])
def test_loads_are_what_the_netlist_joins_to_each_output(fabric):
    technology = SINGLE if fabric == "crossbar_single" else DOUBLE
    program = lay_out(A, fabric, technology).on(Die(technology, 7))
    netlist = program.netlist(B)
    (_, cells), *inverters = program.parts.amplifier_loads()
    rails = [("p", "m")] if program.parts.rails == 2 else [("p",), ("n",)]
    for names, loads in zip(rails, (cells, *(load for _, load in inverters)), strict=True):
        found = [np.mean([conductance_at(netlist, f"{rail}{j + 1}") for rail in names]) for j in range(6)]
        np.testing.assert_allclose(loads, found, rtol=1e-12)


def test_loads_of_a_cascade_are_what_the_netlist_joins_to_each_output():
    J = np.random.default_rng(0).standard_normal((3, 5))
    program = compile_system(low_rank(J, np.diag([1.0, 2.0, 3.0]), 0.5), technology=DOUBLE, fabric="factored")
    netlist = program.netlist(np.ones(5))
    nodes = [[f"p{j + 1}" for j in range(5)], *([f"u{t}p{r + 1}" for r in range(3)] for t in (1, 2))]
    for names, (_, loads) in zip(nodes, program.parts.amplifier_loads(), strict=True):
        np.testing.assert_allclose(loads, [conductance_at(netlist, name) for name in names], rtol=1e-12)
