"""`TransistorMismatch`: what a transistor's own deviation does to the amplifier that it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from ..records import Record

FIGURES = ("offset", "gain", "gbw")
CAUSES = ("threshold", "current_factor")


class TransistorMismatch(Record):
    """One transistor of an amplifier: how its own threshold and current factor scatter, and what of the amplifier follows them.

    With independent standard normal z_v and z_b of each transistor k,

        Vos = sum_k (offset_by_threshold dV + offset_by_current_factor dlnb),      dV = threshold z_v,  dlnb = current_factor z_b,

    and likewise ln(A0) and ln(GBW) about the nominal amplifier's (`circuits.amplifiers.sensitivities` measures them).
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")
    """Its name in the amplifier's netlist."""
    threshold: float = Field(ge=0, le=0.5)
    """Standard deviation of its threshold voltage, V; a positive deviation makes it larger in magnitude."""
    current_factor: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation of the logarithm of its current factor mu C_ox W / L."""
    offset_by_threshold: float = 0.0
    """dVos / dV."""
    offset_by_current_factor: float = 0.0
    """dVos / dlnb, V."""
    gain_by_threshold: float = 0.0
    """dln(A0) / dV, 1/V."""
    gain_by_current_factor: float = 0.0
    """dln(A0) / dlnb."""
    gbw_by_threshold: float = 0.0
    """dln(GBW) / dV, 1/V."""
    gbw_by_current_factor: float = 0.0
    """dln(GBW) / dlnb."""


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
