"""`thermograd compile`: the files it writes, its options, and the figures of its report against ngspice."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run as simulate
from thermograd.circuits.spice.read import read_spice
from thermograd.circuits.technology.presets import PRESETS, preset
from thermograd.compiler.fabrics.rc import RC
from thermograd.compiler.fabrics.registry import fabric_names, registered_fabric
from thermograd.compiler.program_io import load_program

from .command_line import A, B, Run, assert_rejected, is_one_line, save, words

TWO_STAGE = (
    f"{Path(__file__).parents[2] / 'examples' / 'amplifiers' / 'two_stage.cir'} --subckt two_stage --inputs inp,inn --outputs out "
    "--supply vdd=0.9 --supply vss=-0.9"
)


def test_help_names_what_there_is(run: Run) -> None:
    assert {*fabric_names(), *PRESETS, "auto"} <= words(run("compile", "--help")[1])
    assert not re.search("{[a-z]", run("compile", "--help")[1])


def test_help_reads_the_registry_of_fabrics(run: Run) -> None:
    class Toy(RC):
        name = "toyfabric"

    with registered_fabric(Toy()):
        assert all("toyfabric" in words(run(command, "--help")[1]) for command in ("compile", "simulate"))
    assert "toyfabric" not in words(run("compile", "--help")[1])


def test_compile_writes_a_program_that_loads(run: Run) -> None:
    code, out, error = run("compile", save("s.npz", A=A, b=B), "--technology", "breadboard", "--out", "deep/board")
    assert code == 0
    assert "dual_rail" in out
    assert "wrote" in error
    assert sorted(path.name for path in Path("deep").iterdir()) == sorted(
        f"board{suffix}"
        for suffix in (".cir", ".json", ".npz", ".report.txt", ".report.json", ".report.html", ".bom.csv")
    )
    program = load_program("deep/board")
    np.testing.assert_array_equal(program.target, A)
    assert Path("deep/board.cir").read_text(encoding="utf-8") == program.to_spice(B)
    assert Path("deep/board.report.txt").read_text(encoding="utf-8").strip() == out.strip()
    with Path("deep/board.bom.csv").open(encoding="utf-8") as file:
        bill = list(csv.DictReader(file))
    assert sum(int(row["count"]) for row in bill if row["part"] == "resistor") == program.report.parts["resistor"]


def test_compile_does_all_that_its_options_say(run: Run) -> None:
    options = "--technology integrated --rounding solution --equilibrate --prune 0.001 --tile 2 --equations --hierarchical --dialect xyce"
    code, out, _ = run(
        "compile", save("A.npy", A), *options.split(), "--picture", "cells.svg", "--out", "board", "--json"
    )
    assert code == 0
    data = json.loads(out)
    assert data["placement"]["tiles"]
    assert data["equations"]["proved"]
    assert r"\begin{aligned}" in data["equations"]["latex"]
    assert "cells.svg" in data["files"][-1]
    assert Path("cells.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")
    text = Path("board.cir").read_text(encoding="utf-8")
    assert ".subckt cell1" in text
    assert ".options device temp=" in text
    assert json.loads(Path("board.report.json").read_text(encoding="utf-8"))["report"] == data["report"]
    page = Path("board.report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "C_1 s" in page


def test_compile_says_how_far_the_solution_for_the_given_b_is_off(run: Run) -> None:
    options = (
        "--b",
        save("b.npy", B),
        "--technology",
        "integrated",
        "--fabric",
        "crossbar",
        "--out",
        "board",
        "--json",
    )
    found = {}
    for rounding in ("nearest", "solution"):
        code, out, _ = run("compile", save("A.npy", A), *options, "--rounding", rounding)
        assert code == 0
        netlist, program = read_spice("board.cir"), load_program("board")
        x, exact = program.decode(simulate(netlist, OperatingPoint()).voltages), np.linalg.solve(A, B)
        found[rounding] = json.loads(out)["report"]["error_for_b"]
        assert found[rounding] == pytest.approx(np.linalg.norm(x - exact) / np.linalg.norm(exact), rel=1e-3)
    assert found["solution"] < found["nearest"]
    for file in ("board.report.txt", "board.report.html"):
        assert f"{found['solution']:.3g} (relative); nominal parts" in Path(file).read_text(encoding="utf-8")


@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single"])
def test_compile_writes_the_netlist_after_layout_beside_the_schematic(run: Run, fabric: str) -> None:
    options = ("--b", save("b.npy", B), "--technology", "integrated", "--fabric", fabric, "--out", "board", "--json")
    assert run("compile", save("A.npy", A), *options)[0] == 0
    schematic = Path("board.cir").read_text(encoding="utf-8")
    assert not Path("board.extracted.cir").exists()
    assert "after layout" not in Path("board.report.txt").read_text(encoding="utf-8")
    code, out, _ = run("compile", "A.npy", *options, "--extracted")
    assert code == 0
    data, exact, program = json.loads(out), np.linalg.solve(A, B), load_program("board")
    assert "board.extracted.cir" in data["files"]
    assert Path("board.cir").read_text(encoding="utf-8") == schematic
    errors = {
        "board.cir": data["report"]["error_for_b"],
        "board.extracted.cir": data["report"]["layout"]["error_for_b"],
    }
    for file, error in errors.items():
        x = program.decode(simulate(read_spice(file), OperatingPoint()).voltages)
        assert error == pytest.approx(np.linalg.norm(x - exact) / np.linalg.norm(exact), rel=1e-3)
    assert errors["board.cir"] != pytest.approx(errors["board.extracted.cir"], rel=0.05)
    for file in ("board.report.txt", "board.report.html"):
        text = Path(file).read_text(encoding="utf-8")
        assert f"{errors['board.extracted.cir']:.3g} for this b; all of its modes decay" in text


def test_a_layout_of_a_technology_without_wires_is_said_to_add_nothing(run: Run) -> None:
    options = ("--fabric", "crossbar_single", "--extracted")
    code, out, error = run("compile", save("A.npy", A), "--technology", "breadboard", *options, "--out", "board")
    assert code == 0
    said = "adds nothing: the technology states no wires, switches, parasitic capacitances or DAC output"
    assert f"--extracted: the layout {said}" in error
    for text in (out, *(Path(f"board.report.{end}").read_text(encoding="utf-8") for end in ("txt", "html"))):
        assert said in text
    assert json.loads(Path("board.report.json").read_text(encoding="utf-8"))["report"]["layout"]["parts"] == 0
    # What has wires has parts.
    _, out, error = run("compile", "A.npy", "--technology", "integrated", *options, "--json")
    assert json.loads(out)["report"]["layout"]["parts"] > 0
    assert "adds nothing" not in error


def test_compile_writes_the_netlist_after_layout_in_the_dialect_and_form_asked_for(run: Run) -> None:
    options = "--technology integrated --fabric crossbar --rounding stochastic --programs 2 --dialect xyce --hierarchical --extracted"
    assert run("compile", save("A.npy", A), *options.split(), "--out", "board")[0] == 0
    texts = [Path(f"board-{k}.extracted.cir").read_text(encoding="utf-8") for k in (1, 2)]
    assert texts[0] != texts[1]
    for text in texts:
        assert ".subckt cell1" in text
        assert ".options device temp=" in text
        assert "RWp1_1 p1_1 p1 1.0" in text


def test_compile_makes_several_programs_to_average_over(run: Run) -> None:
    options = ("--technology", "integrated", "--fabric", "crossbar", "--rounding", "stochastic", "--programs", "3")
    code, out, _ = run("compile", save("A.npy", A), *options, "--out", "mean", "--json")
    assert code == 0
    data = json.loads(out)
    found = [load_program(f"mean-{k}") for k in range(1, 4)]
    mean = np.mean([np.linalg.inv(program.emitted_matrix) for program in found], axis=0)
    exact = np.linalg.inv(A)
    assert data["mean_error"] == pytest.approx(np.linalg.norm(mean - exact) / np.linalg.norm(exact), rel=1e-6)
    assert data["reports"][2] == json.loads(Path("mean-3.report.json").read_text(encoding="utf-8"))["report"]
    assert len({Path(f"mean-{k}.cir").read_text(encoding="utf-8") for k in range(1, 4)}) == 3
    code, out, _ = run("compile", "A.npy", *options)
    assert "program 1 of 3" in out


def test_compile_takes_systems_by_their_factors(run: Run) -> None:
    J = np.random.default_rng(0).standard_normal((2, 9))
    code, out, _ = run("compile", save("ggn.npz", J=J, damping=0.5, b=np.ones(9)), "--damping", "0.5", "--json")
    assert code == 0
    assert json.loads(out)["report"]["fabric"] == "factored"
    assert json.loads(out)["report"]["damping"] == 1.0
    code, out, _ = run("compile", save("kfac.npz", A=A, B=A, damping=0.1), "--fabric", "factored", "--json")
    assert json.loads(out)["report"]["unknowns"] == 9
    code, out, _ = run("compile", "ggn.npz", "--prune", "0.1", "--equilibrate", "--json")
    assert json.loads(out)["report"]["fabric"] == "crossbar"
    for options in (["--fabric", "factored", "--prune", "0.1"], ["--programs", "2", "--rounding", "stochastic"]):
        code, _, error = run("compile", "ggn.npz", *options)
        assert (code, is_one_line(error)) == (2, True)
        assert "factors" in error


def test_compile_keeps_a_sparse_matrix_sparse(run: Run) -> None:
    from scipy import sparse
    from scipy.io import mmwrite

    n = 3200
    mmwrite("mesh.mtx", sparse.diags_array([-1.0, 2.5, -1.0], offsets=[-1, 0, 1], shape=(n, n)))
    code, out, _ = run("compile", "mesh.mtx", "--json")
    assert code == 0
    assert json.loads(out)["report"]["fabric"] == "rc"
    assert json.loads(out)["report"]["parts"]["resistor"] == 2 * n - 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--rounding coin", "rounding"),
        ("--dialect hspice", "ngspice, ltspice, xyce"),
        ("--dialect xyce", "add it, or leave them out"),
        ("--hierarchical", "netlist that --out PREFIX writes"),
        ("--prune 2", "prune"),
        ("--tile 0", "tile"),
        ("--picture a.txt", r"\.png or \.svg"),
        ("--programs 4", "--rounding stochastic"),
        ("--programs 0", "programs"),
        ("--fabric factored", "compile_system"),
        ("--fabric spu", "second rail"),
        ("--floor 0.1", "dual_rail has no friction"),
        ("--floor 9 --fabric oscillator", "smallest eigenvalue is"),
        ("--extracted", "dual_rail has no layout.*crossbar or crossbar_single"),
        ("--amplifier macromodel --technology breadboard", "netlist that --out PREFIX writes"),
        ("--amplifier macromodel --technology ideal --out a", "no figures of its amplifier.*breadboard or integrated"),
        ("--amplifier macromodel --technology breadboard --fabric dual_rail --out a", "dual_rail has no amplifiers"),
        ("--amplifier macromodel --subckt x --technology breadboard --out a", "give that file, or leave them out"),
        ("--supply vdd=1 --technology breadboard --out a", "give that file, or leave them out"),
        ("--amplifier own.cir --technology breadboard --out a", "--subckt, --inputs and --outputs are needed"),
        (f"--amplifier {TWO_STAGE} --fabric crossbar --technology integrated --out a", "of 2 output.*crossbar_single"),
        (f"--amplifier {TWO_STAGE} --fabric crossbar_single --dialect xyce --out a", "only ngspice does"),
    ],
)
def test_compile_rejects_bad_options(run: Run, options: str, message: str) -> None:
    code, _, error = run("compile", save("A.npy", A), *options.split())
    assert (code, is_one_line(error)) == (2, True)
    assert re.search(message, error)


def test_compile_json_is_the_report_alone(run: Run) -> None:
    code, out, error = run("compile", save("A.npy", A), "--fabric", "crossbar", "--damping", "0.5", "--json")
    data = json.loads(out)
    assert (code, error, data["files"]) == (0, "", [])
    assert (data["report"]["fabric"], data["report"]["damping"]) == ("crossbar", 0.5)


def test_a_placement_beyond_its_fan_out_is_a_no(run: Run) -> None:
    code, _, error = run("compile", save("A.npy", A), "--tile", "1", "--fan-out", "1")
    assert code == 1
    assert "exceeds --fan-out 1" in error
    code, _, error = run("compile", "A.npy", "--fan-out", "1")
    assert (code, is_one_line(error)) == (2, True)
    assert "--tile" in error


BAD: dict[str, tuple[list[str], str]] = {
    "missing file": (["compile", "none.npy"], r"'none\.npy' cannot be read: No such file"),
    "a folder": (["compile", "folder.npy"], "is a folder: give a file in it"),
    "unknown suffix": (["compile", "A.mat"], r"suffix '\.mat'; use one of \.npy"),
    "b too long": (["compile", "A.npy", "--b", "b4.npy"], r"b has shape \(4,\).*must be \(3,\)"),
    "unknown fabric": (["compile", "A.npy", "--fabric", "wires"], "'wires' is unknown; there are: auto, rc, dual_rail"),
    "unknown technology": (["compile", "A.npy", "--technology", "magic"], "'magic' is neither a preset"),
    "missing technology": (["compile", "A.npy", "--technology", "no.toml"], r"no\.toml.*No such file"),
    "field out of range": (
        ["compile", "A.npy", "--technology", "bad.toml"],
        r"adc\.bits: .*less than or equal to 24, got 99",
    ),
    "unknown field": (["compile", "A.npy", "--technology", "typo.json"], r"resistors\.tolerence.*spelling"),
    "negative damping": (["compile", "A.npy", "--damping", "-1"], "damping must be a finite number >= 0, got -1"),
    "dual_rail cannot": (["compile", "active.npy", "--fabric", "dual_rail"], r"lambda\*.*crossbar"),
    "dialect": (["compile", "A.npy", "--dialect", "klingon"], "'klingon'.*ngspice"),
    "dotted prefix": (["compile", "A.npy", "--out", "board.v1"], "prefix without a dot"),
    "compile overwrites an input": (["compile", "system.npz", "--out", "system"], "overwrite an input"),
    "no such option": (["compile", "A.npy", "--fabrik", "auto"], "--fabrik"),
    "not a number": (["compile", "A.npy", "--damping", "much"], "--damping.*number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(files: Run, case: str) -> None:
    assert_rejected(files, *BAD[case])


def test_slices_and_drive_ranges_stand_in_for_the_technologys(run: Run) -> None:
    board = ("--fabric", "crossbar", "--technology", "integrated", "--slices", "2", "--drive-ranges", "8")
    code, out, _ = run(
        "compile", save("A.npy", A), "--b", save("b.npy", np.asarray(B)), *board, "--out", "fine", "--json"
    )
    report = json.loads(out)["report"]
    assert code == 0
    ratio = report["drive_resistor"] / 1e4
    assert ratio == 2.0 ** round(np.log2(ratio))
    assert 0 < report["dac_share"] <= 1
    assert "\nRT1_" in Path("fine.cir").read_text(encoding="utf-8")
    assert f"resistor,{report['drive_resistor']!r},ohm" in Path("fine.bom.csv").read_text(encoding="utf-8")
    assert_rejected(
        run, ["compile", "A.npy", "--fabric", "rc", "--technology", "integrated", "--slices", "2"], "one slice"
    )
    for fabric in ("rc", "dual_rail"):
        assert_rejected(
            run, ["compile", "A.npy", "--fabric", fabric, "--technology", "integrated", "--drive-ranges", "8"], fabric
        )


def test_says_what_refined_readings_solve(run: Run) -> None:
    matrix = save("A.npy", A)
    _, text, _ = run("compile", matrix, "--technology", "integrated", "--fabric", "crossbar", "--out", "board")
    line = next(one for one in text.splitlines() if "refined readings" in one)
    assert re.search(
        r"down to a damping of \S+ times the largest eigenvalue, limited by \w+; this one, at \S+, takes \d+ round",
        line,
    )
    assert line in Path("board.report.txt").read_text(encoding="utf-8").splitlines()
    found = json.loads(Path("board.report.json").read_text(encoding="utf-8"))["refinement"]
    assert found["sentence"] in line
    assert found["sentence"] in Path("board.report.html").read_text(encoding="utf-8")
    assert found["limit"] in found["smallest"]["walls"]
    _, passive, _ = run("compile", matrix, "--technology", "breadboard", "--fabric", "dual_rail")
    assert "refined readings" not in passive


@pytest.mark.parametrize("extra", ["", "--hierarchical", "--params", "--extracted"])
def test_the_chosen_amplifier_is_in_every_text_and_report(run: Run, extra: str) -> None:
    given = ("compile", save("A.npy", A), "--b", save("b.npy", B), "--fabric", "crossbar_single", "--json")
    code, out, _ = run(*given, "--technology", "integrated", "--amplifier", "macromodel", "--out", "a", *extra.split())
    assert code == 0
    assert json.loads(out)["amplifier"].startswith("macromodel")
    assert "macromodel" in Path("a.report.txt").read_text()
    assert "macromodel" in Path("a.report.html").read_text()
    for name in ("a.cir", *(["a.extracted.cir"] if extra == "--extracted" else [])):
        assert "\nBC1 " in Path(name).read_text()
        assert not read_spice(name).is_linear


def test_an_amplifier_that_cannot_reach_the_signal_level_is_rejected(run: Run) -> None:
    given = (
        "compile",
        save("A.npy", A),
        "--b",
        save("b.npy", B),
        "--out",
        "a",
        "--fabric",
        "crossbar_single",
        "--amplifier",
        *TWO_STAGE.split(),
    )
    code, _, error = run(*given, "--technology", "breadboard")
    assert code == 2
    assert "its outputs reach 0.9 V between its supplies" in error
    assert "opamp.output_limit, 10 V" in error
    preset("breadboard").replace(opamp__output_limit=0.9).write("board.toml")  # as the message says
    assert run(*given, "--technology", "board.toml")[0] == 0


def test_a_designers_amplifier_is_in_the_text_and_solves(run: Run) -> None:
    amplifier = ("--amplifier", *TWO_STAGE.split())
    technology = save_technology("board.toml")
    code, _, error = run(
        "compile",
        save("A.npy", A),
        "--b",
        save("b.npy", B),
        "--fabric",
        "crossbar_single",
        "--technology",
        technology,
        *amplifier,
        "--out",
        "a",
    )
    assert code == 0, error
    program, netlist = load_program("a"), read_spice("a.cir")
    assert any(part.letter == "M" for part in netlist)
    x = program.decode(simulate(netlist, OperatingPoint(program.nodes)).voltages)
    exact = np.linalg.solve(A, B)
    assert 1e-6 < np.linalg.norm(x - exact) / np.linalg.norm(exact) < 0.05


def save_technology(name: str) -> str:
    """Resistors that two stages can drive, and signals within their swing."""
    Path(name).write_text("name = 'board'\nresistors = {unit = 100e3}\nopamp = {outputs = 1, output_limit = 0.5}\n")
    return name


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--fabric", "lc", "--technology", "ideal"), "technology ideal states nothing that differs from die to die"),
        (("--technology", "ideal"), "technology ideal states nothing that differs from die to die"),
    ],
)
def test_compile_rejects_dies_where_none_differ(run: Run, options: tuple[str, str], reason: str) -> None:
    code, _, error = run("compile", save("A.npy", A), *options, "--dies", "10")
    assert code == 2
    assert reason in error
    assert run("compile", "A.npy", *options, "--dies", "0")[0] == 0


def test_compile_warns_of_dies_with_a_growing_mode(run: Run) -> None:
    """Where tolerances make a hundredth of the dies run away, or more; the number of dies can be chosen."""
    basis, _ = np.linalg.qr(np.random.default_rng([1, 6]).standard_normal((6, 6)))
    hard = save("hard.npy", (basis * 1e4 ** np.linspace(0, 1, 6)) @ basis.T)
    code, out, error = run("compile", hard, "--technology", "integrated", "--dies", "30", "--out", "hard")
    assert code == 0
    found = json.loads(Path("hard.report.json").read_text(encoding="utf-8"))["report"]
    growing = 30 - found["dies"]["stable"]
    assert growing > 1
    assert f"warning: {growing} of 30 dies have a growing mode; more damping or tighter parts" in error
    assert not found["first_order_holds"]
    for text in (out, Path("hard.report.html").read_text(encoding="utf-8")):
        assert f"{growing} of 30 dies have a growing mode" in text
    code, out, error = run("compile", save("A.npy", A), "--technology", "integrated")
    assert code == 0
    assert "none of" in out
    assert "warning" not in error
    assert "stable dies" not in run("compile", "A.npy", "--technology", "integrated", "--dies", "0")[1]
