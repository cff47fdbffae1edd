"""Records as JSON with a version and a digest: an edited, truncated or later file is refused with what to do.

The digest is SHA-256 over the canonical form of everything else. It finds changes; it is no signature.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from .errors import InputError
from .technology.technology import write_atomically


def write_sealed(path: str | Path, record: BaseModel) -> None:
    """Write a record with its digest, atomically."""
    data = json.loads(record.model_dump_json())
    write_atomically(Path(path), json.dumps(data | {"digest": _digest(data)}, indent=2, allow_nan=False))


def read_sealed(path: str | Path, what: str, version: int, remedy: str) -> dict[str, Any]:
    """The fields of a record that `write_sealed` wrote.

    Args:
        path: the file. what: it is called in errors. version: of the format, the record's field `format`.
        remedy: what to do with a file that was changed.

    Raises:
        InputError: missing, not JSON, of another version, or changed since it was written.
    """
    name = f"{what} {str(path)!r}"
    try:
        data: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        written = data.pop("digest", None) if isinstance(data, dict) else None
        digest = _digest(data)
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
    """The first field that a record refused, in words."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"])) or "as a whole"
    # A nested record explains itself.
    got = "" if first["type"] == "value_error" else f", got {first['input']!r:.60}"
    return f"field {field}: {first['msg'].removeprefix('Value error, ')}{got}"


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
