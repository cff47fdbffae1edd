"""The calibrated cards that come with the package, one for each preset, for machines without ngspice.

`make cards` (`python -m tools.cards`) calibrates each preset with the defaults of `calibrate` and writes the card, with held-out figures
and provenance, into `cards/`. Such a card is named `shipped:integrated` wherever a card's file can be named; the bare name of a preset
means something else there, the technology's own figures (`DeviceCard.uncalibrated`), as experiments that were recorded have it.
"""

from __future__ import annotations

from pathlib import Path

from ..circuits.errors import InputError

FOLDER = Path(__file__).parent / "cards"
"""The shipped cards."""
SCHEME = "shipped:"
"""What the name of a shipped card begins with, where a file can be named as well."""


def shipped_names() -> tuple[str, ...]:
    """The presets that have a shipped card."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def is_shipped(name: str | Path) -> bool:
    """Whether it names a shipped card, and no file."""
    return str(name).startswith(SCHEME)


def card_file(name: str | Path) -> Path:
    """The file of a card: that of a shipped one for `shipped:NAME`, else the path as it is.

    Raises:
        InputError: no card of that name is shipped.
    """
    if not is_shipped(name):
        return Path(name)
    preset = str(name).removeprefix(SCHEME)
    if preset not in (known := shipped_names()):
        listed = ", ".join(SCHEME + one for one in known)
        raise InputError(
            f"no card {str(name)!r} is shipped; there are: {listed}. Calibrate others: `thermograd calibrate`"
        )
    return FOLDER / f"{preset}.json"
