"""Parameter groups: what their settings may be, and the damping of each parameter."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from ...circuits.errors import InputError
from .config import NaturalGradientConfig, check_moments, check_path
from .damping import Damping, LevenbergMarquardt, check_number


def check_group(kind: type, config: NaturalGradientConfig, group: dict[str, Any]) -> None:
    """Check the settings of a parameter group.

    Raises:
        InputError: a setting out of range, one that the update does not use, or an option that is one for all groups.
    """
    of_groups = ("params", "lr", "damping", "weight_decay", "momentum", "betas", "eps")
    for name in inspect.signature(kind).parameters:
        if name in group and name not in of_groups:
            raise InputError(f"a parameter group has {name}, which is one for all groups: give it to {kind.__name__}")
    for name in ("betas", "eps") if config.update == "sgd" else ("momentum",):
        if name in group:
            raise InputError(f'a parameter group has {name}, which update="{config.update}" does not use: leave it out')
    for name in ("lr", "weight_decay"):
        check_number(name, group.get(name, 0.0), low=0.0)
    momentum, betas, eps = (group.get(name, getattr(config, name)) for name in ("momentum", "betas", "eps"))
    check_moments(config.update, momentum, betas, eps)
    check_path(config, group)
    if config.spring and momentum:
        raise InputError(
            f"a parameter group has momentum {momentum}, and spring is {config.spring}: give one of the two"
        )


def dampings_of(policy: Damping, adapted: float | None, steps: int, groups: Sequence[dict[str, Any]]) -> list[float]:
    """lambda of each parameter for a step.

    Args:
        policy: as an optimizer is given.
        adapted: of `LevenbergMarquardt`.
        steps: done so far.
        groups: of the optimizer.

    Raises:
        InputError: lambda out of range, or a group with a lambda of its own where it is one for all.
    """
    if isinstance(policy, LevenbergMarquardt):
        assert adapted is not None
        value = adapted
    elif callable(policy):
        value = check_number("damping", policy(steps), low=0.0)
    else:
        found = [check_number("damping", group["damping"], low=0.0) for group in groups for _ in group["params"]]
        if len(set(found)) > 1 and min(found) == 0:
            raise InputError(
                f"damping is {sorted(set(found))} in the parameter groups: give each group damping > 0 where they differ"
            )
        return found
    given = [group["damping"] for group in groups if group["damping"] is not None]
    if given:
        raise InputError(
            f"damping is {given} for a parameter group, but the damping is one for all: give groups none of their own"
        )
    return [value] * sum(len(group["params"]) for group in groups)
