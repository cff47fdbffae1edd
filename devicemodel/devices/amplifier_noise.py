"""What amplifiers' own noise does to the cells and to what is read of them: white noise here, 1/f noise in `flicker`.

With input noise e of the amplifiers, of two-sided density S_e (half of the one-sided e_n^2 of data sheets), the law of `cell_law` is

    [T s^3 + P s^2 + M s + K'] v = ... + (L + s C) e,

and division by M s + K' leaves two parts, v = y + z. The slow one is a law of n states like any other,

    dy/dt = F y + H e,      H = M^-1 (L - K' M^-1 C),

so that e counts as a noise current (L - K' M^-1 C) e there. The direct one is M^-1 C e up to the amplifiers' bandwidth,

    (T s^2 + P s + M) z = C e,      variance of one cell (S_e / 2) N^2 a,      N = C / M,  a = M / P,

which for N near one and a near 2 pi GBW is e_n^2 (pi / 2) GBW. To first order in 1/a the rest of their covariance X is, with
k = M^-1 K' N S_e N^T and G = <y z^T> = H S_e N^T,

    <z z^T> = (S_e / 2) N^2 a - (G + G^T) / 2 + (1 + T M / P^2) (k + k^T) / 4,      X = <y y^T> + G + G^T + <z z^T>.

A sampler of bandwidth w (one pole, rad/s) before the reading filters y, which `dense_law` does exactly, and z:

    variance (S_e / 2) N^2 nu,      nu = w (1 + t x) / (1 + x + t x^2),   x = w / a,  t = T M / P^2,

exact without the slow part; a w / (a + w) with one pole. nu is also twice that variance over the density at low frequencies, so that
an Ornstein-Uhlenbeck process of rate nu has both right, and with them all averages over more than 1/nu. With p = nu / a

    G -> nu (nu - F)^-1 H S_e N^T,
    X - <y y^T> -> variance - p (G + G^T) / 2 + p (2 - p) (1 + p t) (k + k^T) / 4 + (1 + p) (R + R^T) / 2,   R = w (w - F)^-1 H S_e N^T.

All is elementwise in K' but for those two inverses. Against the state space of the circuit, 3 n states and the sampler's n, the voltages'
variances at rest are right to 1e-4 at w = inf and to 5e-3 down to w = 0.1 / tau, for the figures of `integrated` and `breadboard`
(`tests/devicemodel/devices/test_amplifier_noise.py`).

Noise currents of the inputs are currents into the cells. Inverters of a single-ended array pass on (1 + r) of their amplifiers' noise at
low frequencies, as `compiler.inverters` has it for Johnson noise, and have no direct part in a cell.

Tensors may have axes of dies before the others: shapes are (..., n) and (..., n, n); any unit of time.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...circuits.technology.parts import OpAmp
from ...compiler.inverters import Inverters
from .cell_coefficients import CellCoefficients


class VoltageNoise(NamedTuple):
    """White noise voltages at the amplifiers' inputs, one for each cell.

    Attributes:
        density: S_e, () or (..., 1), two-sided V^2 a unit of frequency.
        share: N, (..., n), what of it appears at the output at once.
        cutoff: a, (..., n) 1/time; inf: amplifiers that respond at once.
        tail: t, (..., n), by the second pole.
        load: L / M, (..., n) 1/time.
        rates: M^-1 K', (..., n, n) 1/time.
    """

    density: Tensor
    share: Tensor
    cutoff: Tensor
    tail: Tensor
    load: Tensor
    rates: Tensor


class DirectNoise(NamedTuple):
    """What a reading has besides the slow motion: dz = -rate z dt + noise that is that of the slow motion in part.

    Attributes:
        covariance: of z at rest, (..., n, n) V^2.
        rate: nu, (...,) 1/time.
        cross: G, (..., n, n) V^2: covariance of y and z at the same time, at rest.
    """

    covariance: Tensor
    rate: Tensor
    cross: Tensor


def voltage_noise(
    density: Tensor,
    capacitance: Tensor,
    load: Tensor,
    inertia: Tensor,
    conductance: Tensor,
    first: Tensor,
    second: Tensor,
) -> VoltageNoise:
    """From the coefficients of the law.

    Args:
        density: S_e.
        capacitance, load, inertia: C, L and M's diagonal, (..., n).
        conductance: K', (..., n, n).
        first, second: l_1 and l_2 of the amplifiers, () or (..., 1).
    """
    lagging = first * capacitance + second * load
    tail = second * capacitance * inertia / torch.where(lagging > 0, lagging, 1.0) ** 2
    return VoltageNoise(
        density,
        capacitance / inertia,
        inertia / lagging,
        torch.where(lagging > 0, tail, 0.0),
        load / inertia,
        conductance / inertia.unsqueeze(-1),
    )


def direct_noise(noise: VoltageNoise, bandwidth: float = math.inf) -> DirectNoise:
    """The direct part of what a sampler of a bandwidth (rad a unit of time; inf: none) sees.

    Raises:
        InputError: white noise that neither amplifiers nor a sampler limit: its variance is infinite.
    """
    if math.isinf(bandwidth) and bool(torch.isinf(noise.cutoff).any()):
        raise InputError(
            "opamp.noise_voltage with an infinite gain-bandwidth product has an infinite variance at the output: give opamp.gbw, or "
            "adc.bandwidth, a finite value, or set opamp.noise_voltage to 0"
        )
    share, density = noise.share, noise.density
    rates, passed = noise.cutoff, torch.ones_like(noise.cutoff)
    if math.isfinite(bandwidth):
        x = bandwidth / noise.cutoff
        rates = bandwidth * (1 + noise.tail * x) / (1 + x + noise.tail * x * x)
        passed = rates / noise.cutoff
    powers = density * share * share
    followed = noise.rates * powers.unsqueeze(-2)
    together = torch.diag_embed(noise.load * density * share) - followed
    rate, p, tail = (_mean(part) for part in (rates, passed, noise.tail))
    cross = late = seen = together
    if math.isfinite(bandwidth):
        eye = torch.eye(share.shape[-1], dtype=share.dtype, device=share.device)
        late = bandwidth * torch.linalg.solve(bandwidth * eye + noise.rates, together)
        cross = rate * torch.linalg.solve(rate * eye + noise.rates, together)
        seen = bandwidth / (bandwidth + rate) * cross
    total = (
        torch.diag_embed(powers * rates / 2)
        - p / 2 * _both(together)
        + p * (2 - p) * (1 + p * tail) / 4 * _both(followed)
        + (1 + p) / 2 * _both(late)
    )
    return DirectNoise(total - _both(seen), rate[..., 0, 0], cross)


def direct_covariance(direct: DirectNoise, propagator: Tensor, span: float) -> Tensor:
    """What the direct part adds to the covariance of y + z, (..., n, n) V^2, a span after both were known.

    Args:
        direct: see `direct_noise`. propagator: E of the slow motion over the span. span: in the same unit of time, > 0; inf allowed.
    """
    left = torch.exp(-direct.rate * span)[..., None, None]
    return (1 - left**2) * direct.covariance + _both(direct.cross - left * (propagator @ direct.cross))


def with_amplifiers(cells: CellCoefficients, opamp: OpAmp, rails: int) -> CellCoefficients:
    """Coefficients whose noise currents have those of the amplifiers' inputs in them, and whose inverters' noise has their amplifiers'.

    Args:
        cells: with Johnson noise alone. opamp: its white noise. rails: inputs of an amplifier that noise currents flow into.
    """
    current = opamp.noise_current**2 / 2
    if current > 0:
        cells = dataclasses.replace(
            cells, current_noise=cells.current_noise + rails * current * np.eye(len(cells.current_noise))
        )
    if cells.inverters is not None:
        cells = dataclasses.replace(cells, inverters=noisy_inverters(cells.inverters, opamp))
    return cells


def noisy_inverters(inverters: Inverters, opamp: OpAmp) -> Inverters:
    """Inverters with the white noise of their amplifiers besides that of their resistors."""
    voltage, current = opamp.noise_voltage**2 / 2, opamp.noise_current**2 / 2
    if voltage + current == 0:
        return inverters
    own = (1 + inverters.ratio) ** 2 * voltage + inverters.feedback**2 * current
    return dataclasses.replace(inverters, noise=inverters.noise + own)


def amplifier_lags(opamp: OpAmp, leak: Tensor, lag: Tensor, pole: Tensor) -> tuple[Tensor, Tensor]:
    """l_1 and l_2 of the law in s and s^2; the technology's, where a card's amplifiers have no lag: their noise needs a bandwidth."""
    slow, fast = (1 / (2 * math.pi * frequency) for frequency in (opamp.gbw, opamp.second_pole))
    pole, lag = torch.where(lag > 0, pole, fast), torch.where(lag > 0, lag, slow)
    return lag + leak * pole, lag * pole


def _mean(values: Tensor) -> Tensor:
    """Of the cells, (..., 1, 1)."""
    return values.mean(dim=-1, keepdim=True).unsqueeze(-1)


def _both(matrix: Tensor) -> Tensor:
    return matrix + matrix.mT
