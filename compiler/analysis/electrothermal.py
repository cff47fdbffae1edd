"""Electro-thermal analysis: a program's own heat, its amplifiers' and its resistors', warms the resistors, which changes the solution and
the heat.

Heat p(T) -> temperature T = T_amb + G^-1 (h + p) (`circuits.technology.thermal`) -> parts at T -> voltages -> heat is a fixed-point
problem. Drive currents make heat in proportion to R, voltages to 1 / R, so a temperature coefficient of the right sign feeds back
positively; past a fold no steady temperature exists: thermal runaway.

This is the designer's analysis and solves A x = b to know the voltages. It must not be used on the path of a simulated device.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.die import TEMPERATURE_FACTOR_FLOOR, Die
from ...circuits.technology.thermal import temperature_map
from ..program import AnalogProgram
from ..validate import validate_drive
from .heat import equilibrium, heat_map, require_resistors

LARGEST_STEP = 50.0
"""Most K that any cell changes in one iteration: a strong negative feedback overshoots, and a limit on that is no runaway."""
PERSISTENT = 10
"""Successive iterations with a growing distance from balance, all in one direction, that count as runaway."""
SMALLEST_TOLERANCE = 1e-9
"""K; temperatures of some 300 K are not resolved much finer in double precision."""


class ThermalOutcome(enum.Enum):
    """How the search for a steady temperature ended."""

    CONVERGED = "converged"
    RUNAWAY = "runaway"
    NOT_CONVERGED = "not converged"


@dataclass(frozen=True, eq=False)
class ElectroThermal:
    """A program at the temperature that its own heat gives it; or, without convergence, the last iterate.

    Attributes:
        outcome: `ThermalOutcome`.
        reason: what happened and, where it did not converge, what to try.
        iterations: maps computed.
        residual: largest |T_next - T| of the last iteration, K.
        temperatures: (cells, cells) K. background: the same without the program's own heat.
        heat: (cells, cells) W, the program's own, from which `temperatures` follow when it converged.
        amplifier_heat: (cells, cells) W, that of the amplifiers in it, which does not depend on the solution.
        program: the program with parts at `temperatures`.
        x: (n,) the solution that it settles at, problem units, offsets included; nan where it has none.
    """

    outcome: ThermalOutcome
    reason: str
    iterations: int
    residual: float
    temperatures: np.ndarray
    background: np.ndarray
    heat: np.ndarray
    amplifier_heat: np.ndarray
    program: AnalogProgram
    x: np.ndarray

    @property
    def max_rise(self) -> float:
        """Largest rise of a cell by the program's own heat, K."""
        return float((self.temperatures - self.background).max())

    @property
    def spread(self) -> float:
        """Temperature of the hottest cell less that of the coldest, K."""
        return float(np.ptp(self.temperatures))

    @property
    def total_power(self) -> float:
        """The program's own heat, W."""
        return float(self.heat.sum())


def self_heated(
    program: AnalogProgram,
    die: Die,
    b: Any,
    tolerance: float = 1e-6,
    iterations: int = 200,
    damping: float = 1.0,
    limit: float = 1000.0,
) -> ElectroThermal:
    """The steady temperature of a die on which a program holds the solution of b, and the program at that temperature.

    Iterates T <- T + w (T_amb + G^-1 (h + p(T)) - T) from the map without the program's heat. The weight w starts at `damping` and is
    halved when the iterates swing; no cell moves by more than `LARGEST_STEP` at once. It has converged when the remaining distance to the
    fixed point, estimated from the rate at which steps shrink, is below the tolerance. A drive held for ever is the worst case: a solve
    takes microseconds and heat takes milliseconds, so that programs which change see the mean of their heat maps.

    A designer's analysis, which solves A x = b at each iteration: not for the path of a simulated device.

    Args:
        program: as compiled; its parts are put on the die by `program.on`.
        die: whose mismatch and ambient temperature count; its own temperature map does not (the map is what is sought).
        b: (n,) right-hand side, problem units.
        tolerance: K, at least `SMALLEST_TOLERANCE`.
        iterations: most maps that are computed, >= 1.
        damping: first weight w, above 0 and at most 1.
        limit: K; a hotter cell is a runaway.

    Raises:
        InputError: an argument out of range, or b does not fit. UnrealisableError: a fabric without a device model.
            Runaway and failure to converge are outcomes, not errors.
    """
    require_resistors(program)
    validate_drive(b, program.size)
    for name, value, low, high in (
        ("tolerance", tolerance, SMALLEST_TOLERANCE, np.inf),
        ("damping", damping, np.finfo(float).tiny, 1.0),
        ("limit", limit, np.finfo(float).tiny, np.inf),
    ):
        if not (np.isfinite(value) and low <= value <= high):
            raise InputError(f"{name} is {value!r}; give a finite number from {low:.3g} to {high:.3g}")
    if isinstance(iterations, bool) or not isinstance(iterations, int | np.integer) or iterations < 1:
        raise InputError(f"iterations is {iterations!r}; give an integer >= 1")
    # Overflow is what a runaway ends in; it is looked for, and reported as that.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _Search(program, die, b, tolerance, damping, limit).run(int(iterations))


