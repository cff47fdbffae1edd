"""The small-signal law of an integrator array with each of its parts: both rails, finite gain and bandwidth, a second pole, inverters.

An amplifier of gain A0, gain-bandwidth product w = 2 pi GBW and second pole p (rad/s) holds its input voltage at eps(s) times its output,

    eps(s) = (1 / A0) (1 + s A0 / w) (1 + s / p) = a + d s + b s^2,     a = 1 / A0,  d = 1 / w + a / p,  b = 1 / (w p).

With K_r the signed crosspoints of rail r, Y_r = L_r + s C_r all that its summing nodes see, and the weights W_0 = Y_1 / (Y_0 + Y_1),
W_1 = 1 - W_0 (diagonal matrices),

    { sum_r W_r (K_r + s C_r) + eps 2 Y_0 Y_1 / (Y_0 + Y_1) } v = P(s) v = sum_r W_r g_r V + 2 Y_0 Y_1 / (Y_0 + Y_1) Vos,

from the balance of the summing nodes e_r, which differ by eps v - Vos. Where the rails are alike this is the law of `crossbar`; the mean of
the rails, which that takes, misses products of two deviations. With one rail W = 1, Y = L + s C, and what goes through inverters of ratio
r is K_pos - k r / (1 + (1 + r) eps).

A mode grows where det P(s) = 0 with Re s > 0. Four steps decide it, the cheap ones first:

1. det P(0) < 0. P(s) is positive for large real s, so there is a real root between: a growing mode.
2. A numerical range that excludes zero on the imaginary axis (`_Range`): no root has crossed it on the way to an array without couplings,
   so that all modes decay.
3. Where the amplifiers are fast enough that only slow modes can grow, the roots of P(0) + s P'(0), which are first order in the lag, with
   their shift by s^2 P''(0) / 2, if that leaves no doubt of a sign (`_slow_modes_grow`).
4. Else the eigenvalues of the state matrix (`modes`).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...circuits.technology.technology import Technology
from ..matrices import is_positive_definite
from ..parts import AtRest
from .crossbar_parts import CrossbarParts

SLACK = 1.1
"""Factor on what the numerical range must outweigh, for what rails that differ add in second order."""


class _Range(NamedTuple):
    """Whether only slow modes can cross the imaginary axis, and whether none does."""

    only_slow: bool
    excludes_zero: bool


@dataclass(frozen=True, eq=False)
class ArrayDynamics:
    """The law of one array's parts, SI units; the first axis counts rails.

    Attributes:
        coupling: (rails, n, n) K_r, S; with one rail the positive entries only. load: (rails, n) L_r, S.
        drive: (rails, n) g_r over the nominal conductance. capacitance: (rails, n) F. offset: (n,) V.
        inverted: (n, n) k, S; zeros where there are no inverters. ratio, inverter_offset: (n,) of the inverters.
        leak, lag, second: a, d (s) and b (s^2) of the amplifiers. pole: 1 / p, s.
        ratios, inverter_ratios: gain and gain-bandwidth product of the cells' and of the inverters' amplifiers over those that these are
            of, (2, n) or (2, 1).
    """

    coupling: np.ndarray
    load: np.ndarray
    drive: np.ndarray
    capacitance: np.ndarray
    offset: np.ndarray
    inverted: np.ndarray
    ratio: np.ndarray
    inverter_offset: np.ndarray
    leak: float
    lag: float
    second: float
    pole: float = 0.0
    ratios: np.ndarray = dataclasses.field(default_factory=lambda: np.ones((2, 1)))
    inverter_ratios: np.ndarray = dataclasses.field(default_factory=lambda: np.ones((2, 1)))

    @classmethod
    def of(cls, parts: CrossbarParts, technology: Technology) -> ArrayDynamics:
        """Of these parts with the technology's amplifiers."""
        opamp = technology.opamp
        slow, fast = 1.0 / (2 * math.pi * opamp.gbw), 1.0 / (2 * math.pi * opamp.second_pole)
        slices = [(values, signs) for _, values, signs in parts.by_slice()]
        coupling = sum(signs * values for values, signs in slices)
        total = sum(np.abs(signs) * values for values, signs in slices)
        inverters, inverted = parts.inverters(), np.zeros((parts.size, parts.size))
        if inverters is not None:
            inverted, coupling = inverters.coupling, np.maximum(coupling, 0.0)
        return cls(
            coupling=np.asarray(coupling),
            load=np.asarray(total).sum(axis=2) + parts.drive,
            drive=parts.drive / parts.drive_nominal,
            capacitance=parts.capacitance,
            offset=parts.offset,
            inverted=inverted,
            ratio=parts.inverter[0] / parts.inverter[1],
            inverter_offset=parts.inverter_offset,
            leak=1.0 / opamp.gain,
            lag=slow + fast / opamp.gain,
            second=slow * fast,
            pole=fast,
            ratios=parts.amplifier_ratios,
            inverter_ratios=parts.inverter_ratios,
        )

    @cached_property
    def _weights(self) -> np.ndarray:
        """W_r at rest, (rails, n)."""
        return self.load[::-1] / self.load.sum(axis=0) if len(self.load) == 2 else np.ones_like(self.load)

    @cached_property
    def at_rest(self) -> AtRest:
        """P(0), and what drives it."""
        currents = self.seen(0.0) * self.offset - self.inverted @ (
            (1 + self.ratio) * self.passed(0.0) * self.inverter_offset
        )
        matrix = self.admittance(0.0)
        return AtRest(matrix, (self._weights * self.drive).sum(axis=0), currents)

    def error(self, s: complex) -> np.ndarray:
        """eps(s) of the cells' amplifiers, (n,) or (1,)."""
        return self._error(s, self.ratios)

    def _error(self, s: complex, ratios: np.ndarray) -> np.ndarray:
        leak, lag, second = self._own(ratios)
        return np.asarray(leak + lag * s + second * s * s)

    def _own(self, ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """a, d and b of amplifiers with these ratios."""
        gain, gbw = ratios
        lag = self.lag / gbw + self.leak * self.pole * (1 / gain - 1 / gbw)
        return self.leak / gain, lag, self.second / gbw

    def passed(self, s: complex) -> np.ndarray:
        """1 / (1 + (1 + r) eps), (n,): what inverters pass on of their ideal output."""
        return np.asarray(1 / (1 + (1 + self.ratio) * self._error(s, self.inverter_ratios)))

    def seen(self, s: complex) -> np.ndarray:
        """2 Y_0 Y_1 / (Y_0 + Y_1), or Y, (n,) S: the current into a cell for each volt at its amplifier's input."""
        joined = self.load + s * self.capacitance
        return np.asarray(joined[0] if len(joined) == 1 else 2 * joined[0] * joined[1] / (joined[0] + joined[1]))

    def admittance(self, s: complex) -> np.ndarray:
        """P(s), (n, n) A/V."""
        joined = self.load + s * self.capacitance
        weights = joined[::-1] / joined.sum(axis=0) if len(joined) == 2 else np.ones_like(joined)
        held = s * (weights * self.capacitance).sum(axis=0) + self.error(s) * self.seen(s)
        return np.asarray(
            (weights[..., None] * self.coupling).sum(axis=0)
            + np.diag(held)
            - self.inverted * (self.ratio * self.passed(s))
        )

    def grows(self) -> bool:
        """Whether a mode grows; see the module's docstring."""
        sign, _ = np.linalg.slogdet(self.at_rest.matrix)
        if sign <= 0:
            return True
        if (self.ratios != 1).any() or (self.inverter_ratios != 1).any():
            return bool(self.modes().real.max() >= 0)
        found = self._range()
        if found.only_slow:
            if found.excludes_zero:
                return False
            slow = self._slow_modes_grow()
            if slow is not None:
                return slow
        return bool(self.modes().real.max() >= 0)

    def _range(self) -> _Range:
        """Where v^H P(i w) v is, for all v and real w.

        In coordinates in which the capacitances are 1, |v| = 1, with k = k_r + i k_i in the numerical range of P(0), k_r >= low,
        |k_i| <= skew, and l in that of the load,

            Re = k_r - w^2 (d + b l) - ...,     Im = w (1 + a - b w^2 + d l) + k_i + ...

        From |w| = 2 skew to |w|^2 = 1 / 4 b, |Im| > |w| / 2 - skew; beyond, Re < 0: only slow modes can cross the axis. They do not if
        Re > 0 up to |w| = 2 skew. Inverters add to Re at most w^2 (b + d^2 (1 + r)) |N| + |w| d |skew N|, and to Im at most |w| d |N|,
        with N = k r (1 + r); rails that differ at most |w| |m (K_0 - K_1)| to both, with m the change of their weights with frequency.
        """
        leak, lag, second = self.leak, self.lag, self.second
        storage = (self._weights * self.capacitance).sum(axis=0)
        half = 1.0 / np.sqrt(storage)
        scaled = half[:, None] * self.at_rest.matrix * half
        skew = float(np.linalg.norm(scaled - scaled.T)) / 2
        load = float((self.load.max(axis=0) / storage).max())
        largest = float(np.linalg.norm(scaled))
        turn, turned, gain, peaks = 0.0, 0.0, 0.0, False
        if self.inverted.any():
            gain = 1 + float(self.ratio.max())
            peaks = bool(second) and gain * lag**2 < 2 * second * (1 + gain * leak)
            inner = half[:, None] * (self.inverted * self.ratio * (1 + self.ratio)) * half
            turn, turned = float(np.linalg.norm(inner)), float(np.linalg.norm(inner - inner.T)) / 2
            largest += 2 * turn
        apart = 0.0
        if len(self.load) == 2:
            (load_0, load_1), (storage_0, storage_1) = self.load, self.capacitance
            moved = (storage_1 * load_0 - storage_0 * load_1) / (load_0 + load_1) ** 2
            differing = moved[:, None] * (self.coupling[0] - self.coupling[1])
            apart = float(np.linalg.norm(half[:, None] * differing * half))
        slow = 2 * skew
        lost = slow**2 * (lag + second * load + turn * (second + gain * lag**2)) + slow * (lag * turned + apart)
        only_slow = turn * lag + apart <= 0.2 and largest * lag <= 0.5 and 8 * largest * second <= lag and not peaks
        return _Range(only_slow, only_slow and is_positive_definite(scaled - SLACK * lost * np.eye(len(scaled))))

    def _slow_modes_grow(self) -> bool | None:
        """Whether one of them does; None: it is in doubt."""
        rest = self.at_rest.matrix
        # What is left of third order is a millionth, and rounding of the second order less.
        step = 1e-3 * float(np.median((np.abs(self.coupling).sum(axis=2) / self.capacitance).mean(axis=0)))
        moved = self.admittance(1j * step)
        slow, curved = moved.imag / step, (rest - moved.real) / step**2
        held = np.linalg.inv(slow)
        roots, vectors = np.linalg.eig(-held @ rest)
        shift = -(roots**2) * np.einsum("ij,ji->i", np.linalg.inv(vectors), held @ curved @ vectors)
        found, left = roots + shift, 4 * np.abs(shift) ** 2 / np.maximum(np.abs(roots), np.finfo(float).tiny)
        sure = (np.abs(shift) <= 0.5 * np.abs(roots.real)) | (np.abs(found.real) >= left)
        if (sure & (found.real > 0)).any():
            return True
        return False if sure.all() else None

    def modes(self) -> np.ndarray:
        """Natural frequencies, 1/s: complex, in no order."""
        return np.linalg.eigvals(self._state_matrix() if self.lag else self._without_lag())

    def _without_lag(self) -> np.ndarray:
        """With amplifiers that follow at once; the rails' weights are those at rest."""
        storage = (self._weights * self.capacitance).sum(axis=0) * (1 + self.leak / self.ratios[0])
        return -self.at_rest.matrix / storage[:, None]

    def _state_matrix(self) -> np.ndarray:
        """d/dt of the outputs v, with a second pole their rates, the summing nodes of each rail, then the inverters' outputs and rates."""
        n, rails = len(self.offset), len(self.load)
        order, used = (2 if self.second else 1), np.flatnonzero(self.inverted.any(axis=0))
        starts = {"v": 0, "e": order * n, "n": (order + rails) * n}
        size = starts["n"] + order * len(used)
        own, zero, cells = np.eye(size), np.zeros((n, size)), np.arange(n)
        volts, summing = own[:n], [own[starts["e"] + r * n :][:n] for r in range(rails)]
        # eps v is the lower input's voltage less the upper one's, with its sign turned.
        held = (summing[1] - summing[0]) if rails == 2 else -summing[0]
        flow = np.zeros((size, size))
        ratios, own_ratios = (np.broadcast_to(one, (2, n)) for one in (self.ratios, self.inverter_ratios))
        rate = self._amplifier(flow, cells, ratios, held, volts, own)
        outputs = zero[: len(used)]
        if len(used):
            outputs = own[starts["n"] :][: len(used)]
            ratio = self.ratio[used][:, None]
            fed = -(ratio * volts[used] + outputs) / (1 + ratio)
            self._amplifier(flow, starts["n"] + np.arange(len(used)), own_ratios[:, used], fed, outputs, own)
        for r in range(rails):
            share = (1.0, -1.0)[r] / rails
            current = share * self.coupling[r] @ volts - self.load[r][:, None] * summing[r]
            if len(used):
                current = current + self.inverted[:, used] @ outputs
            flow[starts["e"] + r * n + cells] = share * rate + current / self.capacitance[r][:, None]
        return flow

    def _amplifier(
        self,
        flow: np.ndarray,
        places: np.ndarray,
        ratios: np.ndarray,
        held: np.ndarray,
        volts: np.ndarray,
        own: np.ndarray,
    ) -> np.ndarray:
        """Fill in the rows of amplifiers with outputs `volts` and inputs `held`; returns the rates of the outputs."""
        leak, lag, second = (one[:, None] for one in self._own(ratios))
        if not self.second:
            rate = (held - leak * volts) / lag
            flow[places] = rate
            return np.asarray(rate)
        rate, count = own[places + len(places)], len(places)
        flow[places] = rate
        flow[places + count] = (held - leak * volts - lag * rate) / second
        return rate
