"""Arrays of many dies, each programmed with a system of its own: their laws, and where these take them by products with vectors alone.

The law is `cell_law.cell_law` of an integrator array with two rails, batched: with K', M, P, X = M - P M^-1 K', D = M^-1 P and the forces f
= gain drive I + L Vos, in units of each program's tau,

    F = -X^-1 K',      rest: K' v = f,      start: (X - K' D) s = f - K' v_0,  y_0 = v_0 - D s,      v(t) = rest + exp(F t) (y_0 - rest).

No matrix exponential is formed: exp(F t) w is a Chebyshev series in F, whose eigenvalues lie between -`span` and 0 but for the little that
mismatch moves them,

    exp(F t) = sum_k c_k(a) T_k(1 + 2 F / span),      c_k(a) = (2 - [k = 0]) exp(-a) I_k(a),      a = span t / 2

(M. Abramowitz, I. Stegun, 9.6.34), summed by Clenshaw's recurrence: some products with each die's matrix, where doubling its exponential
takes as many products of matrices.
"""

from __future__ import annotations

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
GRID = 1.1
"""Ratio between neighbouring bounds of eigenvalues, so that few series are made in a training."""


@dataclass(frozen=True, eq=False)
class DieParts:
    """What dies are, whatever is programmed; arrays of n cells with two rails.

    Attributes:
        spread: what a nominal conductance becomes, mean of the rails, (dies, n, n).
        drive: input resistors, mean of the rails, (dies, n) S. capacitance: (dies, n) F. offset: (dies, n) V.
        gain_ratio, gbw_ratio: of the amplifiers over the technology's, (dies, n).
    """

    spread: Tensor
    drive: Tensor
    capacitance: Tensor
    offset: Tensor
    gain_ratio: Tensor
    gbw_ratio: Tensor

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
        )

    def sizes(self) -> tuple[int, int]:
        """Dies and cells."""
        return len(self.drive), self.drive.shape[1]


@dataclass(frozen=True, eq=False)
class ArraysLaw:
    """The laws of all dies, in units of each one's tau, V and A; see the module's docstring.

    Attributes:
        conductance: K', (dies, n, n) S. judged: what has to be positive for a circuit to be stable, with the technology's gain.
        drift: F, (dies, n, n) 1/tau. start: LU of X - K' D, and rest: LU of K'. delay: D, (dies, n) tau.
        driven: (dies, n): force for a volt at the input, A. pushed: by offsets, (dies, n) A.
        load: L, (dies, n) S.
    """

    conductance: Tensor
    judged: Tensor
    drift: Tensor
    start: tuple[Tensor, Tensor]
    rest: tuple[Tensor, Tensor]
    delay: Tensor
    driven: Tensor
    pushed: Tensor
    load: Tensor

    @classmethod
    def of(cls, card: DeviceCard, dies: DieParts, signed: Tensor, tau: Tensor) -> ArraysLaw:
        """Of nominal conductances with their signs, (dies, n, n) S, and the unit of each program's time, (dies, 1) s."""
        leak, lag, pole = card.leak.value, card.lag.value, card.pole.value
        coupled = signed * dies.spread
        load = coupled.abs().sum(-1) + dies.drive
        own_leak = leak / dies.gain_ratio
        first = (lag / dies.gbw_ratio + own_leak * pole) / tau
        capacitance = dies.capacitance / tau
        inertia = (1 + own_leak) * capacitance + first * load
        delay = (first * capacitance + lag * pole / dies.gbw_ratio / tau**2 * load) / inertia
        conductance = coupled + torch.diag_embed(own_leak * load)
        slowed = torch.diag_embed(inertia) - delay.unsqueeze(-1) * conductance
        return cls(
            conductance=conductance,
            judged=coupled + torch.diag_embed(load / card.technology.opamp.gain),
            drift=-torch.linalg.solve_ex(slowed, conductance)[0],
            start=torch.linalg.lu_factor_ex(slowed - conductance * delay.unsqueeze(-2))[:2],
            rest=torch.linalg.lu_factor_ex(conductance)[:2],
            delay=delay,
            driven=card.gain.value * dies.drive,
            pushed=load * dies.offset,
            load=load,
        )

    def of_dies(self, places: Tensor) -> ArraysLaw:
        """Some of the dies."""
        some: dict[str, Any] = {
            name: tuple(one[places] for one in value) if isinstance(value, tuple) else value[places]
            for name, value in vars(self).items()
        }
        return replace(self, **some)

    def volts(self, driven: Tensor, begin: Tensor, duration: float) -> Tensor:
        """Voltages (dies, n) after `duration` tau under drive voltages (dies, n) V from (dies, n) V; without noise."""
        if duration == 0:
            return begin
        force = self.driven * driven + self.pushed
        rest = _solved(self.rest, force)
        if math.isinf(duration):
            return rest
        slope = _solved(self.start, force - _times(self.conductance, begin))
        left = begin - self.delay * slope - rest
        return rest + exponential(self.drift, left, duration)


def exponential(drift: Tensor, vectors: Tensor, duration: float) -> Tensor:
    """exp(F t) w of many dies, (dies, n), for t > 0."""
    span = GRID ** math.ceil(math.log(float(drift.abs().sum(-1).max())) / math.log(GRID))
    a = span * duration / 2
    terms = max(4, math.ceil(math.sqrt(2 * (a + 40) * 40)))
    table = 2 * ive(np.arange(terms), a)
    kept = int(np.flatnonzero(table > ACCURACY)[-1]) + 1
    scaled, w = drift.numpy() * (2 / span), vectors.numpy()[..., None]
    step, found = max(1, AT_ONCE // drift.shape[-1] ** 2), np.empty_like(w)
    for some in (slice(first, first + step) for first in range(0, len(drift), step)):
        found[some] = _clenshaw(scaled[some], w[some], table[:kept])
    return torch.from_numpy(found[..., 0])


def _clenshaw(scaled: np.ndarray, w: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """sum_k c_k T_k(1 + scaled) w, (dies, n, 1), the first coefficient counting half; in numpy, whose products with vectors are fastest."""
    later, last, product = np.zeros_like(w), np.zeros_like(w), np.empty_like(w)
    for c in coefficients[:0:-1]:
        # b_k = c_k w + 2 (1 + scaled) b_k+1 - b_k+2
        np.matmul(scaled, last, out=product)
        product += last
        product *= 2
        product -= later
        product += c * w
        later, last, product = last, product, later
    return np.asarray(coefficients[0] / 2 * w + scaled @ last + last - later)


def _solved(factors: tuple[Tensor, Tensor], b: Tensor) -> Tensor:
    return torch.linalg.lu_solve(*factors, b.unsqueeze(-1)).squeeze(-1)


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    return torch.bmm(matrices, vectors.unsqueeze(-1)).squeeze(-1)
