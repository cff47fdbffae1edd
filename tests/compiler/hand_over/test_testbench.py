"""The testbench runs as it comes: a good circuit passes, one with a part that is off fails; the tolerance is what dies need."""

from __future__ import annotations

import csv
import io
import re
import subprocess

import numpy as np
import pytest

from thermograd.circuits.errors import InputError, UnrealisableError
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.pdk.registry import process
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.hand_over.circuit import circuit_of
from thermograd.compiler.hand_over.device_list import device_list
from thermograd.compiler.hand_over.expected import RESOLVED, expected_solution, solution_at_rest
from thermograd.compiler.hand_over.process_devices import with_process_devices
from thermograd.compiler.hand_over.testbench import array_text, bench_text

from ...circuits.ngspice_command import NGSPICE, needs_ngspice
from ...processes import needs_process
from .boards import laplacian, system

GF180MCU = process("gf180mcu")


def bench(folder, program, b, circuit=None, altered=str):
    """Exit code, what is printed and the solution that the testbench found."""
    circuit = circuit or circuit_of(program, b)
    (folder / "array.cir").write_text(altered(array_text(circuit)), encoding="utf-8")
    text = bench_text(program, circuit, expected_solution(program, b))
    (folder / "testbench.cir").write_text(text, encoding="utf-8")
    # From another folder: the array is found beside the testbench.
    done = subprocess.run(
        [NGSPICE, "-b", str(folder / "testbench.cir")], capture_output=True, text=True, timeout=100, check=False
    )
    rows = re.findall(r"^\d+\t(\S+)\t(\S+)", done.stdout, re.MULTILINE)
    return done.returncode, done.stdout + done.stderr, np.array([float(found) for _, found in rows])


@needs_ngspice
@pytest.mark.parametrize(
    ("fabric", "technology"),
    [("rc", "breadboard"), ("dual_rail", "breadboard"), ("crossbar_single", "breadboard"), ("crossbar", "integrated")],
)
def test_the_nominal_circuit_passes_and_one_that_is_off_fails(fabric, technology, tmp_path):
    matrix, b = laplacian(3) if fabric == "rc" else system(3)
    program = compile_matrix(matrix, fabric, technology, b=b)
    code, printed, x = bench(tmp_path, program, b)
    assert (code, "PASSED" in printed) == (0, True), printed
    np.testing.assert_allclose(x, solution_at_rest(program, program.netlist(b)), rtol=1e-6)

    def off(text):
        resistor = re.compile(r"^(R\w+ \w+ \w+ )([0-9.]+)", re.MULTILINE)
        return resistor.sub(lambda found: f"{found[1]}{2 * float(found[2])!r}", text, count=2)

    code, printed, _ = bench(tmp_path, program, b, altered=off)
    assert (code, "FAILED" in printed) == (1, True), printed


def test_the_tolerance_is_what_dies_need():
    """Of 200 dies at most one is outside, of dies with twice the mismatch many are."""
    matrix, b = system(3)
    outside = []
    for factor in (1.0, 2.0):
        technology = preset("breadboard").replace(
            resistors__tolerance=0.005 * factor, opamp__offset=3e-3 * factor, thermal__ambient_rms=0.0, opamp__power=0.0
        )
        program = compile_matrix(matrix, "crossbar_single", technology, b=b)
        if factor == 1.0:
            expected = expected_solution(program, b)
        dies = [program.on(Die(technology, seed)) for seed in range(200 if factor == 1.0 else 60)]
        found = np.array([solution_at_rest(die, die.netlist(b)) for die in dies])
        assert found.shape[1] == 3
        share = np.abs(found - expected.nominal) / expected.tolerance
        outside.append(float((share.max(axis=1) > 1).mean()))
        if factor == 1.0:
            deviation = found.std(axis=0, ddof=1)
            np.testing.assert_allclose(deviation, expected.deviation, rtol=4 / np.sqrt(2 * 200))
    assert outside[0] <= 1 / 200
    assert outside[1] > 0.05


def test_without_tolerances_the_bench_says_so():
    matrix, b = system(2)
    program = compile_matrix(matrix, "crossbar", "ideal", b=b)
    expected = expected_solution(program, b)
    assert expected.reason == "technology ideal states nothing that differs from die to die"
    np.testing.assert_allclose(expected.tolerance, RESOLVED * np.abs(expected.nominal).max())
    assert f"of the simulator alone; {expected.reason}" in bench_text(program, circuit_of(program, b), expected)
    with pytest.raises(InputError, match="b is zero"):
        expected_solution(program, [0.0, 0.0])
    with pytest.raises(UnrealisableError, match="fabric lc is not read at rest"):
        expected_solution(compile_matrix(matrix, "lc", "ideal", b=b), b)


def test_every_device_is_listed_with_its_cell_and_deviation():
    matrix, b = system(2)
    program = compile_matrix(matrix, "crossbar_single", "breadboard", b=b)
    circuit = circuit_of(program, b)
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(device_list(program, circuit)))}
    assert set(rows) == {part.name for part in program.netlist(b)} - {"VB1", "VB2"}
    assert (rows["R1_1"]["cell"], rows["R1_1"]["unit"], rows["R1_1"]["standard_deviation"]) == ("cell1", "ohm", "0.005")
    assert rows["C2"]["standard_deviation"] == "0.025"
    assert rows["RA1"]["standard_deviation"] == ""


@needs_process("gf180mcu")
@needs_ngspice
def test_a_foundrys_films_hold_the_solution(tmp_path):
    """Resistors of 1 um film and MIM plates, sized for the circuit's temperature: the testbench finds the solution in the models."""
    matrix, b = system(2)
    technology = preset("integrated").replace(resistors__unit=1e5)
    program = compile_matrix(matrix, "crossbar", technology, b=b)
    nominal = circuit_of(program, b)
    circuit, sizes = with_process_devices(nominal, GF180MCU, technology)
    code, printed, x = bench(tmp_path, program, b, circuit)
    assert (code, "PASSED" in printed) == (0, True), printed
    np.testing.assert_allclose(x, solution_at_rest(program, nominal.netlist), rtol=1e-3)
    ohms = {name: size for name, size in sizes.items() if size.unit == "ohm"}
    assert len(ohms) == len([part for part in nominal.own if part.name.startswith("R")])
    model = next(iter(GF180MCU.resistors.values()))
    for size in sizes.values():
        assert (1e9 * size.length) % 5 == pytest.approx(0, abs=1e-6) or (1e9 * size.length) % 5 == pytest.approx(
            5, abs=1e-6
        )
    for size in ohms.values():
        assert model.resistance(size.width, size.length, 300.15) == pytest.approx(size.value, rel=1e-4)
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(device_list(program, circuit, sizes)))}
    assert rows["XR1_1p"]["model"].startswith("ppolyf_u_1k r_width=1e-06 r_length=")
    assert float(rows["XR1_1p"]["value"]) == pytest.approx(1 / program.parts.coupling[0, 0, 0])
    small = preset("integrated").replace(resistors__unit=100.0)
    tiny = circuit_of(compile_matrix(matrix, "crossbar", small, b=b), b)
    with pytest.raises(InputError, match="is too small for a strip of ppolyf_u_1k"):
        with_process_devices(tiny, GF180MCU, small)
