"""`Report`: what a designer wants to know of a compiled program, as numbers and as text. `analysis.describe` works it out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..circuits.technology.area import ArrayArea
from .fabrics.registry import fabric_named
from .fabrics.second_order import SecondOrder

ROUNDING = 1e-14
"""Relative errors below this are those of double precision, not of the parts."""
USUAL_DIES = 1000
"""Dies that a report draws of programs small enough for a second's work."""
FIRST_ORDER = 0.2
"""Relative difference from the rms over dies up to which an error to first order counts as theirs."""
FEW = 30
"""Dies below which errors are not told from what chance makes of them."""


@dataclass(frozen=True)
class Sensitivity:
    """One part (both components of a pair, where there are two rails) and what its deviation does.

    Attributes:
        part: its name in the netlist, without the rail's letter.
        value: ohm, H or F.
        per_unit: relative change of the solution for a relative change of one of this part.
        per_kelvin: relative change of the solution for a kelvin at this part alone, by its temperature coefficient.
    """

    part: str
    value: float
    per_unit: float
    per_kelvin: float


@dataclass(frozen=True)
class LayoutEffect:
    """What the layout makes of a program's solution at rest, amplifier offsets aside; relative errors against A^-1 b.

    Attributes:
        solution_error: ||M^-1 - A^-1||_F / ||A^-1||_F of the extracted netlist's matrix M, the rms error over random b.
        error_for_b: |M^-1 b - A^-1 b| / |A^-1 b|; None: no b was given.
        nodes: of the extracted netlist.
        parts: that it has more than the schematic; 0: the technology states no wires, switches or parasitics.
        stable: whether each of its natural frequencies decays; None: it has more than `JUDGED` nodes.
    """

    solution_error: float
    error_for_b: float | None
    nodes: int
    parts: int
    stable: bool | None

    def __str__(self) -> str:
        if self.parts == 0:
            return "adds nothing: the technology states no wires, switches, parasitic capacitances or DAC output"
        own = "" if self.error_for_b is None else f", {self.error_for_b:.3g} for this b"
        judged = {
            True: "all of its modes decay",
            False: "but it is UNSTABLE: less parasitic capacitance at inputs and lines is needed, or more at the integrators",
            None: f"whether it is stable a transient must show ({self.nodes} nodes)",
        }[self.stable]
        return f"error of A^-1 b {self.solution_error:.3g} (relative, rms over b){own}; {judged}"


@dataclass(frozen=True)
class DieError:
    """What the technology's tolerances make of the solution for one b, from die to die, to first order (`analysis.die_spread`).

    Attributes:
        relative_error: rms over dies of |x - x_nominal| / |x_nominal|. resistors, offsets: what each makes on its own.
        deviation: (n) standard deviation of each unknown, problem units.
    """

    relative_error: float
    resistors: float
    offsets: float
    deviation: tuple[float, ...]

    def __str__(self) -> str:
        offsets = f", amplifiers' offsets {self.offsets:.3g}" if self.offsets else ""
        return f"error {self.relative_error:.3g} (relative, rms over dies): resistors {self.resistors:.3g}{offsets}"


@dataclass(frozen=True)
class Spread:
    """A relative error over dies: its median, the one that 95 % of the dies stay below, and its rms."""

    median: float
    high: float
    rms: float

    @classmethod
    def of(cls, errors: np.ndarray) -> Spread:
        """Of the errors of some dies, (dies,)."""
        median, high = np.quantile(errors, (0.5, 0.95)).tolist()
        return cls(median, high, float(np.sqrt(np.mean(errors**2))))

    def __str__(self) -> str:
        return f"median {self.median:.3g}, 95 % below {self.high:.3g}"


