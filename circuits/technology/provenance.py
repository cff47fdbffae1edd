"""`Figure`: a number with where it comes from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..records import Record

Kind = Literal["measured", "foundry", "simulated", "published", "chosen"]
"""measured: on a device, by somebody named. foundry: in the PDK's files, its design rules or its cells. simulated: on the PDK's models, by
the command named. published: by somebody else. chosen: by the author of the technology."""


class Figure(Record):
    """A number with its kind and its source."""

    value: float = Field(gt=0)
    """SI units, as its field says."""
    kind: Kind
    source: str = Field(min_length=1)
    """Paper, document with rule, or command; of what is chosen, why."""
