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
from .target import Limit as Limit
from .target import Target as Target

__all__ = [
    "JointMargin",
    "KnobSensitivity",
    "LevelScore",
    "Limit",
    "Margin",
    "Sensitivity",
    "Target",
    "Yield",
    "clopper_pearson",
    "die_yield",
    "figure_at",
    "joint_margin",
    "margins",
    "sensitivities",
    "yield_against_limit",
]
