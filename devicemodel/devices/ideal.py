"""The ideal device: the exact Ornstein-Uhlenbeck law of a perfect board, of first order or of coupled oscillators.

    dx/dt = -(A x - b) + N(0, 2 kappa0 dt)                    (arXiv 2405.13817, equation 15)
    mean        m(t) = e^{-A t} x0 + phi(A) b,                phi(a) = (1 - e^{-a t}) / a
    covariance  C(t) = kappa0 (1 - e^{-2 A t}) A^{-1} = kappa0 (1 - e^{-2 a t}) / a on the spectrum

It is evaluated as functions of A on its eigenvalues: by `eigh` of the matrix for `Dense`, of both factors for `Kronecker`, and
by `eigh` of the small Gram matrix for `LowRank`, where the complement of the range of J^T is one eigenvalue, the damping, N - k
times over; without eigenvalues for `Implicit`, a large `Dense` with a floor (`product_law`), and `ImplicitGram` (`gram_law`). This is the
device's own law
at the time asked for, not a solution handed to it: the settled state is the limit of the same functions.

With a friction gamma the cells are oscillators,

    x'' + gamma x' + A x = b + N(0, 2 gamma kappa0 dt),          tau the time in which a unit of A swings through one radian,

whose modes do not overshoot from gamma = 2 sqrt(lambda) on: with that of the smallest eigenvalue all of them decay with sqrt(lambda_min)
(`ou.oscillation`). A run starts with x = x0 and x' = 0, and a run that goes on does so with both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeGuard

import numpy as np
import torch
from torch import Tensor

from ...circuits.errors import InputError
from ...compiler.limitations import not_modelled
from ...compiler.linear_system import LinearSystem
from ..checks import check_duration
from ..device import Outcome, Solution, check_rows
from ..implicit_gram import ImplicitGram
from ..ou.gram_law import GramLaw
from ..ou.oscillation import Oscillation
from ..ou.product_law import LARGE, ProductLaw, ShiftedLaw
from ..systems import Dense, Implicit, Kronecker, LowRank, check_vector, eigenvalue_floor

Scalar = Callable[[Tensor], Tensor]
NOT_MODELLED = not_modelled("IdealDevice")


class IdealDevice:
    """Perfect cells with an optional white noise.

    Args:
        kappa0: >= 0, strength of the white noise N(0, 2 kappa0 dt), problem units squared per tau; 0 is deterministic.
        seed: needed when kappa0 > 0. Run number i of the device draws from the counter-based stream (seed, i), so that a
            resumed run continues bit for bit.
        tau: s, time constant of a cell; the paper's 1 kOhm and 1 nF by default. Enters only `Solution.seconds`.
        friction: gamma > 0 of oscillators; "critical": 2 sqrt(floor), with what is known of the smallest eigenvalue of each system without
            eigenvalues (`systems.eigenvalue_floor`); None: cells of first order. Oscillators take what has eigenvalues, no `Implicit`.

    Outcomes: `UNSTABLE` when A has a negative eigenvalue beyond rounding (the reading at a finite time is the exact
        one, growing);
    `NOT_FINITE` for duration = inf when a mode of eigenvalue zero is driven or noisy: it has no settled state.

    Raises:
        InputError: kappa0 negative or without a seed, tau <= 0, friction <= 0; in `solve`, "critical" friction of a system without a floor.
    """

    def __init__(
        self,
        kappa0: float = 0.0,
        seed: int | None = None,
        tau: float = 1e-6,
        friction: float | Literal["critical"] | None = None,
    ) -> None:
        if not (math.isfinite(kappa0) and kappa0 >= 0):
            raise InputError(f"kappa0 is {kappa0}: give a finite number >= 0")
        if kappa0 > 0 and seed is None:
            raise InputError("a noisy device needs a seed: IdealDevice(kappa0=..., seed=0)")
        if seed is not None and (not isinstance(seed, int) or seed < 0):
            raise InputError(f"seed is {seed!r}: give an integer >= 0")
        if not (math.isfinite(tau) and tau > 0):
            raise InputError(f"tau is {tau}: give seconds > 0")
        if friction is not None and friction != "critical" and not (_is_number(friction) and 0 < friction < math.inf):
            raise InputError(
                f'friction is {friction!r}: give a finite number > 0, "critical", or None for cells of first order'
            )
        self.kappa0, self.seed, self.tau, self.friction = float(kappa0), seed, float(tau), friction
        self._runs = 0
        self._state: Tensor | None = None  # float64, whatever the problem's type; of oscillators [x, x']
        self._loaded: tuple[_Law, Tensor, torch.dtype, float | None] | None = None
        self._programmed: tuple[LinearSystem, _Law] | None = None  # while `solve_many` runs

    @property
    def order(self) -> int:
        """See `order_of`."""
        return 1 if self.friction is None else 2

    def accepts(self, system: LinearSystem) -> bool:
        """True for every linear system, of oscillators but for one that is known by products alone; see `Device.accepts`."""
        by_products = isinstance(system, Implicit | ImplicitGram)
        return isinstance(system, LinearSystem) and not (self.friction is not None and by_products)

    def solve(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        """Run the exact law; see `Device.solve`. Takes an `Implicit` system, too."""
        if not self.accepts(system):
            raise InputError(
                f"system is a {type(system).__name__}: give Dense(A), LowRank(J, H, damping) or Kronecker(A, B, damping)"
            )
        check_vector("b", b, system)
        friction = self._friction_for(system)
        at_rest = torch.zeros(b.numel() * (1 if friction is None else 2), dtype=torch.float64, device=b.device)
        if x0 is not None:
            check_vector("x0", x0, system)
            self._state = torch.cat([x0.detach().double(), at_rest[b.numel() :]])
        elif self._state is None or self._state.shape != at_rest.shape:
            self._state = at_rest
        if self._programmed is not None and self._programmed[0] is system:
            law = self._programmed[1]
        else:
            law = _spectrum(system, friction is not None)
        self._loaded = (law, b.detach().double(), b.dtype, friction)
        return self.evolve(duration)

    def solve_many(self, system: LinearSystem, b: Tensor, duration: float, x0: Tensor | None = None) -> list[Solution]:
        """Run for each row of b by `solve`, with eigenvalues that are found once; see `device.solve_many`."""
        starts = check_rows(b, x0)
        if len(b) > 1 and self.accepts(system) and not isinstance(system, Implicit | ImplicitGram):
            self._programmed = (system, _spectrum(system, self.friction is not None))
        try:
            return [self.solve(system, row, duration, x0=start) for row, start in zip(b, starts, strict=True)]
        finally:
            self._programmed = None

    def evolve(self, duration: float) -> Solution:
        """Run on with what is loaded; see `Device.evolve`."""
        if self._loaded is None or self._state is None:
            raise InputError(
                "the device has no system and drive yet (they are not part of a saved state): call solve first"
            )
        t = check_duration(duration)
        spectrum, b, dtype, friction = self._loaded
        # b carries the rounding of the problem's own type; only a drive above it can charge a free mode for ever
        xi: Tensor | None = None
        if self.kappa0 > 0:
            xi = torch.randn(self._state.shape, dtype=torch.float64, generator=self._stream()).to(b.device)
        tolerance = 1e-4 if dtype == torch.float32 else 1e-7
        if friction is not None:
            assert isinstance(spectrum, _Spectrum)
            x, settled = _oscillated(spectrum, self._state, b, Oscillation(friction, t, self.kappa0), xi, tolerance)
        elif isinstance(spectrum, GramLaw | ProductLaw | ShiftedLaw):
            x, settled = spectrum.state(self._state, b, t, self.kappa0, xi), True
        else:
            x, settled = _mean(spectrum, self._state, b, t, tolerance)
            if xi is not None:
                noise, noise_settled = _fluctuation(spectrum, xi, self.kappa0, t)
                x, settled = x + noise, settled and noise_settled
        self._runs += 1
        outcome = Outcome.OK
        if spectrum.unstable:
            outcome = Outcome.UNSTABLE
        if not settled or not bool(torch.isfinite(x).all()):
            outcome = Outcome.UNSTABLE if spectrum.unstable else Outcome.NOT_FINITE
            x = torch.full_like(x, math.nan)
        self._state = x if outcome.readable else None  # a railed or diverged board is discharged before its next use
        return Solution(x[: b.numel()].to(dtype), outcome, t * self.tau, not_modelled=NOT_MODELLED)

    def state_dict(self) -> dict[str, Any]:
        """Analog state and the number of runs so far; the loaded system is not kept."""
        return {"state": None if self._state is None else self._state.clone(), "runs": self._runs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`. InputError for that of another device."""
        if missing := [key for key in ("state", "runs") if key not in state]:
            raise InputError(f"state lacks {', '.join(missing)}: give what state_dict() of an IdealDevice returned")
        self._state = None if state["state"] is None else state["state"].clone()
        self._runs = int(state["runs"])
        self._loaded = None

    def _friction_for(self, system: LinearSystem) -> float | None:
        if self.friction != "critical":
            return self.friction
        floor = eigenvalue_floor(system)
        if floor is None:
            raise InputError(
                f'friction is "critical", and nothing is known of the smallest eigenvalue of this {type(system).__name__}: give it '
                "damping, Dense(A, floor=...), or friction=2 sqrt of a bound"
            )
        return 2 * math.sqrt(floor)

    def _stream(self) -> torch.Generator:
        # numpy's SeedSequence hashes (seed, counter) into independent streams; torch alone would correlate seed +
        # counter
        key = np.random.SeedSequence((self.seed or 0, self._runs)).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(key) % 2**63)


