"""Seeded noise for transients whose discrete effect has the continuous law at every lag, whatever the step.

The noise of a circuit x' = F x + B w is an Ornstein-Uhlenbeck process, which is drawn here at the solver's points exactly, and injected
as the node currents w_k that bring the trapezoidal rule there:

    n_{k+1} = E n_k + xi_k,     E = exp(F h),   cov(xi_k) = int_0^h exp(F s) Q exp(F s)^T ds,                                  n_0 = 0,
    (h/2) B (w_{k+1} + w_k) = (1 - hF/2) n_{k+1} - (1 + hF/2) n_k.

The rule passes nothing at half the sampling frequency, so that this w_k would grow for ever there. With w_{k+1} + r w_k on the left, r just
below one, and (1 + r) / 2 on the right the circuit follows n filtered by ((1 + r) / 2) (1 + z^-1) / (1 + r z^-1): one at low
frequency, with a notch of width 1 - r at half the sampling frequency, which takes a share of at most (1 - r) / 2 of a variance.

The steps need to resolve the circuit's deterministic motion and nothing faster: neither the amplifiers' bandwidth, over which their
noise is white, nor the corners of a 1/f noise. The noise may come from parts that the simulated netlist lacks: a `source` netlist is
the same circuit with noise sources added (`OnePole(opamp, noisy=True)`), whose states, such as the sections of a 1/f noise, are followed
here alone. The circuit's states start at n_0 = 0, since the host sets them; those of sources, which have been on for long, in their
stationary law. The first step, which the simulator divides, is followed to some 0.2 % of the noise, all others to 1e-8.

`johnson` is the memoryless alternative for circuits with states that no node current reaches (inductors); right in the stationary
covariance only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_continuous_lyapunov
from scipy.signal import lfilter

from ..errors import InputError
from ..netlist.elements import Capacitor, Inductor
from ..netlist.netlist import Netlist
from .statespace import StateSpace, state_space

Array = NDArray[np.float64]
NOTCH = 1e-3
"""1 - r: of a variance at most half of it is lost."""
UNREACHED = 1e-6
"""Largest relative part of a state's motion that currents may fail to make."""
_BLOCK = 2048
"""Steps whose random numbers are held at a time."""
_TERMS = 14
"""Of the series for the first interval, of |F| t below 1/4: the rest is below 1e-16."""


@dataclass(frozen=True, eq=False)
class NoisePath:
    """Currents into `nodes` that make a circuit's states follow the exact noise process.

    Attributes:
        nodes: node names. step: h, s.
        sources: names of the capacitors that the simulated netlist lacks, whose voltages are the noise sources' states.
        propagator: E, (m, m), of the circuit's states and then the sources'. root: of cov(xi), (m, m). Both in units of `scale`, (m,).
        ahead, behind: rows of (2/h) B^-1 (1 - hF/2) and (2/h) B^-1 (1 + hF/2), (nodes, circuit's states).
        start: root of the sources' stationary covariance, (s, s) V.
    """

    nodes: tuple[str, ...]
    step: float
    sources: tuple[str, ...]
    propagator: Array
    root: Array
    scale: Array
    ahead: Array
    behind: Array
    start: Array

    def sample(self, steps: int, seed: int | np.random.SeedSequence | np.random.Generator) -> Array:
        """(steps, nodes) currents in A at t = 0, step, ...; the first row is zero. Same seed, same currents."""
        generator = np.random.default_rng(seed)
        first = self.start @ generator.standard_normal(len(self.sources))
        return self.currents(self.path(steps, first, generator))

    def path(self, steps: int, first: Array, generator: np.random.Generator) -> Array:
        """(steps, states of the circuit) of the noise, from zero and from source voltages `first`, (s,) V."""
        states, size = self.ahead.shape[1], len(self.scale)
        state = np.concatenate([np.zeros(states), first / self.scale[states:]])
        found = np.zeros((steps, states))
        for begin in range(1, steps, _BLOCK):
            kicks = generator.standard_normal((min(_BLOCK, steps - begin), size)) @ self.root.T
            for k, kick in enumerate(kicks, start=begin):
                state = self.propagator @ state + kick
                found[k] = state[:states]
        return found * self.scale[:states]

    def currents(self, path: Array) -> Array:
        """(steps, nodes) A that make a circuit at rest follow a path, (steps, states)."""
        needed = np.zeros((len(path), len(self.nodes)))
        needed[1:] = path[1:] @ self.ahead.T - path[:-1] @ self.behind.T
        ratio = 1.0 - NOTCH
        return np.asarray(lfilter([(1 + ratio) / 2], [1.0, ratio], needed, axis=0))


