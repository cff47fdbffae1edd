"""Electro-thermal analysis: a program's own heat warms its resistors, which changes the solution and the heat.

A resistor of conductance g with the voltage u across it makes g u^2 of heat at its place on the die. With v the cells' voltages at rest and
rails at +v/2 and -v/2, the summing nodes of an amplifier of gain A0 and offset Vos at +e/2 and -e/2, e = Vos - v / A0, and V the sources:

    passive coupling (i, j)   g (v_i + p v_j)^2 / 4 a rail    leg       g v_i^2 / 4 a rail      p = sign of A_ij
    crosspoint (i, j)         g (p v_j - e_i)^2 / 4 a rail    input     g (V_i + e_i)^2 / 4 a rail

(with one rail the same without the 4). Summed over all parts, a passive program makes the power of its drive, sum_i I_i v_i over the
number of rails (Tellegen); in a crossbar the amplifiers' outputs deliver the rest. The amplifiers' own supply power is no part of this:
it is the technology's `thermal.power`.

Heat p(T) -> temperature T = T_amb + G^-1 (h + p) (`circuits.technology.thermal`) -> parts at T -> voltages -> heat is a fixed-point
problem. Drive currents make heat in proportion to R, voltages to 1 / R, so a temperature coefficient of the matching sign feeds back
positively; past a fold no steady temperature exists: thermal runaway.

This is the designer's analysis and solves A x = b to know the voltages. It must not be used on the path of a simulated device.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...circuits.errors import InputError, UnrealisableError
from ...circuits.technology.die import DRIFT_FLOOR, Die
from ...circuits.technology.thermal import heat_at, temperature_map
from ..fabrics.network import Network
from ..fabrics.registry import fabric_names
from ..matrices import dense, is_sparse, solver
from ..parts import Parts
from ..program import AnalogProgram
from ..validate import validate_drive

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
class Dissipation:
    """Heat of each resistor at rest, W; shapes are those of the parts.

    Attributes:
        coupling: (rails, n, n), or (rails, m) in a `Network`; where (i, j) and (j, i) are one part, it is at i < j.
        ground: (rails, n) legs.
        drive: (rails, n) input resistors; zeros where currents are the drive.
    """

    coupling: np.ndarray
    ground: np.ndarray
    drive: np.ndarray

    @property
    def total(self) -> float:
        """W."""
        return float(sum(kind.sum() for kind in (self.coupling, self.ground, self.drive)))


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
    program: AnalogProgram
    x: np.ndarray

    @property
    def max_rise(self) -> float:
        """Largest rise of a cell by the program's own heat, K."""
        return float((self.temperatures - self.background).max())

    @property
    def spread(self) -> float:
        """Hottest less coldest cell, K."""
        return float(np.ptp(self.temperatures))

    @property
    def total_power(self) -> float:
        """The program's own heat, W."""
        return float(self.heat.sum())


def equilibrium(program: AnalogProgram, b: Any) -> np.ndarray:
    """The solution at which a program's parts settle, (n,) in problem units: M x = b and the amplifiers' offsets.

    v = (K + L / A0)^-1 (drive * I + L Vos), x = d v / volts_per_unit. A designer's analysis: it solves the system.

    Raises:
        InputError: b does not fit. UnrealisableError: a fabric without a device model.
        numpy.linalg.LinAlgError, RuntimeError: the realised matrix is singular, dense or sparse.
    """
    _require_resistors(program)
    parts, fabric = program.parts, program.fabric
    stiffness = fabric.realised(parts, program.technology)
    pull = fabric.drive(parts) * program.currents(b)
    if fabric.active:
        pull = pull + (parts.coupling.mean(axis=0).sum(axis=1) + parts.drive.mean(axis=0)) * parts.offset
    volts = solver(stiffness if is_sparse(stiffness) else dense(stiffness))(pull)
    return np.asarray(volts * program.readout_scale / program.volts_per_unit)


def dissipation(program: AnalogProgram, x: Any, b: Any) -> Dissipation:
    """Heat of each resistor, W, while the program rests at x under the drive b held constant.

    The rails of a pair are taken at +v/2 and -v/2; a mismatch of the two moves both, which changes the heat in second order only.
    Voltages are those at the program's `volts_per_unit`; no rail clips them.

    Args:
        program: with parts as they are (nominal, or of a die).
        x: (n,) solution in problem units: computed (`equilibrium`) or measured.
        b: (n,) right-hand side, problem units.

    Raises:
        InputError: x or b does not fit. UnrealisableError: a fabric without a device model.
    """
    _require_resistors(program)
    parts = program.parts
    volts = _vector("x", x, program.size) / program.readout_scale * program.volts_per_unit
    currents = program.currents(b)
    return _of_network(parts, volts) if isinstance(parts, Network) else _of_arrays(program, parts, volts, currents)


