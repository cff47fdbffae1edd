"""Units as instruments, simulators and spreadsheets write them, alone and in column names: "time (ms)", "V(n1) [mV]", "psd_V_per_rtHz".

Nothing is guessed: a text that is no known unit has none, and "mhz" in small letters, which may be mHz or MHz, is not known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Unit", "is_voltage", "named_unit", "parse_unit"]

_PREFIX = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_TIME = re.compile(r"([fpnum]?)(?:s|S|sec|Sec|second|Second)s?")
_FREQUENCY = re.compile(r"([numkKMG]?)(?:Hz|hertz|Hertz)")
_VOLTAGE = re.compile(
    r"(?P<db>dB)?(?P<prefix>[fpnumk]?)(?P<base>[Vv]olts?|V)(?P<peak>rms|RMS|pk|peak)?(?P<square>2?)(?P<per>/rtHz|/Hz)?"
)
_POWER = re.compile(r"(?P<db>dB)?(?P<prefix>[fpnum]?)(?P<base>W|Watt|m)(?:rms)?(?P<per>/Hz)?")
_UPPER = {
    "HZ": "Hz", "KHZ": "kHz", "MHZ": "MHz", "GHZ": "GHz",
    "DBM": "dBm", "DBV": "dBV", "DBMV": "dBmV", "DBUV": "dBuV", "VOLT": "Volt",
}  # fmt: skip
_OTHER = re.compile(
    r"[fpnumkKM]?(?:A|[Aa]mpere|[Aa]mps?|Ohm|ohm|Ω|F|H|C)(?:2?/(?:rt)?Hz)?|dB|dBc|%|deg|°|°C|rad|K|C|div|U|bit|"
    r"[Ss]equence|count|counts"
)


@dataclass(frozen=True)
class Unit:
    """A unit and its conversion.

    Attributes:
        text: as it was written.
        quantity: "time", "frequency", "volt", "volt2", "volt/rtHz", "volt2/Hz", "watt", "watt/Hz", or "other" for what is no such thing.
        scale: SI units in one of these; of a level, in its reference. A peak value's is that of its rms.
        decibel: whether it is a level, 10 log10 of a power or 20 log10 of an amplitude.
    """

    text: str
    quantity: str
    scale: float = 1.0
    decibel: bool = False

    def to_si(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values in the SI unit of the quantity: s, Hz, V, V^2, V/sqrt(Hz), V^2/Hz, W or W/Hz."""
        if not self.decibel:
            return values * self.scale
        base = 20.0 if self.quantity in ("volt", "volt/rtHz") else 10.0
        with np.errstate(over="ignore"):
            return np.asarray(self.scale * 10.0 ** (values / base))


def parse_unit(text: str) -> Unit | None:
    """The unit that a text is; None where it is none."""
    plain = _plain(text)
    plain = _UPPER.get(plain, plain)
    if not plain:
        return None
    found = _match(text.strip(), plain)
    if found is None and plain == plain.lower():
        found = _match(text.strip(), _from_small_letters(plain))
    return found


def _plain(text: str) -> str:
    """One spelling for each unit: u for micro, 2 for a square, /rtHz for a root."""
    plain = re.sub(r"\s+", "", text.strip().strip("()[]").strip("."))
    plain = plain.replace("µ", "u").replace("μ", "u").replace("²", "2").replace("^2", "2").replace("**2", "2")
    plain = plain.replace("_per_", "/").replace("√", "rt").replace("rt(Hz)", "rtHz")
    plain = re.sub(r"(?i)(?:sqrt|rt)[(_]?hz\)?", "rtHz", plain)
    return re.sub(r"/Hz(?:\^?\(?(?:1/2|0\.5)\)?|½)", "/rtHz", plain)


def _from_small_letters(plain: str) -> str:
    """Small letters only, as in column names; "mhz" stays, since it may be mHz or MHz."""
    if plain in ("mhz", "m"):
        return ""
    return plain.replace("rthz", "rtHz").replace("hz", "Hz").replace("db", "dB").replace("v", "V")


def _match(text: str, plain: str) -> Unit | None:
    if found := _TIME.fullmatch(plain):
        return Unit(text, "time", _PREFIX[found[1]])
    if found := _FREQUENCY.fullmatch(plain):
        return Unit(text, "frequency", _PREFIX[found[1]])
    if found := _VOLTAGE.fullmatch(plain):
        return _voltage(text, found)
    if (found := _POWER.fullmatch(plain)) and (found["base"] != "m" or (found["db"] and not found["prefix"])):
        reference = 1e-3 if found["base"] == "m" else _PREFIX[found["prefix"]]
        return Unit(text, "watt" + (found["per"] or ""), reference, bool(found["db"]))
    return Unit(text, "other") if _OTHER.fullmatch(plain) else None


def _voltage(text: str, found: re.Match[str]) -> Unit | None:
    square, per = bool(found["square"]), found["per"] or ""
    if (per == "/Hz") != square and per:
        return None  # V/Hz and V^2/rtHz are no densities
    scale = _PREFIX[found["prefix"]]
    if found["peak"] in ("pk", "peak"):
        scale /= np.sqrt(2.0)
    return Unit(text, ("volt2" if square else "volt") + per, float(scale**2 if square else scale), bool(found["db"]))


def named_unit(column: str) -> tuple[str, Unit | None]:
    """(name without the unit, unit) of a column's name; the unit is None where the name holds none.

    The unit stands in brackets at the end, after " / ", or after "_" ("freq_Hz"). "V(n1)" is a voltage's name and no unit.
    """
    name = column.strip()
    if is_voltage(name):
        return name, None
    if name.endswith((")", "]")):
        for place in (i for i, letter in enumerate(name) if letter in "(["):
            if place and (unit := parse_unit(name[place + 1 : -1])):
                return name[:place].strip(), unit
    before, mark, after = name.rpartition(" / ")
    if mark and (unit := parse_unit(after)):
        return before.strip(), unit
    for place in (i for i, letter in enumerate(name) if letter == "_"):
        if place and (unit := parse_unit(name[place + 1 :])):
            return name[:place], unit
    return name, None


def is_voltage(name: str) -> bool:
    """Whether a name is of the form V(node) or V(node,node)."""
    return re.fullmatch(r"[vV]\([^()]+\)", name.strip()) is not None
