from .digits import digits as digits
from .mnist import mnist as mnist
from .registry import TASKS as TASKS
from .registry import make_task as make_task
from .task import Plan as Plan
from .task import Task as Task

__all__ = [
    "TASKS",
    "Plan",
    "Task",
    "digits",
    "make_task",
    "mnist",
]
