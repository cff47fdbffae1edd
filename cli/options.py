"""Options that several commands share, each written once so that it means the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CIRCUITS, LEARNING, SETUP = "Circuits", "Learning", "Set-up"
PICTURES = (".png", ".svg", ".pdf")


def examples(*lines: str) -> str:
    """An epilog; in rich's help a blank line keeps lines apart."""
    return "\n\n".join(["[bold]Examples[/bold]", *(f"[cyan]{line}[/cyan]" for line in lines)])


Matrix = Annotated[
    Path,
    typer.Argument(help="Matrix A: .npy, .npz, .csv, .txt or .mtx. An .npz with A and b gives both.", metavar="MATRIX"),
]
Drive = Annotated[Path | None, typer.Option("--b", help="Right-hand side: a file of the same kinds.", metavar="FILE")]
DeviceFabric = Annotated[
    str | None,
    typer.Option("--fabric", help="auto, rc or dual_rail (passive), or crossbar (op-amps).", metavar="NAME"),
]
TechnologyName = Annotated[
    str | None,
    typer.Option(
        "--technology",
        help="Preset (ideal, paper, breadboard, integrated), or a .toml or .json file.",
        metavar="NAME|FILE",
    ),
]
Damping = Annotated[float, typer.Option("--damping", help="Added to the diagonal of A.")]
DeviceName = Annotated[
    str | None, typer.Option("--device", help="ideal, surrogate (needs --card) or spice.", metavar="NAME")
]
Card = Annotated[
    Path | None, typer.Option("--card", help="Device card written by `thermograd calibrate`.", metavar="FILE")
]
Extrapolate = Annotated[
    bool | None,
    typer.Option(
        "--extrapolate",
        help="Let the surrogate answer outside of the range that its card was calibrated for, too.",
        show_default=False,
    ),
]
DieSeed = Annotated[int | None, typer.Option("--die", min=0, help="Seed of the die; without it all parts are nominal.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the random numbers.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes at a time.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Picture to write: .png, .svg or .pdf.", metavar="FILE")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
