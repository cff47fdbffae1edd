"""Programs on disk: a description as JSON and the arrays as .npz, never pickled."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from ..circuits.errors import InputError
from ..circuits.files import json_checksum, parse_json, read_text, sha256, write_bytes, write_text
from ..circuits.technology.technology import Technology
from .fabrics.registry import fabric_named
from .program import AnalogProgram

FORMAT = 7
"""Version of the saved form."""


def save_program(program: AnalogProgram, path: str | Path) -> None:
    """Write `path`.json (description) and `path`.npz (arrays), each atomically; a suffix of `path` is dropped."""
    path = _stem(path)
    buffer = io.BytesIO()
    arrays = {"scaling": program.scaling} | pack("target", program.target)
    for field in dataclasses.fields(program.parts):
        arrays |= pack(f"parts_{field.name}", getattr(program.parts, field.name))
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path.with_suffix(".npz"), buffer.getvalue())
    description = {
        "thermograd_program": FORMAT,
        "fabric": program.fabric_name,
        "damping": program.damping,
        "conductance_unit": program.conductance_unit,
        "volts_per_unit": program.volts_per_unit,
        "lambda_star": program.lambda_star,
        "reason": program.reason,
        "rounding": program.rounding,
        "pruned": program.pruned,
        "prune_bound": program.prune_bound,
        "sha256": sha256(buffer.getvalue()),
        "technology": json.loads(program.technology.model_dump_json()),
    }
    write_text(path.with_suffix(".json"), json.dumps(description | {"digest": json_checksum(description)}, indent=2))


def load_program(path: str | Path) -> AnalogProgram:
    """Read what `save_program` wrote.

    Raises:
        InputError: a file is missing, damaged, of a newer version, or not the one that belongs to the other; or its fabric is not
            registered.
    """
    path = _stem(path)
    try:
        data = parse_json(read_text(path.with_suffix(".json")))
        blob = path.with_suffix(".npz").read_bytes()
    except OSError as error:
        raise InputError(f"program {str(path)!r}: {error.filename!r} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"program {str(path)!r}: the description is not valid JSON: {error}") from None
    version = data.get("thermograd_program") if isinstance(data, dict) else None
    if version != FORMAT:
        raise InputError(f"program {str(path)!r} has format {version!r}; this version of thermograd reads {FORMAT}")
    written = data.pop("digest", None)
    if written != json_checksum(data):
        raise InputError(
            f"program {str(path)!r}: the description is not as it was written; compile the matrix again, with the technology that you want"
        )
    if sha256(blob) != data.get("sha256"):
        raise InputError(f"program {str(path)!r}: the .npz is damaged or belongs to another program; save it again")
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
            fabric = fabric_named(data["fabric"])
            fields = {
                field.name: unpack(f"parts_{field.name}", arrays) for field in dataclasses.fields(fabric.parts_type)
            }
            return AnalogProgram(
                technology=Technology(**data["technology"]),
                fabric_name=fabric.name,
                target=unpack("target", arrays),
                damping=float(data["damping"]),
                scaling=arrays["scaling"],
                conductance_unit=float(data["conductance_unit"]),
                volts_per_unit=float(data["volts_per_unit"]),
                parts=fabric.parts_type(**fields),
                lambda_star=float(data["lambda_star"]),
                reason=str(data["reason"]),
                rounding=str(data["rounding"]),
                pruned=int(data["pruned"]),
                prune_bound=float(data["prune_bound"]),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"program {str(path)!r} is damaged: {error}; compile the matrix again") from None


def _stem(path: str | Path) -> Path:
    path = Path(path)
    if not path.name:
        raise InputError(f"program path {str(path)!r} names no file; give one such as out/program")
    if path.suffix not in ("", ".json", ".npz"):
        raise InputError(
            f"program path {str(path)!r} ends in {path.suffix}, as no program does: give the .json that compile wrote, or, to save one, a "
            "name without a dot, to which .json and .npz are added"
        )
    return path.with_suffix("")


def pack(name: str, value: Any) -> dict[str, np.ndarray]:
    """The arrays that `unpack` needs for this value, under names that start with `name`."""
    if sparse.issparse(value):
        entries = value.tocoo()
        return {
            f"{name}.shape": np.array(value.shape),
            f"{name}.row": entries.row,
            f"{name}.column": entries.col,
            f"{name}.value": entries.data,
        }
    if isinstance(value, tuple):
        found = {f"{name}.length": np.array(len(value))}
        for k, item in enumerate(value):
            found |= pack(f"{name}.{k}", item)
        return found
    return {name: np.asarray(value)}


def unpack(name: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """What was packed under this name. KeyError when an array is missing, ValueError when indices leave the shape."""
    if f"{name}.shape" in arrays:
        rows, columns = (int(extent) for extent in arrays[f"{name}.shape"])
        places = (arrays[f"{name}.row"], arrays[f"{name}.column"])
        return sparse.csr_array(sparse.coo_array((arrays[f"{name}.value"], places), shape=(rows, columns)))
    if f"{name}.length" in arrays:
        return tuple(unpack(f"{name}.{k}", arrays) for k in range(int(arrays[f"{name}.length"])))
    value = arrays[name]
    return float(value) if value.ndim == 0 else value
