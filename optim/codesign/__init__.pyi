from .knobs import KNOBS as KNOBS
from .knobs import Knob as Knob
from .study import Study as Study
from .study import StudyRun as StudyRun
from .study import run_study as run_study

__all__ = [
    "KNOBS",
    "Knob",
    "Study",
    "StudyRun",
    "run_study",
]
