"""`MeasuredSpan`: the times, voltages and temperature that a board was measured at, which bound what its card is valid for."""

from __future__ import annotations

import math
from typing import Self

from pydantic import Field

from ...circuits.records import Record
from ..calibration.measured.result import DataRange
from ..estimate import Number

SLACK = 1e-6
"""Share of a bound by which it may be passed: rounding."""
SETTLED = 5.0
"""Slowest time constants after which all but a hundredth of a start is gone, so that what was measured shows the board at rest."""


class MeasuredSpan(Record):
    """What a board was measured at. A bound that is none was not measured, and is not looked at."""

    shortest: Number | None = Field(default=None, ge=0)
    """Shortest time that was resolved, s: 1 / (2 pi f) of the highest frequency, or the first instant of a trace."""
    longest: Number | None = Field(default=None, gt=0)
    """Longest time that was followed, s: 1 / (2 pi f) of the lowest frequency, or the last instant of a trace; inf: up to rest."""
    volts: Number | None = Field(default=None, gt=0)
    """Largest voltage of a trace, V; none where noise alone was measured, which does not show whether a driven board is linear."""
    temperature: Number = Field(gt=0)
    """Temperature of the board, K."""

    @classmethod
    def of(cls, data: DataRange, slowest: float) -> Self:
        """Of fitted data, of a board whose slowest time constant is `slowest`, s."""
        shortest, longest = [], []
        if data.frequency_hz is not None:
            low, high = data.frequency_hz
            shortest.append(1 / (2 * math.pi * high))
            longest.append(1 / (2 * math.pi * low) if low > 0 else math.inf)
        if data.time_s is not None:
            shortest.append(data.time_s[0])
            longest.append(data.time_s[1])
        last = max(longest, default=0.0)
        volts = data.volts[1] if data.volts is not None else 0.0
        return cls(
            shortest=min(shortest, default=None),
            longest=(math.inf if last >= SETTLED * slowest else last) or None,
            volts=volts or None,
            temperature=data.temperature,
        )

    def violations_by_time(self, seconds: float) -> tuple[str, ...]:
        """A sentence if a run of so many seconds, > 0, is shorter or longer than what was measured."""
        if self.longest is not None and seconds > self.longest * (1 + SLACK):
            return (f"a run of {seconds:.4g} s, and the board was followed for at most {self.longest:.4g} s",)
        if self.shortest is not None and 0 < seconds < self.shortest * (1 - SLACK):
            return (f"a run of {seconds:.4g} s, and the board was measured from {self.shortest:.4g} s on",)
        return ()

    def violations_by_level(self, volts: float) -> tuple[str, ...]:
        """A sentence if voltages are larger than those that were measured."""
        if self.volts is None or volts <= self.volts * (1 + SLACK):
            return ()
        return (f"voltages of {volts:.4g} V, and the board was measured at no more than {self.volts:.4g} V",)

    def summary(self) -> list[tuple[str, str]]:
        """Rows (name, value) of a printed summary."""
        ends = [
            "" if self.shortest is None else f"from {self.shortest:.3g} s",
            "" if self.longest is None else "up to rest" if math.isinf(self.longest) else f"up to {self.longest:.3g} s",
        ]
        level = (
            "noise alone was measured: whether it is linear when driven is not known"
            if self.volts is None
            else f"up to {self.volts:.3g} V"
        )
        return [
            ("valid for runs", " ".join(end for end in ends if end) or "of any length: no times were measured"),
            ("valid for voltages", level),
            ("measured at", f"{self.temperature:.1f} K"),
        ]
