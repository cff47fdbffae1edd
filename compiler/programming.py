"""`Programming`: what a device's host does, beyond the nearest codes, so that a die holds the matrix that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from ..circuits.errors import InputError


@dataclass(frozen=True, eq=False)
class Programming:
    """Ways of choosing what is programmed. Each is off by default; none looks at the die's parts.

    Args:
        compensate_leak: program A_ii - L_i / A0. An amplifier of finite gain A0 adds L_i / A0 to the diagonal, L_i the conductance at
            its input, which the host knows to the mismatch of a sum: from the values that it programs, and the amplifiers' nominal gain.
            What remains is the spread of A0 and of L. No entry is taken below zero. A board that is unstable so is programmed again
            without it, at the cost of a run. No effect in fabrics without amplifiers, which have no leak.

    Raises:
        InputError: compensate_leak is no bool.
    """

    compensate_leak: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.compensate_leak, bool):
            raise InputError(f"compensate_leak is {self.compensate_leak!r}: give True or False")
