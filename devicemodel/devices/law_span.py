"""`LawSpan`: what a span of time makes of the states of a law, of one program or of many dies.

States are the slow motion y and, with a sampler of finite bandwidth w, what it holds of it, ds/dt = w (y + N e - s); read besides are the
direct noise z of `amplifier_noise` and the amplifiers' 1/f noise e (`flicker`): s + z, or y + z + N e.

z is drawn first, and y given z: with the covariances over a span V_h = V (1 - exp(-2 nu h)) and G_h = G - E G exp(-nu h),

    y(h) = E y(0) + ... + G_h V_h^-1 (z(h) - exp(-nu h) z(0)) + noise of S_h - G_h V_h^-1 G_h^T.

Tensors may have an axis of dies before the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..ou.doubling import Transition
from ..ou.gaussian import root
from .amplifier_noise import DirectNoise
from .flicker import REST, STILL, Section, driven_apart, section_span


class LawSpan(NamedTuple):
    """x(t) = E x(0) + W u + G_h V_h^-1 R_z z' + R z'' + sections, for a constant u and standard normal z', z''.

    Attributes:
        propagator, response: E, (..., x, x), and W, (..., x, n), x being the slow states.
        root: R, (..., x, x), or None without noise.
        direct_left, direct_root: exp(-nu h), (..., 1, 1), and R_z, (..., n, n); None where there is no direct noise.
        direct_slow: G_h V_h^-1, (..., x, n).
        carried, arrived: A_0 and A_1 of all sections side by side, (..., x, kinds k n); None where there are none.
    """

    propagator: Tensor
    response: Tensor
    root: Tensor | None
    direct_left: Tensor | None = None
    direct_root: Tensor | None = None
    direct_slow: Tensor | None = None
    carried: Tensor | None = None
    arrived: Tensor | None = None


class DrivenBy(NamedTuple):
    """What a section of unit variance drives: `slow`, (..., x, n), and with its rate R of `flicker`; rate 0: it stands still."""

    slow: Tensor
    rate: float
    driven: Tensor


def followed(drift: Tensor, sampler: float) -> Tensor:
    """The drift of [y, s] for a sampler of rate w; that of y where it is infinite."""
    if math.isinf(sampler):
        return drift
    eye = (sampler * torch.eye(drift.shape[-1], dtype=drift.dtype)).expand_as(drift)
    return torch.cat([torch.cat([drift, torch.zeros_like(drift)], -1), torch.cat([eye, -eye], -1)], -2)


def padded(matrix: Tensor, states: int) -> Tensor:
    """A matrix of y's, (..., n, n), among those of all states, (..., x, x), zeros elsewhere."""
    more = states - matrix.shape[-1]
    return torch.nn.functional.pad(matrix, (0, more, 0, more)) if more else matrix


def driven_sections(
    drift: Tensor, diffusion: Tensor | None, sections: Sequence[Section], sampler: float, unit: float, duration: float
) -> tuple[Tensor | None, list[DrivenBy]]:
    """The diffusion with that of the sections, and what each of them drives.

    Args:
        drift, diffusion: of all states (`followed`), 1/unit. sections: see `Section`, SI units.
        sampler: w, 1/unit. unit: of time, s. duration: of the span, in it.
    """
    span, found = REST if math.isinf(duration) else duration, []
    for one in sections:
        states = _driven_states(one.slow * unit, one.share, sampler)
        for deviation, rate in zip(one.deviations.tolist(), (one.rates * unit).tolist(), strict=True):
            slow = deviation * states
            if rate * span < STILL:
                found.append(DrivenBy(slow, 0.0, slow))
                continue
            apart, driven = driven_apart(drift, rate, slow)
            found.append(DrivenBy(slow, apart, driven))
            assert diffusion is not None
            diffusion = diffusion + 2 * apart * driven @ driven.mT
    return diffusion, found


def law_span(
    step: Transition,
    drift: Tensor,
    size: int,
    direct: DirectNoise | None,
    driven: Sequence[DrivenBy],
    sampler: float,
    duration: float,
    factor: Callable[[Tensor], Tensor] = root,
) -> LawSpan:
    """A span, of its transition.

    Args:
        step: of all states, its covariance with that of the sections (`driven_sections`). drift: of all states.
        size: n. direct: of the reading. driven: of the sections. sampler: w. duration: of the span. All in one unit of time.
        factor: root of a covariance.
    """
    covariance, carried, arrived = step.covariance, [], []
    for one in driven:
        if one.rate == 0.0:
            carried.append(torch.zeros_like(one.slow))
            arrived.append(step.mean @ one.slow)
            continue
        span = REST if math.isinf(duration) else duration
        held = section_span(drift, step.propagator, one.rate, one.driven, span)
        carried.append(held.carried)
        arrived.append(held.arrived)
        covariance = held.known.neg() if covariance is None else covariance - held.known
    found = LawSpan(step.propagator, step.mean[..., :size], None)
    if driven:
        found = found._replace(carried=torch.cat(carried, dim=-1), arrived=torch.cat(arrived, dim=-1))
    if covariance is None:
        return found
    if direct is not None:
        left = torch.exp(-direct.rate * duration)[..., None, None]
        cross = direct.cross
        if drift.shape[-1] > size:
            passed = (sampler / (sampler + direct.rate))[..., None, None]
            cross = torch.cat([cross, passed * cross], dim=-2)
        together = cross - left * (step.propagator @ cross)
        fresh = (1 - left**2) * direct.covariance
        slow = torch.linalg.solve(fresh, together.mT).mT
        covariance = covariance - slow @ together.mT
        found = found._replace(direct_left=left, direct_root=factor(fresh), direct_slow=slow)
    return found._replace(root=factor(covariance))


def _driven_states(slow: Tensor, share: Tensor | None, sampler: float) -> Tensor:
    """What a source drives of [y, s], (..., x, n)."""
    if math.isinf(sampler):
        return slow
    return torch.cat([slow, torch.zeros_like(slow) if share is None else sampler * share], dim=-2)
