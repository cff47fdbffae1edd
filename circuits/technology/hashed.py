"""Standard normal deviates of numbered elements, each computed from its number alone: for parts too many, or drawn anew too often, to draw
rows of them."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def hashed_deviates(key: np.uint64, channel: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Standard normal deviates of the numbered elements of channels (both integers >= 0, of one shape).

    SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014), whose m-th output is a hash of key + m gamma, a key for each channel,
    through the inverse of the normal distribution.
    """
    with np.errstate(over="ignore"):
        keys = _mixed(key + _GAMMA * (channel.astype(np.uint64) + np.uint64(1)))
        bits = _mixed(keys + _GAMMA * (number.astype(np.uint64) + np.uint64(1)))
    # Middles of 2^53 equal intervals, so that neither 0 nor 1 occurs.
    return np.asarray(ndtri(((bits >> np.uint64(11)).astype(float) + 0.5) * 2.0**-53))


def _mixed(z: np.ndarray) -> np.ndarray:
    """SplitMix64's bijection of 64-bit words."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
