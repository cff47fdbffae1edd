"""`planned_array`: the array of a step before there is a matrix, with entries and signals that are Gaussian.

The largest of m numbers has z_m standard deviations (`largest_deviate`), and is one unit conductance g, half of the output limit V, or the
DAC's full scale F. With sigma = g / z_places, n cells, k = b dz and N parameters,

    mean conductance of a place               sqrt(2 / pi) sigma
    spectral norm of an array r x c           sigma (sqrt(r) + sqrt(c))
    mean magnitude, mean square of signals    sqrt(2 / pi) V / 2 z_cells, (V / 2 z_cells)^2

(norms: K. R. Davidson, S. J. Szarek, Handbook of the Geometry of Banach Spaces, 2001). From these follow the loads of each amplifier, and
`planned_law` the natural frequencies. Of the spectrum nothing but the condition number is asked for:

| layout | largest eigenvalue, S | smallest, S |
|---|---|---|
| dense, dual | 2 sqrt(n) sigma, and no less than g | that over the condition number |
| factored, each summing stage of gain one | norm of J^T | the same, and it is the damping's own resistor |

The systems of the digits' training are as those of the dual layout in both respects (docs/cost.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.special import erfinv

from ...circuits.errors import InputError
from ...circuits.technology.area import ArrayCounts, array_area, missing
from ...circuits.technology.technology import Technology
from ...compiler.passes.quantise import is_discrete, nearest, smallest_code
from .planned_law import Loop, ModalLaw, Stage
from .planned_oscillators import OscillatorLoop
from .solver_array import SolverArray, overloaded
from .workload import largest_deviate, sources

CONDITION = 10.0
"""Condition number where nothing else is said: the dual systems of the digits' training have 5 to 14 (docs/cost.md)."""
MARGIN = 0.2
"""By what share a gain-bandwidth product may fall short before a stable cascade counts as marginal; chosen."""
CROSSBAR, OSCILLATOR = "crossbar", "oscillator"
PLANNED = (CROSSBAR, OSCILLATOR)
"""Fabrics of the dense and dual layouts that can be planned; a crossbar is single-ended where amplifiers have one output."""
QUANTILES = 2000
"""Points of the distribution of entries at which their rounding is looked at."""
MEAN = math.sqrt(2 / math.pi)
"""Mean magnitude of a standard normal number."""


@dataclass(frozen=True)
class PlannedCircuit:
    """The law of a planned array; see `solver_array.Circuit`.

    Attributes:
        technology: amplifiers, codes.
        loop: the array as its amplifiers see it.
        low, high: smallest and largest eigenvalue of what the arrays hold, S; of a cascade 0, beside its damping, and its norm.
        volts: planned largest output of an amplifier, V. rails: over which it is spread.
        loads: conductance at each kind of output, S.
        cells: whose rounded entries make the matrix; 0: of a cascade. deviation: standard deviation of an entry, S.
    """

    technology: Technology
    loop: ModalLaw
    low: float
    high: float
    volts: float
    rails: int
    loads: tuple[float, ...]
    cells: int = 0
    deviation: float = 0.0

    def settling(self, accuracy: float) -> float:
        """The longest of all eigenvectors'."""
        return _settling(self.loop, self.low, self.high, accuracy)

    @cached_property
    def _slowest(self) -> float:
        return self.loop.slowest(self.low, self.high)

    def largest_load(self) -> float:
        """See `Circuit.largest_load`."""
        return max(self.loads)

    def largest_current(self) -> float:
        """Of the most loaded output at the planned voltage."""
        return self.largest_load() * self.volts / self.rails

    def obstacles(self) -> tuple[str, ...]:
        """See `Circuit.obstacles`."""
        return tuple(found for found in (self._instability(), self._leak(), self._drive(), self._codes()) if found)

    def _instability(self) -> str:
        if math.isinf(self._slowest):
            what = "is unstable"
        elif math.isinf(self.loop.slower_amplifiers(1 - MARGIN).slowest(self.low, self.high)):
            what = f"is marginal: a gain-bandwidth product {100 * MARGIN:g} % lower makes it unstable"
        else:
            return ""
        return f"the loop {what}: {self.loop.limit(self.high)}"

    def _leak(self) -> str:
        leak, smallest = self.loop.leak(), self.low + self.loop.own
        if leak <= smallest:
            return ""
        return (
            f"the amplifiers' finite gain adds {leak / smallest:.3g} times the smallest eigenvalue to the matrix, as each is loaded by "
            f"{1 / self.loop.load:.3g} ohm at its input; use more gain, more damping, or a smaller array"
        )

    def _drive(self) -> str:
        opamp, current = self.technology.opamp, self.largest_current()
        return overloaded(opamp, self.volts, current, "a smaller array")

    def _codes(self) -> str:
        resistors, damping = self.technology.resistors, self.loop.own
        if damping and resistors.bits is not None and damping < smallest_code(resistors) / 2:
            return (
                f"the smallest programmable conductance of {smallest_code(resistors):.3g} S leaves out the damping of {damping:.3g} S; use "
                "more bits, a larger on_off, or more damping"
            )
        moved = 2 * math.sqrt(self.cells) * _rounding(self.technology, self.deviation) if self.cells else 0.0
        if moved > self.low > 0:
            kind = f"{resistors.bits} bits" if resistors.bits is not None else f"series {resistors.series}"
            reach = f"{kind} with on_off = {resistors.on_off:g}" if resistors.on_off is not None else kind
            return (
                f"{reach} move eigenvalues by {moved / self.low:.3g} times the smallest one, so that the programmed matrix may be "
                "indefinite; use more bits, a larger on_off, two slices, or more damping"
            )
        return ""


