"""Piecewise linear waveforms of sources: (time, value) pairs."""

from __future__ import annotations

import itertools
import math
from typing import TypeAlias

from ..errors import InputError

Waveform: TypeAlias = tuple[tuple[float, float], ...]


def checked_waveform(owner: str, waveform: Waveform, start: float) -> Waveform:
    """The pairs as floats; `owner` is the source's name, `start` its dc value.

    Raises:
        InputError: not pairs of finite numbers; times that do not start at 0 s and increase; another first value than `start`.
    """
    try:
        pairs = tuple((float(time), float(value)) for time, value in waveform)
    except (TypeError, ValueError):
        raise InputError(f"{owner}: waveform = {waveform!r}: pairs of numbers (time, value) are needed") from None
    if not all(math.isfinite(number) for pair in pairs for number in pair):
        raise InputError(
            f"{owner}: waveform = {waveform!r} holds a number that is not finite; finite SI values are needed"
        )
    times = [time for time, _ in pairs]
    if times[0] != 0.0 or any(late <= early for early, late in itertools.pairwise(times)):
        raise InputError(f"{owner}: the times of its waveform must start at 0 s and increase, got {times[:6]}")
    if pairs[0][1] != start:
        raise InputError(f"{owner}: its waveform starts at {pairs[0][1]!r}, but dc = {start!r}; make them equal")
    return pairs


def waveform_text(waveform: Waveform) -> str:
    """As ngspice, LTspice and Xyce write it."""
    return f"pwl({' '.join(f'{time!r} {value + 0.0!r}' for time, value in waveform)})"
