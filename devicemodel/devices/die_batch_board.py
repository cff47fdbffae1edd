"""`DieBatchBoard`: one program on many dies, as the host drives it: relaxations batched over dies in torch, with gradients.

Where a die settles is the equilibrium of its own law, with its own parts; the matrix that was asked for is not solved with anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...compiler.matrices import comparison_matrix
from ...compiler.program import AnalogProgram
from ..device import Outcome
from ..host.board import Voltages
from ..ou.doubling import Transition, transition
from ..ou.gaussian import root
from .circuit import ProgramUnits
from .die_batch_law import StackedLaw

LawInRange = Callable[[int], tuple[AnalogProgram, StackedLaw]]
"""The nominal program, and the law of all dies, with input resistors of a range."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DifferentiableVoltages(Voltages):
    """Voltages with the graph that they came by.

    Attributes:
        tensor: (dies, n) V at the end of the run.
    """

    tensor: Tensor


class DieBatchBoard(ProgramUnits):
    """The dies of a batch, programmed for runs of one duration.

    Args:
        program: nominal. law: of all dies. clamp: where amplifiers hold their outputs, V.
        duration: tau. noisy: whether there is thermal noise.
        law_in_range: the program and its law with input resistors of another range; None: there is one range.
        drive_range: of the program's input resistors.
    """

    def __init__(
        self,
        program: AnalogProgram,
        law: StackedLaw,
        clamp: float,
        duration: float,
        noisy: bool,
        law_in_range: LawInRange | None = None,
        drive_range: int = 0,
    ) -> None:
        super().__init__(program, drive_range)
        self._law_in_range, self._ranges = law_in_range, {drive_range: self}
        count = len(law.drift)
        self._clamp, self._duration, self._noisy, self._dtype = clamp, duration, noisy, law.drift.dtype
        alive = np.flatnonzero(_stable(law))
        law = law.of(alive)
        held, self._move, self._factor = _transition(law, program.tau, duration, noisy)
        self._law, alive = law.of(held), alive[held]
        self._place = np.full(count, -1)
        self._place[alive] = np.arange(len(alive))

    def in_range(self, place: int) -> DieBatchBoard:
        """See `Board`."""
        if place not in self._ranges:
            assert self._law_in_range is not None
            program, law = self._law_in_range(place)
            board = DieBatchBoard(program, law, self._clamp, self._duration, self._noisy, self._law_in_range, place)
            self._ranges[place] = board
        return self._ranges[place]

    def obstacles(self, duration: float) -> Sequence[Outcome | None]:
        """See `Board`."""
        return [None if place >= 0 else Outcome.UNSTABLE for place in self._place]

    def relax(
        self,
        dies: np.ndarray,
        driven: np.ndarray,
        start: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
    ) -> DifferentiableVoltages:
        """See `Board`; one span, of the board's duration."""
        begin = torch.from_numpy(start).to(self._dtype)
        currents = torch.from_numpy(driven * self.amperes_per_volt).to(self._dtype)
        draws = torch.stack([_draw(one, self.size) for one in streams]).to(self._dtype) if self._noisy else None
        picked = torch.from_numpy(self._place[dies])
        volts = _relaxed(self._law, self._move, self._factor, picked, currents, begin, self._duration, draws)
        # A die that is unstable in this range alone has no place among the law's.
        volts = volts.clamp(-self._clamp, self._clamp).where(picked.unsqueeze(-1) >= 0, math.nan)
        return DifferentiableVoltages(cells=volts.detach().double().numpy()[:, None], tensor=volts)


def _transition(
    law: StackedLaw, tau: float, duration: float, noisy: bool
) -> tuple[np.ndarray, Tensor | None, Tensor | None]:
    """The dies that have a state after that time, (m,) places, and of them propagators (None: all of the start is gone) and factors of
    the covariances (None: no noise), (m, n, n)."""
    every = np.arange(len(law.drift))
    if duration == 0 or not len(every):
        return every, torch.eye(law.drift.shape[-1], dtype=law.drift.dtype).expand_as(law.drift), None
    if math.isinf(duration) and not noisy:
        return np.flatnonzero(_positive(-law.drift, torch.ones_like(law.delay))), None, None
    rows, steps = _steps(law, tau, duration, noisy)
    if not len(rows):
        return rows, None, None
    move = torch.cat([step.propagator for step in steps])
    found = [step.covariance for step in steps if step.covariance is not None]
    return rows, None if math.isinf(duration) else move, _factor(torch.cat(found)) if found else None


