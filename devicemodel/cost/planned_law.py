"""The law of an array that is only planned: a ratio of polynomials for each eigenvalue, with the amplifiers' gain, poles and loads.

All rows are taken to be loaded alike, so that an eigenvector of the matrix stays one with real amplifiers. An amplifier of gain A(s) =
1 / eps, eps = (1 / A0 + s / w) (1 + s / w_2), w = 2 pi GBW, with the output resistance R_o, loaded by Y = G + s C_f at its output of which
Y_f goes back to its own input, has its input at -eps' times its output (both rails alike):

    eps' = eps (1 + R_o Y) / (1 - eps R_o Y_f)

An integrator with C, L siemens at its input and the damping d of its own, behind stages of noise gain n_t = 1 + L_t / g_t, obeys

    s C + (s C + L) eps' + d + mu / prod_t (1 + n_t eps'_t) = I / v          mu: an eigenvalue of what the arrays hold, S

A crossbar has no stages. Roots in s of the numerator are the natural frequencies of that eigenvector.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.polynomial import polyder, polyroots, polyval

from ...circuits.amplifiers.models import IDEAL_GAIN
from ...circuits.technology.parts import OpAmp

MODES = 16
"""Steps in equal ratios in which eigenvalues are tried."""
FLAT = 1e6
"""Share of the largest eigenvalue from which on the others are tried, beside 0 itself."""
GRID = 500
"""Times at which a mode's error is looked at, and `A_PERIOD` more for each of its periods."""
A_PERIOD = 16
ALIVE = 10.0
"""Roots that decay faster than so many times the slowest one leave no swings to be looked at."""
APART = 1e-9
"""Relative change of an eigenvalue that takes a double root, whose residues are infinite, apart."""


@dataclass(frozen=True)
class Stage:
    """A summing amplifier: conductances at its input besides the feedback (`load`), across it (`feedback`), and at its output, S."""

    load: float
    feedback: float
    output: float


