"""Arrays of many dies, each programmed with a system of its own: their laws, and where these take them by products with vectors alone.

The law is `cell_law.cell_law` of an integrator array with two rails, batched: with K', M, P, X = M - P M^-1 K', D = M^-1 P and the forces f
= gain drive I + L Vos, in units of each program's tau,

    F = -X^-1 K',      rest: K' v = f,      start: (1 + F D) s = F (v_0 - rest),  y_0 = v_0 - D s,      v(t) = rest + exp(F t) (y_0 - rest).

No matrix exponential is formed: exp(F t) w is a Chebyshev series in F, whose eigenvalues lie between -`span` and 0 but for the little that
mismatch moves them,

    exp(F t) = sum_k c_k(a) T_k(1 + 2 F / span),      c_k(a) = (2 - [k = 0]) exp(-a) I_k(a),      a = span t / 2

(M. Abramowitz, I. Stegun, 9.6.34), summed by Clenshaw's recurrence: some products with each die's matrix, where doubling its exponential
takes as many products of matrices.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.special import ive
from torch import Tensor

from ...circuits.technology.die import Die
from ...compiler.fabrics.array import ArrayParts
from ..card import DeviceCard
from .law import stack

ACCURACY = 1e-14
"""Of a series' coefficients, of which the largest is near one."""
AT_ONCE = 1 << 16
"""Matrix entries of the dies that take their products together: they stay in a processor's second-level cache."""
ROUNDING = 1e-16
SMALL_LAG = 0.1
"""Amplifiers' lag times the fastest rate below which it is a series of products."""
GRID = 1.1
"""Ratio between neighbouring bounds of eigenvalues, so that few series are made in a training."""


@dataclass(frozen=True, eq=False)
class DieParts:
    """What dies are, whatever is programmed; arrays of n cells with two rails.

    Attributes:
        spread: what a nominal conductance becomes, mean of the rails, (dies, n, n).
        drive: input resistors, mean of the rails, (dies, n) S. capacitance: (dies, n) F. offset: (dies, n) V.
        gain_ratio, gbw_ratio: of the amplifiers over the technology's, (dies, n).
        temperature: of couplings, (dies, n, n) K, and drive_temperature: of input resistors, (dies, n) K.
    """

    spread: Tensor
    drive: Tensor
    capacitance: Tensor
    offset: Tensor
    gain_ratio: Tensor
    gbw_ratio: Tensor
    temperature: Tensor
    drive_temperature: Tensor

    @classmethod
    def of(cls, card: DeviceCard, dies: Sequence[Die], parts: ArrayParts) -> DieParts:
        """Drawn once for a number of cells, that of the nominal parts."""
        drawn = stack(dies, parts, False, torch.float64, None)
        mismatch, nominal = card.mismatch.value, torch.from_numpy(parts.drive)
        capacitors = torch.from_numpy(parts.capacitance) * torch.exp(card.capacitor_mismatch.value * drawn.capacitor)
        gain, gbw = drawn.amplifier_ratios.unbind(1)
        return cls(
            spread=torch.exp(-mismatch * drawn.coupling).mean(1) * drawn.coupling_factor,
            drive=(nominal * torch.exp(-mismatch * drawn.drive)).mean(1) * drawn.drive_factor,
            capacitance=capacitors.mean(1) * drawn.capacitor_factor,
            offset=card.offset.value * drawn.offset,
            gain_ratio=gain,
            gbw_ratio=gbw,
            temperature=drawn.coupling_temperature,
            drive_temperature=drawn.drive_temperature,
        )


@dataclass(frozen=True, eq=False)
class Excitation:
    """What noise does to runs: exp(F t_j) w_j is added for each instant.

    Attributes:
        instants: t_j, (j,) tau. vectors: w_j, (dies, j, n) V.
        begun: taken off where the slow motion sets out, (dies, n) V. seen: added to what is read, (dies, n) V.
    """

    instants: np.ndarray
    vectors: Tensor
    begun: Tensor
    seen: Tensor