@lru_cache(maxsize=1024)
def _settling(loop: ModalLaw, low: float, high: float, accuracy: float) -> float:
    """A sweep asks for the same one again and again."""
    return max(loop.settling(eigenvalue, accuracy) for eigenvalue in loop.modes(low, high))


def planned_array(
    layout: str,
    parameters: int,
    batch: int,
    outputs: int,
    technology: Technology,
    condition: float = CONDITION,
    fabric: str = CROSSBAR,
) -> SolverArray:
    """The array of a step before there is a matrix; tau = R C of the technology's units.

    Heat with the Gaussian entries and signals of the module's docstring, for differential arrays:

        P = places g sqrt(2 / pi) / z_places (V / 2 z_cells)^2 / 2 + cells g (F / z_cells)^2 / 2

    two resistors a place, each with half of the voltage; at most, every voltage at its limit, the same with V for V / 2 z_cells and F for
    F / z_cells. Feedback and damping resistors are left out. Where the technology's amplifiers have one output, arrays are single-ended:
    one resistor a place with all of the voltage, and for each column an inverter of two unit resistors, since one without a negative
    entry hardly occurs; to first order, inverters count negative entries at most twice more as a load (`compiler.fabrics.crossbar`).

    Outputs of class AB draw their current i from a supply of V_s, so that driving the resistors takes V_s |i| of which |v i| is heat of the
    resistors: `drive_loss` is the rest (P. R. Gray, P. J. Hurst, S. H. Lewis, R. G. Meyer, Analysis and Design of Analog Integrated
    Circuits, 5th edition 2009, chapter 5). 0 where the technology states no `opamp.supply`.

    Args:
        layout: "factored", "dense" or "dual".
        parameters, batch, outputs: N, b and dz, at least 1.
        technology: unit resistor and capacitor, slices, output limit, and full scale of the DAC.
        condition: number of the matrix that is programmed, damping included: largest over smallest eigenvalue.
        fabric: one of `PLANNED`. Coupled oscillators have a second integrator and a friction resistor in each cell, with a code of its
            own, and rest without a voltage at either.

    Raises:
        InputError: an unknown layout or fabric; a layout whose arrays have a single slice with a technology of two, or two rails with
            amplifiers of one output; a cascade of oscillators; a size below 1; a condition number below 1 or not finite.
    """
    if fabric not in PLANNED:
        raise InputError(f"fabric {fabric!r} has no planned array; there are: {', '.join(PLANNED)}")
    n, k = parameters, sources(layout, parameters, batch, outputs)
    if not 1 <= condition < math.inf:
        raise InputError(f"condition is {condition}: give a finite condition number >= 1")
    if layout == "factored":
        cells, codes, amplifiers, places = n, k * (k + 2 * n), n + 2 * k, k * (k + 2 * n)
    elif layout == "dense":
        cells, codes, amplifiers, places = n, n * n, n, n * n
    else:
        cells, codes, amplifiers, places = k, k * (k + 1) // 2, k, k * k  # one code sets both places of a pair
    single = technology.opamp.outputs == 1
    if single and layout == "factored":
        raise InputError(
            f"layout 'factored' has fully differential amplifiers, and technology {technology.name}'s have one output: "
            "set opamp.outputs to 2, or take another layout"
        )
    slices = technology.resistors.slices
    if fabric == OSCILLATOR:
        _require_oscillators(layout, technology)
        codes, amplifiers = codes + cells, 2 * amplifiers
    if slices > 1:
        if layout == "factored":
            raise InputError(
                "layout 'factored' has arrays of one slice: set resistors.slices to 1, or take another layout"
            )
        # A second slice holds what a place really lacks, which is its own.
        codes = slices * places
    unit, limit = 1.0 / technology.resistors.unit, technology.opamp.output_limit
    conductance = unit * MEAN / largest_deviate(places)
    volts, driven = limit / 2 / largest_deviate(cells), technology.dac.full_scale / largest_deviate(cells)

    def heat(volts: float, driven: float) -> tuple[float, float]:
        """W that amplifiers and DACs deliver, with these rms voltages."""
        held, given = places * conductance * volts**2 / 2, cells * unit * driven**2 / 2
        return (2 * held + 2 * cells * unit * volts**2, 2 * given) if single else (held, given)

    held, given = heat(volts, driven)
    # Current of all outputs at the mean magnitude of a signal; on two rails each has half of it, and there are two.
    current = (places * conductance + (2 * cells * unit if single else 0.0)) * MEAN * volts
    loss = max(technology.opamp.supply * current - held, 0.0) if technology.opamp.supply else 0.0
    circuit = _circuit(layout, cells, k, technology, conductance, condition, fabric)
    amplifiers = amplifiers + cells if single else amplifiers
    area = None
    if technology.area is not None:
        states = 2 if fabric == OSCILLATOR else 1
        counts = _counts(technology, cells, places, codes, amplifiers, states)
        area = array_area(technology, counts)
    return SolverArray(
        cells,
        codes,
        amplifiers,
        technology.resistors.unit * technology.capacitors.unit,
        held + given,
        loss,
        sum(heat(limit, technology.dac.full_scale)),
        circuit,
        area,
        "" if area else missing(technology),
    )


