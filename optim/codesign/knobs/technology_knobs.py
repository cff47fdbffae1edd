"""The knobs of a technology: one for each number, truth value and choice of its records, with range and meaning from the field itself.

Those of `area` are the figures' values. Names and texts are left out, and the list `opamp.transistors`.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from ....circuits.records import Record
from ....circuits.technology.area import Areas
from ....circuits.technology.provenance import Figure
from ....circuits.technology.technology import Technology
from .knob import Allowed, Knob
from .units import LEVELS, UNITS

_TITLES = {
    "opamp": "Amplifiers",
    "dac": "DAC",
    "adc": "ADC",
    "link": "Digital link",
    "thermal": "Heat",
    "area": "Area",
}
"""Of parts whose title is not their name."""
_SPELT = {"gbw": "gain-bandwidth product", "tc1": "linear temperature coefficient", "tc2": "quadratic temperature coefficient",
          "inl": "integral nonlinearity", "dnl": "differential nonlinearity", "on_off": "on/off ratio",
          "johnson_noise": "Johnson noise", "pelgrom": "Pelgrom", "dac": "a DAC", "adc": "an ADC"}  # fmt: skip
_END = re.compile(r"(?<=[a-z0-9)`\]])\. (?=[A-Z])|\n\n")
"""Of a first sentence."""


def technology_knobs() -> dict[str, Knob]:
    """By name, in the order of the record."""
    found = {}
    for name, field in technology_fields():
        allowed = _allowed(field)
        if allowed is None or (allowed.kind in ("number", "whole") and name not in UNITS):
            continue
        unit = UNITS.get(name, "")
        log = allowed.kind == "number" and allowed.low >= 0 and unit != "K"
        meaning = first_sentence(field.description or "")
        found[name] = Knob(name, _title(name), unit, allowed, "technology", meaning, log, LEVELS.get(name, ()))
    return found


def technology_fields() -> Iterator[tuple[str, FieldInfo]]:
    """(name, field) of each field of each part of a technology."""
    for part, field in Technology.model_fields.items():
        record = next((one for one in _kinds(field) if isinstance(one, type) and issubclass(one, Record)), None)
        for name, inner in (record.model_fields if record else {}).items():
            if record is Areas and Figure in _kinds(inner):
                value = Figure.model_fields["value"]
                yield f"{part}.{name}", _described(value, inner.description)
            else:
                yield f"{part}.{name}", inner


def first_sentence(text: str) -> str:
    """Of a docstring, with its full stop."""
    sentence = " ".join(_END.split(text.strip(), maxsplit=1)[0].split())
    return sentence if not sentence or sentence.endswith(".") else f"{sentence}."


def _described(field: FieldInfo, text: str | None) -> FieldInfo:
    return FieldInfo.merge_field_infos(field, description=text)


def _kinds(field: FieldInfo) -> tuple[Any, ...]:
    """The types of a field, None left out."""
    annotation = field.annotation
    union = get_origin(annotation) in (Union, types.UnionType)
    return tuple(one for one in (get_args(annotation) if union else (annotation,)) if one is not type(None))


def _allowed(field: FieldInfo) -> Allowed | None:
    """What the field allows; None for one that is no number, truth value or choice."""
    kinds = _kinds(field)
    optional = type(None) in get_args(field.annotation)
    if len(kinds) != 1:
        return None
    kind = kinds[0]
    if get_origin(kind) is Literal:
        return Allowed("choice", choices=get_args(kind), optional=optional)
    if kind is bool:
        return Allowed("switch", optional=optional)
    if kind not in (int, float):
        return None
    low, high, above, below = -math.inf, math.inf, False, False
    for one in field.metadata:
        low, above = (one.ge, False) if hasattr(one, "ge") else (one.gt, True) if hasattr(one, "gt") else (low, above)
        high, below = (one.le, False) if hasattr(one, "le") else (one.lt, True) if hasattr(one, "lt") else (high, below)
    # Where infinity is what a figure has to begin with, it means an ideal part; elsewhere it means nothing.
    if math.isinf(high) and field.default != math.inf:
        below = True
    return Allowed("whole" if kind is int else "number", float(low), float(high), above, below, optional=optional)


def _title(name: str) -> str:
    part, field = name.split(".")
    words = _SPELT.get(field) or " ".join(_SPELT.get(word, word) for word in field.split("_"))
    return f"{_TITLES.get(part, part.capitalize())}: {words}"
