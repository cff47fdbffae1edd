"""What one step asks of the host and of the array: floating-point operations, cells, codes, amplifiers.

N parameters, a batch of b samples, dz outputs each, k = b dz. Three layouts of the solver of one TNGD step:

| layout | cells | codes | amplifiers | operations of the host |
|---|---|---|---|---|
| dense: G + lambda multiplied out | N | N N | N | gradient, J, 2 k N N |
| factored: arrays J, H, J^T (arXiv 2405.13817) | N | k (k + 2 N) | N + 2 k | gradient, J |
| dual: L^T J J^T L + lambda (`optim.optimizers.tngd`) | k | k (k + 1) / 2 | k | gradient, J, k (k + 1) N + 2 k N |

Operations count a multiplication and an addition as two. A forward pass of the batch takes F, a backward pass twice that: the gradient 3 F,
J k / b backward passes, 2 F k / b. With dense layers F = 2 b N, two for each parameter and sample: 6 b N and 4 k N. A layer that shares its
weights takes more (F can be given), and `optim.curvature` forms the Gram matrix of dense layers without J, in far fewer. Measure where it
matters (`measured_seconds`).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from ...circuits.errors import InputError

Layout = Literal["factored", "dense", "dual"]
LAYOUTS: tuple[str, ...] = get_args(Layout)


@dataclass(frozen=True)
class Workload:
    """The derivatives of a step.

    Attributes:
        parameters: N. samples: b. sources: k, rows of the curvature's factor J.
        forward: F, operations of a forward pass of the batch; None: 2 b N.
    """

    parameters: int
    samples: int
    sources: int
    forward: float | None = None

    @property
    def forward_flops(self) -> float:
        """F."""
        return 2.0 * self.samples * self.parameters if self.forward is None else self.forward

    @property
    def gradient_flops(self) -> float:
        """A forward and a backward pass, 3 F."""
        return 3 * self.forward_flops

    @property
    def jacobian_flops(self) -> float:
        """J, by k / b backward passes of 2 F."""
        return 2 * self.forward_flops * self.sources / self.samples

    def derivatives(self, layout: str) -> float:
        """All that the host computes for an array of this layout."""
        n, k = float(self.parameters), float(self.sources)
        own = {"factored": 0.0, "dense": 2 * k * n * n, "dual": k * (k + 1) * n + 2 * k * n}[layout]
        return self.gradient_flops + self.jacobian_flops + own


def derivative_flops(layout: str, parameters: int, batch: int, outputs: int, forward: float | None = None) -> float:
    """Floating-point operations of the host in one step, as the table of this module's docstring has them.

    Args:
        forward: F, of a forward pass of the batch; None: that of dense layers.

    Raises:
        InputError: an unknown layout, a size below 1, or operations that are negative or not finite.
    """
    k = sources(layout, parameters, batch, outputs)
    if forward is not None:
        require_amount("forward", forward, "operations of a forward pass of the batch")
    return Workload(parameters, batch, k, forward).derivatives(layout)


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
