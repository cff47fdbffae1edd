"""Netlists in full, as files to read: every fabric at two and three unknowns, in every dialect.

`python -m tests.compiler.test_golden` writes the files anew; what changed then shows in the diff. The parts are chosen so that values
are round: scaling one by hand where a solver would give 0.9999999999999998, and a transient's length in whole microseconds.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from thermograd.circuits.linear.descriptor import describe_netlist
from thermograd.circuits.netlist.analyses import Noise, OperatingPoint, Transient
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.spice.writer import DIALECTS
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.compiler.program import AnalogProgram

from ..systems import low_rank

FOLDER = Path(__file__).parent / "golden"
IDEAL = preset("ideal")

NEGATIVE = {2: [[2.0, -1.0], [-1.0, 2.0]], 3: [[4.0, -1.0, -2.0], [-1.0, 4.0, -1.0], [-2.0, -1.0, 4.0]]}
MIXED = {2: [[2.0, 1.0], [1.0, 2.0]], 3: [[4.0, -1.0, 2.0], [-1.0, 4.0, -1.0], [2.0, -1.0, 4.0]]}
MATRICES = {
    "rc": NEGATIVE,
    "dual_rail": MIXED,
    "crossbar": MIXED,
    "crossbar_single": MIXED,
    "lc": {2: NEGATIVE[2], 3: MIXED[3]},
    "spu": NEGATIVE,
    "oscillator": MIXED,
}
#: One row J of norm 5 and 3, so that the summing stage's feedback is round.
ROWS = {2: [[3.0, 4.0]], 3: [[1.0, 2.0, -2.0]]}
FEEDBACK = {2: 9600.0, 3: 2000.0}
DAMPING = {2: 240e3, 3: 18e3}
UNIT = {2: 12e3, 3: 3e3}
#: (volts per problem unit, right-hand side) of each, and the transient's length where there is no operating point.
LEVEL = {2: 0.5, 3: 0.25}
B = {2: [1.0, 0.0], 3: [1.0, 0.0, 0.0]}
STOP = {"lc": 24e-6, "spu": 72e-6}

CASES = [(fabric, n) for fabric in (*MATRICES, "factored") for n in (2, 3)]


def program_of(fabric: str, n: int) -> AnalogProgram:
    """The compiled matrix with round values."""
    if fabric == "factored":
        technology = IDEAL.replace(resistors__unit=UNIT[n])
        system = low_rank(J=np.array(ROWS[n]), H=None, damping=1.0)
        program = compile_system(system, fabric, technology, b=B[n])
        parts = dataclasses.replace(
            program.parts, feedback=(np.array([1 / FEEDBACK[n]]),), damping=np.full(n, 1 / DAMPING[n])
        )
        return dataclasses.replace(program, parts=parts, conductance_unit=1 / DAMPING[n], volts_per_unit=LEVEL[n])
    matrix = np.array(MATRICES[fabric][n])
    program = compile_matrix(matrix, fabric, IDEAL, b=None if fabric == "spu" else B[n])
    parts, unit = program.fabric.place(matrix, np.ones(n), IDEAL)
    if fabric == "oscillator":
        parts = dataclasses.replace(parts, friction=np.full((2, n), 5e-4), series=np.full((2, n), 20.0))
    level = LEVEL[n] * 1e-3 if fabric == "lc" else LEVEL[n]  # a volt of its probes stands for a milliweber
    return dataclasses.replace(program, scaling=np.ones(n), parts=parts, conductance_unit=unit, volts_per_unit=level)


def text_of(fabric: str, n: int, dialect: str, hierarchical: bool = False) -> str:
    program = program_of(fabric, n)
    if fabric == "spu":
        return program.netlist().to_spice(dialect, Noise("p1", "I1", 100.0, 1e8), hierarchical)
    analysis = Transient(STOP[fabric], nodes=program.nodes) if fabric in STOP else OperatingPoint(nodes=program.nodes)
    return program.netlist(B[n]).to_spice(dialect, analysis, hierarchical)


def sliced_program() -> AnalogProgram:
    """A crossbar of two slices of two bits: codes of 6, 3 and 2 kohm, and of 24, 12 and 8 kohm, with second slices of either sign."""
    technology = IDEAL.replace(resistors__unit=2e3, resistors__bits=2, resistors__slices=2)
    program = compile_matrix([[1.0, -0.6], [-0.6, 0.8]], "crossbar", technology, b=B[2])
    return dataclasses.replace(program, volts_per_unit=0.25)


def sliced_text(dialect: str) -> str:
    return sliced_program().to_spice(B[2], dialect)


def golden_texts() -> dict[str, Callable[[], str]]:
    """File name -> what writes its text: every worker collects the tests, and one runs them."""
    texts = {
        f"{f}_n{n}_{dialect}.cir": partial(text_of, f, n, dialect)
        for f, n in CASES
        for dialect in DIALECTS
        if (f, dialect) != ("spu", "gnucap")  # which has no noise analysis
    }
    for dialect in DIALECTS:
        texts[f"crossbar_two_slices_n2_{dialect}.cir"] = partial(sliced_text, dialect)
    return texts | {"crossbar_n2_hierarchical_ngspice.cir": partial(text_of, "crossbar", 2, "ngspice", True)}


@pytest.mark.parametrize("name", golden_texts())
def test_the_text_is_the_one_on_file(name):
    text = golden_texts()[name]()
    kept = (FOLDER / name).read_text(encoding="utf-8")
    assert text == kept, (
        f"{name} has changed; if that is meant, run `python -m tests.compiler.test_golden` and look at the diff"
    )


def test_there_is_no_file_without_a_program():
    assert {path.name for path in FOLDER.iterdir()} == set(golden_texts())


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("fabric", "n"), [case for case in CASES if case[0] != "spu"])
def test_the_circuit_on_file_solves_its_system(fabric, n, dialect):
    """Read back from the file and solved here, at rest (oscillators: s tau = 1e-6); spu answers by its covariance alone."""
    program = program_of(fabric, n)
    netlist = parse_spice((FOLDER / f"{fabric}_n{n}_{dialect}.cir").read_text(encoding="utf-8"))
    law = describe_netlist(netlist)
    sources = np.array([netlist[name].dc for name in law.sources])
    state = np.linalg.solve(law.at(1.0 if fabric == "lc" else 0.0).toarray(), law.input @ sources)
    x = program.decode(dict(zip(law.nodes, state, strict=False)))
    np.testing.assert_allclose(np.array(program.target) @ x, B[n], atol=1e-5)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_two_slices_on_file_hold_the_sum_of_their_codes(dialect):
    """K = [[1, -7/12], [-7/12, 10/12]] of a unit of 1/2000 S: each entry's codes by hand, solved here."""
    netlist = parse_spice((FOLDER / f"crossbar_two_slices_n2_{dialect}.cir").read_text(encoding="utf-8"))
    law = describe_netlist(netlist)
    sources = np.array([netlist[name].dc for name in law.sources])
    state = np.linalg.solve(law.at(0.0).toarray(), law.input @ sources)
    x = sliced_program().decode(dict(zip(law.nodes, state, strict=False)))
    np.testing.assert_allclose(np.array([[1.0, -7 / 12], [-7 / 12, 10 / 12]]) @ x, B[2], atol=1e-6)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    texts = golden_texts()
    for path in FOLDER.glob("*.cir"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text(), encoding="utf-8")


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="the ngspice command is not installed")
@pytest.mark.parametrize("fabric", [*MATRICES, "factored"])
def test_ngspice_runs_the_file_as_it_is(fabric, tmp_path):
    """As the help says: `ngspice -b board.cir`, for every fabric and its own analysis."""
    given = program_of(fabric, 3)
    text = given.to_spice(B[3] if given.fabric.mean else None)
    (tmp_path / "board.cir").write_text(text, encoding="utf-8")
    ran = subprocess.run(
        ["ngspice", "-b", "board.cir"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    words = {"lc": "Transient Analysis", "spu": "onoise_spectrum"}.get(fabric, given.nodes[0])
    assert words in ran.stdout


if __name__ == "__main__":
    main()