@dataclass(frozen=True)
class ModalLaw(abc.ABC):
    """v / I of an eigenvector, for each eigenvalue of the matrix.

    Attributes:
        opamp: of all amplifiers.
        capacitance: of an integrator, F.
        load: conductance at the input of an integrator that the matrix drives, S. output: of the load of an output that drives it, S.
    """

    opamp: OpAmp
    capacitance: float
    load: float
    output: float

    @abc.abstractmethod
    def polynomials(self) -> tuple[Polynomial, Polynomial, Polynomial]:
        """Numerator of v / I; its denominator without an eigenvalue, and what mu times is added to that; in s times `time_unit`."""

    @property
    @abc.abstractmethod
    def time_unit(self) -> float:
        """Unit of time of the polynomials, s, in which their coefficients stay near one."""

    @abc.abstractmethod
    def leak(self) -> float:
        """What the loaded gain at rest adds to every eigenvalue, S."""

    @abc.abstractmethod
    def limit(self, largest: float) -> str:
        """What the largest eigenvalue, S, asks of amplifiers that are too slow, as a clause with its remedy."""

    @property
    def own(self) -> float:
        """What the circuit itself adds to every eigenvalue, S."""
        return 0.0

    @cached_property
    def _coefficients(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of `polynomials`, which are the same for all eigenvalues; both of the denominator in one length."""
        above, own, coupled = (one.coef for one in self.polynomials())
        length = max(len(own), len(coupled))
        return above, np.pad(own, (0, length - len(own))), np.pad(coupled, (0, length - len(coupled)))

    def _denominator(self, eigenvalue: float) -> np.ndarray:
        """Coefficients, lowest power first, without zeros at the end."""
        _, own, coupled = self._coefficients
        return np.trim_zeros(own + eigenvalue * coupled, "b")

    def frequencies(self, eigenvalue: float) -> np.ndarray:
        """Natural frequencies, 1/s, of the eigenvector with this mu, S."""
        roots: np.ndarray = np.asarray(polyroots(self._denominator(eigenvalue)), dtype=complex)
        return roots / self.time_unit

    def modes(self, low: float, high: float) -> list[float]:
        """Eigenvalues from `low` to `high` S that stand for all: both, and `MODES` between them."""
        return [low, *np.geomspace(low or high / FLAT, high, MODES + 1).tolist()]

    def slowest(self, low: float, high: float) -> float:
        """Slowest time constant, s, of all eigenvalues from `low` to `high` S; inf if one of them does not decay."""
        rate = min(float(-self.frequencies(mu).real.max(initial=-math.inf)) for mu in self.modes(low, high))
        return 1.0 / rate if rate > 0 else math.inf

    def settling(self, eigenvalue: float, accuracy: float) -> float:
        """Time after a step of the drive from which the eigenvector's own error stays below `accuracy`, s; inf if it never does."""
        above, below = self._coefficients[0], self._denominator(eigenvalue * (1 - APART))
        roots = polyroots(below)
        if len(roots) == 0:
            return 0.0
        if roots.real.max() >= 0:
            return math.inf
        # v(t) / v(inf) - 1 = sum_i r_i exp(s_i t), by partial fractions of above / (s below).
        residues = polyval(roots, above) / (roots * polyval(roots, polyder(below))) * below[0] / above[0]
        span = math.log(max(float(np.abs(residues).sum()), accuracy) / accuracy) / float(-roots.real.max())
        periods = span * float(np.abs(roots.imag[roots.real > ALIVE * roots.real.max()]).max(initial=0.0)) / 2 / math.pi
        count = GRID + A_PERIOD * min(math.ceil(periods), GRID)
        times = np.linspace(0.0, span, count + 1)
        errors = np.abs((np.exp(np.multiply.outer(times, roots)) @ residues).real)
        over = np.flatnonzero(errors > accuracy)
        if not len(over):
            return 0.0
        last = int(over[-1])
        if last == count:
            return span * self.time_unit
        share = math.log(errors[last] / accuracy) / math.log(errors[last] / errors[last + 1])
        return float(times[last] + share * (times[last + 1] - times[last])) * self.time_unit

    def slower_amplifiers(self, share: float) -> Self:
        """The same with this share of the gain-bandwidth product."""
        return dataclasses.replace(self, opamp=self.opamp.model_copy(update={"gbw": share * self.opamp.gbw}))

    def _error(self) -> Polynomial:
        """eps of the amplifier alone."""
        opamp, unit = self.opamp, self.time_unit
        first = Polynomial([1.0 / min(opamp.gain, IDEAL_GAIN), period(opamp.gbw) / unit])
        return (first * Polynomial([1.0, period(opamp.second_pole) / unit])).trim()


@dataclass(frozen=True)
class Loop(ModalLaw):
    """An array of integrators as its amplifiers see it.

    Attributes:
        damping: d, S.
        stages: in the order that the signal passes; empty: a crossbar.
    """

    damping: float = 0.0
    stages: Sequence[Stage] = ()

    @property
    def own(self) -> float:
        """See `ModalLaw.own`."""
        return self.damping

    def limit(self, largest: float) -> str:
        """See `ModalLaw.limit`."""
        unity = largest / (2 * math.pi * self.capacitance)
        slow = min(self.bandwidths(), default=self.opamp.gbw)
        return (
            f"its fastest mode would settle at {unity:.3g} Hz, and a stage passes {slow:.3g} Hz; use larger capacitors, "
            "a larger gain-bandwidth product, fewer parameters, or layout 'dual'"
        )

    def bandwidths(self) -> list[float]:
        """-3 dB frequency of each summing stage, Hz: gain-bandwidth product over its loaded noise gain."""
        resistance = self.opamp.output_resistance
        return [
            self.opamp.gbw / (1 + stage.load / stage.feedback) / (1 + resistance * (stage.output + stage.feedback))
            for stage in self.stages
        ]

    def leak(self) -> float:
        """See `ModalLaw.leak`."""
        return self.load * (1 + self.opamp.output_resistance * self.output) / min(self.opamp.gain, IDEAL_GAIN)

    @property
    def time_unit(self) -> float:
        """See `ModalLaw.time_unit`."""
        return math.sqrt(self.capacitance / self.load * (period(self.opamp.gbw) or self.capacitance / self.load))

    def polynomials(self) -> tuple[Polynomial, Polynomial, Polynomial]:
        """See `ModalLaw.polynomials`."""
        storage, resistance = Polynomial([0.0, self.capacitance / self.time_unit]), self.opamp.output_resistance
        error, passed, slowed = self._error(), Polynomial([1.0]), Polynomial([1.0])
        for stage in self.stages:
            whole = 1 - resistance * stage.feedback * error
            lost = (1 + resistance * (stage.output + stage.feedback)) * error
            passed, slowed = passed * whole, slowed * (whole + (1 + stage.load / stage.feedback) * lost)
        # (s C + d) (1 - eps R_o s C) + (s C + L) eps (1 + R_o (G + s C)), whose highest powers cancel.
        integrated = (1 + resistance * (self.output - self.damping)) * storage
        own = storage + self.damping + error * (integrated + self.load * (1 + resistance * (self.output + storage)))
        direct = 1 - resistance * error * storage
        return direct * slowed, own * slowed, direct * passed


def period(hertz: float) -> float:
    """1 / (2 pi f), s."""
    return 1.0 / (2 * math.pi * hertz)
