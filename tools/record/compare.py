"""What differs between two records."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import numpy as np

from .store import say

NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")


def compare(old: Path, new: Path) -> int:
    """A line for each item, and how many are not the same; the command's exit code, 1 if any is not."""
    names = [{str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} for root in (old, new)]
    different = 0
    for name in sorted(names[0] | names[1]):
        if name not in names[0] or name not in names[1]:
            verdict = f"missing in {new if name in names[0] else old}"
            if name.endswith(".error"):
                message = ((old if name in names[0] else new) / name).read_text(encoding="utf-8")
                verdict += f": {message.strip()[:300]}"
        elif name.endswith(".npz"):
            verdict = arrays_differ(old / name, new / name)
        else:
            verdict = texts_differ(*((root / name).read_text(encoding="utf-8") for root in (old, new)))
        different += bool(verdict)
        say(f"{name}: {verdict or 'identical'}")
    say(f"{len(names[0] | names[1])} items, {different} not identical")
    return 1 if different or not names[0] else 0


def arrays_differ(old: Path, new: Path) -> str:
    """What differs between two files of arrays; "" if they are the same to the last bit."""
    with np.load(old) as first, np.load(new) as second:
        found = []
        if only := sorted(set(first) ^ set(second)):
            found.append(f"{only[:6]} are in one of them only")
        for name in first:
            if name not in second:
                continue
            a, b = first[name], second[name]
            if a.shape != b.shape or a.dtype != b.dtype:
                found.append(f"{name} is {a.dtype} {a.shape} and {b.dtype} {b.shape}")
            elif a.tobytes() != b.tobytes():
                found.append(f"{name} {a} and {b}" if a.dtype.kind == "U" else f"{name} by {relative(a, b):.3g}")
    return f"{len(found)} differences: {'; '.join(found[:6])}" if found else ""


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference over the largest finite size in a."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        gap = float(np.where(same, 0.0, np.abs(a - b)).max(initial=0.0))
    size = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return gap / size if size else gap


def texts_differ(a: str, b: str) -> str:
    """What differs between two texts: their numbers, or the first lines of a diff; "" if nothing does."""
    if a == b:
        return ""
    shown = "text differs"
    if NUMBER.sub("#", a) == NUMBER.sub("#", b):
        pairs = [(float(x), float(y)) for x, y in zip(NUMBER.findall(a), NUMBER.findall(b), strict=True) if x != y]
        worst = max(abs(x - y) / max(abs(x), abs(y), 1e-300) for x, y in pairs)
        shown = f"{len(pairs)} numbers differ, by {worst:.3g} at most (relative)"
    lines = list(difflib.unified_diff(a.splitlines(), b.splitlines(), lineterm="", n=0))
    return "\n    ".join([shown, *(line[:160] for line in lines[2:10])])
