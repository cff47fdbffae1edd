"""Solves of a design point's die, repeated in ngspice on the netlist of the same die."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ....circuits.errors import InputError, SimulationError
from ....circuits.technology.die import Die
from ....devicemodel.card import DeviceCard
from ....devicemodel.device import Device, Solution
from ....devicemodel.devices.spice import SpiceDevice
from ....devicemodel.devices.surrogate import SurrogateDevice
from ....devicemodel.systems import Dense
from ..knobs.design_point import DesignPoint
from .met_systems import MeetingDevice, MetSystem

FOLLOWED = 32
"""Most unknowns of a run that ngspice follows in time, some seconds; larger ones are compared where they settle (2 s of 72 unknowns, 30 s
of 144)."""

BLOCK = 128
"""Most unknowns that ngspice is given. Of a larger system the leading block is compared, which of a dual one is the system of the batch's
first samples."""


def die_at(point: DesignPoint, card: DeviceCard, die: int | None, seed: int) -> SurrogateDevice:
    """The die of a point without what refines its readings. InputError as `DesignPoint.device_at`."""
    found = DesignPoint({name: value for name, value in point.items() if not name.startswith("refined.")})
    device = found.device_at(card, die, seed)
    assert isinstance(device, SurrogateDevice)
    return device


def watched(point: DesignPoint, die: SurrogateDevice, steps: Sequence[int]) -> tuple[Device, MeetingDevice | None]:
    """A die, refined as the point says, and what keeps the systems that are programmed at these steps; None without steps."""
    meeting = MeetingDevice(die, steps) if steps else None
    return point.refined(meeting or die), meeting


def spread(count: int, among: int) -> list[int]:
    """`count` of `among` places, evenly; all of them if there are no more."""
    if count >= among:
        return list(range(among))
    return np.unique(((np.arange(count) + 0.5) * among / count).astype(int)).tolist()


def spice_of(die: SurrogateDevice, noisy: bool = True, timeout: float = 300.0) -> SpiceDevice:
    """ngspice with the netlist of a die: same parts, converters, read-out, wires, and seed.

    Figures are the technology's as stated, against which cards are calibrated; of a card that was measured on a board, the card's.

    Args:
        noisy: False: without thermal noise. timeout: s of one simulation.

    Raises:
        InputError: a part that netlists do not have.
    """
    card = die.card
    technology = card.technology if "simulator" in card.provenance or not card.provenance else card.circuit_technology()
    own = die.die.seed if type(die.die) is Die else die.die
    return SpiceDevice(
        technology, own, card.fabric, None if noisy else False, timeout, die.seed, die.read_out, die.layout,
        programming=die.programming,
    )  # fmt: skip


def surrogate_of(die: SurrogateDevice, noisy: bool = True) -> SurrogateDevice:
    """The die as new: in the state before its first run. noisy: False: without thermal noise."""
    card = die.card
    if not noisy:
        card = card.replace(technology=card.technology.replace(thermal__johnson_noise=False))
    own = die.die.seed if type(die.die) is Die else die.die
    return SurrogateDevice(card, own, die.seed, die.read_out, die.layout, True, die.programming)


def solved(device: Device, system: MetSystem) -> Solution:
    """One run of a device with a system and its drive, and one reading."""
    programmed = Dense(system.matrix, floor=system.floor)
    return device.solve(programmed, system.b, system.duration, x0=system.start)


def in_ngspice(die: SurrogateDevice, systems: Sequence[MetSystem]) -> dict[str, float]:
    """How far the readings of systems by the surrogate are from those by ngspice, on the same die and netlist.

    Each system is programmed anew, as it was programmed in the run, and read once, without thermal noise on either side and with the same
    draws of converters and of write noise; d_i = |x_surrogate - x_ngspice| / |x_ngspice|. Up to `FOLLOWED` unknowns the run is as long as
    it was; larger ones settle, and are cut to a leading block of `BLOCK`.

    Returns:
        "solves": n. "difference": D = sqrt(mean of d_i^2); nan of none. "std": its standard error, that of the mean of d_i^2 over 2 D; nan
        of one. "uncompared": systems of which ngspice or the surrogate has no reading, or whose simulation failed.
    """
    squares, uncompared = [], 0
    for met in systems:
        system = comparable(met)
        try:
            pair = [solved(device, system) for device in (surrogate_of(die, False), spice_of(die, False))]
        except SimulationError:
            uncompared += 1
            continue
        if not all(one.outcome.readable for one in pair):
            uncompared += 1
            continue
        ours, theirs = (one.x for one in pair)
        squares.append(float((ours - theirs).square().sum() / theirs.square().sum()))
    difference = math.sqrt(np.mean(squares)) if squares else math.nan
    std = math.nan
    if len(squares) > 1:
        of_mean = float(np.std(squares, ddof=1)) / math.sqrt(len(squares))
        std = of_mean / (2 * difference) if difference else 0.0
    return {"solves": len(squares), "difference": difference, "std": std, "uncompared": uncompared}


def comparable(system: MetSystem) -> MetSystem:
    """A system as ngspice can take it in some seconds."""
    if len(system.b) <= FOLLOWED:
        return system
    matrix, b, start = system.matrix[:BLOCK, :BLOCK].contiguous(), system.b[:BLOCK], system.start[:BLOCK]
    return dataclasses.replace(system, matrix=matrix, b=b, start=start, duration=math.inf)


def check_count(in_spice: int, card: DeviceCard | None) -> None:
    """InputError unless it is a number of solves, of a die."""
    if isinstance(in_spice, bool) or not isinstance(in_spice, int) or in_spice < 0:
        raise InputError(f"in_spice is {in_spice!r}: give a number of solves >= 0")
    if in_spice and card is None:
        raise InputError(
            f"in_spice is {in_spice} without a card: the ideal device has no netlist; give a card, or in_spice=0"
        )
