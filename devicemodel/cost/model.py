"""Time and energy of one step on the hybrid machine, part by part: which part is the bottleneck, and where that changes.

The timing model of arXiv:2405.13817, with energies. An array of n cells and C codes (`workload`), a link of B bit/s that takes e_b a bit in
words of w bits, converters of r samples/s and m of a kind, E_s joules a conversion step; a runs behind the solution (`refinement`):

| part | time | energy |
|---|---|---|
| derivatives | operations / host's rate, or as measured | host's power x time |
| programming | C w / B | C (w e_b + code bits x write energy) |
| transfers | a 2 n w / B | a 2 n w e_b |
| DAC | a ceil(n / m) / r | a n E_s 2^bits |
| settling | duration | (amplifiers x their power at rest + drive loss + heat) x time |
| ADC | a ceil(n / m) / r | a n E_s 2^bits |
| residuals | operations / host's rate, or bytes / its bandwidth | host's power x time |
| digital solve, instead of an array's (`digital_cost`) | operations / host's rate | host's power x time |
| idle host | | host's power when idle x the time of all parts but its own |
| standby | | amplifiers x their standby power x the time of all parts but settling |

A duration that is not given is what the circuit needs (`solver_array.Circuit`). E_s is Walden's figure of merit (R. H. Walden, IEEE J. Sel.
Areas Commun. 17:539, 1999). Nothing overlaps, codes take effect as they arrive, amplifiers are off when they are not needed. Where
the technology states no figure (0, or an infinite rate), a part costs nothing.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ...circuits.errors import InputError
from ...circuits.technology.converters import Converter, Link
from ...circuits.technology.presets import preset
from ...circuits.technology.technology import Technology
from .digital_host import DigitalHost, HostWork
from .planned import CONDITION, CROSSBAR, planned_array
from .refinement import ReadingPlan, product_work, scaling_work
from .solver_array import ACCURACY, SolverArray
from .step import HOST, PARTS, CostItem, Counts, StepCost
from .workload import derivative_flops, require_amount, require_count


def step_cost(
    array: SolverArray,
    technology: Technology,
    analog_seconds: float,
    digital_seconds: float = 0.0,
    host: DigitalHost | None = None,
    attempts: int = 1,
    work: HostWork | None = None,
    accuracy: float = ACCURACY,
    programmings: int = 1,
) -> StepCost:
    """Time and energy of one step with this array.

    Args:
        array: `planned_array` or `compiled_array`.
        technology: converters, link, bits and write energy of the codes, power of an amplifier.
        analog_seconds: physical time of all analog runs, s: duration x array.tau x attempts.
        digital_seconds: time of the derivatives on the host, s.
        host: its power in that time, and what computes the residuals; None: `DigitalHost()`.
        attempts: analog runs behind the solution; each loads the drive and is read.
        work: on the residuals; None: none.
        accuracy: relative, of the settling time that is stated beside.
        programmings: how often all codes are written.

    Raises:
        InputError: a negative argument, one that is infinite (but analog_seconds, of a circuit that does not settle), attempts < 1, an
            accuracy that is not between 0 and 1.
    """
    if analog_seconds != math.inf:
        require_amount("analog_seconds", analog_seconds, "s")
    require_accuracy(accuracy)
    require_amount("digital_seconds", digital_seconds, "s")
    require_count("attempts", attempts)
    link, words = technology.link, 2 * array.cells * attempts
    written = (technology.resistors.bits or link.word) * technology.resistors.write_energy
    watts = array.amplifiers * technology.opamp.power + array.heat + array.drive_loss
    work, host = work or HostWork(), host or DigitalHost()
    residuals = host.seconds(work)
    codes = array.codes * programmings
    parts = [
        CostItem("derivatives", digital_seconds, host.power * digital_seconds),
        CostItem("programming", codes * link.word / link.rate, codes * (link.word * link.energy + written)),
        CostItem("transfers", words * link.word / link.rate, words * link.word * link.energy),
        _conversions("DAC", technology.dac, array.cells, attempts),
        CostItem("settling", analog_seconds, watts * analog_seconds if watts else 0.0),
        _conversions("ADC", technology.adc, array.cells, attempts),
        CostItem("residuals", residuals, host.power * residuals),
        CostItem("digital solve", 0.0, 0.0),
    ]
    waits = math.fsum(part.seconds for part in parts if part.name not in HOST)
    parts.append(CostItem("idle host", 0.0, host.idle_power * waits if host.idle_power else 0.0))
    standby = standby_watts(array, technology)
    stands = math.fsum(part.seconds for part in parts if part.name != "settling")
    parts.append(CostItem("standby", 0.0, standby * stands if standby else 0.0))
    counts = Counts(codes, attempts, attempts * array.cells, work)
    return StepCost(tuple(parts), counts, array, analog_seconds / attempts, accuracy, technology, host)


def standby_watts(array: SolverArray, technology: Technology) -> float:
    """Power of an array that waits, W: each amplifier's `standby`, or its power at rest."""
    opamp = technology.opamp
    return array.amplifiers * (opamp.power if opamp.standby is None else opamp.standby)


