"""The imperfections that studies vary, one at a time: resistor tolerance, thermal isolation, resolution of the converters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...circuits.errors import InputError
from ...circuits.technology.die import Die
from ...devicemodel.card import DeviceCard


@dataclass(frozen=True)
class Knob:
    """An imperfection of the device that a study varies.

    Attributes:
        title, axis, unit: for plots.
        log: whether the axis is logarithmic.
        levels: settings of a study that names none.
        turn: (card, level) -> card at that setting.
        shown: (card at that setting, level) -> value on the axis.
    """

    title: str
    axis: str
    unit: str
    log: bool
    levels: tuple[float, ...]
    turn: Callable[[DeviceCard, float], DeviceCard]
    shown: Callable[[DeviceCard, float], float]

    def card_at(self, card: DeviceCard, level: float) -> DeviceCard:
        """The card at a setting of the knob. InputError for a level that the card does not allow."""
        try:
            return DeviceCard(**self.turn(card, level).model_dump())
        except ValueError as error:
            raise InputError(f"level {level:g} of the study {self.title.lower()!r} is not possible: {error}") from None


def _tolerance(card: DeviceCard, level: float) -> DeviceCard:
    return card.replace(mismatch=level)


def _isolation(card: DeviceCard, level: float) -> DeviceCard:
    return card.replace(technology=card.technology.replace(thermal__to_hot=level))


def _adc(card: DeviceCard, level: float) -> DeviceCard:
    if level != int(level):
        raise InputError(f"an ADC has a whole number of bits, not {level:g}")
    return card.replace(technology=card.technology.replace(adc__bits=int(level)))


def _spread(card: DeviceCard, _: float) -> float:
    return float(np.ptp(Die(card.technology, None).temperatures))


KNOBS: dict[str, Knob] = {
    "tolerance": Knob(
        title="Resistor tolerance",
        axis="standard deviation of a resistor",
        unit="1",
        log=True,
        levels=(0.003, 0.01, 0.03, 0.1, 0.3),
        turn=_tolerance,
        shown=lambda card, level: level,
    ),
    "isolation": Knob(
        title="Thermal isolation",
        axis="temperature spread over the die",
        unit="K",
        log=False,
        levels=(0.0, 1e-3, 3e-3, 1e-2, 1e-1),
        turn=_isolation,
        shown=_spread,
    ),
    "adc": Knob(
        title="Resolution of the ADC",
        axis="ADC resolution",
        unit="bit",
        log=False,
        levels=(2, 3, 4, 6, 8, 10),
        turn=_adc,
        shown=lambda card, level: level,
    ),
}
"""The knobs by name. Levels of "tolerance" are standard deviations, relative; of "isolation", thermal conductances to the hot neighbour
(W/K for each cell of the edge); of "adc", bits."""
