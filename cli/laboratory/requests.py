"""What the options of `lab` mean: the circuit, its free values, priors and how files are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ...circuits.errors import InputError
from ...circuits.netlist.elements import Capacitor, Inductor, Resistor
from ...circuits.netlist.netlist import Netlist
from ...devicemodel.calibration.measured.formats.read import read_bench_file
from ...devicemodel.calibration.measured.measurements import Measurements
from ...devicemodel.calibration.measured.result import Prior
from ..options import suffixed

MOST = 24
"""Largest number of parts that are free without being named."""


def free_parts(netlist: Netlist, wanted: Sequence[str]) -> list[str]:
    """Names of the parts that match `wanted`, names or patterns such as R*; of none, every resistor, capacitor and inductor.

    Raises:
        InputError: a name that matches nothing, or more parts than `MOST` where none was named.
    """
    names = [part.name for part in netlist]
    if not wanted:
        found = [part.name for part in netlist if isinstance(part, Resistor | Capacitor | Inductor)]
        if not 0 < len(found) <= MOST:
            raise InputError(
                f"the circuit has {len(found)} resistors, capacitors and inductors, and without --free 1 to {MOST} are fitted: name "
                "those that are sought, such as --free R1 --free 'C*'"
            )
        return found
    chosen: list[str] = []
    for pattern in wanted:
        matching = [name for name in names if fnmatchcase(name.lower(), pattern.strip().lower())]
        if not matching:
            raise InputError(f"--free {pattern}: the circuit has no such part; there are {', '.join(names[:12])}")
        chosen += [name for name in matching if name not in chosen]
    return chosen


def priors(texts: Sequence[str], names: Sequence[str]) -> dict[str, Prior]:
    """Of options such as `--prior C1=22n+-1n` or `C1=22n+-5%`.

    Raises:
        InputError: not of this form, or of a part that is not free.
    """
    found: dict[str, Prior] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        value, sign, std = rest.replace("±", "+-").partition("+-")
        if not (equals and sign):
            raise InputError(f"--prior: {text!r} is not of the form NAME=VALUE+-STD, such as C1=22n+-1n or C1=22n+-5%")
        known = [one for one in names if one.lower() == name.strip().lower()]
        if not known:
            raise InputError(f"--prior {text}: {name.strip()} is not free; there are {', '.join(names)}")
        if known[0] in found:
            raise InputError(f"--prior: {name.strip()} is given twice")
        centre, share = suffixed("--prior", value.strip()), std.strip().endswith("%")
        error = suffixed("--prior", std.strip().removesuffix("%"))
        error = abs(centre) * error / 100 if share else error
        if not error > 0:
            raise InputError(f"--prior {text}: a standard error > 0 is needed")
        found[known[0]] = Prior(value=centre, std=error)
    return found


def pairs(option: str, texts: Sequence[str]) -> dict[str, str] | None:
    """{left: right} of options such as `--node CH1=n1`; None of none.

    Raises:
        InputError: without an equals sign, or twice of the same.
    """
    found: dict[str, str] = {}
    for text in texts:
        left, equals, right = (part.strip() for part in text.rpartition("="))
        if not (equals and left and right):
            raise InputError(f"{option}: {text!r} is not of the form LEFT=RIGHT, such as CH1=n1")
        if left in found:
            raise InputError(f"{option}: {left} is given twice")
        found[left] = right
    return found or None


def read_tables(paths: Sequence[Path], options: Mapping[str, Any]) -> list[Measurements]:
    """The tables in files of benches, simulators or thermograd's own."""
    return [table for path in paths for table in read_bench_file(path, **options)]
