"""`SolverArray`: what of an array takes time and energy, and what its circuit says about that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...circuits.amplifiers.output_stage import share_of_limits
from ...circuits.technology.area import ArrayArea
from ...circuits.technology.parts import OpAmp

ACCURACY = 0.01
"""|x(t) - x(inf)| / |x(inf)| to which a circuit settles, where nothing else is said."""


class Circuit(Protocol):
    """What the law of a circuit says before it is used."""

    def settling(self, accuracy: float) -> float:
        """Time that a run needs to this relative accuracy, s; inf: it does not settle."""
        ...

    def obstacles(self) -> tuple[str, ...]:
        """Why it cannot be built or used as it is, each as a clause with its remedy; empty: nothing speaks against it."""
        ...

    def largest_current(self) -> float:
        """Of an amplifier's output at rest, A."""
        ...

    def largest_load(self) -> float:
        """Conductance at the most loaded output of an amplifier, S."""
        ...


@dataclass(frozen=True)
class SolverArray:
    """What of an array takes time and energy.

    Attributes:
        cells: unknowns; each is driven by one word and read as one.
        codes: numbers that program the matrix.
        amplifiers: amplifiers that are on while the cells settle.
        tau: s, the unit of the duration.
        heat: W in the resistors while the cells settle.
        drive_loss: W that the amplifiers' outputs dissipate themselves to drive the resistors, beyond their power at rest.
        most_heat: W in the resistors with every voltage at its limit: a bound.
        circuit: its law; None: not known.
        area: on silicon; None: not known, and no_area says why.
    """

    cells: int
    codes: int
    amplifiers: int
    tau: float
    heat: float
    drive_loss: float = 0.0
    most_heat: float = 0.0
    circuit: Circuit | None = field(default=None, repr=False, compare=False)
    area: ArrayArea | None = field(default=None, repr=False, compare=False)
    no_area: str = field(default="", repr=False, compare=False)

    def settling(self, accuracy: float = ACCURACY) -> float | None:
        """Time that a run needs to this relative accuracy, s; inf: it does not settle; None: the law is not known."""
        return None if self.circuit is None else self.circuit.settling(accuracy)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why it cannot be built or used as it is; empty: nothing is known to speak against it."""
        return () if self.circuit is None else self.circuit.obstacles()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        figures = ("cells", "codes", "amplifiers", "tau", "heat", "drive_loss", "most_heat")
        found: dict[str, Any] = {name: getattr(self, name) for name in figures}
        found |= {"area": None if self.area is None else self.area.to_dict(), "no_area": self.no_area}
        if self.circuit is not None:
            load = self.circuit.largest_load()
            found |= {
                "smallest_load": 1.0 / load if load else None,
                "largest_current": self.circuit.largest_current(),
            }
        return found


def overloaded(opamp: OpAmp, volts: float, current: float, remedy: str) -> str:
    """Why an amplifier cannot make these volts (of two outputs the difference) with this current of each output; "": it can."""
    share = float(share_of_limits(opamp, np.array([volts]), np.array([current]))[0])
    share = max(share, abs(volts) / opamp.output_limit)
    if share <= 1:
        return ""
    each, limit = abs(volts) / opamp.outputs, opamp.output_limit / opamp.outputs
    load = each / current if current else math.inf
    return (
        f"an amplifier's output drives {load:.3g} ohm, which takes {current:.3g} A at {each:.3g} V: {share:.3g} times what it can, with "
        f"{opamp.output_current:.3g} A, {limit:.3g} V and {opamp.output_resistance:.3g} ohm of its own; use larger resistors "
        f"(resistors.unit), a stronger amplifier, or {remedy}"
    )
