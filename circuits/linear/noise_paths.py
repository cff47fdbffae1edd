"""Seeded noise for transients whose discrete effect has the continuous law at every lag, whatever the step.

The noise of a circuit x' = F x + B w is an Ornstein-Uhlenbeck process, which is drawn here at the solver's points exactly, and injected
as the node currents w_k that bring the trapezoidal rule there:

    n_{k+1} = E n_k + xi_k,     E = exp(F h),   cov(xi_k) = int_0^h exp(F s) Q exp(F s)^T ds,                                  n_0 = 0,
    (h/2) B (w_{k+1} + w_k) = (1 - hF/2) n_{k+1} - (1 + hF/2) n_k.

The rule passes nothing at half the sampling frequency, so that this w_k would grow for ever there. With w_{k+1} + r w_k on the left, r just
below one, and (1 + r) / 2 on the right the circuit follows n filtered by ((1 + r) / 2) (1 + z^-1) / (1 + r z^-1): one at low
frequency, with a notch of width 1 - r at half the sampling frequency, which takes a share of at most (1 - r) / 2 of a variance.

The steps need to resolve the circuit's deterministic motion and nothing faster, such as the amplifiers' bandwidth, over which their
noise is white. The noise may come from parts that the simulated netlist lacks: a `source` netlist is the same circuit with noise sources
added (`OnePole(opamp, noisy=True)`). The circuit's states start at n_0 = 0, since the host sets them. The first step, which the
simulator divides, is followed to some 0.2 % of the noise, all others to 1e-8.

1/f noise of such sources is a sum of Lorentzian processes (`SlowNoise`), drawn at the solver's points in their stationary law, since
sources have been on for long, and injected as what they are, voltages at the source; the rule then interpolates them linearly, which
takes parts that are faster than a step for slower than they are, at the same power.

`johnson` is the memoryless alternative for circuits with states that no node current reaches (inductors); right in the stationary
covariance only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..netlist.elements import Capacitor, Inductor, Resistor
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
class DrawnCurrents:
    """Currents that are drawn already.

    Attributes:
        nodes: node names. step: s.
        currents: (steps, nodes) A. slow: processes of slow noise at the end, V, by node.
    """

    nodes: tuple[str, ...]
    step: float
    currents: Array
    slow: dict[str, tuple[float, ...]]

    def sample(self, steps: int, seed: int | np.random.SeedSequence | np.random.Generator) -> Array:
        """The first `steps` of them, whatever the seed.

        Raises:
            InputError: there are fewer.
        """
        if steps > len(self.currents):
            raise InputError(f"{len(self.currents)} steps are drawn, {steps} are needed: draw as many")
        return self.currents[:steps]


@dataclass(frozen=True)
class SlowNoise:
    """A noise voltage at a node of a source netlist besides that of the node's resistor to ground.

    Attributes:
        node: its name.
        corners: of the Lorentzian processes that it is the sum of, Hz.
        variance: of each of them, V^2.
    """

    node: str
    corners: tuple[float, ...]
    variance: float


@dataclass(frozen=True, eq=False)
class NoisePath:
    """Currents into `nodes` that make a circuit's states follow the exact noise process.

    Attributes:
        nodes: node names. step: h, s.
        propagator: E, (m, m), of the circuit's states. root: of cov(xi), (m, m). Both in units of `scale`, (m,).
        ahead, behind: rows of (2/h) B^-1 (1 - hF/2) and (2/h) B^-1 (1 + hF/2), (nodes, m).
        slow: the 1/f noise. into: what a volt of each drives into the nodes, (nodes, slow) A/V.
    """

    nodes: tuple[str, ...]
    step: float
    propagator: Array
    root: Array
    scale: Array
    ahead: Array
    behind: Array
    slow: tuple[SlowNoise, ...] = ()
    into: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def sample(self, steps: int, seed: int | np.random.SeedSequence | np.random.Generator) -> Array:
        """(steps, nodes) currents in A at t = 0, step, ...; the first row is zero. Same seed, same currents."""
        return self.draw(steps, np.random.default_rng(seed)).currents

    def draw(
        self,
        steps: int,
        generator: np.random.Generator,
        known: Mapping[str, Sequence[float]] | None = None,
        waited: float = 0.0,
    ) -> DrawnCurrents:
        """Currents of so many steps.

        Args:
            steps: how many. generator: of random numbers.
            known: processes of slow noise, V, by node; others are drawn from their stationary law. waited: s since they were so.
        """
        currents = self.currents(self.path(steps, generator))
        volts, last = self.slow_noise(steps, generator, known or {}, waited)
        if len(self.slow):
            currents[1:] += volts[1:] @ self.into.T
        return DrawnCurrents(self.nodes, self.step, currents, last)

    def path(self, steps: int, generator: np.random.Generator) -> Array:
        """(steps, m) of the circuit's states under white noise, from zero."""
        state, found = np.zeros(len(self.scale)), np.zeros((steps, len(self.scale)))
        for begin in range(1, steps, _BLOCK):
            kicks = generator.standard_normal((min(_BLOCK, steps - begin), len(state))) @ self.root.T
            for k, kick in enumerate(kicks, start=begin):
                state = self.propagator @ state + kick
                found[k] = state
        return found * self.scale

    def currents(self, path: Array) -> Array:
        """(steps, nodes) A that make a circuit at rest follow a path, (steps, m)."""
        from scipy.signal import lfilter  # half of what a command imports, and few make noise

        needed = np.zeros((len(path), len(self.nodes)))
        needed[1:] = path[1:] @ self.ahead.T - path[:-1] @ self.behind.T
        ratio = 1.0 - NOTCH
        return np.asarray(lfilter([(1 + ratio) / 2], [1.0, ratio], needed, axis=0))

    def slow_noise(
        self, steps: int, generator: np.random.Generator, known: Mapping[str, Sequence[float]], waited: float = 0.0
    ) -> tuple[Array, dict[str, tuple[float, ...]]]:
        """(steps, slow) V of the 1/f noise, and its processes at the end, by node."""
        from scipy.signal import lfilter

        volts, last = np.zeros((steps, len(self.slow))), {}
        for place, source in enumerate(self.slow):
            spread, held = math.sqrt(source.variance), []
            draws = generator.standard_normal((len(source.corners), steps))
            starts = spread * draws[:, 0]
            if source.node in known:
                left = np.exp(-2 * np.pi * np.array(source.corners) * waited)
                starts = left * known[source.node] + np.sqrt(1 - left**2) * starts
            for corner, start, fresh in zip(source.corners, starts, draws, strict=True):
                decay = math.exp(-2 * math.pi * corner * self.step)
                kicks = spread * math.sqrt(1 - decay**2) * fresh
                kicks[0] = start
                process = lfilter([1.0], [1.0, -decay], kicks)
                volts[:, place] += process
                held.append(float(process[-1]))
            last[source.node] = tuple(held)
        return volts, last


