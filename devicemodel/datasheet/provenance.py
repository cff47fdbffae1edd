"""What the figures of a data sheet rest on: each figure of the technology that is stated, with its kind and source.

A figure of a preset that was made from a foundry's models has the source that the preset's record names, as long as it has the record's
value. An area names its own, and prices have those of the cost model (`cost.prices`). Every other figure is "stated": whoever wrote the
technology states it, in one sentence for all of them. A price that is 0 is "not stated", and what it would add is missing in the total.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...circuits.technology.presets import RECORDS
from ...circuits.technology.provenance import Figure
from ...circuits.technology.technology import Technology
from ..card import DeviceCard
from ..cost.digital_host import DigitalHost
from ..cost.prices import PriceUse, prices_of
from ..estimate import Estimate
from .corners import Corner

STATED, NOT_STATED = "stated", "not stated"
_PARTS = ("resistors", "capacitors", "inductors", "opamp", "switches", "wires", "dac", "adc", "link", "thermal", "area")
_TEXT = ("source", "ladder")


class Origin(NamedTuple):
    """A figure, and who says so.

    Attributes:
        figure: path in the technology, or `card.NAME`, `host.NAME`, `corner.NAME`.
        value: SI units. kind: of `circuits.technology.provenance.Kind`, "stated" or "not stated". source: in words.
    """

    figure: str
    value: Any
    kind: str
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        value = str(self.value) if isinstance(self.value, float) and not math.isfinite(self.value) else self.value
        return self._asdict() | {"value": value}


def origins_of(card: DeviceCard, corners: Mapping[str, Corner], calibrated: bool) -> list[Origin]:
    """All figures that are not an ideal part's, in the technology's order; then the card's, the corners' and the host's.

    Args:
        card: as it is. calibrated: whether its parameters were fitted; else they follow from the technology.
    """
    technology, found = card.technology, list[Origin]()
    record = RECORDS.get(technology.name)
    known = {} if record is None else {figure: (value, kind, what) for figure, value, kind, what in record.rows()}
    said = technology.source or "the technology names no source"
    made = ", ".join(
        f"{name} {value}" for name, value in card.provenance.items() if name in ("simulator", "thermograd", "command")
    )
    fitted = f"fitted to {made or 'runs of a circuit'}"
    ideal = Technology()
    prices = {price.figure: price for price in prices_of(technology, DigitalHost())}
    for part in _PARTS:
        values = getattr(technology, part)
        for field in () if values is None else type(values).model_fields:
            path, value = f"{part}.{field}", getattr(values, field)
            if isinstance(value, Figure):
                found.append(Origin(path, value.value, value.kind, value.source))
                continue
            default = None if part == "area" else getattr(getattr(ideal, part), field)
            if field in _TEXT:
                continue
            if path in prices:
                found.append(_priced(prices[path]))
                continue
            if value == default and path not in known:
                continue
            shown = f"{len(value)} records" if isinstance(value, tuple) else value
            there = known.get(path)
            own = values.source if part == "thermal" and values.source else said
            if there is not None and there[0] == shown:
                found.append(Origin(path, shown, there[1], there[2]))
            elif calibrated and part in ("dac", "adc") and there is not None:
                found.append(Origin(path, shown, "simulated", fitted))
            else:
                found.append(Origin(path, shown, STATED, own))
    if calibrated:
        for name, value in card:
            if isinstance(value, Estimate):
                found.append(Origin(f"card.{name}", value.value, "simulated", fitted))
    for name, corner in corners.items():
        moved = len(corner.at) or len(corner.figures)
        text = (
            f"{corner.resistors:+g} and {corner.capacitors:+g} standard deviations of R and C"
            if not corner.drawn
            else ""
        )
        found.append(Origin(f"corner.{name}", text or ("figures" if moved else "typical"), corner.kind, corner.source))
    return found + [_priced(price) for name, price in prices.items() if name.startswith("host.")]


def _priced(price: PriceUse) -> Origin:
    """A price of the cost model, with its source or what is wrong with that."""
    if price.free:
        return Origin(price.figure, price.value, NOT_STATED, "counts as nothing")
    if price.doubt:
        return Origin(price.figure, price.value, STATED, price.doubt)
    return Origin(price.figure, price.value, price.kind, price.source)


def behind(origins: Iterable[Origin], rests_on: Iterable[str]) -> list[Origin]:
    """Those that a figure rests on: by their paths, or by the part they are of."""
    wanted = tuple(rests_on)
    return [one for one in origins if one.figure in wanted or one.figure.partition(".")[0] in wanted]


def kinds_of(origins: Iterable[Origin]) -> dict[str, int]:
    """How many there are of each kind, the most first."""
    counts: dict[str, int] = {}
    for one in origins:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def unsourced(origins: Iterable[Origin]) -> list[str]:
    """Figures that no source is named for: stated by the technology alone, or not at all."""
    return [one.figure for one in origins if one.kind in (STATED, NOT_STATED)]
