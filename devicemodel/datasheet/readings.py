"""What one die makes of one system at one corner and temperature: its settling time, then errors, noise, time and energy of readings.

The smallest damping is tried: the system without its own damping, with more and more, or less and less, from what the law of
`limits.walls` says, until the die refines to the target, or no longer does.

Errors are |x - A^-1 b| / |A^-1 b| of a fresh `SurrogateDevice`, and of one that is refined. Noise is taken on the same die with converters
that do not round, so that it is that of resistors, amplifiers and the ADC's input: the root of the sum of the unknowns' variances over
repeated readings, over |A^-1 b|. Settling is that of the die's own circuit (`cost.loaded_circuit`); time and energy are the cost model's
(`cost.model`) for the heat of this die's run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ...circuits.errors import UnrealisableError
from ...compiler.analysis.area import no_area, program_area
from ...compiler.compile import compile_matrix
from ...compiler.fabrics.registry import fabric_named
from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..cost.compiled import compiled_array, largest
from ..cost.digital_host import HostWork
from ..cost.model import step_cost
from ..cost.refinement import scaling_work, written_out
from ..cost.step import StepCost
from ..device import Outcome, Solution, solve_many
from ..devices.surrogate import SurrogateDevice
from ..host.refine import MAX_ROUNDS, Refined
from ..limits.walls import smallest_damping
from ..systems import Dense
from .conditions import DatasheetConditions
from .corners import Corner, CornerDie

EACH_DIE = 32
"""Most unknowns of systems whose settling time is worked out on each die; larger ones take that of nominal parts at the corner."""
LAW = 256
"""Most unknowns of systems whose smallest damping is worked out."""
FLOOR = 1e-9
STEP, STEPS = 2 ** (1 / 3), 15
"""Factor from one damping that is tried to the next, and most of them in each direction."""
START = 0.01
"""Damping that is tried first where there is no law."""
READINGS = ("bare", "refined")
VALUES = (
    *("bare_error", "refined_error", "noise", "damping"),
    *(f"{what}_{reading}" for what in ("time", "energy") for reading in READINGS),
    "energy_host",
)
"""Figures that each die has its own of, beside its settling time."""
UNREALISABLE = "not realisable"
"""Beside the values of `Outcome`, of a matrix that the fabric does not hold."""
HOST = ("derivatives", "residuals", "idle host")
"""Parts of a step's energy that are the host's."""


@dataclass(frozen=True, eq=False)
class Task:
    """A system at a corner and a temperature.

    Attributes:
        card: at the corner and the temperature. matrix, b: (n, n), (n,).
    """

    card: DeviceCard
    corner: Corner
    matrix: np.ndarray
    b: np.ndarray
    conditions: DatasheetConditions

    def nominal(self) -> AnalogProgram:
        """The program with nominal parts and the card's amplifiers, at the signal level of b.

        Raises:
            UnrealisableError: the technology cannot hold the matrix.
        """
        return compile_matrix(
            self.matrix, self.card.fabric, self.card.circuit_technology(), b=self.b, check=False, floor=self.floor
        )

    @property
    def floor(self) -> float | None:
        """What no eigenvalue is below, where the fabric needs that."""
        needs = fabric_named(self.card.fabric).needs_floor
        return (1 - FLOOR) * float(np.linalg.eigvalsh(self.matrix)[0]) if needs else None

    @property
    def each_die(self) -> bool:
        """Whether each die's circuit is worked out."""
        return len(self.b) <= EACH_DIE

    def on_die(self, nominal: AnalogProgram, seed: int | None) -> AnalogProgram:
        """The program as a die at the corner has it."""
        card = self.card
        return nominal.on(
            CornerDie(nominal.technology, seed, self.corner),
            card.mismatch.value,
            card.capacitor_mismatch.value,
            card.offset.value,
            inductor_mismatch=card.inductor_mismatch.value,
        )

    @cached_property
    def undamped(self) -> tuple[np.ndarray, float]:
        """The matrix without its smallest eigenvalue, (n, n), and its largest one; a multiple of the identity as it is."""
        spectrum = np.linalg.eigvalsh(self.matrix)
        if spectrum[-1] - spectrum[0] < 1e-9 * spectrum[-1]:
            return self.matrix, float(spectrum[-1])
        return self.matrix - float(spectrum[0]) * np.eye(len(self.b)), float(spectrum[-1] - spectrum[0])

    def device(self, seed: int, card: DeviceCard | None = None) -> SurrogateDevice:
        """A fresh device of a die at the corner."""
        made_of = card or self.card
        die = CornerDie(made_of.technology, seed, self.corner)
        return SurrogateDevice(made_of, die, self.conditions.seed, extrapolate=True)


