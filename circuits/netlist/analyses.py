"""Analyses and their results as data: what to simulate, and what came back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .elements import check_node

Array: TypeAlias = NDArray[np.float64]
Guess: TypeAlias = tuple[tuple[str, float], ...]

#: First step of an adaptive transient, relative to `stop`, times 100 (ngspice starts with a hundredth of this).
_FIRST_STEP = 1e-7
#: ngspice's own, which no text that leaves the package loosens: a designer may put any part into it.
_RELTOL, _TRTOL, _CHGTOL, _MINBREAK = 1e-3, 7.0, 1e-14, 5e-5
#: Default largest step of an adaptive transient is stop / this.
_MIN_STEPS = 100
#: Nodes that a result's repr names.
_SHOWN = 4
#: Nodes of one `.nodeset` card, whose length has a limit.
_NODES_PER_CARD = 10


class HasCards(Protocol):
    """An analysis that can write itself as ngspice cards."""

    def cards(self) -> tuple[str, ...]:
        """ngspice lines, right for whatever circuit they are put after."""
        ...


@dataclass(frozen=True)
class OperatingPoint:
    """The direct-current solution. ngspice also finds unstable equilibria: check the eigenvalues of its `StateSpace`.

    Args:
        nodes: whose voltages to return; None: all.
        guess: (node, V) from which the solution is looked for, as of a circuit that hardly differs; it does not change a solution, but
            which one of several is found.
        gmin: conductance that ngspice puts across every junction of a diode or transistor, S; None: its own 1e-12, which hides leakage.
    """

    nodes: tuple[str, ...] | None = None
    guess: Guess = ()
    gmin: float | None = None

    def __post_init__(self) -> None:
        _set_nodes(self)
        _set_guess(self)
        if self.gmin is not None:
            object.__setattr__(self, "gmin", _positive("OperatingPoint.gmin", self.gmin))

    def cards(self) -> tuple[str, ...]:
        """ngspice cards."""
        option = () if self.gmin is None else (f".options gmin={self.gmin!r}",)
        return (*_nodesets(self.guess), ".op", *option)


@dataclass(frozen=True)
class Transient:
    """Voltages over time, from t = 0 to `stop`, trapezoidal rule.

    Without noise the steps adapt. With the default `tolerance` a linear circuit's curve is within 1e-5 of the exact law
    (relative to its largest value) and its settled value within 1e-9, at any signal scale; the error goes
    with tolerance^(2/3) and the number of points with tolerance^(-1/3). Oscillators want `step` below a hundredth of
    their period as well, since their phase error adds up.

    With noise the steps are all equal to `step`, and the Johnson noise of all noisy resistors is injected as correlated
    node currents (see `linear.johnson`); the rows are t = step, 2 step, ... and the first sample of noise is zero, so discard a
    burn-in of several time constants.

    Args:
        stop: end, in s.
        step: the noise grid, in s (needed with `noise`); else the largest step allowed (None: stop / 100).
        nodes: whose voltages to return; None: all.
        noise: inject thermal noise.
        use_initial: start from the capacitors' and inductors' `initial` values (0 where None); False: start from the
            operating point.
        samples: return this many equally spaced times from 0 to `stop`, both included, by a cubic spline through
            ngspice's points; None: ngspice's own points, of which the first lies at about 1e-9 `stop`.
        tolerance: relative truncation error allowed per step (ngspice's trtol * reltol); only without noise.
        smallest_current: A that still count in a step's error; where some voltages decay to nothing beside large ones, a
            billionth of the largest current, since rounding would set the steps otherwise.
    """

    stop: float
    step: float | None = None
    nodes: tuple[str, ...] | None = None
    noise: bool = False
    use_initial: bool = True
    samples: int | None = None
    tolerance: float = 1e-8
    smallest_current: float = 1e-17

    def __post_init__(self) -> None:
        _set_nodes(self)
        object.__setattr__(self, "smallest_current", _positive("Transient.smallest_current", self.smallest_current))
        object.__setattr__(self, "stop", _positive("Transient.stop", self.stop))
        object.__setattr__(self, "tolerance", _positive("Transient.tolerance", self.tolerance))
        if self.step is not None:
            object.__setattr__(self, "step", _positive("Transient.step", self.step))
            if self.step > self.stop:
                raise InputError(f"Transient.step = {self.step!r} s exceeds stop = {self.stop!r} s")
        if not 1e-12 <= self.tolerance <= 1e-2:
            raise InputError(f"Transient.tolerance = {self.tolerance!r}: between 1e-12 and 1e-2 allowed")
        if self.noise and self.step is None:
            raise InputError("Transient: noise=True needs step, the time between noise samples in s")
        if self.noise and self.samples is not None:
            raise InputError("Transient: samples is not for noise=True, which returns one row per step")
        if self.samples is not None and (not isinstance(self.samples, int) or self.samples < 2):
            raise InputError(f"Transient.samples = {self.samples!r}: an integer >= 2 or None is needed")

    @property
    def steps(self) -> int:
        """Number of noise steps, stop / step rounded."""
        if self.step is None:
            raise InputError("Transient.steps: only a transient with step has a fixed number of steps")
        return max(1, round(self.stop / self.step))

    @property
    def currents(self) -> int:
        """Number of rows of noise currents that a run takes: some beyond the end, so that ngspice never reads past the file."""
        return max(self.steps, 12) + 8

    @property
    def shortest(self) -> float:
        """Distance in s below which ngspice takes two points of a waveform for one, where there is no noise."""
        return 2 * _FIRST_STEP * self.stop

    @property
    def coarsest(self) -> float:
        """Largest step, s."""
        return self.stop / _MIN_STEPS if self.step is None else self.step

    def cards(self) -> tuple[str, ...]:
        """ngspice cards: the step control that `tolerance` asks for, and nothing that is looser than the simulator's own.

        `minbreak` only takes effect with the `.tran` card and `run`, not with the `tran` command.
        """
        uic = " uic" if self.use_initial else ""
        if self.noise:
            # The first step is step/1024 and doubles up to step; ngspice stops minbreak before the end, hence the two steps more.
            h = float(self.step or 0.0)
            return (f".tran {h * (100 / 1024)!r} {max(self.steps + 2, 12) * h!r} 0 {h!r}{uic}",)
        return (
            f".options method=trap trtol={min(self.tolerance / _RELTOL, _TRTOL)!r} chgtol={min(self.smallest_charge, _CHGTOL)!r} "
            f"minbreak={min(self.shortest, _MINBREAK * self.coarsest)!r}",
            f".tran {_FIRST_STEP * self.stop!r} {self.stop!r} 0 {self.coarsest!r}{uic}",
        )

    @property
    def smallest_charge(self) -> float:
        """C that still count in a step's error: below any signal that counts, but above the rounding of volts."""
        return self.smallest_current * 1e-6


@dataclass(frozen=True)
class Noise:
    """Small-signal thermal noise at an output, over a frequency range, in logarithmic steps.

    Args:
        output: a node, or a pair (plus, minus) of nodes.
        source: name of an independent source with ac != 0 (ngspice refers the noise back to it).
        start, stop: frequencies in Hz.
        points_per_decade: 50 integrates a single pole to 0.03 %.
    """

    output: str | tuple[str, str]
    source: str
    start: float
    stop: float
    points_per_decade: int = 50

    def __post_init__(self) -> None:
        if not isinstance(self.output, str):
            object.__setattr__(self, "output", tuple(self.output))
        for node in self.output_nodes:
            check_node(node)
        _set_sweep(self)

    @property
    def output_nodes(self) -> tuple[str, ...]:
        """The output as one or two nodes."""
        return (self.output,) if isinstance(self.output, str) else self.output

    def cards(self) -> tuple[str, ...]:
        """ngspice cards."""
        output = ",".join(self.output_nodes)
        source = self.source.lower()  # ngspice looks it up in lower case only
        return (f".noise v({output}) {source} dec {self.points_per_decade} {self.start!r} {self.stop!r}",)


@dataclass(frozen=True)
class AC:
    """Small-signal response to the sources' `ac` amplitudes about the operating point, in logarithmic steps of frequency.

    Args:
        start, stop: frequencies in Hz.
        points_per_decade: of the sweep.
        nodes: whose voltages to return; None: all.
        guess: of the operating point, see `OperatingPoint`.
    """

    start: float
    stop: float
    points_per_decade: int = 20
    nodes: tuple[str, ...] | None = None
    guess: Guess = ()

    def __post_init__(self) -> None:
        _set_nodes(self)
        _set_guess(self)
        _set_sweep(self)

    def cards(self) -> tuple[str, ...]:
        """ngspice cards."""
        return (
            *_nodesets(self.guess),
            f".ac dec {self.points_per_decade} {self.start!r} {self.stop!r}",
        )


Analysis: TypeAlias = OperatingPoint | Transient | Noise | AC


@dataclass(frozen=True, eq=False, repr=False)
class OperatingPointResult:
    """Node voltages in V; `log` holds what ngspice printed."""

    voltages: dict[str, float]
    ngspice_version: str = ""
    log: str = ""

    def __repr__(self) -> str:
        return f"OperatingPointResult({_listed(self.voltages)})"


@dataclass(frozen=True, eq=False, repr=False)
class TransientResult:
    """`time` (T,) in s and `voltages` node -> (T,) in V; `log` holds what ngspice printed."""

    time: Array
    voltages: dict[str, Array]
    ngspice_version: str = ""
    log: str = ""

    def __repr__(self) -> str:
        points = len(self.time)
        end = f" to {self.time[-1]:.4g} s" if points else ""
        return f"TransientResult({points} points{end}, {_listed(self.voltages)})"


@dataclass(frozen=True, eq=False, repr=False)
class NoiseResult:
    """`frequency` (F,) in Hz, `density` (F,) in V/sqrt(Hz), `total` in V rms over the range."""

    frequency: Array
    density: Array
    total: float
    ngspice_version: str = ""
    log: str = ""

    def __repr__(self) -> str:
        return f"NoiseResult({_swept(self.frequency)}, {self.total:.4g} V rms)"


@dataclass(frozen=True, eq=False, repr=False)
class ACResult:
    """`frequency` (F,) in Hz, `voltages` node -> (F,) complex amplitudes in V."""

    frequency: Array
    voltages: dict[str, NDArray[np.complex128]]
    ngspice_version: str = ""
    log: str = ""

    def __repr__(self) -> str:
        return f"ACResult({_swept(self.frequency)}, {_listed(self.voltages)})"


Result: TypeAlias = OperatingPointResult | TransientResult | NoiseResult | ACResult


def _listed(nodes: Iterable[str]) -> str:
    """How many nodes, and the first few by name."""
    names = list(nodes)
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)} node{'' if len(names) == 1 else 's'}: {', '.join(names[:_SHOWN])}{more}"


