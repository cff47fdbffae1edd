"""Many inputs, one after the other: what came of each, and what failed as small files."""

from __future__ import annotations

import collections
import random
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .grammar import Author
from .mutation import mutate
from .shrinking import shrink
from .styles import STYLES
from .verdict import Kind, Verdict, judge

#: Share of the inputs that are changed after they are written.
_MUTATED = 0.5
FAILURES = (Kind.DIFFERENT, Kind.CRASH)


@dataclass
class Tally:
    """What came of the inputs.

    Attributes:
        inputs: how many. kinds: of verdicts, for those as written and those changed. compared: analyses whose numbers agreed.
        reasons: of rejections, and what ngspice complains of where the text is
            read here; numbers and names left out.
        failures: place, verdict and text of each.
    """

    inputs: int = 0
    kinds: collections.Counter[tuple[Kind, bool]] = field(default_factory=collections.Counter)
    compared: collections.Counter[str] = field(default_factory=collections.Counter)
    reasons: dict[Kind, collections.Counter[str]] = field(
        default_factory=lambda: collections.defaultdict(collections.Counter)
    )
    failures: list[tuple[int, Verdict, str]] = field(default_factory=list)

    def count(self, kind: Kind) -> int:
        """Of both sorts."""
        return self.kinds[kind, False] + self.kinds[kind, True]


def text_of(seed: int, place: int) -> tuple[str, bool]:
    """The input at a place of a seed's sequence, and whether it was changed after it was written."""
    rng = random.Random(f"{seed}/{place}")
    text = Author(rng, rng.choice(list(STYLES))).write()
    changed = rng.random() < _MUTATED
    return (mutate(text, rng), True) if changed else (text, False)


def run(
    seed: int,
    seconds: float = float("inf"),
    inputs: int | None = None,
    start: int = 0,
    report: Callable[[int, Verdict, str], None] | None = None,
) -> Tally:
    """Try inputs until the time or their number is over; each failure is shrunk and given to `report`."""
    tally = Tally()
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = start
        while time.monotonic() < end and (inputs is None or place < start + inputs):
            text, changed = text_of(seed, place)
            verdict = judge(text.encode(), folder)
            tally.inputs += 1
            tally.kinds[verdict.kind, changed] += 1
            tally.compared.update(verdict.compared)
            if verdict.detail and verdict.kind in (Kind.REJECTED, Kind.ALONE, Kind.EQUAL):
                tally.reasons[verdict.kind][_sort(verdict.detail)] += 1
            if verdict.kind in FAILURES:
                small = shrink(text, _fails_like(verdict, folder))
                verdict = judge(small.encode(), folder)
                tally.failures.append((place, verdict, small))
                if report is not None:
                    report(place, verdict, small)
            place += 1
    return tally


def _fails_like(verdict: Verdict, folder: Path) -> Callable[[str], bool]:
    """Whether a text fails in this way: in the same analysis, or with the same exception."""

    def fails(text: str) -> bool:
        other = judge(text.encode(), folder)
        return other.kind is verdict.kind and other.detail.split(" ")[:2] == verdict.detail.split(" ")[:2]

    return fails


def _sort(detail: str) -> str:
    """A message without what is particular to one text."""
    detail = re.sub(r"^line \S+( of \S+)? \(.*?\): ", "", detail, flags=re.DOTALL)
    detail = re.sub(r"\d[\w.+-]*", "N", detail)
    return re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", detail)[:90]