@dataclass(frozen=True, eq=False)
class ArraysLaw:
    """The laws of all dies, in units of each one's tau, V and A; see the module's docstring.

    Attributes:
        conductance: K', (dies, n, n) S. judged: what has to be positive for a circuit to be stable, with the technology's gain.
        drift: F, (dies, n, n) 1/tau. rest: LU of K'. delay: D, (dies, n) tau.
        coupled: K, (dies, n, n) S. inertia, capacitance: M and C over tau, (dies, n). second_order, third_order: P and T over tau^2, tau^3.
        driven: (dies, n): force for a volt at the input, A. pushed: by offsets, (dies, n) A.
        load: L, (dies, n) S.
    """

    conductance: Tensor
    judged: Tensor
    drift: Tensor
    rest: tuple[Tensor, Tensor]
    delay: Tensor
    driven: Tensor
    pushed: Tensor
    load: Tensor
    coupled: Tensor
    inertia: Tensor
    capacitance: Tensor
    second_order: Tensor
    third_order: Tensor

    @classmethod
    def of(cls, card: DeviceCard, dies: DieParts, signed: Tensor, tau: Tensor) -> ArraysLaw:
        """Of nominal conductances with their signs, (dies, n, n) S, and the unit of each program's time, (dies, 1) s."""
        leak, lag, pole = card.leak.value, card.lag.value, card.pole.value
        coupled = signed * dies.spread
        load = coupled.abs().sum(-1) + dies.drive
        own_leak = leak / dies.gain_ratio
        first = (lag / dies.gbw_ratio + own_leak * pole) / tau
        capacitance = dies.capacitance / tau
        own_second = lag * pole / dies.gbw_ratio / tau**2
        inertia = (1 + own_leak) * capacitance + first * load
        second_order = first * capacitance + own_second * load
        delay = second_order / inertia
        conductance = coupled.clone()
        conductance.diagonal(dim1=-2, dim2=-1).add_(own_leak * load)
        judged = coupled.clone()
        judged.diagonal(dim1=-2, dim2=-1).add_(load / card.technology.opamp.gain)
        return cls(
            conductance=conductance,
            judged=judged,
            drift=_drift(conductance / inertia.unsqueeze(-1), delay),
            rest=torch.linalg.lu_factor_ex(conductance)[:2],
            delay=delay,
            driven=card.gain.value * dies.drive,
            pushed=load * dies.offset,
            load=load,
            coupled=coupled,
            inertia=inertia,
            capacitance=capacitance,
            second_order=second_order,
            third_order=own_second * capacitance,
        )

    def of_dies(self, places: Tensor) -> ArraysLaw:
        """Some of the dies."""
        some: dict[str, Any] = {
            name: tuple(one[places] for one in value) if isinstance(value, tuple) else value[places]
            for name, value in vars(self).items()
        }
        return replace(self, **some)

    def volts(self, driven: Tensor, begin: Tensor, duration: float, noise: Excitation | None = None) -> Tensor:
        """Voltages (dies, n) after `duration` tau under drive voltages (dies, n) V from (dies, n) V, with noise if there is any."""
        if duration == 0:
            return begin
        rest = torch.linalg.lu_solve(*self.rest, (self.driven * driven + self.pushed).unsqueeze(-1)).squeeze(-1)
        if math.isinf(duration):
            return rest
        left = begin - self.delay * self._slope(begin - rest) - rest
        if noise is None:
            return rest + exponentials(self.drift, left.unsqueeze(1), np.array([duration]))
        vectors = torch.cat([(left - noise.begun).unsqueeze(1), noise.vectors], 1)
        return rest + noise.seen + exponentials(self.drift, vectors, np.concatenate([[duration], noise.instants]))

    def _slope(self, away: Tensor) -> Tensor:
        """s of (1 + F D) s = F w for cells w V off where they settle: s = F (w - D s), again and again, where amplifiers' lag is small."""
        drift, w, delay = self.drift.numpy(), away.numpy(), self.delay.numpy()
        lag = float(np.abs(drift * delay[:, None]).sum(-1).max()) if len(w) else 0.0
        if not lag < SMALL_LAG:
            eye = torch.eye(w.shape[1], dtype=torch.float64)
            late = eye + self.drift * self.delay.unsqueeze(-2)
            return torch.linalg.solve_ex(late, self.drift @ away.unsqueeze(-1))[0].squeeze(-1)
        slope = first = (drift @ w[..., None])[..., 0]
        for _ in range(_count(lag)):
            slope = first - (drift @ (delay * slope)[..., None])[..., 0]
        return torch.from_numpy(slope)


