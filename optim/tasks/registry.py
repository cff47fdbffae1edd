"""The tasks that networks are trained on, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ...circuits.errors import InputError
from ...circuits.spelling import unknown_name
from .autoencoder import autoencoder
from .burgers import burgers
from .digits import digits
from .fashion_mnist import fashion_mnist
from .mnist import mnist
from .poisson import poisson
from .poisson_cube import poisson_cube
from .squad import squad
from .task import Task

TASKS: dict[str, Callable[..., Task]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "autoencoder": autoencoder,
    "poisson": poisson,
    "poisson-cube": poisson_cube,
    "burgers": burgers,
    "squad": squad,
}


def make_task(name: str, settings: Mapping[str, Any] | None = None) -> Task:
    """A task by name.

    Args:
        name: of `TASKS`.
        settings: keyword arguments of the task's function.

    Raises:
        InputError: unknown name or setting; what the task's function raises.
    """
    if name not in TASKS:
        raise InputError(unknown_name("task", name, TASKS))
    known = inspect.signature(TASKS[name]).parameters
    chosen = dict(settings or {})
    for key in chosen:
        if key not in known:
            raise InputError(f"{key} is not a setting of the task {name}; it takes {', '.join(known)}")
    return TASKS[name](**chosen)
