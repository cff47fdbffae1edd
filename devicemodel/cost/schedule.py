"""Schedules of a step: in turn, or with host, link and array at work at the same time, on a curvature that is a step old.

A step has the gradient g, the curvature's derivatives c, programming p, and the solution s (transfers, converters, settling, residuals, of
which r on the host, for which it leaves the curvature). Asynchrony as published, the curvature of an earlier step on the device and the
gradient of this one (arXiv:2405.13817), needs `TNGD(curvature_age=1)`:

| schedule | period | age of the curvature, steps |
|---|---|---|
| in turn | g + c + p + s | 0 |
| overlapped | max(max(g, p) + s, g + c + r) | 1 |
| double-buffered | max(g + s, g + c + r, p + transfers) | 2 |

overlapped: the host forms the next curvature while the array solves, and the link writes it while the host finds the next gradient;
double-buffered: codes are written into shadow registers while the array runs. With a curvature of every m-th step, steps in between have
neither c nor p, and the times are means over m steps. Host and array are idle for what their own parts leave of the period.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ...circuits.errors import InputError
from .model import Scenario, standby_watts
from .workload import Workload, require_count

NAMES = ("in turn", "overlapped", "double-buffered")
_AGES = {"in turn": 0, "overlapped": 1, "double-buffered": 2}
_SOLUTION = ("transfers", "DAC", "settling", "ADC", "residuals")


@dataclass(frozen=True)
class Schedule:
    """A schedule of the steps of a training, in its steady state.

    Attributes:
        name: of `NAMES`. every: steps for which a curvature serves. age: of the curvature when it is first used, steps.
        seconds, joules: of a step, means. host, link, array: shares of the time in which each is at work.
    """

    name: str
    every: int
    age: int
    seconds: float
    joules: float
    host: float
    link: float
    array: float

    @property
    def limit(self) -> str:
        """What is at work longest."""
        return max(("host", "link", "array"), key=lambda name: getattr(self, name))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        names = ("name", "every", "age", "seconds", "joules", "host", "link", "array", "limit")
        return {name: getattr(self, name) for name in names}


def schedule_of(scenario: Scenario, name: str, every: int = 1) -> Schedule:
    """Time and energy of the scenario's step in a schedule.

    Args:
        scenario: a step. name: of `NAMES`. every: m, steps for which a curvature serves.

    Raises:
        InputError: no such schedule, m < 1, or a field of the scenario out of range.
    """
    require_count("every", every)
    if name not in NAMES:
        raise InputError(f"schedule {name!r} is unknown; there are: {', '.join(NAMES)}")
    cost, host = scenario.cost(), scenario.host
    times = {part.name: part.seconds for part in cost.parts}
    work = Workload(scenario.parameters, scenario.batch, scenario.batch * scenario.outputs, scenario.forward)
    share = work.gradient_flops / work.derivatives(scenario.layout)
    g, c = share * times["derivatives"], (1 - share) * times["derivatives"]
    p, r, s = times["programming"], times["residuals"], math.fsum(times[name] for name in _SOLUTION)

    def period(c: float, p: float) -> float:
        if name == "in turn":
            return g + c + p + s
        return max(max(g, p) + s, g + c + r)

    rest = every - 1
    if name == "double-buffered":  # what is written or formed may take all of the steps for which it serves
        seconds = max(g + s, g + c / every + r, p / every + times["transfers"])
    else:
        seconds = (period(c, p) + rest * period(0.0, 0.0)) / every
    working, linked = g + c / every + r, p / every + times["transfers"]
    energies = {part.name: part.joules for part in cost.parts if part.name not in ("idle host", "standby")}
    joules = math.fsum(energies.values())
    joules -= (1 - 1 / every) * (host.power * c + energies["programming"])
    joules += host.idle_power * max(0.0, seconds - working)
    joules += standby_watts(cost.array, scenario.technology) * max(0.0, seconds - times["settling"])
    shares = (amount / seconds if seconds else 0.0 for amount in (working, linked, s - r))
    return Schedule(name, every, _AGES[name], seconds, joules, *shares)


def schedules(scenario: Scenario, every: tuple[int, ...] = (1,)) -> tuple[Schedule, ...]:
    """Each schedule with each m."""
    return tuple(schedule_of(scenario, name, m) for name in NAMES for m in every)
