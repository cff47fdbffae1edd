"""`Figure` and `Price`: numbers with where they come from."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ..records import Record

Kind = Literal["measured", "foundry", "simulated", "published", "projected", "chosen"]
"""measured: on a device, by somebody named. foundry: in the PDK's files, its design rules or its cells. simulated: on the PDK's models, by
the command named. published: by somebody else, of this part. projected: taken over from published parts of another process or kind.
chosen: by the author of the technology."""


class Figure(Record):
    """A number with its kind and its source."""

    value: float = Field(gt=0)
    """SI units, as its field says."""
    kind: Kind
    source: str = Field(min_length=1)
    """Paper, document with rule, or command; of what is chosen, why."""


PRICED = (
    *(
        "link.rate",
        "link.energy",
        "resistors.write_energy",
        "dac.rate",
        "dac.figure_of_merit",
        "adc.rate",
        "adc.figure_of_merit",
    ),
    *("opamp.power", "opamp.supply", "opamp.standby"),
)
"""Figures of a technology that are prices of a step's time and energy (`devicemodel.cost.prices`)."""


class Price(Record):
    """Where a figure of a technology that time and energy are reckoned with comes from.

    Raises `InputError` where it is not finite, or has resolutions in descending order.
    """

    figure: str
    """Its name, such as `link.energy`."""
    value: float = Field(ge=0, allow_inf_nan=False)
    """SI units. The source is that of this value: a figure that is changed later has none."""
    kind: Kind
    source: str = Field(min_length=1)
    """Paper, document, or command; of what is chosen, why."""
    bits: tuple[int, int] | None = None
    """Resolutions of the converter, from and to, for which it holds; none: any."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.bits is not None and not 1 <= self.bits[0] <= self.bits[1]:
            raise ValueError(f"bits are {self.bits[0]} to {self.bits[1]}: give the smaller one first, of at least 1")
        return self
