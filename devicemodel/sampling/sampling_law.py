"""`SamplingLaw`: how far A^-1 b from a sampled covariance is off, from the correlation of the cells' voltages.

The cells of an `spu` with capacitance matrix C = u D A D = U diag(c) U^T, one R and one L have the modes

    c_k v'' + v' / R + v / L = dI/dt,     E[v_k(t) v_k(0)] = (k T / c_k) rho_k(t),
    rho_k(t) = exp(-a t) (cos w t - (a / w) sin w t),     a = 1 / (2 R c_k),     w^2 = 1 / (L c_k) - a^2   (w imaginary: overdamped).

The estimate S' of S = C^-1 / u is (1 / k T) times the mean of v v^T over a time T. For Gaussian voltages (Isserlis) two of its modes are
off by what rho_k rho_l integrates to over all lags,

    tau_kl = 2 int_0^inf rho_k rho_l dt = 2 R c_k c_l / [c_k + c_l + (R^2 / 2 L) (c_k - c_l)^2],     tau_kk = R c_k,

the last whatever L is, over- or underdamped: a swing costs nothing, and modes that swing apart decorrelate sooner. With lambda = c / u the
eigenvalues of D A D, tau = R u, q = R^2 u / (2 L), beta = U^T D b and w_kl = 2 / [lambda_k + lambda_l + q (lambda_k - lambda_l)^2], for T
beyond the slowest tau_kk,

    E |S' b - S b|^2 = (tau / T) [sum_kl w_kl beta_l^2 + sum_k w_kk beta_k^2]

(D = 1; else the norm has D in it). With one tau_kl for all modes that is (tr S b^T S b + |S b|^2) tau / T. Modes of small lambda, which
make S b large, are the fast ones here: the time for a relative error falls with the condition number, where settling takes longer.

Read at instants h apart, w_kl becomes (h / tau) / (lambda_k lambda_l) sum_m rho_k(m h) rho_l(m h) over all m, which is larger. The mean
of v is known to be zero, and that of a run is (flux at its end - flux at its start) / T, of order 1 / T: taking it off, against
converters' offsets, costs nothing.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ...circuits.errors import InputError
from ...compiler.matrices import dense
from ...compiler.program import AnalogProgram
from ...compiler.validate import validate_drive

TAIL = 20.0
"""Slowest time constants that a sum over lags is followed for: exp(-2 * 20) is left."""
NEAR_CRITICAL = 1e-5
"""Least |s| / a of a mode's roots -a +- s, below which two exponentials cancel; off by its square."""
MOST_LAGS = 1_000_000