@dataclass(frozen=True)
class Settled:
    """What the circuits of a task need.

    Attributes:
        seconds: settling time of each die, s; inf: it does not settle. tau: s.
        obstacle: why there is no circuit; "": there is one.
        damping_law: smallest one of dies like these, over the largest eigenvalue; nan: no law; inf: none. wall: what sets it.
        area: m^2; nan: not known. no_area: why. standby: W that the amplifiers take while the array waits.
    """

    seconds: tuple[float, ...]
    tau: float
    obstacle: str
    damping_law: float
    wall: str
    area: float
    no_area: str
    standby: float


def settled(task: Task) -> Settled:
    """Settling times of all dies, and what does not depend on the die."""
    conditions, card = task.conditions, task.card
    damping, wall = _damping(task)
    try:
        nominal = task.nominal()
    except UnrealisableError as error:
        missing = (math.nan,) * len(conditions.dies)
        return Settled(missing, math.nan, str(error), damping, wall, math.nan, str(error), math.nan)
    why, opamp = no_area(nominal), card.technology.opamp
    array = compiled_array(nominal)
    if task.each_die:
        programs = [task.on_die(nominal, seed) for seed in conditions.dies]
        seconds = tuple(_settling(program, conditions.accuracy) for program in programs)
    else:
        seconds = (_settling(task.on_die(nominal, None), conditions.accuracy),) * len(conditions.dies)
    return Settled(
        seconds,
        nominal.tau,
        "",
        damping,
        wall,
        math.nan if why else program_area(nominal).total,
        why,
        array.amplifiers * (opamp.power if opamp.standby is None else opamp.standby),
    )


def _settling(program: AnalogProgram, accuracy: float) -> float:
    found = compiled_array(program).settling(accuracy)
    return math.nan if found is None else found


def _damping(task: Task) -> tuple[float, str]:
    kind = fabric_named(task.card.fabric)
    if not kind.active or kind.has_linear_law or len(task.b) > LAW:
        return math.nan, ""
    found = smallest_damping(task.undamped[0], task.card, target=task.conditions.target)
    return found.damping, found.limit


@dataclass(frozen=True)
class Readings:
    """What one die reads.

    Attributes:
        values: by figure (`figures.FIGURES`); nan: there is no reading.
        outcomes: by reading, "bare" and "refined".
        violations: of the card's range.
    """

    values: dict[str, float]
    outcomes: dict[str, str]
    violations: tuple[str, ...]


def read(task: Task, seconds: float, law: float) -> list[Readings]:
    """Bare, repeated and refined readings of each die.

    Args:
        seconds: of each run. law: smallest damping that is expected; nan, inf: not known.
    """
    try:
        nominal = task.nominal()
    except UnrealisableError:
        unread = Readings(dict.fromkeys(VALUES, math.nan), dict.fromkeys(READINGS, UNREALISABLE), ())
        return [unread] * len(task.conditions.dies)
    shared = None if task.each_die else task.on_die(nominal, None)
    return [_of_die(task, shared or task.on_die(nominal, seed), seed, seconds, law) for seed in task.conditions.dies]


def _of_die(task: Task, program: AnalogProgram, seed: int, seconds: float, law: float) -> Readings:
    conditions, tau = task.conditions, program.tau
    system, b = Dense(torch.from_numpy(task.matrix), task.floor or 0.0), torch.from_numpy(task.b)
    exact = np.linalg.solve(task.matrix, task.b)
    size = float(np.linalg.norm(exact))
    bare = task.device(seed).solve(system, b, seconds / tau, x0=torch.zeros_like(b))
    refined = _refined(task, seed, system, seconds / tau, conditions.rounds)
    values = dict.fromkeys(VALUES, math.nan) | {
        "bare_error": _error(bare, exact),
        "damping": _smallest(task, seed, law),
        "noise": _noise(task, system, b, seed, seconds / tau) / size,
    }
    if refined is not None:
        values["refined_error"] = _error(refined, exact)
    for name, solution in zip(READINGS, (bare, refined), strict=True):
        if solution is None:
            continue
        cost = _cost(task, program, solution, seconds)
        values |= {f"time_{name}": cost.seconds, f"energy_{name}": _of_device(cost)}
        if name == "refined":
            values["energy_host"] = math.fsum(part.joules for part in cost.parts if part.name in HOST)
    named = {"bare": bare.outcome.value, "refined": UNREALISABLE if refined is None else refined.outcome.value}
    violations = (*bare.violations, *(() if refined is None else refined.violations))
    return Readings(values, named, tuple(dict.fromkeys(violations)))


