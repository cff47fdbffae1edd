"""The space of a search: knobs with ranges, what follows from them, and a design of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....circuits.errors import InputError
from ....circuits.technology.technology import Technology
from ....devicemodel.card import DeviceCard
from ..knobs.design_point import DesignPoint
from ..knobs.knob import Knob, Value
from ..knobs.registry import knob_named
from ..studies import READINGS

READING = "reading"
"""How a design's die is read: not a knob of `KNOBS`, but part of a design."""
_BITS = ("resistors.bits", "dac.bits", "adc.bits")
_FREE = {
    "opamp.gain": "a higher gain", "adc.rate": "a faster ADC", "dac.rate": "a faster DAC", "link.rate": "a faster link",
    "resistors.tolerance": "a closer tolerance", "capacitors.tolerance": "a closer tolerance", "adc.noise": "less noise",
    "opamp.offset": "less offset", "opamp.noise_voltage": "less noise",
}  # fmt: skip
"""Knobs without a price in the model, of which a search takes the best there is."""


@dataclass(frozen=True)
class SearchedKnob:
    """The values of a knob that are searched: choices, or all from low to high.

    Attributes:
        knob: that is turned. choices: empty where there is a range.
        low, high: inclusive. log: whether a step is a factor.
    """

    knob: Knob
    choices: tuple[Value, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False

    @classmethod
    def of(cls, name: str, given: Any) -> SearchedKnob:
        """From a pair (low, high), or a list of values: more or less than two, or words, are choices; a pair in a set-like list too.

        Args:
            name: of the knob. given: {"low": .., "high": ..} or a sequence of two numbers for a range; {"choices": [..]} or another
                sequence for choices.

        Raises:
            InputError: no such knob, a value out of its range, low >= high, one choice or none, one twice.
        """
        knob = knob_named(name, "codesign")
        if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
            raise InputError(f"{name}: range {given!r}: give a pair (low, high), or choices")
        if isinstance(given, Mapping):
            if set(given) not in ({"low", "high"}, {"choices"}):
                raise InputError(f"{name}: range {dict(given)}: give low and high, or choices")
            ends = (given["low"], given["high"]) if "low" in given else None
            values = list(given.get("choices", ()))
        else:
            ends = tuple(given) if len(given) == 2 and knob.allowed.kind in ("number", "whole") else None
            values = [] if ends else list(given)
        if ends is None:
            chosen = tuple(knob.check(value) for value in values)
            if len(chosen) < 2 or len(set(chosen)) < len(chosen):
                raise InputError(
                    f"{name}: choices {list(chosen)}: give two or more, each once; one value is fixed instead"
                )
            return cls(knob, chosen)
        low, high = (knob.check(value) for value in ends)
        if not isinstance(low, int | float) or not isinstance(high, int | float) or not (low < high < math.inf):
            raise InputError(f"{name}: range {low} to {high}: give finite numbers with low < high")
        return cls(knob, (), low, high, knob.log and low > 0)

    @classmethod
    def parse(cls, text: str) -> SearchedKnob:
        """From "NAME=LOW:HIGH" or "NAME=A,B,C". InputError as `of`."""
        name, equals, values = text.partition("=")
        if not equals:
            raise InputError(f"--knob {text!r} is not NAME=LOW:HIGH or NAME=A,B,C, such as adc.bits=3:10")
        knob, name = knob_named(name.strip(), "codesign"), name.strip()
        if ":" in values:
            return cls.of(name, dict(zip(("low", "high"), map(knob.parse, values.split(":", 1)), strict=True)))
        return cls.of(name, {"choices": [knob.parse(one) for one in values.split(",")]})

    @property
    def name(self) -> str:
        """Of the knob that is turned."""
        return self.knob.target

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers of a range."""
        return not self.choices and self.knob.allowed.kind == "whole"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        ends = {"low": self.low, "high": self.high} if not self.choices else {"low": None, "high": None}
        names = {"name": self.name, "title": self.knob.title, "unit": self.knob.unit}
        return {**names, "log": self.log, "choices": list(self.choices), **ends}


@dataclass(frozen=True)
class Design:
    """A design: values of knobs, those that follow from others among them, and how the die is read."""

    values: Mapping[str, Value]
    reading: str

    @property
    def point(self) -> DesignPoint:
        """As a design point. Bare readings have no knobs of refinement."""
        bare = self.reading == "bare"
        return DesignPoint({k: v for k, v in self.values.items() if not (bare and k.startswith("refined."))})


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes:
        ranges: of the knobs. fixed: other knobs, the same for all designs. readings: ways to read a die that are searched.
    """

    ranges: tuple[SearchedKnob, ...]
    fixed: Mapping[str, Value] = field(default_factory=dict)
    readings: tuple[str, ...] = READINGS

    def __post_init__(self) -> None:
        names = [one.name for one in self.ranges]
        if not names:
            raise InputError("no knobs are searched: give one or more, such as {'adc.bits': (3, 10)}")
        twice = {name for name in names if names.count(name) > 1} | (set(names) & set(self.fixed))
        if twice:
            raise InputError(f"{', '.join(sorted(twice))} searched twice, or searched and fixed: leave one of them out")
        if not self.readings or not set(self.readings) <= set(READINGS):
            raise InputError(f"readings are {list(self.readings)}: give one or both of {', '.join(READINGS)}")

    def design(self, found: Mapping[str, Value], technology: Technology) -> Design:
        """The design of the values that were found, `READING` among them where there are several, with what follows from them:

        - link.word: the largest number of bits of codes and converters, where one of these is searched;
        - dac.count = adc.count, where one of them is searched;
        - opamp.power in proportion to opamp.gbw (gm of an amplifier is in proportion to its current).

        A knob that is searched or fixed follows nothing.
        """
        values = {**self.fixed, **{name: value for name, value in found.items() if name != READING}}
        reading = str(found.get(READING, self.readings[0]))
        searched = {one.name for one in self.ranges}
        tied: dict[str, Value] = {}
        if searched & set(_BITS):
            now = [values.get(name, getattr(technology, name.split(".")[0]).bits) for name in _BITS]
            bits = [int(one) for one in now if one is not None]
            tied["link.word"] = max(bits) if bits else technology.link.word
        for one, other in (("adc.count", "dac.count"), ("dac.count", "adc.count")):
            if one in searched:
                tied[other] = values[one]
        if "opamp.gbw" in searched and technology.opamp.power:
            tied["opamp.power"] = technology.opamp.power * float(values["opamp.gbw"] or 0.0) / technology.opamp.gbw
        return Design({**tied, **values}, reading)

    def notes(self) -> list[str]:
        """What a reader has to know of the prices of the knobs."""
        free = [f"{one.name} ({_FREE[one.name]} costs nothing)" for one in self.ranges if one.name in _FREE]
        return [f"without a price in the cost model: {', '.join(free)}"] if free else []


def default_space(card: DeviceCard, fixed: Mapping[str, Any] | None = None) -> Space:
    """The knobs that the cost model has a price for, in ranges around the card's own technology; those that are fixed are left out.

    Args:
        card: of the technology. fixed: knobs that are not searched.
    """
    technology, fixed = card.technology, dict(DesignPoint(fixed))
    ohm, farad = technology.resistors.unit, technology.capacitors.unit
    ranges: dict[str, Any] = {
        "resistors.unit": (ohm / 4, ohm * 4),
        "capacitors.unit": (farad / 30, farad * 3),
        "dac.bits": (3, 10),
        "adc.bits": (3, 10),
        "adc.count": (1, 2, 4, 8, 16, 32),
        "refined.rounds": (0, 6),
        "refined.tolerance": (0.003, 0.5),
        "tngd.duration": (2.0, 40.0),
        "tngd.damping": (0.1, 1.0),
    }
    if technology.resistors.bits is not None:
        ranges = {"resistors.bits": (3, 10), **ranges}
    if technology.resistors.pelgrom_coefficient is not None and technology.resistors.area:
        ranges["resistors.area"] = (technology.resistors.area / 10, technology.resistors.area * 4)
    kept = {name: given for name, given in ranges.items() if name not in fixed}
    return Space(tuple(SearchedKnob.of(name, given) for name, given in kept.items()), fixed)
