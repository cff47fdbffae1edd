from .classification import Classification as Classification
from .digits import digits as digits
from .mnist import mnist as mnist
from .poisson import Poisson as Poisson
from .poisson import poisson as poisson
from .registry import TASKS as TASKS
from .registry import make_task as make_task
from .task import Plan as Plan
from .task import Score as Score
from .task import Task as Task

__all__ = [
    "TASKS",
    "Classification",
    "Plan",
    "Poisson",
    "Score",
    "Task",
    "digits",
    "make_task",
    "mnist",
    "poisson",
]
