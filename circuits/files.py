"""Files that appear whole or not at all, output paths checked before the work, and records whose checksum is verified when they are read.

The checksum of a record is SHA-256 over its canonical JSON form. It finds changes; it is no signature.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


def write_file(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside the target, flush it to disk and move it into place: a crash cannot leave half a file.

    Args:
        path: the target; its folder is made where there is none.
        write: called with the path of the temporary file, which has the target's suffix (numpy and matplotlib choose the format by it).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write bytes, whole or not at all."""
    write_file(path, lambda temporary: temporary.write_bytes(data))


def output_path(path: Path | None, suffixes: Sequence[str] = (), inputs: Sequence[Path | None] = ()) -> Path | None:
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
    output_folder(path.parent)
    return path


def output_folder(path: Path) -> Path:
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


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal, as `sha256sum` prints it."""
    return hashlib.sha256(data).hexdigest()


def parse_json(text: str) -> Any:
    """JSON text as plain data.

    Raises:
        ValueError: not JSON, or a field that stands twice, of which a parser would silently take the last.
    """
    return json.loads(text, object_pairs_hook=_once_each)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"field {next(n for n in names if names.count(n) > 1)!r} stands twice; leave one of them out")
    return fields


def read_text(path: str | Path) -> str:
    """Text of a UTF-8 file, with or without a byte-order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: another encoding; says how to convert it.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None


def write_checksummed(path: str | Path, record: BaseModel) -> None:
    """Write a record as JSON with its checksum, whole or not at all."""
    data = json.loads(record.model_dump_json())
    write_text(path, json.dumps(data | {"digest": json_checksum(data)}, indent=2, allow_nan=False))


def checksum(record: BaseModel) -> str:
    """The checksum of a record, as `write_checksummed` writes it."""
    return json_checksum(json.loads(record.model_dump_json()))


def read_checksummed(path: str | Path, what: str, version: int, remedy: str) -> dict[str, Any]:
    """The fields of a record that `write_checksummed` wrote.

    Args:
        path: the file.
        what: it is called in errors.
        version: of the format, the record's field `format`.
        remedy: what to do with a file that was changed.

    Raises:
        InputError: missing, not JSON, of another version, or changed since it was written.
    """
    name = f"{what} {str(path)!r}"
    try:
        data: Any = parse_json(read_text(path))
        written = data.pop("digest", None) if isinstance(data, dict) else None
        digest = json_checksum(data)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not valid JSON: {error}; is the file complete?") from None
    found = data.get("format") if isinstance(data, dict) else None
    if found != version:
        newer = isinstance(found, int) and found > version
        raise InputError(
            f"{name} has format {found!r}; this version of thermograd reads {version}: "
            f"{'update thermograd' if newer else 'calibrate again'}"
        )
    if written != digest:
        wrong = "is missing" if written is None else "does not fit its contents"
        raise InputError(f"{name} is not as it was written: its digest {wrong}; {remedy}")
    return dict(data)


def first_problem(error: ValidationError) -> str:
    """The first field that a record rejected, in words."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"])) or "as a whole"
    # A nested record explains itself.
    got = "" if first["type"] == "value_error" else f", got {first['input']!r:.60}"
    return f"field {field}: {first['msg'].removeprefix('Value error, ')}{got}"


def json_checksum(data: Any) -> str:
    """The checksum of plain data, over its canonical JSON form."""
    return sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode())
