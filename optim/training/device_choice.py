"""The device of an experiment's run, as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ...circuits.errors import InputError
from ...circuits.files import checksum
from ...circuits.records import Record
from ...circuits.technology.presets import PRESETS
from ...circuits.technology.technology import Technology
from ...devicemodel.card import DeviceCard
from ...devicemodel.device import Device
from ...devicemodel.devices.ideal import IdealDevice
from ...devicemodel.devices.spice import SpiceDevice
from ...devicemodel.devices.surrogate import SurrogateDevice
from ...devicemodel.host.readout import ReadOut
from ...devicemodel.host.refine import Refined
from ...devicemodel.laboratory.card import LaboratoryCard, read_card
from ...devicemodel.shipped_cards import is_shipped

_OF = {
    "ideal": frozenset({"kappa0", "tau", "friction"}),
    "surrogate": frozenset({"card", "extrapolate", "layout", "read_out"}),
    "spice": frozenset({"technology", "fabric", "layout", "noise", "read_out"}),
}


class DeviceChoice(Record):
    """What a run's steps are solved by. Fields that do not apply to the kind are rejected.

    Raises:
        InputError: a field that is out of range, or that does not apply to the kind.
    """

    title_in_errors = "device"

    kind: Literal["ideal", "surrogate", "spice"]
    """"ideal", "surrogate" (of a card) or "spice" (ngspice)."""
    card: str | None = None
    """Of the surrogate: the file that `thermograd calibrate` wrote; "shipped:integrated", the calibrated card that comes with the package;
    or a preset's bare name, the card of its own figures, uncalibrated and without a range of validity."""
    extrapolate: bool | None = None
    """Of the surrogate: whether it goes on outside of the range that its card was calibrated for."""
    technology: str | None = None
    """Of SPICE: a preset's name, or a .toml or .json file."""
    fabric: str | None = None
    """Of SPICE: "auto", or a fabric's name."""
    noise: bool | None = None
    """Of SPICE: Johnson noise, against what the technology says."""
    layout: bool | None = None
    """Of surrogate and SPICE: the array with its wires and switches."""
    read_out: dict[str, Any] | None = None
    """Of surrogate and SPICE: arguments of `ReadOut`, such as {null_offsets = true}; None: one read."""
    kappa0: float | None = None
    """Of the ideal device: strength of its white noise, problem units squared per tau."""
    tau: float | None = None
    """Of the ideal device: time constant of a cell, s."""
    friction: float | Literal["critical"] | None = None
    """Of the ideal device: of oscillators; "critical", or a number."""
    refined: dict[str, Any] | None = None
    """Arguments of `Refined` around the device, such as {rounds = 4, method = "fcg"}; None: as the optimizer's "reading" says."""

    def model_post_init(self, _: Any) -> None:
        """Reject what does not apply to the kind."""
        given = {name for name in type(self).model_fields if getattr(self, name) is not None} - {"kind", "refined"}
        for name in sorted(given - _OF[self.kind]):
            takers = " or ".join(kind for kind, fields in _OF.items() if name in fields)
            raise InputError(
                f"device field {name} does not apply to kind {self.kind!r}; leave it out, or take {takers}"
            )
        if self.kind == "surrogate" and self.card is None:
            raise InputError(
                'device of kind "surrogate" needs a card: card = "card.json", written by `thermograd calibrate --out card.json`, '
                f'"shipped:integrated", or a preset\'s name ({", ".join(PRESETS)})'
            )
        self._refined(IdealDevice())
        self._read_out()

    def read(self, folder: Path) -> DeviceChoice:
        """The choice with paths made absolute, relative ones from a folder. InputError for a file that is missing or damaged."""
        changes: dict[str, Any] = {}
        for name in ("card", "technology"):
            value = getattr(self, name)
            if value is not None and value not in PRESETS and not is_shipped(value):
                changes[name] = str((folder / value).resolve())
        found = type(self)(**{**self.model_dump(), **changes})
        found.identity()
        return found

    def identity(self) -> dict[str, Any]:
        """All that a device of this choice depends on, as plain data."""
        plain = self.model_dump()
        if self.card is not None:
            plain["card"] = checksum(self._card())
        if self.technology is not None:
            plain["technology"] = checksum(_technology(self.technology))
        return plain

    def make(self, die: int | None, seed: int) -> Device:
        """The device.

        Args:
            die: its seed; None: nominal parts. seed: of its noise.

        Raises:
            InputError: as the device and `Refined`; a die for the ideal device.
        """
        return self._refined(self._bare(die, seed))

    def _refined(self, device: Device) -> Device:
        if self.refined is None:
            return device
        try:
            return Refined(device, **self.refined)
        except TypeError as error:
            raise InputError(f"device field refined is {self.refined}: {error}; give arguments of Refined") from None

    def _bare(self, die: int | None, seed: int) -> Device:
        if self.kind == "ideal":
            if die is not None:
                raise InputError(f"die {die} of the ideal device, which has none: leave dies out")
            given = {name: getattr(self, name) for name in ("kappa0", "tau", "friction")}
            return IdealDevice(seed=seed, **{name: value for name, value in given.items() if value is not None})
        if self.kind == "spice":
            technology = _technology(self.technology or "ideal")
            fabric = self.fabric or "auto"
            layout, read_out = bool(self.layout), self._read_out()
            return SpiceDevice(technology, die, fabric, self.noise, seed=seed, read_out=read_out, layout=layout)
        card, extrapolate = self._card(), bool(self.extrapolate)
        if isinstance(card, LaboratoryCard):
            if self.layout:
                raise InputError("device field layout does not apply to the card of a measured board; leave it out")
            return card.make_device(seed, die, self._read_out(), extrapolate=extrapolate)
        return SurrogateDevice(card, die, seed, self._read_out(), layout=bool(self.layout), extrapolate=extrapolate)

    def _read_out(self) -> ReadOut:
        try:
            return ReadOut(**(self.read_out or {}))
        except TypeError as error:
            raise InputError(f"device field read_out is {self.read_out}: {error}; give arguments of ReadOut") from None

    def _card(self) -> DeviceCard | LaboratoryCard:
        assert self.card is not None
        return DeviceCard.uncalibrated(self.card) if self.card in PRESETS else read_card(self.card)


def _technology(name: str) -> Technology:
    return PRESETS[name] if name in PRESETS else Technology.read(name)
