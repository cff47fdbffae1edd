"""Stationary covariance of a `LinearLaw`'s readings, by Lyapunov's equation: exact however narrow a resonance is.

    F P + P F^T + Q = 0,      Cov(v) = R P R^T

for each white part Q of the noise. A sampler of the bandwidth B follows the readings with states of its own, du/dt = 2 pi B (v - u). A 1/f
part is a sum of sections (`amplifiers.noise_source`) of rates r and variances s^2, which drive H e: with M = E[z e^T] = s^2 (r - F)^-1 H it
adds H M^T + M H^T to Q.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import matrix_balance, solve_continuous_lyapunov

from ...circuits.amplifiers.noise_source import slow_noise
from ...circuits.technology.parts import OpAmp
from ..linear_law import LinearLaw


def stationary_covariances(law: LinearLaw, opamp: OpAmp, bandwidth: float = math.inf) -> tuple[np.ndarray, np.ndarray]:
    """Covariances of the readings, (n, n) V^2 each: by resistors' Johnson noise, and by the amplifiers' noise.

    Args:
        law: whose modes all decay.
        opamp: whose 1/f noise its `slow` inputs have.
        bandwidth: of the sampler, Hz.
    """
    flow, read, seen = law.drift, law.read, law.order
    if math.isfinite(bandwidth):
        rate, n = 2 * math.pi * bandwidth, law.size
        flow = np.block([[law.drift, np.zeros((seen, n))], [rate * law.read, -rate * np.eye(n)]])
        read = np.concatenate([np.zeros((n, seen)), np.eye(n)], axis=1)
    # Fluxes stand beside volts: states are scaled alike before anything is solved.
    _, (scale, _) = matrix_balance(flow, permute=False, separate=True)
    inner = flow / scale[:, None] * scale

    def white(density: np.ndarray) -> np.ndarray:
        whole = np.zeros_like(inner)
        whole[:seen, :seen] = density / scale[:seen, None] / scale[:seen]
        return whole

    def solved(density: np.ndarray) -> np.ndarray:
        return np.asarray((read * scale) @ solve_continuous_lyapunov(inner, -density) @ (read * scale).T)

    amplifiers = white(law.amplifiers) + _slow(law, opamp, inner, scale)
    return solved(white(law.johnson)), solved(amplifiers) if amplifiers.any() else np.zeros((law.size, law.size))


def _slow(law: LinearLaw, opamp: OpAmp, flow: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """What the 1/f parts add to the white densities, of all states over `scale`, which have this `flow`; the law's come first."""
    whole = np.zeros_like(flow)
    for source in law.slow:
        density, corner = (
            (opamp.noise_voltage, opamp.noise_voltage_corner)
            if source.kind == "voltage"
            else (opamp.noise_current, opamp.noise_current_corner)
        )
        into, sections = np.zeros((len(flow), source.into.shape[1])), slow_noise("", density, corner)
        into[: law.order] = source.into / scale[: law.order, None]
        for hertz in sections.corners:
            own = sections.variance * np.linalg.solve(2 * math.pi * hertz * np.eye(len(flow)) - flow, into)
            whole += into @ own.T + own @ into.T
    return whole
