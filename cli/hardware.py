"""The hardware that options describe: technologies, amplifiers, devices and their cards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..circuits.errors import InputError
from ..circuits.technology.presets import PRESETS
from ..circuits.technology.technology import Technology
from .options import suffixed
from .outputs import progress

if TYPE_CHECKING:
    import numpy as np

    from ..circuits.amplifiers.models import AmplifierCell
    from ..circuits.amplifiers.user_netlist import Amplifier
    from ..circuits.spice.lexer import Line
    from ..compiler.fabrics.base import Fabric
    from ..compiler.program import AnalogProgram
    from ..devicemodel.card import DeviceCard
    from ..devicemodel.device import Device
    from ..devicemodel.limits.outlook import Outlook

DEVICES = {
    "ideal": frozenset[str](),
    "surrogate": frozenset({"card", "die", "noise", "extrapolate", "layout"}),
    "spice": frozenset({"technology", "fabric", "die", "noise", "layout"}),
}
"""The devices by name, with the options that apply to each."""

_PROCESS = re.compile(r"\s*\.(?:lib|inc|incl|include)\s+[\"']?pdk:(\w+)", re.ASCII | re.IGNORECASE)

MACROMODEL = "macromodel"
"""The `--amplifier` that is no file."""

LARGEST_OUTLOOK = 256
"""Most unknowns of a system whose smallest damping is worked out unasked: in a second or two."""
WORST_OUTLOOK = 1e6
"""Largest condition number of a random system, of a card without a bound."""


def read_technology(name: str) -> Technology:
    """A preset by name, or a .toml or .json file by path."""
    if name in PRESETS:
        return PRESETS[name]
    if Path(name).suffix in (".toml", ".json"):
        return Technology.read(name)
    raise InputError(
        f"technology {name!r} is neither a preset ({', '.join(PRESETS)}) nor a .toml or .json file; "
        "`thermograd technology NAME --out my.toml` writes one to start from"
    )


def open_device(
    kind: str,
    technology: str | None = None,
    fabric: str | None = None,
    die: int | None = None,
    noise: bool | None = None,
    card: Path | None = None,
    seed: int = 0,
    extrapolate: bool | None = None,
    layout: bool | None = None,
) -> Device:
    """The device that the options describe.

    Raises:
        InputError: unknown kind, an option that does not apply to it, or no card for a surrogate.
    """
    if kind not in DEVICES:
        raise InputError(f"device {kind!r} is unknown; there are: {', '.join(DEVICES)}")
    given = {"technology": technology, "fabric": fabric, "die": die, "noise": noise, "card": card}
    given |= {"extrapolate": extrapolate, "layout": layout}
    for option, value in given.items():
        if value is not None and option not in DEVICES[kind]:
            takers = " or ".join(name for name, options in DEVICES.items() if option in options)
            raise InputError(f"--{option} does not apply to the {kind} device; leave it out, or use --device {takers}")
    if kind == "ideal":
        from ..devicemodel.devices.ideal import IdealDevice

        return IdealDevice()
    if kind == "spice":
        from ..compiler.fabrics.registry import fabric_named
        from ..devicemodel.devices.spice import SpiceDevice

        if fabric not in (None, "auto"):
            fabric_named(fabric)
        return SpiceDevice(
            read_technology(technology or "ideal"), die, fabric or "auto", noise, seed=seed, layout=bool(layout)
        )
    from ..devicemodel.devices.surrogate import SurrogateDevice
    from ..devicemodel.laboratory.card import LaboratoryCard, read_card

    if card is None:
        raise InputError(
            "the surrogate device needs a card: --card card.json, written by `thermograd calibrate --out card.json`, or --card "
            "shipped:integrated, which comes with the package"
        )
    read = read_card(card)
    if isinstance(read, LaboratoryCard):
        if layout or noise is not None:
            raise InputError(
                "--layout and --noise do not apply to the card of a measured board, which has its own; leave them out"
            )
        return read.make_device(seed, die, extrapolate=bool(extrapolate))
    if noise is not None:
        read = read.replace(technology=read.technology.replace(thermal__johnson_noise=noise))
    return SurrogateDevice(read, die, seed, layout=bool(layout), extrapolate=bool(extrapolate))


def make_card(
    technology: Technology,
    fabric: str,
    seed: int,
    systems: Sequence[tuple[Any, Any]],
    quick: bool,
    workers: int,
    amplifier: AmplifierCell | None = None,
) -> DeviceCard:
    """Calibrate against ngspice, with progress bars; `quick` takes fewer and smaller systems."""
    from ..devicemodel.calibration.simulated import calibrate_with_evidence

    fewer: dict[str, Any] = {"sizes": (4, 8), "dies": (1, 2), "new_dies": (101,)} if quick else {}
    with progress() as report:
        return calibrate_with_evidence(
            technology, fabric, seed, systems, workers=workers, progress=report, amplifier=amplifier, **fewer
        ).card


def outlook_of(program: AnalogProgram) -> Outlook | None:
    """What refined readings of such dies can solve; None for all but arrays of amplifiers of first order, and for large ones."""
    if not _has_outlook(program.fabric) or program.size > LARGEST_OUTLOOK:
        return None
    from ..compiler.matrices import dense
    from ..devicemodel.limits.imperfections import Imperfections
    from ..devicemodel.limits.outlook import refinement_outlook

    return refinement_outlook(dense(program.target), Imperfections.of(program.technology, program.fabric_name))


def _has_outlook(fabric: Fabric) -> bool:
    return fabric.can_calibrate and fabric.active and not fabric.has_linear_law


def outlook_of_card(card: DeviceCard, seed: int) -> Outlook | None:
    """The same for a random system as large and as badly conditioned as those of the calibration."""
    import numpy as np

    from ..compiler.fabrics.registry import fabric_named
    from ..devicemodel.calibration.cases import random_system
    from ..devicemodel.limits.outlook import refinement_outlook

    if not _has_outlook(fabric_named(card.fabric)):
        return None
    size = min(card.validity.unknowns[1], LARGEST_OUTLOOK)
    condition = min(card.validity.condition_number[1], WORST_OUTLOOK)
    return refinement_outlook(random_system(size, condition, False, np.random.default_rng(seed)), card)


class Ports(NamedTuple):
    """What `--amplifier FILE` is told of the file; None or empty: not given."""

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


def require_swing(program: AnalogProgram, b: np.ndarray, amplifier: AmplifierCell) -> None:
    """InputError if an output would have to go beyond the supplies of a designer's amplifier to carry the solution for b."""
    import numpy as np

    from ..circuits.amplifiers.user_netlist import Amplifier
    from ..compiler.matrices import solver

    if not isinstance(amplifier, Amplifier) or not amplifier.supplies:
        return
    x = np.abs(solver(program.target)(program.right_hand_side(b))) / program.readout_scale
    needed = float(x.max()) * program.volts_per_unit / program.parts.rails
    rails = amplifier.rails.values()
    there = max(0.0, min(max(rails), -min(rails)))
    if needed > there:
        limit = program.technology.opamp.output_limit
        raise InputError(
            f"--amplifier: its outputs reach {there:.3g} V between its supplies, and at this signal level unknown "
            f"{int(x.argmax()) + 1} needs {needed:.3g} V: the technology's opamp.output_limit, {limit:g} V, is of another amplifier. Set "
            f"it to {there * program.parts.rails:.3g} V or less, or take the technology that `thermograd characterise --out` writes"
        )


