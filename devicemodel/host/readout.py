"""`ReadOut`: how the host reads a device: once, or several times along one run, and with or without auto-zero.

Readings of one run at t, t + h, ... are correlated, since the cells' noise is: with covariance S(t) of the voltages and the law's
propagator E(h), the mean of m of them has

    Cov = (1 / m^2) sum_kl Cov(v(t_k), v(t_l)) + (noise of one conversion)^2 / m,       Cov(v(t_l), v(t_k)) = E(t_l - t_k) S(t_k), l >= k,

so that averaging over less than the slowest time constant helps against the converter and hardly against the circuit.

Auto-zero reads a second run, of the same length, drive inputs switched to ground and nothing in the cells at first, and subtracts it:
what amplifiers and ADC add of themselves is in both and falls out, but for the ADC's gain and nonlinearity; the DAC's own offset stays.
Both readings have noise of their own, so that its power is doubled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...circuits.errors import InputError


@dataclass(frozen=True)
class ReadOut:
    """Reads of one run, and whether a run without drive is subtracted.

    Args:
        reads: conversions of each cell that are averaged; the first one at the end of the run.
        interval: from one to the next, tau, in which the circuit runs on. 0: conversions of one held voltage.
        auto_zero: subtract a reading without drive. It takes a run of its own.
        null_offsets: find a bias drive for each program from readings at b = 0, and add it to every drive (`offset_nulling`). It takes
            some runs and as many products with A, once for a program, and again for longer runs than it was found with (of oscillators for
            runs of another length). Not with auto_zero, whose run has the drive inputs at ground.

    Raises:
        InputError: an argument of another type; auto_zero with null_offsets; fewer than one read; an interval that is negative or not
            finite, or between the reads of one that is alone.
    """

    reads: int = 1
    interval: float = 0.0
    auto_zero: bool = False
    null_offsets: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.reads, int) or isinstance(self.reads, bool) or self.reads < 1:
            raise InputError(f"reads is {self.reads!r}: give an integer >= 1")
        for name, value in (("auto_zero", self.auto_zero), ("null_offsets", self.null_offsets)):
            if not isinstance(value, bool):
                raise InputError(f"{name} is {value!r}: give True or False")
        number = isinstance(self.interval, int | float) and not isinstance(self.interval, bool)
        if not (number and math.isfinite(self.interval) and self.interval >= 0):
            raise InputError(f"interval is {self.interval!r}: give finite tau >= 0 between reads")
        if self.interval > 0 and self.reads == 1:
            raise InputError(f"interval is {self.interval} with a single read: give reads >= 2, or no interval")
        if self.auto_zero and self.null_offsets:
            raise InputError("auto_zero reads without the bias that null_offsets drives with: give one of them")

    def spans(self, duration: float) -> tuple[float, ...]:
        """Times between readings, tau: that up to the first one, `duration`, and those from each to the next."""
        return (duration, *[self.interval] * (self.reads - 1))
