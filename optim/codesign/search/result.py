"""`CodesignResult`: what a search came to, as plain data for its file and the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....circuits.errors import InputError
from ....circuits.files import write_text
from ....circuits.technology.technology import Technology
from ..knobs.design_point import DesignPoint

FORMAT = 1
FILE, TECHNOLOGY, CARD, PROTOCOL = "codesign.json", "winner.toml", "winner-card.json", "winner.json"
"""Names of the files in a search's folder."""


@dataclass(frozen=True)
class CodesignResult:
    """What a search came to. Times and energies are of a whole training by the cost model; see `docs/codesign.md` for the file's fields.

    Attributes:
        data: as the file `codesign.json` has it.
    """

    data: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a number that JSON has not is null."""
        found: dict[str, Any] = _plain(self.data)
        return found

    def write(self, path: str | Path) -> None:
        """As JSON; the file appears whole or not at all."""
        write_text(Path(path), json.dumps(self.to_dict(), indent=1, allow_nan=False))

    @classmethod
    def read(cls, path: str | Path) -> CodesignResult:
        """What `write` wrote. InputError for another file."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"codesign result {str(path)!r} cannot be read: {error}; give a file codesign.json"
            ) from None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InputError(
                f"codesign result {str(path)!r} is not of format {FORMAT}: give a codesign.json, or search again"
            )
        return cls(data)

    @property
    def designs(self) -> Sequence[Mapping[str, Any]]:
        """All that were looked at, in order."""
        found: Sequence[Mapping[str, Any]] = self.data["designs"]
        return found

    @property
    def front(self) -> list[Mapping[str, Any]]:
        """Designs that meet the target, and that no other one of these dominates."""
        return [one for one in self.designs if one["front"]]

    @property
    def winner(self) -> Mapping[str, Any] | None:
        """The cheapest one that was confirmed; None: there is none."""
        return next((one for one in self.designs if one["number"] == self.data["winner"]), None)

    @property
    def hypervolume(self) -> float:
        """Of the front, in decades of each cost; nan where the costs are not known."""
        found = self.data["history"][-1]["hypervolume"] if self.data["history"] else math.nan
        return math.nan if found is None else float(found)

    def technology(self, base: Technology) -> Technology:
        """The winner's, of the technology that was searched from. InputError without a winner."""
        if self.winner is None:
            raise InputError(
                f"no design met {self.data['target']} on further dies and seeds: search wider, or ask for less"
            )
        return DesignPoint(self.winner["point"]).technology_at(base)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
