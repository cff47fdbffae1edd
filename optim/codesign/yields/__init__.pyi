from .die_yield import Yield as Yield
from .die_yield import clopper_pearson as clopper_pearson
from .die_yield import die_yield as die_yield
from .die_yield import yield_against_limit as yield_against_limit
from .figures import figure_at as figure_at
from .level_score import LevelScore as LevelScore
from .margins import JointMargin as JointMargin
from .margins import Margin as Margin
from .margins import joint_margin as joint_margin
from .margins import margins as margins
from .sensitivity import KnobSensitivity as KnobSensitivity
from .sensitivity import Sensitivity as Sensitivity
from .sensitivity import sensitivities as sensitivities
from .table_yields import LevelYield as LevelYield
from .table_yields import answer as answer
from .table_yields import read_target as read_target
from .table_yields import table_yields as table_yields
from .target import Limit as Limit
from .target import Target as Target

__all__ = [
    "JointMargin",
    "KnobSensitivity",
    "LevelScore",
    "LevelYield",
    "Limit",
    "Margin",
    "Sensitivity",
    "Target",
    "Yield",
    "answer",
    "clopper_pearson",
    "die_yield",
    "figure_at",
    "joint_margin",
    "margins",
    "read_target",
    "sensitivities",
    "table_yields",
    "yield_against_limit",
]
