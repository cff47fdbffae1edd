"""How likely measurements are under a netlist, as whitened residuals.

    spectrum      K averaged periodograms of q voltages, S_hat ~ complex Wishart(K, S / K):
                  -ln L = K [tr(S^-1 S_hat) - q - ln det(S^-1 S_hat)];   q = 1 is Whittle's likelihood, S_hat ~ Gamma(K, S / K)
    others        value ~ Normal(model, std^2):  -ln L = (value - model)^2 / 2 std^2

Both have the same form near the truth. With S = L L^H let z = sqrt(K) (L^-1 S_hat L^-H - 1) or (value - model) / std, and A_a the same
with dS/da for S_hat - S, or (d model/da) / std, both as real vectors (off the diagonal sqrt 2 times real and imaginary part). Then

    -d ln L / da = -A_a^T z,        Fisher information = A^T A,        E z = 0,  E z z^T = 1.

(P. Whittle, J. R. Stat. Soc. B 15:125, 1953; N. R. Goodman, Ann. Math. Stat. 34:152, 1963.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ....circuits.errors import InputError
from ....circuits.linear.noise_spectra import noise_covariances, noise_spectrum
from ....circuits.linear.statespace import state_space
from ....circuits.netlist.netlist import Netlist
from .measurements import Measurements
from .schema import nodes_of

__all__ = ["Block", "blocks_of"]

Array = NDArray[np.float64]


class Block(Protocol):
    """Measurements of one kind, ready to be compared with a netlist.

    Attributes:
        labels: of the residuals, for people.
        spread: variance of each squared residual: 2 for a normal one, more where few periodograms were averaged.
    """

    labels: list[str]
    spread: Array

    def predict(self, netlist: Netlist) -> NDArray[Any]:
        """What the netlist says of the measured quantities."""
        ...

    def cost(self, model: NDArray[Any]) -> float:
        """-ln L, 0 where the model is what was measured."""
        ...

    def residual(self, model: NDArray[Any]) -> Array:
        """Whitened residuals z, (rows,)."""
        ...

    def whiten(self, model: NDArray[Any], change: NDArray[Any]) -> Array:
        """A change of the prediction in the units of z, (rows,)."""
        ...


def blocks_of(table: Measurements) -> list[Block]:
    """The likelihood blocks of a table of measurements.

    Raises:
        InputError: a cross-spectrum without the spectra of its two voltages, with another number of averages or above their geometric mean.
    """
    if table.kind == "spectrum":
        return _spectra(table)
    return [_Normal(table)]


class _Normal:
    """Traces, covariances or correlations: independent normal errors."""

    def __init__(self, table: Measurements) -> None:
        columns, self.kind = table.columns, table.kind
        value, std = {
            "trace": ("volts", "std_v"),
            "covariance": ("covariance_v2", "std_v2"),
            "correlation": ("correlation", "std"),
        }[table.kind]
        self.value, self.std = columns[value], columns[std]
        self.spread = np.full(len(table), 2.0)
        if self.kind == "trace":
            self.times, self.row = np.unique(columns["time_s"], return_inverse=True)
            self.voltages, self.column = np.unique(columns["node"], return_inverse=True)
            self.labels = [
                f"{table.source}: {n} at {t:g} s" for t, n in zip(columns["time_s"], columns["node"], strict=True)
            ]
            return
        self.bands = list(zip(columns["f_lo_hz"].tolist(), columns["f_hi_hz"].tolist(), strict=True))
        self.pairs = list(zip(columns["node_a"].tolist(), columns["node_b"].tolist(), strict=True))
        self.labels = [
            f"{table.source}: {a}, {b} from {low:g} to {high:g} Hz"
            for (a, b), (low, high) in zip(self.pairs, self.bands, strict=True)
        ]

    def predict(self, netlist: Netlist) -> Array:
        if self.kind == "trace":
            space = state_space(netlist, {voltage: nodes_of(voltage) for voltage in self.voltages.tolist()})
            return np.asarray(space.transition(self.times)[self.row, self.column])
        found = np.empty(len(self.value))
        for endless in (False, True):  # a node's variance may be infinite, if its covariances of bands are not
            rows = [row for row, band in enumerate(self.bands) if math.isinf(band[1]) == endless]
            if not rows:
                continue
            bands = list(dict.fromkeys(self.bands[row] for row in rows))
            names = list(dict.fromkeys(name for row in rows for name in self.pairs[row]))
            limits = [None if band == (0.0, math.inf) else band for band in bands]
            covariances = noise_covariances(netlist, [nodes_of(name) for name in names], limits)
            for row in rows:
                covariance = covariances[bands.index(self.bands[row])]
                i, j = (names.index(name) for name in self.pairs[row])
                norm = math.sqrt(covariance[i, i] * covariance[j, j]) if self.kind == "correlation" else 1.0
                found[row] = covariance[i, j] / norm
        return found

    def cost(self, model: NDArray[Any]) -> float:
        return float(np.sum(self.residual(model) ** 2) / 2)

    def residual(self, model: NDArray[Any]) -> Array:
        return np.asarray((self.value - model) / self.std)

    def whiten(self, model: NDArray[Any], change: NDArray[Any]) -> Array:
        return np.asarray(change / self.std)


@dataclass(eq=False)
class _Spectrum:
    """Spectral matrices (F, q, q) of the same q voltages, measured together."""

    frequencies: Array
    voltages: tuple[str, ...]
    measured: NDArray[np.complex128]
    averages: Array
    source: str

    def __post_init__(self) -> None:
        q, names = len(self.voltages), self.voltages
        self.lower = np.tril_indices(q, -1)
        entries = [f"{name}" for name in names] + [
            f"{part}({names[j]}, {names[i]})" for part in ("re", "im") for i, j in zip(*self.lower, strict=True)
        ]
        self.labels = [f"{self.source}: {entry} at {f:g} Hz" for f in self.frequencies for entry in entries]
        # Fourth cumulants of |x|^2 and of Re(x y^*), for independent complex normal x and y.
        excess = np.array([6.0] * q + [3.0] * (q * q - q))
        self.spread = (2.0 + excess / self.averages[:, None]).ravel()
        power = np.einsum("fii->fi", self.measured).real
        if np.any(power <= 0):
            row, column = np.argwhere(power <= 0)[0]
            decibels = "; all are negative: if they are decibels, give 10^(dB / 10) V^2/Hz" if np.all(power < 0) else ""
            raise InputError(
                f"{self.source}: the density of {names[column]} at {self.frequencies[row]:g} Hz is {power[row, column]:g}; a spectrum's "
                f"is above 0{decibels}"
            )
        scale = np.sqrt(power)
        shape = self.measured / (scale[:, :, None] * scale[:, None, :])
        bad = np.linalg.eigvalsh(shape)[:, 0] < 1e-9
        if np.any(bad):
            raise InputError(
                f"{self.source}: at {self.frequencies[np.argmax(bad)]:g} Hz the spectra of {', '.join(names)} and cross-spectra are no "
                "positive definite matrix (a coherence of 1 or more, or fewer averages than voltages); leave the cross-spectrum out there"
            )

    def predict(self, netlist: Netlist) -> NDArray[Any]:
        return noise_spectrum(netlist, [nodes_of(v) for v in self.voltages], self.frequencies).density

    def cost(self, model: NDArray[Any]) -> float:
        white = self._white(model, self.measured)
        gain = np.einsum("fii->f", white).real - len(self.voltages) - np.linalg.slogdet(white)[1]
        return float(self.averages @ gain)

    def residual(self, model: NDArray[Any]) -> Array:
        return self.whiten(model, self.measured - model)

    def whiten(self, model: NDArray[Any], change: NDArray[Any]) -> Array:
        white = self._white(model, change)
        off = white[:, *self.lower] * math.sqrt(2.0)
        parts = np.concatenate([np.einsum("fii->fi", white).real, off.real, off.imag], axis=1)
        return np.asarray((np.sqrt(self.averages)[:, None] * parts).ravel())

    @staticmethod
    def _white(model: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
        """L^-1 matrix L^-H, with model = L L^H."""
        lower = np.linalg.cholesky(model)
        half = np.linalg.solve(lower, matrix)
        return np.asarray(np.linalg.solve(lower, half.conj().swapaxes(1, 2)).conj().swapaxes(1, 2))


def _spectra(table: Measurements) -> list[Block]:
    """Rows of one frequency gathered into matrices: voltages that cross-spectra join stand together, others alone."""
    columns = {name: column.tolist() for name, column in table.columns.items()}
    by_frequency: dict[float, dict[tuple[str, str], tuple[complex, float]]] = {}
    for f, a, b, re, im, k in zip(*columns.values(), strict=True):
        by_frequency.setdefault(f, {})[a, b] = (complex(re, im), k)
    gathered: dict[tuple[str, ...], list[tuple[float, NDArray[np.complex128], float]]] = {}
    for f, entries in sorted(by_frequency.items()):
        for names in _joined(entries):
            matrix, averages = _matrix(names, entries, f"{table.source}, {f:g} Hz")
            gathered.setdefault(names, []).append((f, matrix, averages))
    return [
        _Spectrum(
            np.array([f for f, _, _ in rows]),
            names,
            np.array([m for _, m, _ in rows]),
            np.array([k for *_, k in rows]),
            table.source,
        )
        for names, rows in gathered.items()
    ]


def _joined(entries: dict[tuple[str, str], Any]) -> Sequence[tuple[str, ...]]:
    """Voltages in groups that cross-spectra connect."""
    groups: list[set[str]] = []
    for pair in entries:
        touched = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touched] + [set(pair).union(*touched)]
    return [tuple(sorted(group)) for group in groups]


def _matrix(
    names: tuple[str, ...], entries: dict[tuple[str, str], tuple[complex, float]], where: str
) -> tuple[NDArray[np.complex128], float]:
    matrix = np.empty((len(names), len(names)), dtype=complex)
    counts = set()
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if (a, b) in entries:
                matrix[i, j], averages = entries[a, b]
            elif (b, a) in entries:
                value, averages = entries[b, a]
                matrix[i, j] = value.conjugate()
            else:
                raise InputError(
                    f"{where}: {', '.join(names)} are joined by cross-spectra, but the row of {a} and {b} is missing; add it, or "
                    "leave the cross-spectra out"
                )
            counts.add(averages)
    if len(counts) > 1:
        raise InputError(
            f"{where}: {', '.join(names)} are joined by cross-spectra, but have different numbers of averages, {sorted(counts)}; they must "
            "come from the same records"
        )
    return matrix, counts.pop()
