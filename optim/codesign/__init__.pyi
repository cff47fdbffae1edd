from .knobs.design_point import DesignPoint as DesignPoint
from .knobs.knob import Knob as Knob
from .knobs.registry import KNOBS as KNOBS
from .outcomes.evaluation import Evaluation as Evaluation
from .outcomes.solve_level import SolveLevel as SolveLevel
from .outcomes.training_level import TrainingLevel as TrainingLevel
from .plans.plan import StudyPlan as StudyPlan
from .plans.plan import read_plan as read_plan
from .plans.run import run_plan as run_plan
from .plans.table import read_table as read_table
from .studies import study as study
from .study_result import Study as Study
from .study_result import StudyRow as StudyRow
from .study_result import StudyRun as StudyRun
from .study_result import StudyScore as StudyScore
from .yields.die_yield import die_yield as die_yield
from .yields.level_score import LevelScore as LevelScore
from .yields.margins import margins as margins
from .yields.sensitivity import sensitivities as sensitivities
from .yields.target import Limit as Limit

__all__ = [
    "KNOBS",
    "DesignPoint",
    "Evaluation",
    "Knob",
    "LevelScore",
    "Limit",
    "SolveLevel",
    "Study",
    "StudyPlan",
    "StudyRow",
    "StudyRun",
    "StudyScore",
    "TrainingLevel",
    "die_yield",
    "margins",
    "read_plan",
    "read_table",
    "run_plan",
    "sensitivities",
    "study",
]
