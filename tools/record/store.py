"""Cases are run, and what they give is kept as files."""

from __future__ import annotations

import contextlib
import copy
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from scipy import sparse

Items = Iterator[tuple[str, Any]]
"""The name of each item, with a suffix, and what it holds, or a function that works it out."""
Case = tuple[str, Callable[..., Items], tuple[Any, ...]]
"""Name, generator, and its arguments."""

LONG = 4.0
"""Seconds from which on a case is mentioned."""


def flat(value: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The arrays in nested lists and mappings, named by their place; numbers in double precision, complex ones as real and imaginary."""
    if isinstance(value, Mapping | list | tuple) and not (isinstance(value, list | tuple) and _numbers(value)):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in pairs:
            yield from flat(part, f"{name}.{key}" if name else str(key))
        return
    array: Any = value.detach().numpy() if isinstance(value, torch.Tensor) else value
    array = array.toarray() if sparse.issparse(array) else np.asarray(array)
    if array.dtype.kind == "c":
        array = np.stack([array.real, array.imag])
    yield name or "value", array if array.dtype.kind == "U" else array.astype(np.float64)


def _numbers(value: Sequence[Any]) -> bool:
    return all(isinstance(part, int | float) for part in value)


def keep(path: Path, content: Any) -> None:
    """Write an item as its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez_compressed(path, allow_pickle=False, **dict(flat(content)))
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        path.write_text(json.dumps(content, indent=1, default=_plain) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def run_case(folder: Path, case: Case) -> tuple[str, int, float]:
    """Keep the items of one case: its name, their number, seconds."""
    name, function, arguments = case
    torch.set_num_threads(1)
    torch.manual_seed(0)
    matplotlib.rcParams["svg.hashsalt"] = "record"
    start, count = time.perf_counter(), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _error_kept(folder / f"{name}.error"):
            for item, content in function(*copy.deepcopy(arguments)):
                with _error_kept(folder / name / f"{item}.error"):
                    keep(folder / name / item, content() if callable(content) else content)
                count += 1
    return name, count, time.perf_counter() - start


@contextlib.contextmanager
def _error_kept(path: Path) -> Iterator[None]:
    """An exception is written to the file, and costs no more than the block."""
    path.unlink(missing_ok=True)
    try:
        yield
    except Exception as error:  # noqa: BLE001
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{type(error).__name__}: {error}\n", encoding="utf-8")


def write(folder: Path, cases: Iterable[Case], names: Sequence[str], workers: int) -> int:
    """Run the cases whose names begin with one of `names` (none: all) in `workers` processes; the command's exit code."""
    chosen = [case for case in cases if not names or case[0].startswith(tuple(names))]
    start, total, folder = time.perf_counter(), 0, folder.resolve()
    if not chosen:
        say(f"no case has a name that begins with {' or '.join(names)}")
        return 2
    if not names and folder.is_dir() and any(folder.iterdir()):
        say(f"{folder} holds something already; name another folder")
        return 2
    with contextlib.ExitStack() as stack:
        results: Iterator[tuple[str, int, float]] = (run_case(folder, case) for case in chosen)
        if workers > 1:
            pool = stack.enter_context(ProcessPoolExecutor(workers, get_context("spawn")))
            results = pool.map(partial(run_case, folder), chosen)
        for name, count, seconds in results:
            total += count
            if seconds > LONG:
                say(f"{seconds:6.1f} s  {name}")
    failed = sorted(folder.rglob("*.error"))
    for path in failed:
        say(f"failed: {path.relative_to(folder)}: {path.read_text(encoding='utf-8').strip()[:300]}")
    say(f"{total} items of {len(chosen)} cases, {len(failed)} failed, {time.perf_counter() - start:.0f} s")
    return 0


def say(text: str) -> None:
    """A line on stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
