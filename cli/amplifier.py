"""Amplifiers of a designer's own netlist, by options of `characterise` and `compile`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ..circuits.errors import InputError
from .options import suffixed

if TYPE_CHECKING:
    from ..circuits.amplifiers.models import AmplifierCell
    from ..circuits.amplifiers.user_netlist import Amplifier
    from ..circuits.technology.technology import Technology

MACROMODEL = "macromodel"

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


class Ports(NamedTuple):
    """What `compile --amplifier FILE` is told of the file; None or empty: not given."""

    subckt: str | None
    inputs: str | None
    outputs: str | None
    supplies: Sequence[str]
    reference: str | None
    include: Path | None


def chosen_amplifier(choice: str | None, ports: Ports, technology: Technology) -> AmplifierCell | None:
    """What `--amplifier` puts in place of each amplifier; None: the linear one-pole amplifier.

    Raises:
        InputError: options of a file without one, or a file without its options; a macromodel of a technology without figures.
    """
    if choice is None or choice == MACROMODEL:
        if any(ports):
            raise InputError(
                "--subckt, --inputs, --outputs, --supply, --reference and --include describe the netlist of --amplifier FILE; give that "
                "file, or leave them out"
            )
        return None if choice is None else _macromodel(technology)
    subckt, inputs, outputs, supplies, reference, include = ports
    if subckt is None or inputs is None or outputs is None:
        raise InputError(
            f"--amplifier {choice}: --subckt, --inputs and --outputs are needed, to say which .subckt of the file it is and what its ports "
            "are; or give --amplifier macromodel"
        )
    rest = 0.0 if reference is None else suffixed("--reference", reference)
    return read_amplifier(Path(choice), subckt, inputs, outputs, supplies, include, rest)


def _macromodel(technology: Technology) -> AmplifierCell:
    from ..circuits.amplifiers.models import Macromodel
    from ..circuits.technology.parts import OpAmp

    opamp = technology.opamp
    if opamp == OpAmp(outputs=opamp.outputs):
        raise InputError(
            f"--amplifier macromodel: technology {technology.name} has no figures of its amplifier (opamp), so that nothing would be in "
            "it; take --technology breadboard or integrated, or measure an amplifier with `thermograd characterise`"
        )
    return Macromodel(opamp)


def read_amplifier(
    path: Path, subckt: str, inputs: str, outputs: str, supplies: Sequence[str], include: Path | None, rest: float = 0.0
) -> Amplifier:
    """The amplifier of a netlist's sub-circuit, its ports named by options.

    Raises:
        InputError: a port that is missing, unknown or named twice.
    """
    from ..circuits.amplifiers.user_netlist import Amplifier
    from ..circuits.spice.includes import read_file
    from ..circuits.spice.names import node_name
    from ..circuits.spice.read import read_subcircuit

    plus, *minus = _names("--inputs", inputs)
    if len(minus) != 1:
        raise InputError(
            f"--inputs {inputs!r} is not a pair: name the non-inverting and the inverting input, such as --inputs inp,inn"
        )
    ends = _names("--outputs", outputs)
    if len(ends) > 2:
        raise InputError(f"--outputs {outputs!r} names {len(ends)} ports: an amplifier has one output, or two")
    plus, minus, ends = node_name(plus), [node_name(minus[0])], [node_name(end) for end in ends]
    volts = {node_name(port): value for port, value in _volts(supplies).items()}
    parts, ports = read_subcircuit(*read_file(path, include), subckt)
    named = {"--inputs": [plus, *minus], "--outputs": ends, "--supply": list(volts)}
    for option, names in named.items():
        for name in names:
            if name not in ports:
                raise InputError(
                    f"{option} names {name!r}, which is not a port of sub-circuit {parts.title}; its ports are {', '.join(ports)}"
                )
    given = [name for names in named.values() for name in names]
    for name in given:
        if given.count(name) > 1:
            raise InputError(f"port {name} is named twice; it must be one input, one output or one supply")
    left = [port for port in ports if port not in given]
    if left:
        remedy = " ".join(f"--supply {port}=VOLTS" for port in left)
        raise InputError(
            f"port {', '.join(left)} of sub-circuit {parts.title} is neither input nor output; give its voltage: {remedy}"
        )
    return Amplifier(parts, (plus, minus[0]), tuple(ends), volts, rest)


def _names(option: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"{option} {text!r}: a name is empty; give port names separated by commas")
    return names


def _volts(supplies: Sequence[str]) -> dict[str, float]:

    found: dict[str, float] = {}
    for text in supplies:
        port, equals, value = (word.strip() for word in text.partition("="))
        if not (port and equals and value):
            raise InputError(f"--supply {text!r} is not PORT=VOLTS, such as --supply vdd=0.9")
        if port in found:
            raise InputError(f"--supply {port} is given twice; leave one out")
        found[port] = suffixed(f"--supply {port}", value)
    return found
