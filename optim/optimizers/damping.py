"""The damping lambda I of the curvature: a number, a schedule, or adapted by the rule of Levenberg and Marquardt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeAlias

from ...circuits.errors import InputError


@dataclass
class LevenbergMarquardt:
    """Adapts lambda to how well the quadratic model predicts the loss.

    With d the step taken and q(d) = g.d + d.C d / 2 the model without damping, rho = (L(theta + d) - L(theta)) / q(d).
    If rho > threshold, lambda <- factor lambda; if rho < 1 - threshold, lambda <- lambda / factor. Costs a forward pass of the same
    batch after each step, and a product with C. With a line search d is the step that was taken, and lambda stays after one shorter than
    lr x, whose rho is near 1 whatever lambda is; one that was not taken raises it. So `start` can be low, as 1e-9.

    Args:
        start: initial lambda > 0.
        factor: alpha in (0, 1).
        threshold: a in (0.5, 1).
        lowest, highest: limits of lambda.

    Source: Martens, "Deep learning via Hessian-free optimization" (2010); arXiv 2405.13817, appendix.

    Raises:
        InputError: a number out of range.
    """

    start: float = 0.1
    factor: float = 0.9
    threshold: float = 0.75
    lowest: float = 1e-6
    highest: float = 1e6

    def __post_init__(self) -> None:
        for name, low, high in (("start", 0.0, math.inf), ("factor", 0.0, 1.0), ("threshold", 0.5, 1.0)):
            check_number(name, getattr(self, name), low, strict=True)
            if not getattr(self, name) < high:
                raise InputError(f"{name} is {getattr(self, name)}: give a number in ({low:g}, {high:g})")
        if not 0 < self.lowest <= self.start <= self.highest:
            raise InputError(
                f"lowest {self.lowest}, start {self.start}, highest {self.highest}: give 0 < lowest <= start <= highest"
            )

    def updated(self, damping: float, change: float, predicted: float) -> float:
        """The next lambda.

        Args:
            damping: of the step taken.
            change: L(theta + d) - L(theta); one that is not finite raises lambda.
            predicted: q(d), negative for a descent direction.
        """
        rho = change / predicted if predicted < 0 and math.isfinite(change) else -math.inf
        if rho > self.threshold:
            damping *= self.factor
        elif rho < 1 - self.threshold:
            damping /= self.factor
        return min(max(damping, self.lowest), self.highest)


Damping: TypeAlias = float | Callable[[int], float] | LevenbergMarquardt
"""lambda; a function of the number of steps done; or `LevenbergMarquardt`."""


def check_number(name: str, value: Any, low: float, strict: bool = False, below: float = math.inf) -> float:
    """The value as a float; InputError unless it is finite, >= low (> low where strict) and < below."""
    try:
        if isinstance(value, str | bool):  # float("0.5") and float(True) are numbers, but not what was meant
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}: give a number") from None
    if not math.isfinite(number) or number < low or (strict and number == low) or not number < below:
        kind = "number" if below < math.inf else "finite number"
        limit = f" and < {below:g}" if below < math.inf else ""
        raise InputError(f"{name} is {value}: give a {kind} {'>' if strict else '>='} {low:g}{limit}")
    return number


def check_count(name: str, value: Any, unit: str) -> int:
    """The value; InputError unless it is an integer >= 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is {value!r}: give an integer >= 1, a number of {unit}")
    return int(value)
