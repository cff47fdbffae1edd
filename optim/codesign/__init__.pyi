from .knobs import KNOBS as KNOBS
from .knobs import Knob as Knob
from .studies import study as study
from .study_result import Study as Study
from .study_result import StudyRow as StudyRow
from .study_result import StudyRun as StudyRun
from .study_result import StudyScore as StudyScore

__all__ = [
    "KNOBS",
    "Knob",
    "Study",
    "StudyRow",
    "StudyRun",
    "StudyScore",
    "study",
]
