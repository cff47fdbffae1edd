"""Sub-circuits: amplifiers and their limits, noise sources of a given density, and the analog side of converters."""

from .models import AmplifierCell, Macromodel, OnePole
from .user_netlist import Amplifier

__all__ = ["Amplifier", "AmplifierCell", "Macromodel", "OnePole"]
