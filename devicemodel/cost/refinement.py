"""What a refined reading takes (`host.refine`): runs of the array, and products of the host.

With r corrections after the first reading, each reading at +b and -b (chopped),

    runs = 2 (1 + r) a,      products with A = 1 + r, or 2 + r with flexible CG,      residuals in double precision,

a the runs that the host needs to find the signal level. A product with A, and what it reads of the matrix:

| layout | multiply-adds | bytes |
|---|---|---|
| dense | N^2 | 8 N^2 |
| factored, J^T (H (J x)) + lambda x | 2 k N + k^2 + N | 8 (2 k N + k^2) |
| dual | k^2 | 8 k^2 |

To program a unit diagonal, D A D, the host multiplies each entry once and writes it back, n^2 and 16 n^2 bytes; factors are programmed as
they are. Vectors, of n numbers, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...circuits.errors import InputError
from .digital_host import HostWork
from .workload import sources

NUMBER = 8
"""Bytes of a number in double precision."""


@dataclass(frozen=True)
class ReadingPlan:
    """How a solution is read.

    Attributes:
        rounds: corrections after the first reading; None: one bare reading.
        chopped: refined readings are taken at +b and at -b.
        method: "richardson" or "fcg".

    Raises:
        InputError: rounds that are no integer >= 0, an unknown method.
    """

    rounds: int | None = None
    chopped: bool = True
    method: Literal["richardson", "fcg"] = "richardson"

    def __post_init__(self) -> None:
        if self.rounds is not None and (not isinstance(self.rounds, int) or self.rounds < 0):
            raise InputError(f"rounds is {self.rounds!r}: give an integer >= 0, or None for a bare reading")
        if self.method not in ("richardson", "fcg"):
            raise InputError(f"method is {self.method!r}: give 'richardson' or 'fcg'")

    @property
    def runs(self) -> int:
        """Runs of the array, without those that find the signal level."""
        return 1 if self.rounds is None else (1 + self.chopped) * (1 + self.rounds)

    @property
    def products(self) -> int:
        """Products with A."""
        return 0 if self.rounds is None else 1 + self.rounds + (self.method == "fcg")

    def work(self, product: HostWork, scaling: HostWork) -> HostWork:
        """All of the host's work, of one product with A and of scaling it to a unit diagonal."""
        if self.rounds is None:
            return HostWork()
        return HostWork(
            self.products,
            self.products * product.multiply_adds + scaling.multiply_adds,
            self.products * product.bytes + scaling.bytes,
        )

    def __str__(self) -> str:
        if self.rounds is None:
            return "bare"
        return f"{self.rounds} round{'s' * (self.rounds != 1)}"


def product_work(layout: str, parameters: int, batch: int, outputs: int) -> HostWork:
    """One product with the matrix of a layout, as the table of this module's docstring has it.

    Raises:
        InputError: an unknown layout, or a size below 1.
    """
    n, k = parameters, sources(layout, parameters, batch, outputs)
    if layout == "factored":
        return HostWork(1, 2 * k * n + k * k + n, NUMBER * (2 * k * n + k * k))
    return written_out(n if layout == "dense" else k)


def written_out(unknowns: int) -> HostWork:
    """One product with a matrix of n^2 entries."""
    return HostWork(1, unknowns**2, NUMBER * unknowns**2)


def scaling_work(unknowns: int) -> HostWork:
    """D A D for a matrix of n^2 entries."""
    return HostWork(0, unknowns**2, 2 * NUMBER * unknowns**2)
