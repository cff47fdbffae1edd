"""Where the prices of a step come from: source and kind of each figure behind a part's time and energy, and what has none.

A technology's prices are those that its file states (`Technology.prices`), else those of the preset of its name. A source belongs to a
value: a figure that was changed afterwards has none, and an energy per conversion step holds for the resolutions that its source is about.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, fields
from typing import Any

from ...circuits.technology.presets import RECORDS
from ...circuits.technology.provenance import Price
from ...circuits.technology.technology import Technology
from .digital_host import DigitalHost

USES: dict[str, tuple[str, tuple[str, ...]]] = {
    "host.rate": ("FLOP/s", ("derivatives", "residuals", "digital solve")),
    "host.power": ("W", ("derivatives", "residuals", "digital solve")),
    "host.bandwidth": ("B/s", ("residuals",)),
    "host.idle_power": ("W", ("idle host",)),
    "link.rate": ("bit/s", ("programming", "transfers")),
    "link.energy": ("J", ("programming", "transfers")),
    "resistors.write_energy": ("J", ("programming",)),
    "dac.rate": ("S/s", ("DAC",)),
    "dac.figure_of_merit": ("J", ("DAC",)),
    "adc.rate": ("S/s", ("ADC",)),
    "adc.figure_of_merit": ("J", ("ADC",)),
    "opamp.power": ("W", ("settling",)),
    "opamp.supply": ("V", ("settling",)),
    "opamp.standby": ("W", ("standby",)),
}
"""Unit of each price, and the parts of a step that it is a price of."""
KINDS = ("measured", "foundry", "simulated", "published", "projected", "chosen", "no source")
"""From the firmest to the weakest."""

_FREE = "is not stated and counts as free"
_SURVEY = (
    "B. Murmann, ADC Performance Survey 1997-2025 (github.com/bmurmann/ADC-survey, 20250609): median of FOMW_hf of the"
)
_FINE = f"{_SURVEY} 37 designs since 2015 with 15 to 17 effective bits; quartiles 28 and 203 fJ"
_COARSE = f"{_SURVEY} 40 designs since 2015 with 7 to 9 effective bits; quartiles 18 and 127 fJ"
_AS_GOOD = "; DACs are taken to be as good as ADCs"
_RATE = "a tenth of the first quartile, 1 GS/s, of the 40 designs of Murmann's survey with 7 to 9 effective bits"
_TIMING = "arXiv:2405.13817, timing model"
_RATED = Price(
    figure="link.rate", value=50e9, kind="projected", source=f"{_TIMING}, where a technology states no other"
)


def _energies() -> tuple[Price, ...]:
    """Of links and codes, on any process."""
    return (
        Price(
            figure="link.energy", value=1.4e-12, kind="projected",
            source="a 16 x 12 Gb/s source-synchronous I/O in 32 nm SOI over 0.75 inch of board (IBM), measured there",
        ),
        Price(
            figure="resistors.write_energy", value=1.6e-13, kind="projected",
            source="10 pJ for 64 bits of an 8 kB SRAM, M. Horowitz, ISSCC 2014",
        ),
    )  # fmt: skip


def _converters(value: float, bits: tuple[int, int], source: str) -> tuple[Price, ...]:
    return (
        Price(figure="dac.figure_of_merit", value=value, kind="projected", source=source + _AS_GOOD, bits=bits),
        Price(figure="adc.figure_of_merit", value=value, kind="projected", source=source, bits=bits),
        Price(figure="dac.rate", value=1e8, kind="chosen", source=_RATE + _AS_GOOD),
        Price(figure="adc.rate", value=1e8, kind="chosen", source=_RATE),
    )


_CMOS = (*_energies(), *_converters(3.05e-14, (7, 9), _COARSE))
_TL072 = "data sheet of the TL072 at +-15 V: 1.4 mA an amplifier"
SHIPPED: dict[str, tuple[Price, ...]] = {
    "paper": (
        Price(figure="link.rate", value=50e9, kind="published", source=_TIMING),
        *_energies(), *_converters(8.5e-14, (15, 17), _FINE),
    ),
    "breadboard": (
        *_energies(),
        Price(figure="opamp.power", value=4.2e-2, kind="published", source=_TL072),
        Price(figure="opamp.supply", value=15.0, kind="published", source=_TL072),
    ),
    "integrated": (
        *_CMOS,
        Price(figure="opamp.power", value=5e-4, kind="chosen", source="no design is behind the preset's amplifier"),
        Price(
            figure="opamp.supply", value=0.9, kind="chosen", source="1.8 V devices of a 130 or 180 nm process, as of SKY130"
        ),
    ),
    "gf180mcu": _CMOS,
    "sky130": _CMOS,
}  # fmt: skip
"""Of the presets; those of foundries' processes have the others in their records."""

