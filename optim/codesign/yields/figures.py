"""What a figure of the machine is at a design point: the point's own, else the technology's or the host's default."""

from __future__ import annotations

import inspect
from typing import Any

from ....circuits.errors import InputError
from ....devicemodel.card import DeviceCard
from ....devicemodel.host.readout import ReadOut
from ....devicemodel.host.refine import Refined
from ...optimizers.readings.reading import ROUNDS, TOLERANCE
from ..knobs.design_point import DesignPoint
from ..knobs.knob import Value
from ..knobs.registry import knob_named

_DEFAULTS = {"readout": ReadOut, "refined": Refined}
_STATED: dict[str, Value] = {"refined.rounds": ROUNDS, "refined.tolerance": TOLERANCE}
"""Of TNGD, which has its own."""


def figure_at(point: DesignPoint, name: str, card: DeviceCard | None = None) -> Value:
    """The knob's value at the point.

    Args:
        point: has it, or leaves it to the card or the host.
        name: of the knob.
        card: whose technology states it.

    Raises:
        InputError: neither the point, the card nor the host's defaults state it.
    """
    knob = knob_named(name)
    if knob.target in point:
        return point[knob.target]
    if knob.target in _STATED:
        return _STATED[knob.target]
    part, _, field = knob.target.partition(".")
    if part in _DEFAULTS:
        default: Value = inspect.signature(_DEFAULTS[part]).parameters[field].default
        return default
    if knob.part == "technology" and card is not None:
        record: Any = getattr(card.technology, part)
        found = None if record is None else getattr(record, field)
        return getattr(found, "value", found)
    remedy = ", or give the card" if knob.part == "technology" else ""
    raise InputError(f"{knob.target} has no value at this point: set it in the point{remedy}")
