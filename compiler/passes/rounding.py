"""Rounding other than to the nearest: component values rounded for the solution's sake, or at random without bias.

`quantise` takes the nearest value of each part by itself. What is asked of the circuit is its solution, though, and there single errors
may cancel. With the realised conductance matrix M instead of K = u D A D, and input resistors r times as conductive as they should be,

    x' - x = -D M^-1 E y,     E = M - diag(r) K,     y = D^-1 x,

exactly, and M^-1 is K^-1 to lowest order. Each part e adds g_e l_e r_e^T to M: l = +-e_i, r = e_j for a crosspoint, l = r = e_i + p e_j
for a passive coupling of polarity p, l = r = e_i for a part to ground. With a choice c_e in {0, 1} between the values below and above the
wanted one, at the fractions f_e of their distances, the squared first-order error is the quadratic form

    (c - f)^T Q (c - f) + 2 h^T (c - f) + const,     Q_ef = (l_e^T S l_f) (r_e^T T r_f) times the two distances,

S = K^-T D^2 K^-1 and T = y y^T, or T = K^-1 D^2 K^-T for the mean over all b; h holds what a finite gain and rounded input resistors do.
Its minimum is a closest-vector problem. It is searched from the nearest values by flipping one or two parts at a time while that helps,
and again after flipping a few at random (iterated local search).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from scipy import sparse

from ...circuits.errors import InputError
from ...circuits.technology.e_series import series_values
from ...circuits.technology.parts import OpAmp, Resistors
from ...circuits.technology.technology import Technology
from ..fabrics.base import Fabric
from ..matrices import dense
from ..parts import Parts
from ..validate import validate_drive
from .quantise import code_step, is_discrete, nearest, quantise, smallest_code
from .slices import choose_codes

P = TypeVar("P", bound=Parts)

Rounding = Literal["nearest", "solution", "stochastic"]
"""How component values are rounded."""
LARGEST = 1000
"""Most unknowns for which values are rounded for the solution: two dense inverses are held."""
BLOCK = 1024
"""Parts that are chosen together; more are chosen block after block."""
RESTARTS, FLIPS = 40, 6
"""How often the search goes on after random flips, over all blocks; and the number of flips."""
SWEEPS = 50
"""Most sweeps of flips in one block; they end long before, when no flip helps."""
ON_VALUE = 1e-9
"""Distance from a value, relative to it or to a step, within which a part is on it."""


def rounded(
    parts: P,
    fabric: Fabric,
    technology: Technology,
    scaling: np.ndarray,
    rounding: str = "nearest",
    b: Any = None,
    seed: int = 0,
) -> P:
    """The parts with every value rounded to one that can be had.

    Args:
        parts: as `fabric.place` returns them, both rails alike, SI units.
        fabric, technology: what they belong to.
        scaling: d, (n,).
        rounding: "nearest"; "solution": see `round_for_solution`; "stochastic": see `round_stochastically`.
        b: for "solution", the right-hand side (n,) whose solution counts; None: the mean over all.
        seed: for "stochastic", of the draws (a non-negative integer).

    Raises:
        InputError: another name, a fabric or a size that does not take this rounding, b unusable, a seed that is negative.
    """
    if not (isinstance(seed, int | np.integer) and seed >= 0):
        raise InputError(f"seed is {seed!r}; give an integer >= 0")
    resistors = technology.resistors
    if resistors.slices == 2 and rounding in ("solution", "stochastic"):
        raise InputError(
            f"rounding={rounding!r} chooses among the codes of one slice, and technology {technology.name} has two: use "
            "rounding='nearest', or set resistors.slices to 1"
        )
    if rounding == "nearest":
        near = quantise(parts, resistors)
        return near if resistors.slices == 1 else near.with_entries(choose_codes(parts.entries(), resistors))
    if rounding == "solution":
        return round_for_solution(parts, fabric, technology, scaling, b)
    if rounding == "stochastic":
        return round_stochastically(parts, technology.resistors, np.random.default_rng(seed))
    raise InputError(f"rounding {rounding!r} is unknown; there are: nearest, solution, stochastic")


def neighbours(conductance: np.ndarray, resistors: Resistors) -> tuple[np.ndarray, np.ndarray]:
    """The available conductances next below and next above, S, in the same shape; equal where there is no choice.

    There is none for an absent part (0), for a part on an available value, and for one beyond the largest code: they take the nearest.
    Between 0 and the smallest code the choice is to leave the part out or not.
    """
    close = nearest(conductance, resistors)
    if resistors.bits is not None:
        smallest, step = smallest_code(resistors), code_step(resistors)
        largest = 1.0 / resistors.unit
        code = np.floor(np.maximum(conductance - smallest, 0.0) / step)
        # As `nearest` computes them, to the last digit.
        below, above = smallest + code * step, smallest + (code + 1) * step
        small = conductance < smallest
        below, above = np.where(small, 0.0, below), np.where(small, smallest, above)
        fixed = (np.abs(conductance - close) <= ON_VALUE * step) | (conductance >= largest * (1 - ON_VALUE))
    else:
        assert resistors.series is not None
        below, above = close.copy(), close.copy()
        present = conductance > 0
        less, more = _adjacent_preferred(1.0 / close[present], resistors.series)
        lower = close[present] <= conductance[present]
        below[present] = np.where(lower, close[present], 1.0 / more)
        above[present] = np.where(lower, 1.0 / less, close[present])
        fixed = np.abs(conductance - close) <= ON_VALUE * close
    fixed |= conductance <= 0
    return np.where(fixed, close, below), np.where(fixed, close, above)


def round_stochastically(parts: P, resistors: Resistors, rng: np.random.Generator) -> P:
    """Each part up or down at random, such that its expected conductance is the wanted one; both rails alike.

    P(up) = (g - below) / (above - below), independently for each part. A part without a choice (see `neighbours`) takes the nearest
    value. Coils and capacitors are left as they are.

    Args:
        parts: before rounding, both rails alike.
        resistors: the values that can be had.
        rng: where the draws come from.
    """

    def drawn(conductance: np.ndarray) -> np.ndarray:
        below, above = neighbours(conductance, resistors)
        gap = above - below
        share = np.divide(conductance - below, gap, out=np.zeros_like(gap), where=gap > 0)
        return np.where(rng.random(gap.shape) < share, above, below)

    return parts.map_conductances(drawn) if is_discrete(resistors) else parts


def round_for_solution(parts: P, fabric: Fabric, technology: Technology, scaling: np.ndarray, b: Any = None) -> P:
    """The choice between the values below and above each wanted one that disturbs the solution least, as far as it is found.

    The first-order error (see the module's docstring) is searched, and of the choices found the one with the least error of the realised
    circuit is taken, ||x' - x|| for a given b, else ||M^-1 - A^-1||_F. The nearest values are among them: the result is never worse than
    they are, and it is them where no stable choice is better. Input resistors take the nearest value. A program made for one b may be
    worse for others than the nearest values are.

    Args:
        parts: before rounding, both rails alike, whose conductances add to the matrix one by one (`Parts.stamps`).
        fabric, technology: what they belong to; a finite gain's droop is made up for as well.
        scaling: d, (n,).
        b: (n,) right-hand side, problem units; None: the mean over all b.

    Raises:
        InputError: parts without stamps; more than `LARGEST` unknowns; b is unusable.
    """
    stamps = parts.stamps()
    if stamps is None:
        raise InputError(
            f"rounding='solution' is not supported by fabric {fabric.name}, whose parts are no resistors that add to the matrix one by "
            "one; use rounding='nearest' (or 'stochastic')"
        )
    if parts.size > LARGEST:
        raise InputError(
            f"rounding='solution' takes at most {LARGEST} unknowns, this system has {parts.size}; use rounding='nearest'"
        )
    driven = np.eye(parts.size) if b is None else validate_drive(b, parts.size)[:, None]
    if not is_discrete(technology.resistors):
        return parts
    close, exact = quantise(parts, technology.resistors), parts.conductances()
    below, above = neighbours(exact, technology.resistors)
    conductance = dense(fabric.realised(parts, technology.model_copy(update={"opamp": OpAmp()})))
    inverse, d = np.linalg.inv(conductance), scaling[:, None]
    wanted = inverse @ (d * driven)
    right = wanted @ wanted.T
    free = (above > below) & (_quadratic(stamps.right, right) > 0)
    if not free.any():
        return close
    moves = _Moves(stamps.left[free], stamps.right[free], below[free], above[free])
    nearest_values = close.conductances()

    def built(choice: np.ndarray) -> P:
        values = nearest_values.copy()
        values[free] = np.where(choice, moves.above, moves.below)
        return close.with_conductances(values)

    def error(candidate: P) -> float:
        if not fabric.is_stable(candidate, technology):
            return math.inf
        driving = fabric.drive(candidate)[:, None] * (d * driven)
        try:
            found = np.linalg.solve(dense(fabric.realised(candidate, technology)), driving)
        except np.linalg.LinAlgError:
            # Coarse codes can make rows equal, with an eigenvalue that is positive by rounding only.
            return math.inf
        return float(np.linalg.norm(d * (found - wanted)))

    start = nearest_values[free] > (moves.above + moves.below) / 2
    residual = dense(fabric.realised(close, technology)) - fabric.drive(close)[:, None] * conductance
    best, least = close, error(close)
    for choice in _search(moves, inverse.T @ (d**2 * inverse), right, residual, start):
        candidate = built(choice)
        size = error(candidate)
        if size < least:
            best, least = candidate, size
    return best


@dataclass(frozen=True)
class _Moves:
    """The parts that have a choice: shapes of what they add to K, and the values below and above the wanted one."""

    left: sparse.csr_array
    right: sparse.csr_array
    below: np.ndarray
    above: np.ndarray


def _search(
    moves: _Moves, left: np.ndarray, right: np.ndarray, residual: np.ndarray, start: np.ndarray
) -> Iterator[np.ndarray]:
    """Ever better choices (m,) of bool, in one array that is changed in place.

    `left` is S, `right` is T and `residual` is E with the parts as in `start`, (n, n) each.
    No flip of one or two parts of the block that was treated last improves them, to first order.
    """
    m, gap, rng = len(start), moves.above - moves.below, np.random.default_rng(0)
    choice, error = start.copy(), residual
    # At random, so that a block has parts in as many rows as can be, and with them the freedom to mend all of the error.
    blocks = np.array_split(rng.permutation(m), math.ceil(m / BLOCK))
    for block in blocks:
        L, R, g, before = moves.left[block], moves.right[block], gap[block], choice[block]
        Q = np.outer(g, g) * (L @ left @ L.T) * (R @ right @ R.T)
        slope = g * np.asarray((L @ (left @ error @ right) * R.toarray()).sum(axis=1))
        better, least = _flipped(Q, slope, before, before)
        choice[block] = better
        yield choice
        for _ in range(RESTARTS // len(blocks)):
            restart = choice[block]
            places = rng.choice(len(block), min(len(block), FLIPS), replace=False)
            restart[places] = ~restart[places]
            other, cost = _flipped(Q, slope, before, restart)
            if cost < least:
                better, least = other, cost
                choice[block] = better
                yield choice
        change = g * (better.astype(float) - before)
        error = error + (L.T @ sparse.diags_array(change) @ R).toarray()


def _flipped(Q: np.ndarray, slope: np.ndarray, origin: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, float]:
    """The start, improved by flips of one or two parts until none helps (or `SWEEPS` are over).

    The cost is (c - origin)^T Q (c - origin) + 2 slope^T (c - origin); it is returned with the choice.
    """
    choice = start.copy()
    moved = choice.astype(float) - origin
    own, sign = np.diag(Q).copy(), np.where(choice, -1.0, 1.0)
    tilt = Q @ moved + slope
    cost = float(moved @ (tilt + slope))
    # Below this a gain is the arithmetic's rounding, and flips could go round in circles.
    tiny = 1e-12 * float(own.max())
    for _ in range(SWEEPS):
        helped = False
        for e in range(len(choice)):
            alone = 2 * sign * tilt + own
            gain = alone + alone[e] + 2 * sign[e] * sign * Q[e]
            gain[e] = alone[e]
            partner = int(np.argmin(gain))
            if gain[partner] < -tiny:
                helped = True
                cost += float(gain[partner])
                for k in {e, partner}:
                    tilt += sign[k] * Q[k]
                    choice[k], sign[k] = not choice[k], -sign[k]
        if not helped:
            break
    return choice, cost


def _quadratic(rows: sparse.csr_array, form: np.ndarray) -> np.ndarray:
    """v^T form v for each row v, (m,)."""
    return np.asarray(rows.multiply(rows @ form).sum(axis=1)).ravel()


def _adjacent_preferred(values: np.ndarray, series: str) -> tuple[np.ndarray, np.ndarray]:
    """The preferred numbers next below and next above each of these preferred numbers."""
    mantissas = series_values(series)
    # A factor just above one, so that the logarithm of a power of ten cannot fall short.
    decade = np.floor(np.log10(values * (1 + ON_VALUE)))
    place = np.searchsorted(mantissas, values / 10.0**decade * (1 - ON_VALUE))
    grid = np.concatenate([[mantissas[-1] / 10.0], mantissas, [10.0]])
    return grid[place] * 10.0**decade, grid[place + 2] * 10.0**decade