@dataclass(frozen=True)
class DieYield:
    """How many dies have no growing mode, and the errors of those, relative to A^-1 b (`analysis.die_yield`).

    Attributes:
        dies, stable: drawn, and without a growing mode.
        interval: ends of the 95 % confidence interval of the share of stable dies (Clopper and Pearson).
        parts: what tolerances and temperature move the solution by from that of the nominal netlist. offsets: what amplifiers' offset
            voltages add. total: all errors together, those of the nominal netlist, noise and converters' steps included. None: no die
            is stable, or, of the total, no law says what noise a reading has.
        single: as parts, of right-hand sides drawn at random, over dies and these; None: for one that was given.
        errors: of each stable die by tolerances, by offsets, and the total.
    """

    dies: int
    stable: int
    interval: tuple[float, float]
    parts: Spread | None
    offsets: Spread | None
    total: Spread | None
    single: Spread | None = None
    errors: tuple[tuple[float, float, float], ...] = dataclasses.field(default=(), repr=False)

    @property
    def share(self) -> float:
        """Of the dies, those that are stable."""
        return self.stable / self.dies

    @property
    def growing(self) -> str:
        """How many dies have a growing mode, as the begin of a sentence."""
        bad = self.dies - self.stable
        whose = "none" if bad == 0 else f"{bad:,}"
        return f"{whose} of {self.dies:,} {'die' if self.dies == 1 else 'dies'} {'has' if bad < 2 else 'have'} a growing mode"

    def __str__(self) -> str:
        low, high = (100 * end for end in self.interval)
        fewer = f"; from fewer dies than the usual {USUAL_DIES:,}" if self.dies < USUAL_DIES else ""
        return f"{100 * self.share:.3g} % ({low:.3g} to {high:.3g} % at 95 % confidence): {self.growing}{fewer}"


@dataclass(frozen=True)
class ReadingErrors:
    """What one reading at rest adds, relative to A^-1 b, rms, at the program's signal level (`analysis.reading_errors`).

    Attributes:
        johnson, amplifiers, sampler: noise of the resistors, of the amplifiers, and the ADC's own; nan: too many unknowns.
        dac, adc: the converters' steps.
    """

    johnson: float
    amplifiers: float
    sampler: float
    dac: float
    adc: float

    @property
    def noise(self) -> float:
        """All noise."""
        return math.hypot(self.johnson, self.amplifiers, self.sampler)

    def rows(self) -> Iterator[tuple[str, str]]:
        """What there is, for a report."""
        kinds = {"resistors": self.johnson, "amplifiers": self.amplifiers, "ADC": self.sampler}
        acting = {name: value for name, value in kinds.items() if value > 0}
        if math.isnan(self.noise):
            yield "noise", "of a circuit of this size is not worked out"
        elif acting:
            yield "noise", f"{self.noise:.3g} (relative, rms): {_listed(acting)}"
        steps = {name: value for name, value in {"DAC": self.dac, "ADC": self.adc}.items() if value > 0}
        if steps:
            yield "converters' steps", f"{math.hypot(*steps.values()):.3g} (relative, rms): {_listed(steps)}"


@dataclass(frozen=True)
class OutputUse:
    """What the outputs of amplifiers carry at the program's signal level (`passes.signal_level.output_use`).

    Attributes:
        current: largest, A, at rest or on the way. volts: of that output, V.
        share: largest of an amplifier's range that is used, by voltage, current and output resistance (`output_stage.share_of_limits`).
        current_limit: of the amplifiers, A; None: the technology states none.
        level_limit: what sets the signal level.
    """

    current: float
    volts: float
    share: float
    current_limit: float | None
    level_limit: str

    def __str__(self) -> str:
        of = "of any: the technology states no opamp.output_current"
        if self.current_limit is not None:
            of = f"of {self.current_limit:.3g} A"
        text = (
            f"{self.current:.3g} A {of}, into {self.volts / self.current:.4g} ohm at {self.volts:.3g} V"
            if self.current
            else "none"
        )
        return f"{text}; {100 * self.share:.3g} % of the range used; the signal level is set by {self.level_limit}"