def read_amplifier(
    path: Path,
    subckt: str,
    inputs: str,
    outputs: str,
    supplies: Sequence[str],
    include: Path | None,
    rest: float = 0.0,
    pdk: str | None = None,
) -> Amplifier:
    """The amplifier of a netlist's sub-circuit, its ports named by options.

    Args:
        path, subckt, inputs, outputs, supplies, include: of the options of those names. rest: that of --reference, V.
        pdk: process whose models it uses where it names none itself.

    Raises:
        InputError: a port that is missing, unknown or named twice; another process than `pdk`.
    """
    from ..circuits.amplifiers.user_netlist import Amplifier
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
    parts, ports = read_subcircuit(*_with_process(path, include, pdk), subckt)
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


def _with_process(path: Path, include: Path | None, pdk: str | None) -> tuple[str, list[Line] | None]:
    """A netlist's text and lines; with a card for the process `pdk` unless there is one."""
    from ..circuits.spice.includes import read_file
    from ..circuits.spice.lexer import split_lines
    from ..circuits.technology.pdk.registry import process

    text, lines = read_file(path, include)
    if pdk is None:
        return text, lines
    name = process(pdk).name
    if lines is None:
        lines = list(enumerate(split_lines(text)[1:], start=2))
    found = [match[1].lower() for _, line in lines if (match := _PROCESS.match(line))]
    if others := sorted(set(found) - {name}):
        raise InputError(f"--pdk {pdk}: the netlist is of {', '.join(others)} (.lib pdk:{others[0]}); leave --pdk out")
    return text, lines if found else [(1, f".lib pdk:{name} tt"), *lines]


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
