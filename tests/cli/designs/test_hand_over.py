"""`thermograd hand-over`: the files, what it says, and what it rejects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from thermograd.circuits.technology.presets import PRESETS
from thermograd.compiler.program_io import load_program
from thermograd.report.hand_over import FILES

from ..command_line import A, B, Run, assert_rejected, save

BOARD = {"bom.csv", "parts.csv", "board.net", "schematic.svg"}


def test_a_board_has_all_files_and_a_chip_the_others(run: Run) -> None:
    code, out, _ = run("hand-over", save("s.npz", A=A, b=B), "--fabric", "crossbar_single", "--out", "deep/board")
    assert code == 0
    assert {path.name for path in Path("deep/board").iterdir()} == set(FILES)
    assert Path("deep/board/README.txt").read_text(encoding="utf-8").strip() == out.strip()
    assert "technology breadboard" in out
    assert "<svg" in Path("deep/board/schematic.svg").read_text(encoding="utf-8")
    assert load_program("deep/board/program").size == 3
    # Into the same folder: what is of another run goes, what is the user's stays.
    Path("deep/board/notes.txt").write_text("mine", encoding="utf-8")
    options = ("--technology", "integrated", "--fabric", "crossbar", "--out", "deep/board", "--dies", "20", "--json")
    code, out, _ = run("hand-over", "s.npz", *options)
    assert code == 0
    data = json.loads(out)
    there = {path.name for path in Path("deep/board").iterdir()}
    assert there == set(FILES) - BOARD | {"notes.txt"}
    assert {Path(path).name for path in data["files"]} == there - {"notes.txt"}
    assert "no series of preferred numbers" in data["left_out"]["bom.csv"]
    assert 1e-3 < data["deviation"] < 0.1


def test_what_has_no_dies_says_why_there_is_no_deck(run: Run) -> None:
    assert (
        run("hand-over", save("s.npz", A=A, b=B), "--technology", "ideal", "--fabric", "crossbar", "--out", "h")[0] == 0
    )
    page = Path("h/README.txt").read_text(encoding="utf-8")
    assert "monte_carlo.cir  left out: technology ideal has no tolerances" in page
    assert "No tolerance by mismatch" in page
    assert not Path("h/monte_carlo.cir").exists()


def test_a_large_board_shows_one_cell(run: Run) -> None:
    generator = np.random.default_rng(0)
    vectors, _ = np.linalg.qr(generator.standard_normal((11, 11)))
    matrix = (vectors * np.geomspace(0.2, 1, 11)) @ vectors.T
    save("s.npz", A=(matrix + matrix.T) / 2, b=generator.standard_normal(11))
    assert run("hand-over", "s.npz", "--fabric", "crossbar_single", "--out", "h")[0] == 0
    picture = Path("h/schematic.svg").read_text(encoding="utf-8")
    assert len(picture) < 100_000
    assert PRESETS["breadboard"].name in Path("h/README.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--b b.npy", "name it by --out FOLDER"),
        ("--out h", "give it with --b FILE"),
        ("--b b.npy --out b.npy", "is a file; give a folder"),
        ("--b zero.npy --out h", "b is zero"),
        ("--b b.npy --out h --fabric lc", "fabric lc is not read at rest"),
        ("--b b.npy --out h --pdk tsmc", "process 'tsmc' is unknown; there are: gf180mcu, sky130"),
        ("--b b.npy --out h --fabric dual_rail --amplifier macromodel", "fabric dual_rail has no amplifiers"),
    ],
)
def test_what_is_rejected(options: str, message: str, run: Run) -> None:
    save("A.npy", A)
    save("b.npy", B)
    save("zero.npy", 0 * B)
    assert_rejected(run, ["hand-over", "A.npy", *options.split()], message)
    assert not Path("h").exists()
