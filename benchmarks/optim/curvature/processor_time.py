"""Processor time of what a benchmark does."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def milliseconds(act: Callable[[], object], repeat: int) -> float:
    """Median processor time, ms, after two runs to warm up."""
    for _ in range(2):
        act()
    found = []
    for _ in range(repeat):
        start = time.process_time()
        act()
        found.append(time.process_time() - start)
    return 1e3 * statistics.median(found)
