"""The command that solves a system on a device: `simulate`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path
from .options import (
    CIRCUITS,
    PICTURES,
    Card,
    Damping,
    DeviceFabric,
    DeviceName,
    DieSeed,
    Drive,
    Extrapolate,
    FabricCommand,
    Json,
    Layout,
    Matrix,
    Page,
    Plot,
    ReadingName,
    Seed,
    TechnologyName,
    examples,
    seeds,
)
from .outputs import emit, end_with, note, progress, show_causes, show_solution, write_causes
from .solutions.sampled import FABRIC, sample
from .solutions.simulated import known_reading, simulated

if TYPE_CHECKING:
    from ..devicemodel.device import Device

app = typer.Typer()


@app.command(
    cls=FabricCommand,
    rich_help_panel=CIRCUITS,
    epilog=examples(
        "thermograd simulate A.npy",
        "thermograd simulate A.npy --b b.npy --technology integrated --die 7 --plot settling.png",
        "thermograd simulate A.npy --duration inf --json",
        "thermograd simulate A.npy --technology integrated --die 7 --reading bare",
        "thermograd simulate A.npy --device surrogate --card card.json --die 7",
        "thermograd simulate M.npy --fabric spu --duration 10000 --plot error_bars.png",
        "thermograd simulate A.npy --technology integrated --die 7 --why --plot causes.png",
        "thermograd simulate A.npy --card card.json --why --dies 1,2,3,4,5 --layout --page causes.html",
    ),
)
def simulate(
    matrix: Matrix,
    b: Drive = None,
    fabric: DeviceFabric = None,
    technology: TechnologyName = None,
    damping: Damping = 0.0,
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration",
            help="Analog time in tau; inf is the operating point. Default: 10 slow time constants.",
            metavar="TAU",
        ),
    ] = None,
    reading: ReadingName = "auto",
    die: DieSeed = None,
    noise: Annotated[
        bool | None,
        typer.Option(
            "--noise/--no-noise",
            help="Noise of resistors and amplifiers; default: as in the technology, but none in a settled run in ngspice.",
        ),
    ] = None,
    seed: Seed = 0,
    device: DeviceName = None,
    card: Card = None,
    extrapolate: Extrapolate = None,
    layout: Layout = False,
    why: Annotated[
        bool, typer.Option("--why", help="The causes of the error: each taken out, alone, and one after the other.")
    ] = False,
    dies: Annotated[
        str | None, typer.Option("--dies", help="With --why: seeds of several dies, such as 1,2,3.", metavar="LIST")
    ] = None,
    page: Page = None,
    plot: Plot = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the solution: .npz or .csv.", metavar="FILE")] = None,
    json: Json = False,
) -> None:
    """Solve A x = b on a device (b: all ones unless given) and compare with the exact solution.

    A circuit that is read to its end is refined: programmed with a unit diagonal, read at +b and -b, and corrected twice by the digital
    residual. --reading bare takes one reading as it is. Exit code 1 when the outcome is not ok (clipped, unstable, not converged). With
    --extrapolate, a system outside of the card's range passes with a note.

    --fabric spu solves by sampling: the circuit's noise for --duration tau (default: 400 (n + 1)), A^-1 b from its covariance, each
    unknown with its standard error; --reading refined samples residuals, too. It holds matrices without positive couplings. --device spice
    samples ngspice in place of the law.

    --why ranks what makes the error, of bare and of refined readings; --plot then draws that. In ngspice it takes some hundred simulations
    for each die: for larger systems give a --card.
    """
    from ..devicemodel.devices.spice import SpiceDevice
    from .hardware import open_device
    from .inputs import read_problem, read_vector

    problem = read_problem(matrix, damping)
    a, drive = problem.matrix(), problem.b if b is None else read_vector(b)
    given = [matrix, b, card, Path(technology or "")]
    picture, target = output_path(plot, PICTURES, given), output_path(out, (".npz", ".csv"), given)
    shown = output_path(page, (".html",), given)
    for option, value in (("--dies", dies), ("--page", page)):
        if value is not None and not why:
            raise InputError(f"{option} is about the causes of the error: add --why, or leave it out")
    if fabric == FABRIC:
        others = {"--extrapolate": extrapolate, "--layout": layout, "--why": why}
        for option, given_one in others.items():
            if given_one:
                raise InputError(f"{option} does not apply to fabric {FABRIC}, which solves by sampling: leave it out")
        known_reading(reading)
        sample(
            a, drive, technology, die, device, noise, seed, duration, reading == "refined", card, picture, target, json
        )
        return
    board = open_device(
        device or ("spice" if card is None else "surrogate"), technology, fabric, die, noise, card, seed, extrapolate,
        layout or None,
    )  # fmt: skip
    if noise and duration is not None and math.isinf(duration) and isinstance(board, SpiceDevice):
        raise InputError(
            "--noise with --duration inf: the settled run in ngspice is an operating point, which has none; give a finite --duration, "
            "or a --card"
        )
    if layout:
        _note_empty_layout(board)
    places = [die] if dies is None else seeds("--dies", dies)
    with progress() as report:
        report("simulating", 0, 1)
        run = simulated(board, a, drive, duration, reading, problem.factors)
        outcome = run.solution.outcome
        if picture is not None and outcome.readable and not why:
            run.plot(picture)
        report("simulating", 1, 1)
        causes = run.causes(places, seed, report) if why else None
    if target is not None and outcome.readable:
        run.write(target)
    of, files = f"{len(run.b)} unknowns", [target] if target is not None and outcome.readable else []
    if causes is not None:
        files += write_causes(causes, of, picture, shown)
    elif picture is not None and outcome.readable:
        files.append(picture)
    if json:
        emit(run.to_dict() | {"files": files} | ({"causes": causes} if why else {}))
    else:
        rows = [(i, f"{x:.6g}", f"{exact:.6g}") for i, (x, exact) in enumerate(zip(run.x, run.exact, strict=True))]
        show_solution(("", "x", "exact"), rows, run.summary())
        if causes is not None:
            show_causes(causes, of)
        for path in files:
            note(f"wrote {path}")
    end_with(outcome)


def _note_empty_layout(device: Device) -> None:
    """A layout that adds nothing is no error, but not what was asked for."""
    from ..compiler.layout.extraction import adds_parts
    from ..devicemodel.devices.circuit import CircuitDevice

    if isinstance(device, CircuitDevice) and not adds_parts(device.technology):
        note(
            f"--layout adds nothing: technology {device.technology.name} states no wires, switches, parasitic capacitances or DAC output"
        )
