"""`Pelgrom`: the law of matched transistors.

Two transistors of drawn width W and length L, side by side, differ in threshold voltage and in the logarithm of their current factor
beta = mu C_ox W / L with the standard deviations

    A_VT / sqrt(W_eff L_eff m),     A_beta / sqrt(W_eff L_eff m),     W_eff = W + width_offset,  L_eff = L + length_offset,

m being the number of such transistors in parallel (M. J. M. Pelgrom, A. C. J. Duinmaijer, A. P. G. Welbers, IEEE JSSC 24:1433, 1989).
Half of either variance is each one's own.
"""

from __future__ import annotations

import math

from pydantic import Field

from ...errors import InputError
from ...records import Record


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
