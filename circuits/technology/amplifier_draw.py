"""What a die draws for its amplifiers, as arrays: deviations of their transistors, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .transistor_mismatch import CAUSES, FIGURES, TransistorMismatch


@dataclass(frozen=True, eq=False)
class AmplifierDraw:
    """One amplifier's own deviations, beside its offset.

    Attributes:
        gain, gbw: A0 and gain-bandwidth product over the technology's.
        transistors: deviations of threshold (V) and of the logarithm of the current factor of each of its transistors, (K, 2), which make
            all three.
    """

    gain: float
    gbw: float
    transistors: np.ndarray


def deviations_of(transistors: Sequence[TransistorMismatch]) -> np.ndarray:
    """Standard deviations of threshold, V, and of the logarithm of the current factor, (K, 2)."""
    return np.array([[getattr(one, cause) for cause in CAUSES] for one in transistors]).reshape(-1, 2)


def slopes_of(transistors: Sequence[TransistorMismatch]) -> np.ndarray:
    """d(Vos, ln A0, ln GBW) by threshold and by logarithm of the current factor of each transistor, (3, K, 2)."""
    rows = [[[getattr(one, f"{figure}_by_{cause}") for cause in CAUSES] for one in transistors] for figure in FIGURES]
    return np.array(rows).reshape(3, -1, 2)


def offset_weights(transistors: Sequence[TransistorMismatch]) -> np.ndarray:
    """Offset that a standard deviation of each transistor's threshold and of its current factor makes, (K, 2) V."""
    return np.asarray(slopes_of(transistors)[0] * deviations_of(transistors))
