from .budget import ErrorBudget as ErrorBudget
from .budget import Problem as Problem
from .budget import error_budget as error_budget
from .causes import CAUSES as CAUSES
from .causes import Cause as Cause
from .hardware import Hardware as Hardware
from .ranking import Contribution as Contribution
from .ranking import Ranking as Ranking

__all__ = [
    "CAUSES",
    "Cause",
    "Contribution",
    "ErrorBudget",
    "Hardware",
    "Problem",
    "Ranking",
    "error_budget",
]
