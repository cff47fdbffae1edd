"""Records of arrays, sparse matrices, tuples of them and numbers as plain arrays for an .npz file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse


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
