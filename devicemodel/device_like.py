"""`as_device`: a device out of what stands for one, such as a card; anything else is rejected at once, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ..circuits.errors import InputError
from .device import Device


@runtime_checkable
class DeviceLike(Protocol):
    """What a device can be made of: `DeviceCard`, `LaboratoryCard`."""

    def make_device(self, seed: int = 0) -> Device:
        """A device, with noise of a seed."""
        ...


def as_device(thing: Any, seed: int = 0, name: str = "device") -> Device:
    """A device of a card; a device itself is returned as it is.

    Args:
        thing: a device; a `DeviceCard`, whose parts are nominal; or a `LaboratoryCard`, whose parts are those that were measured.
        seed: of the noise of a device that is made.
        name: of the argument, for errors.

    Raises:
        InputError: anything else, such as a `CircuitCalibration` without its board, a path, or a class; with what to give instead.
    """
    if isinstance(thing, type):
        raise InputError(
            f"{name} is {thing.__name__}, a class: give a device, such as IdealDevice() or SurrogateDevice(card)"
        )
    if isinstance(thing, Device):
        return thing
    if isinstance(thing, DeviceLike):
        return thing.make_device(seed)
    if remedy := getattr(type(thing), "remedy_as_device", ""):
        raise InputError(f"{name} is a {type(thing).__name__}: {remedy}")
    if isinstance(thing, str | Path):
        raise InputError(f"{name} is {str(thing)!r}, a path: give a device, or a card: read_card({str(thing)!r})")
    raise InputError(
        f"{name} is {thing!r:.200}: give a device, such as IdealDevice() or SurrogateDevice(card), or a card, such as read_card(path)"
    )
