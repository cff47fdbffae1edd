"""`Knob`: a figure of the machine that can be turned, with its name, unit and range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Literal, TypeAlias

from ....circuits.errors import InputError
from ....devicemodel.card import DeviceCard

Value: TypeAlias = float | int | bool | str | None
"""Of a knob; None: the part does not have it, such as an ADC without quantisation."""
Kind: TypeAlias = Literal["number", "whole", "switch", "choice"]
Part: TypeAlias = Literal["technology", "host", "optimizer"]
"""Of the machine: the die and its converters; what the host does with them; what trains."""
SHARE = "1"
"""Unit of a share, which is shown in percent. A plain number has the unit ""."""
WORDS = {"none": None, "true": True, "false": False, "on": True, "off": False}


@dataclass(frozen=True)
class Allowed:
    """The values that a knob may have.

    Attributes:
        kind: "number", "whole" (number), "switch" (True or False) or "choice".
        low, high: limits of numbers. above, below: whether the limit itself is excluded. An infinite `high` that is not `below` is a value.
        choices: of a choice.
        optional: whether None is a value.
    """

    kind: Kind
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    choices: tuple[str | int, ...] = ()
    optional: bool = False

    def __contains__(self, value: object) -> bool:
        """Whether a value is allowed; a truth value is no number, and 8.0 is a whole one."""
        if value is None:
            return self.optional
        if self.kind == "switch":
            return isinstance(value, bool)
        if self.kind == "choice":
            return not isinstance(value, bool) and value in self.choices
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        number = float(value)
        if self.kind == "whole" and not number.is_integer():
            return False
        low = self.low < number if self.above else self.low <= number
        high = number < self.high if self.below else number <= self.high
        return low and high

    def __str__(self) -> str:
        end = ", or none" if self.optional else ""
        if self.kind == "switch":
            return f"true or false{end}"
        if self.kind == "choice":
            return f"one of {', '.join(map(str, self.choices))}{end}"
        words = [f"a {'whole number' if self.kind == 'whole' else 'number'}"]
        if math.isfinite(self.low):
            words.append(f"{'above' if self.above else 'from'} {self.low:g}")
        if math.isfinite(self.high):
            if len(words) > 1 and not self.above and not self.below:
                words.append(f"to {self.high:g}")
            else:
                words.append(f"{'and ' * (len(words) > 1)}{'below' if self.below else 'at most'} {self.high:g}")
        elif not self.below and self.kind == "number":
            words.append("or inf")
        return " ".join(words) + end


@dataclass(frozen=True)
class Knob:
    """A figure of the machine that can be turned.

    Attributes:
        name: such as "adc.bits". title: for plots. unit: SI, `SHARE` for a share, "" for a plain number.
        allowed: its values. part: of the machine. meaning: one sentence.
        log: whether an axis of it is logarithmic. levels: of a study that names none; empty: it has to name them.
        axis: title of an axis; "": the title.
        of: the knob that this one is another name of; "": it is its own.
        shown_as: (card at that value, value) -> what an axis shows; None: the value.
    """

    name: str
    title: str
    unit: str
    allowed: Allowed
    part: Part
    meaning: str
    log: bool = False
    levels: tuple[float | str, ...] = ()
    axis: str = ""
    of: str = ""
    shown_as: Callable[[DeviceCard, float], float] | None = None

    @property
    def target(self) -> str:
        """Name of the knob that is turned."""
        return self.of or self.name

    @property
    def choices(self) -> tuple[str, ...]:
        """Words of what an axis shows at 0, 1, ...; empty for numbers."""
        if self.allowed.kind == "switch":
            return ("off", "on")
        return tuple(map(str, self.allowed.choices))

    def check(self, value: object) -> Value:
        """The value as the machine takes it. InputError, with name, value and range, for one that is not allowed."""
        plain = value.item() if hasattr(value, "item") else value
        if plain not in self.allowed:
            shown = f"{plain:g}" if isinstance(plain, float) else repr(plain)
            raise InputError(f"{self.target} is {shown}{self._in_units(plain)}: give {self.allowed}")
        if self.allowed.kind == "number" and isinstance(plain, int):
            return float(plain)
        if self.allowed.kind == "whole" and isinstance(plain, float):
            return int(plain)
        assert plain is None or isinstance(plain, float | int | str)
        return plain

    def parse(self, text: str) -> Value:
        """The value that a text such as "0.01", "off", "none" or "dual" stands for. InputError as `check`."""
        word = text.strip()
        if self.allowed.kind == "choice" and word in self.choices:
            return self.check(self.allowed.choices[self.choices.index(word)])
        if word.lower() in WORDS:
            return self.check(WORDS[word.lower()])
        try:
            number = float(word)
        except ValueError:
            return self.check(word)
        return self.check(bool(number) if self.allowed.kind == "switch" and number in (0.0, 1.0) else number)

    def word(self, level: object) -> str:
        """The word, of `choices`, that a value or a word stands for. InputError as `check`."""
        value = self.parse(level) if isinstance(level, str) else self.check(level)
        return self.choices[int(value)] if isinstance(value, bool) else str(value)

    def shown(self, card: DeviceCard, level: float | str) -> float:
        """Value on an axis, of the card at that level: the number itself, or the place of a word."""
        if self.choices:
            return float(self.choices.index(self.word(level)))
        number = float(level)
        return number if self.shown_as is None else self.shown_as(card, number)

    def _in_units(self, value: object) -> str:
        number = isinstance(value, float | int) and not isinstance(value, bool)
        return f" {self.unit}" if number and self.unit not in ("", SHARE) else ""
