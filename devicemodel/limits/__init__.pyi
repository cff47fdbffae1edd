from .contraction_law import Contraction as Contraction
from .contraction_law import contraction as contraction
from .contraction_law import rounds_to as rounds_to
from .dies import DieContraction as DieContraction
from .dies import contraction_of_dies as contraction_of_dies
from .imperfections import Imperfections as Imperfections
from .outlook import Outlook as Outlook
from .outlook import refinement_outlook as refinement_outlook
from .walls import SmallestDamping as SmallestDamping
from .walls import smallest_damping as smallest_damping

__all__ = [
    "Contraction",
    "DieContraction",
    "Imperfections",
    "Outlook",
    "SmallestDamping",
    "contraction",
    "contraction_of_dies",
    "refinement_outlook",
    "rounds_to",
    "smallest_damping",
]
