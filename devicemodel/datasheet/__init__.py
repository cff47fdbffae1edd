"""The data sheet of a card or a technology: worst and typical figures over dies, corners and temperatures.

datasheet      all of it, from hardware and conditions, as plain data
conditions     what is asked for: sizes, condition numbers, dies, corners, temperatures; from a TOML file
corners        a process's corners: amplifiers that were simulated there, and dies at an end of their spread
workload       the systems that are solved
readings       one die at one corner and temperature: errors, noise, settling, energy
figures        least, typical and largest value of each figure, and where they are met
provenance     what the figures rest on, and who says so
specification  what a user demands, and the verdict
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
