from .read import parse_spice as parse_spice
from .read import read_spice as read_spice
from .read import read_subcircuit as read_subcircuit
from .writer import DIALECTS as DIALECTS
from .writer import write_spice as write_spice

__all__ = [
    "DIALECTS",
    "parse_spice",
    "read_spice",
    "read_subcircuit",
    "write_spice",
]
