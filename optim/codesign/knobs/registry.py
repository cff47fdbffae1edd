"""All knobs by name: of the technology, the host and the optimizer."""

from __future__ import annotations

import dataclasses

import numpy as np

from ....circuits.errors import InputError
from ....circuits.spelling import unknown_name
from ....circuits.technology.die import Die
from ....devicemodel.card import DeviceCard
from .host_knobs import host_knobs
from .knob import Knob
from .optimizer_knobs import optimizer_knobs
from .technology_knobs import technology_knobs

KNOBS: dict[str, Knob] = {**technology_knobs(), **host_knobs(), **optimizer_knobs()}
"""Every knob by its own name."""


def _spread(card: DeviceCard, _: float) -> float:
    return float(np.ptp(Die(card.technology, None).temperatures))


ALIASES: dict[str, Knob] = {
    "tolerance": dataclasses.replace(
        KNOBS["resistors.tolerance"],
        name="tolerance",
        title="Resistor tolerance",
        axis="standard deviation of a resistor",
        of="resistors.tolerance",
    ),
    "isolation": dataclasses.replace(
        KNOBS["thermal.to_hot"],
        name="isolation",
        title="Thermal isolation",
        axis="temperature spread over the die",
        unit="K",
        log=False,
        of="thermal.to_hot",
        shown_as=_spread,
    ),
    "adc": dataclasses.replace(
        KNOBS["adc.bits"], name="adc", title="Resolution of the ADC", axis="ADC resolution", of="adc.bits"
    ),
}
"""Short names of three knobs, with an axis of their own: that of "isolation" is the temperature spread that the knob makes."""


def knob_named(name: str, what: str = "knob") -> Knob:
    """The knob of a name or alias. InputError, with what was perhaps meant, for an unknown one."""
    if name in ALIASES:
        return ALIASES[name]
    if name in KNOBS:
        return KNOBS[name]
    near = unknown_name(what, name, (*ALIASES, *KNOBS)).rpartition("; did you mean ")
    meant = f"; did you mean {near[2]}" if near[1] else ""
    alike = [known for known in KNOBS if name in (known.partition(".")[0], known.partition(".")[2])]
    few = f"; of that there are: {', '.join(alike)}" if alike else ""
    raise InputError(
        f"{what} {name!r} is unknown; there are: {', '.join(ALIASES)}, and {len(KNOBS)} more by names such as adc.noise, refined.rounds "
        f"and tngd.damping, which `thermograd study --list` shows{meant or few}"
    )
