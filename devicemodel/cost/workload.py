"""What one step asks of the host and of the array: floating-point operations, cells, codes, amplifiers, heat.

N parameters, a batch of b samples, dz outputs each, k = b dz. Three layouts of the solver of one TNGD step:

| layout | cells | codes | amplifiers | operations of the host |
|---|---|---|---|---|
| dense: G + lambda multiplied out | N | N N | N | gradient, J, 2 k N N |
| factored: arrays J, H, J^T (arXiv 2405.13817) | N | k (k + 2 N) | N + 2 k | gradient, J |
| dual: L^T J J^T L + lambda (`optim.optimizers.tngd`) | k | k (k + 1) / 2 | k | gradient, J, k (k + 1) N + 2 k N |

Operations count a multiplication and an addition as two. A layer's forward pass takes two for each of its parameters and samples, a
backward pass twice that: the gradient 6 b N, J dz backward passes, 4 k N. That holds for dense layers; one that shares its weights takes
more, and `optim.curvature` forms the Gram matrix of dense layers without J, in far fewer. Measure where it matters (`measured_seconds`).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from ...circuits.errors import InputError
from ...circuits.technology.technology import Technology
from ...compiler.analysis.describe import describe
from ...compiler.program import AnalogProgram

Layout = Literal["factored", "dense", "dual"]
LAYOUTS: tuple[str, ...] = get_args(Layout)


@dataclass(frozen=True)
class SolverArray:
    """What of an array takes time and energy.

    Attributes:
        cells: unknowns; each is driven by one word and read as one.
        codes: numbers that program the matrix.
        amplifiers: amplifiers that are on while the cells settle.
        tau: s, the unit of the duration.
        heat: W in the resistors while the cells settle.
    """

    cells: int
    codes: int
    amplifiers: int
    tau: float
    heat: float


def planned_array(layout: str, parameters: int, batch: int, outputs: int, technology: Technology) -> SolverArray:
    """The array of a step before there is a matrix; tau = R C of the technology's units.

    The heat assumes entries and signals that are Gaussian. The largest of m has z_m standard deviations (`largest_deviate`), and is one
    unit conductance g, half of the output limit V, or the DAC's full scale F:

        P = places g sqrt(2 / pi) / z_places (V / 2 z_cells)^2 / 2 + cells g (F / z_cells)^2 / 2

    for differential arrays: two resistors a place, each with half of the voltage. Feedback and damping resistors are left out. Where the
    technology's amplifiers have one output, arrays are single-ended: one resistor a place with all of the voltage, and for each column an
    inverter of two unit resistors, since one without a negative entry hardly occurs.

    Args:
        layout: "factored", "dense" or "dual".
        parameters, batch, outputs: N, b and dz, at least 1.
        technology: unit resistor and capacitor, slices, output limit, and full scale of the DAC.

    Raises:
        InputError: an unknown layout, one whose arrays have a single slice with a technology of two, or two rails with amplifiers of one
            output; a size below 1.
    """
    n, k = parameters, sources(layout, parameters, batch, outputs)
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
    if slices > 1:
        if layout == "factored":
            raise InputError(
                "layout 'factored' has arrays of one slice: set resistors.slices to 1, or take another layout"
            )
        # A second slice holds what a place really lacks, which is its own.
        codes = slices * places
    unit = 1.0 / technology.resistors.unit
    conductance = unit * math.sqrt(2 / math.pi) / largest_deviate(places)
    volts = technology.opamp.output_limit / 2 / largest_deviate(cells)
    driven = technology.dac.full_scale / largest_deviate(cells)
    heat = places * conductance * volts**2 / 2 + cells * unit * driven**2 / 2
    if single:
        amplifiers, heat = amplifiers + cells, 2 * heat + 2 * cells * unit * volts**2
    return SolverArray(cells, codes, amplifiers, technology.resistors.unit * technology.capacitors.unit, heat)


def compiled_array(program: AnalogProgram) -> SolverArray:
    """The array of a compiled program: its own tau and parts, and the most heat that its resistors make (`Report.resistor_power`).

    Codes: each factor's entries in a cascade, each part of a network, n (n + 1) / 2 where one code sets a symmetric pair, else n^2.
    """
    # Its dies are not asked for, which are a second's work.
    report = describe(program, dies=0)
    return SolverArray(
        program.size, program.parts.code_count(), report.parts.get("amplifier", 0), program.tau, report.resistor_power
    )


def derivative_flops(layout: str, parameters: int, batch: int, outputs: int) -> float:
    """Floating-point operations of the host in one step, as the table of this module's docstring has them.

    Raises:
        InputError: an unknown layout, or a size below 1.
    """
    n, k = float(parameters), float(sources(layout, parameters, batch, outputs))
    both = 6 * batch * n + 4 * k * n
    return both + {"factored": 0.0, "dense": 2 * k * n * n, "dual": k * (k + 1) * n + 2 * k * n}[layout]


def measured_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median wall-clock time of a call on this machine, s; one more call before, which is not counted, warms up.

    Args:
        work: what the host does in a step: forward pass, gradient, Jacobian or Gram matrix. On an accelerator it must wait for the end.
        repeats: calls that are timed, at least 1.

    Raises:
        InputError: no repeats.
    """
    require_count("repeats", repeats)
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def largest_deviate(count: int) -> float:
    """Median z of the largest magnitude among `count` standard normal numbers: (1 - 2 Phi(-z))^count = 1/2."""
    tail = -math.expm1(-math.log(2) / count) / 2
    return -statistics.NormalDist().inv_cdf(tail)


def sources(layout: str, parameters: int, batch: int, outputs: int) -> int:
    """k = b dz, once layout and sizes are found right."""
    if layout not in LAYOUTS:
        raise InputError(f"layout {layout!r} is unknown; there are: {', '.join(LAYOUTS)}")
    for name, value in (("parameters", parameters), ("batch", batch), ("outputs", outputs)):
        require_count(name, value)
    return batch * outputs


def require_count(name: str, value: object) -> None:
    """InputError unless it is an integer of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is {value!r}: give an integer >= 1")


def require_amount(name: str, value: float, unit: str) -> None:
    """InputError if it is negative or not finite."""
    if not 0 <= value < math.inf:
        raise InputError(f"{name} is {value}: give a finite number >= 0, in {unit}")