def digital_cost(derivatives: float, solve: float = 0.0, host: DigitalHost | None = None) -> StepCost:
    """Time and energy of a step without an array: the host alone.

    Args:
        derivatives: time of the loss, its gradient and what the curvature takes, s.
        solve: time of solving with it, s.
        host: its power; None: `DigitalHost()`.

    Raises:
        InputError: a time that is negative or not finite.
    """
    host = host or DigitalHost()
    taken = {"derivatives": derivatives, "digital solve": solve}
    for name, seconds in taken.items():
        require_amount(f"time of the {name}", seconds, "s")
    parts = [CostItem(name, taken.get(name, 0.0), host.power * taken.get(name, 0.0)) for name in PARTS]
    nothing = SolverArray(0, 0, 0, 0.0, 0.0)
    return StepCost(tuple(parts), Counts(0, 0, 0, HostWork()), nothing, 0.0, host=host)


def require_accuracy(accuracy: float) -> None:
    """InputError unless it is a share of the solution."""
    if not 0 < accuracy < 1:
        raise InputError(f"accuracy is {accuracy}: give a relative one between 0 and 1, such as 0.01")


def _conversions(name: str, converter: Converter, cells: int, attempts: int) -> CostItem:
    """One conversion of each cell in each attempt, as many at a time as there are converters."""
    turns = math.ceil(cells / converter.count) if converter.count else min(cells, 1)
    # Without quantisation there are no conversion steps to pay for.
    steps = 0 if converter.bits is None else 2**converter.bits
    return CostItem(name, attempts * turns / converter.rate, attempts * cells * steps * converter.figure_of_merit)


def run_seconds(array: SolverArray, duration: float | None, accuracy: float) -> float:
    """Length of a run, s: `duration` tau, or what the circuit needs.

    Raises:
        InputError: a duration or accuracy that is out of range; neither a duration nor a circuit.
    """
    require_accuracy(accuracy)
    if duration is not None:
        require_amount("duration", duration, "tau")
        return duration * array.tau
    needed = array.settling(accuracy)
    if needed is None:
        raise InputError("duration is None, and the array's circuit is not known: give a duration in tau")
    return needed


