"""The hardware that options describe: technologies, devices and their cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..circuits.errors import InputError
from ..circuits.technology.presets import PRESETS
from ..circuits.technology.technology import Technology
from .outputs import progress

if TYPE_CHECKING:
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
    from ..devicemodel.card import DeviceCard
    from ..devicemodel.devices.surrogate import SurrogateDevice

    if card is None:
        raise InputError(
            "the surrogate device needs a card: --card card.json, written by `thermograd calibrate --out card.json`"
        )
    read = DeviceCard.read(card)
    if noise is not None:
        read = read.replace(technology=read.technology.replace(thermal__johnson_noise=noise))
    return SurrogateDevice(read, die, seed, layout=bool(layout), extrapolate=bool(extrapolate))


def make_card(
    technology: Technology, fabric: str, seed: int, systems: Sequence[tuple[Any, Any]], quick: bool, workers: int
) -> DeviceCard:
    """Calibrate against ngspice, with progress bars; `quick` takes fewer and smaller systems."""
    from ..devicemodel.calibration.simulated import calibrate_with_evidence

    fewer: dict[str, Any] = {"sizes": (4, 8), "dies": (1, 2), "new_dies": (101,)} if quick else {}
    with progress() as report:
        return calibrate_with_evidence(
            technology, fabric, seed, systems, workers=workers, progress=report, **fewer
        ).card


def outlook_of(program: AnalogProgram) -> Outlook | None:
    """What refined readings of such dies can solve; None for circuits without amplifiers, and for large ones."""
    if not (program.fabric.can_calibrate and program.fabric.active) or program.size > LARGEST_OUTLOOK:
        return None
    from ..compiler.matrices import dense
    from ..devicemodel.limits.imperfections import Imperfections
    from ..devicemodel.limits.outlook import refinement_outlook

    return refinement_outlook(dense(program.target), Imperfections.of(program.technology, program.fabric_name))


def outlook_of_card(card: DeviceCard, seed: int) -> Outlook | None:
    """The same for a random system as large and as badly conditioned as those of the calibration."""
    import numpy as np

    from ..compiler.fabrics.registry import fabric_named
    from ..devicemodel.calibration.cases import random_system
    from ..devicemodel.limits.outlook import refinement_outlook

    if not fabric_named(card.fabric).active:
        return None
    size = min(card.validity.unknowns[1], LARGEST_OUTLOOK)
    condition = min(card.validity.condition_number[1], WORST_OUTLOOK)
    return refinement_outlook(random_system(size, condition, False, np.random.default_rng(seed)), card)
