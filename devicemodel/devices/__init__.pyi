from .cell_coefficients import CellCoefficients as CellCoefficients
from .cell_law import CellLaw as CellLaw
from .cell_law import propagate as propagate
from .cell_measurement import measure_cells as measure_cells
from .circuit import CircuitDevice as CircuitDevice
from .ideal import IdealDevice as IdealDevice
from .spice import SpiceDevice as SpiceDevice
from .surrogate import SurrogateDevice as SurrogateDevice
from .tile import AnalogTile as AnalogTile

__all__ = [
    "AnalogTile",
    "CellCoefficients",
    "CellLaw",
    "CircuitDevice",
    "IdealDevice",
    "SpiceDevice",
    "SurrogateDevice",
    "measure_cells",
    "propagate",
]
