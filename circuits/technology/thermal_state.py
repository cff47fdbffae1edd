"""The temperature of a die in time, under heat that is constant for a while and an ambient that fluctuates.

With u the ambient's deviation, an Ornstein-Uhlenbeck process of standard deviation s and correlation time 1 / a, and y_k the modes of
the grid (`thermal.ThermalModes`), of rates r_k = lambda_k / c,

    du = -a u dt + s sqrt(2 a) dW,      dy_k/dt = -r_k (y_k - h_k / lambda_k) + beta_k u,      beta_k = (g_amb / c) (1, mode k).

Only the modes that are uniform along the rows see u. A step over any time t is exact: the means decay, with
phi_k(t) = (exp(-a t) - exp(-r_k t)) / (r_k - a) a start u_0 adds beta_k phi_k(t) u_0, and (u, y_1, ...) is jointly normal about them with
the covariance 2 a s^2 int_0^t f f^T, f = (exp(-a x), beta_1 phi_1(x), ...). A constant ambient is a = 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InputError
from .parts import Thermal
from .thermal import ThermalModes, heat_of, on_grid

SHORT = 0.25
"""Fastest rate times the time over which the covariance is integrated numerically, by a Gauss rule; then time is doubled."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
NEGLIGIBLE = 1e-12
"""Share of a mode's variance that is left to rounding."""
KEPT = 16
"""Steps whose factors are kept."""


class ThermalState:
    """Temperatures of a die and of its ambient now.

    Args:
        thermal: the network and the ambient's law.
        ambient: present ambient temperature, K.
        temperatures: (cells, cells) K, or one for all.

    Attributes:
        ambient: K. temperatures: (cells, cells) K.

    Raises:
        InputError: another shape, or an entry that is not finite and above 0 K.
    """

    def __init__(self, thermal: Thermal, ambient: float, temperatures: Any) -> None:
        self.thermal, self.ambient = thermal, float(ambient)
        self.temperatures = on_grid("temperatures", thermal, temperatures).copy()
        if not (self.temperatures > 0).all():
            raise InputError(f"temperatures hold {self.temperatures.min()} K; all must be above 0 K")
        self._modes = modes = ThermalModes(thermal)
        self._uniform = modes.into(np.ones((thermal.cells, thermal.cells)))[0]
        self._rates = modes.conductance / thermal.heat_capacity
        self._relaxation = 1.0 / thermal.ambient_time
        self._steps: dict[float, tuple[np.ndarray, np.ndarray, np.ndarray | None]] = {}

    @property
    def draws(self) -> int:
        """Standard normal deviates that a step takes; 0 where the ambient is constant."""
        return 1 + self.thermal.cells if self.thermal.ambient_rms > 0 and self._relaxation > 0 else 0

    def advance(self, seconds: float, power: Any = None, deviates: np.ndarray | None = None) -> None:
        """Let time pass under a constant heat.

        Args:
            seconds: finite and not negative.
            power: (cells, cells) W, heat made in each cell on top of the record's `power`.
            deviates: standard normal ones, (draws,); None where there are no `draws`.

        Raises:
            InputError: a time that is negative or not finite, a power that does not fit the grid.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise InputError(f"seconds is {seconds!r}: give a finite time >= 0")
        # Relative to the nominal ambient, so that a die without heat stays exactly there.
        reference, modes = self.thermal.ambient, self._modes
        decay, drawn_along, factor = self._step(seconds)
        end = modes.into(heat_of(self.thermal, reference, power)) / modes.conductance
        y = end + decay * (modes.into(self.temperatures - reference) - end)
        deviation = self.ambient - reference
        y[0] += drawn_along * deviation
        deviation *= math.exp(-self._relaxation * seconds)
        if factor is not None and deviates is not None:
            jump = factor @ deviates
            deviation += float(jump[0])
            y[0] += jump[1:]
        if self._relaxation > 0:
            self.ambient = reference + deviation
        self.temperatures = reference + modes.back(y)

    def _step(self, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Decay of the modes, (cells, cells), what a kelvin of ambient adds to row mode 0's, (cells,), and the factor of the noise."""
        if seconds not in self._steps:
            if len(self._steps) >= KEPT:
                self._steps.pop(next(iter(self._steps)))
            decay = np.exp(-self._rates * seconds)
            factor = self._factor(seconds) if self.draws else None
            self._steps[seconds] = decay, self._response(np.array([seconds]))[0, 1:], factor
        return self._steps[seconds]

    def _response(self, times: np.ndarray) -> np.ndarray:
        """f at (q,) times, (q, 1 + cells)."""
        a, gain = self._relaxation, self.thermal.to_ambient / self.thermal.heat_capacity * self._uniform
        x = (a - self._rates[0]) * times[:, None]
        # (1 - exp(-x)) / x of whichever exponent is the larger, which does not overflow.
        slow = np.exp(-np.minimum(a, self._rates[0]) * times[:, None])
        span = -np.abs(x)
        share = np.where(span == 0, 1.0, np.expm1(span) / np.where(span == 0, 1.0, span))
        return np.concatenate([np.exp(-a * times)[:, None], gain * times[:, None] * slow * share], axis=1)

    def _factor(self, seconds: float) -> np.ndarray:
        """R, (1 + cells)^2, with R R^T the covariance of (u, y_1, ...) after that time."""
        a = self._relaxation
        fastest = max(a, float(self._rates[0].max()))
        doublings = max(0, math.ceil(math.log2(max(fastest * seconds / SHORT, 1.0))))
        time = seconds / 2.0**doublings
        f = self._response(time * (_NODES + 1) / 2)
        covariance = 2 * a * self.thermal.ambient_rms**2 * (f.T * (_WEIGHTS * time / 2)) @ f
        for _ in range(doublings):
            move = np.diag(np.exp(-np.append(a, self._rates[0]) * time))
            move[1:, 0] = self._response(np.array([time]))[0, 1:]
            covariance = covariance + move @ covariance @ move.T
            time *= 2
        scale = np.sqrt(covariance.diagonal())
        scale = np.where(scale > 0, scale, 1.0)
        return np.asarray(scale[:, None] * _root(covariance / np.outer(scale, scale)))


def _root(correlations: np.ndarray) -> np.ndarray:
    """Cholesky's factor, with zeros in the columns of what the first ones determine to rounding.

    Over short times all modes move as one, and the correlations are singular.
    """
    left, factor = correlations.copy(), np.zeros_like(correlations)
    for k in range(len(left)):
        if left[k, k] > NEGLIGIBLE:
            factor[k:, k] = left[k:, k] / math.sqrt(left[k, k])
            left -= np.outer(factor[:, k], factor[:, k])
    return factor
