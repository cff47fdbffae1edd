"""`SpiceDevice`: the device as ngspice sees it. Every solve builds this die's netlist and simulates it with thermal noise."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from ...circuits.amplifiers.models import AmplifierCell, Macromodel
from ...circuits.errors import InputError, SimulationError
from ...circuits.linear.noise_paths import DrawnCurrents, NoisePath
from ...circuits.netlist.analyses import OperatingPoint, Transient
from ...circuits.netlist.elements import Capacitor, VoltageSource
from ...circuits.netlist.limiting import HoldingSwitch
from ...circuits.netlist.netlist import Netlist
from ...circuits.ngspice.run import run
from ...circuits.technology.die import Die
from ...circuits.technology.technology import Technology
from ...compiler.limitations import not_modelled
from ...compiler.linear_law import LinearLaw
from ...compiler.program import AnalogProgram
from ...compiler.programming import Programming
from ..host.board import Voltages
from ..host.readout import ReadOut
from .circuit import CircuitDevice, ProgramBoard
from .circuit_noise import SimulatedCircuit, WhiteNoise, sampler_bandwidth
from .overload import overload, share_along
from .state_space_law import StateSpaceLaw, kept_modes

MIN_NOISE_POINTS, MAX_NOISE_POINTS = 400, 200_000
"""Of a noisy transient; the most take half a minute and half a gigabyte for 8 cells."""
SWING, SETTLED, INDUCTIVE = 0.1, 25.0, 0.3
"""Radians of the fastest swing that a step follows, slowest time constants after which a circuit without operating point is at rest, and
factor of noisy steps of circuits with inductors."""
HOLD, OPENING = 1e-3, 0.1
"""How long switches hold the cells of an array of transistors before its run, as a share of it, and the share of that in which they open:
at once would be a step that no solver follows."""
HOLDING = 1.0
"""Conductance of such a switch, S."""
_CELLS = re.compile(r"CV?\d+[pm]?")
"""Names of the cells' own capacitors, which are not those of wires or within amplifiers."""
TOLERANCE = 1e-6
"""Relative tolerance of a noiseless transient; its end is then right to 1e-6 of the largest voltage."""
ROUNDING = 1e-9
"""Error of a step that counts in circuits with inductors, of the largest current: above what rounding makes of a capacitor's current in the
first, shortest steps from a state of rest."""


