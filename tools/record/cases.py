"""All cases, in the order in which they run: the long ones first."""

from __future__ import annotations

from collections.abc import Iterator

from . import calibration_cases, circuits_cases, command_cases, compiler_cases, device_cases, optim_cases
from .store import Case


def all_cases() -> Iterator[Case]:
    """Every case of every floor."""
    for floor in (command_cases, calibration_cases, circuits_cases, compiler_cases, device_cases, optim_cases):
        yield from floor.cases()
