"""The task and the device of the commands that train."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...circuits.errors import InputError
from ..hardware import open_device

if TYPE_CHECKING:
    from ...devicemodel.device import Device
    from ...optim.tasks.task import Task


def open_task(name: str, data: Path | None) -> Task:
    """The task of that name, with its data at `data` where they are not part of the package.

    Raises:
        InputError: unknown task, data for a task that takes none, missing or damaged data.
    """
    from ...optim.tasks.registry import TASKS, make_task

    if data is None:
        return make_task(name)
    takers = [other for other, build in TASKS.items() if "path" in inspect.signature(build).parameters]
    if name in TASKS and name not in takers:
        raise InputError(f"--data does not apply to {name}; leave it out, or use --task {' or '.join(takers)}")
    return make_task(name, {"path": data})


def training_device(options: dict[str, Any], seed: int) -> tuple[str, Device]:
    """Kind and device of a training run: without --device the ideal device, or the surrogate if there is a card.

    Args:
        options: device, card, technology, die and extrapolate; None where not given.
        seed: seed of the device's noise.
    """
    kind = options["device"] or ("ideal" if options["card"] is None else "surrogate")
    rest = {name: value for name, value in options.items() if name != "device"}
    return kind, open_device(kind, seed=seed, **rest)