class _Search:
    """The damped fixed-point iteration, and what it has seen."""

    def __init__(
        self, program: AnalogProgram, die: Die, b: Any, tolerance: float, damping: float, limit: float
    ) -> None:
        self.program, self.die, self.b = program, die, b
        self.tolerance, self.weight, self.limit = tolerance, damping, limit
        self.thermal = die.technology.thermal
        self.background = temperature_map(self.thermal, die.ambient)
        self.temperatures = self.background
        self.heat = np.zeros_like(self.background)
        self.residual, self.done = np.inf, 0
        self.first_power: float | None = None

    def run(self, most: int) -> ElectroThermal:
        if not self._within_limit(self.background):
            return self._ended(
                ThermalOutcome.RUNAWAY,
                f"without the program's own heat the die is already hotter than {self.limit:g} K: lower thermal.power, "
                "or raise thermal.to_ambient",
            )
        step, size, growing = np.zeros_like(self.background), np.inf, 0
        while self.done < most:
            self.done += 1
            heat = self._heat_at(self.temperatures)
            if heat is None:
                return self._ended(
                    ThermalOutcome.NOT_CONVERGED,
                    f"at iteration {self.done} the realised matrix is not positive definite, so the circuit has no rest: use "
                    "more damping when compiling, smaller temperature coefficients, or a smaller temperature spread",
                )
            self.heat = heat
            if self.first_power is None:
                self.first_power = self.heat.sum()
            if not np.isfinite(self.heat).all():
                return self._runaway("its heat is beyond double precision")
            wanted = temperature_map(self.thermal, self.die.ambient, self.heat)
            before, earlier = step, size
            step = wanted - self.temperatures
            size = float(np.abs(step).max())
            self.residual = size
            if not np.isfinite(size) or (wanted <= 0).any():
                return self._runaway("nothing carries its heat away")
            weight = min(self.weight, LARGEST_STEP / size) if size > 0 else self.weight
            if self._near(size, size / earlier, weight):
                self.temperatures = wanted
                return self._settled() if self._within_limit(wanted) else self._over_limit()
            swings = float((step * before).sum()) < 0
            if swings and size > earlier / 2:
                self.weight /= 2
                weight = min(weight, self.weight)
            growing = growing + 1 if size > earlier and not swings and step.max() > -step.min() else 0
            if growing >= PERSISTENT:
                return self._runaway(
                    f"each degree makes more than a degree ({size / earlier:.3g} times as far from balance as an iteration before)"
                )
            self.temperatures = self.temperatures + weight * step
            if not self._within_limit(self.temperatures):
                return self._over_limit()
        return self._ended(
            ThermalOutcome.NOT_CONVERGED,
            f"{most} iterations were not enough, the last changed a cell by {self.residual:.3g} K: allow more iterations, start with a "
            "smaller damping if the changes swing, or accept a larger tolerance",
        )

    def _near(self, size: float, rate: float, weight: float) -> bool:
        """Whether the fixed point is within the tolerance. Residuals shrink by 1 - w (1 - rho), so size / (1 - rho) is the distance."""
        if size <= 4 * np.finfo(float).eps * float(self.temperatures.max()):
            return True
        return rate < 1 and size * max(1.0, weight / (1 - rate)) <= self.tolerance

    def _within_limit(self, temperatures: np.ndarray) -> bool:
        return bool(np.isfinite(temperatures).all() and temperatures.max() <= self.limit)

    def _on(self, temperatures: np.ndarray) -> AnalogProgram:
        return self.program.on(self.die.at(temperatures))

    def _heat_at(self, temperatures: np.ndarray) -> np.ndarray | None:
        """Heat map of the program at these temperatures; None where its matrix has no stable rest."""
        program = self._on(temperatures)
        x = _rest(program, self.b)
        return None if x is None else heat_map(program, self.die, x, self.b)

    def _settled(self) -> ElectroThermal:
        now, without_heat = (self.die.temperature_factor(kelvin) for kelvin in (self.temperatures, self.background))
        floor = (now <= TEMPERATURE_FACTOR_FLOOR) & (without_heat > TEMPERATURE_FACTOR_FLOOR)
        if not floor.any():
            return self._ended(ThermalOutcome.CONVERGED, f"steady to {self.tolerance:g} K after {self.done} iterations")
        if self.heat.sum() > (self.first_power or 0.0):
            return self._runaway(
                f"resistors have fallen to the {TEMPERATURE_FACTOR_FLOOR:g} at which their temperature law ends"
            )
        return self._ended(
            ThermalOutcome.NOT_CONVERGED,
            f"resistors have fallen to the {TEMPERATURE_FACTOR_FLOOR:g} at which their temperature law ends: give coefficients "
            "that hold there, or lower the signal level",
        )

    def _over_limit(self) -> ElectroThermal:
        return self._runaway(f"a cell passed {self.limit:g} K")

    def _runaway(self, how: str) -> ElectroThermal:
        return self._ended(
            ThermalOutcome.RUNAWAY,
            f"at iteration {self.done} {how}; lower the signal level (program.at_scale), raise thermal.to_ambient, "
            "or use resistors with smaller temperature coefficients",
        )

    def _ended(self, outcome: ThermalOutcome, reason: str) -> ElectroThermal:
        usable = np.isfinite(self.temperatures).all() and (self.temperatures > 0).all()
        program = self._on(self.temperatures) if usable else self.program
        x = _rest(program, self.b) if usable else None
        return ElectroThermal(
            outcome=outcome,
            reason=reason,
            iterations=self.done,
            residual=self.residual,
            temperatures=self.temperatures,
            background=self.background,
            heat=self.heat,
            amplifier_heat=self.program.parts.amplifier_heat(self.die),
            program=program,
            x=np.full(program.size, np.nan) if x is None else x,
        )


def _rest(program: AnalogProgram, b: Any) -> np.ndarray | None:
    """`equilibrium`, or None where the circuit does not settle."""
    if not program.is_stable():
        return None
    try:
        x = equilibrium(program, b)
    except (np.linalg.LinAlgError, RuntimeError):  # numpy's and scipy's words for a singular matrix
        return None
    return x if np.isfinite(x).all() else None
