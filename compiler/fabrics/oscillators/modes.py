"""Whether a mode of coupled oscillators grows, and which decays last, without all natural frequencies where these are many.

P(s) = K(s) + diag(m(s)) (`dynamics`) has 6 n roots and more. The 2 n slow ones among them are those of P up to second order in
s, moved by what is left of it; the fast ones, of the amplifiers themselves, are those of single cells without couplings, which die out at
such frequencies. Where amplifiers are hardly faster than the modes, or the sign of a root is left in doubt, the eigenvalues of the state
matrix decide.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from .dynamics import OscillatorDynamics

EXACT = 64
"""Unknowns up to which all natural frequencies are computed at once."""
FAST = 0.3
"""Largest modulus of a slow root over the frequencies of the amplifiers' poles in closed loop."""


def decays(law: OscillatorDynamics) -> bool:
    """Whether all modes of the circuit decay."""
    if law.size > EXACT and (found := _slow_modes_decay(law)) is not None:
        return found
    modes = law.modes()
    # Rounding has made a matrix singular whose root is zero, up to that of the eigenvalues.
    return bool(modes.real.max() < -len(modes) * np.finfo(float).eps * np.abs(modes).max())


def slowest_time(law: OscillatorDynamics) -> float:
    """Time constant of the mode that decays last, s; inf if one grows. Of more than `EXACT` unknowns to first order in the lag."""
    if law.size <= EXACT:
        rate = float(law.modes().real.max())
    else:
        slow = _slow_modes(law)
        rate = float((slow.roots + slow.shift).real.max())
    return -1.0 / rate if rate < 0 else math.inf


def slow_modes(law: OscillatorDynamics) -> np.ndarray:
    """The 2 n slowest natural frequencies, 1/s; of more than `EXACT` unknowns to first order in the lag."""
    if law.size > EXACT:
        slow = _slow_modes(law)
        return np.asarray(slow.roots + slow.shift)
    found = law.modes()
    return np.asarray(found[np.argsort(np.abs(found))][: 2 * law.size])


class _SlowModes(NamedTuple):
    """Roots of P up to second order, (2 n,) 1/s, what the rest of P moves each by, and how far it may be from there."""

    roots: np.ndarray
    shift: np.ndarray
    doubt: np.ndarray


def _slow_modes_decay(law: OscillatorDynamics) -> bool | None:
    """Whether the slow modes do, and the fast ones; None: it is in doubt."""
    roots, shift, doubt = _slow_modes(law)
    poles = max(law.lag, law.second / law.lag if law.lag else 0.0)
    if float(np.abs(roots).max()) * poles > FAST:
        return None
    found = (roots + shift).real
    near = np.where(shift == 0, doubt, np.abs(shift))
    sure = (near <= 0.5 * np.abs(roots.real)) | (np.abs(found) >= doubt)
    if (sure & (found > 0)).any():
        return False
    return True if sure.all() and _single_cells_decay(law) else None


def _slow_modes(law: OscillatorDynamics) -> _SlowModes:
    n = law.size
    stiffness, friction, inertia = _taylor(law)
    half = 1.0 / np.sqrt(inertia)
    static = half[:, None] * (law.coupled(0.0) + np.diag(stiffness)) * half
    rate = math.sqrt(float(np.linalg.norm(static)))
    damping = friction / inertia / rate
    companion = np.block([[np.zeros((n, n)), np.eye(n)], [-static / rate**2, -np.diag(damping)]])
    roots, left, right = linalg.eig(companion, left=True, right=True)
    y, x = left[n:].conj(), right[:n]
    slope = np.einsum("ij,ij->j", y, (2 * roots + damping[:, None]) * x)
    bent = np.abs(np.einsum("ij,ij->j", y, x))
    differing = half[:, None] * ((law.coupling[0] - law.coupling[1]) @ (half[:, None] * x))
    moved = np.empty(2 * n, dtype=complex)
    for k, root in enumerate(roots):
        s = rate * root
        own = (law.cell(s) - stiffness - friction * s - inertia * s * s) / inertia
        turned = (law.weights(s)[0] - law.weights(0.0)[0]) * differing[:, k]
        moved[k] = y[:, k] @ (own * x[:, k] + turned) / rate**2
    with np.errstate(divide="ignore", invalid="ignore"):
        # A root that is nearly double moves with the square root of what is added, either way.
        straight, curved = np.abs(moved / slope), np.sqrt(2 * np.abs(moved) / bent)
        double = ~(straight <= curved)
        shift = np.where(double, 0.0, -moved / slope)
        doubt = np.where(double, curved, 4 * straight**2 / np.abs(roots))
    return _SlowModes(rate * roots, rate * shift, rate * doubt)


def _taylor(law: OscillatorDynamics) -> np.ndarray:
    """Coefficients of m(s) up to second order, (3, n)."""
    # The mean over a circle well inside of the nearest pole, where those of high order are nothing.
    radius = 0.1 * min(float((law.load / law.capacitance).min()), float((law.link / law.storage).min()))
    orders, turns = np.arange(3)[:, None], np.exp(2j * math.pi * np.arange(16) / 16)
    around = np.mean([law.cell(radius * turn) * turn**-orders for turn in turns], axis=0)
    return np.asarray(around.real / radius**orders)


def _single_cells_decay(law: OscillatorDynamics) -> bool:
    """Whether all modes of the array without its couplings between cells do."""
    for start in range(0, law.size, EXACT):
        places = slice(start, start + EXACT)
        own: dict[str, Any] = {
            field.name: value[..., places]
            for field in dataclasses.fields(law)
            if isinstance(value := getattr(law, field.name), np.ndarray) and value.ndim < 3
        }
        matrices: dict[str, Any] = {
            name: np.stack([np.diag(np.diag(rail)[places]) for rail in getattr(law, name)])
            for name in ("coupling", "crossed")
        }
        if dataclasses.replace(law, **own, **matrices).modes().real.max() >= 0:
            return False
    return True
