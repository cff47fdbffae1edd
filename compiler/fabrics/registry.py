"""The fabrics: one file for each kind of circuit that a matrix can become."""

from __future__ import annotations

from ...circuits.errors import InputError
from .base import Fabric
from .cascade import Factored
from .crossbar import Crossbar
from .dual_rail import DualRail
from .lc import LC
from .rc import RC
from .spu import SPU

FABRICS: dict[str, Fabric] = {
    fabric.name: fabric for fabric in (RC(), DualRail(), Crossbar(2), Crossbar(1), Factored(), LC(), SPU())
}
"""By name, in the order in which `auto` prefers those that fit."""
AUTOMATIC = ("rc", "dual_rail", "crossbar")
"""What `auto` chooses from: fabrics whose node voltages at rest are the solution, and which device models know."""


def fabric_named(name: str) -> Fabric:
    """The fabric of that name; `InputError` lists the ones there are."""
    try:
        return FABRICS[name]
    except (KeyError, TypeError):
        raise InputError(f"fabric {name!r} is unknown; there are: auto, {', '.join(FABRICS)}") from None
