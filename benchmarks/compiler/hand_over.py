"""A designer's folder of a random system, as `thermograd hand-over` writes it, and what ngspice makes of its testbench and deck.

    python benchmarks/compiler/hand_over.py                                   # the board of docs/fabrication.md, 5 s
    python benchmarks/compiler/hand_over.py --unknowns 3 --seed 1 --picture docs/board.png
    python benchmarks/compiler/hand_over.py --unknowns 3 --technology gf180mcu --fabric crossbar --transistors      # needs thermograd[pdk]

Without ngspice the folder is written and not run.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from thermograd import compile_matrix
from thermograd.circuits.amplifiers.process_amplifier import process_amplifier
from thermograd.circuits.technology.pdk import process
from thermograd.report.figures.schematic import array_picture
from thermograd.report.figures.style import save, styled
from thermograd.report.hand_over import hand_over


def system(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Entries of both signs, condition 5."""
    generator = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(generator.standard_normal((n, n)))
    matrix = (vectors * np.geomspace(0.2, 1.0, n)) @ vectors.T
    return (matrix + matrix.T) / 2, generator.standard_normal(n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--unknowns", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--technology", default="breadboard")
    parser.add_argument("--fabric", default="crossbar_single")
    parser.add_argument("--rounding", default="nearest")
    parser.add_argument("--dies", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("out/hand_over"))
    parser.add_argument(
        "--transistors", action="store_true", help="of the process --technology: amplifiers and passives as its devices"
    )
    parser.add_argument("--picture", type=Path, help="also draw the board as .png")
    given = parser.parse_args()
    matrix, b = system(given.unknowns, given.seed)
    program = compile_matrix(matrix, given.fabric, given.technology, b=b, rounding=given.rounding)
    cell = process_amplifier(given.technology) if given.transistors else None
    devices = process(given.technology) if given.transistors else None
    done = hand_over(program, b, given.out, cell, devices, given.dies, given.seed)
    print(done.text)
    if given.picture:
        from thermograd.compiler.hand_over.board import board_of

        board = board_of(program, b)
        figure = styled(array_picture)(program, board.title, board.bought.circuit.netlist, board.designators())
        save(figure, given.picture)
    ngspice = shutil.which("ngspice")
    if ngspice is None:
        print("ngspice is not installed: nothing was run")
        return
    for name, wanted in (
        ("testbench.cir", r"^(?:PASSED|FAILED).*"),
        ("monte_carlo.cir", r"^(?:relative|predicted)_rms.*"),
    ):
        if (given.out / name).exists() and not (given.transistors and name != "testbench.cir"):
            run = subprocess.run([ngspice, "-b", name], cwd=given.out, capture_output=True, text=True, check=False)
            rows = np.array([line.split("\t")[1:7] for line in run.stdout.splitlines() if re.match(r"\d+\t", line)])
            if name == "testbench.cir":
                found, _, nominal, _, share = rows.astype(float).T[1:]
                off = np.linalg.norm(found - nominal) / np.linalg.norm(nominal)
                print(f"off the nominal circuit by {off:.3g} (relative), at most {share.max():.2g} of the tolerance")
            print(f"{name}: exit code {run.returncode}; {'; '.join(re.findall(wanted, run.stdout, re.MULTILINE))}")


if __name__ == "__main__":
    main()
