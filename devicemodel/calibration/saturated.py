"""Runs that saturated, whose readings are those of amplifiers at the ends of their range and say nothing of the law: left out of a fit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.technology import Technology
from ..devices.spice import SpiceDevice
from .cases import Case
from .port_runs import PortRun

Ran: TypeAlias = SpiceDevice | PortRun
"""What made a run, and was seen of it."""
Simulated: TypeAlias = tuple[np.ndarray, Ran]
"""What was read, (n,), and the device that did."""
REMEDY = (
    "resistors that load the amplifiers less (resistors.unit), a smaller level (a DAC of more bits or with attenuations), amplifiers of "
    "more current and less offset, or systems of smaller condition"
)


def unsaturated(
    cases: Sequence[Case], found: Sequence[Simulated | None], technology: Technology
) -> tuple[list[Case], list[Simulated]]:
    """The cases that did not saturate, and their runs.

    Args:
        found: for each case the run; None where it saturated at every level that was tried.

    Raises:
        InputError: all of them did.
    """
    kept = [(case, run) for case, run in zip(cases, found, strict=True) if run is not None]
    if not kept:
        opamp = technology.opamp
        raise InputError(
            f"each of the {len(cases)} runs saturated at every level, so that nothing can be fitted: the amplifiers of technology "
            f"{technology.name} do not hold what their columns draw (output_limit {opamp.output_limit:g} V, output_resistance "
            f"{opamp.output_resistance:g} ohm, output_current {opamp.output_current:g} A, offset {opamp.offset_mismatch:g} V). Use {REMEDY}"
        )
    return [case for case, _ in kept], [run for _, run in kept]


def left_out(count: int, asked: int) -> dict[str, int]:
    """What a card's provenance says of runs that saturated; with a warning, where there were any."""
    if not count:
        return {}
    warnings.warn(
        f"{count} of {asked} calibration runs saturated and were left out, so that the card is of the others. Use {REMEDY}",
        stacklevel=4,
    )
    return {"saturated_runs": count}