def _counts(technology: Technology, cells: int, places: int, codes: int, amplifiers: int, states: int) -> ArrayCounts:
    """Parts of an array; resistors that are not programmed have the mean conductance's at all places."""
    rails, resistors = technology.opamp.outputs, technology.resistors
    further, mean = amplifiers - cells, resistors.unit * largest_deviate(places) / MEAN
    made = [(mean, rails * places * resistors.slices), (resistors.unit, rails * cells + 2 * further)]
    capacitors = [(technology.capacitors.unit, states * rails * cells)]
    return ArrayCounts(cells, rails, places, codes, amplifiers, further, capacitors, resistors.slices, resistors=made)


def _require_oscillators(layout: str, technology: Technology) -> None:
    """InputError where there is no plan of coupled oscillators."""
    if layout == "factored":
        raise InputError(
            f"fabric {OSCILLATOR} holds the matrix in one array: take layout 'dense' or 'dual', or fabric crossbar"
        )
    if technology.opamp.outputs == 1:
        raise InputError(
            f"fabric {OSCILLATOR} has fully differential amplifiers, and technology {technology.name}'s have one output: set opamp.outputs "
            "to 2, or take fabric crossbar"
        )


def _circuit(
    layout: str, cells: int, k: int, technology: Technology, mean: float, condition: float, fabric: str
) -> PlannedCircuit:
    """Loads from the mean conductance of a place, S."""
    opamp, unit, farad = technology.opamp, 1.0 / technology.resistors.unit, technology.capacitors.unit
    volts, sigma = opamp.output_limit / 2, mean / MEAN
    if layout == "factored":
        norm = sigma * (math.sqrt(cells) + math.sqrt(k))
        damping = norm / condition
        first = Stage(load=cells * mean, feedback=norm, output=k * mean)
        second = Stage(load=k * mean, feedback=2 * sigma * math.sqrt(k), output=cells * mean)
        loop = Loop(opamp, farad, k * mean + damping + unit, k * mean + damping, damping, (first, second))
        loads = (first.output + first.feedback, second.output + second.feedback, loop.output)
        return PlannedCircuit(technology, loop, 0.0, norm, volts, 2, loads)
    row, high = cells * mean, max(2 * sigma * math.sqrt(cells), unit)
    low = high / condition
    if fabric == OSCILLATOR:
        most = math.inf if technology.resistors.bits is None else unit
        swings = OscillatorLoop.planned(opamp, farad, row + unit, row, unit, low, most)
        return PlannedCircuit(technology, swings, low, high, volts, 2, (row, unit), cells, sigma)
    if opamp.outputs == 2:
        loop = Loop(opamp, farad, row + unit, row)
        return PlannedCircuit(technology, loop, low, high, volts, 2, (row,), cells, sigma)
    # Half of the entries are negative, and each counts at most twice more for its inverter.
    loop = Loop(opamp, farad, 2 * row + unit, row / 2 + unit)
    return PlannedCircuit(technology, loop, low, high, volts, 1, (row / 2 + unit,), cells, sigma)


def _rounding(technology: Technology, deviation: float) -> float:
    """Standard deviation of what rounding changes in an entry that has this one, S."""
    resistors = technology.resistors
    if not is_discrete(resistors):
        return 0.0
    # Quantiles of the magnitude; the largest entry is the unit conductance.
    share = (np.arange(QUANTILES) + 0.5) / QUANTILES
    entries = np.minimum(deviation * math.sqrt(2) * erfinv(share), 1.0 / resistors.unit)
    changed = float(np.sqrt(np.mean((nearest(entries, resistors) - entries) ** 2)))
    return changed / 2 ** (resistors.bits or 0) if resistors.slices == 2 else changed
