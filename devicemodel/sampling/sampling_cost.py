"""Time and energy of solving by sampling, part by part, with the figures of a technology as in `cost.model`.

N samples of n cells, h apart; w, B, e_b, E_s as there, C codes:

| part | time | energy |
|---|---|---|
| programming | C w / B | C (w e_b + code bits x write energy) |
| noise source | | n E_s 2^bits x its samples, `NOISE_SAMPLES` to each interval |
| sampling | rest + N h | |
| ADC | | N n E_s 2^bits |
| transfers | N n w / B | N n w e_b |
| host | operations / its rate | its power x that time |
| idle host | | its idle power x the rest of the time |

The host takes r (2 n) multiply-adds a sample for r right-hand sides, or n (n + 1) / 2 for the inverse, whichever is less. Samples are used
as they come: the run lasts as long as the slowest of sampling, transfers and host. A settled solution needs one conversion a cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...circuits.errors import InputError
from ...circuits.technology.converters import Converter
from ...circuits.technology.technology import Technology
from ..cost.digital_host import DigitalHost, HostWork
from ..cost.step import CostItem

NOISE_SAMPLES = 10
"""Samples of the noise source to an interval: its band is then as many times that of the ADC."""


@dataclass(frozen=True)
class SamplingCost:
    """What a run takes.

    Attributes:
        parts: programming, noise source, sampling, ADC, transfers, host, idle host. conversions: of all ADCs. work: of the host.
    """

    parts: tuple[CostItem, ...]
    conversions: int
    work: HostWork

    @property
    def seconds(self) -> float:
        """Programming, then the slowest of what goes on at once, s."""
        return _seconds(self.parts)

    @property
    def joules(self) -> float:
        """Total energy, J."""
        return math.fsum(part.joules for part in self.parts)

    def part(self, name: str) -> CostItem:
        """The part of this name."""
        return next(part for part in self.parts if part.name == name)


def work_of_samples(samples: int, cells: int, right_hand_sides: int | None) -> HostWork:
    """Of the host on so many samples; None: the whole inverse."""
    inverse = cells * (cells + 1) // 2
    each = inverse if right_hand_sides is None else min(inverse, 2 * cells * right_hand_sides)
    return HostWork(multiply_adds=samples * each)


def sampling_cost(
    technology: Technology,
    cells: int,
    codes: int,
    samples: int,
    interval: float,
    rest: float = 0.0,
    right_hand_sides: int | None = None,
    host: DigitalHost | None = None,
) -> SamplingCost:
    """Time and energy of one run.

    Args:
        technology: converters, link, bits and write energy of codes.
        cells: n. codes: that program the matrix.
        samples: N of each cell. interval: between them, s. rest: s before the first.
        right_hand_sides: solved for from the run; None: the whole inverse.
        host: what averages; None: `DigitalHost()`.

    Raises:
        InputError: a count below 1, a time that is negative or not finite.
    """
    for name, count in (("cells", cells), ("samples", samples), ("right_hand_sides", right_hand_sides or 1)):
        if not isinstance(count, int) or count < 1:
            raise InputError(f"{name} is {count!r}: give an integer >= 1")
    if not (0 < interval < math.inf and 0 <= rest < math.inf):
        raise InputError(f"interval is {interval!r} s, rest {rest!r} s: give finite times > 0 and >= 0")
    host, link, words = host or DigitalHost(), technology.link, samples * cells
    written = (technology.resistors.bits or link.word) * technology.resistors.write_energy
    work = work_of_samples(samples, cells, right_hand_sides)
    noise = NOISE_SAMPLES * cells * (samples + rest / interval)
    computing = host.seconds(work)
    parts = [
        CostItem("programming", codes * link.word / link.rate, codes * (link.word * link.energy + written)),
        CostItem("noise source", 0.0, noise * _conversion(technology.dac)),
        CostItem("sampling", rest + samples * interval, 0.0),
        CostItem("ADC", 0.0, words * _conversion(technology.adc)),
        CostItem("transfers", words * link.word / link.rate, words * link.word * link.energy),
        CostItem("host", computing, host.power * computing),
    ]
    parts.append(CostItem("idle host", 0.0, host.idle_power * (_seconds(parts) - computing)))
    return SamplingCost(tuple(parts), words, work)


def _seconds(parts: Sequence[CostItem]) -> float:
    """Of programming, and then of what goes on at once."""
    programming, *at_once = parts
    return programming.seconds + max(part.seconds for part in at_once)


def _conversion(converter: Converter) -> float:
    """Energy of one, J."""
    return 0.0 if converter.bits is None else 2**converter.bits * converter.figure_of_merit
