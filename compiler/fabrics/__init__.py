"""The fabrics: one file for each kind of circuit that a matrix can become."""

from __future__ import annotations

from ...circuits.errors import InputError
from .base import Fabric
from .crossbar import Crossbar
from .dual_rail import DualRail

FABRICS: dict[str, Fabric] = {fabric.name: fabric for fabric in (DualRail(), Crossbar())}


def fabric_named(name: str) -> Fabric:
    """The fabric of that name; `InputError` lists the ones there are."""
    try:
        return FABRICS[name]
    except (KeyError, TypeError):
        raise InputError(f"fabric {name!r} is unknown; there are: auto, {', '.join(FABRICS)}") from None
