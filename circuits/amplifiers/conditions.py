"""An amplifier over corners, temperatures and supplies: each condition is measured on the same bench."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..technology.pdk.corners import at_corner
from ..technology.pdk.process_record import PASSIVE_CORNERS
from .characterise import Characterisation, characterise
from .user_netlist import Amplifier


@dataclass(frozen=True)
class Condition:
    """What an amplifier is measured at.

    Attributes:
        corner: of its process: tt, ff, ss, fs or sf; "": as the netlist has it. Resistors and capacitors follow in tt, ff and ss, and are
            typical in fs and sf.
        temperature: K. supply: factor of all its voltages, against its own ground.
    """

    corner: str
    temperature: float
    supply: float = 1.0


def over_conditions(
    amplifier: Amplifier,
    corners: Iterable[str] = ("",),
    temperatures: Iterable[float] = (300.15,),
    supplies: Iterable[float] = (1.0,),
    load_resistance: float = float("inf"),
    load_capacitance: float = 0.0,
    common_mode: str | None = None,
    report: Callable[[int, int], None] | None = None,
) -> list[tuple[Condition, Characterisation]]:
    """The figures of an amplifier at every combination of corner, temperature and supply.

    Args:
        amplifier: whose transistors are a process's where there are corners.
        corners, temperatures, supplies: see `Condition`.
        load_resistance, load_capacitance, common_mode: as for `characterise`.
        report: called with (done, total) after each.

    Raises:
        InputError: a corner that the process does not have, or that a netlist without a process is asked for; as `characterise`,
            naming the condition.
        SimulationError: as `characterise`.
    """
    wanted = [Condition(c, t, s) for c in corners for s in supplies for t in temperatures]
    found = []
    for done, condition in enumerate(wanted, start=1):
        measured = characterise(
            at(amplifier, condition),
            load_resistance=load_resistance,
            load_capacitance=load_capacitance,
            temperature=condition.temperature,
            common_mode=common_mode,
        )
        found.append((condition, measured))
        if report is not None:
            report(done, len(wanted))
    return found


def at(amplifier: Amplifier, condition: Condition) -> Amplifier:
    """The amplifier with the models of a corner, and its voltages times the supply's factor.

    Raises:
        InputError: no parts of a process, or a corner that it does not have.
    """
    parts, corner = amplifier.parts, condition.corner
    if corner:
        parts = at_corner(parts, corner, corner if corner in PASSIVE_CORNERS else "tt")
    supplies = {port: condition.supply * volts for port, volts in amplifier.supplies.items()}
    return dataclasses.replace(
        amplifier, parts=parts, supplies=supplies, reference=condition.supply * amplifier.reference
    )
