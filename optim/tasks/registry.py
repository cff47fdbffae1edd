"""The tasks that networks are trained on, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ...circuits.errors import InputError
from .digits import digits
from .mnist import mnist
from .task import Task

TASKS: dict[str, Callable[..., Task]] = {"digits": digits, "mnist": mnist}


def make_task(name: str, **options: Any) -> Task:
    """A task of `TASKS`.

    Raises:
        InputError: unknown name; an option that this task does not have; whatever the task objects to.
    """
    if name not in TASKS:
        raise InputError(f"task {name!r} is unknown; there are: {', '.join(TASKS)}")
    known = inspect.signature(TASKS[name]).parameters
    for option in options:
        if option not in known:
            raise InputError(f"{option} means nothing to the task {name}; it takes {', '.join(known)}")
    return TASKS[name](**options)
