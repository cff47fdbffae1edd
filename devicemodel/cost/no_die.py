"""The row "no die": the same step with its system solved by the host alone, and from which size, batch or rate on a die pays.

The host solves the k x k system of the dual layout in single precision, or takes products with C, none of which asks for a matrix:

| solver | operations | bytes |
|---|---|---|
| Cholesky | k^3 / 3 + 2 k^2 | 4 k^2 |
| CG, c iterations | 2 c k^2 | 4 c k^2 |
| CG by products with C | 4 F c | - |

each at the host's rate or its memory's bandwidth, whichever takes longer. Iterations c are those that the condition number allows,

    2 ((sqrt(kappa) - 1) / (sqrt(kappa) + 1))^c <= accuracy       (in the norm of the matrix),

which bounds them from above: spectra in clusters take fewer. A bare reading has the settling's accuracy, a refined one of r rounds at best
its (r + 1)-th power, which favours the die: mismatch and codes make each round worse.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from ...circuits.errors import InputError
from . import digital_step
from .model import WHOLE, Scenario, digital_cost
from .step import StepCost
from .sweeps import knob_values
from .workload import Workload

SINGLE = 4
"""Bytes of a number in single precision."""
FINEST = 1e-7
"""Relative error that single precision allows."""
TRIED = 60
"""Values of a knob at which a die is compared."""
PLACES = {"batch": (1.0, 1e4), "rate": (1e9, 1e16), "condition": (2.0, 1e4)}
"""Knobs, and their bounds, by which a die that does not pay is looked for as one that does."""
SOLVERS = ("Cholesky", "CG", "CG, products")
"""Of a host alone."""


@dataclass(frozen=True)
class NoDie:
    """A step without an array.

    Attributes:
        solver: "Cholesky", "CG" or "CG, products". iterations: of CG; 0: direct.
        cost: of the whole step; its parts are the derivatives and the digital solve.
    """

    solver: str
    iterations: int
    cost: StepCost

    def __str__(self) -> str:
        return f"{self.solver}, {self.iterations} iterations" if self.iterations else self.solver

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"solver": self.solver, "iterations": self.iterations, **_figures(self.cost)}


def _figures(cost: StepCost) -> dict[str, float]:
    solution = [part for part in cost.parts if part.name != "derivatives"]
    return {
        "solution_seconds": math.fsum(part.seconds for part in solution),
        "solution_joules": math.fsum(part.joules for part in solution),
        "seconds": cost.seconds,
        "joules": cost.joules,
    }


def cg_iterations(condition: float, accuracy: float) -> int:
    """Iterations of conjugate gradients to a relative error in the norm of the matrix, at most, by its condition number."""
    if condition <= 1:
        return 1
    root = math.sqrt(condition)
    return max(1, math.ceil(math.log(2 / accuracy) / math.log((root + 1) / (root - 1))))


def without_die(scenario: Scenario) -> tuple[NoDie, ...]:
    """The scenario's step on its host alone, to the error that its die settles to, by each solver.

    Raises:
        InputError: a field of the scenario that is out of range.
    """
    host, sources = scenario.host, scenario.batch * scenario.outputs
    work = Workload(scenario.parameters, scenario.batch, sources, scenario.forward)
    rounds = scenario.reading.rounds or 0
    accuracy = max(FINEST, scenario.accuracy ** (1 + rounds))
    iterations = min(cg_iterations(scenario.condition, accuracy), sources)
    gradient = work.gradient_flops / host.rate
    formed = work.derivatives("dual") / host.rate
    if scenario.digital_seconds is not None and scenario.layout == "dual":
        formed = scenario.digital_seconds
    once = SINGLE * float(sources) ** 2 / host.bandwidth
    solvers = {
        "Cholesky": (0, formed, max(digital_step.cholesky(sources) / host.rate, once)),
        "CG": (iterations, formed, iterations * max(2.0 * sources**2 / host.rate, once)),
        "CG, products": (
            iterations,
            gradient,
            digital_step.by_conjugate_gradients(work, iterations).solve / host.rate,
        ),
    }
    return tuple(
        NoDie(name, count, digital_cost(derivatives, solve, host))
        for name, (count, derivatives, solve) in solvers.items()
    )


def advantage(scenario: Scenario, energy: bool = False, solver: str | None = None) -> float:
    """What the step takes without a die over what it takes with one; above 1 the die pays.

    Args:
        energy: compare energies instead of times.
        solver: of `SOLVERS`; None: whole steps are compared, with the cheapest. With one, solutions alone are compared, without the
            derivatives: with Cholesky and CG those of the same system.

    Raises:
        InputError: no such solver.
    """
    if solver is not None and solver not in SOLVERS:
        raise InputError(f"solver {solver!r} is unknown; there are: {', '.join(SOLVERS)}")
    figure = f"{'' if solver is None else 'solution_'}{'joules' if energy else 'seconds'}"
    hosts = [one.to_dict()[figure] for one in without_die(scenario) if solver in (None, one.solver)]
    return float(min(hosts) / solution_figures(scenario)[figure])


def pays_from(
    scenario: Scenario, knob: str, low: float, high: float, energy: bool = False, solver: str | None = None
) -> float | None:
    """Smallest value of a knob from which on, up to `high`, the die pays; None: not even there.

    Args:
        scenario: the rest of the machine. knob: one of `model.KNOBS`.
        low, high: 0 < low < high; `low` is returned where the die pays in all of it.
        energy, solver: see `advantage`.

    Raises:
        InputError: bounds out of order, no such knob or solver.
    """

    def pays(value: float) -> bool:
        return advantage(scenario.turned(knob, value), energy, solver) >= 1

    values = knob_values(knob, low, high, TRIED)
    best: float | None = None
    for value in reversed(values):
        if not pays(value):
            break
        best = value
    if best is None or best == values[0]:
        return best
    left, right = values[values.index(best) - 1], best
    while right - left > (1 if knob in WHOLE else 1e-3 * right):
        middle = float((left + right) // 2) if knob in WHOLE else math.sqrt(left * right)
        left, right = (left, middle) if pays(middle) else (middle, right)
    return right


@dataclass(frozen=True)
class BreakEven:
    """Whether a die pays, and from where on it would.

    Attributes:
        solver: against which, see `advantage`; None: whole steps, against the cheapest. energy: in energy instead of time.
        advantage: see there. places: by knob of `PLACES`, see `pays_from`; empty where the die pays.
    """

    solver: str | None
    energy: bool
    advantage: float
    places: dict[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"solver": self.solver, "energy": self.energy, "advantage": self.advantage, "places": self.places}


def break_even(scenario: Scenario) -> tuple[BreakEven, ...]:
    """For whole steps and for solutions of the same system, in time and in energy."""
    found = []
    for solver, energy in itertools.product((None, "Cholesky", "CG"), (False, True)):
        ratio = advantage(scenario, energy, solver)
        places = {
            knob: pays_from(scenario, knob, low, high, energy, solver)
            for knob, (low, high) in PLACES.items()
            if ratio < 1 and not (knob == "batch" and scenario.digital_seconds is not None)
        }
        found.append(BreakEven(solver, energy, ratio, places))
    return tuple(found)


def solution_figures(scenario: Scenario) -> dict[str, float]:
    """Time and energy of the die's solution and of its whole step, by the names of `NoDie.to_dict`."""
    return _figures(scenario.cost())