class _Spectrum:
    """The eigenvalues of a system, ready for functions of A; base is the damping of a low-rank system, None for a dense
    one.

    f(A) v = f(base) v + B^T [ (f(base + w) - f(base)) / norm ] B v, with B = V^T (norm = 1) for a dense matrix, and
    with B = U^T J, J J^T = U diag(w) U^T, norm = w for a low-rank one: the divided difference needs no normalised right
    vectors, so small singular values cost no accuracy.
    """

    def __init__(
        self,
        basis: Callable[[Tensor], Tensor],
        back: Callable[[Tensor], Tensor],
        w: Tensor,
        norm: Tensor,
        base: float | None,
    ):
        self.basis, self.back, self.norm = basis, back, norm
        scale = float(w.abs().max()) + (base or 0.0)
        rounding = 4 * w.numel() * torch.finfo(w.dtype).eps * scale
        a = w if base is None else w + base
        self.unstable = bool((a < -rounding).any())
        self.a = torch.where(a.abs() <= rounding, 0.0, a)
        self.base, self._base = base, w.new_tensor(base or 0.0)
        self.rank = w.abs() > rounding if base is not None else torch.ones_like(w, dtype=torch.bool)

    def apply(self, terms: list[tuple[Scalar, Tensor]]) -> Tensor:
        """sum of f(A) v over the pairs (f, v)."""
        total: Tensor | None = None
        inner: Tensor | None = None
        for f, v in terms:
            fa = f(self.a)
            if self.base is not None:
                f0 = f(self._base)
                total = f0 * v if total is None else total + f0 * v
                fa = fa - f0
            part = torch.where(self.rank, fa / self.norm, 0.0) * self.basis(v)
            inner = part if inner is None else inner + part
        assert inner is not None
        return self.back(inner) if total is None else total + self.back(inner)

    def null_part(self, v: Tensor) -> float:
        """Norm of the part of v in modes of eigenvalue zero."""
        if self.base is None:
            return float(self.basis(v)[self.a == 0].norm())
        if self.base > 0:
            return 0.0
        inside = self.back(torch.where(self.rank, 1 / self.norm, 0.0) * self.basis(v))
        return float((v - inside).norm())


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _spectrum(system: LinearSystem, eigenvalues: bool) -> _Law:
    if isinstance(system, Implicit):
        return ProductLaw(system)
    if isinstance(system, ImplicitGram):
        return GramLaw(system)
    if isinstance(system, Dense) and system.floor > 0 and system.size >= LARGE and not eigenvalues:
        return ShiftedLaw(system)
    if isinstance(system, LowRank):
        J = system.J.detach().double()
        if system.H is not None:
            mu, U = torch.linalg.eigh(system.H.detach().double())
            if float(mu[0]) < -1e3 * torch.finfo(system.dtype).eps * float(mu.abs().max()):
                raise InputError(
                    f"H has the eigenvalue {float(mu[0]):.3g}: LowRank takes a positive semi-definite H; give "
                    "Dense(system.dense()) instead"
                )
            J = (U * mu.clamp(min=0).sqrt()).mT @ J
        if J.shape[0] < J.shape[1]:
            w, U = torch.linalg.eigh(J @ J.mT)
            w = w.clamp(min=0)
            return _Spectrum(lambda v: U.mT @ (J @ v), lambda c: J.mT @ (U @ c), w, w, float(system.damping))
        A = J.mT @ J + system.damping * torch.eye(J.shape[1], dtype=torch.float64, device=J.device)
    elif isinstance(system, Kronecker):
        (a, U), (c, V) = (torch.linalg.eigh(factor.detach().double()) for factor in (system.A, system.B))
        p, q = len(a), len(c)
        w = torch.outer(a, c).reshape(-1) + system.damping
        return _Spectrum(
            lambda v: (U.mT @ v.reshape(p, q) @ V).reshape(-1),
            lambda y: (U @ y.reshape(p, q) @ V.mT).reshape(-1),
            w,
            torch.ones_like(w),
            None,
        )
    else:
        A = system.dense().detach().double()
    w, V = torch.linalg.eigh((A + A.mT) / 2)
    return _Spectrum(lambda v: V.mT @ v, lambda c: V @ c, w, torch.ones_like(w), None)