def _drift(rates: Tensor, delay: Tensor) -> Tensor:
    """F = -(1 - D B)^-1 B of B = M^-1 K', (dies, n, n); as a series in D B where that is small."""
    late = delay.unsqueeze(-1) * rates
    lag = float(late.abs().sum(-1).max())
    if not lag < SMALL_LAG:
        return -torch.linalg.solve_ex(torch.eye(late.shape[-1], dtype=late.dtype) - late, rates)[0]
    found, step = np.empty(rates.shape), max(1, AT_ONCE // rates.shape[-1] ** 2)
    for some in (slice(first, first + step) for first in range(0, len(rates), step)):
        b, d = rates[some].numpy(), late[some].numpy()
        total, terms = -b, 1
        # 1 + X + X^2 + ... = (1 + X) (1 + X^2) (1 + X^4) ...
        while lag**terms > ROUNDING:
            total = total + d @ total
            terms *= 2
            if lag**terms > ROUNDING:
                d = d @ d
        found[some] = total
    return torch.from_numpy(found)


def _count(lag: float) -> int:
    """Terms of a geometric series of that ratio, to rounding."""
    return 0 if lag == 0 else math.ceil(math.log(ROUNDING) / math.log(lag))


def scaled_span(drift: Tensor) -> float:
    """`span` of the series: a bound of all dies' rates, of a coarse grid, so that as good as every step of a training has the same."""
    return float(GRID ** math.ceil(math.log(float(drift.abs().sum(-1).max())) / math.log(GRID)))


def exponentials(drift: Tensor, vectors: Tensor, times: np.ndarray) -> Tensor:
    """sum_j exp(F t_j) w_j of each die, (dies, n), for w (dies, j, n) and t_j > 0, (j,)."""
    span = scaled_span(drift)
    table = _table(span, tuple(times.tolist()))
    scaled, w = drift.numpy() * (2 / span), vectors.numpy()
    step, found = max(1, AT_ONCE // drift.shape[-1] ** 2), np.empty((len(w), w.shape[2]))
    for some in (slice(first, first + step) for first in range(0, len(drift), step)):
        found[some] = _clenshaw(scaled[some], table @ w[some])
    return torch.from_numpy(found)


@functools.lru_cache(maxsize=16)
def _table(span: float, times: tuple[float, ...]) -> np.ndarray:
    """c_k of each time, (k, j), the first of them half."""
    a = span * np.array(times) / 2
    terms = max(4, math.ceil(math.sqrt(2 * (float(a.max()) + 40) * 40)))
    table = 2 * ive(np.arange(terms)[:, None], a)
    table[0] /= 2
    return np.asarray(table[: int(np.flatnonzero(table.max(1) > ACCURACY)[-1]) + 1])


def _clenshaw(scaled: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """sum_k T_k(1 + scaled) a_k for a (dies, k, n); in numpy, whose products with vectors are fastest."""
    later, last = np.zeros((2, len(scaled), scaled.shape[1], 1))
    product = np.empty_like(last)
    for k in range(terms.shape[1] - 1, 0, -1):
        # b_k = a_k + 2 (1 + scaled) b_k+1 - b_k+2
        np.matmul(scaled, last, out=product)
        product += last
        product *= 2
        product -= later
        product += terms[:, k, :, None]
        later, last, product = last, product, later
    return np.asarray(terms[:, 0] + (scaled @ last + last - later)[..., 0])
