from .knobs.design_point import DesignPoint as DesignPoint
from .knobs.knob import Knob as Knob
from .knobs.registry import KNOBS as KNOBS
from .outcomes.evaluation import Evaluation as Evaluation
from .outcomes.solve_level import SolveLevel as SolveLevel
from .outcomes.training_level import TrainingLevel as TrainingLevel
from .studies import study as study
from .study_result import Study as Study
from .study_result import StudyRow as StudyRow
from .study_result import StudyRun as StudyRun
from .study_result import StudyScore as StudyScore

__all__ = [
    "KNOBS",
    "DesignPoint",
    "Evaluation",
    "Knob",
    "SolveLevel",
    "Study",
    "StudyRow",
    "StudyRun",
    "StudyScore",
    "TrainingLevel",
    "study",
]
