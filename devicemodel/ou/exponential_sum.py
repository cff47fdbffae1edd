"""A covariance as a sum of a few terms: int_0^t exp(F s) Q exp(F s)^T ds ~ sum_k w_k exp(F s_k) Q exp(F s_k)^T with w_k > 0.

A mode pair of rates a, b has int_0^t exp(-(a + b) s) ds, so that weights are sought for which

    sum_k w_k exp(-2 r s_k) = (1 - exp(-2 r t)) / (2 r)      for all rates r between the slowest and the fastest,

by non-negative least squares of the relative error over ever more instants (C. Lawson, R. Hanson, Solving Least Squares Problems, 1974).
Positive weights make the sum a covariance, and sum_k sqrt(w_k) exp(F s_k) Q^1/2 z_k a draw of it.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

ERROR = 2e-3
"""Largest relative error of a sum that is accepted."""
MOST, RATES = 16, 60
"""Most instants, and number of rates at which the error is looked at."""


def exponential_sum(slowest: float, fastest: float, duration: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Instants s_k and weights w_k, (k,), right to `ERROR` at all rates; None: `MOST` are not enough.

    Args:
        slowest, fastest: rates, 0 < slowest <= fastest. duration: t > 0, inf allowed, in the inverse unit.
    """
    rates = np.geomspace(slowest, fastest, RATES)
    wanted = -np.expm1(-2 * rates * duration) / (2 * rates)
    first, last = min(0.3 / fastest, 0.2 * duration), min(1.5 / slowest, 0.8 * duration)
    for count in range(2, MOST + 1):
        instants = np.geomspace(first, last, count)
        table = np.exp(-2 * np.outer(rates, instants)) / wanted[:, None]
        try:
            weights, _ = nnls(table, np.ones(RATES), maxiter=100 * count)
        except RuntimeError:  # it goes round in circles
            continue
        if np.abs(table @ weights - 1).max() < ERROR:
            held = weights > 0
            return instants[held], weights[held]
    return None
