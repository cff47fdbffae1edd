"""Pelgrom's law of matched transistors, and what a transistor's deviation does to the amplifier that it is in.

Two transistors of drawn width W and length L, side by side, differ in threshold voltage and in the logarithm of their current factor
beta = mu C_ox W / L with the standard deviations

    A_VT / sqrt(W_eff L_eff m),     A_beta / sqrt(W_eff L_eff m),     W_eff = W + width_offset,  L_eff = L + length_offset,

m being the number of such transistors in parallel (M. J. M. Pelgrom, A. C. J. Duinmaijer, A. P. G. Welbers, IEEE JSSC 24:1433, 1989).
Half of either variance is each one's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field

from ..errors import InputError
from ..records import Record


class Pelgrom(Record):
    """The coefficients of one kind of transistor, as published: for the difference of a pair."""

    threshold: float = Field(gt=0, le=1e-6)
    """A_VT, V m: 5e-9 is 5 mV um."""
    beta: float = Field(default=0.0, ge=0, le=1e-6)
    """A_beta, m: 1e-8 is 1 % um."""
    width_offset: float = Field(default=0.0, ge=-1e-5, le=1e-5)
    """What the effective width has beyond the drawn one, m."""
    length_offset: float = Field(default=0.0, ge=-1e-5, le=1e-5)
    """What the effective length has beyond the drawn one, m."""
    source: str = ""
    """Where the coefficients come from."""

    def deviations(self, width: float, length: float, count: float = 1.0) -> tuple[float, float]:
        """Standard deviations of one transistor's threshold (V) and of ln(beta).

        Args:
            width, length: as drawn, m; the width of one finger times their number. count: of transistors in parallel.

        Raises:
            InputError: an effective width or length that is not positive.
        """
        effective = width + self.width_offset, length + self.length_offset
        if not (min(effective) > 0 and count > 0):
            raise InputError(
                f"a transistor of {width:g} m by {length:g} m, {count:g} in parallel, has an effective width of {effective[0]:g} m and "
                f"length of {effective[1]:g} m: all must be > 0"
            )
        root = math.sqrt(2 * effective[0] * effective[1] * count)
        return self.threshold / root, self.beta / root


class TransistorMismatch(Record):
    """One transistor of an amplifier: how its own threshold and current factor scatter, and what of the amplifier follows them.

    With independent standard normal z_v and z_b of each transistor k,

        Vos = sum_k (offset_by_threshold dV + offset_by_beta dlnb),      dV = threshold z_v,  dlnb = beta z_b,

    and likewise ln(A0) and ln(GBW) about the nominal amplifier's (`circuits.amplifiers.sensitivities` measures them).
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")
    """Its name in the amplifier's netlist."""
    threshold: float = Field(ge=0, le=0.5)
    """Standard deviation of its threshold voltage, V."""
    beta: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation of the logarithm of its current factor."""
    offset_by_threshold: float = 0.0
    """dVos / dV."""
    offset_by_beta: float = 0.0
    """dVos / dlnb, V."""
    gain_by_threshold: float = 0.0
    """dln(A0) / dV, 1/V."""
    gain_by_beta: float = 0.0
    """dln(A0) / dlnb."""
    gbw_by_threshold: float = 0.0
    """dln(GBW) / dV, 1/V."""
    gbw_by_beta: float = 0.0
    """dln(GBW) / dlnb."""


def offset_weights(transistors: Sequence[TransistorMismatch]) -> list[float]:
    """Offset that a standard deviation of each transistor's threshold makes, then of each one's current factor, (2 K) V."""
    by_threshold = [one.offset_by_threshold * one.threshold for one in transistors]
    return by_threshold + [one.offset_by_beta * one.beta for one in transistors]
