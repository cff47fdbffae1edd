"""`Probe`: what an oscilloscope at the board would see of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .auto_range import TARGET
from .host import Run


@dataclass(frozen=True)
class Probe:
    """A run as an oscilloscope at the board would see it.

    Attributes:
        requested, driven: drive voltages before and after the DAC, (n,) V.
        start: voltages that the run started from, (kept,) V, see `Board.kept`: the cells' own first.
        settled, read: differential node voltages when they were read, and as the ADC gave them, (n,) V; where several samples were read,
            their means.
        duration: of the run up to the first sample, tau.
        adc_gain: setting of the amplifier before the ADC, at the first sample.
        zero: what the run without drive read, (n,) V; None without auto-zero.
        drive_range: of the input resistors, from 0: unit, 2 unit, ...
        used: the largest share of its range, load included, that an amplifier or a cell used.
    """

    requested: np.ndarray
    driven: np.ndarray
    start: np.ndarray
    settled: np.ndarray
    read: np.ndarray
    duration: float
    adc_gain: float
    zero: np.ndarray | None = None
    drive_range: int = 0
    used: float = 0.0

    @classmethod
    def of(cls, run: Run, duration: float) -> Probe:
        """The last attempt of a run that was read."""
        trial = run.trial
        assert trial is not None
        seen = trial.readings
        settled, gain = seen.held.mean(axis=0), seen.samples[0].gain
        return cls(
            trial.requested,
            trial.driven,
            trial.start,
            settled,
            seen.mean,
            duration,
            gain,
            run.zero,
            trial.drive_range,
            TARGET / seen.room,
        )