def noise_path(netlist: Netlist, step: float, source: Netlist | None = None) -> NoisePath:
    """What makes transients of `netlist` at steps of `step` seconds noisy; saturating sources count as linear.

    Args:
        netlist: what is simulated.
        step: s.
        source: the same circuit, with noise sources that `netlist` lacks; None: itself.

    Raises:
        InputError: nothing is noisy; the circuit is unstable; a state that no node current reaches.
        NetlistError: as `statespace.state_space`.
    """
    if not (np.isfinite(step) and step > 0.0):
        raise InputError(f"noise step = {step!r} s: a finite value > 0 is needed")
    if inductors := netlist.of(Inductor):
        raise InputError(
            f"{inductors[0].name}: its current is a state that no node current reaches; use johnson_currents"
        )
    source = netlist if source is None else source
    space, law = state_space(netlist.linearised(), {}), state_space(source.linearised())
    if not law.noise_density.any():
        raise InputError("the netlist has no noisy resistor at a node that a source does not fix; run without noise")
    if not space.is_stable:
        raise InputError(f"thermal noise needs a stable circuit, but {space.eigenvalues[0]:.6g} 1/s does not decay")
    own = {part.name.lower() for part in netlist.of(Capacitor)}
    extra = [part for part in source.of(Capacitor) if part.name.lower() not in own]
    if len(extra) + len(own) != len(source.of(Capacitor)):
        raise InputError("source lacks capacitors of the netlist: give the same circuit with noise sources added")
    basis = _basis(space, law, [(part.a, part.b) for part in extra])
    inverse = np.linalg.inv(basis)
    drift, noise = basis @ law.F @ inverse, basis @ law.Bn
    diffusion = noise @ law.noise_density @ noise.T
    spread = _units(drift, diffusion)
    drift, diffusion = drift / spread[:, None] * spread, diffusion / np.outer(spread, spread)
    propagator, covariance = _over(drift, diffusion, step)
    circuit = slice(0, space.size)
    sources = slice(space.size, None)
    stationary = solve_continuous_lyapunov(drift[sources, sources], -diffusion[sources, sources])
    inward = _inward(space, spread[circuit])
    half, eye = (step / 2) * space.F, np.eye(space.size)
    return NoisePath(
        nodes=space.noise_nodes,
        step=float(step),
        sources=tuple(part.name for part in extra),
        propagator=propagator,
        root=_root(covariance),
        scale=spread,
        ahead=(2 / step) * inward @ (eye - half),
        behind=(2 / step) * inward @ (eye + half),
        start=spread[sources, None] * _root(stationary),
    )


def _units(drift: Array, diffusion: Array) -> Array:
    """Rough spreads of the states, so that those of different size count alike."""
    rates, powers = np.abs(np.diag(drift)), np.diag(diffusion)
    known = (powers > 1e-18 * powers.max()) & (rates > 0.0)
    spread = np.sqrt(np.where(known, powers, 0.0) / np.where(known, 2 * rates, 1.0))
    return np.asarray(np.where(known, spread, np.median(spread[known])))


def _basis(space: StateSpace, law: StateSpace, extra: list[tuple[str, str]]) -> Array:
    """(m, m): from the states of `law` to those of `space` and the voltages of `extra` pairs of nodes."""
    rows = dict(zip(law.outputs, law.H, strict=True))
    nodes = [node for node in space.nodes if node in rows]
    readings = np.stack([rows[node] for node in nodes])
    zero = np.zeros(law.size)
    pairs = [rows.get(a, zero) - rows.get(b, zero) for a, b in extra]
    basis = np.concatenate([space.states_from(nodes) @ readings, np.reshape(pairs, (len(pairs), law.size))])
    if basis.shape[0] != basis.shape[1]:
        raise InputError(
            f"source has {law.size} states, and the netlist {space.size}: give the same circuit with noise sources added"
        )
    return np.asarray(basis)


def _inward(space: StateSpace, spread: Array) -> Array:
    """(nodes, states) currents for a unit of motion of each state; of nodes that act alike those with resistors come first."""
    share = np.where(np.diag(space.noise_density) > 0.0, 1.0, 1e-4)
    reach = space.Bn * share / spread[:, None]
    inverse = np.linalg.pinv(reach, rcond=1e-12)
    missed = np.abs(reach @ inverse - np.eye(space.size)).max(initial=0.0)
    if missed > UNREACHED:
        raise InputError("a state of the circuit is reached by no node current; use johnson_currents")
    return np.asarray(share[:, None] * inverse / spread)


def _over(drift: Array, diffusion: Array, step: float) -> tuple[Array, Array]:
    """exp(F h) and the covariance that white noise makes in h, by doubling a short interval: sums of positive terms alone."""
    doublings = max(0, math.ceil(math.log2(4 * step * max(float(np.abs(drift).sum(axis=1).max()), 1e-300))))
    short = step / 2.0**doublings
    propagator, power = np.eye(len(drift)), np.eye(len(drift))
    covariance = term = short * diffusion
    for k in range(1, _TERMS):
        power = power @ drift * (short / k)
        propagator = propagator + power
        term = (drift @ term + term @ drift.T) * (short / (k + 1))
        covariance = covariance + term
    for _ in range(doublings):
        covariance = covariance + propagator @ covariance @ propagator.T
        propagator = propagator @ propagator
    return propagator, (covariance + covariance.T) / 2


def _root(covariance: Array) -> Array:
    """A factor with factor factor^T = covariance; rounding's negative eigenvalues are cut off."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
