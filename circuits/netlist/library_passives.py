"""Resistors and capacitors that a foundry's files describe: as sub-circuits or sheet models, with their own temperature law and noise.

ngspice alone knows their equations; the linear engines reject them, as they do transistors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from .model_library import LibraryModel
from .semiconductors import Device, Parameters


class LibraryPassive(Device):
    """What they share: `model` is a `LibraryModel`, and `parameters` are those that the foundry's file names."""

    __slots__ = ()
    known: ClassVar[tuple[str, ...]] = ()

    def _check_library(self, subcircuit: bool) -> None:
        if not isinstance(self.model, LibraryModel) or self.model.is_subcircuit is not subcircuit:
            form = "sub-circuit" if subcircuit else "model"
            raise InputError(f"{self.name}: model = {self.model!r}: a LibraryModel that is a {form} is needed")
        if len(self.nodes) != self.model.nodes:
            raise InputError(
                f"{self.name}: {self.model.name} has {self.model.nodes} nodes, {len(self.nodes)} are given"
            )
        self._check_device()


@dataclass(frozen=True, slots=True)
class SubcircuitResistor(LibraryPassive):
    """Resistor between `a` and `b` that a foundry's file describes as a sub-circuit; `bulk` is what lies beneath it."""

    letter: ClassVar[str] = "X"
    kinds: ClassVar[tuple[str, ...]] = ("RESISTOR",)
    name: str
    a: str
    b: str
    bulk: str
    model: LibraryModel
    parameters: Parameters = ()

    def __post_init__(self) -> None:
        self._check_library(subcircuit=True)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Both ends and the substrate."""
        return (self.a, self.b, self.bulk)

    @property
    def conducting(self) -> tuple[str, ...]:
        """Both ends; the substrate is behind a capacitance."""
        return (self.a, self.b)


@dataclass(frozen=True, slots=True)
class SheetResistor(LibraryPassive):
    """Resistor between `a` and `b` of a sheet-resistance model in a foundry's file."""

    letter: ClassVar[str] = "R"
    kinds: ClassVar[tuple[str, ...]] = ("RESISTOR",)
    name: str
    a: str
    b: str
    model: LibraryModel
    parameters: Parameters = ()

    def __post_init__(self) -> None:
        self._check_library(subcircuit=False)


@dataclass(frozen=True, slots=True)
class SubcircuitCapacitor(LibraryPassive):
    """Capacitor between `a` and `b` that a foundry's file describes as a sub-circuit."""

    letter: ClassVar[str] = "X"
    kinds: ClassVar[tuple[str, ...]] = ("CAPACITOR",)
    name: str
    a: str
    b: str
    model: LibraryModel
    parameters: Parameters = ()

    def __post_init__(self) -> None:
        self._check_library(subcircuit=True)

    @property
    def conducting(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


LIBRARY_PASSIVES: tuple[type[LibraryPassive], ...] = (SubcircuitResistor, SheetResistor, SubcircuitCapacitor)
