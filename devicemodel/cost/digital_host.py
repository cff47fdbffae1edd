"""`DigitalHost`: the digital computer beside the array, and what refining a reading asks of it."""

from __future__ import annotations

from dataclasses import dataclass

from ...circuits.errors import InputError
from .workload import require_amount

DOUBLE = 2.0
"""Operations of `DigitalHost.rate` in the time of one in double precision: 9.7 TFLOP/s against 19.5 in an A100's data sheet."""


@dataclass(frozen=True)
class HostWork:
    """Products with the system's matrix.

    Attributes:
        products: how many.
        multiply_adds: multiplications, each with an addition, in double precision; those of scaling the matrix are in it.
        bytes: read and written in memory.
    """

    products: int = 0
    multiply_adds: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class DigitalHost:
    """The digital computer beside the array.

    A unit of energy is `power` over a rate: 68 pJ an operation and 0.26 nJ a byte by default, so 2.1 nJ for a number in double precision.
    M. Horowitz (ISSCC 2014) has 1.3 to 2.6 nJ for 64 bits from a DRAM.

    Attributes:
        rate: operations that it does in a second. Default: 30 % of the 19.5 TFLOP/s (single precision) of an A100's data sheet.
        power: W while it computes. Default: that data sheet's 400 W.
        bandwidth: bytes a second between it and its memory. Default: 1,555 GB/s, of that data sheet (40 GB).
        idle_power: W while it waits for the array. Default: 53 W, what nvidia-smi showed of four A100-SXM4-40GB at 0 % utilization (52.5
            to 54.3 W; huggingface.co/spaces/seawolf2357/PLUS_Lab_GPUs, gpus.csv, 3 July 2025). One that is kept at full clocks takes more.

    Raises:
        InputError: a rate or bandwidth that is not positive, a power that is negative or not finite.
    """

    rate: float = 0.3 * 19.5e12
    power: float = 400.0
    bandwidth: float = 1.555e12
    idle_power: float = 53.0

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise InputError(f"rate of the host is {self.rate}: give operations per second, > 0")
        if not self.bandwidth > 0:
            raise InputError(f"bandwidth of the host is {self.bandwidth}: give bytes per second, > 0")
        require_amount("power of the host", self.power, "W")
        require_amount("idle power of the host", self.idle_power, "W")

    def seconds(self, work: HostWork) -> float:
        """Time for some work, s: that of its operations, or of its memory if that is longer."""
        return max(2 * DOUBLE * work.multiply_adds / self.rate, work.bytes / self.bandwidth)
