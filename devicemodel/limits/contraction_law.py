"""By what a round of refinement multiplies the error, from the figures of a technology and the spectrum of the programmed matrix.

A host programs M = D A D of unit diagonal. What settles is another matrix, M + E + T, with errors E of codes and mismatch and the leak
T = diag(L) / A0, L the sums of a row's conductances and the input resistor. A first reading B errs by

    I - B M = (M + E + T)^-1 (E + T),

so that with e the real end of the spectrum of (M + T)^-1 E (`random_matrices`) and y < 1 the largest eigenvalue of (M + T)^-1 T

    rho = max((e + y) / (1 + e), |y - e| / (1 - e)),           for codes and mismatch alone e / (1 - e).

It passes 1, and refinement fails, at e = 1/2, where the circuit itself would be stable up to e = 1. The leak alone never lets it fail, but
slows it down; with the others it keeps the circuit stable. A run of t tau leaves exp(-t m) of the slowest mode, m the smallest eigenvalue
of diag(1 + lag L)^-1 (M + T).

Every reading errs, moreover, by a share eta of its own: steps of the converters and noise, over the working level. That is the DAC's full
scale or, for small eigenvalues, what keeps the largest cell within its limit beside the offsets, M^-1 (L Vos + drive offset). Host and
residual bring each correction to the same level, so that a round multiplies the error by (rho^2 + eta^2)^1/2 in rms, without a floor above
that of double precision. Drives are taken to be white: no part of the spectrum is spared.

In a single-ended array (`Imperfections.inverted`) negative entries N = max(-M, 0) take their column from an inverter of two unit
resistors: L + 2 N stands for L in leak and lag, each inverter's offset drives 2 N Vos into the cells, its resistors' mismatch makes
N diag(z) of E, one z for a whole column, and their noise adds 2 N N^T to L.

Reading at +b and -b takes the offsets out, but not off the limit, and halves the variance of the noise. Wires, conductance drift and the
temperature's gradient are not in the law; those of the die are in `dies`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh

from ...circuits.errors import InputError
from ...circuits.technology.technology import Technology
from ...compiler.matrices import dense
from ...compiler.validate import validate
from ..card import DeviceCard
from ..host.auto_range import SPARE, TARGET
from ..host.converters import ROUNDING
from ..host.deflation import Deflation
from ..host.offset_nulling import SHARE
from .imperfections import Imperfections
from .random_matrices import inverse, spectral_edge

DRAWS = 64
"""Random drives and offset vectors, for the largest voltage over the cells."""
USED = TARGET / math.sqrt(SPARE)
"""Share of a cell's limit that drives use: a host that finds the level by trying leaves up to a factor of `SPARE` of the range."""


@dataclass(frozen=True)
class Contraction:
    """Factors on the error a round, each of its cause alone, and all together.

    Attributes:
        codes, mismatch: rho of the programming; inf: unstable. leak, settling: see the module's docstring.
        converters, noise: eta of steps of DAC and ADC, and of Johnson's noise and the ADC's.
        offset: largest voltage of a cell that offsets make, over the limit, median over dies; 1: there is no reading.
        operator: rho of codes, mismatch, leak, settling and gain together.
        total: of all; inf where the circuit is unstable, or offsets leave no room.
    """

    codes: float
    mismatch: float
    leak: float
    settling: float
    converters: float
    noise: float
    offset: float
    operator: float
    total: float


def contraction(
    matrix: Any,
    hardware: Imperfections | Technology | DeviceCard | str,
    duration: float = math.inf,
    readings: int | None = None,
    deflation: int = 0,
) -> Contraction:
    """The law for a system that is programmed with unit diagonal on an array of amplifiers.

    Args:
        matrix: A (n, n), symmetric positive definite.
        hardware: figures of one's own, or of a card or a technology.
        duration: of a run, in tau of A, as for `Refined`.
        readings: the first one and its corrections, over which the factors are averaged, in rms over white drives, since the slowest mode
            shows only in the end; None: what they come to then.
        deflation: eigenvectors that the host solves for digitally (`Refined(deflation=)`).

    Raises:
        InputError: a matrix that is not symmetric positive definite, a duration that is not > 0, readings that are no integer >= 1.
    """
    return law_of(programmed(dense(validate(matrix)), deflation), hardware, duration, readings).all


