from .doubling import Transition as Transition
from .doubling import transition as transition
from .gaussian import Gaussian as Gaussian
from .gaussian import sample as sample
from .gram import Gram as Gram
from .gram import GramSum as GramSum
from .process import OU as OU
from .process import PiecewiseConstant as PiecewiseConstant

__all__ = [
    "OU",
    "Gaussian",
    "Gram",
    "GramSum",
    "PiecewiseConstant",
    "Transition",
    "sample",
    "transition",
]
