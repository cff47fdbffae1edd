"""`StepCost`: what a step takes, part by part, as records; `model` has the law of each part."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from ...circuits.technology.technology import Technology
from .digital_host import DigitalHost, HostWork
from .prices import KINDS, PriceUse, prices_of
from .solver_array import ACCURACY, SolverArray

HOST = ("derivatives", "residuals", "digital solve")
"""Parts in which the host computes; it waits in the others."""
PARTS = (
    "derivatives",
    "programming",
    "transfers",
    "DAC",
    "settling",
    "ADC",
    "residuals",
    "digital solve",
    "idle host",
    "standby",
)
GROUPS: dict[str, tuple[str, ...]] = {
    "derivatives": ("derivatives",),
    "programming": ("programming",),
    "transfers": ("transfers",),
    "converters": ("DAC", "ADC"),
    "settling": ("settling",),
    "residuals": ("residuals",),
    "digital solve": ("digital solve",),
    "idle host": ("idle host",),
    "standby": ("standby",),
}
"""What competes for being the bottleneck: both kinds of converters together."""


@dataclass(frozen=True)
class CostItem:
    """Time (s) and energy (J) of one part of a step."""

    name: str
    seconds: float
    joules: float


@dataclass(frozen=True)
class Counts:
    """What is done in a step.

    Attributes:
        codes: written to the array. runs: of the array. conversions: of all DACs, and as many of all ADCs.
        work: of the host, on residuals.
    """

    codes: int
    runs: int
    conversions: int
    work: HostWork

    def to_dict(self) -> dict[str, int]:
        """Plain data for JSON."""
        found = {"codes": self.codes, "runs": self.runs, "conversions": self.conversions}
        return found | dataclasses.asdict(self.work)


@dataclass(frozen=True)
class StepCost:
    """What a step takes, in the order of `PARTS`, and how much of what is done; prints as a table.

    Attributes:
        parts: in that order. counts: of what is done.
        array: whose circuit is asked what it needs. run: s, that each run of it is given.
        accuracy: to which `needed` is.
        technology, host: whose prices they are; None: no array, and no host.
    """

    parts: tuple[CostItem, ...]
    counts: Counts
    array: SolverArray
    run: float
    accuracy: float = ACCURACY
    technology: Technology | None = field(default=None, repr=False, compare=False)
    host: DigitalHost | None = field(default=None, repr=False, compare=False)

    @property
    def needed(self) -> float | None:
        """Time that the circuit needs for one run, s: to `accuracy`; inf: it does not settle; None: its law is not known."""
        return self.array.settling(self.accuracy)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why the array cannot be built as it is; empty: nothing is known to speak against it."""
        return self.array.obstacles

    @property
    def buildable(self) -> bool:
        """Whether nothing is known to speak against it."""
        return not self.obstacles

    @property
    def seconds(self) -> float:
        """Total time, s: the parts follow one another."""
        return math.fsum(part.seconds for part in self.parts)

    @property
    def joules(self) -> float:
        """Total energy, J."""
        return math.fsum(part.joules for part in self.parts)

    def groups(self, energy: bool = False) -> dict[str, float]:
        """Seconds of each of `GROUPS`, or joules."""
        amounts = {part.name: part.joules if energy else part.seconds for part in self.parts}
        return {name: math.fsum(amounts[part] for part in members) for name, members in GROUPS.items()}

    @property
    def prices(self) -> tuple[PriceUse, ...]:
        """The prices behind the parts, each with its source: of the host's parts that take time, and of the array that there is."""
        if self.host is None:
            return ()
        taken = {part.name: part.seconds > 0 or part.joules > 0 for part in self.parts}
        found = []
        for price in prices_of(self.technology, self.host):
            owner = price.figure.split(".")[0]
            if (
                any(taken[part] for part in price.parts)
                if owner == "host"
                else owner != "opamp" or self.array.amplifiers
            ):
                found.append(price)
        return tuple(found)

    @property
    def unsourced(self) -> tuple[str, ...]:
        """Why the total is not sourced, a clause for each price; empty: each has a source."""
        return tuple(price.doubt for price in self.prices if price.doubt)

    @property
    def caveat(self) -> str:
        """What stands in the line of a total: how many prices are free, and how many have no source; "": all have one."""
        free = sum(price.free for price in self.prices)
        other = len(self.unsourced) - free
        found = [f"{free} prices not stated"] * (free > 0) + [f"{other} without a source"] * (other > 0)
        return ", ".join(found)

    def joules_by_kind(self) -> dict[str, float]:
        """Energy by the weakest kind among the prices of each part (`prices.KINDS`); parts that take none are left out."""
        found: dict[str, float] = {}
        for part in self.parts:
            kinds = [price.kind for price in self.prices if part.name in price.parts]
            if kinds and part.joules:
                weakest = max(kinds, key=KINDS.index)
                found[weakest] = found.get(weakest, 0.0) + part.joules
        return {kind: found[kind] for kind in KINDS if kind in found}

    @property
    def bottleneck(self) -> str:
        """Name of the group that takes most time."""
        return _largest(self.groups())

    @property
    def energy_bottleneck(self) -> str:
        """Name of the group that takes most energy."""
        return _largest(self.groups(energy=True))

    def part(self, name: str) -> CostItem:
        """The part of this name (`PARTS`)."""
        return self.parts[PARTS.index(name)]

    @property
    def shown(self) -> tuple[CostItem, ...]:
        """The parts of a table: that of the other kind of solver is left out."""
        return tuple(part for part in self.parts if part.name != "digital solve" or part.seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "parts": {part.name: {"seconds": part.seconds, "joules": part.joules} for part in self.parts},
            "seconds": self.seconds,
            "joules": self.joules,
            "bottleneck": self.bottleneck,
            "energy_bottleneck": self.energy_bottleneck,
            "counts": self.counts.to_dict(),
            "run": self.run,
            "needed": self.needed,
            "accuracy": self.accuracy,
            "buildable": self.buildable,
            "obstacles": list(self.obstacles),
            "prices": [price.to_dict() for price in self.prices],
            "unsourced": list(self.unsourced),
            "joules_by_kind": self.joules_by_kind(),
        }

    def __str__(self) -> str:
        rows = [(part.name, part.seconds, part.joules) for part in self.shown]
        lines = [f"{'part':>12}{'time, s':>12}{'share':>9}{'energy, J':>12}{'share':>9}"]
        for name, seconds, joules in [*rows, ("total", self.seconds, self.joules)]:
            of_time, of_energy = share(seconds, self.seconds), share(joules, self.joules)
            lines.append(f"{name:>12}{seconds:>12.3g}{of_time:>9}{joules:>12.3g}{of_energy:>9}")
        if self.unsourced:
            lines[-1] += f"  {self.caveat}"
        lines.append(f"bottleneck: {self.bottleneck} in time, {self.energy_bottleneck} in energy")
        if (needed := self.needed) is not None:
            lines.append(f"a run of {self.run:.3g} s; to {100 * self.accuracy:g} % the circuit needs {needed:.3g} s")
        lines += [f"not sourced: {why}" for why in self.unsourced]
        return "\n".join([*lines, *(f"not buildable, because {why}" for why in self.obstacles)])


def share(amount: float, whole: float) -> str:
    """A part of a whole in percent, as text."""
    return f"{100 * amount / whole:.1f} %" if whole and math.isfinite(whole) else "-"


def _largest(groups: dict[str, float]) -> str:
    return max(groups, key=lambda name: groups[name])
