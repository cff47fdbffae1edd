"""Scalar functions of an eigenvalue a of the drift, of which all laws of a symmetric system are made.

    decay      e^{-a t}                       what is left of the start
    response   (1 - e^{-a t}) / a             what a constant drive has put in
    spread     sqrt(D (1 - e^{-2 a t}) / 2a)  standard deviation of what noise of rate D has put in

Each has its `slope`, (f(c) - f(c + w)) / w, in a form without cancellation, and for `lanczos_bound` its `modulus`, a bound
of |f(x + iy)|: decay, response and the square of spread are integrals int e^{-a s} dmu(s) of a positive measure, so that their
size at x + iy is at most their value at x.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]
"""f(a), elementwise."""


@dataclass(frozen=True)
class Decay:
    """e^{-a t}."""

    t: float

    def __call__(self, a: Tensor) -> Tensor:
        """f(a)."""
        return torch.exp(-a * self.t)

    def slope(self, base: float, w: Tensor) -> Tensor:
        """(f(base) - f(base + w)) / w = e^{-base t} (1 - e^{-w t}) / w."""
        return math.exp(-base * self.t) * phi(w, self.t)

    def modulus(self, x: Tensor, y: Tensor) -> Tensor:
        """|f(x + iy)|."""
        return torch.exp(-x * self.t).expand_as(y)


@dataclass(frozen=True)
class Response:
    """(1 - e^{-a t}) / a; 1 / a for t = inf."""

    t: float

    def __call__(self, a: Tensor) -> Tensor:
        """f(a)."""
        return phi(a, self.t)

    def slope(self, base: float, w: Tensor) -> Tensor:
        """(f(base) - f(base + w)) / w = (f(base) - e^{-base t} (1 - e^{-w t}) / w) / (base + w); by power series below (base + w) t = 1."""
        if math.isinf(self.t):
            return 1 / (base * (base + w))
        at_base = self.t if base == 0 else -math.expm1(-base * self.t) / base
        near = (base + w) * self.t < 1
        far = (at_base - math.exp(-base * self.t) * phi(w, self.t)) / torch.where(near, 1.0, base + w)
        return torch.where(near, self.t**2 * _difference_series(base * self.t, torch.where(near, w * self.t, 0.0)), far)

    def modulus(self, x: Tensor, y: Tensor) -> Tensor:
        """A bound of |f(x + iy)| that does not grow with |y|: f(x), or (1 + e^{-x t}) / |x + iy|."""
        left = 0.0 if math.isinf(self.t) else torch.exp(-x * self.t)
        return torch.minimum(phi(x, self.t), (1 + left) / torch.hypot(x, y))


@dataclass(frozen=True)
class Spread:
    """sqrt(rate (1 - e^{-2 a t}) / 2a): standard deviation of an eigenmode that started at a point a time t ago."""

    t: float
    rate: float

    def __call__(self, a: Tensor) -> Tensor:
        """f(a)."""
        return torch.sqrt(self.rate / 2 * phi(a, 2 * self.t))

    def slope(self, base: float, w: Tensor) -> Tensor:
        """(f(base) - f(base + w)) / w, from the slope of f^2."""
        total = phi(torch.full_like(w, base), 2 * self.t).sqrt() + phi(base + w, 2 * self.t).sqrt()
        slope = Response(2 * self.t).slope(base, w) / torch.where(total > 0, total, 1.0)
        return math.sqrt(self.rate / 2) * slope

    def modulus(self, x: Tensor, y: Tensor) -> Tensor:
        """A bound of |f(x + iy)| that does not grow with |y|."""
        return torch.sqrt(self.rate / 2 * Response(2 * self.t).modulus(x, y))


Bounded = Decay | Response | Spread
"""The functions for which `lanczos_bound` has an error bound."""


def phi(a: Tensor, t: float) -> Tensor:
    """int_0^t e^{-a s} ds = (1 - e^{-a t}) / a; 1 / a for t = inf."""
    if math.isinf(t):
        return 1 / a
    safe = torch.where(a == 0, 1.0, a)
    return torch.where(a == 0, t, -torch.expm1(-safe * t) / safe)


def psi(a: Tensor, t: float) -> Tensor:
    """int_0^t phi(a, s) ds = (t - phi(a, t)) / a, by its power series below a t = 1."""
    z = a * t
    series = _series(z, [(-1) ** n / math.factorial(n + 2) for n in range(20)])
    safe = torch.where(z.abs() < 1, 1.0, a)
    return torch.where(z.abs() < 1, t**2 * series, (t - phi(safe, t)) / safe)


def omega(a: Tensor, t: float) -> Tensor:
    """int_0^t phi(a, s)^2 ds = (t - 2 phi(a, t) + phi(2a, t)) / a^2, by its power series below a t = 1."""
    z = a * t
    series = _series(z, [(-1) ** n * (2 ** (n + 2) - 2) / math.factorial(n + 3) for n in range(26)])
    safe = torch.where(z.abs() < 1, 1.0, a)
    return torch.where(z.abs() < 1, t**3 * series, (t - 2 * phi(safe, t) + phi(2 * safe, t)) / safe**2)


def average_spread(start: float, window: float, rate: float) -> Function:
    """Standard deviation, as a function of a, of the average over start..start + window of a mode that began at a point at time 0.

    The average is linear in what had gathered at `start`, with weight phi(a, window), and in each later shock, with weight phi(a, s),
    s the time left to it: variance [phi(a, window)^2 spread(a, start)^2 + rate omega(a, window)] / window^2.
    """

    def deviation(a: Tensor) -> Tensor:
        gathered = rate / 2 * phi(a, 2 * start) * phi(a, window) ** 2
        return torch.sqrt(gathered + rate * omega(a, window)) / window

    return deviation


def _series(z: Tensor, coefficients: list[float]) -> Tensor:
    inside = torch.where(z.abs() < 1, z, 0.0)
    total = torch.zeros_like(z)
    for coefficient in reversed(coefficients):
        total = total * inside + coefficient
    return total


def _difference_series(base: float, z: Tensor) -> Tensor:
    """(phi(base, 1) - phi(base + z, 1)) / z = sum over n >= 0 of (-1)^n / (n + 2)! times sum_i base^i (base + z)^(n - i)."""
    total, symmetric = torch.zeros_like(z), torch.ones_like(z)
    for n in range(20):
        total = total + (-1) ** n / math.factorial(n + 2) * symmetric
        symmetric = symmetric * (base + z) + base ** (n + 1)
    return total
