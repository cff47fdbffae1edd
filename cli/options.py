"""Options that several commands share, and the parsers of their values."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ..circuits.errors import InputError

CIRCUITS, LEARNING, SETUP = "Circuits", "Learning", "Set-up"
PICTURES = (".png", ".svg", ".pdf")
_TRAITS = re.compile(r"{([a-z_]+)}")
_CAPITAL = re.compile(r"[0-9.](M(?!EG|eg|IL|il)|P)")
_MEANT = {"M": ("meg for 1e6", "m for 1e-3"), "P": ("1000T for 1e15", "p for 1e-12")}


def examples(*lines: str) -> str:
    """An epilog of examples; in rich's help a blank line separates lines."""
    return "\n\n".join(["[bold]Examples[/bold]", *(f"[cyan]{line}[/cyan]" for line in lines)])


class FabricCommand(TyperCommand):
    """A command whose help lists the fabrics of the registry, which is imported when that help is shown.

    In the help of an option, `{all}`, `{has_device_model}` and the registry's other traits are replaced by the names of those fabrics.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Insert the names, then format as for any command."""
        from ..compiler.fabrics.registry import fabric_names

        for option in self.params:
            text: str = getattr(option, "help", None) or ""
            for trait in _TRAITS.findall(text):
                text = text.replace("{" + trait + "}", ", ".join(fabric_names(None if trait == "all" else trait)))
            if hasattr(option, "help"):
                option.help = text
        super().format_help(ctx, formatter)