@dataclass(frozen=True)
class Scenario:
    """One TNGD step on a network and a machine: everything that its cost depends on.

    Attributes:
        parameters, batch, outputs: N, b and dz.
        layout: "factored" (the paper's), "dense" or "dual"; see `workload`.
        technology: of the array and its converters.
        duration: of a run, tau, as a protocol; None: what the circuit needs to `accuracy`.
        accuracy: relative, to which the circuit settles.
        condition: condition number of the matrix that is programmed, damping included.
        host: what computes the derivatives, if they are not measured.
        digital_seconds: measured time of the derivatives, s; None: derived from their operations and the host's rate.
        attempts: analog runs until a signal level is found.
        reading: bare, or refined, of so many such runs and products.
        fabric: of the dense and dual layouts, one of `planned.PLANNED`.
        forward: operations of a forward pass of the batch; None: those of dense layers.
    """

    parameters: int
    batch: int
    outputs: int
    layout: str = "factored"
    technology: Technology = dataclasses.field(default_factory=lambda: preset("paper"))
    duration: float | None = None
    accuracy: float = ACCURACY
    condition: float = CONDITION
    host: DigitalHost = dataclasses.field(default_factory=DigitalHost)
    digital_seconds: float | None = None
    attempts: int = 1
    reading: ReadingPlan = dataclasses.field(default_factory=ReadingPlan)
    fabric: str = CROSSBAR
    forward: float | None = None

    def array(self) -> SolverArray:
        """The array that this layout needs."""
        sizes = self.parameters, self.batch, self.outputs
        return planned_array(self.layout, *sizes, self.technology, self.condition, self.fabric)

    def cost(self) -> StepCost:
        """Its cost.

        Raises:
            InputError: a field that is out of range.
        """
        array, digital = self.array(), self.digital_seconds
        if digital is None:
            work = derivative_flops(self.layout, self.parameters, self.batch, self.outputs, self.forward)
            digital = work / self.host.rate
        runs = self.reading.runs * self.attempts
        seconds = run_seconds(array, self.duration, self.accuracy) * runs
        return step_cost(array, self.technology, seconds, digital, self.host, runs, self._work(array), self.accuracy)

    def _work(self, array: SolverArray) -> HostWork:
        product = product_work(self.layout, self.parameters, self.batch, self.outputs)
        return self.reading.work(product, HostWork() if self.layout == "factored" else scaling_work(array.cells))

    def turned(self, knob: str, value: float) -> Scenario:
        """The scenario with one of `KNOBS` set.

        Raises:
            InputError: no such knob; a whole number is needed; a value that the technology does not allow.
        """
        if knob not in KNOBS:
            raise InputError(f"knob {knob!r} is unknown; there are: {', '.join(KNOBS)}")
        if knob in WHOLE:
            if not (math.isfinite(value) and value == int(value)):
                raise InputError(f"{knob} is {value}: give a whole number")
            value = int(value)
        if knob in TECHNOLOGY_KNOBS:
            changes = dict.fromkeys(TECHNOLOGY_KNOBS[knob], value)
            if knob == "bits" and self.technology.resistors.bits is not None:
                changes["resistors__bits"] = value
            return dataclasses.replace(self, technology=self.technology.replace(**changes))
        if knob in ("parameters", "batch", "outputs") and self.digital_seconds is not None:
            raise InputError(f"{knob} cannot be varied with a measured digital time: leave digital_seconds out")
        changed: dict[str, Any] = {knob: value}
        return dataclasses.replace(self, **changed)


TECHNOLOGY_KNOBS: dict[str, tuple[str, ...]] = {
    "bits": ("dac__bits", "adc__bits", "link__word"),
    "rate": ("link__rate",),
    "converters": ("dac__count", "adc__count"),
    "samples": ("dac__rate", "adc__rate"),
    "resistance": ("resistors__unit",),
    "bandwidth": ("opamp__gbw",),
}
"""Fields of the technology that a knob sets. `bits` is the precision of all numbers, programmable conductances included."""
KNOBS = ("parameters", "batch", "outputs", "duration", "condition", *TECHNOLOGY_KNOBS)
WHOLE = ("parameters", "batch", "outputs", "bits", "converters")
"""Knobs that take whole numbers."""


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step on the hybrid machine. `digital` is whatever the host computes (measured, not modelled)."""

    digital: float
    programming: float
    drive: float
    analog: float
    reading: float

    @property
    def total(self) -> float:
        """Total time, s: the parts follow one another."""
        return self.digital + self.programming + self.drive + self.analog + self.reading


def step_time(cells: int, analog_seconds: float, link: Link, digital: float = 0.0, attempts: int = 1) -> StepTime:
    """Time of one step that solves one dual system of `cells` unknowns, with converters that keep up with the link.

    Args:
        cells: k.
        analog_seconds: physical time of all analog runs, s.
        link: rate and word length of the digital side.
        digital: measured time of gradient, Gram matrix and map-back on the host, s.
        attempts: analog runs behind the reading; each loads the drive and is read.
    """
    array = SolverArray(cells, cells * (cells + 1) // 2, amplifiers=0, tau=0.0, heat=0.0)
    cost = step_cost(array, Technology(link=link), analog_seconds, digital, attempts=attempts)
    one_way = cost.part("transfers").seconds / 2
    return StepTime(digital, cost.part("programming").seconds, one_way, analog_seconds, one_way)
