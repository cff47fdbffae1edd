"""What kind of card a file holds, by its contents; so that a file of another kind is named and not called damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..circuits.errors import InputError
from ..circuits.files import parse_json, read_text
from .shipped_cards import card_file

CardKind = Literal["device", "laboratory", "calibration"]
_FIELDS: dict[CardKind, frozenset[str]] = {
    "laboratory": frozenset({"calibration", "board"}),
    "calibration": frozenset({"verdict", "netlist_sha256"}),
    "device": frozenset({"technology", "fabric", "noise_power"}),
}
_NAMES: dict[CardKind, str] = {
    "device": "a device card, of a technology: DeviceCard.read(path), or read_card(path)",
    "laboratory": "a laboratory card, of a measured board: LaboratoryCard.read(path), or read_card(path)",
    "calibration": "a circuit calibration: fitted values without the board that they belong to. Make a card of it: "
    "LaboratoryCard.fixed(CircuitCalibration.read(path), netlist, inputs=..., outputs=...), or LaboratoryCard.programmed(..., program)",
}


def card_kind(path: str | Path) -> CardKind | None:
    """The kind of card in a file; None: none that is known, or no file that can be read."""
    try:
        data = parse_json(read_text(card_file(path)))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    return next((kind for kind, fields in _FIELDS.items() if fields <= set(data)), None)


def require_kind(path: str | Path, kind: CardKind) -> None:
    """InputError for a file that holds a card of another kind, which it names; a damaged file is left to its reader."""
    if (found := card_kind(path)) not in (None, kind):
        assert found is not None
        raise InputError(f"{str(path)!r} is {_NAMES[found]}")