def _refined(
    task: Task, seed: int, system: Dense, duration: float, rounds: int, tolerance: float | None = None
) -> Solution | None:
    """A refined reading of a fresh device; None: the fabric does not hold the matrix. Passive fabrics have a scaling of their own."""
    active = fabric_named(task.card.fabric).active
    try:
        device = Refined(task.device(seed), rounds=rounds, tolerance=tolerance, equilibrate=active)
        return device.solve(system, torch.from_numpy(task.b), duration)
    except UnrealisableError:
        return None


def _smallest(task: Task, seed: int, law: float) -> float:
    """Smallest damping that was tried at which the die refines to the target at rest, over the largest eigenvalue of the undamped matrix;
    nan: none. 0: the law says that any will do."""
    if law == 0:
        return 0.0
    undamped, largest_value = task.undamped
    eye = np.eye(len(task.b))

    def solves(damping: float) -> bool:
        matrix = undamped + damping * largest_value * eye
        floor = (1 - FLOOR) * damping * largest_value if fabric_named(task.card.fabric).needs_floor else 0.0
        system = Dense(torch.from_numpy(matrix), floor)
        found = _refined(task, seed, system, math.inf, MAX_ROUNDS, task.conditions.target)
        return found is not None and is_usable(found.outcome.value)

    damping = law if math.isfinite(law) else START
    if not solves(damping):
        return next((tried for k in range(1, STEPS + 1) if solves(tried := damping * STEP**k)), math.nan)
    for _ in range(STEPS):
        if not solves(damping / STEP):
            break
        damping /= STEP
    return damping


def _error(found: Solution, exact: np.ndarray) -> float:
    """|x - A^-1 b| / |A^-1 b|; nan: no reading."""
    if not found.outcome.readable:
        return math.nan
    return float(np.linalg.norm(found.x.double().numpy() - exact) / np.linalg.norm(exact))


def _noise(task: Task, system: Dense, b: torch.Tensor, seed: int, duration: float) -> float:
    """Standard deviation of a reading before it is rounded, problem units."""
    smooth = {f"{kind}__{name}": value for kind in ("dac", "adc") for name, value in (("bits", None), ("dnl", 0.0))}
    card = task.card.replace(technology=task.card.technology.replace(**smooth))
    rows = b.repeat(task.conditions.repeats, 1)
    found = solve_many(task.device(seed, card), system, rows, duration)
    if not all(one.outcome.readable for one in found):
        return math.nan
    read = np.stack([one.x.double().numpy() for one in found])
    return math.sqrt(float(read.var(axis=0, ddof=1).sum()))


def _cost(task: Task, program: AnalogProgram, solution: Solution, seconds: float) -> StepCost:
    """One solve: programmed once, with the runs that the device took."""
    n, accuracy = program.size, task.conditions.accuracy
    b = task.b if n <= largest(program) else None
    array = compiled_array(program, b, seconds / program.tau, accuracy)
    products = 0 if solution.refinement is None else solution.refinement.products
    one, scaling = written_out(n), scaling_work(n) if products else HostWork()
    work = HostWork(
        products, products * one.multiply_adds + scaling.multiply_adds, products * one.bytes + scaling.bytes
    )
    runs = max(1, solution.attempts)
    return step_cost(array, task.card.technology, seconds * runs, 0.0, None, runs, work, accuracy)


def _of_device(cost: StepCost) -> float:
    return math.fsum(part.joules for part in cost.parts if part.name not in HOST)


def is_usable(outcome: str) -> bool:
    """Whether a reading may be used: it is there, not clipped, and not worse than none."""
    return outcome in (Outcome.OK.value, Outcome.EXTRAPOLATED.value)


def plain(values: Any) -> list[float]:
    """Of an array, as plain numbers."""
    return [float(value) for value in np.ravel(values)]