@dataclass(frozen=True)
class Report:
    """Figures of one program. Times in s, resistances in ohm, power in W; matrices in problem units.

    Attributes:
        matrix_error: ||M - A||_F / ||A||_F of the realised matrix M against the intended A.
        solution_bound: largest possible |x - A^-1 b| / |A^-1 b| of the emitted netlist (nominal parts) at rest, over all b.
        solution_error: ||M^-1 - A^-1||_F / ||A^-1||_F, the relative rms error of the solution over random b.
        slow_time: slowest time constant, tau / lambda_min(A) in first-order fabrics, tau / sqrt(lambda_min(A)) in coupled oscillators.
        resistor_power: most heat that the resistors make at rest with no output of an amplifier (of a passive fabric, no unknown)
            beyond the output limit and no input beyond the DAC's full scale, a bound (`Parts.dissipation_bound`); amplifiers not
            included. 0 in oscillators, which rest without voltage.
        error_for_b: |M^-1 b - A^-1 b| / |A^-1 b| for the b of `describe`; None: none was given.
        die_error: what the technology's tolerances add for that b, offsets included; None: no b, no tolerances, no dies, or too large.
        layout: what wires, switches and parasitics of the extracted netlist add to these errors; None: not asked for.
        drive_resistor: nominal input resistor of each cell; None where currents are the drive.
        dies: the share of stable dies and their errors, for that b, or rms over all; None: no dies, no tolerances, or too large.
        second_order: friction, modes and swings of cells of second order; None: they are of first order.
        output: what the amplifiers' outputs carry, for the b of `describe`, or, without one, for the worst of unit norm; None: there are
            no amplifiers.
        area: on silicon; None: not known, and no_area says why.
        reading: what noise and the converters' steps add, likewise; None: the fabric has no law for it.
        dac_share: largest drive voltage over the DAC's full scale, for the b of `describe`, or, without one, for the worst of unit norm.
        pruned, prune_bound: see `AnalogProgram`; not part of the other errors.
        tolerance_error: relative rms error of A^-1 b that the technology's tolerance makes, to first order.
        most_sensitive: the parts that matter most (`analysis.sensitivity`), with their effect on A^-1 b.
        parts: number of parts of each kind. bill: (kind, value, count), largest count first.
    """

    unknowns: int
    fabric: str
    reason: str
    technology: str
    damping: float
    lambda_star: float
    condition_number: float
    matrix_error: float
    solution_error: float
    solution_bound: float
    pruned: int
    prune_bound: float
    conductance_unit: float
    volts_per_unit: float
    tau: float
    slow_time: float
    smallest_resistor: float
    largest_resistor: float
    resistor_power: float
    tolerance_error: float
    most_sensitive: tuple[Sensitivity, ...]
    parts: dict[str, int]
    bill: tuple[tuple[str, float, int], ...]
    error_for_b: float | None = None
    die_error: DieError | None = None
    layout: LayoutEffect | None = None
    drive_resistor: float | None = None
    dac_share: float | None = None
    dies: DieYield | None = None
    reading: ReadingErrors | None = None
    second_order: SecondOrder | None = None
    output: OutputUse | None = None
    area: ArrayArea | None = None
    no_area: str = ""

    @property
    def first_order_holds(self) -> bool | None:
        """Whether the tolerances' error to first order is that of the dies: all of them are stable, and their rms is within a fifth of it,
        give or take two standard errors.

        First order is that of `die_error.resistors`, where there is one, else `tolerance_error`. The rms over N dies of what is of first
        order in normal deviates has a relative standard error of at most 1 / sqrt(2 N), that of one deviate alone. None: fewer than `FEW`
        dies were drawn, and all of them are stable.
        """
        if self.dies is None:
            return None
        first = self._first_order
        if self.dies.stable < self.dies.dies or self.dies.parts is None:
            return False
        if self.dies.dies < FEW:
            return None
        return abs(self.dies.parts.rms - first) <= (FIRST_ORDER + math.sqrt(2 / self.dies.dies)) * first

    @property
    def _first_order(self) -> float:
        return self.tolerance_error if self.die_error is None else self.die_error.resistors

    def _over_dies(self) -> Iterator[tuple[str, str]]:
        """What differs from die to die: exact, and to first order where that holds."""
        whose = "rms over b" if self.error_for_b is None else "for this b"
        if self.dies is not None:
            yield "stable dies", str(self.dies)
            if self.dies.parts is not None and self.dies.offsets is not None:
                single = "" if self.dies.single is None else f"; of single b {self.dies.single}"
                yield "tolerances over dies", f"{self.dies.parts} (relative, {whose}; of the stable dies){single}"
                if self.dies.offsets.high:
                    yield "offsets over dies", f"{self.dies.offsets} (likewise)"
        if self.first_order_holds is False and self._first_order:
            yield "to first order", f"{self._first_order:.3g}, which does not hold: {self._beyond_first_order()}"
            return
        if self.die_error is not None:
            yield "dies, for this b", str(self.die_error)
        if self.tolerance_error:
            yield (
                "tolerance",
                f"error of A^-1 b {self.tolerance_error:.3g} (relative, rms over b and dies), to first order",
            )

    def _beyond_first_order(self) -> str:
        assert self.dies is not None
        if self.dies.stable < self.dies.dies:
            return self.dies.growing
        assert self.dies.parts is not None
        return f"the rms over {self.dies.dies:,} dies is {self.dies.parts.rms:.3g}"

    def _when_there(self) -> Iterator[tuple[str, str]]:
        """The rows that not every program has."""
        if self.error_for_b is not None:
            yield "error for this b", f"{_relative(self.error_for_b)} (relative); nominal parts"
        yield from self._over_dies()
        if self.reading is not None:
            yield from self.reading.rows()
        if self.dies is not None and self.dies.total is not None:
            yield (
                "all of these",
                f"{self.dies.total} (relative; one reading at rest of each stable die, without converters' gain and offset)",
            )
        if self.layout is not None:
            yield "after layout", str(self.layout)
        if self.drive_resistor is not None and self.dac_share is not None:
            whose = "a b of unit norm" if self.error_for_b is None else "this b"
            yield (
                "drive",
                f"through {self.drive_resistor:.4g} ohm, DAC at {self.dac_share:.3g} of its full scale for {whose}",
            )
        if self.pruned:
            yield "pruned", f"{self.pruned} couplings, which changes A^-1 b by at most {self.prune_bound:.3g}"
        if self.most_sensitive:
            yield "parts that matter", ", ".join(f"{part.part} {part.per_unit:.2g}" for part in self.most_sensitive)

    def _reactive(self, kind: str, unit: str) -> Iterator[tuple[str, str]]:
        """The row with the range of this kind of part, if there are any."""
        values = [value for name, value, _ in self.bill if name == kind]
        if values:
            low, high = min(values), max(values)
            yield f"{kind}s", f"{low:.4g} {unit}" if low == high else f"{low:.4g} to {high:.4g} {unit}"

    def _solution(self) -> str:
        """The error over all b; of exact parts both figures are rounding, and their order says nothing."""
        if max(self.solution_error, self.solution_bound) < ROUNDING:
            return f"{_relative(self.solution_bound)} (relative)"
        return f"{_relative(self.solution_error)} (relative, rms over b), at most {_relative(self.solution_bound)}"

    def _settled(self) -> str:
        return "" if self.second_order is None else self.second_order.settled(self.slow_time)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data = dataclasses.asdict(dataclasses.replace(self, area=None))
        data |= {
            "first_order_holds": self.first_order_holds,
            "area": None if self.area is None else self.area.to_dict(),
        }
        if self.dies is not None:
            data["dies"] |= {"share": self.dies.share}
            del data["dies"]["errors"]
        return data

    def __str__(self) -> str:
        rows = [
            ("fabric", f"{self.fabric} for {self.unknowns} unknowns, technology {self.technology}"),
            ("why", self.reason),
            ("lambda*", f"{self.lambda_star:.4g} beyond the damping of {self.damping:.4g}"),
            ("condition number", f"{self.condition_number:.4g}"),
            ("error of the matrix", f"{_relative(self.matrix_error)} (relative, Frobenius)"),
            ("error of A^-1 b", f"{self._solution()}; nominal parts"),
            *self._when_there(),
            ("time", f"tau = {self.tau:.3g} s, slowest time constant {self.slow_time:.3g} s{self._settled()}"),
            *(() if self.second_order is None else self.second_order.rows()),
            (
                "scale",
                f"{self.volts_per_unit:.4g} V and {self.conductance_unit:.4g} {fabric_named(self.fabric).unit} a problem unit",
            ),
            ("parts", ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in self.parts.items())),
            ("resistors", f"{self.smallest_resistor:.4g} to {self.largest_resistor:.4g} ohm"),
            *self._reactive("capacitor", "F"),
            *self._reactive("inductor", "H"),
            (
                "power in resistors",
                f"{self.resistor_power:.3g} W at most, with no output beyond its limit",
            ),
            *(() if self.output is None else [("output current", str(self.output))]),
            *(
                [("area", str(self.area) if self.area else f"not known: {self.no_area}")]
                if self.area or self.no_area
                else []
            ),
        ]
        return "\n".join(f"{name:>20}  {text}" for name, text in rows)


def _listed(values: dict[str, float]) -> str:
    """Each with its name."""
    return ", ".join(f"{name} {value:.3g}" for name, value in values.items())


def _relative(error: float) -> str:
    """A relative error in digits, unless it is only rounding."""
    return f"{error:.3g}" if error == 0 or error >= ROUNDING else "rounding of double precision"
