"""Parquet files by pyarrow, which is in the extra `thermograd[study]` and is imported where a file is touched."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ....circuits.errors import InputError
from ....circuits.files import write_file


def read_parquet(path: Path, most_rows: int) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """The columns of a file as lists of numbers and texts, and its schema's metadata.

    Raises:
        InputError: damaged, too many rows, a column that is neither of numbers nor of text, or pyarrow is missing.
        OSError: the file cannot be opened.
    """
    arrow, parquet = _pyarrow(path)
    try:
        with parquet.ParquetFile(path) as file:
            if file.metadata.num_rows > most_rows:
                raise InputError(f"measurements {str(path)!r} have more than {most_rows} rows; average or thin them")
            schema = file.schema_arrow
            for field in schema:
                kinds = (
                    arrow.types.is_floating,
                    arrow.types.is_integer,
                    arrow.types.is_string,
                    arrow.types.is_large_string,
                )
                plain = field.type.value_type if arrow.types.is_dictionary(field.type) else field.type
                if not any(kind(plain) for kind in kinds):
                    raise InputError(
                        f"measurements {str(path)!r}: column {field.name!r} is of type {field.type}; numbers or text are needed"
                    )
            if len(set(schema.names)) < len(schema.names):
                raise InputError(f"measurements {str(path)!r}: a column is there twice in {', '.join(schema.names)}")
            metadata = {
                key.decode(errors="replace"): text.decode(errors="replace")
                for key, text in (schema.metadata or {}).items()
            }
            return file.read().to_pydict(), metadata
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise
        raise InputError(f"measurements {str(path)!r} are not a whole parquet file: {error}; get it again") from None


def write_parquet(path: Path, columns: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write columns of equal length, whole or not at all.

    Raises:
        InputError: pyarrow is missing.
    """
    arrow, parquet = _pyarrow(path)
    table = arrow.table({name: column.tolist() for name, column in columns.items()})
    write_file(path, lambda temporary: parquet.write_table(table.replace_schema_metadata(dict(metadata)), temporary))


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise InputError(
            f"{str(path)!r}: parquet needs pyarrow ({error}): pip install 'thermograd[study]', or use .csv"
        ) from None
