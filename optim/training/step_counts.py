"""How far the jobs of an experiment are, told by workers through small files, since they share no memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

INTERVAL = 1.0
"""Seconds between two notes of a worker, and between two looks at them."""


class StepNote:
    """A callback of `train` that notes the number of steps done in a file, at most every second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = 0.0

    def __call__(self, done: int, history: object) -> None:
        """Note it."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + INTERVAL
            self.path.write_text(str(done), encoding="ascii")  # one that is read half written counts as 0 for a second


@contextmanager
def reported(
    folder: Path, steps: Mapping[str, int], progress: Callable[[int, int], None] | None
) -> Iterator[Callable[[str], None]]:
    """Report the steps of all jobs every second while the block runs; the yielded function says that a job is done.

    Args:
        folder: of the notes, by key. steps: of each job. progress: called with (steps done, steps in all); None: nothing is done.
    """
    if progress is None:
        yield lambda key: None
        return
    total, finished, stop = sum(steps.values()), set[str](), threading.Event()

    def count() -> int:
        return sum(
            count_of if key in finished else min(_noted(folder / key), count_of) for key, count_of in steps.items()
        )

    def watch() -> None:
        while not stop.wait(INTERVAL):
            progress(count(), total)

    progress(0, total)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield finished.add
    finally:
        stop.set()
        watcher.join()
        progress(count(), total)


def _noted(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
