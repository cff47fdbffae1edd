"""The project's own tables with other units than SI's: "time (ms)", "node", "volts (mV)", "std_mV"."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from .....circuits.errors import InputError
from ..csv_table import CsvTable
from ..delimited import number
from ..schema import SCHEMAS
from .channels import Stated, density_of
from .units import Unit, named_unit

__all__ = ["in_si", "is_own"]

# Name without its unit -> (quantity, columns of the schemas that it may stand for).
_NAMES = {
    "time": ("time", ("time_s",)),
    "volts": ("volt", ("volts",)),
    "voltage": ("volt", ("volts",)),
    "frequency": ("frequency", ("frequency_hz",)),
    "freq": ("frequency", ("frequency_hz",)),
    "density": ("density", ("density_v2_per_hz",)),
    "psd": ("density", ("density_v2_per_hz",)),
    "density_imag": ("density", ("density_imag_v2_per_hz",)),
    "f_lo": ("frequency", ("f_lo_hz",)),
    "f_hi": ("frequency", ("f_hi_hz",)),
    "covariance": ("volt2", ("covariance_v2",)),
    "std": ("std", ("std_v", "std_v2")),
}
_SCHEMA_NAMES = {name for schema in SCHEMAS.values() for name in schema} | {"rel_std"}


def is_own(columns: Collection[str]) -> bool:
    """Whether a table says the voltage of each row in a column, as the project's own tables do."""
    return "node" in columns or "node_a" in columns


def in_si(table: CsvTable, stated: Stated, source: str) -> CsvTable:
    """The table with the schemas' columns in SI units; columns of other names stay.

    Raises:
        InputError: a level without the noise bandwidth or impedance that it needs, or a column that is there in two units.
    """
    columns: dict[str, list[Any]] = {}
    notes = list(table.notes)
    for name, cells in table.columns.items():
        base, unit = named_unit(name)
        quantity, meanings = _NAMES.get(base.lower(), ("", ()))
        meaning = name
        if name not in _SCHEMA_NAMES and unit is not None:
            meaning = next((m for m in meanings if _agrees(quantity, unit, m)), name)
        if meaning in columns:
            raise InputError(f"measurements {source}: {meaning!r} is there twice, in two units; remove one")
        if meaning != name and unit is not None:
            notes.append(f"{name!r} converted to {meaning}")
            columns[meaning] = _converted(cells, unit, meaning, stated, source)
        else:
            columns[name] = cells
    return replace(table, columns=columns, notes=notes)


def _agrees(quantity: str, unit: Unit, meaning: str) -> bool:
    if quantity == "density":
        # A product's imaginary part has a sign, which a root or a level does not.
        return unit.quantity == "volt2/Hz" if "imag" in meaning else unit.quantity.startswith(("volt", "watt"))
    if quantity == "std":
        return not unit.decibel and unit.quantity == ("volt" if meaning == "std_v" else "volt2")
    return not unit.decibel and unit.quantity == quantity


def _converted(cells: list[str], unit: Unit, meaning: str, stated: Stated, source: str) -> list[Any]:
    """Numbers in SI; what is no number stays as it is, for the message that names it."""
    values = np.array([number(cell, False) for cell in cells])
    if meaning == "density_v2_per_hz":
        for name, needed, given in (
            ("rbw", unit.quantity in ("volt", "volt2", "watt"), stated.rbw),
            ("impedance", unit.quantity.startswith("watt"), stated.impedance),
        ):
            if needed and given is None:
                raise InputError(
                    f"measurements {source} do not say {name} of its densities in {unit.text!r}: {name}=50"
                )
        converted = density_of(unit, values, stated.rbw, stated.impedance)
    else:
        converted = unit.to_si(values)
    return [cell if math.isnan(value) else value for cell, value in zip(cells, converted.tolist(), strict=True)]
