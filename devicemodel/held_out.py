"""`HeldOut`: how well a card predicts systems and dies that were not fitted."""

from __future__ import annotations

import math
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from ..circuits.records import Record
from .estimate import Number, Whole


class HeldOut(Record):
    """How well the surrogate predicts SPICE's error vector x - A^-1 b on systems that were not fitted.

    1 - sum |e_spice - e_surrogate|^2 / sum |e_spice - mean|^2, each system's errors relative to its |A^-1 b|; nan where SPICE's errors do
    not vary, as those of a single unknown, so that there is nothing to explain.
    """

    systems: Whole = Field(ge=0)
    explained_variance: Number = Field(le=1)
    """Explained variance on the dies that were fitted."""
    explained_variance_new_dies: Number = Field(le=1)
    """Explained variance on dies that were not fitted."""
    spice_error: Number = Field(ge=0, allow_inf_nan=False)
    """Relative rms error of SPICE's solutions."""
    residual: Number = Field(ge=0, allow_inf_nan=False)
    """Relative rms of what the surrogate leaves unexplained."""
    intervals: dict[str, tuple[Number, Number]] = Field(default_factory=dict)
    """95 % confidence intervals of these figures by name, systems and dies drawn anew; without those of fewer than two systems."""

    @field_validator("explained_variance", "explained_variance_new_dies", mode="wrap")
    @classmethod
    def _explained(cls, value: Any, check: Any) -> float:
        # nan is not "at most 1", and says that there was nothing to explain.
        if value == "NaN" or (isinstance(value, float) and math.isnan(value)):
            return math.nan
        found: float = check(value)
        if math.isinf(found):
            raise ValueError("it is infinite: give a number of at most 1, or nan where there was nothing to explain")
        return found

    @model_validator(mode="after")
    def _intervals_of_figures(self) -> Self:
        for name, (low, high) in self.intervals.items():
            if name not in FIGURES:
                raise ValueError(f"intervals: {name!r:.60} is none of its figures; there are {', '.join(FIGURES)}")
            # Written so that nan raises.
            if not -math.inf < low <= high < math.inf:
                raise ValueError(
                    f"intervals: {name} is {low:g} to {high:g}: give two finite numbers, the lower one first"
                )
        return self

    def summary(self) -> list[tuple[str, str]]:
        """Rows (name, value) of a printed summary."""
        return [
            ("explained variance, held-out systems", self._share("explained_variance")),
            ("explained variance, held-out dies", self._share("explained_variance_new_dies")),
            ("error of SPICE's solutions", self._with_interval("spice_error", ".3g") + ", relative rms"),
            ("left unexplained", self._with_interval("residual", ".3g") + ", relative rms"),
        ]

    def _share(self, name: str) -> str:
        return "nothing to explain" if math.isnan(getattr(self, name)) else self._with_interval(name, ".4f")

    def _with_interval(self, name: str, digits: str) -> str:
        value, span = getattr(self, name), self.intervals.get(name)
        return f"{value:{digits}}" + ("" if span is None else f" (95 %: {span[0]:{digits}} to {span[1]:{digits}})")


FIGURES = ("explained_variance", "explained_variance_new_dies", "spice_error", "residual")
"""The fields of `HeldOut` that may have an interval."""
