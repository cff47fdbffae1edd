from .evaluation import Evaluation as Evaluation
from .solve_level import SolveLevel as SolveLevel
from .spice_check import in_ngspice as in_ngspice
from .training_level import TrainingLevel as TrainingLevel

__all__ = [
    "Evaluation",
    "SolveLevel",
    "TrainingLevel",
    "in_ngspice",
]
