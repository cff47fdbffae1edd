from .die_batch import DieBatch as DieBatch
from .own_systems import OwnSystems as OwnSystems

__all__ = [
    "DieBatch",
    "OwnSystems",
]
