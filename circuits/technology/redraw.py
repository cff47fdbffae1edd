"""`Redraw`: deviates of a die's parts that are drawn anew on each occasion, at a programming or for a run, and not once for the die."""

from __future__ import annotations

import numpy as np

from .die import STREAMS
from .hashed import hashed_deviates


class Redraw:
    """One occasion of one die.

    A part's deviate depends on its place, the die, the occasion's number and the noise seed, and on nothing that happened before: the same
    in SPICE, surrogate and batch, and after a resumed run.

    Args:
        seed: of the device's noise. die: seed of the die; None, nominal parts, counts as 0, as for all noise.
        number: of the occasion, from 0. series: of occasions that are counted by themselves, 0: the device's own.
    """

    def __init__(self, seed: int, die: int | None, number: int, series: int = 0) -> None:
        self._key = (int(seed), int(die or 0), int(number), int(series))

    def deviates_of(self, part: str, channel: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Standard normal deviates of the numbered elements of channels; see `Die.deviates_of`."""
        key = np.random.SeedSequence([STREAMS[part], *self._key]).generate_state(1, np.uint64)[0]
        return hashed_deviates(key, channel, number)
