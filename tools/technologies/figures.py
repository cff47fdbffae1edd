"""`Figures`: figures of a record as they are collected, each with its source."""

from __future__ import annotations

from typing import Any

from thermograd.circuits.technology.provenance import Kind
from thermograd.circuits.technology.technology_record import Figure, Source


class Figures:
    """Figures as they are collected, each with its source."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.figures: dict[str, dict[str, Figure]] = {}

    def add(self, part: str, source: str, kind: Kind, what: str, command: str = "", **values: Any) -> None:
        """Values of fields of a part, which are from that source; fields at None are left out."""
        self.sources[source] = Source(kind=kind, what=what, command=command)
        named = {name: Figure(value=value, source=source) for name, value in values.items() if value is not None}
        self.figures.setdefault(part, {}).update(named)
