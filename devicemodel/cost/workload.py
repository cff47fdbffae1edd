"""What one step asks of the host and of the array: floating-point operations, cells, codes, amplifiers.

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
from typing import Literal, get_args

from ...circuits.errors import InputError

Layout = Literal["factored", "dense", "dual"]
LAYOUTS: tuple[str, ...] = get_args(Layout)


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
