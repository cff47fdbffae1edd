from .codesign import codesign as codesign
from .goal import Goal as Goal
from .result import CodesignResult as CodesignResult
from .space import Range as Range
from .space import Space as Space
from .space import default_space as default_space

__all__ = [
    "CodesignResult",
    "Goal",
    "Range",
    "Space",
    "codesign",
    "default_space",
]
