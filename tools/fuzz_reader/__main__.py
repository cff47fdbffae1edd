"""A differential fuzz of the netlist reader: random netlists, read here and by `ngspice -b`; equal, or rejected with a message.

    .venv/bin/python -m tools.fuzz_reader --seconds 120 --seed 0

Each input is a netlist in the manner of ngspice, LTspice, PSpice, KiCad, PySpice or the 1970s; half of them are then changed at random, as
by slips of the hand. ngspice solves the text as it stands. Our reader's parts are solved by the linear engines (operating point; for a
share also .ac, .tran and .noise), and ngspice solves what we would write of them. What differs is shrunk and kept as a file.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is loaded: small matrices, one process

# ruff: noqa: E402
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .campaign import Tally, run
from .reference import NGSPICE
from .verdict import Kind, Verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 if something was read as another circuit, or not rejected with a message."""
    parser = argparse.ArgumentParser("python -m tools.fuzz_reader", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="time budget (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the sequence of inputs (default: 0)")
    parser.add_argument(
        "--start", type=int, default=0, metavar="PLACE", help="first input of the sequence (default: 0)"
    )
    parser.add_argument("--inputs", type=int, help="at most this many inputs")
    parser.add_argument(
        "--out", type=Path, default=Path("out/fuzz_reader"), help="folder for what fails (default: out/fuzz_reader)"
    )
    parser.add_argument("--reasons", action="store_true", help="also list why inputs were rejected")
    given = parser.parse_args(arguments)
    if NGSPICE is None:
        parser.error("the ngspice command is not installed; see `make setup`")

    def report(place: int, verdict: Verdict, text: str) -> None:
        given.out.mkdir(parents=True, exist_ok=True)
        path = given.out / f"{given.seed}-{place}.cir"
        path.write_bytes(text.encode())
        _say(f"{path}: {verdict.kind.value}: {verdict.detail}\n{text}")

    tally = run(given.seed, given.seconds, given.inputs, given.start, report)
    _say(_summary(tally, given.reasons))
    return 1 if tally.failures else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _summary(tally: Tally, reasons: bool) -> str:
    lines = [f"{tally.inputs} inputs: as written, changed"]
    lines += [f"{tally.kinds[kind, False]:7d} {tally.kinds[kind, True]:7d}  {kind.value}" for kind in Kind]
    lines.append("agreed: " + ", ".join(f"{what} {count}" for what, count in tally.compared.most_common()))
    for kind in (Kind.EQUAL, Kind.ALONE, Kind.REJECTED) if reasons else (Kind.EQUAL, Kind.ALONE):
        title = "equal, but ngspice complains" if kind is Kind.EQUAL else kind.value
        lines += [f"{title}:", *(f"{count:7d}  {why}" for why, count in tally.reasons[kind].most_common(60))]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
