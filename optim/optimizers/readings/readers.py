"""What a system is read with: the device as it is, refined, and column by column; one for all layers, or an array for each factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ....devicemodel.device import Device
from ....devicemodel.host.kronecker_columns import KroneckerColumns
from ....devicemodel.host.refine import Refined
from .reading import ROUNDS, TOLERANCE, Columns, by_columns


class Readers(NamedTuple):
    """Of one layer, or of the whole system. `columns` are None where no system is read by its factors."""

    device: Device
    refined: Refined[Device]
    columns: Columns | None = None


def one_device(device: Device, refining: Refined[Device], by_factors: bool, factored: bool) -> Readers:
    """For all layers in turn."""
    return Readers(device, refining, by_columns(device, refining, factored) if by_factors else None)


def arrays(devices: Sequence[Device], program_every: int) -> list[Readers]:
    """For each layer two arrays, which keep the programs of its factors: the first that of the outputs, or of the layer as a whole."""
    found = []
    for first, second in zip(devices[::2], devices[1::2], strict=True):
        one, two = (Refined(device, ROUNDS, TOLERANCE, program_every=program_every) for device in (first, second))
        columns = KroneckerColumns(one, second=two)
        found.append(Readers(first, one, Columns(KroneckerColumns(first, second=second), columns, columns)))
    return found
