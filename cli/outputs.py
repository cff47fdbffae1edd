"""What the commands say and write: results on stdout, everything else on stderr, files whole or not at all."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..circuits.errors import InputError

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

PIPE_WIDTH = 200
"""Columns of a table that goes into a pipe or a file: wide enough not to fold."""


def console(stderr: bool = False) -> Console:
    """A console that prints text as it is: an entry [0, 1] of a matrix is no markup."""
    target = Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)
    if not target.is_terminal:
        target.width = PIPE_WIDTH
    return target


def say(text: object) -> None:
    """A line of the result."""
    console().print(str(text))


def note(text: str) -> None:
    """A remark for people, kept out of the way of pipes."""
    console(stderr=True).print(text)


def complain(text: object) -> None:
    """`error: ...` on stderr, as one line of printable characters."""
    line = " ".join(str(text).split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    console(stderr=True).print(f"error: {line}")


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table of the result; numbers are the caller's to format."""
    table = Table(title=title or None, title_justify="left", header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console().print(table)


def emit(data: Any) -> None:
    """The result as one JSON document on stdout. Numbers that JSON lacks (nan, inf) become null."""
    sys.stdout.write(to_json(data))
    sys.stdout.flush()


def to_json(data: Any) -> str:
    """JSON text of plain data, numpy arrays and paths."""
    return json.dumps(_plain(data), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy
        return _plain(value.tolist())
    return str(value) if isinstance(value, Path) else value


@contextmanager
def progress(announce: bool = False) -> Iterator[Progress]:
    """Progress bars on stderr while the block runs; without a terminal there are none.

    Args:
        announce: without a terminal, write a line as each stage begins (for minutes that would pass in silence).
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    target = console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=target, transient=True, disable=not target.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
                if announce and not target.is_terminal:
                    note(stage)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def destination(path: Path | None, suffixes: Sequence[str] = (), inputs: Sequence[Path | None] = ()) -> Path | None:
    """An output path that can be written, checked before the work and not after it.

    Raises:
        InputError: an unknown suffix, a folder in its place, a file where a folder is needed, an input of the command.
    """
    if path is None:
        return None
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"output {str(path)!r} has the suffix {path.suffix!r}; use {' or '.join(suffixes)}")
    if path.is_dir():
        raise InputError(f"output {str(path)!r} is a folder; give the name of a file in it")
    if any(given is not None and given.exists() and path.resolve() == given.resolve() for given in inputs):
        raise InputError(f"output {str(path)!r} would overwrite an input of this command; give another name")
    folder(path.parent)
    return path


def folder(path: Path) -> Path:
    """The folder, made if need be; `InputError` when it cannot be written into."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder {str(path)!r} cannot be made: {error.strerror}; give another output path") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(
            f"folder {str(path)!r} cannot be written into; give another output path, or change its permissions"
        )
    return path


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside the target and move it there, so that a crash cannot leave half a file."""
    # The suffix stays, because numpy and matplotlib choose the format by it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write text, whole or not at all."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