Matrix = Annotated[
    Path,
    typer.Argument(
        help="Matrix A: .npy, .npz, .csv, .txt or .mtx; sparse from .mtx and scipy's save_npz. An .npz of np.savez may hold A, or the "
        "factors A and B of A (x) B, or J and H of J^T H J (J alone: H = I), each with damping and b.",
        metavar="MATRIX",
    ),
]
Drive = Annotated[
    Path | None,
    typer.Option("--b", help="Right-hand side, in the same formats; instead of the b of MATRIX.", metavar="FILE"),
]
DeviceFabric = Annotated[
    str | None,
    typer.Option("--fabric", help="auto, or one of: {has_device_model}; or spu, which is sampled.", metavar="NAME"),
]
TechnologyName = Annotated[
    str | None,
    typer.Option(
        "--technology",
        help="Preset (ideal, paper, breadboard, integrated, gf180mcu, sky130), or a .toml or .json file.",
        metavar="NAME|FILE",
    ),
]
Damping = Annotated[
    float, typer.Option("--damping", help="Damping, added to the diagonal of A, and to the damping of an .npz.")
]
DeviceName = Annotated[
    str | None, typer.Option("--device", help="ideal, surrogate (needs --card) or spice.", metavar="NAME")
]
Card = Annotated[
    Path | None,
    typer.Option(
        "--card",
        help="Device card written by `thermograd calibrate`, or one that comes with the package: shipped:integrated, ...",
        metavar="FILE|shipped:NAME",
    ),
]
Extrapolate = Annotated[
    bool | None,
    typer.Option(
        "--extrapolate",
        help="Allow the surrogate outside of the range that its card was calibrated for.",
        show_default=False,
    ),
]
_READING = "--reading"
_READING_HELP = (
    "refined: corrected by its digital residual; bare: one reading as it is; auto: refined where the circuit settles."
)
ReadingName = Annotated[str, typer.Option(_READING, help=_READING_HELP, metavar="NAME")]
ReadingChoice = Annotated[
    str | None, typer.Option(_READING, help=f"{_READING_HELP} Default: auto (tngd).", metavar="NAME")
]
Layout = Annotated[
    bool, typer.Option("--layout", help="The array with its wires and switches (of crossbar).", show_default=False)
]
Page = Annotated[Path | None, typer.Option("--page", help="Page with the causes of the error: .html.", metavar="FILE")]
DieSeed = Annotated[int | None, typer.Option("--die", min=0, help="Seed of the die; default: nominal parts.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the random numbers.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Number of worker processes.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Picture to write: .png, .svg or .pdf.", metavar="FILE")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Slices = Annotated[
    int | None,
    typer.Option(
        "--slices",
        help="Programmable resistors at each crosspoint ({has_slices}), 1 or 2, in place of the technology's.",
        min=1,
        max=2,
    ),
]
DriveRanges = Annotated[
    int | None,
    typer.Option(
        "--drive-ranges",
        help="Input resistors to choose from (unit, 2 unit, 4 unit, ...; op-amp fabrics), in place of the technology's.",
        min=1,
        max=16,
    ),
]
AmplifierChoice = Annotated[
    str | None,
    typer.Option(
        "--amplifier",
        help="What the netlist has for each amplifier: macromodel (noise, limits and poles of the technology's opamp), or a SPICE file "
        "with one of your own, described as for `characterise` by the six options below. Default: linear, one pole.",
        metavar="macromodel|FILE",
    ),
]
Subckt = Annotated[str | None, typer.Option("--subckt", help="Name of its .subckt.", metavar="NAME")]
Inputs = Annotated[
    str | None,
    typer.Option("--inputs", help="Its non-inverting and inverting input ports.", metavar="PLUS,MINUS"),
]
Outputs = Annotated[
    str | None,
    typer.Option("--outputs", help="Its output port, or two differential ones.", metavar="OUT|PLUS,MINUS"),
]
Supply = Annotated[
    list[str] | None,
    typer.Option(
        "--supply",
        help="Voltage to ground of each other port (supplies, references, biases) (repeatable).",
        metavar="PORT=VOLTS",
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        help="Common-mode voltage of inputs and outputs: 0.9 for an amplifier between 0 and 1.8 V. Default: 0.",
        metavar="VOLTS",
    ),
]
Include = Annotated[
    Path | None, typer.Option("--include", help="Folder whose files the netlist may include.", metavar="DIR")
]


def numbers(option: str, text: str) -> list[float]:
    """The finite numbers of an option such as `--levels 0.01,0.1`."""
    values = []
    for item in text.split(","):
        try:
            values.append(float(item))
        except ValueError:
            raise InputError(
                f"{option}: {item.strip()!r} is not a number; give numbers with commas between them, such as 1,2,3"
            ) from None
        if not math.isfinite(values[-1]):
            raise InputError(f"{option}: {item.strip()!r} is not finite")
    return values


def suffixed(option: str, text: str) -> float:
    """The number of an option such as `--host-rate 50G`, with a SPICE suffix or without.

    In a netlist 1M is 1e-3 and 1P is 1e-12, in either case. A capital M or P would be read as mega or peta, so it is rejected.

    Raises:
        InputError: not a number, or a suffix that begins with a capital M or P other than MEG and MIL.
    """
    from ..circuits.spice.expressions import parse_number

    try:
        value = parse_number(text)
    except InputError as error:
        raise InputError(f"{option}: {error}") from None
    found = _CAPITAL.search(text)
    if found is not None:
        large, small = _MEANT[found[1]]
        raise InputError(f"{option} is {text!r}, where {found[1]} is ambiguous: write {large}, or {small} as in SPICE")
    return value


def whole(option: str, text: str) -> int:
    """The whole number >= 1 of an option such as `--parameters 100k`; InputError otherwise."""
    value = suffixed(option, text)
    # 2.3k is 2300 up to rounding.
    if not (math.isfinite(value) and round(value) >= 1 and abs(value - round(value)) <= 1e-12 * value):
        raise InputError(f"{option} is {text}: give a whole number >= 1, such as 32, 100k or 1meg")
    return round(value)


def seeds(option: str, text: str) -> list[int]:
    """The seeds of an option such as `--dies 1,2,3`."""
    values = numbers(option, text)
    for value in values:
        if value < 0 or value != int(value):
            raise InputError(f"{option}: {value:g} is not a seed; seeds are whole numbers >= 0")
        if values.count(value) > 1:
            raise InputError(f"{option}: {value:g} occurs twice, and would count as two; give each seed once")
    return [int(value) for value in values]
