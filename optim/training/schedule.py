"""Schedules of the learning rate: functions of the step and the number of steps alone, so that a resumed run has none to restore."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch.optim import Optimizer

from ...circuits.errors import InputError

CONSTANT = "constant"


def _cosine(step: int, steps: int) -> float:
    return (1 + math.cos(math.pi * step / steps)) / 2


SCHEDULES: dict[str, Callable[[int, int], float] | None] = {CONSTANT: None, "cosine": _cosine}
"""Factor of the learning rate at step s, from 0, of T steps: "constant", 1 throughout, or "cosine", (1 + cos(pi s / T)) / 2, from 1
down to 0 after the last step (I. Loshchilov and F. Hutter, 2017, arXiv:1608.03983, without restarts). None: the rates are left alone."""


def check_schedule(name: object) -> str:
    """The name of a schedule; InputError for another one."""
    if not isinstance(name, str) or name not in SCHEDULES:
        raise InputError(f"schedule is {name!r}: give one of {', '.join(SCHEDULES)}")
    return name


def set_rates(optimizer: Optimizer, schedule: str, rates: Sequence[float], step: int, steps: int) -> None:
    """Set the learning rate of each parameter group for a step.

    Args:
        rates: of the groups at the beginning. schedule: of `SCHEDULES`; "constant" leaves alone what callbacks may have set.
        step: from 0. steps: in all.
    """
    factor = SCHEDULES[schedule]
    if factor is not None:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor(step, steps)