def rounds_to(factor: float, target: float = 1e-3) -> int | None:
    """Rounds after the first reading until the error is `target`, a factor at each; None: never.

    Raises:
        InputError: a target not in (0, 1).
    """
    if not 0 < target < 1:
        raise InputError(f"target is {target!r}: give an error above 0 and below 1, such as 1e-3")
    if not factor < 1:
        return None
    return max(0, math.ceil(math.log(target) / math.log(factor) - 1e-9) - 1) if factor > target else 0


def programmed(matrix: np.ndarray, deflation: int = 0) -> tuple[np.ndarray, float]:
    """What a host programs for A (n, n), D A D or what deflation leaves of it, of unit diagonal, and how many of its tau are one of A.

    Raises:
        InputError: a diagonal that is not positive, a deflation that is not >= 0 and < n.
    """
    if not isinstance(deflation, int) or not 0 <= deflation < len(matrix):
        raise InputError(f"deflation is {deflation!r}: give a number of eigenvectors from 0 to {len(matrix) - 1}")
    whole, scaling = _unit_diagonal(matrix)
    if deflation:
        whole, inner = _unit_diagonal(Deflation.of(torch.from_numpy(whole), deflation).rest.numpy())
        scaling = scaling * inner
    return whole, float(scaling.min()) ** -2


