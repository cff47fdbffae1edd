"""What is emitted is the circuit: plain `ngspice -b` solves each text as it comes, and with a designer's parts put into it by hand.

The loose tolerances of our own runs of linear circuits, in such a text, make ngspice state its first iterate as the solution.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from thermograd import compile_matrix, run
from thermograd.circuits import Macromodel, OperatingPoint
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.technology.presets import preset

from ..circuits.ngspice_command import NGSPICE, needs_ngspice

LOOSE = ".options reltol=2 vntol=1 pivtol=1e-30"
TIGHT = ".options reltol=1e-6 vntol=1e-9"
TWO_STAGE = Path(__file__).parents[2] / "examples" / "amplifiers" / "two_stage.cir"
TECHNOLOGIES = ("ideal", "integrated", "breadboard")


def system(n, seed=0, smallest=0.1):
    """Entries of both signs, eigenvalues from `smallest` to 1."""
    generator = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(generator.standard_normal((n, n)))
    matrix = (vectors * np.geomspace(smallest, 1.0, n)) @ vectors.T
    return (matrix + matrix.T) / 2, generator.standard_normal(n)


def passive(n, seed=0):
    """A Laplacian with a leak at each node."""
    generator = np.random.default_rng(seed)
    joined = np.triu(generator.uniform(0, 1, (n, n)) * (generator.random((n, n)) < 0.5), 1)
    joined = joined + joined.T
    return np.diag(joined.sum(axis=1) + generator.uniform(0.05, 1, n)) - joined, generator.standard_normal(n)


def ngspice(text, folder, control=""):
    """What the command prints of a text as it stands, or with a control section in it."""
    path = folder / "deck.cir"
    section = f".control\nset numdgt=12\n{control}\n.endc\n" if control else ""
    path.write_text(text.replace(".end\n", f"{section}.end\n") if control else text, encoding="utf-8")
    assert NGSPICE is not None
    done = subprocess.run([NGSPICE, "-b", str(path)], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def last_volts(text, nodes, folder):
    """Voltages at the end of the analysis that the text states."""
    return dict(zip(nodes, rows_of(text, nodes, folder)[-1][1:], strict=True))


def rows_of(text, nodes, folder):
    """Rows of the analysis that the text states: the scale, then each node's voltage, of an `.ac` its real and imaginary part."""
    volts = " ".join(f"v({node})" for node in nodes)
    printed = ngspice(text, folder, f"run\nset wr_singlescale\nwrdata {folder}/rows.txt {volts}")
    assert (folder / "rows.txt").exists(), printed
    return np.loadtxt(folder / "rows.txt", ndmin=2).tolist()


def board(volts=0.1):
    """A 6 x 6 system on a breadboard whose largest unknown is `volts`, and its right-hand side."""
    matrix, b = system(6)
    program = compile_matrix(matrix, "crossbar_single", "breadboard", b=b)
    return program.at_scale(volts / float(np.abs(np.linalg.solve(matrix, b)).max())), b


def with_transistors(text):
    """Each amplifier's cards replaced, by hand as it were, with the designer's two-stage amplifier and its supplies."""
    inputs = dict(re.findall(r"^G(i?\d+) 0 a\S+ (\S+ \S+) ", text, re.MULTILINE))
    outputs = dict(re.findall(r"^E(i?\d+) (\S+) 0 ", text, re.MULTILINE))
    assert set(inputs) == set(outputs)
    assert len(inputs) > 6
    kept = [line for line in text.splitlines() if not re.match(r"(G|RA|CA|E)i?\d+ ", line)]
    amplifiers = [f"X{k} {inputs[k]} {outputs[k]} vdd vss two_stage" for k in inputs]
    subcircuit = TWO_STAGE.read_text(encoding="utf-8").split("\n", 1)[1].replace(".end\n", "")
    place = kept.index(next(line for line in kept if line.startswith(".options temp")))
    cards = [*amplifiers, "VDD vdd 0 0.9", "VSS vss 0 -0.9", *subcircuit.splitlines()]
    return "\n".join([*kept[:place], *cards, *kept[place:], ""])


def with_diodes(text):
    """A limiter of two diodes at the first unknown."""
    cards = ["RD1 p1 limited 1k", "D1 limited 0 clip", "D2 0 limited clip", ".model clip d (is=1e-14)"]
    return text.replace(".op\n", "\n".join([*cards, ".op", ""]))


@needs_ngspice
@pytest.mark.parametrize("technology", TECHNOLOGIES)
@pytest.mark.parametrize("n", [1, 6, 24])
@pytest.mark.parametrize("fabric", ["rc", "dual_rail", "crossbar", "crossbar_single", "lc", "oscillator"])
def test_plain_ngspice_solves_every_text(fabric, n, technology, tmp_path):
    given = preset(technology)
    if fabric in ("crossbar", "oscillator"):
        given = given.replace(opamp__outputs=2)
    matrix, b = system(n) if fabric.startswith(("crossbar", "osc")) else passive(n)
    program = compile_matrix(matrix, fabric, given, b=b)
    text = program.to_spice(b)
    assert "reltol" not in text
    assert "vntol" not in text
    x = program.decode(last_volts(text, program.nodes, tmp_path))
    emitted = program.emitted_matrix
    expected = np.linalg.solve(getattr(emitted, "toarray", lambda: np.asarray(emitted))(), b)
    # Twelve settling times of an oscillator leave e^-12 of the swing.
    tolerance = 1e-4 if fabric == "lc" else 1e-9
    np.testing.assert_allclose(x, expected, atol=tolerance * np.abs(expected).max())


