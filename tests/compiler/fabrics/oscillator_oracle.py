"""Coupled op-amp oscillators from their equations alone, one rail of the balanced circuit; shares no code with the package.

An inverting integrator with summing node e, output y, amplifier y = -e w_t / (s + w_t / A0) and a capacitor behind R_z:

    sum_j G_j (u_j - e) + J + (y - e - q) / R_z = 0,        q' = (y - e - q) / (R_z C),        y' = -w_t e - (w_t / A0) y

with inputs u_j through conductances G_j and noise current J. The velocity integrator of cell i has K_ij from position j (through the other
rail where K_ij < 0), Gamma_i from its own velocity and b_i through its input resistor, the position integrator g0 from the other rail's
velocity. Without R_z the capacitor's voltage y - e is a state of its own and e follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm, solve_continuous_lyapunov

KT = 1.380649e-23 * 300.15


@dataclass
class OscillatorArray:
    """K (n, n), friction (n,), link, drive (n,) in S; C_v, C in F; A0 and w_t (rad/s) finite; R_z in ohm, 0: none."""

    K: np.ndarray
    friction: np.ndarray
    link: float
    drive: np.ndarray
    C_v: float
    C: float
    A0: float
    w_t: float
    R_z: float = 0.0

    def __post_init__(self) -> None:
        n = len(self.K)
        g = self.link
        load_v = np.abs(self.K).sum(axis=1) + self.friction + self.drive
        # States: velocity output, its capacitor's voltage, position output, its capacitor's voltage.
        eye, zero = np.eye(n), np.zeros((n, n))
        pick = {
            name: np.hstack([eye if k == j else zero for j in range(4)]) for k, name in enumerate(("v", "a", "p", "q"))
        }
        summing_v = pick["v"] - pick["a"]
        into_v = self.K @ pick["p"] + np.diag(self.friction) @ pick["v"] - load_v[:, None] * summing_v
        into_p = -g * pick["v"]
        if self.R_z:
            summing_p = (into_p + (pick["p"] - pick["q"]) / self.R_z) / (g + 1 / self.R_z)
            charge = (pick["p"] - summing_p - pick["q"]) / (self.R_z * self.C)
        else:
            summing_p = pick["p"] - pick["q"]
            charge = -(into_p - g * summing_p) / self.C
        slow = self.w_t / self.A0
        self.F = np.vstack(
            [
                -self.w_t * summing_v - slow * pick["v"],
                -into_v / self.C_v,
                -self.w_t * summing_p - slow * pick["p"],
                charge,
            ]
        )
        # The integrator inverts and the drive comes over the other rail.
        self.B = np.vstack([zero, np.eye(n) / self.C_v, zero, zero])
        # Noise currents into the summing nodes, and that of R_z from the output's side to the summing node.
        noise_v = np.vstack([zero, np.diag(np.sqrt(2 * KT * load_v)) / self.C_v, zero, zero])
        size = np.sqrt(2 * KT * g)
        if self.R_z:
            own = np.sqrt(2 * KT / self.R_z)
            share = 1 / (g + 1 / self.R_z)
            noise_p = np.vstack([zero, zero, -self.w_t * share * size * eye, -share * size * eye / (self.R_z * self.C)])
            noise_z = np.vstack(
                [zero, zero, -self.w_t * share * own * eye, (own * eye - share * own * eye / self.R_z) / self.C]
            )
            self.noise = [noise_v, noise_p, noise_z]
        else:
            self.noise = [noise_v, np.vstack([zero, zero, zero, size * eye / self.C])]
        self.read = 2 * pick["p"]

    @property
    def roots(self) -> np.ndarray:
        """Natural frequencies, 1/s, slowest decay first."""
        values = np.linalg.eigvals(self.F)
        return values[np.argsort(-values.real)]

    def at_rest(self, currents) -> np.ndarray:
        """Differential position voltages for differential drive currents (A)."""
        return -self.read @ np.linalg.solve(self.F, self.B @ (np.asarray(currents) / 2))

    def transient(self, currents, times) -> np.ndarray:
        """(times, n) differential position voltages from rest."""
        rest = np.linalg.solve(self.F, self.B @ (np.asarray(currents) / 2))
        return np.array([self.read @ (expm(self.F * t) @ rest - rest) for t in times])

    def covariance(self) -> np.ndarray:
        """(n, n) V^2, of the differential position voltages."""
        spread = sum(one @ one.T for one in self.noise)
        # v_p - v_m obeys the same law driven by the difference of two independent currents, of twice the density.
        inner = self.read / 2
        return inner @ solve_continuous_lyapunov(self.F, -2 * spread) @ inner.T
