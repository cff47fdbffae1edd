"""The command line: exit codes, one clear line for whatever is wrong, clean stdout, files whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from thermograd.circuits.errors import InputError, SimulationError, SimulationTimeout, SimulatorMissing, WorkerDied
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run as simulate
from thermograd.circuits.technology.presets import PRESETS
from thermograd.circuits.technology.technology import Technology
from thermograd.cli import doctor, inputs, outputs
from thermograd.cli import main as cli
from thermograd.cli import simulate as cli_circuits
from thermograd.cli import train as cli_learning
from thermograd.compiler.fabrics.registry import fabric_names
from thermograd.compiler.program import AnalogProgram

COMMANDS = ("doctor", "compile", "simulate", "calibrate", "train", "study", "demo", "technology")
A = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.2], [0.0, -0.2, 1.5]])
B = np.array([1.0, -2.0, 0.5])

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    for variable in ("THERMOGRAD_DEBUG", "THERMOGRAD_MNIST"):
        monkeypatch.delenv(variable, raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def save(name: str, *arrays: Any, **named: Any) -> str:
    """A matrix file in the current folder."""
    if name.endswith(".npz"):
        np.savez(name, *arrays, **named)
    elif name.endswith(".npy"):
        np.save(name, arrays[0])
    else:
        np.savetxt(name, arrays[0], delimiter="," if name.endswith(".csv") else " ")
    return name


def is_one_line(stderr: str) -> bool:
    """Whether stderr is exactly one `error: ...` line, with nothing of Python's innards in it."""
    return stderr.startswith("error: ") and stderr.count("\n") == 1 and "Traceback" not in stderr