@needs_ngspice
def test_a_designers_transistors_in_the_text(tmp_path):
    program, b = board()
    text = with_transistors(program.to_spice(b))
    x = {
        "as it comes": program.decode(last_volts(text, program.nodes, tmp_path)),
        "tight": program.decode(last_volts(text.replace(".op\n", f"{TIGHT}\n.op\n"), program.nodes, tmp_path)),
        "loose": program.decode(last_volts(text.replace(".op\n", f"{LOOSE}\n.op\n"), program.nodes, tmp_path)),
        "our own run": program.decode(run(parse_spice(text), OperatingPoint(program.nodes)).voltages),
    }
    size = np.abs(x["tight"]).max()
    np.testing.assert_allclose(x["as it comes"], x["tight"], atol=1e-4 * size)
    np.testing.assert_allclose(x["our own run"], x["tight"], atol=1e-4 * size)
    # The amplifiers' gain makes it near the system's solution; the loose text's is far from either.
    assert np.linalg.norm(x["tight"] - np.linalg.solve(program.target, b)) < 0.1 * np.linalg.norm(x["tight"])
    assert np.abs(x["loose"] - x["tight"]).max() > 0.1 * size


@needs_ngspice
def test_two_diodes_in_the_text(tmp_path):
    program, b = board(3.0)
    text, nodes = with_diodes(program.to_spice(b)), ("limited", *program.nodes)
    found, tight, loose = (
        last_volts(text.replace(".op\n", f"{options}.op\n"), nodes, tmp_path)
        for options in ("", f"{TIGHT}\n", f"{LOOSE}\n")
    )
    assert abs(tight["limited"]) > 0.5
    assert found == pytest.approx(tight, abs=1e-5)
    assert abs(loose["limited"] - tight["limited"]) > 1e-3


@needs_ngspice
@pytest.mark.parametrize("swap", [str, with_transistors], ids=["as it comes", "with transistors"])
def test_small_signal_analyses_run_on_the_text(swap, tmp_path):
    """The response at a low frequency is A^-1 of a unit to each cell; `.noise` finds the source that the header names."""
    program, b = board()
    text = swap(program.to_spice(b))
    noise = re.search(r"or (\.noise v\(p1\) VB1) dec", text)
    assert noise is not None
    printed = ngspice(
        text.replace(".op\n", f"{noise[1]} dec 20 1 1g\n"), tmp_path, "run\nsetplot noise2\nprint onoise_total"
    )
    assert float(re.search(r"onoise_total = (\S+)", printed)[1]) > 0
    lowest = rows_of(text.replace(".op\n", ".ac dec 1 1 10\n"), program.nodes, tmp_path)[0]
    responses = np.array(lowest[1::2])
    assert len(responses) == 6
    # A volt at an input resistor is this right-hand side.
    unit = program.parts.drive_nominal / program.conductance_unit
    expected = unit * np.linalg.solve(program.matrix, np.ones(6))
    # Two stages of MOS transistors have some hundreds of gain into these loads.
    tolerance = 0.05 if swap is with_transistors else 1e-6
    np.testing.assert_allclose(responses, expected, atol=tolerance * np.abs(expected).max())


@needs_ngspice
@pytest.mark.parametrize("hierarchical", [False, True])
def test_the_macromodels_noise_is_in_the_text(hierarchical, tmp_path):
    program, b = board()

    def noise(amplifier):
        text = program.to_spice(b, hierarchical=hierarchical, amplifier=amplifier)
        source = "v.xcell1.vb1" if hierarchical else "vb1"
        printed = ngspice(
            text.replace(".op\n", f".noise v(p1) {source} dec 10 1 10k\n"),
            tmp_path,
            "run\nsetplot noise2\nprint onoise_total",
        )
        return float(re.search(r"onoise_total = (\S+)", printed)[1])

    assert noise(Macromodel(program.technology.opamp)) > 5 * noise(None)
    quiet = program.technology.opamp.model_copy(update={"noise_voltage": 0.0, "noise_current": 0.0})
    assert noise(Macromodel(quiet)) == pytest.approx(noise(None), rel=0.05)


@pytest.mark.parametrize("dialect", ["ngspice", "ltspice", "xyce"])
@pytest.mark.parametrize("hierarchical", [False, True])
def test_every_dialect_holds_the_macromodel_and_reads_it_back(dialect, hierarchical):
    program, b = board()
    cell = Macromodel(program.technology.opamp)
    text = program.to_spice(b, dialect, hierarchical, cell)
    assert "* amplifiers: macromodel" in text
    there, back = program.netlist(b, amplifier=cell), parse_spice(text)
    assert sorted(e.name.split("_X")[0].lower() for e in back) == sorted(e.name.lower() for e in there)
    assert not back.is_linear
    slews = [line for line in text.splitlines() if line.startswith("BG1 ")]
    assert len(slews) == 1
    assert (" i={" in slews[0]) == (dialect == "xyce")
    # ngspice's tolerances are not Xyce's or LTspice's words, and never looser than its own.
    assert ("vntol=1e-08" in text) == (dialect == "ngspice")