class SamplingLaw:
    """Standard errors of what a program's covariance is read as; times in tau of the program.

    Args:
        program: of fabric `spu`, its cells with one R and one L (nominal parts).
        interval: between samples, tau; 0: the limit of continuous reading.

    Raises:
        InputError: another fabric, cells that differ, an interval that is negative, not finite or too short to be summed over.
    """

    def __init__(self, program: AnalogProgram, interval: float = 0.0) -> None:
        parts: Any = program.parts
        if program.fabric_name != "spu":
            raise InputError(
                f"the program is of fabric {program.fabric_name}: its law of sampling is known for spu alone"
            )
        resistances, inductances = 1.0 / parts.shunt[0], parts.storage[0]
        if np.ptp(resistances) > 1e-9 * resistances[0] or np.ptp(inductances) > 1e-9 * inductances[0]:
            raise InputError("the program's cells differ in R or L, as on a die: give one of nominal parts")
        if not 0 <= interval < np.inf:
            raise InputError(f"interval is {interval!r}: give finite tau >= 0")
        self.interval, self._scaling = float(interval), program.scaling
        capacitances, self._modes = np.linalg.eigh(dense(parts.matrix()))
        self._eigenvalues = capacitances / program.conductance_unit
        resistance, inductance = float(resistances[0]), float(inductances[0])
        self.swing = resistance**2 * program.conductance_unit / (2 * inductance)
        """q = R^2 u / (2 L)."""
        self._stretch = resistance * program.conductance_unit / program.tau  # R of a series over the unit resistor

    def correlation_times(self) -> np.ndarray:
        """tau_kl of all pairs of modes, (n, n) tau, ascending in the eigenvalue; with an interval, what stands in its place."""
        return self._weights * np.outer(self._eigenvalues, self._eigenvalues)

    def error_of_solution(self, b: Any, duration: float) -> np.ndarray:
        """Standard deviation of each entry of S' b, (n,), problem units, after sampling for `duration` tau."""
        drive = self._modes.T @ (self._scaling * validate_drive(b, len(self._scaling)))
        diagonal = self._weights @ drive**2
        mixed = self._weights * np.outer(drive, drive)
        variance = self._modes**2 @ diagonal + np.einsum("ik,kl,il->i", self._modes, mixed, self._modes)
        return np.asarray(self._scaling * np.sqrt(variance / _checked(duration)))

    def error_of_inverse(self, duration: float) -> np.ndarray:
        """Standard deviation of each entry of S', (n, n), problem units, after sampling for `duration` tau."""
        squares = self._modes**2
        products = self._modes[:, None, :] * self._modes[None, :, :]
        variance = squares @ self._weights @ squares.T + np.einsum(
            "ijk,kl,ijl->ij", products, self._weights, products, optimize=True
        )
        return np.asarray(np.outer(self._scaling, self._scaling) * np.sqrt(variance / _checked(duration)))

    def relative_error(self, b: Any, duration: float) -> float:
        """sqrt(E |S' b - S b|^2) / |S b| after `duration` tau."""
        drive = self._scaling * validate_drive(b, len(self._scaling))
        solution = self._scaling * (self._modes @ (self._modes.T @ drive / self._eigenvalues))
        return float(np.linalg.norm(self.error_of_solution(b, duration)) / np.linalg.norm(solution))

    def duration_for(self, b: Any, relative_error: float) -> float:
        """tau of sampling until `relative_error` of A^-1 b is that; it takes A^-1 b, which a host does not know."""
        if not 0 < relative_error < np.inf:
            raise InputError(f"relative_error is {relative_error!r}: give a finite number > 0")
        return (self.relative_error(b, 1.0) / relative_error) ** 2

    def contraction(self, duration: float) -> float:
        """Bound of the factor by which a round of refinement shrinks the error, rms in the norm sqrt(e^T A e), of runs of `duration` tau.

        e <- e - S' A e with a new S': in A^(1/2) e modes have equal variances, whatever their eigenvalues, so that it is
        sqrt(max_l (sum_k tau_kl + tau_ll) / T), sqrt((n + 1) / N) of N independent samples: it does not go with the condition number.
        """
        times = self.correlation_times()
        return float(np.sqrt((times.sum(axis=0) + np.diag(times)).max() / _checked(duration)))

    @cached_property
    def _weights(self) -> np.ndarray:
        """w_kl, (n, n), tau."""
        values = self._eigenvalues
        if self.interval == 0:
            apart = values[:, None] + values + self.swing * (values[:, None] - values) ** 2
            return np.asarray(self._stretch * 2.0 / apart)
        # rates in 1 / tau
        half = 1.0 / (2.0 * self._stretch * values)
        square = 2.0 * self.swing / self._stretch**2 / values
        root = np.sqrt((half**2 - square).astype(complex))
        root = np.where(np.abs(root) < NEAR_CRITICAL * half, NEAR_CRITICAL * half, root)
        slowest = float(np.min((half - root).real))
        count = int(np.ceil(TAIL / (slowest * self.interval)))
        if count > MOST_LAGS:
            raise InputError(
                f"interval is {self.interval:g} tau, {count} of which the slowest mode lasts; give {count / MOST_LAGS * self.interval:.2g} "
                "or more, or 0 for the limit of continuous reading"
            )
        total = np.zeros((len(values), len(values)))
        for lags in np.array_split(np.arange(1, count + 1) * self.interval, max(1, count * len(values) // 1_000_000)):
            grow, fade = np.exp(np.outer(lags, root - half)), np.exp(np.outer(lags, -root - half))
            rho = 0.5 * ((1 - half / root) * grow + (1 + half / root) * fade).real
            total += rho.T @ rho
        return np.asarray(self.interval * (1.0 + 2.0 * total) / np.outer(values, values))


def _checked(duration: float) -> float:
    if not 0 < duration < np.inf:
        raise InputError(f"duration is {duration!r}: give finite tau > 0")
    return float(duration)
