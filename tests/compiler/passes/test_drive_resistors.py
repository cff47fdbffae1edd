"""The input resistors of a compiled program: as large as the drive allows, in netlist, bill of materials, report and file."""

from __future__ import annotations

import numpy as np
import pytest

from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.analysis.equations import derive_equations
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.passes.drive_resistors import dac_share
from thermograd.compiler.program_io import load_program

from ...systems import low_rank, spd

A, B = spd(4, 60.0, 1), np.array([0.3, -1.0, 0.5, 0.1])
FABRICS = ["crossbar", "crossbar_single", "oscillator"]


def ranged(name: str, ranges: int = 8):
    return preset(name).replace(resistors__drive_ranges=ranges)


@pytest.mark.parametrize("fabric", FABRICS)
def test_the_dac_is_used_beyond_half_of_its_scale(fabric):
    program, plain = (compile_matrix(A, fabric, technology, b=B) for technology in (ranged("integrated"), "integrated"))
    assert 0.5 < dac_share(program, B) <= 1
    assert dac_share(plain, B) < 0.5
    assert program.volts_per_unit == plain.volts_per_unit
    # Nothing but the input resistors and what drives them has changed.
    np.testing.assert_array_equal(program.parts.coupling, plain.parts.coupling)
    ratio = plain.parts.drive_nominal / program.parts.drive_nominal
    assert ratio == 2.0 ** round(np.log2(ratio)) > 1
    sources = [[part.dc for part in one.netlist(B) if part.name.startswith("VB")] for one in (program, plain)]
    np.testing.assert_allclose(sources[0], ratio * np.array(sources[1]))
    assert abs(np.array(sources[0])).max() * program.parts.rails == pytest.approx(
        dac_share(program, B) / 1.0, rel=1e-12
    )


def test_a_board_made_to_order_takes_the_exact_value_of_its_series():
    """With 96 values a decade, 2.4 % apart, the DAC is within 2.5 % of its full scale."""
    program = compile_matrix(A, "crossbar_single", ranged("breadboard"), b=B)
    assert 0.975 < dac_share(program, B) <= 1
    report = describe(program, B)
    assert report.drive_resistor == pytest.approx(1 / program.parts.drive_nominal)
    assert report.dac_share == dac_share(program, B)
    assert ("resistor", pytest.approx(report.drive_resistor), 4) in report.bill
    assert (
        f"through {report.drive_resistor:.4g} ohm, DAC at {report.dac_share:.3g} of its full scale for this b"
        in str(report)
    )


def test_without_b_every_drive_of_unit_norm_is_within_the_full_scale():
    program = compile_matrix(A, "crossbar", ranged("integrated"))
    rng = np.random.default_rng(0)
    for _ in range(50):
        b = rng.standard_normal(4)
        assert dac_share(program, b / np.linalg.norm(b)) <= 1
    assert 0.5 < dac_share(program) <= 1


def test_of_few_ranges_the_last_is_taken():
    program = compile_matrix(A, "crossbar", ranged("integrated", 2), b=B)
    assert 1 / program.parts.drive_nominal == 2 * preset("integrated").resistors.unit


def test_simulated_proved_and_saved(tmp_path):
    program = compile_matrix(A, "crossbar", ranged("integrated"), b=B)
    found = run(program.netlist(B), OperatingPoint(nodes=program.nodes))
    np.testing.assert_allclose(program.decode(found.voltages), np.linalg.solve(program.emitted_matrix, B), rtol=1e-5)
    assert derive_equations(program).proved
    program.save(tmp_path / "board")
    again = load_program(tmp_path / "board")
    assert again.to_spice(B) == program.to_spice(B)


def test_a_cascade_has_the_choice_too():
    system = low_rank(np.array([[1.0, 0.2, 0.0], [0.3, -1.0, 0.4]]), None, 0.05)
    b = np.array([0.0, 0.1, 1.0])
    program = compile_system(system, "factored", ranged("ideal"), b=b)
    assert 0.5 < dac_share(program, b) <= 1


def test_a_circuit_that_currents_drive_has_none():
    program = compile_matrix(np.array([[2.0, -1.0], [-1.0, 2.0]]), "rc", ranged("ideal"), b=np.ones(2))
    assert dac_share(program, np.ones(2)) is None
    assert describe(program).drive_resistor is None
