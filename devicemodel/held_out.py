"""`HeldOut`: how well a card predicts systems and dies that were not fitted."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field, field_validator

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
