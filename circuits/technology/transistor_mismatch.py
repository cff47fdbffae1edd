"""`TransistorMismatch`: what a transistor's own deviation does to the amplifier that it is in."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def offset_deviation(transistors: Sequence[TransistorMismatch]) -> float:
    """Standard deviation of the offset that these transistors make, V."""
    by_threshold = [one.offset_by_threshold * one.threshold for one in transistors]
    return math.hypot(*by_threshold, *(one.offset_by_current_factor * one.current_factor for one in transistors))
