"""Results of finished jobs in a folder, one file each, so that a run that was stopped goes on where it was.

A file is written whole or not at all. One that is damaged, or that another version wrote, counts as absent: its job runs again. Several
processes may work on one folder at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import InputError
from .files import sha256, write_bytes
from .parallel import parallel_map, worker_count

_Job = TypeVar("_Job")
_Value = TypeVar("_Value")
Compute = Callable[[Sequence[_Job]], Generator[tuple[int, _Value], None, None]]
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,149}")


@dataclass(frozen=True)
class Codec(Generic[_Value]):
    """How results become files.

    Attributes:
        suffix: of the files, such as ".json".
        encode: result -> bytes.
        decode: bytes -> result; None for bytes that `encode` did not write.
    """

    suffix: str
    encode: Callable[[_Value], bytes]
    decode: Callable[[bytes], _Value | None]


def job_key(*parts: Any) -> str:
    """A digest (24 hexadecimal digits) of everything that a result depends on, given as plain data (what JSON can hold).

    Raises:
        InputError: a part that is no plain data.
    """
    try:
        text = json.dumps(parts, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"job_key: {error}; give numbers, strings, None, and lists and dictionaries of such") from None
    return sha256(text.encode())[:24]


def _encode_json(result: Any) -> bytes:
    text = json.dumps(result)
    return json.dumps({"digest": sha256(text.encode()), "result": result}).encode()


def _decode_json(blob: bytes) -> Any:
    try:
        data = json.loads(blob)
        result = data["result"]
        return result if data["digest"] == sha256(json.dumps(result).encode()) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


JSON: Codec[Any] = Codec(".json", _encode_json, _decode_json)
"""Plain data as JSON with its checksum. Floats come back with all their bits; tuples come back as lists."""


class JobStore(Generic[_Value]):
    """Results by key.

    Args:
        folder: for the files, made if need be; None: nothing is kept.
        codec: of the results.

    Raises:
        InputError: a folder that cannot be made.
    """

    def __init__(self, folder: str | Path | None, codec: Codec[_Value] = JSON) -> None:
        self.folder = None if folder is None else Path(folder)
        self.codec = codec
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"folder {str(folder)!r} cannot be made: {error.strerror}; give another one") from None

    def path(self, key: str) -> Path | None:
        """The file of a key; None where nothing is kept.

        Raises:
            InputError: a key that names no file.
        """
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise InputError(f"job key {key!r}: 1 to 150 letters, digits or '_.+-' are needed, since it names a file")
        return None if self.folder is None else self.folder / f"{key}{self.codec.suffix}"

    def read(self, key: str) -> _Value | None:
        """A kept result; None if there is none, or its file is damaged. A result of None is therefore not kept."""
        path = self.path(key)
        try:
            return None if path is None else self.codec.decode(path.read_bytes())
        except OSError:
            return None

    def write(self, key: str, result: _Value) -> None:
        """Keep a result, whole or not at all."""
        path = self.path(key)
        if path is not None:
            write_bytes(path, self.codec.encode(result))

    def resume(
        self,
        jobs: Mapping[str, _Job],
        compute: Compute[_Job, _Value],
        progress: Callable[[int, int], None] | None = None,
    ) -> Generator[tuple[str, _Value], None, None]:
        """The results of `jobs`: what is kept, then what `compute` makes of the others, each kept before it is yielded.

        Args:
            jobs: by key.
            compute: takes the jobs that are missing, in their order, and yields (index among them, result), in any order. It is called
                only if some are missing. A result that is an exception is passed on and not kept, so that a later run tries it again.
            progress: called with (jobs done, jobs in all) before each result.
        """
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, len(jobs))

        missing: dict[str, _Job] = {}
        for key, job in jobs.items():
            found = self.read(key)
            if found is None:
                missing[key] = job
                continue
            count()
            yield key, found
        if not missing:
            return
        keys = list(missing)
        with closing(compute(list(missing.values()))) as fresh:
            for index, result in fresh:
                if not isinstance(result, Exception):
                    self.write(keys[index], result)
                count()
                yield keys[index], result

    def map(
        self,
        function: Callable[[_Job], _Value],
        jobs: Mapping[str, _Job],
        workers: int | None = None,
        scheduler: str | None = None,
        *,
        threads: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Generator[tuple[str, _Value], None, None]:
        """(key, ``function(job)``) of every job: what is kept first, then the others in order of completion, as `parallel_map` runs them.

        Args:
            function: of one job; returns what the codec can encode.
            jobs: by key. A key says everything that the result depends on, as `job_key` makes it.
            workers, scheduler, threads: as `parallel_map` takes them.
            progress: called with (jobs done, jobs in all) before each result.

        Raises:
            InputError: at once: as `parallel_map`, or a key that names no file.
            Exception: as `parallel_map`. What was finished before stays kept.
        """
        worker_count(workers, scheduler)
        for key in jobs:
            self.path(key)

        def compute(missing: Sequence[_Job]) -> Generator[tuple[int, _Value], None, None]:
            return parallel_map(
                _Numbered(function), enumerate(missing), workers, scheduler, ordered=False, threads=threads
            )

        return self.resume(jobs, compute, progress)


@dataclass(frozen=True)
class _Numbered(Generic[_Job, _Value]):
    """A function of a job, taking and returning its index too."""

    function: Callable[[_Job], _Value]

    def __call__(self, numbered: tuple[int, _Job]) -> tuple[int, _Value]:
        index, job = numbered
        return index, self.function(job)
