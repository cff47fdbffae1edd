"""`CalibratedRange`: a run that the card was not calibrated for raises, or is answered with the outcome EXTRAPOLATED."""

from __future__ import annotations

from dataclasses import dataclass

from ...circuits.errors import InputError
from ..card import DeviceCard
from ..device import Outcome

SHOWN = 3
"""Violations that an error message names."""


@dataclass(frozen=True)
class CalibratedRange:
    """The range of validity of a card.

    Args:
        card: None for a device without one, which answers always.
        extrapolate: True: answer outside of the range, too.
        remedy: what else can be done, the end of a sentence that begins with a verb.

    Raises:
        InputError: a card that is no `DeviceCard`.
    """

    card: DeviceCard | None = None
    extrapolate: bool = False
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.card is not None and not isinstance(self.card, DeviceCard):
            raise InputError(f"card is {self.card!r}: give a DeviceCard, from calibrate(...) or DeviceCard.read(path)")

    def check(self, violations: tuple[str, ...]) -> None:
        """InputError that names the violations, unless there are none or extrapolation is allowed."""
        if violations and not self.extrapolate:
            more = f"; and {len(violations) - SHOWN} more" if len(violations) > SHOWN else ""
            raise InputError(
                f"outside of what this card was calibrated for: {'; '.join(violations[:SHOWN])}{more}. {self.remedy}, or pass "
                "extrapolate=True (--extrapolate on the command line)"
            )

    def of_level(self, volts: float) -> tuple[str, ...]:
        """Violations by a run whose largest voltage was `volts`."""
        return () if self.card is None else self.card.validity.violations_by_level(volts)


def outcome_of(violations: tuple[str, ...]) -> Outcome:
    """Of a reading within the device's range."""
    return Outcome.EXTRAPOLATED if violations else Outcome.OK