def _steps(law: StackedLaw, tau: float, duration: float, noisy: bool) -> tuple[np.ndarray, list[Transition]]:
    """The dies that have a state after that time, and their transitions, in batches whose order is theirs."""

    def over(rows: np.ndarray) -> Transition:
        some = law.of(rows)
        diffusion = some.diffusion * tau if noisy else None
        return transition(some.drift * tau, torch.zeros_like(some.delay), duration, diffusion)

    every = np.arange(len(law.drift))
    step = over(every)
    if step.settled:
        fine = _finite(step.propagator, step.covariance)
        # Anew without the others, whose infinities would be in the gradients.
        return every[fine], [step] if fine.all() else [over(every[fine])] if fine.any() else []
    # One that never settles keeps the others of its batch from it.
    alone = {k: over(every[k : k + 1]) for k in every}
    kept = {k: one for k, one in alone.items() if one.settled and _finite(one.propagator, one.covariance).all()}
    return np.array(list(kept), dtype=int), list(kept.values())


def _finite(*values: Tensor | None) -> np.ndarray:
    """(dies,) whether every entry of theirs is."""
    checks = [torch.isfinite(value.detach()).flatten(1).all(1) for value in values if value is not None]
    return np.asarray(torch.stack(checks).all(0).numpy())


def _relaxed(
    law: StackedLaw,
    move: Tensor | None,
    factor: Tensor | None,
    rows: Tensor,
    currents: Tensor,
    begin: Tensor,
    duration: float,
    draws: Tensor | None,
) -> Tensor:
    """Voltages (rows, n) of some dies at the end of the run."""
    drift, forcing = law.drift[rows], law.slow[rows] @ (law.driven[rows] * currents + law.pushed[rows]).unsqueeze(-1)
    if duration == 0:
        return begin
    rest = -torch.linalg.solve_ex(drift, forcing)[0].squeeze(-1)
    volts = rest
    if move is not None:
        delay = law.delay[rows]
        eye = torch.eye(drift.shape[-1], dtype=drift.dtype)
        slope, _ = torch.linalg.solve_ex(eye + drift * delay.unsqueeze(-2), drift @ begin.unsqueeze(-1) + forcing)
        offset = (begin - delay * slope.squeeze(-1) - rest).unsqueeze(-1)
        volts = rest + (move[rows] @ offset).squeeze(-1)
    if factor is not None and draws is not None:
        volts = volts + (factor[rows] @ draws.unsqueeze(-1)).squeeze(-1)
    return volts


def _draw(noise: np.random.Generator, n: int) -> Tensor:
    """The deviates that `SurrogateDevice` would draw from this generator."""
    generator = torch.Generator().manual_seed(int(noise.integers(2**63)))
    return torch.randn(n, generator=generator, dtype=torch.float64)


def _factor(covariance: Tensor) -> Tensor:
    """As in `ou.sample`, for each die by itself."""
    if covariance.dtype == torch.float32:
        # What is lost in rounding can exceed the smallest eigenvalue; 1e-6 of each variance keeps the factor that of double precision.
        covariance = covariance + 1e-6 * torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))
    factor = root(covariance)
    if bool(factor.detach().triu(1).any()):
        # A singular one among them has all of them factored by eigenvalues, and would change the draws of the others.
        factor = torch.stack([root(one) for one in covariance])
    return factor


def _stable(law: StackedLaw) -> np.ndarray:
    """(dies,) what `AnalogProgram.is_stable` says of each; False for a law that is not finite."""
    fine = _finite(*law.tensors().values())
    if law.active:
        return fine & _positive(law.conductance, law.capacitance)
    compared = [comparison_matrix(one) for one in law.conductance.detach().double().numpy()]
    return fine & _definite(torch.from_numpy(np.stack(compared)))


def _positive(matrix: Tensor, effective_capacitance: Tensor) -> np.ndarray:
    """(dies,) whether effective_capacitance^-1 matrix has eigenvalues of positive real part alone; False where an entry is not finite."""
    positive = _definite(matrix)
    for k in np.flatnonzero(~positive & _finite(matrix, effective_capacitance)):
        ratio = matrix[k].detach().double() / effective_capacitance[k].detach().double().unsqueeze(-1)
        positive[k] = bool(np.linalg.eigvals(ratio.numpy()).real.min() > 0)
    return positive


def _definite(matrix: Tensor) -> np.ndarray:
    """(dies,) whether the symmetric part is positive definite beyond rounding, as `matrices.is_positive_definite` has it."""
    held = matrix.detach()
    eye, fine = torch.eye(held.shape[-1], dtype=held.dtype), torch.from_numpy(_finite(held))
    symmetric = torch.where(fine[:, None, None], (held + held.mT) / 2, -eye)
    margin = len(eye) * torch.finfo(held.dtype).eps * symmetric.abs().amax((-2, -1))
    _, info = torch.linalg.cholesky_ex(symmetric - margin[:, None, None] * eye)
    return np.asarray((info == 0).numpy())
