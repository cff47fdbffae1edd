"""The noise of a run of many dies: factors of what is drawn, and what the amplifiers' 1/f sections add; see `law_span`.

A run of a batch is one span, whose end is read. With z', z'' standard normal and e the sections, in units of their standard deviations, at
the start and the end,

    reading = ... + R z'' + (1 + G_h V_h^-1) R_z z' + A_0 e(0) + A_1 e(h),

of which only the rows that are read are kept. Sections of one source that stand still act alike, and are one sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ..devices.amplifier_noise import direct_noise
from ..devices.flicker import REST, STILL, Section
from ..devices.law_span import driven_sections, followed, law_span, padded
from ..ou.doubling import Transition
from ..ou.gaussian import normal, rows
from .law import StackedLaw


class Draws:
    """What one die draws in a run, in the order in which a `SurrogateDevice` does: z'' of all states, then z' of its cells.

    Args:
        seed: of the run's noise. states, cells: numbers of z'' and z'; the latter is drawn where it is asked for alone.
    """

    def __init__(self, seed: int, states: int, cells: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        like = torch.zeros((), dtype=torch.float64)
        self.slow = normal((states,), generator, like)
        self.direct = normal((cells,), generator, like)


@dataclass(frozen=True, eq=False)
class RunNoise:
    """Of each die, (dies, ...); see the module's docstring.

    Attributes:
        slow: R, (dies, n, x); None: no noise. direct: (1 + G_h V_h^-1) R_z, (dies, n, n); None: none.
        carried, arrived: A_0 and A_1, (dies, n, sums n); None: no sections.
    """

    slow: Tensor | None = None
    direct: Tensor | None = None
    carried: Tensor | None = None
    arrived: Tensor | None = None

    def of(self, places: Any) -> RunNoise:
        """Some of the dies."""
        return RunNoise(*(None if one is None else one[places] for one in self._tensors()))

    @classmethod
    def joined(cls, parts: Sequence[RunNoise]) -> RunNoise:
        """The dies of all parts; one without dies may lack what the others have."""
        columns = zip(*(part._tensors() for part in parts), strict=True)
        found = [[one for one in column if one is not None] for column in columns]
        return cls(*(torch.cat(column) if column else None for column in found))

    def _tensors(self) -> list[Tensor | None]:
        return [getattr(self, one.name) for one in fields(self)]

    def volts(self, draws: Sequence[Draws], sums: tuple[Tensor, Tensor] | None) -> Tensor | float:
        """What is read of it, (dies, n) V, for the draws of each die and its sections' sums at both ends, (dies, sums n)."""
        found: Tensor | float = 0.0
        if self.slow is not None:
            drawn = torch.stack([one.slow for one in draws])
            found = found + rows(self.slow, drawn.to(self.slow.dtype))
        if self.direct is not None:
            found = found + rows(self.direct, torch.stack([one.direct for one in draws]).to(self.direct.dtype))
        if self.carried is not None and self.arrived is not None and sums is not None:
            start, end = (one.to(self.carried.dtype) for one in sums)
            found = found + rows(self.carried, start) + rows(self.arrived, end)
        return found


class Noise:
    """The noise of a law over a span of `duration` tau, as seen by a sampler.

    Args:
        sampler: rate of the sampler, 1/tau; inf: none.
    """

    def __init__(self, tau: float, duration: float, sampler: float) -> None:
        self.tau, self.duration, self.sampler = tau, duration, sampler

    def states(self, cells: int) -> int:
        """Slow states of an array."""
        return cells if math.isinf(self.sampler) else 2 * cells

    def drift(self, law: StackedLaw) -> Tensor:
        """Of all states, (dies, x, x) 1/tau."""
        return followed(law.drift * self.tau, self.sampler)

    def diffusion(self, law: StackedLaw) -> Tensor:
        """Of all states, (dies, x, x) V^2/tau, with the sections' share."""
        drift = self.drift(law)
        white = padded(law.diffusion * self.tau, drift.shape[-1])
        found, _ = driven_sections(drift, white, law.sections, self.sampler, self.tau, self.duration)
        assert found is not None
        return found

    def over(self, law: StackedLaw, step: Transition, factor: Callable[[Tensor], Tensor]) -> RunNoise:
        """Of dies whose transition over the span is known."""
        drift, n = self.drift(law), law.drift.shape[-1]
        _, driven = driven_sections(drift, step.covariance, law.sections, self.sampler, self.tau, self.duration)
        direct = None
        if law.voltage is not None:
            found = direct_noise(law.voltage, self.sampler / self.tau)
            direct = found._replace(rate=found.rate * self.tau)
        span = law_span(step, drift, n, direct, driven, self.sampler, self.duration, factor)
        slow = None if span.root is None else span.root[..., -n:, :]
        noise = RunNoise(slow)
        if span.direct_root is not None and span.direct_slow is not None:
            eye = torch.eye(n, dtype=drift.dtype)
            noise = RunNoise(slow, (eye + span.direct_slow[..., -n:, :]) @ span.direct_root)
        if span.carried is None or span.arrived is None:
            return noise
        carried, arrived = self._seen(law, step, span.carried, span.arrived)
        return RunNoise(noise.slow, noise.direct, carried, arrived)

    def _seen(self, law: StackedLaw, step: Transition, carried: Tensor, arrived: Tensor) -> tuple[Tensor, Tensor]:
        """A_0 and A_1 of what is read, where cells start at given voltages, N e among them."""
        n = law.drift.shape[-1]
        starts, ends, place = [], [], 0
        for one in law.sections:
            held = [self._is_still(rate) for rate in (one.rates * self.tau).tolist()]
            for k, deviation in enumerate(one.deviations.tolist()):
                columns = slice(place * n, (place + 1) * n)
                start, end = carried[..., -n:, columns], arrived[..., -n:, columns]
                place += 1
                if one.share is not None:
                    start = start - deviation * step.propagator[..., -n:, :n] @ one.share
                    end = end + (deviation * one.share if math.isinf(self.sampler) else 0.0)
                if held[k] and k > 0:
                    continue
                scale = deviation if held[k] else 1.0
                starts.append(start / scale)
                ends.append(end / scale)
        return torch.cat(starts, -1), torch.cat(ends, -1)

    def sums(self, sections: Sequence[Section], states: Tensor) -> Tensor:
        """Of sections (dies, kinds, k, n) of unit variance what `carried` and `arrived` act on, (dies, sums n)."""
        found = []
        for kind, one in enumerate(sections):
            still = torch.tensor([self._is_still(rate) for rate in (one.rates * self.tau).tolist()])
            if bool(still.any()):
                weights = torch.where(still, one.deviations, 0.0)
                found.append(torch.einsum("k,mkn->mn", weights, states[:, kind]))
            found += list(states[:, kind, ~still].unbind(1))
        return torch.cat(found, -1)

    def _is_still(self, rate: float) -> bool:
        return rate * (REST if math.isinf(self.duration) else self.duration) < STILL
