"""The command that measures an amplifier's netlist and writes a technology with it: `characterise`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path
from .options import CIRCUITS, PICTURES, Include, Json, Plot, Supply, TechnologyName, examples, numbers, suffixed
from .outputs import emit, note, progress, show

if TYPE_CHECKING:
    from ..circuits.amplifiers.characterise import Characterisation
    from ..circuits.amplifiers.conditions import Condition
    from ..circuits.amplifiers.user_netlist import Amplifier
    from ..circuits.technology.parts import OpAmp
    from ..circuits.technology.technology import Technology

BASE = "integrated"
"""Default technology around the amplifier."""
CELSIUS = 273.15
"""0 degrees Celsius, K."""

app = typer.Typer()


@app.command(
    rich_help_panel=CIRCUITS,
    epilog=examples(
        "thermograd characterise examples/amplifiers/two_stage.cir --subckt two_stage --inputs inp,inn --outputs out --supply vdd=0.9 "
        "--supply vss=-0.9 --load-resistance 46k --out amplifier.toml --plot amplifier.png",
        "thermograd characterise ota.cir --subckt ota --inputs p,n --outputs op,on --supply vdd=1.8 --supply vb=650m --reference 0.9 "
        "--include pdk",
        "thermograd characterise examples/amplifiers/gf180mcu.cir --pdk gf180mcu --corner all --temperature -40,27,85 --subckt gf180mcu "
        "--inputs inp,inn --outputs outp,outn --supply vdd=3.3 --supply vss=0 --supply ref=1.65 --reference 1.65 --common-mode ref "
        "--load-resistance 27k --load-capacitance 0.5p",
        "thermograd characterise --pdk gf180mcu --corner ss --temperature 85",
        "thermograd compile A.npy --technology amplifier.toml",
    ),
)
def characterise(
    netlist: Annotated[
        Path | None,
        typer.Argument(
            help="SPICE netlist that holds the amplifier as a .subckt. Default: the amplifier that comes with the process of --pdk, with "
            "its ports, supplies and load.",
            metavar="[NETLIST]",
            show_default=False,
        ),
    ] = None,
    subckt: Annotated[str | None, typer.Option("--subckt", help="Name of that .subckt.", metavar="NAME")] = None,
    inputs: Annotated[
        str | None,
        typer.Option("--inputs", help="Its non-inverting and inverting input ports.", metavar="PLUS,MINUS"),
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option("--outputs", help="Its output port, or two differential ones.", metavar="OUT|PLUS,MINUS"),
    ] = None,
    supply: Supply = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            help="Common-mode voltage of inputs and outputs: 0.9 for an amplifier between 0 and 1.8 V. Default: 0.",
            metavar="VOLTS",
        ),
    ] = None,
    load_resistance: Annotated[
        str | None,
        typer.Option(
            "--load-resistance",
            help="Load from each output to ground; the gain is then the loaded gain. Default: none; of a process's own amplifier "
            "27k.",
            metavar="OHM",
        ),
    ] = None,
    load_capacitance: Annotated[
        str | None,
        typer.Option(
            "--load-capacitance",
            help="Load from each output to ground. Default: none; of a process's own amplifier 0.5p.",
            metavar="FARAD",
        ),
    ] = None,
    temperature: Annotated[
        str | None,
        typer.Option(
            "--temperature", help="One or several. Default: as in the netlist, or 27.", metavar="CELSIUS[,...]"
        ),
    ] = None,
    pdk: Annotated[
        str | None,
        typer.Option(
            "--pdk",
            help="Foundry's process of the transistors (gf180mcu, sky130), where the netlist does not name it (.lib pdk:gf180mcu tt).",
            metavar="NAME",
        ),
    ] = None,
    corner: Annotated[
        str | None,
        typer.Option(
            "--corner",
            help="Corners of that process: all, or some of tt, ff, ss, fs, sf; resistors and capacitors follow in the first three. "
            "Default: as in the netlist.",
            metavar="NAME[,...]",
        ),
    ] = None,
    supply_scale: Annotated[
        str | None,
        typer.Option("--supply-scale", help="Factors of --supply and --reference: 0.9,1,1.1.", metavar="FACTOR[,...]"),
    ] = None,
    common_mode: Annotated[
        str | None,
        typer.Option(
            "--common-mode",
            help="Port (one of --supply) that the mean of two outputs is compared with: measures the loop that holds it.",
            metavar="PORT",
        ),
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
    Several corners, temperatures or supplies give a table with a row for each combination.
    """
    from ..circuits.amplifiers.conditions import over_conditions
    from ..report import amplifier_rows
    from .hardware import read_amplifier, read_technology

    if technology is not None and out is None:
        raise InputError(
            "--technology is the base of --out; give the file to write with --out, or leave --technology out"
        )
    from ..circuits.amplifiers.process_amplifier import COMMON_MODE, LOAD_CAPACITANCE, LOAD_RESISTANCE

    own = netlist is None
    if netlist is None:
        ports: dict[str, object] = {"--subckt": subckt, "--inputs": inputs, "--outputs": outputs, "--supply": supply}
        ports |= {"--reference": reference, "--common-mode": common_mode, "--include": include}
        netlist, amplifier = _of_process(pdk, [name for name, value in ports.items() if value])
        common_mode = COMMON_MODE
    else:
        given_ports = _required(subckt, inputs, outputs)
        rest = suffixed("--reference", reference or "0")
        amplifier = read_amplifier(netlist, *given_ports, supply or [], include, rest, pdk)
    given = [netlist, Path(technology or "")]
    target, picture = output_path(out, (".toml", ".json"), given), output_path(plot, PICTURES, given)
    board = read_technology(technology or BASE)
    ohm, farad = (LOAD_RESISTANCE, LOAD_CAPACITANCE) if own else (math.inf, 0.0)
    if load_resistance is not None:
        ohm = suffixed("--load-resistance", load_resistance)
    if load_capacitance is not None:
        farad = suffixed("--load-capacitance", load_capacitance)
    kelvin = [amplifier.parts.temperature]
    if temperature is not None:
        kelvin = [celsius + CELSIUS for celsius in numbers("--temperature", temperature)]
    corners = _corners(amplifier, corner)
    supplies = [1.0] if supply_scale is None else numbers("--supply-scale", supply_scale)
    several = len(kelvin) * len(corners) * len(supplies) > 1
    if several and target is not None:
        raise InputError(
            "--out writes one amplifier: give one corner, one temperature and one supply, or leave --out out"
        )
    with progress() as bar:
        found = over_conditions(
            amplifier,
            corners,
            kelvin,
            supplies,
            ohm,
            farad,
            common_mode,
            lambda done, all_: bar("measuring", done, all_),
        )
    (condition, measured), *_ = found
    title = f"{amplifier.parts.title} {_conditions(condition, measured, several)}"
    if target is not None:
        source = f"amplifier: {title}, from {netlist.name}"
        _with_amplifier(board, measured.opamp, amplifier.parts.title, source).write(target)
    if picture is not None:
        from ..report.figures.amplifier import amplifier_plot, conditions_plot
        from ..report.figures.style import save

        save(conditions_plot(found, title) if several else amplifier_plot(measured, title), picture)
    files = [path for path in (target, picture) if path is not None]
    if json:
        named = {"amplifier": amplifier.parts.title, "files": files}
        every = [_data(at, one) for at, one in found]
        emit({"conditions": every} | named if several else every[0] | named)
        return
    if several:
        show(title, amplifier_rows.CONDITIONS, amplifier_rows.conditions(found))
    else:
        show(title, amplifier_rows.FIGURES, amplifier_rows.figures(measured))
    for path in files:
        note(f"wrote {path}")
    if target is not None:
        for remark in _remarks(measured):
            note(f"{target}: {remark}")


