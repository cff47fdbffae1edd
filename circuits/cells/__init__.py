"""Sub-circuits: amplifiers and their limits, noise sources of a given density, and the analog side of converters."""

from .amplifier import AmplifierCell, Macromodel, OnePole
from .designed import Amplifier

__all__ = ["Amplifier", "AmplifierCell", "Macromodel", "OnePole"]