def _swept(frequency: Array) -> str:
    """How many points, and the range."""
    ends = f" from {frequency[0]:.4g} to {frequency[-1]:.4g} Hz" if len(frequency) else ""
    return f"{len(frequency)} points{ends}"


def _positive(what: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{what} = {value!r} is not a number") from None
    if not math.isfinite(number) or number <= 0.0:
        raise InputError(f"{what} = {number!r}: a finite value > 0 is needed")
    return number


def _set_sweep(analysis: Noise | AC) -> None:
    name = type(analysis).__name__
    object.__setattr__(analysis, "start", _positive(f"{name}.start", analysis.start))
    object.__setattr__(analysis, "stop", _positive(f"{name}.stop", analysis.stop))
    if analysis.stop <= analysis.start:
        raise InputError(f"{name}.stop = {analysis.stop!r} Hz must exceed start = {analysis.start!r} Hz")
    if not isinstance(analysis.points_per_decade, int) or analysis.points_per_decade < 1:
        raise InputError(f"{name}.points_per_decade = {analysis.points_per_decade!r}: an integer >= 1 is needed")
    if (
        analysis.points_per_decade * math.log10(analysis.stop / analysis.start) < 1 - 1e-9
    ):  # ngspice 39 never ends (measured)
        raise InputError(
            f"{name}: from {analysis.start!r} to {analysis.stop!r} Hz is less than one step of {analysis.points_per_decade} points per "
            "decade; give a wider range or more points"
        )


def _set_guess(analysis: OperatingPoint | AC) -> None:
    """Nodes with finite voltages, as a tuple."""
    given = tuple((check_node(node), float(volts)) for node, volts in analysis.guess)
    for node, volts in given:
        if not math.isfinite(volts):
            raise InputError(
                f"{type(analysis).__name__}.guess: node {node!r} at {volts!r} V; a finite voltage is needed"
            )
    object.__setattr__(analysis, "guess", given)


def _nodesets(guess: Guess) -> tuple[str, ...]:
    starts = range(0, len(guess), _NODES_PER_CARD)
    return tuple(
        ".nodeset " + " ".join(f"v({node})={volts!r}" for node, volts in guess[at : at + _NODES_PER_CARD])
        for at in starts
    )


def _set_nodes(analysis: OperatingPoint | Transient | AC) -> None:
    if isinstance(analysis.nodes, str):
        raise InputError(f"{type(analysis).__name__}.nodes = {analysis.nodes!r}: a sequence of node names is needed")
    if analysis.nodes is not None:
        object.__setattr__(analysis, "nodes", tuple(analysis.nodes))
