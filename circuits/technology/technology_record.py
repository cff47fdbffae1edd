"""`TechnologyRecord`: a technology whose every figure says where it is from, as the presets made from a foundry's models are kept.

A file of it is TOML: what was asked for (`process`, `pdk`, `simulator`, `command`), the `sources`, and the figures by part and field,

    [sources.amplifier]
    kind = "simulated"
    what = "examples/amplifiers/gf180mcu.cir, tt, 300.15 K, 30 kohm at each output"
    command = "thermograd characterise examples/amplifiers/gf180mcu.cir ..."

    [opamp]
    gain = { value = 3456.0, source = "amplifier" }

A figure that a file lacks has `Technology`'s default, that of a perfect part. Reading takes numbers and words from the file; it needs no
PDK.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator

from ..errors import InputError
from ..files import first_problem, read_text, write_text
from ..records import Record
from .provenance import Kind
from .technology import Technology

FOLDER = Path(__file__).parent / "foundries"
"""The shipped records."""


class Source(Record):
    """Where figures come from."""

    kind: Kind
    what: str = Field(min_length=10)
    """The file and the conditions, or the publication, in words."""
    command: str = ""
    """What finds them again, to be typed at the root of the repository."""

    @model_validator(mode="after")
    def _can_be_repeated(self) -> Self:
        if self.kind == "simulated" and not self.command:
            raise ValueError("what a simulator found needs the command that finds it again: set command, too")
        return self


class Figure(Record):
    """One figure of a technology."""

    value: bool | int | float | str | list[dict[str, int | float | str]]
    """In the SI unit of its field; of a list of records, such as an amplifier's transistors, their fields."""
    source: str
    """Its name in `sources`."""


class TechnologyRecord(Record):
    """A technology, figure by figure.

    Raises `InputError` on construction when a figure is none of a `Technology`, or out of its range, or has no source.
    """

    title_in_errors: ClassVar[str] = "technology record"

    format: Literal[1] = 1
    name: str
    """The preset's."""
    process: str
    """The foundry's process, as `circuits.technology.pdk` calls it."""
    pdk: str
    """Package and version that the models are from."""
    simulator: str
    """Its name and version."""
    command: str
    """What made the record."""
    summary: str = Field(min_length=20)
    """The technology's `source`, in a sentence."""
    sources: dict[str, Source]
    figures: dict[str, dict[str, Figure]]
    """By part and field of a `Technology`."""

    @model_validator(mode="after")
    def _each_figure_has_a_source(self) -> Self:
        used = set()
        for part, field, figure in self._each():
            if figure.source not in self.sources:
                known = ", ".join(self.sources)
                raise ValueError(f"{part}.{field} is from {figure.source!r}, which is no source; there are: {known}")
            used.add(figure.source)
        if idle := [name for name in self.sources if name not in used]:
            raise ValueError(f"no figure is from the source {idle[0]!r}: remove it")
        self.technology()
        return self

    def _each(self) -> Iterator[tuple[str, str, Figure]]:
        for part, fields in self.figures.items():
            for field, figure in fields.items():
                yield part, field, figure

    def technology(self) -> Technology:
        """The technology of these figures."""
        parts: dict[str, Any] = {}
        for part, field, figure in self._each():
            value: Any = figure.value
            source = self.sources[figure.source]
            if part == "area" and not isinstance(value, str):
                value = {"value": value, "kind": source.kind, "source": source.what}
            parts.setdefault(part, {})[field] = value
        return Technology(name=self.name, source=self.summary, **parts)

    def rows(self) -> list[tuple[str, Any, Kind, str]]:
        """(figure, value, kind, source in words) of each figure, in the file's order."""
        found = []
        for part, field, figure in self._each():
            source, value = self.sources[figure.source], figure.value
            shown = f"{len(value)} records" if isinstance(value, list) else value
            found.append((f"{part}.{field}", shown, source.kind, source.what))
        return found

    @classmethod
    def read(cls, path: str | Path) -> TechnologyRecord:
        """Read a file that `write` made.

        Raises:
            InputError: missing, not TOML, or as for the class.
        """
        try:
            data = tomllib.loads(read_text(Path(path)))
        except OSError as error:
            raise InputError(f"technology record {str(path)!r} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"technology record {str(path)!r} is not valid TOML: {error}") from None
        head = {name: data.pop(name) for name in (*cls.model_fields,) if name in data}
        try:
            return cls.model_validate({**head, "figures": data})
        except ValidationError as error:
            raise InputError(f"technology record {str(path)!r}: {first_problem(error)}") from None

    def write(self, path: str | Path) -> None:
        """Write TOML, a line for each figure; the file appears whole or not at all."""
        write_text(Path(path), self.to_toml())

    def to_toml(self) -> str:
        """This record as TOML text, a line for each figure."""
        lines = [f"# Written by `{self.command}`; docs/silicon.md says how."]
        head = ("format", "name", "process", "pdk", "simulator", "command", "summary")
        lines += [f"{name} = {_literal(getattr(self, name))}" for name in head]
        for name, source in self.sources.items():
            lines += ["", f"[sources.{name}]"]
            lines += [f"{key} = {_literal(value)}" for key, value in source.model_dump().items() if value]
        for part, fields in self.figures.items():
            lines += ["", f"[{part}]"]
            for field, figure in fields.items():
                lines.append(f"{field} = {{ value = {_literal(figure.value)}, source = {_literal(figure.source)} }}")
        return "\n".join([*lines, ""])


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_literal(one)}' for name, one in value.items())} }}"
    if isinstance(value, list):
        return "[\n" + "".join(f"    {_literal(one)},\n" for one in value) + "]"
    return repr(value)


def shipped_records() -> dict[str, TechnologyRecord]:
    """The records of the presets that were made from foundries' models, by name."""
    found = [TechnologyRecord.read(path) for path in sorted(FOLDER.glob("*.toml"))]
    return {record.name: record for record in found}
