"""The fabrics by name: what `fabric="auto"`, the devices, the command line and the error messages choose from.

A new fabric is one file with a `Fabric` and one line here. One that lives outside of this package is added by `register_fabric`, in every
process that compiles for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from ...circuits.errors import InputError
from .base import Fabric
from .cascade import Factored
from .crossbar import Crossbar
from .dual_rail import DualRail
from .lc import LC
from .oscillator import Oscillator
from .rc import RC
from .spu import SPU

Trait = Literal[
    "automatic",
    "has_device_model",
    "has_linear_law",
    "can_calibrate",
    "has_dies",
    "has_layout",
    "has_slices",
    "takes_factors",
    "active",
    "symmetric",
    "mean",
    "covariance",
]
"""The yes-or-no attributes of a `Fabric`."""

_FABRICS: dict[str, Fabric] = {
    fabric.name: fabric
    for fabric in (RC(), DualRail(), Crossbar(2), Crossbar(1), Factored(), LC(), SPU(), Oscillator())
}
_RESERVED = "auto"


def fabric_named(name: str) -> Fabric:
    """The fabric of that name.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    try:
        return _FABRICS[name]
    except (KeyError, TypeError):
        what = (
            f"{name!r} is unknown" if isinstance(name, str) else f"is a {type(name).__name__}, and its name is needed"
        )
        raise InputError(f"fabric {what}; there are: auto, {', '.join(_FABRICS)}") from None


def fabric_names(trait: Trait | None = None) -> tuple[str, ...]:
    """Names of all fabrics, or of those that have this trait: `fabric_names("has_layout")`.

    They are in the order of registration, which is the order in which `fabric="auto"` tries those that are `automatic`.
    """
    return tuple(name for name, fabric in _FABRICS.items() if trait is None or getattr(fabric, trait))


def register_fabric(fabric: Fabric) -> None:
    """Add a fabric, after those that are there.

    Raises:
        InputError: its name is empty, "auto" or taken.
    """
    if not fabric.name or fabric.name == _RESERVED or fabric.name in _FABRICS:
        raise InputError(
            f"a fabric cannot be named {fabric.name!r}: taken are auto, {', '.join(_FABRICS)}; choose another name"
        )
    _FABRICS[fabric.name] = fabric


@contextmanager
def registered_fabric(fabric: Fabric) -> Iterator[Fabric]:
    """`register_fabric` for the length of a `with` block."""
    register_fabric(fabric)
    try:
        yield fabric
    finally:
        del _FABRICS[fabric.name]
