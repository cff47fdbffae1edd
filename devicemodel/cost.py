"""How long a step takes on the hybrid machine: digital work, transfers, programming, settling.

The timing model of arXiv:2405.13817 with this project's own device: a dual system of k cells is a k x k array whose k (k + 1) / 2
different codes and k drive values go over a link of `rate` bit/s in words of `word` bits, the cells settle for the analog time, and k
readings come back.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..circuits.technology import Link


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
        """Their sum: nothing is overlapped."""
        return self.digital + self.programming + self.drive + self.analog + self.reading


def step_time(cells: int, analog_seconds: float, link: Link, digital: float = 0.0, attempts: int = 1) -> StepTime:
    """Time of one step that solves one system of `cells` unknowns.

    Args:
        cells: k.
        analog_seconds: physical time of all analog runs, s.
        link: rate and word length of the digital side.
        digital: measured time of gradient, Gram matrix and map-back on the host, s.
        attempts: analog runs behind the reading; each loads the drive and is read.
    """
    word = link.word / link.rate
    return StepTime(
        digital=digital,
        programming=word * cells * (cells + 1) / 2,
        drive=word * cells * attempts,
        analog=analog_seconds,
        reading=word * cells * attempts,
    )