_DEFAULT = DigitalHost()
HOST_PRICES: tuple[Price, ...] = (
    Price(
        figure="host.rate", value=_DEFAULT.rate, kind="chosen",
        source="30 % of the 19.5 TFLOP/s of the A100's data sheet: the share is chosen",
    ),
    Price(figure="host.power", value=_DEFAULT.power, kind="published", source="data sheet of the A100-SXM4-40GB"),
    Price(
        figure="host.bandwidth", value=_DEFAULT.bandwidth, kind="published", source="data sheet of the A100-SXM4-40GB"
    ),
    Price(
        figure="host.idle_power", value=_DEFAULT.idle_power, kind="measured",
        source="nvidia-smi of four A100-SXM4-40GB at 0 % utilization, 52.5 to 54.3 W (huggingface.co/spaces/seawolf2357/PLUS_Lab_GPUs, "
        "gpus.csv, 3 July 2025)",
    ),
)  # fmt: skip
"""Of the default `DigitalHost`."""


@dataclass(frozen=True)
class PriceUse:
    """A price as a step uses it.

    Attributes:
        figure: its name, of `USES`. value: SI units, 0 or inf where it is not stated. unit: SI.
        kind: of `KINDS`. source: in words; "" without one.
        parts: of the step that it is a price of.
        doubt: why the parts have no source because of it, as a clause; "": they have one.
    """

    figure: str
    value: float
    unit: str
    kind: str
    source: str
    parts: tuple[str, ...]
    doubt: str = ""

    @property
    def free(self) -> bool:
        """Whether it is not stated, so that its parts are reckoned without it."""
        return self.doubt.endswith(_FREE)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a value that is not finite is null."""
        found: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        return found | {"value": self.value if math.isfinite(self.value) else None, "parts": list(self.parts)}


@functools.lru_cache(maxsize=256)
def prices_of(technology: Technology | None, host: DigitalHost) -> tuple[PriceUse, ...]:
    """All prices of a technology and a host, in the order of `USES`.

    Args:
        technology: None: a host alone.
        host: that of the step.
    """
    known = {one.figure: one for one in HOST_PRICES} | (
        {} if technology is None else {one.figure: one for one in sources_of(technology)}
    )
    names = [name for name in USES if technology is not None or name.startswith("host.")]
    return tuple(_use(name, technology, host, known.get(name)) for name in names)


def sources_of(technology: Technology) -> tuple[Price, ...]:
    """Sources of a technology's prices: its own, before those of the preset of its name.

    A technology that is derived from another one under a new name keeps them by `replace(name=..., prices=sources_of(technology))`.
    """
    found: dict[str, Price] = {_RATED.figure: _RATED}
    if technology.name in RECORDS:
        for figure, value, kind, source in RECORDS[technology.name].rows():
            if figure in USES and isinstance(value, float | int):
                found[figure] = Price(figure=figure, value=float(value), kind=kind, source=source)
    found |= {one.figure: one for one in SHIPPED.get(technology.name, ())}
    found |= {one.figure: one for one in technology.prices}
    return tuple(found.values())


def _use(name: str, technology: Technology | None, host: DigitalHost, price: Price | None) -> PriceUse:
    """One price with its source, or with what is wrong with that."""
    (unit, parts), (part, field) = USES[name], name.split(".")
    record: Any = host if part == "host" else getattr(technology, part)
    value, stated = getattr(record, field), True
    if name == "opamp.standby" and value is None:
        value, stated = record.power, record.power > 0
        price = Price(figure=name, value=value, kind="chosen", source="amplifiers stay on: no power-down is stated")
    elif part != "host" and name != "opamp.standby":
        stated = 0 < value < math.inf
    doubt = ""
    if not stated:
        doubt = f"{name} {_FREE}"
    elif price is None or not math.isclose(price.value, value, rel_tol=1e-9):
        doubt = f"{name} = {value:.3g} {unit} has no source"
    elif price.bits is not None and not price.bits[0] <= (record.bits or 0) <= price.bits[1]:
        doubt = f"{name} is for {price.bits[0]} to {price.bits[1]} bits, and is used at {record.bits or 'none'}"
    sourced = price if price is not None and not doubt else None
    kind, source = ("no source", "") if sourced is None else (str(sourced.kind), sourced.source)
    return PriceUse(name, value, unit, kind, source, parts, doubt)
