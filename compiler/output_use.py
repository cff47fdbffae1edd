"""`OutputUse`: what the outputs of a program's amplifiers carry, for reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OutputUse:
    """What the outputs of amplifiers carry at the program's signal level (`passes.signal_level.output_use`).

    Attributes:
        current: largest, A, at rest or on the way. volts: of that output, V.
        share: largest of an amplifier's range that is used, by voltage, current and output resistance (`output_stage.share_of_limits`).
        current_limit: of the amplifiers, A; None: the technology states none.
        level_limit: what sets the signal level.
    """

    current: float
    volts: float
    share: float
    current_limit: float | None
    level_limit: str

    def __str__(self) -> str:
        of = "of any: the technology states no opamp.output_current"
        if self.current_limit is not None:
            of = f"of {self.current_limit:.3g} A"
        text = (
            f"{self.current:.3g} A {of}, into {self.volts / self.current:.4g} ohm at {self.volts:.3g} V"
            if self.current
            else "none"
        )
        return f"{text}; {100 * self.share:.3g} % of the range used; the signal level is set by {self.level_limit}"
