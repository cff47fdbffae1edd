"""Record what the package does for fixed seeds, and compare two records: does a change of the code change the behaviour, too?

From the root of the repository, once before the change and once after it:

    .venv/bin/python -m tools.record write FOLDER [NAME ...]   run all cases, or those whose names begin with one of NAME
    .venv/bin/python -m tools.record compare OLD NEW           a line for each item; exit code 1 if one differs or is missing

A case is a generator of items; an item is a file in the folder: text (.txt, .cir, .json, ...) or arrays in double precision (.npz). A case
that fails leaves CASE.error with the message, and keeps the items that it had before. Names of items say nothing of modules and classes,
and what a class holds is recorded by position. Wall-clock times, versions and paths are left out.
"""

from __future__ import annotations

import os

# Before numpy and torch are loaded: sums in one order. The dates and identifiers of pictures are fixed as well.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ |= {"MPLBACKEND": "Agg", "SOURCE_DATE_EPOCH": "0", "COLUMNS": "120", "NO_COLOR": "1"}

for _name in ("THERMOGRAD_DEBUG", "THERMOGRAD_MNIST"):
    os.environ.pop(_name, None)

# ruff: noqa: E402
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .cases import all_cases
from .compare import compare
from .store import write


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser("python -m tools.record", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write", help="run cases and keep what they give")
    writing.add_argument("folder", type=Path, metavar="FOLDER")
    writing.add_argument("names", nargs="*", metavar="NAME", help="of cases, or how names begin (default: all)")
    writing.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    comparing = commands.add_parser("compare", help="a line for each item of two records")
    comparing.add_argument("old", type=Path, metavar="OLD")
    comparing.add_argument("new", type=Path, metavar="NEW")
    given = parser.parse_args(arguments)
    if given.command == "compare":
        return compare(given.old, given.new)
    if given.workers < 1:
        parser.error(f"--workers is {given.workers}: give 1 or more")
    return write(given.folder, all_cases(), given.names, given.workers)


if __name__ == "__main__":
    sys.exit(main())
