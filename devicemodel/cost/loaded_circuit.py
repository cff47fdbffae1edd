"""`LoadedCircuit`: how long a compiled circuit settles and what its parts take meanwhile, from the state space of its netlist.

Each amplifier is the technology's macromodel about zero volts: finite gain, both poles, output resistance, common mode, so that what loads
its inputs and outputs slows it and takes gain. With x' = F x + B u, v = H x + D u the node voltages, x_inf = -F^-1 B u and delta(t) =
exp(F t) (x(0) - x_inf), after the drive is applied at t = 0 to cells without charge:

    error(t) = |X H delta(t)| / |X v_inf|        X: from node voltages to the solution; Euclidean norms, problem units
    heat of the resistors up to T = int_0^T v^T G v dt
        = T v_inf^T G v_inf + 2 v_inf^T G H F^-1 [delta(T) - delta(0)] + delta(0)^T Y delta(0) - delta(T)^T Y delta(T),
          F^T Y + Y F = -H^T G H,        G the Laplacian of the resistors alone

The settling time to an accuracy is the last time at which the error is as large; over all b at once, at which |X H exp(F t) F^-1 B S^-1|_2
is, S being the map from b to the solution. Slew rate and output limit are left out, as are noise and thermal drift.

This is the designer's analysis and knows the solution. It must not be used on the path of a simulated device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import expm, solve_continuous_lyapunov

from ...circuits.amplifiers.models import AmplifierCell, Macromodel
from ...circuits.linear.statespace import StateSpace, state_space
from ...circuits.netlist.elements import GROUND, Resistor
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.amplifier_draw import AmplifierDraw
from ...circuits.technology.parts import OpAmp
from ...compiler.program import AnalogProgram

GRID = 200
"""Times at which the error is looked at, at least."""
A_PERIOD = 12
MOST_TIMES = 4000
"""Times in a period of the fastest swing that lasts, and most of all."""
ALIVE = 4.0
"""Modes that decay faster than so many times the slowest one are gone when the error is small."""
MOST_DOUBLINGS = 12
"""Of the span in which the error is followed, from what the slowest mode alone would take."""


def small_signal(opamp: OpAmp) -> OpAmp:
    """What of an amplifier acts on small signals, without its noise."""
    silent = dict.fromkeys(("noise_voltage", "noise_current"), 0.0)
    return opamp.model_copy(update={**silent, "slew": math.inf})


class _Listed:
    """An amplifier cell that keeps the outputs of each amplifier that it adds."""

    def __init__(self, cell: AmplifierCell) -> None:
        self._cell, self.outputs = cell, list[str]()

    def add(
        self,
        netlist: Netlist,
        inputs: tuple[str, str],
        outputs: tuple[str, ...],
        name: str,
        offset: float = 0.0,
        state: float = 0.0,
        group: str = "",
        draw: AmplifierDraw | None = None,
    ) -> None:
        """See `AmplifierCell.add`."""
        self.outputs += outputs
        self._cell.add(netlist, inputs, outputs, name, offset, state, group, draw)


@dataclass(frozen=True)
class Rest:
    """The circuit at rest under its drive.

    Attributes:
        heat: W in the resistors.
        volts, currents: of each output of an amplifier, V, and A into its load.
    """

    heat: float
    volts: np.ndarray
    currents: np.ndarray


class LoadedCircuit:
    """The linear law of a compiled program's netlist.

    Args:
        program: nominal, or on a die.
        b: (n,) right-hand side, problem units; None: no drive.

    Raises:
        InputError: b does not fit. NetlistError: the circuit has no state space.
    """

    def __init__(self, program: AnalogProgram, b: Any = None) -> None:
        self.program = program
        cell = _Listed(Macromodel(small_signal(program.technology.opamp))) if program.fabric.active else None
        netlist = program.netlist(b, amplifier=cell).linearised()
        self.space: StateSpace = state_space(netlist)
        # What an amplifier is made of is noiseless, and what it dissipates is not the resistors' heat.
        resistors = [part for part in netlist.of(Resistor) if part.noisy]
        self._nodes = {node: k for k, node in enumerate(self.space.outputs)}
        self._laplacian = self._assembled(resistors)
        self._outputs = [self._nodes[node] for node in cell.outputs] if cell else []

    @property
    def stable(self) -> bool:
        """Whether each natural frequency decays."""
        return self.space.is_stable

    @cached_property
    def slowest(self) -> float:
        """Slowest time constant, s; inf in an unstable circuit, 0 in one without states."""
        if not self.stable:
            return math.inf
        return -1.0 / float(self.space.eigenvalues[0].real) if self.space.size else 0.0

    def settling(self, accuracy: float) -> float:
        """Time after which the error stays below `accuracy`, s: for its drive, or, without one, for every b; inf if it never does."""
        if not self.stable:
            return math.inf
        if not self.program.fabric.mean:  # A^-1 is in a covariance, which nothing drives
            return self.slowest * math.log(1 / accuracy)
        start, whole = self._start()
        rows = self._solution @ self.space.H
        span, roots = self.slowest * math.log(1 / accuracy), self.space.eigenvalues
        lasting = roots.imag[-roots.real * self.slowest < ALIVE]
        swings = float(np.abs(lasting).max(initial=0.0)) / (2 * math.pi)
        for _ in range(MOST_DOUBLINGS):
            count = min(max(GRID, math.ceil(A_PERIOD * swings * span)), MOST_TIMES)
            times = np.linspace(0.0, span, count + 1)
            errors = _errors(self.space.F, rows, start, whole, times)
            above = np.flatnonzero(errors > accuracy)
            if not len(above):
                return 0.0
            last = int(above[-1])
            if last < count:
                # Errors fall exponentially between two times of the grid.
                share = math.log(errors[last] / accuracy) / math.log(errors[last] / errors[last + 1])
                return float(times[last] + share * (times[last + 1] - times[last]))
            span *= 2
        return math.inf

    def at_rest(self) -> Rest:
        """Heat and loads at rest."""
        volts = self._resting
        leaving = self._laplacian @ volts
        return Rest(float(volts @ leaving), volts[self._outputs], leaving[self._outputs])

    def heat(self, seconds: float) -> float:
        """Heat that the resistors make from t = 0, when the drive is applied, up to this time, J; nan in an unstable circuit."""
        if not self.stable:
            return math.nan
        space, resting = self.space, self._resting
        weight = self._laplacian @ space.H
        held = seconds * float(resting @ self._laplacian @ resting)
        if space.size == 0:
            return held
        first = space.initial - self._resting_state
        last = expm(space.F * seconds) @ first
        passed = np.linalg.solve(space.F, last - first)
        decay = solve_continuous_lyapunov(space.F.T, -(space.H.T @ weight))
        return held + float(2 * (resting @ weight) @ passed + first @ decay @ first - last @ decay @ last)

    def load_conductances(self) -> np.ndarray:
        """Conductance of the resistors at each amplifier's output, S."""
        return np.asarray(np.diag(self._laplacian)[self._outputs])

    def _assembled(self, resistors: list[Resistor]) -> np.ndarray:
        found = np.zeros((len(self._nodes), len(self._nodes)))
        for part in resistors:
            ends = [self._nodes[node] for node in (part.a, part.b) if node != GROUND]
            for k in ends:
                found[k, k] += 1.0 / part.resistance
            if len(ends) == 2:
                found[ends[0], ends[1]] -= 1.0 / part.resistance
                found[ends[1], ends[0]] -= 1.0 / part.resistance
        return found

    @cached_property
    def _resting_state(self) -> np.ndarray:
        return np.linalg.solve(self.space.F, -(self.space.B @ self.space.nominal))

    @cached_property
    def _resting(self) -> np.ndarray:
        """Node voltages at rest."""
        state = self._resting_state if self.space.size else np.zeros(0)
        return np.asarray(self.space.H @ state + self.space.Du @ self.space.nominal)

    @cached_property
    def _solution(self) -> np.ndarray:
        """(n, nodes): from node voltages to the solution, problem units."""
        found = np.zeros((self.program.size, len(self._nodes)))
        for row, (pair, scale) in enumerate(zip(self.program.readouts, self.program.readout_scale, strict=True)):
            for node, sign in zip(pair, (1.0, -1.0), strict=True):
                if node != GROUND:
                    found[row, self._nodes[node]] = sign * scale / self.program.volts_per_unit
        return found

    def _start(self) -> tuple[np.ndarray, np.ndarray]:
        """What has to decay, (states, m), and the solution that it is measured by, (n, m): m = 1, or n for every b."""
        drives = self.program.fabric.drives(self.program.parts)
        names = {name.lower(): k for k, name in enumerate(self.space.sources)}
        chosen = {names[name.lower()] for drive in drives for name in drive}
        if any(self.space.nominal[k] for k in chosen):
            state = self._resting_state
            return (self.space.initial - state)[:, None], (self._solution @ self._resting)[:, None]
        unit = self.program.currents(np.ones(self.program.size))
        sources = np.zeros((len(self.space.sources), self.program.size))
        for cell, (drive, current) in enumerate(zip(drives, unit, strict=True)):
            for name, per_ampere in drive.items():
                sources[names[name.lower()], cell] = per_ampere * current
        states = np.linalg.solve(self.space.F, -(self.space.B @ sources))
        return -states, self._solution @ (self.space.H @ states + self.space.Du @ sources)


def _errors(flow: np.ndarray, rows: np.ndarray, start: np.ndarray, whole: np.ndarray, times: np.ndarray) -> np.ndarray:
    """|rows exp(F t) start whole^-1|_2 at equidistant times from 0; of one column, ratio of Euclidean norms."""
    many = whole.shape[1] > 1
    state = np.linalg.solve(whole.T, start.T).T if many else start / float(np.linalg.norm(whole))
    onward, found = expm(flow * (times[1] - times[0])), []
    for _ in times:
        seen = rows @ state
        found.append(
            math.sqrt(max(float(np.linalg.eigvalsh(seen @ seen.T)[-1]), 0.0)) if many else float(np.linalg.norm(seen))
        )
        state = onward @ state
    return np.array(found)
