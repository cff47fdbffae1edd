"""`Validity`: the range of systems, durations, voltages and temperatures that a card was calibrated for."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from ..circuits.records import Record
from .estimate import Number, Whole

SLACK = 1e-6
"""Share of a bound by which it may be passed: what rounding does to a figure that was computed once more."""


class Validity(Record):
    """What the runs of the fit and of its check were like; a bound that is none was not recorded, and is not looked at.

    A system that is better conditioned than any of them is no extrapolation, since it amplifies errors less.
    """

    unknowns: tuple[Whole, Whole]
    condition_number: tuple[Number, Number]
    duration: Number | None = Field(default=None, gt=0)
    """Longest duration, tau; inf: up to rest. What is shorter lies between a fitted run and its start, which is known."""
    level: Number | None = Field(default=None, gt=0)
    """Largest node voltage, V; the output limit where it came within the share of it that auto-ranging aims at."""
    temperature: tuple[Number, Number] | None = None
    """Temperatures over the dies, K."""
    layout: bool | None = Field(default=None, strict=True)
    """Whether the circuits had a layout in them."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name, least in (("unknowns", 1), ("condition_number", 1), ("temperature", 0)):
            span = getattr(self, name)
            # Written so that nan raises.
            if span is not None and not least <= span[0] <= span[1]:
                raise ValueError(
                    f"{name} is {span[0]:g} to {span[1]:g}: give two numbers >= {least}, the lower one first"
                )
        return self

    def violations_by_system(self, matrix: np.ndarray, floor: float = 0.0) -> tuple[str, ...]:
        """A sentence for each bound that a symmetric matrix (n, n) without an eigenvalue below `floor` is beyond."""
        found = []
        (fewest, most), worst = self.unknowns, self.condition_number[1] * (1 + SLACK)
        if not fewest <= len(matrix) <= most:
            found.append(f"{len(matrix)} unknowns, calibrated for {fewest} to {most}")
        if not _better_conditioned(matrix, worst, floor):
            sizes = np.abs(np.linalg.eigvalsh(matrix))
            condition = float(sizes.max() / sizes.min()) if sizes.min() > 0 else math.inf
            if condition > worst:
                found.append(f"condition number {condition:.4g}, calibrated for at most {self.condition_number[1]:.4g}")
        return tuple(found)

    def violations_by_run(self, duration: float, temperatures: np.ndarray) -> tuple[str, ...]:
        """A sentence for each bound that a duration (tau) and the temperatures (K) of a die are beyond."""
        found = []
        if self.duration is not None and duration > self.duration * (1 + SLACK):
            found.append(f"duration {duration:.4g} tau, calibrated for at most {self.duration:.4g} tau")
        if self.temperature is not None:
            coldest, hottest = self.temperature
            least, most = float(temperatures.min()), float(temperatures.max())
            if least < coldest * (1 - SLACK) or most > hottest * (1 + SLACK):
                found.append(f"a die of {least:.4g} to {most:.4g} K, calibrated for {coldest:.4g} to {hottest:.4g} K")
        return tuple(found)

    def violations_by_layout(self, layout: bool) -> tuple[str, ...]:
        """A sentence if the device has a layout and the circuits had none."""
        return ("an array with its layout, calibrated on schematics",) if layout and self.layout is False else ()

    def violations_by_level(self, volts: float) -> tuple[str, ...]:
        """A sentence if the largest node voltage (V) of a run is beyond its bound."""
        if self.level is None or volts <= self.level * (1 + SLACK):
            return ()
        return (f"node voltages of {volts:.4g} V, calibrated for at most {self.level:.4g} V",)


def _better_conditioned(matrix: np.ndarray, worst: float, floor: float) -> bool:
    """Whether a condition number of at most `worst` is proven without eigenvalues: the largest is below a row sum of sizes."""
    if math.isinf(worst):
        return True
    largest = float(np.abs(matrix).sum(axis=1).max())
    if floor > 0 and largest <= worst * floor:
        return True
    margin = largest * (1 / worst + len(matrix) * float(np.finfo(float).eps))
    shifted = matrix.copy()
    shifted.ravel()[:: len(matrix) + 1] -= margin
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return False
    return True
