"""Text tables of oscilloscopes and analysers: metadata above, perhaps a line of names and one of units, and a block of numbers.

Layouts, as their instruments write them (examples of each are in the tests):

    Tektronix TDS, TBS       Record Length,2500,,-0.001,0.02,      metadata beside the first rows; time and volts in columns 4 and 5
    Tektronix MDO, MSO, DPO  Model,MSO58 ... TIME,CH1,CH2          units in "Horizontal Units", "Vertical Units"
    Keysight InfiniiVision   x-axis,1,2 / second,Volt,Volt         names and units in two lines
    Rigol DS1000Z            X,CH1,CH2,Start,Increment             times as numbers of samples, start and increment in line 2
    Rigol MSO5000            CH1(V),CH2(V),t0 = -1e-3, tInc = 1e-6 no times
    Rohde & Schwarz          RBW;3000;Hz ... Values;691            "x-Unit", "y-Unit" and no names
    others                   time (ms);V(n1) [mV]                  units in the names
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .....circuits.errors import InputError
from ..delimited import decimal_comma, number
from .channels import Channel, Recording, node_named
from .units import Unit, named_unit, parse_unit

__all__ = ["recording_of"]

_AXIS_NAMES = re.compile(r"(?i)x-?axis|x|time|times|t|zeit|frequency|frequencies|freq\.?|f|frequenz|seconds?|hertz|hz")
_RBW = ("rbw", "res bw", "resolution bandwidth", "resolution bw")
_AVERAGES = ("average count", "averages", "number of averages", "averagecount", "average number")
_IMPEDANCE = ("impedance", "input impedance", "ref impedance", "reference impedance", "inputimpedance")


@dataclass
class _Table:
    """Names, units, metadata and numbers, before the axis is known."""

    layout: str
    names: list[str]
    units: list[Unit | None]
    numbers: NDArray[np.float64]
    lines: list[int]
    facts: Mapping[str, list[str]]
    notes: list[str] = field(default_factory=list)
    comma: bool = False


def recording_of(
    rows: Sequence[list[str]], lines: Sequence[int], source: str, stated_units: Mapping[str, str] | None
) -> Recording:
    """The recording in a text table's cells.

    Args:
        rows, lines: cells and line numbers of the file. source: for messages.
        stated_units: column -> unit, in place of what the file says.

    Raises:
        InputError: no table of numbers, no axis of times or frequencies, or a unit that the file does not say and the axis needs.
    """
    table = _tektronix_columns(rows, lines, source) or _rigol(rows, lines, source) or _plain(rows, lines, source)
    _state_units(table, stated_units or {}, source)
    index, unit = _axis(table, source)
    axis = unit.to_si(table.numbers[:, index])
    if not np.all(np.isfinite(axis)):
        row = int(np.argmax(~np.isfinite(axis)))
        raise InputError(
            f"{source}, line {table.lines[row]}: {table.names[index]} is not a number; remove the row, or write the number"
        )
    kind = "trace" if unit.quantity == "time" else "spectrum"
    return Recording(
        kind=kind,
        axis=_distinct(axis, table) if kind == "trace" else axis,
        channels=[
            Channel(
                name,
                unit,
                table.numbers[:, i],
                names=(named_unit(name)[0], f"CH{name}" if name.isdigit() else name),
                node=node_named(named_unit(name)[0]),
            )
            for i, (name, unit) in enumerate(zip(table.names, table.units, strict=True))
            if i != index
        ],
        source=source,
        places=[f"line {line}" for line in table.lines],
        rbw=_fact(table, _RBW, "frequency"),
        impedance=_fact(table, _IMPEDANCE),
        averages=_averages(table),
        notes=[f"read as {table.layout}", *["decimal commas"] * table.comma, *table.notes, *_averaging_note(table)],
    )


def _tektronix_columns(rows: Sequence[list[str]], lines: Sequence[int], source: str) -> _Table | None:
    """Metadata beside the numbers: blocks of key, value, "", time, volts, perhaps several side by side."""
    if not rows[0] or rows[0][0].lower() != "record length" or len(rows[0]) < 5:
        return None
    comma = decimal_comma(rows, lines, source)
    starts = [i for i, cell in enumerate(rows[0]) if cell.lower() == "record length" and len(rows[0]) >= i + 5]
    width = starts[1] if len(starts) > 1 else 6
    columns: list[list[float]] = []
    names: list[str] = ["TIME"]
    units: list[Unit | None] = []
    facts: dict[str, list[str]] = {}
    for start in starts:
        own = {row[start].lower(): row[start + 1] for row in rows if len(row) > start + 1 and row[start]}
        pairs = [[number(cell, comma) for cell in (row + [""] * width)[start + 3 : start + 5]] for row in rows]
        time, volts = zip(*pairs, strict=True)
        if columns and list(time) != columns[0]:
            raise InputError(f"{source}: its channels have different times; save each channel into a file of its own")
        columns += [list(volts)] if columns else [list(time), list(volts)]
        units += [parse_unit(own.get("horizontal units", ""))] * (not units) + [
            parse_unit(own.get("vertical units", ""))
        ]
        names.append(own.get("source") or f"CH{len(names)}")
        facts |= {key: [value] for key, value in own.items()}
    return _Table(
        "a Tektronix TDS or TBS oscilloscope's CSV", names, units, np.array(columns).T, list(lines), facts, comma=comma
    )


def _rigol(rows: Sequence[list[str]], lines: Sequence[int], source: str) -> _Table | None:
    """Rows without times: a start and an increment in the header."""
    first = [cell for cell in rows[0] if cell]
    lower = [cell.lower().replace(" ", "") for cell in first]
    if len(rows) < 3:
        return None
    if lower[:1] == ["x"] and lower[-2:] == ["start", "increment"]:
        second, body, where = rows[1], rows[2:], lines[2:]
        comma = decimal_comma([second, *body], [lines[1], *where], source)
        count = len(first) - 3
        start, step = ([number(cell, comma) for cell in second[count + 1 : count + 3]] + [np.nan] * 2)[:2]
        counted = [number(row[0], comma) for row in body]
        units = [parse_unit(cell) for cell in (second + [""] * count)[1 : count + 1]]
        names, values = first[1:-2], [[number(c, comma) for c in (row + [""] * count)[1 : count + 1]] for row in body]
        layout = "a Rigol oscilloscope's CSV, times from start and increment"
    elif any(cell.startswith("t0=") for cell in lower) and any(cell.startswith("tinc=") for cell in lower):
        body, where = rows[1:], lines[1:]
        comma = decimal_comma(body, where, source)
        found = {cell.partition("=")[0]: cell.partition("=")[2].rstrip("s") for cell in lower if "=" in cell}
        start, step = number(found["t0"], comma), number(found["tinc"], comma)
        names = [cell for cell in first if "=" not in cell]
        units = [named_unit(cell)[1] for cell in names]
        counted = list(range(len(body)))
        values = [[number(cell, comma) for cell in (row + [""] * len(names))[: len(names)]] for row in body]
        layout = "a Rigol oscilloscope's CSV, times from t0 and tInc"
    else:
        return None
    if not names or not np.isfinite(start) or not 0.0 < step < np.inf:
        raise InputError(
            f"{source}: start and increment of the times in its header are no numbers; save it again with times"
        )
    time = start + step * np.array(counted)
    numbers = np.column_stack([time, np.array(values, dtype=float)])
    return _Table(layout, ["X", *names], [parse_unit("s"), *units], numbers, list(where), {}, comma=comma)


def _plain(rows: Sequence[list[str]], lines: Sequence[int], source: str) -> _Table:
    """Metadata, names, perhaps units, and the block of numbers below them."""
    begin = _first_numbers(rows)
    if begin is None:
        raise InputError(
            f"{source} is no table that is known: it has no row of numbers. Supported are SPICE .raw files, "
            "oscilloscopes' and analysers' CSV, and thermograd's own tables (docs/lab.md)"
        )
    body, where = rows[begin:], list(lines[begin:])
    comma = decimal_comma(body, where, source)
    head = [_without_end(row) for row in rows[:begin]]
    lengths = [len(_without_end(row)) for row in body]
    count = Counter(lengths).most_common(1)[0][0]
    if head and len(head[-1]) == max(lengths):
        count = max(lengths)  # channels that had no readings yet leave their cells empty
    facts = _facts(head)
    names, units, layout = _names(head, count, facts)
    if names is None and head and len(head[-1]) > 1:
        raise InputError(
            f"{source}, line {where[0]}: {count} columns of numbers below {len(head[-1])} names, which must be different ones; name each "
            "column, and where numbers have decimal commas separate columns by semicolons"
        )
    if names is None:
        raise InputError(
            f'{source}, line {where[0]}: {count} columns of numbers without names; put a line above them, such as "time (s),CH1 (V)"'
        )
    for row, line in zip(body, where, strict=True):
        if len(row) < count or any(row[count:]):
            raise InputError(
                f"{source}, line {line}: {len(row)} cells, but there are {count} columns; complete the row"
            )
    numbers = np.array([[number(cell, comma) for cell in row[:count]] for row in body])
    return _Table(layout, names, units, numbers, where, facts, comma=comma)


def _first_numbers(rows: Sequence[list[str]]) -> int | None:
    """The first row that begins with a number, and holds another or leaves the others empty."""
    return next((i for i, row in enumerate(rows) if _is_numeric(row)), None)


def _is_numeric(row: list[str]) -> bool:
    found = [not np.isnan(number(cell, True)) for cell in row]
    return found[0] and len(row) > 1 and (sum(found) > 1 or not any(row[1:]))


def _without_end(row: list[str]) -> list[str]:
    while row and not row[-1]:
        row = row[:-1]
    return row


def _facts(head: Sequence[list[str]]) -> dict[str, list[str]]:
    """Metadata: the first cell of a line, or what stands before a colon or "=", and the cells after it."""
    facts: dict[str, list[str]] = {}
    for row in head:
        cells = list(row)
        for mark in (":", "="):
            if len([c for c in cells if c]) == 1 and mark in cells[0]:
                cells = [part.strip() for part in cells[0].lstrip("#!% ").split(mark, 1)]
        if len(cells) > 1 and cells[0]:
            facts.setdefault(cells[0].lstrip("#!% ").lower(), cells[1:])
    return facts


def _names(
    head: Sequence[list[str]], count: int, facts: Mapping[str, list[str]]
) -> tuple[list[str] | None, list[Unit | None], str]:
    """(names, units, layout) of the columns."""
    last = [cell.lstrip("# ") if i == 0 else cell for i, cell in enumerate(head[-1])] if head else []
    before = head[-2] if len(head) > 1 else []
    layout = "a table with units in its column names"
    if len(last) == count and all(parse_unit(cell) or not cell for cell in last):
        units = [parse_unit(cell) for cell in last]
        if len(before) == count and before[0].lower() != "source" and not all(parse_unit(cell) for cell in before):
            keysight = before[0].lower() == "x-axis"
            layout = "a Keysight oscilloscope's CSV" if keysight else "a table with names and units in two lines"
            return before, units, layout
        source = facts.get("source", [])
        names = source if len(source) == count - 1 else [str(i) for i in range(1, count)]
        return [last[0], *names], units, "a table with units above its columns"
    if "y-unit" in facts or "y axis units" in facts:
        given = [
            facts.get(key, [""])[0]
            for pair in (("x-unit", "x axis units"), ("y-unit", "y axis units"))
            for key in pair
            if key in facts
        ]
        if len(given) == 2:
            names = last if len(last) == count and len(set(last)) == count and last[0].lower() != "values" else []
            names = names or ["frequency", *(str(i) for i in range(1, count))]
            return names, [parse_unit(given[0])] + [parse_unit(given[1])] * (count - 1), "a spectrum analyser's table"
    if len(last) != count or len(set(last)) != count:
        return None, [], ""
    units = [named_unit(cell)[1] for cell in last]
    if "vertical units" in facts:
        layout = "a Tektronix oscilloscope's CSV" if "model" in facts else "an oscilloscope's CSV"
        units = _units_of_facts(last, units, facts)
    return last, units, layout


def _units_of_facts(
    names: Sequence[str], units: list[Unit | None], facts: Mapping[str, list[str]]
) -> list[Unit | None]:
    """Units from the lines "Horizontal Units" and "Vertical Units": one for all channels, or one for each."""
    across = [unit for cell in facts.get("horizontal units", []) if (unit := parse_unit(cell))]
    down = [unit for cell in facts["vertical units"] if (unit := parse_unit(cell.rpartition(":")[2]))]
    same = down * (len(names) - 1) if len({unit.text for unit in down}) == 1 else down
    if across and units[0] is None:
        units = [across[0], *units[1:]]
    if len(same) >= len(names) - 1:
        units = [units[0], *(unit or same[i] for i, unit in enumerate(units[1:]))]
    return units


def _state_units(table: _Table, stated: Mapping[str, str], source: str) -> None:
    for name, text in stated.items():
        fits = [
            i
            for i, one in enumerate(table.names)
            if name.strip().lower() in (one.lower(), named_unit(one)[0].lower(), f"ch{one}")
        ]
        unit = parse_unit(text)
        if len(fits) != 1:
            raise InputError(
                f"{source}: units names {name!r}, but the columns are {', '.join(table.names)}; name one of them"
            )
        if unit is None:
            raise InputError(
                f"{source}: units says {text!r} of {name!r}, which is no unit that is known, such as s, mV, V/rtHz or dBm"
            )
        table.units[fits[0]] = unit


def _axis(table: _Table, source: str) -> tuple[int, Unit]:
    """The column of times or frequencies, and its unit."""
    fits = [
        (i, unit) for i, unit in enumerate(table.units) if unit is not None and unit.quantity in ("time", "frequency")
    ]
    if len(fits) > 1:
        named = [(i, unit) for i, unit in fits if _AXIS_NAMES.fullmatch(named_unit(table.names[i])[0])]
        fits = named if len(named) == 1 else fits
    if len(fits) == 1:
        return fits[0]
    if fits:
        names = ", ".join(repr(table.names[i]) for i, _ in fits)
        raise InputError(
            f"{source}: columns {names} are all times or frequencies; leave one of them in the table, or name the columns of a band as "
            "thermograd's tables do (docs/lab.md)"
        )
    named_so = [
        name
        for name, unit in zip(table.names, table.units, strict=True)
        if unit is None and _AXIS_NAMES.fullmatch(name)
    ]
    if len(named_so) == 1:
        example = "Hz" if named_so[0].lower().startswith(("f", "h")) else "s"
        raise InputError(f'{source} does not say the unit of {named_so[0]!r}: units={{"{named_so[0]}": "{example}"}}')
    raise InputError(
        f"{source}: none of the columns {', '.join(map(repr, table.names))} is a time or a frequency by its unit; say so as in "
        f'units={{"{table.names[0]}": "s"}}'
    )


def _distinct(time: NDArray[np.float64], table: _Table) -> NDArray[np.float64]:
    """Times as printed, or counted by the header's sample interval where too few digits were printed to tell them apart."""
    step = _fact(table, ("sample interval",), "time")
    if step is None or len(time) < 2 or np.all(np.diff(time) != 0.0) or not 0.0 < step < np.inf:
        return time
    counted = time[0] + step * np.arange(len(time))
    if np.max(np.abs(counted - time)) > 1e-3 * (counted[-1] - counted[0]) + step:
        return time
    table.notes.append(f"equal times, printed with too few digits, are counted by the sample interval of {step:g} s")
    return np.asarray(counted)


