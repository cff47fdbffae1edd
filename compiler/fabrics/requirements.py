"""What a fabric asks of a technology's parts, whatever the matrix: outputs of the amplifiers, resistors at a crosspoint."""

from __future__ import annotations

from typing import NamedTuple

from ...circuits.errors import UnrealisableError
from ...circuits.technology.technology import Technology
from .base import Fabric
from .registry import fabric_named, fabric_names

_NUMBERS = {1: "one", 2: "two"}


class Unmet(NamedTuple):
    """A requirement that the technology does not meet, as the end of a sentence about the fabric, and what in the technology would."""

    what: str
    change: str


def unmet(fabric: Fabric, technology: Technology) -> Unmet | None:
    """The requirement of this fabric that the technology does not meet; None: it can be built."""
    if fabric.outputs > technology.opamp.outputs:
        needs, has = _NUMBERS[fabric.outputs], _NUMBERS[technology.opamp.outputs]
        return Unmet(
            f"its amplifiers need {needs} outputs, and technology {technology.name}'s have {has}",
            f"set opamp.outputs to {fabric.outputs} for a fully differential amplifier",
        )
    if technology.resistors.slices > 1 and not fabric.has_slices:
        return Unmet("it has one slice", "set resistors.slices to 1")
    return None


def require_buildable(fabric: Fabric, technology: Technology) -> None:
    """Raise UnrealisableError, with the remedy, if the technology does not meet a requirement of the fabric."""
    if (problem := unmet(fabric, technology)) is None:
        return
    alike = [each for each in map(fabric_named, fabric_names()) if each.active == fabric.active]
    use = " or ".join(repr(each.name) for each in alike if unmet(each, technology) is None)
    raise UnrealisableError(
        f"fabric {fabric.name} cannot be built: {problem.what}; {problem.change}{use and f', or use fabric={use}'}"
    )


def array_for(technology: Technology) -> str:
    """Name of the array that holds any positive definite matrix in this technology: the first automatic fabric with amplifiers.

    Where none can be built it is the first of all, whose own error says what the technology lacks.
    """
    arrays = [fabric for fabric in map(fabric_named, fabric_names("automatic")) if fabric.active]
    return next((fabric for fabric in arrays if unmet(fabric, technology) is None), arrays[0]).name
