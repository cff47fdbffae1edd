"""The optimizers by name, with settings to begin with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ...circuits.errors import InputError
from ...devicemodel.device import Device
from .kfac import KFAC
from .ngd import NGD, NGDCG
from .tngd import TNGD

OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"lr": 0.5, "momentum": 0.0}),
    "adam": (torch.optim.Adam, {"lr": 0.01}),
    "ngd": (NGD, {"lr": 0.3, "damping": 0.3, "momentum": 0.0}),
    "ngd-cg": (NGDCG, {"lr": 0.3, "damping": 0.3, "momentum": 0.0}),
    "kfac": (KFAC, {"lr": 0.3, "damping": 0.3, "curvature": "mc-fisher"}),
    "tngd": (TNGD, {"lr": 0.3, "damping": 0.3, "momentum": 0.0, "duration": 20.0, "reading": "auto"}),
    "tngd-adam": (TNGD, {"lr": 0.01, "damping": 0.3, "duration": 20.0, "reading": "auto", "update": "adam"}),
    "tngd-kfac": (
        TNGD,
        {"lr": 0.3, "damping": 0.3, "duration": 20.0, "reading": "auto", "system": "kfac", "curvature": "mc-fisher"},
    ),
}
"""Class and settings of each. The settings are from a short search on the digits task at batch 16: one or two seeds for each
setting, TNGD's learning rate and damping taken over from NGD. A task's plan may have others (`training.train.settings_for`)."""


def named_optimizer(name: str) -> tuple[Callable[..., Optimizer], dict[str, Any]]:
    """The entry of `OPTIMIZERS`. InputError for an unknown name."""
    if name not in OPTIMIZERS:
        raise InputError(f"optimizer is {name!r}: give one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name]


def uses_device(name: str) -> bool:
    """Whether the optimizer of this name runs on a device."""
    return "device" in inspect.signature(named_optimizer(name)[0]).parameters


def make_optimizer(
    name: str, params: Iterable[Tensor], device: Device | None = None, settings: Mapping[str, Any] | None = None
) -> Optimizer:
    """An optimizer by name.

    Args:
        name: of `OPTIMIZERS`.
        params: parameters or parameter groups.
        device: for the optimizers that use one; None is the ideal device.
        settings: keyword arguments of the optimizer's class, in place of those in `OPTIMIZERS`.

    Raises:
        InputError: unknown name or setting; a device for an optimizer that uses none; what the optimizer raises.
    """
    kind, defaults = named_optimizer(name)
    chosen = {**defaults, **(settings or {})}
    known = [key for key in inspect.signature(kind).parameters if key not in ("params", "device")]
    for key in chosen:
        if key not in known:
            raise InputError(f"{key} is not a setting of the optimizer {name}; it takes {', '.join(known)}")
    if uses_device(name):
        chosen["device"] = device
    elif device is not None:
        takers = " or ".join(filter(uses_device, OPTIMIZERS))
        raise InputError(f"{name} does not use a device: leave device out, or take {takers}")
    return kind(params, **chosen)