def _of_process(pdk: str | None, ports: list[str]) -> tuple[Path, Amplifier]:
    """The netlist and the amplifier that come with a process; `ports`: options given that are a netlist's own."""
    from ..circuits.amplifiers.process_amplifier import process_amplifier, process_netlist

    if pdk is None:
        raise InputError(
            "there is nothing to measure: give a NETLIST with --subckt, --inputs and --outputs, or --pdk gf180mcu for that "
            "process's amplifier"
        )
    if ports:
        raise InputError(
            f"{', '.join(ports)}: of a NETLIST, which is missing; give it, or leave them out for the amplifier that comes with {pdk}"
        )
    return process_netlist(pdk), process_amplifier(pdk)


def _required(subckt: str | None, inputs: str | None, outputs: str | None) -> tuple[str, str, str]:
    """The three options that a netlist needs."""
    missing = [
        name
        for name, value in (("--subckt NAME", subckt), ("--inputs PLUS,MINUS", inputs), ("--outputs OUT", outputs))
        if value is None
    ]
    if subckt is None or inputs is None or outputs is None:
        raise InputError(f"a NETLIST needs {', '.join(missing)}, which say where the amplifier is in it")
    return subckt, inputs, outputs


def _with_amplifier(board: Technology, opamp: OpAmp, name: str, source: str) -> Technology:
    """The technology with its `opamp` replaced, and name and source extended."""
    called = re.sub(r"[^A-Za-z0-9 _.+-]", "_", f"{board.name} with {name}")[:64]
    from ..circuits.technology.provenance import Price
    from ..devicemodel.cost.prices import sources_of

    kept = [one for one in sources_of(board) if one.figure != "opamp.power"]
    if opamp.power:
        kept.append(
            Price(figure="opamp.power", value=opamp.power, kind="simulated", source=source or f"characterise {name}")
        )
    said = "; ".join(filter(None, (board.source, source)))
    return board.replace(name=called, source=said, opamp=opamp, prices=kept)


def _corners(amplifier: Amplifier, corner: str | None) -> list[str]:
    """The corners that are asked for; "" is the netlist's own."""
    if corner is None:
        return [""]
    from ..circuits.technology.pdk.process_record import CORNERS

    return list(CORNERS) if corner.strip() == "all" else [name.strip().lower() for name in corner.split(",")]


def _conditions(condition: Condition, measured: Characterisation, several: bool) -> str:
    """At which corner, temperature, supply and load."""
    from ..report.amplifier_rows import celsius
    from ..report.formatting import engineering

    loads = []
    if math.isfinite(measured.load_resistance):
        loads.append(engineering(measured.load_resistance, "Ω"))
    if measured.load_capacitance:
        loads.append(engineering(measured.load_capacitance, "F"))
    load = f"{' and '.join(loads) + ' at each output' if loads else 'no load'}"
    if several:
        return f"over conditions, {load}"
    supply = "" if condition.supply == 1 else f", {100 * condition.supply:g} % of the supply"
    return f"at {' and '.join(filter(None, (condition.corner, celsius(measured.temperature))))}{supply}, {load}"


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


def _data(condition: Condition, measured: Characterisation) -> dict[str, Any]:
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
        "corner": condition.corner or None,
        "supply_scale": condition.supply,
        "output_resistance": measured.output_resistance,
        "supply_current": measured.supply_current,
        "rejection": measured.rejection,
        "common_mode": measured.common_mode,
        "frequency": measured.frequency,
        "gain": np.abs(measured.response),
        "phase": np.degrees(np.unwrap(np.angle(measured.response))),
        "noise_frequency": measured.noise_frequency,
        "noise_voltage": measured.noise_voltage,
    }
