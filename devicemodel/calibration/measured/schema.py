"""What a table of measurements may hold: the columns of each kind, their units and ranges."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ....circuits.errors import InputError
from ....circuits.netlist.elements import GROUND, check_node

__all__ = ["KEYS", "RELATIVE", "SCHEMAS", "Column", "kind_of", "nodes_of"]


@dataclass(frozen=True)
class Column:
    """One column of a schema: its unit and meaning, the numbers it may hold, and what stands for a column that is left out.

    Attributes:
        meaning: with the unit, for people.
        low, high: the allowed range. strict: whether `low` itself is excluded. infinite: whether inf is allowed.
        text: a voltage ("n1" or "n1-n2") instead of a number.
        default: of an optional column, a number or the name of the column that it repeats; None: required.
    """

    meaning: str
    low: float = -math.inf
    high: float = math.inf
    strict: bool = False
    infinite: bool = False
    text: bool = False
    default: float | str | None = None

    @property
    def range(self) -> str:
        """The allowed values, for error messages."""
        if self.text:
            return "a node's name, or two of them as 'n1-n2'"
        low = "" if self.low == -math.inf else f" {'>' if self.strict else '>='} {self.low:g}"
        high = "" if self.high == math.inf else f"{' and' if low else ''} <= {self.high:g}"
        return f"a {'' if self.infinite else 'finite '}number{low}{high}"


_FIRST = Column("voltage", text=True)
_BAND = {
    "node_a": _FIRST,
    "node_b": Column("voltage", text=True),
    "f_lo_hz": Column("lower edge of the band, Hz", low=0.0),
    "f_hi_hz": Column("upper edge of the band, Hz (inf: everything above)", low=0.0, strict=True, infinite=True),
}
SCHEMAS: dict[str, dict[str, Column]] = {
    "trace": {
        "time_s": Column("time since the netlist's initial state, s", low=0.0),
        "node": _FIRST,
        "volts": Column("V"),
        "std_v": Column(
            "standard error of the reading, V; errors of different rows are independent", low=0.0, strict=True
        ),
    },
    "spectrum": {
        "frequency_hz": Column("Hz", low=0.0, strict=True),
        "node": _FIRST,
        "node_b": Column("second voltage of a cross-spectrum", text=True, default="node"),
        "density_v2_per_hz": Column("one-sided density, V^2/Hz; of a cross-spectrum V_node V_node_b^* the real part"),
        "density_imag_v2_per_hz": Column("imaginary part of a cross-spectrum, V^2/Hz", default=0.0),
        "averages": Column("number of independent periodograms averaged (2 independent real readings each)", low=1.0),
    },
    "covariance": {
        **_BAND,
        "covariance_v2": Column("covariance of the two voltages in the band, V^2"),
        "std_v2": Column("its standard error, V^2", low=0.0, strict=True),
    },
    "correlation": {
        **_BAND,
        "correlation": Column("correlation of the two voltages in the band", low=-1.0, high=1.0),
        "std": Column("its standard error", low=0.0, strict=True),
    },
}
"""The columns of each kind of table, in the order in which they are written."""
KEYS: dict[str, tuple[str, ...]] = {
    "trace": ("time_s", "node"),
    "spectrum": ("frequency_hz", "node", "node_b"),
    "covariance": ("node_a", "node_b", "f_lo_hz", "f_hi_hz"),
    "correlation": ("node_a", "node_b", "f_lo_hz", "f_hi_hz"),
}
RELATIVE = Column("relative standard error of the density", low=0.0, high=1.0, strict=True)


def nodes_of(voltage: str) -> tuple[str, str]:
    """(plus, minus) of a voltage's text, "n1" or "n1-n2".

    Raises:
        InputError: not a voltage.
    """
    parts = voltage.split("-")
    if len(parts) > 2 or not all(parts):
        raise InputError(f"voltage {voltage!r}: {_FIRST.range} is needed")
    plus, minus = check_node(parts[0]), check_node(parts[1]) if len(parts) == 2 else GROUND
    if plus.lower() == minus.lower():
        raise InputError(f"voltage {voltage!r} is always zero; name a node, or two different ones")
    return plus, minus


def kind_of(names: Iterable[str], source: str) -> tuple[str, list[str]]:
    """The kind of table that these columns fit best, and the columns that it does not have.

    Raises:
        InputError: a column of the kind is missing, which is named; or no kind, or two, fit best.
    """
    given = list(names)
    fits = {kind: [name for name in _required(kind) if any(one in given for one in name)] for kind in SCHEMAS}
    most = max(len(found) for found in fits.values())
    best = [kind for kind, found in fits.items() if len(found) == most]
    if len(best) > 1:
        complete = [kind for kind in best if len(fits[kind]) == len(_required(kind))]
        if len(complete) > 1:
            raise InputError(
                f"{source} has the columns of a {complete[0]} and of a {complete[1]}; put them into two tables"
            )
        best = complete
    if not best or most == 0:
        kinds = "; ".join(
            f"{kind}: " + ", ".join(name if column.default is None else f"[{name}]" for name, column in schema.items())
            for kind, schema in SCHEMAS.items()
        )
        raise InputError(
            f"{source}: columns {', '.join(given)} are those of no kind of table; there are {kinds} (rel_std may stand for averages). "
            "What instruments write is read by read_bench_file"
        )
    kind = best[0]
    allowed = {*SCHEMAS[kind], *(one for name in _required(kind) for one in name)}
    other = [name for name in given if name not in allowed]
    missing = [" (or ".join(name) + ")" * (len(name) - 1) for name in _required(kind) if name not in fits[kind]]
    if missing:
        unknown = f"; {', '.join(map(repr, other))}: not known" if other else ""
        raise InputError(
            f"{source} has no column {' and no column '.join(missing)}, which a {kind} needs{unknown}. Add or rename it"
        )
    if "averages" in given and "rel_std" in given and kind == "spectrum":
        raise InputError(f"{source} has averages and rel_std, which say the same; leave one of them out")
    return kind, other


def _required(kind: str) -> list[tuple[str, ...]]:
    """Columns that a kind cannot do without, each with those that may stand for it."""
    return [
        (name, "rel_std") if name == "averages" else (name,)
        for name, column in SCHEMAS[kind].items()
        if column.default is None
    ]
