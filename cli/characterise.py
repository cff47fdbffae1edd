"""The command that measures an amplifier's netlist and writes a technology with it: `characterise`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path
from .options import CIRCUITS, PICTURES, Include, Json, Plot, Supply, TechnologyName, examples, suffixed
from .outputs import emit, note, show

if TYPE_CHECKING:
    from ..circuits.amplifiers.characterise import Characterisation
    from ..circuits.technology.parts import OpAmp
    from ..circuits.technology.technology import Technology

BASE = "integrated"
"""Default technology around the amplifier."""

app = typer.Typer()


@app.command(
    rich_help_panel=CIRCUITS,
    epilog=examples(
        "thermograd characterise examples/amplifiers/two_stage.cir --subckt two_stage --inputs inp,inn --outputs out --supply vdd=0.9 "
        "--supply vss=-0.9 --load-resistance 46k --out amplifier.toml --plot amplifier.png",
        "thermograd characterise ota.cir --subckt ota --inputs p,n --outputs op,on --supply vdd=1.8 --supply vb=650m --reference 0.9 "
        "--include pdk",
        "thermograd compile A.npy --technology amplifier.toml",
    ),
)
def characterise(
    netlist: Annotated[
        Path, typer.Argument(help="SPICE netlist that holds the amplifier as a .subckt.", metavar="NETLIST")
    ],
    subckt: Annotated[str, typer.Option("--subckt", help="Name of that .subckt.", metavar="NAME")],
    inputs: Annotated[
        str,
        typer.Option("--inputs", help="Its non-inverting and inverting input ports.", metavar="PLUS,MINUS"),
    ],
    outputs: Annotated[
        str,
        typer.Option("--outputs", help="Its output port, or two differential ones.", metavar="OUT|PLUS,MINUS"),
    ],
    supply: Supply = None,
    reference: Annotated[
        str,
        typer.Option(
            "--reference",
            help="Common-mode voltage of inputs and outputs: 0.9 for an amplifier between 0 and 1.8 V.",
            metavar="VOLTS",
        ),
    ] = "0",
    load_resistance: Annotated[
        str | None,
        typer.Option(
            "--load-resistance",
            help="Load from each output to ground; the gain is then the loaded gain. Default: none.",
            metavar="OHM",
        ),
    ] = None,
    load_capacitance: Annotated[
        str, typer.Option("--load-capacitance", help="Load from each output to ground.", metavar="FARAD")
    ] = "0",
    temperature: Annotated[
        str | None,
        typer.Option("--temperature", help="Default: as in the netlist, or 300.15 K (27 C).", metavar="KELVIN"),
    ] = None,
    include: Include = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write a technology with this amplifier, for `compile --technology`: .toml or .json.",
            metavar="FILE",
        ),
    ] = None,
    technology: TechnologyName = None,
    plot: Plot = None,
    json: Json = False,
) -> None:
    """Measure an amplifier in ngspice: gain, poles, swing, slew rate, offset, noise, power.

    Numbers may have SPICE suffixes (46k, 0.2p). --out takes everything but the amplifier from --technology (default: integrated).
    """
    from ..circuits.amplifiers.characterise import characterise as measure
    from .hardware import read_amplifier, read_technology

    if technology is not None and out is None:
        raise InputError(
            "--technology is the base of --out; give the file to write with --out, or leave --technology out"
        )
    given = [netlist, Path(technology or "")]
    target, picture = output_path(out, (".toml", ".json"), given), output_path(plot, PICTURES, given)
    board = read_technology(technology or BASE)
    ohm = math.inf if load_resistance is None else suffixed("--load-resistance", load_resistance)
    farad = suffixed("--load-capacitance", load_capacitance)
    rest = suffixed("--reference", reference)
    amplifier = read_amplifier(netlist, subckt, inputs, outputs, supply or [], include, rest)
    kelvin = amplifier.parts.temperature if temperature is None else suffixed("--temperature", temperature)
    measured = measure(amplifier, load_resistance=ohm, load_capacitance=farad, temperature=kelvin)
    title = f"{amplifier.parts.title} at {_conditions(measured)}"
    if target is not None:
        source = f"amplifier: {title}, from {netlist.name}"
        _with_amplifier(board, measured.opamp, amplifier.parts.title, source).write(target)
    if picture is not None:
        from ..report.figures.amplifier import amplifier_plot
        from ..report.figures.style import save

        save(amplifier_plot(measured, title), picture)
    files = [path for path in (target, picture) if path is not None]
    if json:
        emit(_data(measured) | {"amplifier": amplifier.parts.title, "files": files})
        return
    show(title, ("figure", "value"), _rows(measured, len(amplifier.outputs)))
    for path in files:
        note(f"wrote {path}")
    if target is not None:
        for remark in _remarks(measured):
            note(f"{target}: {remark}")


def _with_amplifier(board: Technology, opamp: OpAmp, name: str, source: str) -> Technology:
    """The technology with its `opamp` replaced, and name and source extended."""
    called = re.sub(r"[^A-Za-z0-9 _.+-]", "_", f"{board.name} with {name}")[:64]
    return board.replace(name=called, source="; ".join(filter(None, (board.source, source))), opamp=opamp)


def _conditions(measured: Characterisation) -> str:
    from ..report.formatting import engineering

    loads = []
    if math.isfinite(measured.load_resistance):
        loads.append(engineering(measured.load_resistance, "Ω"))
    if measured.load_capacitance:
        loads.append(engineering(measured.load_capacitance, "F"))
    return f"{measured.temperature:g} K, {' and '.join(loads) + ' at each output' if loads else 'no load'}"


def _rows(measured: Characterisation, outputs: int) -> list[tuple[str, str]]:
    """Rows of the table; a zero or infinite value in the record was not found."""
    from ..report.formatting import engineering

    opamp, (low, high) = measured.opamp, measured.swing

    def found(value: float, unit: str) -> str:
        return engineering(value, unit) if value and math.isfinite(value) else "none found"

    rows = [
        ("gain A0", f"{engineering(opamp.gain, '').strip()} ({20 * math.log10(opamp.gain):.1f} dB)"),
        ("gain-bandwidth product", engineering(opamp.gbw, "Hz")),
        ("unity-gain frequency", engineering(measured.unity_gain, "Hz")),
        ("phase margin", f"{measured.phase_margin:.1f}°"),
        ("second pole", found(opamp.second_pole, "Hz")),
        ("swing, lowest", engineering(low, "V")),
        ("swing, highest", engineering(high, "V")),
        ("slew rate", found(opamp.slew / 1e6, "V/µs")),
    ]
    if math.isinf(measured.load_resistance):  # under load it is part of the gain
        rows.append(("output resistance", found(opamp.output_resistance, "Ω")))
    rows.append(("largest output current", found(opamp.output_current, "A")))
    rows += [
        ("offset", engineering(measured.offset, "V")),
        ("bias current", found(opamp.bias_current, "A")),
        ("noise voltage", engineering(opamp.noise_voltage, "V/√Hz")),
        ("its 1/f corner", found(opamp.noise_voltage_corner, "Hz")),
        ("noise current", found(opamp.noise_current, "A/√Hz")),
        ("its 1/f corner", found(opamp.noise_current_corner, "Hz")),
    ]
    if outputs == 2:
        rows.append(("mean of the outputs", engineering(opamp.common_mode_offset, "V")))
    return [*rows, ("power", engineering(opamp.power, "W"))]


def _remarks(measured: Characterisation) -> list[str]:
    """Limits of the record that its user should know."""
    remarks = [
        "opamp.offset is this netlist's own, without mismatch; opamp.offset_pelgrom_coefficient and opamp.input_area take its place"
    ]
    if measured.opamp.output_resistance:
        remarks.append(
            "opamp.output_resistance is a series resistance, which overestimates the effect of a load on a compensated stage; with the "
            "intended load (--load-resistance, --load-capacitance) its effect is part of the other figures"
        )
    return remarks


def _data(measured: Characterisation) -> dict[str, Any]:
    """Plain data for JSON: figures in SI units, and the curves."""
    import numpy as np

    return {
        "opamp": measured.opamp.model_dump(mode="json"),
        "offset": measured.offset,
        "unity_gain": measured.unity_gain,
        "phase_margin": measured.phase_margin,
        "swing": measured.swing,
        "load_resistance": measured.load_resistance,
        "load_capacitance": measured.load_capacitance,
        "temperature": measured.temperature,
        "frequency": measured.frequency,
        "gain": np.abs(measured.response),
        "phase": np.degrees(np.unwrap(np.angle(measured.response))),
        "noise_frequency": measured.noise_frequency,
        "noise_voltage": measured.noise_voltage,
    }