def heat_map(program: AnalogProgram, die: Die, x: Any, b: Any) -> np.ndarray:
    """Heat made in each cell of a die's grid, (cells, cells) in W: `dissipation` at the places that `program.on(die)` uses.

    Unknown i is at (i + 1/2) / n: a coupling (i, j) at row i, column j, a leg on the diagonal, an input resistor at the right edge.

    Args:
        program: with parts as they are; the die says only which grid. x, b: as in `dissipation`.
        die: whose technology's grid is used.

    Raises:
        InputError, UnrealisableError: as `dissipation`.
    """
    heat = dissipation(program, x, b)
    n, cells, parts = program.size, len(die.temperatures), program.parts
    place = (np.arange(n) + 0.5) / n
    if isinstance(parts, Network):
        row, column = place[parts.first], place[parts.second]
    else:
        row, column = place[:, None], place[None, :]
    return (
        heat_at(cells, heat.coupling.sum(axis=0), row, column)
        + heat_at(cells, heat.ground.sum(axis=0), place, place)
        + heat_at(cells, heat.drive.sum(axis=0), place, np.ones(n))
    )


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
    _require_resistors(program)
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
        if not self._bearable(self.background):
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
                return self._settled() if self._bearable(wanted) else self._too_hot()
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
            if not self._bearable(self.temperatures):
                return self._too_hot()
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

    def _bearable(self, temperatures: np.ndarray) -> bool:
        return bool(np.isfinite(temperatures).all() and temperatures.max() <= self.limit)

    def _on(self, temperatures: np.ndarray) -> AnalogProgram:
        return self.program.on(self.die.at(temperatures))

    def _heat_at(self, temperatures: np.ndarray) -> np.ndarray | None:
        """Heat map of the program at these temperatures; None where its matrix has no stable rest."""
        program = self._on(temperatures)
        x = _rest(program, self.b)
        return None if x is None else heat_map(program, self.die, x, self.b)

    def _settled(self) -> ElectroThermal:
        floor = (self.die.drift(self.temperatures) <= DRIFT_FLOOR) & (self.die.drift(self.background) > DRIFT_FLOOR)
        if not floor.any():
            return self._ended(ThermalOutcome.CONVERGED, f"steady to {self.tolerance:g} K after {self.done} iterations")
        if self.heat.sum() > (self.first_power or 0.0):
            return self._runaway(f"resistors have fallen to the {DRIFT_FLOOR:g} at which their temperature law ends")
        return self._ended(
            ThermalOutcome.NOT_CONVERGED,
            f"resistors have fallen to the {DRIFT_FLOOR:g} at which their temperature law ends: give coefficients that hold there, or "
            "lower the signal level",
        )

    def _too_hot(self) -> ElectroThermal:
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


def _of_network(parts: Network, volts: np.ndarray) -> Dissipation:
    rail = volts / parts.rails
    across = rail[parts.first] + parts.polarity * rail[parts.second]
    return Dissipation(
        coupling=parts.coupling * across**2, ground=parts.ground * rail**2, drive=np.zeros_like(parts.ground)
    )


def _of_arrays(program: AnalogProgram, parts: Parts, volts: np.ndarray, currents: np.ndarray) -> Dissipation:
    rail, present = volts / len(parts.ground), parts.coupling * np.abs(parts.polarity)
    if not program.fabric.active:
        across = rail[:, None] + parts.polarity * rail[None, :]
        return Dissipation(
            coupling=np.triu(present * across**2, 1), ground=parts.ground * rail**2, drive=np.zeros_like(parts.drive)
        )
    summing = (parts.offset - volts / program.technology.opamp.gain) / len(parts.ground)
    source = currents / parts.drive_nominal / len(parts.ground)
    across = parts.polarity * rail[None, :] - summing[:, None]
    return Dissipation(
        coupling=present * across**2, ground=np.zeros_like(parts.ground), drive=parts.drive * (source + summing) ** 2
    )


def _require_resistors(program: AnalogProgram) -> None:
    if not program.fabric.has_device_model:
        known = ", ".join(fabric_names("has_device_model"))
        raise UnrealisableError(
            f"fabric {program.fabric_name} has no resistors with places on a die; the heat is known for {known}"
        )


def _vector(name: str, values: Any, size: int) -> np.ndarray:
    try:
        vector = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a vector of real numbers: {error}") from None
    if vector.shape != (size,) or not np.isfinite(vector).all():
        raise InputError(f"{name} must hold {size} finite numbers, got shape {vector.shape}: {vector}")
    return vector
