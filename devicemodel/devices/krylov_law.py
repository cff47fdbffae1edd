"""`KrylovLaw`: the law of a large program's cells, by factorisations that are kept with it and a few products for each run.

In units of tau, with X = M - Q K', Q = P M^-1 and the forces f = gain drive I + L Vos of `cell_law`, F = -X^-1 K':

    at rest      K' v = f                                                        one LU factorisation
    on the way   v_rest + exp(F t) (v(0) - v_rest)                               R = (X + gamma K')^-1 X, see `ou.krylov.shift_invert`
    start        v(0) = v_0 - D s,  (X - K' D) s = f - K' v_0,  D = M^-1 P       another
    noise        sum_k w_k^1/2 exp(F s_k) Y M^-1 S^1/2 z_k                       see `ou.exponential_sum`

Y = 1 + A / 2 + 3 A^2 / 8, A = M^-1 (Q + T P^-1) K', is the root of what amplifiers' lag makes of the noise, to second order; at rest the
noise is drawn by a series (`ou.krylov.shift_invert`). What this cannot do (lags that are not small, states that grow before they decay,
transients that need too many products) is computed with matrices written out, as for a small program.

With inverters M and P are no diagonals, which costs a program three times the time, and a run half as much again (600 unknowns).

How fast all modes decay is proven by a Cholesky factor of the symmetric part of M^-1/2 K' M^-1/2 - mu: then every state of the law without
lag shrinks by exp(-mu t) or more, in the norm |M^1/2 v|. Lag quickens decay, in second order of lag over time constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...compiler.program import AnalogProgram
from ..card import DeviceCard
from ..ou.exponential_sum import exponential_sum
from ..ou.gaussian import normal, root, rows
from ..ou.krylov.shift_invert import ShiftInvert, terms
from ..ou.recent import Recent
from .amplifier_noise import VoltageNoise, with_amplifiers
from .cell_coefficients import CellCoefficients
from .cell_law import cell_law, white_voltages
from .dense_law import DenseLaw

RELATIVE = 3e-10
"""Of voltages."""
ACCURACY, FINEST = 1e-10, 1e-14
"""Of a transient, relative to the voltages at rest and at first: as a rule, and where they are much larger than those on the way."""
LARGEST_LAG = 0.2
"""Amplifiers' lag times the fastest rate up to which the noise is expanded in it."""
SETTLED = 1e-12
PROVEN = (0.9, 0.5, 0.0)
"""Shares of the slowest rate as estimated that are tried as rate of decay."""
ESTIMATE = 6
"""Steps of the Arnoldi iterations that estimate the fastest and the slowest rate."""
AT_REST = 3.5
"""Slowest time constants after which noise is what it is at rest, to 1e-3 of its power."""
NOISE_ACCURACY = 0.05
"""Of the noise of the fastest modes, whose power is that of the slowest over the ratio of rates."""
Part = Tensor
"""(n,) a diagonal, or (n, n)."""


