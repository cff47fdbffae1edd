"""Seeded Johnson noise for transients: correlated node currents whose discrete effect has the continuous law.

ngspice's own transient noise can be neither seeded nor trusted, so the noise of all resistors is drawn here and
injected as currents w_k into the nodes, one sample per solver step h. With x' = F x + B w the trapezoidal rule gives

    (1 - hF/2) x_{k+1} = (1 + hF/2) x_k + (h/2) B (w_k + w_{k+1}),        cov(w_k) = Q

whose stationary covariance equals that of the continuous equation (white w of two-sided density S) at any h exactly
when W = B Q B^T solves

    M W + W M^T = (2/h) M Qc M^T,        M = 1 - hF/2,  Qc = B S B^T.

(Derivation: u_k = x_k - (h/2) M^-1 B w_k obeys u_{k+1} = P u_k + h M^-2 B w_k with P = 2 M^-1 - 1; insert
F Sigma + Sigma F^T = -Qc.) For a passive RC network it reads Q = (2kT/h)(G + (h/2) G C^-1 G).

What is exact is the stationary covariance. From step to step a mode of rate a has the correlation (1 - a h / 2) / (1 + a h / 2): one faster
than the step alternates and fades within some a h / 4 steps, and the density at low frequency is larger than the law's, for one RC node
by 1 + a h / 2, so that a time average over many tau is noisier than it should be (by 1.25 at h = tau / 2). `noise_paths` is exact at
every lag.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov

from ..errors import InputError
from ..netlist.netlist import Netlist
from .statespace import StateSpace, state_space

Array = NDArray[np.float64]
MAX_BIAS = 0.02


class InjectedCurrents(Protocol):
    """Currents into `nodes` (names) at solver steps of `step` seconds."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Node names."""
        ...

    @property
    def step(self) -> float:
        """s."""
        ...

    def sample(self, steps: int, seed: int | np.random.SeedSequence | np.random.Generator) -> Array:
        """(steps, nodes) currents in A at t = 0, step, ...; the first row is zero. Same seed, same currents."""
        ...


@dataclass(frozen=True, eq=False)
class NoiseCurrents:
    """Gaussian currents into `nodes`, new ones each step, independent from step to step.

    Attributes:
        nodes: node names.
        factor: (nodes, sources) in A; the currents of one step have covariance factor factor^T.
        step: time between samples, in s.
        bias: relative deviation (Frobenius norm) of the discrete stationary covariance from the continuous one.
    """

    nodes: tuple[str, ...]
    factor: Array
    step: float
    bias: float = field(default=0.0)

    def __post_init__(self) -> None:
        factor = np.asarray(self.factor, dtype=float)
        if factor.ndim != 2 or factor.shape[0] != len(self.nodes) or not np.all(np.isfinite(factor)):
            raise InputError(f"factor: shape {factor.shape}, finite values of shape ({len(self.nodes)}, k) are needed")
        if not (np.isfinite(self.step) and self.step > 0.0):
            raise InputError(f"step = {self.step!r} s: a finite value > 0 is needed")
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "nodes", tuple(self.nodes))

    def sample(self, steps: int, seed: int | np.random.SeedSequence | np.random.Generator) -> Array:
        """(steps, nodes) currents in A at t = 0, step, ...; the first row is zero. Same seed, same currents."""
        generator = np.random.default_rng(seed)
        currents = generator.standard_normal((steps, self.factor.shape[1])) @ self.factor.T
        currents[:1] = 0.0
        return currents


def johnson_currents(netlist: Netlist, step: float) -> NoiseCurrents:
    """Noise currents of all noisy resistors of `netlist` for a solver step of `step` seconds; saturating sources count as linear.

    Where W does not lie in the range of B (an inductor's current is a state that no node current reaches), the nearest Q
    is used and the deviation that remains is reported as `bias`.

    Raises:
        InputError: no resistor is noisy; the circuit is unstable; or the bias would exceed 2 %, with the step to use.
        NetlistError: as `statespace.state_space`.
    """
    if not (np.isfinite(step) and step > 0.0):
        raise InputError(f"noise step = {step!r} s: a finite value > 0 is needed")
    space = state_space(netlist.linearised(), {})
    if not space.noise_density.any():
        raise InputError("the netlist has no noisy resistor at a node that a source does not fix; run without noise")
    if not space.is_stable:
        raise InputError(f"thermal noise needs a stable circuit, but {space.eigenvalues[0]:.6g} 1/s does not decay")
    covariance, bias = discrete_covariance(space, step)
    if bias > MAX_BIAS:
        raise InputError(
            f"noise step = {step:g} s is too long for this circuit: the covariance would be {100 * bias:.1f} % off "
            f"(limit {100 * MAX_BIAS:g} %); use step <= {_longest_step(space, step):.3g} s"
        )
    return NoiseCurrents(space.noise_nodes, _root(covariance), float(step), bias)


def discrete_covariance(space: StateSpace, step: float) -> tuple[Array, float]:
    """Covariance Q (A^2) of the currents of one step, and the bias that it leaves."""
    F, B, density = space.F, space.Bn, space.noise_density
    plain = density / step
    if space.size == 0:
        return plain, 0.0
    drive = B @ density @ B.T
    M = np.eye(space.size) - (step / 2) * F
    W = solve_continuous_lyapunov(M, (2 / step) * M @ drive @ M.T)
    exact = solve_continuous_lyapunov(F, -drive)
    # Least squares in units of the stationary spread, so that states of different size count alike.
    spread = np.sqrt(np.maximum(np.diag(exact), np.diag(exact).max() * 1e-12))
    # Of nodes that act alike on the states those with resistors come first: a probe between them must not read their noise.
    share = np.where(np.diag(density) > 0.0, 1.0, 1e-4)
    inverse = share[:, None] * np.linalg.pinv(B * share / spread[:, None], rcond=1e-12)
    Q = inverse @ (W / np.outer(spread, spread)) @ inverse.T
    Q = (Q + Q.T) / 2
    return Q, _bias(space, M, Q, exact, step)


def _bias(space: StateSpace, M: Array, Q: Array, exact: Array, step: float) -> float:
    """Relative Frobenius deviation of the trapezoidal rule's stationary covariance from `exact`."""
    inverse = np.linalg.inv(M)
    W = inverse @ space.Bn @ Q @ space.Bn.T @ inverse.T
    P = 2 * inverse - np.eye(space.size)
    found = solve_discrete_lyapunov(P, step**2 * inverse @ W @ inverse.T) + step**2 / 4 * W
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def _longest_step(space: StateSpace, step: float) -> float:
    """A step whose bias is inside the limit, by halving."""
    for _ in range(60):
        step /= 2
        if discrete_covariance(space, step)[1] <= MAX_BIAS:
            break
    return step


def _root(covariance: Array) -> Array:
    """A factor with factor factor^T = covariance; rounding's negative eigenvalues are cut off."""
    values, vectors = np.linalg.eigh(covariance)
    factor: Array = vectors * np.sqrt(np.maximum(values, 0.0))
    return factor
