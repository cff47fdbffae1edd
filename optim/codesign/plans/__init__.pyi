from .plan import StudyPlan as StudyPlan
from .plan import read_plan as read_plan
from .run import run_plan as run_plan
from .table import read_table as read_table

__all__ = [
    "StudyPlan",
    "read_plan",
    "read_table",
    "run_plan",
]
