from .codesign import codesign as codesign
from .goal import Goal as Goal
from .result import CodesignResult as CodesignResult
from .space import SearchedKnob as SearchedKnob
from .space import Space as Space
from .space import default_space as default_space

__all__ = [
    "CodesignResult",
    "Goal",
    "SearchedKnob",
    "Space",
    "codesign",
    "default_space",
]
