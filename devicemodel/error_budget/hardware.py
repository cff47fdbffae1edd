"""`Hardware`: a device of a card or of a technology, and the same without some causes of error."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...circuits.errors import InputError
from ...circuits.technology.technology import Technology
from ..card import DeviceCard
from ..devices.circuit import CircuitDevice
from ..devices.spice import SpiceDevice
from ..devices.surrogate import SurrogateDevice
from .causes import CAUSES, CODES, PROGRAMMING, SETTLING, WIRES, Cause

FINEST = 24
"""Most bits that programmable conductances can have."""


@dataclass(frozen=True)
class Hardware:
    """What dies are made of, and for how long they run.

    Args:
        made_of: a card, of which surrogates are made; or a technology, which ngspice simulates.
        duration: of a run, tau; inf: to rest.
        fabric: for a technology; a card has its own.
        layout: the array with its wires, see `CircuitDevice`.

    Raises:
        InputError: neither a card nor a technology, a fabric beside a card.
    """

    made_of: DeviceCard | Technology
    duration: float
    fabric: str = "auto"
    layout: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.made_of, DeviceCard | Technology):
            raise InputError(f"made_of is a {type(self.made_of).__name__}: give a DeviceCard or a Technology")
        if isinstance(self.made_of, DeviceCard) and self.fabric not in ("auto", self.made_of.fabric):
            raise InputError(f"fabric is {self.fabric!r}, but the card is of {self.made_of.fabric!r}: leave it out")

    @property
    def technology(self) -> Technology:
        """The technology, or that of the card."""
        return self.made_of.technology if isinstance(self.made_of, DeviceCard) else self.made_of

    def causes(self) -> tuple[Cause, ...]:
        """Those of `CAUSES` that it has."""
        return tuple(cause for cause in CAUSES if self._has(cause))

    def without(self, causes: Collection[Cause]) -> Hardware:
        """The same, but for these causes."""
        found: dict[str, Any] = {"made_of": self.made_of}
        common = {name: value for cause in causes for name, value in cause.common.items()}
        if CODES in causes and PROGRAMMING not in causes and self._has(PROGRAMMING):
            # What programmed conductances err by needs some codes.
            common["resistors__bits"] = FINEST
        if isinstance(self.made_of, DeviceCard):
            changes: dict[str, Any] = {name: value for cause in causes for name, value in cause.card.items()}
            if common:
                changes["technology"] = self.technology.replace(**common)
            if changes:
                found["made_of"] = self.made_of.replace(**changes)
        else:
            common |= {name: value for cause in causes for name, value in cause.technology.items()}
            if common:
                found["made_of"] = self.technology.replace(**common)
        if SETTLING in causes:
            found["duration"] = math.inf
        return dataclasses.replace(self, **found)

    def device(self, die: int | None, seed: int = 0) -> CircuitDevice:
        """A fresh device: a die, and the seed of its noise."""
        if isinstance(self.made_of, DeviceCard):
            return SurrogateDevice(self.made_of, die, seed, layout=self.layout, extrapolate=True)
        return SpiceDevice(self.made_of, die, self.fabric, seed=seed, layout=self.layout)

    def _has(self, cause: Cause) -> bool:
        if cause is SETTLING:
            return math.isfinite(self.duration)
        if cause is WIRES and not self.layout:
            return False
        return self.without([cause]).made_of != self.made_of