_Law = _Spectrum | GramLaw | ProductLaw | ShiftedLaw


def _mean(spectrum: _Spectrum, x0: Tensor, b: Tensor, t: float, tolerance: float) -> tuple[Tensor, bool]:
    """The mean m(t), and whether it exists."""
    if t == 0:
        return x0.clone(), True  # exactly, with no round trip through the eigenvectors
    if math.isinf(t):
        if spectrum.unstable or spectrum.null_part(b) > tolerance * float(b.norm()):
            return x0, False
        # a mode without restoring force and without drive keeps its charge
        keep: Scalar = lambda a: (a == 0).to(a.dtype)  # noqa: E731
        settle: Scalar = lambda a: torch.where(a == 0, 0.0, 1 / a)  # noqa: E731
        return spectrum.apply([(keep, x0), (settle, b)]), True
    return spectrum.apply([(lambda a: torch.exp(-a * t), x0), (lambda a: _phi(a, t), b)]), True


def _oscillated(
    spectrum: _Spectrum, state: Tensor, b: Tensor, law: Oscillation, xi: Tensor | None, tolerance: float
) -> tuple[Tensor, bool]:
    """[x, x'] after a time, with noise of the standard normal xi, and whether it exists."""
    if law.t == 0:
        return state.clone(), True
    x0, v0 = state.chunk(2)
    if math.isinf(law.t):
        free = spectrum.unstable or bool((spectrum.a == 0).any()) or spectrum.base == 0
        if spectrum.unstable or (xi is not None and free) or spectrum.null_part(b) > tolerance * float(b.norm()):
            return state, False
    parts = []
    for i in range(2):
        terms = [(law.propagator(i, 0), x0), (law.propagator(i, 1), v0), (law.response(i), b)]
        if xi is not None:
            terms += [(law.root(i, j), draw) for j, draw in enumerate(xi.chunk(2)) if j <= i]
        parts.append(spectrum.apply(terms))
    return torch.cat(parts), True


def _fluctuation(spectrum: _Spectrum, xi: Tensor, kappa: float, t: float) -> tuple[Tensor, bool]:
    """A draw of covariance C(t) from the standard normal xi, and whether it exists."""
    if math.isinf(t):
        free = spectrum.unstable or bool((spectrum.a == 0).any()) or spectrum.base == 0
        if free:
            return xi, False
        return spectrum.apply([(lambda a: torch.sqrt(kappa / a), xi)]), True
    return spectrum.apply([(lambda a: torch.sqrt(kappa * _phi(a, 2 * t)), xi)]), True


def _phi(a: Tensor, t: float) -> Tensor:
    """(1 - e^{-a t}) / a, and its limit t at a = 0."""
    safe = torch.where(a == 0, 1.0, a)
    return torch.where(a == 0, t, -torch.expm1(-safe * t) / safe)
