"""Codes of crosspoints of one or two slices: the first one nearest to what is wanted, the second one to what is still lacking.

With b bits and codes up to 1/unit, the first slice leaves at most half of a step, 1 / (2 unit (2^b - 1)), and the second one, of unit
2^b unit, reaches over twice as much. What it leaves is half of its own step, 2^b times less. That is so of conductances that are
what was programmed. A crosspoint that holds f times the nominal value of its code, with a mismatch of 1 %, is wrong by far more than a
step of the second slice, and codes that know nothing of f gain nothing by it. Where f has been measured, with f2 that of the second slice,

    G = s nearest(|K| / f),      G2 = nearest(|K - f G| / f2), of the sign of K - f G.

An f2 that is not known either leaves its own mismatch of G2, some hundredths of half a step of the first slice.
"""

from __future__ import annotations

import numpy as np

from ...circuits.technology.parts import Resistors
from .quantise import is_discrete, nearest


def slices_of(resistors: Resistors) -> list[Resistors]:
    """The resistors of each slice: those given, and, of two, the same with a unit 2^bits times as large."""
    if resistors.slices == 1:
        return [resistors]
    return [resistors, resistors.model_copy(update={"unit": resistors.unit * 2.0 ** (resistors.bits or 0)})]


def choose_codes(wanted: np.ndarray, resistors: Resistors, factors: np.ndarray | None = None) -> list[np.ndarray]:
    """Signed nominal conductances of each slice, (n, n) S, that together come closest to those wanted.

    A crosspoint takes the largest code of each slice where more is wanted than there is.

    Args:
        wanted: (n, n) S, signed. resistors: codes, and the number of slices.
        factors: (slices, n, n), what a crosspoint holds over the nominal value of its code, as measured; 1 for slices that it does not
            cover. None: nothing is known.
    """
    left, found = wanted, []
    for place, one in enumerate(slices_of(resistors)):
        factor = factors[place] if factors is not None and place < len(factors) else 1.0
        value = np.abs(left) / factor
        if one.bits is not None:
            value = np.minimum(value, 1.0 / one.unit)
        chosen = np.sign(left) * (nearest(value, one) if is_discrete(one) else value)
        found.append(chosen)
        left = left - factor * chosen
    return found
