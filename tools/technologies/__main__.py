"""Make the presets of open foundries' processes from their models: `make technologies`, or

    python -m tools.technologies                (all; some 20 s)
    python -m tools.technologies gf180mcu --check
    python -m tools.technologies --table

Each record goes into circuits/technology/foundries/, where `preset(name)` finds it without the PDK. --check writes nothing, and exits
with 1 if a figure of the record that is there differs by more than 1 %.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any

from thermograd.circuits.technology.technology_record import FOLDER, TechnologyRecord

from .designs import DESIGNS
from .make import record_of
from .table import markdown

TOLERANCE = 0.01
"""Relative difference by which another ngspice may find another figure."""


def main(arguments: list[str] | None = None) -> int:
    """Make or check records; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(DESIGNS)}; default: all")
    parser.add_argument("--check", action="store_true", help="compare with the records that are there")
    parser.add_argument(
        "--table", action="store_true", help="print the presets' figures beside those of integrated; no PDK is needed"
    )
    options = parser.parse_args(arguments)
    if options.table:
        sys.stdout.write(markdown())
        return 0
    if unknown := [name for name in options.names if name not in DESIGNS]:
        parser.error(f"{unknown[0]!r} is no process; there are: {', '.join(DESIGNS)}")
    stale = 0
    for name in options.names or DESIGNS:
        made, path = record_of(DESIGNS[name]), FOLDER / f"{name}.toml"
        if not options.check:
            made.write(path)
            sys.stdout.write(f"wrote {path}: {len(made.rows())} figures\n")
            continue
        for line in differences(TechnologyRecord.read(path), made):
            sys.stdout.write(f"{name}: {line}\n")
            stale += 1
    return 1 if stale else 0


def differences(old: TechnologyRecord, new: TechnologyRecord) -> list[str]:
    """A line for each figure that is not the same in both."""
    before, after = ({figure: value for figure, value, _, _ in record.rows()} for record in (old, new))
    lines = [
        f"{name} is {before.get(name)} in the record, and now {after.get(name)}"
        for name in before.keys() ^ after.keys()
    ]
    both = [name for name in before if name in after and not _same(before[name], after[name])]
    return lines + [f"{name} is {before[name]} in the record, and now {after[name]}" for name in both]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool | str) or isinstance(other, bool | str):
        return bool(one == other)
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-12)


if __name__ == "__main__":
    sys.exit(main())