class KrylovLaw:
    """Runs of one program; as `DenseLaw`.

    Args:
        program: on its die. card: its amplifiers. cells: its coefficients.
        noisy: whether there is noise of resistors and amplifiers; here that of the slow motion (`krylov_runs`).
    """

    def __init__(self, program: AnalogProgram, card: DeviceCard, cells: CellCoefficients, noisy: bool) -> None:
        self.cells, self.noisy, self._program, self._card, self._tau = cells, noisy, program, card, program.tau
        self._noise_cells = cells
        if program.fabric.active:
            self._noise_cells = with_amplifiers(cells, card.technology.opamp, program.parts.rails)
        leak, lag, pole = card.leak.value, card.lag.value, card.pole.value
        first, second = (lag + leak * pole) / self._tau, lag * pole / self._tau**2
        parts = [cells.load, cells.capacitance, cells.coupled_capacitance, cells.load_capacitance]
        load, capacitance, coupled, loaded = (_part(one, cells.uncoupled) for one in parts)
        capacitance, coupled, loaded = (part / self._tau for part in (capacitance, coupled, loaded))
        gain, gbw = torch.from_numpy(cells.ratios)
        own_leak, own_second = leak / gain, second / gbw
        own_first = (lag / gbw + own_leak * pole) / self._tau
        self._conductance = _plus(torch.from_numpy(cells.conductance).clone(), own_leak * load)
        self._capacitance = (1 + own_leak) * capacitance + coupled + own_leak * loaded + own_first * load
        second_order = own_first * (capacitance + loaded) + own_second * load
        late = _solved_right(own_second * capacitance, second_order) if second > 0 else None
        if cells.inverters is not None:
            leaking, slowing, lagging = map(torch.from_numpy, cells.inverters.added(leak, first, second))
            self._conductance += leaking
            self._capacitance, second_order = _plus(slowing, self._capacitance), _plus(lagging, second_order)
        self._delay = _solved(self._capacitance, second_order)
        self._lag = _solved_right(second_order, self._capacitance)
        noisy_lag = self._lag if late is None else _plus(self._lag.clone(), late)
        self._errors = leak, first, second
        self._noise_lag = _solved(self._capacitance, noisy_lag)
        self._slowed = _plus(_times(-self._lag, self._conductance), self._capacitance)
        self._sums: Recent[tuple[np.ndarray, np.ndarray] | None] = Recent()
        self._load = load
        self._voltage: VoltageNoise | None = None
        if noisy and program.fabric.active and card.technology.opamp.noise_voltage > 0:
            own, seen, inertia = (_diagonal(part) for part in (capacitance + loaded, load, self._capacitance))
            self._voltage = white_voltages(card, own, seen, inertia, self._conductance, self._tau)

    @cached_property
    def stable(self) -> bool:
        """Whether every mode decays."""
        return self._decay is not None or self._eigenvalues_decay()

    def slow_start(self, state: Tensor, force: Tensor) -> Tensor:
        """See `DenseLaw`."""
        slope = _lu_rows(self._start_factors, force - rows(self._conductance, state))
        return state - _times_rows(self._delay, slope)

    def mean(self, start: Tensor, force: Tensor, duration: float, standing: bool = False) -> Tensor | None:
        """See `DenseLaw`."""
        rest = _lu_rows(self._factors, force)
        if not bool(torch.isfinite(rest).all()):
            return None
        if self._settles(duration):
            return rest
        if standing:
            start = self.slow_start(start, force)
        left, times = start - rest, torch.full((len(start),), duration, dtype=start.dtype)
        scale = torch.maximum(rest.norm(dim=1), start.norm(dim=1))
        # Shortly after the start there is little of the state at rest, which then is a difference of large numbers.
        for accuracy in (ACCURACY, FINEST):
            moved = self._shift_invert.exponential(left, times, accuracy * scale)
            if moved is not None and bool((accuracy * scale <= RELATIVE * (rest + moved).norm(dim=1)).all()):
                return rest + moved
        return self._written_out.mean(start, force, duration)

    def noise(self, duration: float, generators: Sequence[torch.Generator]) -> Tensor | None:
        """See `DenseLaw`."""
        slowest, _ = self._rates
        if not self._expands:
            return self._written_out.noise(duration, generators)
        if duration * slowest > AT_REST:
            moved = self._at_rest(duration, generators)
        else:
            moved = self._on_the_way(duration, generators)
        return self._written_out.noise(duration, generators) if moved is None else moved

    def _at_rest(self, duration: float, generators: Sequence[torch.Generator]) -> Tensor | None:
        if self._series is None:
            return None
        count, alpha = self._series
        return self._noisy(duration).at_rest(self._pushes(count + 1, generators), alpha)

    def _on_the_way(self, duration: float, generators: Sequence[torch.Generator]) -> Tensor | None:
        slowest, fastest = self._rates
        found = self._sums.get(duration, lambda: exponential_sum(slowest, fastest, duration))
        if found is None:
            return None
        instants, weights = (torch.from_numpy(part).repeat(len(generators)) for part in found)
        pushes = self._pushes(len(found[0]), generators).transpose(0, 1).flatten(0, 1) * weights.sqrt().unsqueeze(1)
        tolerance = NOISE_ACCURACY * math.sqrt(slowest / fastest) * pushes.norm(dim=1)
        moved = self._noisy(duration).exponential(pushes, instants, tolerance)
        return None if moved is None else moved.reshape(len(generators), -1, pushes.shape[1]).sum(1)

    def _pushes(self, count: int, generators: Sequence[torch.Generator]) -> Tensor:
        """(count, runs, n) draws of the covariance Q that noise grows by in a tau."""
        cells, voltages = self._draws(count, generators)
        if self._voltage is None:
            return self._pushed(cells)
        # Less what is drawn together with the direct noise, e of the last 2/a: exp(2 F / a) to first order.
        driven = rows(self._driven_by_voltages, voltages)
        return self._pushed(cells, driven - 2 / self._voltage.cutoff.mean() * self._lagged(driven))

    def _draws(self, count: int, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Standard normal numbers (count, runs, n) for noise currents, and for the amplifiers' noise voltages if there are any."""
        n = len(self._conductance)
        width = n if self._voltage is None else 2 * n
        draws = torch.stack([normal((count, width), one, self._conductance) for one in generators], dim=1)
        return draws[..., :n], draws[..., n:]

    def _pushed(self, cells: Tensor, driven: Tensor | None = None) -> Tensor:
        """What noise adds to y in a tau, with amplifiers' lag to second order."""
        pushes = _times_rows(self._noise_root, cells)
        if driven is not None:
            pushes = pushes + driven
        lagged = self._lagging(pushes)
        return pushes + lagged / 2 + 3 / 8 * self._lagging(lagged)

    def _lagged(self, vectors: Tensor) -> Tensor:
        """M^-1 K' v."""
        image = rows(self._conductance, vectors)
        if self._capacitance.dim() == 1:
            return image / self._capacitance
        return torch.linalg.lu_solve(*self._capacitance_factors, image.flatten(0, -2).mT).mT.reshape(image.shape)

    @cached_property
    def _capacitance_factors(self) -> tuple[Tensor, Tensor]:
        """LU of M."""
        return torch.linalg.lu_factor(self._capacitance)

    def _rest(self, force: Tensor) -> Tensor:
        """Voltages at rest, (m, n) V."""
        return _lu_rows(self._factors, force)

    def _lagging(self, vectors: Tensor) -> Tensor:
        return _times_rows(self._noise_lag, rows(self._conductance, vectors))

    @cached_property
    def _expands(self) -> bool:
        """Whether amplifiers' lag is small enough for the noise to be expanded in it."""
        lag = self._noise_lag if self._noise_lag.dim() == 1 else self._noise_lag.diagonal()
        capacitance = self._capacitance if self._capacitance.dim() == 1 else self._capacitance.diagonal()
        return self.stable and float((lag * capacitance).abs().max()) * self._rates[1] <= LARGEST_LAG

    @cached_property
    def _noise_root(self) -> Part:
        """M^-1 S^1/2."""
        power, inverters = self._card.noise_power.value / self._tau, self._noise_cells.inverters
        noise = _part(self._noise_cells.current_noise, self.cells.uncoupled and self._program.fabric.active)
        if inverters is not None:
            followed, missing = inverters.current_noise(self._errors[0]), inverters.unfollowed_noise(*self._errors)
            # What makes the covariance at rest as much smaller as `cell_law` has it.
            less = self._conductance @ _solved(self._capacitance, torch.from_numpy(missing))
            noise = _plus(torch.from_numpy(followed) - less - less.mT, noise)
        if noise.dim() == 1:
            return (power * noise).sqrt() / self._capacitance
        return _solved(self._capacitance, root(power * noise))

    @cached_property
    def _driven_by_voltages(self) -> Tensor:
        """M^-1 (L - K' N) S_e^1/2."""
        noise = self._voltage
        assert noise is not None
        driven = _plus(-self._conductance * noise.share, self._load)
        return noise.density.sqrt() * _solved(self._capacitance, driven)

    @cached_property
    def _factors(self) -> tuple[Tensor, Tensor]:
        """LU of K'."""
        return torch.linalg.lu_factor(self._conductance)

    @cached_property
    def _start_factors(self) -> tuple[Tensor, Tensor]:
        """LU of X - K' D."""
        delayed = self._conductance * self._delay if self._delay.dim() == 1 else self._conductance @ self._delay
        return torch.linalg.lu_factor(self._slowed - delayed)

    @cached_property
    def _rates(self) -> tuple[float, float]:
        """Slowest and fastest rate, 1 / tau, with some margin; estimates, on which speed depends and the noise to within its accuracy."""
        n = len(self._conductance)
        begin = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        fastest = _largest(lambda v: _solved(self._capacitance, self._conductance @ v), begin)
        slowest = 1 / _largest(lambda v: _lu_rows(self._factors, _times(self._capacitance, v)[None])[0], begin)
        return slowest / 1.05, 1.1 * fastest

    @cached_property
    def _decay(self) -> float | None:
        """mu; None: no rate was proven."""
        if self._capacitance.dim() == 1:
            scale = self._capacitance.rsqrt()
            symmetric = (self._conductance + self._conductance.mT).mul_(0.5).mul_(scale.unsqueeze(1)).mul_(scale)
        else:
            symmetric = torch.linalg.solve(self._slowed, self._conductance)
            symmetric = (symmetric + symmetric.mT) / 2
        slowest, fastest = self._rates
        if not math.isfinite(slowest + fastest) or not float(symmetric.diagonal().min()) > 0:
            return None
        margin = len(symmetric) * torch.finfo(torch.float64).eps * fastest
        last = 0.0
        for share in PROVEN:
            rate = share * slowest + margin
            symmetric.diagonal().sub_(rate - last)
            last = rate
            if int(torch.linalg.cholesky_ex(symmetric)[1]) == 0:
                return share * slowest
        return None

    def _eigenvalues_decay(self) -> bool:
        inertia = self._capacitance if self._capacitance.dim() == 1 else self._slowed
        drift = _solved(inertia, self._conductance)
        return bool(torch.isfinite(drift).all()) and float(torch.linalg.eigvals(drift).real.min()) > 0

    @cached_property
    def _spread(self) -> float:
        """Of the norm in which decay is proven."""
        if self._capacitance.dim() == 2:
            return 1.0
        diagonal = self._capacitance
        return math.sqrt(float(diagonal.max() / diagonal.min()))

    @cached_property
    def _shift_invert(self) -> ShiftInvert:
        return self._shifted(torch.float64)

    @cached_property
    def _single(self) -> ShiftInvert:
        return self._shifted(torch.float32)

    def _noisy(self, duration: float) -> ShiftInvert:
        """Single precision is enough for noise, where no transient needs the other one."""
        return self._single if self._settles(duration) else self._shift_invert

    def _settles(self, duration: float) -> bool:
        """Whether nothing of the start is left."""
        if math.isinf(duration):
            return True
        return self._decay is not None and math.exp(-self._decay * duration) * self._spread < SETTLED

    def _shifted(self, dtype: torch.dtype) -> ShiftInvert:
        slowest, fastest = self._rates
        gamma = 1 / math.sqrt(slowest * fastest)
        return ShiftInvert(self._resolvent(gamma, dtype), gamma, self._decay or 0.0)

    def _resolvent(self, gamma: float, dtype: torch.dtype) -> Tensor:
        """R."""
        slowed = self._slowed.to(dtype)
        # In units of its own, since farads and siemens are small numbers.
        scale = float(slowed.abs().max())
        matrix = torch.add(slowed / scale, self._conductance.to(dtype) / scale, alpha=gamma)
        return torch.linalg.solve(matrix, slowed / scale)

    @cached_property
    def _series(self) -> tuple[int, float] | None:
        """See `shift_invert.terms`; None also where states that grow at first make more of what is cut off than the rates say."""
        slowest, fastest = self._rates
        found = terms(1 / math.sqrt(slowest * fastest), slowest, fastest)
        if found is None or self._decay is not None:
            return found
        seen = self._shift_invert.left_over(found[0], len(self._conductance))
        return found if seen <= 1 - 1 / found[1] ** 2 else None

    @cached_property
    def _written_out(self) -> DenseLaw:
        nothing = np.zeros(self._program.size)
        law = cell_law(self._program, nothing, self._card, self.cells)
        # Of the slow motion alone.
        return DenseLaw(law._replace(voltage=None, sections=()), self.cells, self._tau, self.noisy)


def _part(values: np.ndarray, diagonal: bool) -> Part:
    return torch.from_numpy(values.diagonal().copy() if diagonal else values)


def _diagonal(part: Part) -> Tensor:
    return part.diagonal().clone() if part.dim() == 2 else part


def _plus(matrix: Tensor, part: Part) -> Tensor:
    """matrix + part, in the place of the first."""
    if part.dim() == matrix.dim():
        return matrix.add_(part)
    matrix.diagonal().add_(part)
    return matrix


def _times(part: Part, other: Tensor) -> Tensor:
    """part @ other, (n, m) or (n,)."""
    if part.dim() == 2:
        return part @ other
    return part * other if other.dim() == 1 else part.unsqueeze(1) * other


def _times_rows(part: Part, vectors: Tensor) -> Tensor:
    """part v for each row v, (m, n)."""
    return rows(part, vectors) if part.dim() == 2 else vectors * part


def _solved(part: Part, other: Tensor) -> Tensor:
    """part^-1 @ other; of two diagonals a diagonal."""
    if part.dim() == 2:
        return torch.linalg.solve(part, other)
    return other / part if other.dim() == 1 else other / part.unsqueeze(1)


def _solved_right(other: Part, part: Part) -> Part:
    """other @ part^-1, both diagonals or neither."""
    return torch.linalg.solve(part, other, left=False) if part.dim() == 2 else other / part


def _lu_rows(factors: tuple[Tensor, Tensor], vectors: Tensor) -> Tensor:
    """The solution for each row, (m, n)."""
    return torch.linalg.lu_solve(*factors, vectors.mT).mT


def _largest(product: Callable[[Tensor], Tensor], start: Tensor) -> float:
    """Largest modulus of an eigenvalue, from below, by an Arnoldi iteration."""
    basis, H = [start / start.norm()], np.zeros((ESTIMATE + 1, ESTIMATE))
    for j in range(min(ESTIMATE, len(start))):
        w = product(basis[-1])
        for i, v in enumerate(basis):
            H[i, j] = float(v @ w)
            w = w - H[i, j] * v
        H[j + 1, j] = float(w.norm())
        basis.append(w / H[j + 1, j])
    return float(np.abs(np.linalg.eigvals(H[:ESTIMATE])).max()) if np.isfinite(H).all() else math.nan
