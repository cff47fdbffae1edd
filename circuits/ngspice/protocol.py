"""Length-prefixed frames between a worker process and its owner: a JSON header, then raw float64 arrays.

Layout: 8 bytes little-endian length of the header, the header as UTF-8 JSON, then the arrays that the header's
``"arrays"`` entry lists by shape, each as C-ordered little-endian float64. Nothing is pickled.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<Q")
_HEADER_LIMIT = 1 << 28


def write_frame(stream: BinaryIO, header: Mapping[str, Any], arrays: Sequence[NDArray[np.float64]] = ()) -> None:
    """Write one frame and flush."""
    blocks = [np.ascontiguousarray(array, dtype="<f8") for array in arrays]
    text = json.dumps({**header, "arrays": [block.shape for block in blocks]}, allow_nan=False).encode()
    stream.write(_LENGTH.pack(len(text)))
    stream.write(text)
    for block in blocks:
        stream.write(block.data)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], list[NDArray[np.float64]]]:
    """Read one frame.

    Raises:
        EOFError: the stream ended, before a frame or inside one.
        ValueError: the bytes are not a frame.
    """
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    if length > _HEADER_LIMIT:
        raise ValueError(f"frame header of {length} bytes: the stream is corrupt")
    header = json.loads(_exactly(stream, length))
    arrays = []
    for shape in header.pop("arrays"):
        count = int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(_exactly(stream, 8 * count), dtype="<f8").reshape(shape).astype(float))
    return header, arrays


def _exactly(stream: BinaryIO, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = stream.read(count - len(parts))
        if not part:
            raise EOFError("the other end closed the stream")
        parts += part
    return bytes(parts)