def _fact(table: _Table, keys: Sequence[str], quantity: str = "") -> float | None:
    """A number of the metadata in SI units, by the unit in the next cell or in the key."""
    for key, cells in table.facts.items():
        name, unit = named_unit(key)
        if name in keys and cells:
            plain = cells[0].replace(" ", "")
            found = re.match(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?", plain)
            value = number(found[0], table.comma) if found else np.nan
            own = parse_unit(plain[found.end() :]) if found else None
            unit = own or (parse_unit(cells[1]) if len(cells) > 1 else None) or unit
            if np.isfinite(value) and not (quantity and unit is not None and unit.quantity != quantity):
                return float(value * (unit.scale if quantity and unit is not None else 1.0))
    return None


def _averages(table: _Table) -> float | None:
    """A count below one says that nothing was averaged in the instrument, and not what was done with its readings."""
    averaged = "average" in " ".join(table.facts.get("trace mode", [])).lower()
    count = _fact(table, (*_AVERAGES, "sweep count") if averaged else _AVERAGES)
    return count if count is not None and count >= 1.0 else None


def _averaging_note(table: _Table) -> list[str]:
    if any(
        "log" in " ".join(cells).lower()
        for key, cells in table.facts.items()
        if key.startswith(("average type", "averagetype"))
    ):
        return ["averaged as logarithms, which reads noise 2.5 dB low: average powers, or correct the readings"]
    return []
