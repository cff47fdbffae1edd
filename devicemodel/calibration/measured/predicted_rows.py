"""What a netlist says of each row of a table, in the row's own units: for pictures and tables, apart from the likelihood."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ....circuits.linear.noise_spectra import noise_spectrum
from ....circuits.netlist.netlist import Netlist
from .likelihood import blocks_of
from .measurements import Measurements
from .problem import Model, free_values
from .schema import nodes_of

__all__ = ["QUANTITY", "netlist_at", "predicted_rows", "row_errors"]

Array = NDArray[np.float64]
QUANTITY = {
    "trace": ("volts", "std_v"),
    "spectrum": ("density_v2_per_hz", "averages"),
    "covariance": ("covariance_v2", "std_v2"),
    "correlation": ("correlation", "std"),
}
"""The columns of what was measured, and of what states its error."""


def netlist_at(model: Model, values: Mapping[str, float]) -> Netlist:
    """The model's netlist at given values of some parts."""
    build, start = free_values(model, values)
    return build(start)


def predicted_rows(netlist: Netlist, table: Measurements) -> Array:
    """(rows,) the netlist's own value of each row: V, V^2/Hz (of cross-spectra the real part), V^2 or a correlation.

    Raises:
        InputError: a voltage that the netlist does not have, or as the circuit's analyses.
    """
    if table.kind != "spectrum":
        return np.asarray(blocks_of(table)[0].predict(netlist))
    density, i, j = _densities(netlist, table)
    return np.asarray(_entries(density, table, i, j).real)


def row_errors(netlist: Netlist, table: Measurements) -> Array:
    """(rows,) standard errors: as stated; of a density of K averages that of the netlist's own spectra.

    Of Re S_ab it is sqrt((S_aa S_bb + (Re S_ab)^2 - (Im S_ab)^2) / 2 K), which for a = b is S_aa / sqrt(K).
    """
    column = table.columns[QUANTITY[table.kind][1]]
    if table.kind != "spectrum":
        return np.asarray(column)
    density, i, j = _densities(netlist, table)
    cross = _entries(density, table, i, j)
    power = (_entries(density, table, i, i) * _entries(density, table, j, j)).real
    return np.asarray(np.sqrt((power + cross.real**2 - cross.imag**2) / (2.0 * column)))


def _densities(
    netlist: Netlist, table: Measurements
) -> tuple[NDArray[np.complex128], NDArray[np.intp], NDArray[np.intp]]:
    columns = table.columns
    names, numbers = np.unique(np.concatenate([columns["node"], columns["node_b"]]), return_inverse=True)
    density = noise_spectrum(netlist, [nodes_of(name) for name in names.tolist()], _points(table)).density
    return density, numbers[: len(table)], numbers[len(table) :]


def _points(table: Measurements) -> Array:
    return np.unique(table.columns["frequency_hz"])


def _entries(
    density: NDArray[np.complex128], table: Measurements, i: NDArray[np.intp], j: NDArray[np.intp]
) -> NDArray[np.complex128]:
    """(rows,) entry i, j at each row's frequency."""
    return np.asarray(density[np.searchsorted(_points(table), table.columns["frequency_hz"]), i, j])