def noise_path(
    netlist: Netlist, step: float, source: Netlist | None = None, slow: Sequence[SlowNoise] = ()
) -> NoisePath:
    """What makes transients of `netlist` at steps of `step` seconds noisy; saturating sources count as linear.

    Args:
        netlist: what is simulated.
        step: s.
        source: the same circuit, with noisy resistors that `netlist` lacks; None: itself.
        slow: 1/f noise, at nodes of `source` that one resistor to ground holds.

    Raises:
        InputError: nothing is noisy; the circuit is unstable; a state that no node current reaches; `source` is another circuit.
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
    noise = _noise_basis(space, law) @ law.Bn
    diffusion = noise @ law.noise_density @ noise.T
    spread = _units(space.F, diffusion)
    scaled = space.F / spread[:, None] * spread
    propagator, covariance = _over(scaled, diffusion / np.outer(spread, spread), step)
    held = {node for part in netlist.of(Capacitor) for node in (part.a, part.b)}
    inward = _inward(space, spread, np.array([node in held for node in space.noise_nodes]))
    half, eye = (step / 2) * space.F, np.eye(space.size)
    per_ampere = {name: noise[:, place] for place, name in enumerate(law.noise_nodes)}
    siemens = {part.a: 1 / part.resistance for part in source.of(Resistor) if part.b == "0"}
    into = [inward @ (per_ampere[one.node] * siemens[one.node]) for one in slow]
    return NoisePath(
        nodes=space.noise_nodes,
        step=float(step),
        propagator=propagator,
        root=_root(covariance),
        scale=spread,
        ahead=(2 / step) * inward @ (eye - half),
        behind=(2 / step) * inward @ (eye + half),
        slow=tuple(slow),
        into=np.reshape(into, (len(into), len(space.noise_nodes))).T,
    )


def _units(drift: Array, diffusion: Array) -> Array:
    """Rough spreads of the states, so that those of different size count alike."""
    rates, powers = np.abs(np.diag(drift)), np.diag(diffusion)
    known = (powers > 1e-18 * powers.max()) & (rates > 0.0)
    spread = np.sqrt(np.where(known, powers, 0.0) / np.where(known, 2 * rates, 1.0))
    return np.asarray(np.where(known, spread, np.median(spread[known])))


def _noise_basis(space: StateSpace, law: StateSpace) -> Array:
    """(m, m): from the states of `law` to those of `space`, by the voltages of their nodes."""
    rows = dict(zip(law.outputs, law.H, strict=True))
    if space.size != law.size or not set(space.nodes) <= set(rows):
        raise InputError(
            f"source has {law.size} states, and the netlist {space.size}: give the same circuit with noise sources added"
        )
    return np.asarray(space.states_from(space.nodes) @ np.reshape([rows[node] for node in space.nodes], (-1, law.size)))


def _inward(space: StateSpace, spread: Array, held: NDArray[np.bool_]) -> Array:
    """(nodes, states) currents for a unit of motion of each state, the smallest; into nodes that no capacitor holds only at need, since a
    probe would see them there."""
    share = np.where(held, 1.0, 1e-4)
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
