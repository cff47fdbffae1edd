"""The small-signal law of a cascade with each of its parts: both rails, finite gain and bandwidth, a second pole, offsets, noise.

An amplifier holds its input voltage at eps(s) times its output, less its offset, eps(s) = a + d s + b s^2 as in `array_dynamics`. At the
two inputs 0 and 1 of summing amplifier r of stage t meet signed conductances G_0, G_1 of the array and f_0, f_1 of its feedback, in all L_0
and L_1, at those of integrator i signed conductances K, damping g, capacitors C and input resistors:

    (eps + B_t) w_t = A_t w_(t-1) + Vos + noise,      A_t = sum_k G_k / (2 L_k),  B_t = sum_k f_k / (2 L_k),

    C_k d(e_k -+ v/2)/dt = -L_k e_k +- (K_k w_(T-1) + g_k v - g_in,k I / g_nominal) / 2 + noise,      eps v = e_1 - e_0 + Vos,

the upper sign at input 0. With rails that are alike this is the law of `cascade`. States are the charges q_k = e_k -+ (v + Vos) / 2 of the
capacitors, then v and its rate times b / d as far as the amplifiers have a pole and a second one, then each stage's outputs and their
rates, all in V.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.constants import Boltzmann

from ...circuits.amplifiers.models import IDEAL_GAIN
from ...circuits.amplifiers.noise_source import power_over_white
from ...circuits.technology.technology import Technology
from ..linear_law import LinearLaw, Outputs, SlowSource
from ..parts import AtRest, CellNoise
from .cascade_parts import FactoredParts
from .cascade_places import rows_and_columns

Kind = Literal["voltage", "current"]
STAGES = 2
"""Stages of summing amplifiers of J^T H J."""
SLOW_INPUTS: tuple[Kind, ...] = (*("current", "current", "current") * 2, "voltage", "voltage", "voltage")
"""Kinds of the inputs that may have 1/f noise; those of a stage that is not there drive nothing."""
_SIDES = np.array([1.0, -1.0])
"""Sign of the output that is joined to inputs 0 and 1 of an integrator, and of its half."""


@dataclass(frozen=True, eq=False)
class Summing:
    """Amplifiers of one array; the first axis of all but offset counts their inputs.

    Attributes:
        entries: (2, k, k') signed conductances, S. own: (2, k) feedback, or damping, S. load: (2, k) all that the inputs see, S.
        heat: (2, k) sum of conductance times temperature, S K. offset: (k,) V.
    """

    entries: np.ndarray
    own: np.ndarray
    load: np.ndarray
    heat: np.ndarray
    offset: np.ndarray

    @property
    def passed(self) -> np.ndarray:
        """A_t, (k, k')."""
        return np.asarray((self.entries / self.load[..., None]).sum(axis=0) / 2)

    @property
    def fed_back(self) -> np.ndarray:
        """B_t, (k,)."""
        return np.asarray((self.own / self.load).sum(axis=0) / 2)


@dataclass(frozen=True, eq=False)
class CascadeDynamics:
    """The law of the parts of one cascade.

    Attributes:
        stages: of summing amplifiers. cells: of integrators, whose `own` is damping.
        drive: (2, n) input resistors over their nominal conductance. capacitance: (2, n) F.
        leak, lag, second: a, d (s) and b (s^2) of the amplifiers.
        voltage, current: two-sided densities of an amplifier's white noise, V^2/Hz and A^2/Hz of each input.
        corners: of their 1/f noise, Hz.
    """

    stages: tuple[Summing, ...]
    cells: Summing
    drive: np.ndarray
    capacitance: np.ndarray
    start: np.ndarray
    leak: float
    lag: float
    second: float
    voltage: float
    current: float
    corners: tuple[float, float]

    @classmethod
    def of(cls, parts: FactoredParts, technology: Technology) -> CascadeDynamics:
        """Of these parts with the technology's amplifiers."""
        opamp, count = technology.opamp, len(parts.arrays)
        slow, fast = 1.0 / (2 * math.pi * opamp.gbw), 1.0 / (2 * math.pi * opamp.second_pole)
        values = parts.by_rail()
        kelvin = parts.temperatures or [np.full_like(kind, technology.thermal.ambient) for kind in parts.kinds()[:-1]]
        found = []
        for t, array in enumerate(parts.arrays):
            last = t == count - 1
            own = -3 if last else count + t
            heated = values[own] * kelvin[own + 1 if last else own]
            more = values[-2] if last else np.zeros((2, 1))
            entries, weighed = (
                _at_inputs(array, kind, crossed=not last) for kind in (values[t], values[t] * kelvin[t])
            )
            found.append(
                Summing(
                    entries=entries,
                    own=values[own],
                    load=np.abs(entries).sum(axis=2) + values[own] + more,
                    heat=np.abs(weighed).sum(axis=2) + heated + (more * kelvin[-1] if last else 0.0),
                    offset=parts.offset if last else parts.stage_offset(t),
                )
            )
        gain = min(opamp.gain, IDEAL_GAIN)
        return cls(
            stages=tuple(found[:-1]),
            cells=found[-1],
            drive=values[-2] / parts.drive_nominal,
            capacitance=values[-1],
            start=np.concatenate([np.eye(parts.size), *parts.stages()]),
            leak=1.0 / gain,
            lag=slow + fast / gain,
            second=slow * fast,
            voltage=opamp.noise_voltage**2 / 2,
            current=opamp.noise_current**2 / 2,
            corners=(opamp.noise_voltage_corner, opamp.noise_current_corner),
        )

    @property
    def size(self) -> int:
        """Number of cells n."""
        return len(self.cells.offset)

    @cached_property
    def at_rest(self) -> AtRest:
        """K v = drive I + offset, with all that differs between the rails."""
        n = self.size
        signal, offset = np.eye(n), np.zeros(n)
        for stage in self.stages:
            held = (self.leak + stage.fed_back)[:, None]
            signal = stage.passed @ signal / held
            offset = (stage.passed @ offset + stage.offset) / held[:, 0]
        load = self.cells.load
        weights, seen = load[::-1] / load.sum(axis=0), 2 * load[0] * load[1] / load.sum(axis=0)
        last = (weights[..., None] * self.cells.entries).sum(axis=0)
        damping = (weights * self.cells.own).sum(axis=0)
        return AtRest(
            matrix=last @ signal + np.diag(damping + self.leak * seen),
            drive=(weights * self.drive).sum(axis=0),
            offset=seen * self.cells.offset - last @ offset,
        )

    def noise(self, frequency: float) -> CellNoise:
        """Noise at a frequency, Hz, with 1/f parts."""
        s, n = 2j * math.pi * frequency, self.size
        error = self.leak + self.lag * s + self.second * s * s
        volts = self.voltage * power_over_white(frequency, self.corners[0])
        amperes = self.current * power_over_white(frequency, self.corners[1])
        signal: np.ndarray = np.eye(n)
        johnson: np.ndarray = np.zeros((n, n))
        amplifiers: np.ndarray = np.zeros((n, n))
        for stage in self.stages:
            passed = stage.passed / (error + stage.fed_back)[:, None]
            held = np.abs(error + stage.fed_back) ** 2
            signal = passed @ signal
            of_resistors = (2 * Boltzmann * stage.heat / stage.load**2).sum(axis=0) / held
            of_inputs = (volts + amperes * (1 / stage.load**2).sum(axis=0)) / held
            # None comes from before the first stage, which has the cells' voltages.
            before = stage is not self.stages[0]
            johnson = np.diag(of_resistors) + (passed @ johnson @ passed.conj().T if before else 0.0)
            amplifiers = np.diag(of_inputs) + (passed @ amplifiers @ passed.conj().T if before else 0.0)
        joined = self.cells.load + s * self.capacitance
        weights, seen = joined[::-1] / joined.sum(axis=0), 2 * joined[0] * joined[1] / joined.sum(axis=0)
        last = (weights[..., None] * self.cells.entries).sum(axis=0)
        held = (weights * (self.cells.own + s * self.capacitance)).sum(axis=0) + error * seen
        shares = 4 * np.abs(weights) ** 2
        own = (shares * 2 * Boltzmann * self.cells.heat).sum(axis=0)
        inputs = np.abs(seen) ** 2 * volts + amperes * shares.sum(axis=0)
        sent = last @ johnson @ last.conj().T if self.stages else 0.0
        sent_on = last @ amplifiers @ last.conj().T if self.stages else 0.0
        return CellNoise(last @ signal + np.diag(held), np.diag(own) + sent, np.diag(inputs) + sent_on)

    def linear_law(self) -> LinearLaw:
        """All states, see the module's docstring. White noise voltage of amplifiers without a pole, of infinite variance at their outputs,
        is left out of the integrators'."""
        return _States(self).law()


class _States:
    """Rows over states and inputs, from which the law is put together.

    Inputs are the cells' drive currents, 1, and for each amplifier the currents into its inputs 0 and 1 and the voltage in series with
    them: first those of all integrators, then those of each stage.
    """

    def __init__(self, dynamics: CascadeDynamics) -> None:
        self.dynamics, n = dynamics, dynamics.size
        self.order = (1 if dynamics.lag else 0) + (1 if dynamics.second else 0)
        self.counts = [n, *(len(stage.offset) for stage in dynamics.stages)]
        self.states = 2 * n + self.order * sum(self.counts)
        self.noise = self.states + n + 1
        self.columns = self.noise + 3 * sum(self.counts)
        self.flow = np.zeros((self.states, self.columns))

    def law(self) -> LinearLaw:
        """See `CascadeDynamics.linear_law`."""
        d, n, m = self.dynamics, self.dynamics.size, self.states
        q = [self._rows(k * n, n) for k in range(2)]
        volts = self._amplifier(0, q[1] - q[0], np.ones(n), np.zeros((n, 1)))
        signal, outputs = volts, [volts]
        for t, stage in enumerate(d.stages, start=1):
            currents = [self._noise(t, k) / stage.load[k][:, None] for k in range(2)]
            signal = self._amplifier(t, stage.passed @ signal + currents[1] - currents[0], stage.fed_back, stage.offset)
            outputs.append(signal)
        constant, drive = self._rows(m + n, 1), self._rows(m, n)
        for k, sign in enumerate(_SIDES):
            inputs = q[k] + sign / 2 * (volts + d.cells.offset[:, None] * constant)
            driven = d.cells.entries[k] @ signal + d.cells.own[k][:, None] * volts - d.drive[k][:, None] * drive
            into = self._noise(0, k) - d.cells.load[k][:, None] * inputs + sign / 2 * driven
            self.flow[k * n : (k + 1) * n] = into / d.capacitance[k][:, None]
        return self._record(outputs)

    def _amplifier(self, t: int, held: np.ndarray, own: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Rows of the outputs w of amplifiers with (eps + own) w = held + offset + noise voltage; fills in those of their states."""
        d, count = self.dynamics, self.counts[t]
        held = held + offset.reshape(count, 1) * self._rows(self.states + d.size, 1) + self._noise(t, 2)
        closed = (d.leak + own)[:, None]
        if not self.order:
            return np.asarray(held / closed)
        first = 2 * d.size + self.order * sum(self.counts[:t])
        output = self._rows(first, count)
        if self.order == 1:
            self.flow[first : first + count] = (held - closed * output) / d.lag
            return output
        fast = d.second / d.lag
        rate = self._rows(first + count, count)
        self.flow[first : first + count] = rate / fast
        self.flow[first + count : first + 2 * count] = (held - closed * output) / d.lag - rate / fast
        return output

    def _record(self, outputs: list[np.ndarray]) -> LinearLaw:
        d, n, m, flow = self.dynamics, self.dynamics.size, self.states, self.flow
        amplifiers = [d.cells, *d.stages]
        thermal = np.concatenate(
            [2 * Boltzmann * np.concatenate([*one.heat, np.zeros(len(one.offset))]) for one in amplifiers]
        )
        own = np.concatenate([np.repeat([d.current, d.current, d.voltage], len(one.offset)) for one in amplifiers])
        into = flow[:, self.noise :]
        start = np.zeros((m, n))
        for k, sign in enumerate(_SIDES):
            start[k * n : (k + 1) * n] = -sign / 2 * (1 + d.leak) * np.eye(n)
        if self.order:
            places = [2 * n + self.order * sum(self.counts[:t]) for t in range(len(self.counts))]
            begun = np.split(d.start, np.cumsum(self.counts)[:-1])
            for place, rows in zip(places, begun, strict=True):
                start[place : place + len(rows)] = rows
        kept = (self._rows(n, n) - self._rows(0, n))[:, :m] / (1 + d.leak)
        return LinearLaw(
            drift=flow[:, :m].copy(),
            drive=flow[:, m : m + n].copy(),
            constant=flow[:, m + n].copy(),
            johnson=(into * thermal) @ into.T,
            amplifiers=(into * own) @ into.T,
            slow=tuple(self._slow()),
            read=outputs[0][:, :m].copy(),
            start=start,
            kept=kept,
            outputs=self._outputs(outputs),
        )

    def _slow(self) -> list[SlowSource]:
        """In the order of `SLOW_INPUTS`: inputs of integrators and of each stage, of one width."""
        d, found = self.dynamics, []
        counts = [*self.counts, *[0] * (STAGES - len(d.stages))]
        inputs: list[tuple[Kind, int]] = [("current", 0), ("current", 1), ("voltage", 2)]
        for kind, which in inputs:
            for t, count in enumerate(counts):
                place = self.noise + 3 * sum(counts[:t]) + which * count
                into = np.zeros((self.states, max(counts)))
                into[:, :count] = self.flow[:, place : place + count]
                found.append(SlowSource(kind, into))
        return found

    def _outputs(self, outputs: list[np.ndarray]) -> Outputs:
        """One rail of each amplifier, of which the other is the mirror image: half of the output, and what the mean of the rails draws."""
        d, m, n = self.dynamics, self.states, self.dynamics.size
        amplifiers = [d.cells, *d.stages]
        after = [*d.stages, d.cells]
        volts, amperes = [], []
        for one, following, output in zip(amplifiers, after, outputs, strict=True):
            columns = np.abs(following.entries).sum(axis=1).mean(axis=0)
            volts.append(output / 2)
            amperes.append((columns + one.own.mean(axis=0))[:, None] * output / 2)
        # A capacitor's voltage is that of its output less its input's.
        amperes[0] = amperes[0] - d.capacitance[0][:, None] * self.flow[:n]
        shown, drawn = np.concatenate(volts), np.concatenate(amperes)
        return Outputs(volts=shown[:, :m].copy(), amperes=drawn[:, :m].copy(), drive=drawn[:, m : m + n].copy())

    def _rows(self, first: int, count: int) -> np.ndarray:
        rows = np.zeros((count, self.columns))
        rows[:, first : first + count] = np.eye(count)
        return rows

    def _noise(self, t: int, which: int) -> np.ndarray:
        """Currents into inputs 0 and 1, and the voltage, of the amplifiers of stage t; 0: the integrators."""
        return self._rows(self.noise + 3 * sum(self.counts[:t]) + which * self.counts[t], self.counts[t])


def _at_inputs(array: sparse.csr_array, values: np.ndarray, crossed: bool) -> np.ndarray:
    """(2, k, k') signed, of an array's entries (2, m), one row a rail.

    Rail r of an integrator's array ends at its input r. Of a stage's (`crossed`) positive ones of rail p end at input 1, which lifts the
    like output, and negative ones at input 0.
    """
    row, column = rows_and_columns(array)
    sign = np.sign(array.data)
    found = np.zeros((2, *array.shape))
    for k in range(2):
        chosen = np.where(sign > 0, values[1 - k], values[k]) if crossed else values[k]
        np.add.at(found[k], (row, column), sign * chosen)
    return found
