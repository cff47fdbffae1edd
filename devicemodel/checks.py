"""Checks of tensors and numbers that systems, processes and devices are given."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..circuits.errors import InputError


def check_tensor(name: str, value: Tensor, dims: int) -> None:
    """InputError unless `value` is a finite float32 or float64 tensor of at least `dims` axes, none of them empty."""
    if not isinstance(value, Tensor) or value.dtype not in (torch.float32, torch.float64) or value.dim() < dims:
        got = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(f"{name} is {got}: give a float32 or float64 tensor of {dims} axes, or more for a batch")
    if 0 in value.shape:
        raise InputError(f"{name} has shape {tuple(value.shape)}: give at least one entry")
    # A sum is finite where every entry is, unless it overflows; only then each is looked at.
    if not math.isfinite(float(value.detach().sum())) and not bool(torch.isfinite(value).all()):
        where = tuple(torch.nonzero(~torch.isfinite(value))[0].tolist())
        raise InputError(
            f"{name}{list(where)} is {value[where].item()}: every entry must be finite (a diverged model?)"
        )


def check_square(name: str, value: Tensor) -> None:
    """InputError unless `value` is a finite batch of square matrices."""
    check_tensor(name, value, 2)
    if value.shape[-1] != value.shape[-2]:
        raise InputError(f"{name} has shape {tuple(value.shape)}: give square matrices, (..., n, n)")


def check_alike(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """InputError unless the two have one type and are on one device."""
    if value.dtype != other.dtype or value.device != other.device:
        raise InputError(
            f"{name} is {value.dtype} on {value.device} but {other_name} is {other.dtype} on {other.device}: give both in one "
            "type and place"
        )


def batch_of(*parts: torch.Size | tuple[int, ...]) -> torch.Size:
    """The common batch shape. InputError where two do not broadcast."""
    try:
        # torch's own function imports its symbolic shapes: a second, and 30 MB.
        return torch.Size(np.broadcast_shapes(*parts))
    except ValueError:
        raise InputError(
            f"batches of {', '.join(str(tuple(part)) for part in parts)} do not go together: each must be 1 or equal, counted "
            "from the right"
        ) from None


def check_duration(duration: float) -> float:
    """The duration as a float; InputError unless it is >= 0 (inf means settled)."""
    try:
        duration = float(duration)
    except (TypeError, ValueError):
        duration, given = math.nan, repr(duration)
    else:
        given = str(duration)
    if math.isnan(duration) or duration < 0:
        raise InputError(f"duration is {given}: give a number of tau >= 0, or math.inf for the settled state")
    return duration
