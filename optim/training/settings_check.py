"""Settings of tasks and optimizers, as a file has them, checked before any training begins."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from ...circuits.errors import InputError
from ...circuits.spelling import unknown_name
from ..optimizers.damping import check_number
from ..optimizers.registry import make_optimizer, named_optimizer
from ..tasks.registry import TASKS


def check_task_settings(name: str, settings: Mapping[str, Any]) -> None:
    """Check names and types against the task's function.

    Raises:
        InputError: an unknown task or name, with what there is; a value of another type.
    """
    if name not in TASKS:
        raise InputError(unknown_name("task", name, TASKS))
    known = list(inspect.signature(TASKS[name]).parameters)
    hints = typing.get_type_hints(TASKS[name])
    for key, value in settings.items():
        if key not in known:
            raise InputError(unknown_name(f"settings of the task {name}: setting", key, known))
        try:
            TypeAdapter(hints.get(key, Any)).validate_python(value, strict=not isinstance(value, list))
        except ValidationError as error:
            raise InputError(f"settings of the task {name}: {key} is {value!r}: {error.errors()[0]['msg']}") from None


def check_optimizer_settings(
    where: str, optimizer: str, settings: Mapping[str, Any], taken: Mapping[str, Any], dtype: torch.dtype
) -> None:
    """Check that the optimizer takes its settings, by making one of a single parameter.

    Args:
        where: what errors begin with, such as "run 'Adam'".
        optimizer: of `OPTIMIZERS`.
        settings: those that are given. taken: all that it gets, without the schedule. dtype: of the task.

    Raises:
        InputError: an unknown name, with what there is; what the optimizer rejects.
    """
    parameters = inspect.signature(named_optimizer(optimizer)[0]).parameters
    known = [*(name for name in parameters if name not in ("params", "device")), "schedule"]
    for key in settings:
        if key not in known:
            raise InputError(unknown_name(f"{where}: setting of {optimizer}", key, known))
    if "lr" in taken:
        check_number(f"{where}: lr", taken["lr"], low=0.0)
    try:
        make_optimizer(optimizer, [torch.zeros(1, dtype=dtype, requires_grad=True)], None, taken)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (TypeError, ValueError) as error:  # torch's own optimizers
        raise InputError(f"{where}: settings {dict(settings)}: {error}") from None