class SpiceDevice(CircuitDevice):
    """A device that ngspice simulates.

    Noise has the law of the linear circuit at every distance of readings, whatever the time step: variances of readings and of their
    averages are right to 0.1 % (`circuits.linear.noise_paths`), in circuits with inductors to 1 %. The 1/f noise of an amplifier goes on
    from run to run.

    Args:
        technology: its parts.
        die: seed of the die, or the die, such as a `MeasuredDie`; None has nominal parts.
        fabric: "auto", or one of `fabric_names("has_device_model")`.
        johnson_noise: noise in the transient, of resistors and amplifiers (`circuit_noise`), on time steps of half the cells' fastest time
            constant, or a tenth of a radian of their fastest swing; default as the technology says. A settled run (duration = inf) is an
            operating point, or a transient where a circuit of inductors has none, and has no noise. Transistors make none in a
            transient, so that with an amplifier of one's own there is none; its `.noise` is what `calibrate` looks at.
        timeout: seconds that one simulation may take.
        seed: of the noise; runs of one device draw anew.
        read_out, layout, programming: see `CircuitDevice`. Several samples of a noisy run lie on its grid of time steps; those of a
            settled run are one and the same voltage.
        amplifier: what stands for each amplifier, such as `Macromodel(technology.opamp)`; None: the linear one-pole amplifier. With one of
            one's own a run begins at its operating point, the cells held by switches (`hold_until_start`).

    Attributes:
        simulator: the version that ngspice gave of itself; "" before the first run.

    Raises:
        InputError: as `CircuitDevice`; a timeout that is not positive; johnson_noise=True with an amplifier of one's own.
        SimulationError: ngspice failed, was killed or ran out of time; the device stays usable.
    """

    def __init__(
        self,
        technology: Technology | str,
        die: int | Die | None = None,
        fabric: str = "auto",
        johnson_noise: bool | None = None,
        timeout: float = 300.0,
        seed: int = 0,
        read_out: ReadOut | None = None,
        layout: bool = False,
        amplifier: AmplifierCell | None = None,
        programming: Programming | None = None,
    ) -> None:
        super().__init__(technology, die, fabric, seed, read_out, layout, programming=programming)
        self.amplifier, self.simulator = amplifier, ""
        if self._has_transistors and johnson_noise:
            raise InputError(
                "johnson_noise=True with an amplifier of one's own, whose transistors make no noise in a transient: leave it out, or "
                "take Macromodel(technology.opamp)"
            )
        wanted = self.technology.thermal.johnson_noise if johnson_noise is None else johnson_noise
        self.johnson_noise = wanted and not self._has_transistors
        if not timeout > 0:
            raise InputError(f"timeout is {timeout!r}: give seconds > 0")
        self.timeout = timeout
        self._path: tuple[SimulatedCircuit, NoisePath | WhiteNoise] | None = None
        self._slow_noise: dict[str, tuple[float, ...]] = {}
        self._waited = 0.0

    def state_dict(self) -> dict[str, Any]:
        """As `HostedDevice`, and the amplifiers' 1/f noise."""
        return {**super().state_dict(), "slow_noise": dict(self._slow_noise), "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As `HostedDevice`; 1/f noise that the state lacks is drawn anew."""
        super().load_state_dict(state)
        self._slow_noise, self._waited = dict(state.get("slow_noise", {})), float(state.get("waited", 0.0))

    def idle(self, seconds: float) -> None:
        """As `HostedDevice`; the amplifiers' 1/f noise goes on."""
        super().idle(seconds)
        self._waited += seconds

    @property
    def not_modelled(self) -> tuple[str, ...]:
        """See `HostedDevice.not_modelled`; an amplifier of one's own is taken to have what the macromodel has."""
        options = [name for name, on in (("layout", self.layout), ("macromodel", self.amplifier is not None)) if on]
        return not_modelled("SpiceDevice", self._fabric_shown, options)

    def _board_of(self, program: AnalogProgram, read_scale: np.ndarray) -> ProgramBoard:
        board = super()._board_of(program, read_scale)
        board.shows_overload = not self._has_transistors
        return board

    @property
    def _has_transistors(self) -> bool:
        """Whether amplifiers are netlists of one's own, of which neither poles nor limits are known."""
        return not (self.amplifier is None or isinstance(self.amplifier, Macromodel))

    def _relax(
        self,
        program: AnalogProgram,
        currents: np.ndarray,
        state: np.ndarray,
        spans: tuple[float, ...],
        streams: Sequence[np.random.Generator],
        places: np.ndarray,
    ) -> Voltages:
        noisy = self.johnson_noise and math.isfinite(spans[0])
        bandwidth = sampler_bandwidth(self.technology, self.amplifier, noisy)
        circuit = SimulatedCircuit(program, self.amplifier, self.layout, bandwidth)
        rows = zip(currents, state, streams, strict=True)
        found = [self._tried(circuit, drive, start, spans, rng if noisy else None) for drive, start, rng in rows]
        cells, left, seen = (np.stack(column) for column in zip(*found, strict=True))
        # A linear amplifier has no node that saturates: what a real one would make of its voltages and currents.
        at_readings = self.amplifier is None and program.fabric.states == 1
        used = overload(program, cells, currents) if at_readings else seen
        return Voltages(cells, overload=used, left=left)

    def _tried(
        self,
        circuit: SimulatedCircuit,
        currents: np.ndarray,
        state: np.ndarray,
        spans: tuple[float, ...],
        rng: np.random.Generator | None,
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """As `_simulated`. A circuit that saturates can be too stiff for a grid of noise, or for any transient: then it is followed without
        noise, or looked at where it rests, which is enough to see that it saturates."""
        try:
            return self._simulated(circuit, currents, state, spans, rng)
        except SimulationError:
            for easier in (spans, (math.inf,) * len(spans)):
                try:
                    found = self._simulated(circuit, currents, state, easier, None)
                except SimulationError:
                    continue
                if found[2] > 1.0:
                    return found
            raise

    def _simulated(
        self,
        circuit: SimulatedCircuit,
        currents: np.ndarray,
        state: np.ndarray,
        spans: tuple[float, ...],
        rng: np.random.Generator | None,
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Voltages that are read, (m, n), and those that are left, (n,), of one run, noisy if it has random numbers, and what comparators
        at the amplifiers' clamped nodes saw in it, as a share of their limit."""
        program, noisy = circuit.program, rng is not None
        if sum(spans) == 0:
            return np.tile(state[: program.size], (len(spans), 1)), state, 0.0
        netlist = circuit.netlist(currents, state, noisy)
        watched = self.amplifier.watched_nodes(netlist) if isinstance(self.amplifier, Macromodel) else ()
        kept = circuit.kept_nodes(netlist, noisy)
        nodes = tuple(dict.fromkeys((*program.nodes, *circuit.nodes, *kept, *watched)))
        resting = _resting(program, self.amplifier is not None) if math.isinf(spans[0]) else None
        if isinstance(resting, OperatingPoint):
            settled = run(netlist, OperatingPoint(nodes=nodes), timeout=self.timeout)
            self.simulator = settled.ngspice_version
            volts = program.cell_volts(settled.voltages)
            ends = {node: np.array([value]) for node, value in settled.voltages.items()}
            left = circuit.kept(netlist, ends) if kept else volts
            seen = max(self._overload(circuit, netlist, currents, ends), self._swing(program, currents, state))
            return np.tile(volts, (len(spans), 1)), left, seen
        analysis, rows = sampled(program, spans, noisy) if resting is None else (resting, None)
        analysis = dataclasses.replace(analysis, nodes=nodes)
        began_at = 0.0
        if self._has_transistors:
            began_at = hold_until_start(netlist, analysis.stop)
            analysis = dataclasses.replace(analysis, stop=analysis.stop + began_at, use_initial=False)
        if program.fabric.has_inductors:
            least = _least_current(program, currents, state, analysis.tolerance)
            analysis = dataclasses.replace(analysis, smallest_current=least)
        drawn = None if rng is None else self._drawn(circuit, analysis, rng)
        result = run(netlist, analysis, seed=0 if noisy else None, timeout=self.timeout, currents=drawn)
        self.simulator = result.ngspice_version
        volts, seen = circuit.read(result.voltages), self._overload(circuit, netlist, currents, result.voltages)
        began = np.concatenate([state[: program.size, None], volts], axis=1)
        if rows is not None:
            read = began[:, rows].T
        else:
            times = np.cumsum(spans) * program.tau + began_at
            at_once = resting is not None or times[0] == times[-1]
            curve = None if at_once else CubicSpline(np.append(0.0, result.time), began, axis=1)
            read = np.tile(volts[:, -1], (len(spans), 1)) if curve is None else np.asarray(curve(times).T)
        if kept:
            return read, circuit.kept(netlist, result.voltages), seen
        return read, read[-1] if circuit.direct else program.cell_volts(result.voltages)[:, -1], seen

    def _drawn(self, circuit: SimulatedCircuit, analysis: Transient, rng: np.random.Generator) -> DrawnCurrents:
        """The noise of one run."""
        step = float(analysis.step or 0.0)
        if self._path is None or self._path[0] != circuit or self._path[1].step != step:
            self._path = circuit, circuit.noise(step)
        generator, waited = np.random.default_rng(int(rng.integers(2**31))), self._waited
        drawn = self._path[1].draw(analysis.currents, generator, self._slow_noise, waited)
        self._slow_noise, self._waited = self._slow_noise | drawn.slow, 0.0
        return drawn

    def _overload(
        self, circuit: SimulatedCircuit, netlist: Netlist, currents: np.ndarray, voltages: Mapping[str, Any]
    ) -> float:
        """The largest share of their limits that amplifiers use on the way: as comparators at a macromodel's clamped nodes see it (see
        `Macromodel.overload`), or as real ones would at the outputs of linear ones; 0 where neither is known."""
        if isinstance(self.amplifier, Macromodel):
            return self.amplifier.overload(netlist, {node.lower(): values for node, values in voltages.items()})
        law = linear_law_of(circuit.program) if circuit.program.fabric.states > 1 else None
        if self.amplifier is not None or law is None or law.outputs is None:
            return 0.0
        # Of a circuit at ease with its outputs, as it is but for an amplifier's response.
        states = law.start @ circuit.course(voltages)
        return float(share_along(self.technology.opamp, law.outputs, states.T[None], currents[None])[0])

    def _swing(self, program: AnalogProgram, currents: np.ndarray, state: np.ndarray) -> float:
        """The largest share of their limits that amplifiers use on the way to rest, which an operating point does not show: by the law of
        the circuit, of linear amplifiers; 0 of cells that do not overshoot."""
        if program.fabric.overshoot == 1 or self.amplifier is not None:
            return 0.0
        law = StateSpaceLaw(linear_law_of(program), self.technology.opamp, program.tau)
        force = torch.from_numpy(currents[None])
        begun = law.begin(torch.from_numpy(state[None]), force)
        return float(law.peak(begun, force, math.inf)[0])


def hold_until_start(netlist: Netlist, duration: float) -> float:
    """Hold the cells of an array of transistors at where they start, for a run of `duration` seconds; when they are let go, s.

    A linear amplifier's transient may begin at any voltages. Transistors that all begin at 0 V come to their bias only then, while their
    outputs drive the array. So the transient begins at the operating point, with a closed switch and a source in series across each cell's
    capacitor, as the reset switch of a real array, and these open at the start of the run.
    """
    opened = HOLD * duration
    wave = ((0.0, 1.0), ((1 - OPENING) * opened, 1.0), (opened, 0.0))
    netlist.add(VoltageSource("VHOLD", "hold", "0", 1.0, waveform=wave))
    for part in netlist.of(Capacitor):
        if _CELLS.fullmatch(part.name):
            netlist.add(HoldingSwitch(f"BHOLD{part.name}", part.a, part.b, "hold", part.initial or 0.0, HOLDING))
    return opened


def transient(program: AnalogProgram, duration: float, johnson_noise: bool) -> Transient:
    """The analysis that follows a program for `duration` tau; with noise, on a uniform grid that resolves the fastest mode."""
    return sampled(program, (duration,), johnson_noise)[0]


def sampled(
    program: AnalogProgram, spans: tuple[float, ...], johnson_noise: bool
) -> tuple[Transient, np.ndarray | None]:
    """The analysis that follows a program over spans of time (tau), all but the first alike, and the row of each of their ends.

    Rows count the start as 0. They are None without noise, where the simulator chooses its steps. With noise the ends have to be
    points of a grid of equal steps: of the grids up to twice as fine as needed that one is taken which meets them best, within some
    thousandths of a span.
    """
    stop = sum(spans) * program.tau
    if not johnson_noise:
        return _noiseless(program, stop), None
    points = max(MIN_NOISE_POINTS, math.ceil(stop / _noise_step(program)))
    first, interval = spans[0] * program.tau, (spans[1] * program.tau if len(spans) > 1 else 0.0)
    short, long = sorted((first, interval))
    if short > 0:
        # Best common measure of both spans: each at least a step.
        fewest = _check_step_count(math.ceil(max(points * long / stop, long / short)), spans)
        counts = np.arange(fewest, 2 * fewest + 1)
        ratio = counts * (short / long)
        many = int(counts[np.argmin(np.abs(ratio - np.rint(ratio)))])
        few, step = round(many * short / long), long / many
        steps, each = (many, few) if first > interval else (few, many)
    elif interval > 0:
        steps, each = 0, math.ceil(points * interval / stop)
        step = interval / each
    else:
        steps, each, step = points, 0, stop / points
    rows = steps + each * np.arange(len(spans))
    return Transient(_check_step_count(rows[-1], spans) * step, step=step, nodes=program.nodes, noise=True), rows


def _noise_step(program: AnalogProgram) -> float:
    """Longest step that resolves what the cells do, s."""
    if program.fabric.has_linear_law:
        # Steps bias the noise that is drawn for inductors' currents.
        return (INDUCTIVE if program.fabric.has_inductors else 1.0) * SWING / _fastest(program)
    law = program.behaviour
    return 0.5 / float(np.abs(np.linalg.eigvals(law.conductance / law.capacitance[:, None])).max())


def _fastest(program: AnalogProgram) -> float:
    """Largest natural frequency of what its cells keep, 1/s."""
    return float(np.abs(kept_modes(linear_law_of(program))).max())


def _noiseless(program: AnalogProgram, stop: float) -> Transient:
    """The transient of so many seconds; of swings, whose errors of phase add up, in finer steps."""
    if program.fabric.states == 1:
        return Transient(stop, nodes=program.nodes, tolerance=TOLERANCE)
    step = min(SWING / _fastest(program), stop / 100)
    return Transient(stop, step, program.nodes, tolerance=1e-2 * TOLERANCE)


def _resting(program: AnalogProgram, followed: bool) -> OperatingPoint | Transient:
    """What shows where a program settles; where its cells overshoot and are to be `followed`, the way there, too."""
    fabric, technology = program.fabric, program.technology
    shown = fabric.analysis(program.parts, technology, program.nodes, lambda: 1.0)
    if not isinstance(shown, Transient) and not (followed and fabric.overshoot > 1):
        return OperatingPoint(nodes=program.nodes)
    stop = SETTLED / -float(kept_modes(linear_law_of(program)).real.max())
    return dataclasses.replace(shown, stop=stop) if isinstance(shown, Transient) else _noiseless(program, stop)


def _least_current(program: AnalogProgram, currents: np.ndarray, state: np.ndarray, tolerance: float) -> float:
    """See `Transient.smallest_current`: of those currents that a run begins with, the share whose tolerance is above rounding, which is all
    that capacitors' currents are once swings have died out."""
    largest = max(np.abs(currents).max(), np.abs(state).max() * program.fabric.drive_unit(program.technology))
    return max(ROUNDING / tolerance * float(largest), 1e-17)


def linear_law_of(program: AnalogProgram) -> LinearLaw:
    """The linear law of a program's parts."""
    return program.fabric.linear_law(program.parts, program.technology)


def _check_step_count(points: int, spans: tuple[float, ...]) -> int:
    """The number of noise steps that spans of time take, if it is not too large."""
    if points > MAX_NOISE_POINTS:
        raise InputError(
            f"{sum(spans):g} tau take {points} noise steps (at most {MAX_NOISE_POINTS}); use a shorter duration, samples "
            "further apart, or johnson_noise=False"
        )
    return points