def shell(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m thermograd` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "thermograd", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **environment},
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- help and version


def test_help_is_shown_without_arguments_and_lists_every_command(run: Run) -> None:
    code, bare, _ = run()
    assert code == 0
    assert all(re.search(rf"\b{name}\b", bare) for name in COMMANDS)
    code, asked, _ = run("--help")
    assert (code, asked.strip()) == (0, bare.strip())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples_and_json(run: Run, command: str) -> None:
    code, text, error = run(command, "--help")
    assert (code, error) == (0, "")
    assert "Examples" in text
    assert f"thermograd {command}" in text
    assert "--json" in text


def test_help_names_what_there_is(run: Run) -> None:
    """The help text is static, so that it is fast; it must not lag behind the code."""
    from thermograd.optim.codesign.study import KNOBS
    from thermograd.optim.training.train import OPTIMIZERS

    def words(command: str) -> set[str]:
        return set(re.findall(r"[a-z][a-z_-]*", run(command, "--help")[1]))

    assert {*fabric_names(), *PRESETS, "auto"} <= words("compile")
    assert {*fabric_names("has_device_model"), *PRESETS, *inputs.DEVICES} <= words("simulate")
    assert {*OPTIMIZERS, *inputs.DEVICES} <= words("train")
    assert set(KNOBS) <= words("study")


def test_version(run: Run) -> None:
    import thermograd

    assert run("--version") == (0, f"thermograd {thermograd.__version__}\n", "")


def test_help_and_the_fast_commands_load_nothing_heavy() -> None:
    script = (
        "import sys\nfrom thermograd.cli import main\n"
        "assert main(['--help']) == 0 and main(['train', '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'scipy', 'matplotlib', 'sklearn', 'PySpice'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=300)


def test_the_app_also_runs_under_typers_own_runner() -> None:
    assert CliRunner().invoke(cli.app, ["technology", "paper"]).exit_code == 0


# ---------------------------------------------------------------------------------------------- bad input

BAD_MATRICES = {
    "not square": (np.ones((2, 3)), r"square.*\(2, 3\)"),
    "one dimension": (np.ones(4), "square"),
    "nan": (np.array([[1.0, 0.0], [0.0, np.nan]]), r"\[1, 1\] is nan"),
    "infinite": (np.array([[1.0, -np.inf], [-np.inf, 1.0]]), r"\[0, 1\] is -inf"),
    "not symmetric": (np.array([[1.0, 0.5], [0.2, 1.0]]), r"not symmetric.*\[0, 1\].*\(A \+ A\.T\) / 2"),
    "indefinite": (np.array([[1.0, 2.0], [2.0, 1.0]]), "indefinite.*-1.*damping > 1"),
    "singular": (np.ones((2, 2)), "singular.*damping"),
    "size 0": (np.empty((0, 0)), "size 0"),
    "zero": (np.zeros((2, 2)), "zero"),
    "complex": (np.eye(2) * 1j, "complex128.*real numbers"),
    "text": (np.array([["a", "b"], ["c", "d"]]), "real numbers"),
}


@pytest.mark.parametrize("command", ["compile", "simulate"])
@pytest.mark.parametrize("case", BAD_MATRICES)
def test_a_bad_matrix_is_one_line_and_exit_code_2(run: Run, command: str, case: str) -> None:
    matrix, message = BAD_MATRICES[case]
    code, out, error = run(command, save("A.npy", matrix))
    assert (code, out) == (2, "")
    assert is_one_line(error)
    assert re.search(message, error), error


BAD_COMMANDS: dict[str, tuple[list[str], str]] = {
    "missing file": (["compile", "none.npy"], r"'none\.npy' cannot be read: No such file"),
    "a folder": (["compile", "folder.npy"], "directory"),
    "unknown suffix": (["compile", "A.mat"], r"suffix '\.mat'; use one of \.npy"),
    "b too long": (["compile", "A.npy", "--b", "b4.npy"], r"b has shape \(4,\).*must be \(3,\)"),
    "b too long, simulate": (["simulate", "A.npy", "--b", "b4.npy"], r"b has shape \(4,\).*must be \(3,\)"),
    "b missing": (["simulate", "A.npy", "--b", "none.npy"], r"vector file 'none\.npy' cannot be read"),
    "unknown fabric": (["compile", "A.npy", "--fabric", "wires"], "'wires' is unknown; there are: auto, rc, dual_rail"),
    "unknown fabric, simulate": (["simulate", "A.npy", "--fabric", "wires"], "'wires' is unknown"),
    "unknown technology": (["compile", "A.npy", "--technology", "magic"], "'magic' is neither a preset"),
    "missing technology": (["compile", "A.npy", "--technology", "no.toml"], r"no\.toml.*No such file"),
    "field out of range": (
        ["compile", "A.npy", "--technology", "bad.toml"],
        r"adc\.bits: .*less than or equal to 24, got 99",
    ),
    "unknown field": (["compile", "A.npy", "--technology", "typo.json"], r"resistors\.tolerence.*spelling"),
    "broken toml": (["technology", "broken.toml"], "not valid .toml"),
    "negative damping": (["compile", "A.npy", "--damping", "-1"], "damping must be a finite number >= 0, got -1"),
    "dual_rail cannot": (["compile", "active.npy", "--fabric", "dual_rail"], r"lambda\*.*crossbar"),
    "dialect": (["compile", "A.npy", "--dialect", "klingon"], "'klingon'.*ngspice"),
    "dotted prefix": (["compile", "A.npy", "--out", "board.v1"], "prefix without a dot"),
    "nan duration": (["simulate", "A.npy", "--duration", "nan"], "duration is nan"),
    "negative duration": (["simulate", "A.npy", "--duration", "-1"], "duration is -1"),
    "unknown device": (["simulate", "A.npy", "--device", "abacus"], "'abacus' is unknown; there are: ideal"),
    "ideal has no die": (
        ["simulate", "A.npy", "--device", "ideal", "--die", "1"],
        "--die means nothing.*surrogate or spice",
    ),
    "no card": (["simulate", "A.npy", "--device", "surrogate"], "needs a card.*calibrate"),
    "missing card": (["simulate", "A.npy", "--card", "none.json"], "'none.json' cannot be read"),
    "negative die": (["simulate", "A.npy", "--die", "-3"], "--die"),
    "picture suffix": (["simulate", "A.npy", "--plot", "x.gif"], r"\.gif.*\.png or \.svg"),
    "output suffix": (["simulate", "A.npy", "--out", "x.mat"], r"\.mat.*\.npz or \.csv"),
    "overwrites an input": (["simulate", "system.npz", "--out", "system.npz"], "overwrite an input"),
    "compile overwrites an input": (["compile", "system.npz", "--out", "system"], "overwrite an input"),
    "system without b": (["calibrate", "--systems", "A.npz"], "two arrays, A and b"),
    "empty folder": (["calibrate", "--systems", "folder.npy"], "holds no .npz files"),
    "indefinite system": (["calibrate", "--systems", "indefinite.npz"], r"indefinite\.npz': matrix is indefinite"),
    "fabric of a calibration": (["calibrate", "--fabric", "auto"], "'auto' cannot be calibrated"),
    "unknown task": (["train", "--task", "letters"], "'letters' is unknown; there are: digits"),
    "mnist is not shipped": (["train", "--task", "mnist"], "needs its data.*--data PATH.*THERMOGRAD_MNIST"),
    "no such data": (["train", "--task", "mnist", "--data", "no.npz"], "'no.npz' does not exist"),
    "data of another kind": (["train", "--task", "mnist", "--data", "system.npz"], "no array x_train, only A, b"),
    "digits have no data": (["train", "--data", "system.npz"], "--data means nothing to digits.*--task mnist"),
    "overwrites the data": (
        ["train", "--task", "mnist", "--data", "system.npz", "--checkpoint", "system.npz"],
        "overwrite an input",
    ),
    "unknown optimizer": (["train", "--optimizer", "lion"], "'lion': give one of sgd"),
    "sgd has no damping": (["train", "--optimizer", "sgd", "--damping", "1"], "--damping means nothing to sgd"),
    "adam has no device": (["train", "--optimizer", "adam", "--device", "ideal"], "--device means nothing to adam"),
    "learning rate": (["train", "--optimizer", "sgd", "--lr", "-1"], "--lr is -1"),
    "batch too large": (["train", "--batch", "100000"], "100000"),
    "unknown study": (["study", "weather"], "'weather' is unknown; there are: tolerance"),
    "levels": (["study", "adc", "--levels", "3,four"], "'four' is not a number"),
    "dies": (["study", "adc", "--dies", "1,2.5"], "2.5 is not a seed"),
    "no such option": (["compile", "A.npy", "--fabrik", "auto"], "--fabrik"),
    "no such command": (["compil"], "compil"),
    "not a number": (["compile", "A.npy", "--damping", "much"], "--damping.*number"),
    "nothing to write": (["technology", "--out", "x.toml"], "needs the name"),
}


@pytest.fixture
def files(run: Run) -> Run:
    """The files that `BAD_COMMANDS` speaks of."""
    save("A.npy", A)
    save("A.npz", A)
    save("b4.npy", np.ones(4))
    save("active.npy", np.array([[1.0, 0.9, 0.9], [0.9, 1.0, 0.9], [0.9, 0.9, 1.0]]))
    save("system.npz", A=A, b=B)
    save("indefinite.npz", A=np.array([[1.0, 2.0], [2.0, 1.0]]), b=np.ones(2))
    Path("folder.npy").mkdir()
    Path("bad.toml").write_text("[adc]\nbits = 99\n", encoding="utf-8")
    Path("typo.json").write_text('{"resistors": {"tolerence": 0.01}}', encoding="utf-8")
    Path("broken.toml").write_text("= =", encoding="utf-8")
    return run


@pytest.mark.parametrize("case", BAD_COMMANDS)
def test_bad_input_is_one_line_that_names_it_and_exit_code_2(files: Run, case: str) -> None:
    arguments, message = BAD_COMMANDS[case]
    before = sorted(Path().iterdir())
    code, out, error = files(*arguments)
    assert (code, out) == (2, ""), error
    assert is_one_line(error)
    assert re.search(message, error), error
    assert set(Path().iterdir()) - set(before) <= {Path("out")}, "nothing is written when the input is bad"


@pytest.mark.parametrize("command", ["simulate A.npy", "calibrate --quick", "doctor"])
def test_an_absent_simulator_is_one_line_with_the_remedy(
    files: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THERMOGRAD_NGSPICE", "/nowhere/libngspice.so")
    code, out, error = files(*command.split())
    assert code == 2
    assert is_one_line(error)
    assert re.search("libngspice.*/nowhere.*apt-get install", error)
    assert not Path("card.json").exists()
    assert ("missing" in out) == (command == "doctor")


def test_objects_in_a_file_are_not_loaded(run: Run) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, ("sprung",)

    objects = np.array([[Trap()]], dtype=object)
    for name in ("trap.npy", "trap.npz"):
        save(name, objects)
        code, _, error = run("compile", name)
        assert code == 2
        assert is_one_line(error)
        assert "np.asarray" in error
    assert not Path("sprung").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "square|size 0"),
        ("comment.txt", "# nothing\n", "square|size 0"),
        ("head.csv", "a,b\n1,2\n", "one row a line|One row|Write one row"),
        ("ragged.csv", "1,2\n3\n", "columns changed"),
        ("broken.mtx", "%%MatrixMarket nonsense", "mmwrite"),
        ("huge.mtx", "%%MatrixMarket matrix coordinate real general\n9000000 9000000 1\n1 1 1.0\n", "at most 20000"),
        ("empty.npy", "", "np.save"),
        ("text.npy", "hello", "np.save"),
        ("text.npz", "hello", "np.save"),
    ],
)
def test_a_damaged_file_is_one_line(run: Run, name: str, content: str, message: str) -> None:
    Path(name).write_text(content, encoding="utf-8")
    code, _, error = run("compile", name)
    assert code == 2
    assert is_one_line(error)
    assert re.search(message, error), error


@given(
    data=st.binary(max_size=200), suffix=st.sampled_from([".npy", ".npz", ".csv", ".txt", ".mtx"]), head=st.booleans()
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_file_content_gets_past_the_reader(tmp_path: Path, data: bytes, suffix: str, head: bool) -> None:
    magic = {
        ".npy": b"\x93NUMPY\x01\x00",
        ".npz": b"PK\x03\x04",
        ".mtx": b"%%MatrixMarket matrix coordinate real general\n",
    }
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes((magic.get(suffix, b"") if head else b"") + data)
    with contextlib.suppress(InputError):  # anything else is a failure
        matrix, b = inputs.read_matrix(path)
        assert matrix.dtype == np.float64
        assert b is None


# ---------------------------------------------------------------------------------------------- reading


def test_every_kind_of_file_gives_the_same_matrix(run: Run) -> None:
    from scipy.io import mmwrite
    from scipy.sparse import csr_array

    mmwrite("dense.mtx", A)
    mmwrite("sparse.mtx", csr_array(A), symmetry="symmetric")
    Path("semicolon.csv").write_text(
        "\ufeff# a comment; with marks, too\n2;0.5;0\n0.5;1;-0.2\n0;-0.2;1.5\n", encoding="utf-8"
    )
    names = ["dense.mtx", "sparse.mtx", "semicolon.csv"]
    names += [save(name, A) for name in ("A.npy", "A.csv", "A.txt", "A.npz")]
    names += [save("named.npz", A=A, other=B)]
    for name in names:
        matrix, b = inputs.read_matrix(Path(name))
        np.testing.assert_allclose(matrix, A, rtol=1e-15)
        assert b is None
    both, b = inputs.read_matrix(Path(save("both.npz", A=A, b=B)))
    np.testing.assert_array_equal(both, A)
    np.testing.assert_array_equal(b, B)
    with pytest.raises(InputError, match="holds 2 arrays"):
        inputs.read_matrix(Path(save("two.npz", A, B)))


def test_rows_and_columns_count_as_vectors(run: Run) -> None:
    for name, vector in (("b.npy", B), ("row.csv", B[None]), ("column.txt", B[:, None])):
        np.testing.assert_allclose(inputs.read_vector(Path(save(name, vector))), B)


def test_systems_come_from_files_and_folders_in_order(run: Run) -> None:
    Path("runs").mkdir()
    save("runs/b.npz", A=2 * A, b=B)
    save("runs/a.npz", A=A, b=B)
    save("own.npz", A=3 * A, b=B)
    systems = inputs.read_systems([Path("own.npz"), Path("runs")])
    assert [matrix[0, 0] / A[0, 0] for matrix, _ in systems] == [3, 1, 2]


# ---------------------------------------------------------------------------------------------- writing


def test_json_has_no_numbers_that_json_lacks() -> None:
    data = {
        "a": np.array([1.0, np.nan]),
        "b": (float("inf"), np.float64(2)),
        "c": Path("x"),
        "d": {3: None},
        "e": np.int64(7),
    }
    assert json.loads(outputs.to_json(data)) == {"a": [1.0, None], "b": [None, 2.0], "c": "x", "d": {"3": None}, "e": 7}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    outputs.write_text(target, "old")

    def fail(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        outputs.write_file(target, fail)
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_output_in_an_impossible_place_is_refused_before_the_work(run: Run) -> None:
    Path("file").write_text("", encoding="utf-8")
    code, _, error = run("simulate", save("A.npy", A), "--device", "ideal", "--out", "file/x.csv")
    assert code == 2
    assert is_one_line(error)
    assert "cannot be made" in error


def test_square_brackets_are_text_and_not_markup(run: Run) -> None:
    code, _, error = run("compile", "[red]x[/red].npy")
    assert code == 2
    assert "[red]x[/red].npy" in error


# ---------------------------------------------------------------------------------------------- technology


def test_technology_lists_writes_and_reads_back(run: Run) -> None:
    code, out, _ = run("technology")
    assert code == 0
    assert all(name in out for name in PRESETS)
    assert run("technology", "breadboard", "--out", "my.toml")[0] == 0
    assert Technology.read("my.toml") == PRESETS["breadboard"]
    code, out, _ = run("technology", "my.toml")
    Path("copy.toml").write_text(out, encoding="utf-8")
    assert Technology.read("copy.toml") == PRESETS["breadboard"]
    code, out, _ = run("technology", "integrated", "--json")
    assert Technology(**json.loads(out)) == PRESETS["integrated"]
    assert set(json.loads(run("technology", "--json")[1])) == set(PRESETS)


# ---------------------------------------------------------------------------------------------- compile


def test_compile_writes_a_program_that_loads(run: Run) -> None:
    code, out, error = run("compile", save("s.npz", A=A, b=B), "--technology", "breadboard", "--out", "deep/board")
    assert code == 0
    assert "dual_rail" in out
    assert "wrote" in error
    assert sorted(path.name for path in Path("deep").iterdir()) == sorted(
        f"board{suffix}"
        for suffix in (".cir", ".json", ".npz", ".report.txt", ".report.json", ".report.html", ".bom.csv")
    )
    program = AnalogProgram.load("deep/board")
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
        netlist, program = Netlist.read_spice("board.cir"), AnalogProgram.load("board")
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
    data, exact, program = json.loads(out), np.linalg.solve(A, B), AnalogProgram.load("board")
    assert "board.extracted.cir" in data["files"]
    assert Path("board.cir").read_text(encoding="utf-8") == schematic
    errors = {
        "board.cir": data["report"]["error_for_b"],
        "board.extracted.cir": data["report"]["layout"]["error_for_b"],
    }
    for file, error in errors.items():
        x = program.decode(simulate(Netlist.read_spice(file), OperatingPoint()).voltages)
        assert error == pytest.approx(np.linalg.norm(x - exact) / np.linalg.norm(exact), rel=1e-3)
    assert errors["board.cir"] != pytest.approx(errors["board.extracted.cir"], rel=0.05)
    for file in ("board.report.txt", "board.report.html"):
        text = Path(file).read_text(encoding="utf-8")
        assert f"{errors['board.extracted.cir']:.3g} for this b; all of its modes decay" in text


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
    options = ("--technology", "integrated", "--fabric", "crossbar", "--rounding", "stochastic", "--programs", "6")
    code, out, _ = run("compile", save("A.npy", A), *options, "--out", "mean", "--json")
    assert code == 0
    data = json.loads(out)
    found = [AnalogProgram.load(f"mean-{k}") for k in range(1, 7)]
    mean = np.mean([np.linalg.inv(program.emitted_matrix) for program in found], axis=0)
    exact = np.linalg.inv(A)
    assert data["mean_error"] == pytest.approx(np.linalg.norm(mean - exact) / np.linalg.norm(exact), rel=1e-6)
    assert data["reports"][5] == json.loads(Path("mean-6.report.json").read_text(encoding="utf-8"))["report"]
    assert len({Path(f"mean-{k}.cir").read_text(encoding="utf-8") for k in range(1, 7)}) == 6
    code, out, _ = run("compile", "A.npy", *options)
    assert "program 1 of 6" in out


def test_compile_takes_systems_by_their_factors(run: Run) -> None:
    J = np.random.default_rng(0).standard_normal((2, 9))
    code, out, _ = run("compile", save("ggn.npz", J=J, damping=0.5, b=np.ones(9)), "--damping", "0.5", "--json")
    assert code == 0
    assert json.loads(out)["report"]["fabric"] == "factored"
    assert json.loads(out)["report"]["damping"] == 1.0
    code, out, _ = run("compile", save("kfac.npz", A=A, B=A, damping=0.1), "--fabric", "factored", "--json")
    assert json.loads(out)["report"]["unknowns"] == 9
    code, _, error = run("compile", "ggn.npz", "--prune", "0.1")
    assert (code, is_one_line(error)) == (2, True)
    assert "factors" in error


def test_compile_keeps_a_sparse_matrix_sparse(run: Run) -> None:
    from scipy import sparse
    from scipy.io import mmwrite

    n = 4000
    mmwrite("mesh.mtx", sparse.diags_array([-1.0, 2.5, -1.0], offsets=[-1, 0, 1], shape=(n, n)))
    code, out, _ = run("compile", "mesh.mtx", "--json")
    assert code == 0
    assert json.loads(out)["report"]["fabric"] == "rc"
    assert json.loads(out)["report"]["parts"]["resistor"] == 2 * n - 1


def test_a_placement_beyond_its_fan_out_is_a_no(run: Run) -> None:
    code, _, error = run("compile", save("A.npy", A), "--tile", "1", "--fan-out", "1")
    assert code == 1
    assert "exceeds --fan-out 1" in error
    code, _, error = run("compile", "A.npy", "--fan-out", "1")
    assert (code, is_one_line(error)) == (2, True)
    assert "--tile" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--rounding coin", "rounding"),
        ("--dialect hspice", "ngspice, ltspice, xyce"),
        ("--prune 2", "prune"),
        ("--tile 0", "tile"),
        ("--picture a.txt", r"\.png or \.svg"),
        ("--programs 4", "--rounding stochastic"),
        ("--programs 0", "programs"),
        ("--fabric factored", "compile_system"),
        ("--fabric spu", "second rail"),
        ("--extracted", "dual_rail has no layout.*crossbar or crossbar_single"),
    ],
)
def test_compile_refuses_bad_options(run: Run, options: str, message: str) -> None:
    code, _, error = run("compile", save("A.npy", A), *options.split())
    assert (code, is_one_line(error)) == (2, True)
    assert re.search(message, error)


def test_compile_json_is_the_report_alone(run: Run) -> None:
    code, out, error = run("compile", save("A.npy", A), "--fabric", "crossbar", "--damping", "0.5", "--json")
    data = json.loads(out)
    assert (code, error, data["files"]) == (0, "", [])
    assert (data["report"]["fabric"], data["report"]["damping"]) == ("crossbar", 0.5)


# ---------------------------------------------------------------------------------------------- simulate


def test_simulate_on_the_ideal_device(run: Run) -> None:
    save("A.npy", A)
    save("b.npy", B)
    code, out, _ = run("simulate", "A.npy", "--b", "b.npy", "--device", "ideal", "--duration", "inf", "--json")
    data = json.loads(out)
    assert (code, data["outcome"], data["duration_tau"]) == (0, "ok", None)
    np.testing.assert_allclose(data["x"], np.linalg.solve(A, B), rtol=1e-9)
    code, out, _ = run("simulate", "A.npy", "--device", "ideal", "--out", "x.csv", "--plot", "x.png")
    assert code == 0
    assert "relative error" in out
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")
    with Path("x.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Ten slow time constants leave e^-10 of the slow mode, and b is all ones.
    np.testing.assert_allclose([float(row["x"]) for row in rows], np.linalg.solve(A, np.ones(3)), rtol=1e-3)


def test_damping_changes_the_system_that_is_solved(run: Run) -> None:
    save("A.npy", np.array([[1.0, 2.0], [2.0, 1.0]]))
    code, out, _ = run("simulate", "A.npy", "--damping", "2", "--device", "ideal", "--json", "--out", "x.npz")
    assert code == 0
    with np.load("x.npz") as file:
        np.testing.assert_array_equal(file["A"], [[3.0, 2.0], [2.0, 3.0]])
    np.testing.assert_allclose(json.loads(out)["exact"], [0.2, 0.2])


def test_simulate_runs_ngspice_and_draws_its_waveforms(run: Run) -> None:
    arguments = ["simulate", save("s.npz", A=A, b=B), "--technology", "integrated", "--die", "7", "--json"]
    code, out, _ = run(*arguments, "--plot", "x.svg")
    data = json.loads(out)
    assert (code, data["outcome"], data["die"], data["technology"]) == (0, "ok", 7, "integrated")
    assert 1e-6 < data["relative_error"] < 0.2  # 1 % parts and 8 bit, times the condition number of 3
    assert "<svg" in Path("x.svg").read_text(encoding="utf-8")
    assert json.loads(run(*arguments)[1])["x"] == data["x"], "one seed, one die, one noise"
    settled = json.loads(run(*arguments, "--duration", "inf")[1])
    assert settled["duration_tau"] is None
    np.testing.assert_allclose(settled["x"], data["x"], rtol=0.1, atol=0.02)


def test_a_bad_outcome_is_exit_code_1_with_advice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from thermograd.devicemodel.device import Outcome, Solution
    from thermograd.devicemodel.devices.ideal import IdealDevice

    def fail(*_: Any, **__: Any) -> Solution:
        return Solution(torch.full((3,), torch.nan, dtype=torch.float64), Outcome.UNSTABLE, 1e-6)

    monkeypatch.setattr(IdealDevice, "solve", fail)
    code, out, error = run("simulate", save("A.npy", A), "--device", "ideal", "--plot", "x.png", "--out", "x.csv")
    assert code == 1
    assert is_one_line(error)
    assert "more damping" in error
    assert "outcome unstable" in out
    assert not Path("x.png").exists()
    assert not Path("x.csv").exists()


def test_every_bad_outcome_has_advice() -> None:
    from thermograd.devicemodel.device import Outcome

    assert set(cli_circuits.ADVICE) == {outcome.value for outcome in Outcome if outcome is not Outcome.OK}


# ---------------------------------------------------------------------------------------------- calibrate


def card(explained: float = 0.99) -> Any:
    """A card as a calibration of `integrated` might give it."""
    from thermograd.devicemodel.card import DeviceCard, Estimate, HeldOut, Validity

    board = PRESETS["integrated"]
    zero = Estimate(value=0.0, std=0.0)
    return DeviceCard(
        technology=board,
        fabric="crossbar",
        gain=Estimate(value=1.0, std=0.0),
        leak=Estimate(value=1 / board.opamp.gain, std=0.0),
        lag=zero,
        mismatch=Estimate(value=board.resistors.tolerance, std=0.0),
        capacitor_mismatch=zero,
        offset=zero,
        noise=Estimate(value=1.0, std=0.0),
        dac=board.dac,
        adc=board.adc,
        held_out=HeldOut(
            systems=4, explained_variance=explained, explained_variance_new_dies=0.9, spice_error=0.1, residual=0.01
        ),
        validity=Validity(unknowns=(2, 64), condition_number=(1.0, 100.0)),
        provenance={},
    )


@pytest.mark.parametrize(("explained", "expected"), [(0.96, 0), (0.94, 1), (float("nan"), 1)])
def test_calibrate_says_no_when_too_little_is_explained(
    run: Run, monkeypatch: pytest.MonkeyPatch, explained: float, expected: int
) -> None:
    monkeypatch.setattr(cli_circuits, "make_card", lambda *_: card(explained))
    code, out, error = run("calibrate", "--out", "deep/c.json")
    assert code == expected
    assert "explained variance, held-out systems" in out
    assert Path("deep/c.json").exists()
    assert ("is required" in error) == bool(expected)
    code, out, _ = run("calibrate", "--json", "--require", "0.5")
    assert json.loads(out)["passed"] is (code == 0) is (explained > 0.5)


@pytest.mark.slow
def test_calibrate_runs_ngspice_and_its_card_drives_a_surrogate(run: Run) -> None:
    save("s.npz", A=A, b=B)
    code, out, error = run("calibrate", "--quick", "--systems", "s.npz", "--require", "0.9", "--json")
    assert code == 0, error
    assert json.loads(out)["card"]["held_out"]["explained_variance"] >= 0.9
    code, out, _ = run("simulate", "s.npz", "--card", "card.json", "--die", "1", "--json")
    assert (code, json.loads(out)["outcome"]) == (0, "ok")


def test_a_card_is_not_asked_beyond_its_range_unless_told_to(run: Run) -> None:
    card().write(Path("card.json"))
    big = np.eye(70) + 0.01
    code, _, error = run("simulate", save("big.npy", big), "--card", "card.json")
    assert code == 2
    assert is_one_line(error)
    assert "70 unknowns, calibrated for 2 to 64" in error
    assert "--extrapolate" in error
    code, out, error = run("simulate", "big.npy", "--card", "card.json", "--extrapolate")
    assert code == 0
    assert "outcome extrapolated" in out
    assert "beyond the card: 70 unknowns, calibrated for 2 to 64" in out
    assert "the reading is extrapolated" in error
    code, out, _ = run("simulate", "big.npy", "--card", "card.json", "--extrapolate", "--json")
    assert json.loads(out)["crossed"] == ["70 unknowns, calibrated for 2 to 64"]
    code, _, error = run("simulate", "big.npy", "--extrapolate")
    assert code == 2
    assert "--extrapolate means nothing to the spice device" in error


def test_training_beyond_a_card_is_asked_for(run: Run) -> None:
    card().write(Path("card.json"))
    arguments = ["train", "--card", "card.json", "--die", "1", "--steps", "2", "--batch", "8"]
    code, _, error = run(*arguments)
    assert code == 2
    assert "calibrated for 2 to 64" in error
    code, out, _ = run(*arguments, "--extrapolate", "--json")
    assert code == 0
    assert json.loads(out)["outcome"] == ["extrapolated", "extrapolated"]


# ---------------------------------------------------------------------------------------------- train and study


def test_train_resumes_and_writes_what_it_did(run: Run) -> None:
    arguments = ["train", "--optimizer", "adam", "--seed", "3"]
    code, out, _ = run(*arguments, "--steps", "30", "--json")
    whole = json.loads(out)
    assert code == 0
    assert len(whole["loss"]) == 30
    assert run(*arguments, "--steps", "20", "--checkpoint", "run.pt")[0] == 0
    code, out, _ = run(*arguments, "--steps", "30", "--checkpoint", "run.pt", "--out", "h.json", "--plot", "h.png")
    assert code == 0
    assert "test accuracy" in out
    assert json.loads(Path("h.json").read_text(encoding="utf-8"))["loss"] == whole["loss"]
    assert Path("h.png").read_bytes().startswith(b"\x89PNG")
    code, _, error = run("train", "--optimizer", "sgd", "--steps", "30", "--checkpoint", "run.pt")
    assert code == 2
    assert "another run" in error


@pytest.mark.slow
def test_train_on_mnist(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    data = {}
    for part in ("train", "test"):
        data[f"y_{part}"] = labels = random.integers(0, 10, 10_000, dtype=np.uint8)
        data[f"x_{part}"] = images = np.zeros((10_000, 28, 28), np.uint8)
        images[np.arange(10_000), 4 + 2 * labels] = 255  # a line whose height says the digit
    save("mnist.npz", **data)
    arguments = ["train", "--task", "mnist", "--optimizer", "adam", "--checkpoint", "run.pt"]
    assert run(*arguments, "--data", "mnist.npz", "--steps", "5")[0] == 0
    monkeypatch.setenv("THERMOGRAD_MNIST", "mnist.npz")
    code, out, error = run(*arguments, "--steps", "20", "--plot", "m.png", "--require", "0.9", "--json")
    assert code == 0, error
    result = json.loads(out)
    assert (result["task"], result["batch"], len(result["loss"])) == ("mnist", 64, 20)
    assert [step for step, _ in result["evaluations"]] == [0, 5, 20]
    assert Path("m.png").read_bytes().startswith(b"\x89PNG")


def test_train_on_a_surrogate(run: Run) -> None:
    card().write("card.json")
    arguments = ["train", "--card", "card.json", "--die", "1", "--steps", "3", "--batch", "2", "--analog-time", "5"]
    code, out, error = run(*arguments, "--json")
    data = json.loads(out)
    assert code == 0, error
    assert (data["device"], data["die"], data["settings"]["analog_time"]) == ("surrogate", 1, 5.0)
    assert run("train", "--card", "card.json", "--technology", "paper")[0] == 2
    code, _, error = run(*arguments, "--require", "0.999")
    assert code == 1
    assert "below the required 0.999" in error


def test_what_counts_as_a_failed_training() -> None:
    from thermograd.optim.training.train import History

    def problem(loss: list[float], outcome: list[str], accuracy: float = 0.9) -> str:
        asked = {"task": "digits", "optimizer": "tngd", "device": "ideal", "batch": 16}
        history = History(loss=loss, outcome=outcome, evaluations=[(len(loss), accuracy)])
        return cli_learning.Trained(asked, history).problem(0.5)

    assert problem([1.0] * 10, ["ok"] * 10) == ""
    assert problem([1.0] * 10, ["ok"] * 9 + ["clipped"]) == ""
    assert "2 of 10" in problem([1.0] * 10, ["ok"] * 8 + ["clipped"] * 2)
    assert "step 1" in problem([1.0, float("nan")], ["ok"] * 2)
    assert "below" in problem([1.0] * 10, ["ok"] * 10, accuracy=0.4)


@pytest.mark.slow
def test_study_writes_its_results_and_resumes(run: Run) -> None:
    card().write("card.json")
    arguments = [
        "study",
        "adc",
        "--card",
        "card.json",
        "--levels",
        "2,10",
        "--dies",
        "1,2",
        "--steps",
        "4",
        "--workers",
        "1",
        *("--batch", "2", "--within", "1", "--out", "s", "--json"),
    ]
    code, out, error = run(*arguments)
    assert code == 0, error
    data = json.loads(out)
    assert [run["level"] for run in data["runs"]] == [2, 2, 10, 10]
    assert json.loads(Path("s/adc.json").read_text(encoding="utf-8"))["runs"] == data["runs"]
    assert Path("s/adc.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(run(*arguments)[1]) == data
    assert run("study", "adc", "--card", "card.json", "--technology", "paper")[0] == 2


# ---------------------------------------------------------------------------------------------- doctor


@pytest.mark.slow
def test_doctor_finds_a_healthy_installation(run: Run) -> None:
    code, out, error = run("doctor", "--json")
    data = json.loads(out)
    assert (code, error, data["ok"]) == (0, "", True), data
    assert {doctor.LIBRARY, doctor.DIVIDER, doctor.MODELS, doctor.NOISE, "torch"} <= {c["name"] for c in data["checks"]}


def test_doctor_sees_wrong_physics() -> None:
    """Negative control: a simulator that divides wrongly, and whose noise is 1.3 times too large."""
    from thermograd.circuits.netlist.analyses import OperatingPointResult, Transient, TransientResult

    sigma = (doctor.BOLTZMANN * doctor.TEMPERATURE / doctor.CAPACITANCE) ** 0.5

    def wrong(factor: float, divider: float) -> list[doctor.Check]:
        def run(netlist: Any, analysis: Any, seed: int | None = None) -> Any:
            if not isinstance(analysis, Transient):
                return OperatingPointResult({"out": divider})
            noise = np.random.default_rng(0).standard_normal(analysis.steps) * factor * sigma
            return TransientResult(np.arange(analysis.steps), {"out": 0.5 + noise})

        return [doctor._operating_point(run), *doctor._thermal_noise(run)]

    assert [check.ok for check in wrong(1.0, 0.5)] == [True, True, True]
    assert [check.ok for check in wrong(1.3, 0.4)] == [False, True, False]


@pytest.mark.parametrize("absent", [True, False])
def test_doctor_names_the_remedy_for_each_fault(run: Run, monkeypatch: pytest.MonkeyPatch, absent: bool) -> None:
    found = [
        doctor.Check("torch", False, "not installed", "pip install torch", absent=True),
        doctor.Check(doctor.LIBRARY, not absent, "", "apt-get install libngspice0", absent=absent),
    ]
    monkeypatch.setattr(doctor, "checks", lambda: iter(found))
    code, out, error = run("doctor")
    assert code == (2 if absent else 1)
    assert "missing" in out
    assert "remedy: pip install torch" in error
    assert ("apt-get install libngspice0" in error) == absent


# ---------------------------------------------------------------------------------------------- the entry point


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("bad\n  entry"), 2, "error: bad entry\n"),
        (SimulatorMissing("no libngspice"), 2, "error: no libngspice\n"),
        (SimulationError("ngspice:\nsingular matrix\x1b[31m"), 1, "error: ngspice: singular matrix?[31m\n"),
        (SimulationTimeout("too slow"), 1, "error: too slow\n"),
        (WorkerDied("gone"), 1, "error: gone\n"),
        (PermissionError(13, "Permission denied", "x.csv"), 2, "x.csv: Permission denied"),
        (MemoryError(), 1, "out of memory"),
        (ZeroDivisionError("division by zero"), 1, "unexpected ZeroDivisionError.*please report"),
        (KeyboardInterrupt(), 130, "^interrupted\n"),
    ],
)
def test_every_error_has_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(inputs, "read_technology", fail)
    found, out, printed = run("technology", "paper")
    assert (found, out, printed.count("\n")) == (code, "", 1)
    assert re.search(message.replace("?[", r"\?\["), printed), printed
    monkeypatch.setenv("THERMOGRAD_DEBUG", "1")
    if code != 130:
        with pytest.raises(type(error)):
            cli.main(["technology", "paper"])


@pytest.mark.parametrize("explained", [0.97, 0.9])
def test_demo_reports_what_it_wrote(run: Run, monkeypatch: pytest.MonkeyPatch, explained: float) -> None:
    from thermograd.report import demo

    row = {"label": "sgd", "runs": 3, "accuracy_mean": 0.95, "accuracy_std": 0.01}
    results = {
        "meta": {"total_seconds": 300.0},
        "training": {"table": [row]},
        "calibration": {"card": {"held_out": {"explained_variance": explained}}},
    }
    monkeypatch.setattr(demo, "run_demo", lambda out, progress, workers: (progress("matrix", 0, 1), results)[1])
    code, out, error = run("demo", "--out", "here", "--json")
    assert code == (0 if explained >= 0.95 else 1)
    assert json.loads(out)["report"] == "here/report.html"
    assert error.startswith("matrix\n"), "without a terminal the stages are announced"
    assert "95.00 +- 1.00" in run("demo", "--out", "here")[1]


def test_processes_end_with_the_right_code_and_without_a_traceback(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.array([[1.0, np.nan], [np.nan, 1.0]]))
    bad = shell("compile", "bad.npy", folder=tmp_path)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert is_one_line(bad.stderr)
    loud = shell("compile", "bad.npy", folder=tmp_path, THERMOGRAD_DEBUG="1")
    assert loud.returncode == 1
    assert "Traceback" in loud.stderr
    usage = shell("compile", folder=tmp_path)
    assert (usage.returncode, is_one_line(usage.stderr)) == (2, True)
    good = shell("technology", "paper", "--json", folder=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    json.loads(good.stdout)


@pytest.mark.skipif(os.name != "posix", reason="pipes end differently elsewhere")
def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m thermograd technology --json"
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.stderr == ""
    assert ended.returncode in (0, 141)