def _unit_diagonal(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    diagonal = matrix.diagonal()
    if not diagonal.min() > 0:
        raise InputError(
            f"matrix has a diagonal entry of {diagonal.min():.4g}: give a positive definite one, or more damping"
        )
    scaling = 1.0 / np.sqrt(diagonal)
    return scaling[:, None] * ((matrix + matrix.T) / 2) * scaling, scaling


def law_of(
    held: tuple[np.ndarray, float],
    hardware: Imperfections | Technology | DeviceCard | str,
    duration: float,
    readings: int | None,
) -> Law:
    """The law of `programmed(A)`."""
    if not duration > 0:
        raise InputError(f"duration is {duration!r}: give tau > 0, or inf for settled runs")
    if readings is not None and not (isinstance(readings, int) and readings >= 1):
        raise InputError(f"readings is {readings!r}: give an integer >= 1, or None")
    found = hardware if isinstance(hardware, Imperfections) else Imperfections.of(hardware)
    matrix, stretch = held
    return Law(matrix, found, duration * stretch, readings)


@dataclass(frozen=True, eq=False)
class Law:
    """One programmed matrix of unit diagonal; each cause alone, worked out when it is asked for.

    Attributes:
        matrix: M, (n, n). duration: of a run, in tau of M. readings: over which factors are averaged; None: very many.
    """

    matrix: np.ndarray
    imperfections: Imperfections
    duration: float
    readings: int | None

    @property
    def codes(self) -> float:
        """rho of rounding alone."""
        return _diverging(self._edge(self._inverse, codes=True, mismatch=False))

    @property
    def mismatch(self) -> float:
        """rho of mismatch alone."""
        return _diverging(self._edge(self._inverse, codes=False, mismatch=True))

    @property
    def leak(self) -> float:
        """y."""
        leak = self.imperfections.leak
        if leak == 0:
            return 0.0
        if self.imperfections.inverted:
            # Not all of them are positive: in some modes inverters take away more than amplifiers leak.
            shares = np.asarray(eigh(leak * self._loads, self.matrix, eigvals_only=True))
            return self._mean(np.abs(shares / (1 + shares)))
        root = np.sqrt(leak * self._load)
        shares = _eigenvalues(root[:, None] * self._inverse * root)
        return self._mean(shares / (1 + shares))

    @property
    def settling(self) -> float:
        """What is left of the slowest mode at the end of a run."""
        if math.isinf(self.duration):
            return 0.0
        lag = self.imperfections.lag
        if self.imperfections.inverted:
            rates = np.asarray(eigh(self._leaking, np.eye(len(self.matrix)) + lag * self._loads, eigvals_only=True))
        else:
            root = 1.0 / np.sqrt(1.0 + lag * self._load)
            rates = _eigenvalues(root[:, None] * self._leaking * root)
        return self._mean(np.exp(-np.maximum(rates, 0.0) * self.duration))

    @property
    def converters(self) -> float:
        """eta of steps, at a level that offsets leave untouched."""
        return self._reading(self._inverse, 0.0, steps=True, noise=False)

    @property
    def noise(self) -> float:
        """eta of noise, likewise."""
        return self._reading(self._inverse, 0.0, steps=False, noise=True)

    @property
    def offset(self) -> float:
        """See `Contraction`."""
        return self._offset(self._inverse)

    def _offset(self, inverted: np.ndarray) -> float:
        one = self.imperfections
        if math.isinf(self._limit):
            return 0.0
        driven = self._driven_offset
        if one.nulled:
            driven = one.dac_step / math.sqrt(12) / self._finest * self._normal
        return _largest(inverted @ driven) / self._limit

    @property
    def all(self) -> Contraction:
        """Everything."""
        leak, settling, offset = self.leak, self.settling, self._offset(self._settled)
        edge = self._edge(self._settled, codes=True, mismatch=True)
        operator = math.inf if edge >= 1 else max((edge + leak) / (1 + edge), abs(leak - edge) / (1 - edge))
        operator += settling + self.imperfections.gain
        eta = self._reading(self._settled, offset, steps=True, noise=True)
        return Contraction(
            self.codes,
            self.mismatch,
            leak,
            settling,
            self.converters,
            self.noise,
            offset,
            operator,
            math.inf if offset >= 1 else math.hypot(operator, eta),
        )

    def _mean(self, factors: np.ndarray) -> float:
        """Of the modes' factors: their rms over a white drive after all readings, a reading; the largest of very many."""
        largest = float(factors.max())
        if self.readings is None or largest == 0:
            return largest
        return largest * float(((factors / largest) ** (2 * self.readings)).mean()) ** (0.5 / self.readings)

    @cached_property
    def _limit(self) -> float:
        """Largest voltage of a cell, with what its column leaves of its amplifier's range, V."""
        one, size = self.imperfections, np.abs(self.matrix)
        if one.outputs is None:
            return one.limit
        load = size.sum(axis=0)
        if one.inverted:
            negative = self._negative.sum(axis=0)
            used = negative > 0
            # An inverter's input beside the positive entries, its feedback beside the negative ones.
            load = np.maximum(load - negative + used, (negative + 1) * used)
        return min(one.limit, one.outputs.limit(float(load.max())))

    @property
    def _driven_offset(self) -> np.ndarray:
        """Draws of what offsets are at the drive inputs, (n, DRAWS) V."""
        one = self.imperfections
        own: np.ndarray = np.hypot(one.offset * self._load, one.drive_offset)[:, None] * self._normal
        if not one.inverted:
            return own
        others = np.random.default_rng(1).standard_normal(self._normal.shape)
        return own + 2 * one.offset * self._negative @ others

    @property
    def _bias(self) -> float:
        """Largest voltage of a bias drive against them, V; 0 without one."""
        return _largest(self._driven_offset) if self.imperfections.nulled else 0.0

    @cached_property
    def _finest(self) -> float:
        """The largest input resistor that leaves a bias drive its share of the DAC, over that of the first range."""
        return self._drives(self._bias / SHARE)

    def _drives(self, volts: float) -> float:
        """The input resistor, over that of the first range, through which a drive of so many volts is within the DAC's full scale."""
        room = self.imperfections.full_scale / volts * (1 + ROUNDING) if volts > 0 else math.inf
        ranges = self.imperfections.drive_ranges - 1
        return 2.0 ** max(0, min(ranges, math.floor(math.log2(room)) if math.isfinite(room) else ranges))

    @cached_property
    def _load(self) -> np.ndarray:
        """L, (n,): the row's conductances and the input resistor, which is one unit."""
        return np.asarray(np.abs(self.matrix).sum(axis=1) + 1.0)

    @cached_property
    def _negative(self) -> np.ndarray:
        """N, (n, n)."""
        return np.asarray(np.maximum(-self.matrix, 0.0))

    @cached_property
    def _loads(self) -> np.ndarray:
        """(n, n): diag(L), and with inverters 2 N."""
        alone = np.diag(self._load)
        return np.asarray(alone + 2 * self._negative) if self.imperfections.inverted else alone

    @cached_property
    def _leaking(self) -> np.ndarray:
        """M + T."""
        return np.asarray(self.matrix + self.imperfections.leak * self._loads)

    @cached_property
    def _inverse(self) -> np.ndarray:
        """Of M. A law has the matrix's inverse; no device's path leads through here."""
        found = inverse(self.matrix)
        if found is None:
            raise InputError("matrix is not positive definite: give one that is, or more damping")
        return found

    @cached_property
    def _settled(self) -> np.ndarray:
        """Of M + T."""
        return self._inverse if self.imperfections.leak == 0 else np.asarray(inverse(self._leaking))

    @cached_property
    def _normal(self) -> np.ndarray:
        return np.random.default_rng(0).standard_normal((len(self.matrix), DRAWS))

    def _edge(self, inverted: np.ndarray, codes: bool, mismatch: bool) -> float:
        """e of (M [+ T])^-1 E."""
        one, size = self.imperfections, np.abs(self.matrix)
        rounding, scatter = np.zeros_like(size), np.zeros_like(size)
        if codes:
            rounding = np.where(size < one.least / 2, size**2, one.code**2 / 12 + (one.code_ratio * size) ** 2)
            rounding = np.where((size >= one.least / 2) & (size < one.least), (one.least - size) ** 2, rounding)
        if mismatch:
            scatter = (one.mismatch * size) ** 2 + one.scatter**2
        symmetric, independent = (rounding, scatter) if one.mirrored else (0 * rounding, rounding + scatter)
        base = self.matrix if inverted is self._inverse else self._leaking
        columns = one.inverter_mismatch * self._negative if one.inverted and mismatch else None
        edge = spectral_edge(base, inverted, symmetric, independent, self.readings, columns)
        # The input resistors' mismatch E = -diag(z) M has the eigenvalues of -diag(z).
        return math.hypot(edge, math.sqrt(max(0.0, one.mismatch**2 - one.redrawn**2)) if mismatch else 0.0)

    def _reading(self, inverted: np.ndarray, offset: float, steps: bool, noise: bool) -> float:
        """eta, where offsets take a share of the limit."""
        one = self.imperfections
        # Of white drives of rms 1.
        cells = inverted @ self._normal
        drive, cell = _largest(self._normal), _largest(cells)
        rms = float(np.sqrt((cells**2).mean()))
        level = min(one.full_scale / drive, USED * max(1 - offset, 0.0) * self._limit / cell)
        if level == 0:
            return math.inf
        if math.isinf(level):
            return 0.0
        square = 0.0
        if steps:
            # Beside a bias a host leaves the room that it takes in the finest range.
            left = 1 - min(self._finest * self._bias / one.full_scale, SHARE)
            ranges = min(self._finest, self._drives(level * drive / left))
            square += (one.dac_step / ranges / level) ** 2 / 12 + (one.adc_step / (level * rms)) ** 2 / 12
        if noise:
            held = (self._load * inverted.diagonal()).mean()
            if one.inverted:
                held += 2 * ((inverted @ self._negative) * self._negative).sum(axis=1).mean()
            amplified = (self._load**2 * inverted.diagonal()).mean()
            if one.inverted:
                amplified += 4 * ((inverted @ self._negative) * self._negative).sum(axis=1).mean()
            cells_noise = one.johnson * float(held) + one.amplifiers * float(amplified)
            square += (cells_noise + one.adc_noise**2) / 2 / (level * rms) ** 2
        return math.sqrt(square)


def _largest(volts: np.ndarray) -> float:
    """Over the cells, of (cells, draws); median over draws."""
    return float(np.median(np.abs(volts).max(axis=0)))


def _eigenvalues(symmetric: np.ndarray) -> np.ndarray:
    """(n,), in ascending order."""
    return np.asarray(torch.linalg.eigvalsh(torch.from_numpy(symmetric)))


def _diverging(edge: float) -> float:
    return edge / (1 - edge) if edge < 1 else math.inf
