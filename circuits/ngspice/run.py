"""Run a netlist in ngspice: one job.

ngspice runs in worker processes with a time limit (see `pool`); a crash costs one job. What reaches it is generated
here from a checked `Netlist`: element lines made of numbers and checked names, without title and comments.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SimulationError
from ..linear.johnson import InjectedCurrents, johnson_currents
from ..netlist.analyses import (
    AC,
    ACResult,
    Analysis,
    Noise,
    NoiseResult,
    OperatingPoint,
    OperatingPointResult,
    Result,
    Transient,
    TransientResult,
)
from ..netlist.elements import CurrentSource, VoltageSource
from ..netlist.netlist import Netlist
from ..netlist.semiconductors import Switch
from ..technology.pdk.excerpt import needed_cards
from .library import find_library
from .pool import POOL, Group
from .resample import resample
from .solver_options import solver_options
from .worker import CHANNELS, padding

__all__ = [
    "AC",
    "ACResult",
    "Noise",
    "NoiseResult",
    "OperatingPoint",
    "OperatingPointResult",
    "Transient",
    "TransientResult",
    "run",
]

Array = NDArray[np.float64]
Seed: TypeAlias = int | np.random.SeedSequence | np.random.Generator
_TITLE = "* thermograd"
_NAMES_PER_SAVE = 10  # keeps each .save card far below ngspice's line limits


@overload
def run(
    netlist: Netlist,
    analysis: OperatingPoint,
    *,
    seed: Seed | None = ...,
    timeout: float | None = ...,
    currents: InjectedCurrents | None = ...,
) -> OperatingPointResult: ...
@overload
def run(
    netlist: Netlist,
    analysis: Transient,
    *,
    seed: Seed | None = ...,
    timeout: float | None = ...,
    currents: InjectedCurrents | None = ...,
) -> TransientResult: ...
@overload
def run(
    netlist: Netlist,
    analysis: Noise,
    *,
    seed: Seed | None = ...,
    timeout: float | None = ...,
    currents: InjectedCurrents | None = ...,
) -> NoiseResult: ...
@overload
def run(
    netlist: Netlist,
    analysis: AC,
    *,
    seed: Seed | None = ...,
    timeout: float | None = ...,
    currents: InjectedCurrents | None = ...,
) -> ACResult: ...
def run(
    netlist: Netlist,
    analysis: Analysis,
    *,
    seed: Seed | None = None,
    timeout: float | None = 120.0,
    currents: InjectedCurrents | None = None,
) -> Result:
    """Simulate `netlist` with ngspice.

    Args:
        netlist: checked here with `Netlist.check`.
        analysis: OperatingPoint, Transient, Noise or AC.
        seed: of the thermal noise; needed with Transient(noise=True). Same seed, same result, in any process.
        timeout: limit in s for the simulation itself; None: no limit.
        currents: noise currents to inject instead of the Johnson noise of the netlist's resistors.

    Raises:
        InputError: bad netlist, unknown node or source, missing seed, a step too long for the noise.
        SimulatorMissing: libngspice (or, for noise, its code models) is not installed.
        SimulationTimeout, WorkerDied: the job ran too long, or its worker process ended.
        SimulationError: ngspice failed; the message holds its words.
    """
    return simulate(netlist, analysis, seed, timeout, currents, None)


def simulate(
    netlist: Netlist,
    analysis: Analysis,
    seed: Seed | None,
    timeout: float | None,
    currents: InjectedCurrents | None,
    group: Group | None,
) -> Result:
    """`run`, which a `group` of simulations can stop early."""
    if timeout is not None and not timeout > 0.0:
        raise InputError(f"timeout = {timeout!r} s: a value > 0 or None is needed")
    job, arrays, finish = _prepare(netlist, analysis, seed, currents)
    header, results, version = POOL.call(find_library(), job, arrays, timeout, group)
    return finish(results, version, "\n".join(header["log"]))


Finish: TypeAlias = Callable[[list[Array], str, str], Result]


def _prepare(
    netlist: Netlist, analysis: Analysis, seed: Seed | None, currents: InjectedCurrents | None
) -> tuple[dict[str, Any], list[Array], Finish]:
    """The job's header, its arrays, and the function that turns the answer into a result."""
    if not isinstance(netlist, Netlist):
        raise InputError(
            f"netlist is a {type(netlist).__name__}: give a Netlist, as those of read_spice(path) and AnalogProgram.netlist(b)"
        )
    # A transient that starts from given initial values needs no direct-current solution.
    netlist.check(direct_current=not (isinstance(analysis, Transient) and analysis.use_initial))
    if isinstance(analysis, Noise | AC) and (switches := netlist.of(Switch)):
        raise InputError(
            f"{switches[0].name}: ngspice 39 takes every switch for an open one in {type(analysis).__name__} (measured); put a resistor "
            "in its place, of the resistance that it has"
        )
    deck = [_TITLE, *netlist.cards(needed_cards)]
    if isinstance(analysis, Noise):
        return _noise_job(netlist, analysis, deck)
    if not isinstance(analysis, OperatingPoint | Transient | AC):
        raise InputError(f"analysis = {analysis!r}: OperatingPoint, Transient, Noise or AC is needed")
    nodes = netlist.nodes if analysis.nodes is None else tuple(dict.fromkeys(analysis.nodes))
    known = set(netlist.nodes)
    for node in nodes:
        if node not in known:
            raise InputError(f"{type(analysis).__name__}.nodes: the netlist has no node {node!r}")
    if analysis.nodes is not None:
        deck.extend(
            ".save " + " ".join(f"v({node})" for node in nodes[i : i + _NAMES_PER_SAVE])
            for i in range(0, len(nodes), _NAMES_PER_SAVE)
        )
    vectors = [node.lower() for node in nodes]
    if isinstance(analysis, OperatingPoint):
        deck.extend(_ending(netlist, analysis))
        return {"deck": deck, "vectors": vectors}, [], lambda *answer: _operating_point(nodes, *answer)
    if isinstance(analysis, AC):
        deck.extend(_ending(netlist, analysis))
        parts = [vector for name in vectors for vector in (name, f"imag({name})")]
        return (
            {"deck": deck, "vectors": ["frequency", *parts]},
            [],
            lambda *answer: _sweep(analysis.stop, nodes, *answer),
        )
    corners = _corners(netlist, analysis)
    job: dict[str, Any] = {"vectors": ["time", *vectors]}
    arrays = []
    if analysis.noise:
        source, samples = _noise_currents(netlist, analysis, seed, currents)
        deck.extend(source)
        job["step"], arrays = analysis.step, [samples]
    elif currents is not None:
        raise InputError("currents are only injected with Transient(noise=True)")
    deck.extend(_ending(netlist, analysis))
    job["deck"] = deck
    return job, arrays, lambda *answer: _transient(analysis, corners, nodes, *answer)


def _corners(netlist: Netlist, analysis: Transient) -> Array:
    """Times at which a source's waveform has a corner, within the run.

    Raises:
        InputError: some are so close that ngspice would merge them, and with them a whole pulse, silently.
    """
    shortest = 1.5 * float(analysis.step or 0.0) if analysis.noise else analysis.shortest
    sources: list[VoltageSource | CurrentSource] = [*netlist.of(VoltageSource), *netlist.of(CurrentSource)]
    found: set[float] = set()
    for source in sources:
        times = [time for time, _ in source.waveform if time <= analysis.stop]
        gap, start = min(((late - early, early) for early, late in itertools.pairwise(times)), default=(math.inf, 0.0))
        if gap < shortest * (1 - 1e-9):
            raise InputError(
                f"{source.name}: points of its waveform at {start:g} s are {gap:.3g} s apart, but in a transient of "
                f"{analysis.stop:g} s ngspice distinguishes only points {shortest:.3g} s from each other; give slower edges, or a shorter "
                "stop"
            )
        found.update(times)
    return np.array(sorted(found))


def _ending(netlist: Netlist, analysis: Analysis) -> list[str]:
    return [*analysis.cards(), solver_options(analysis, netlist.is_linear), ".end"]


def _noise_currents(
    netlist: Netlist, analysis: Transient, seed: Seed | None, currents: InjectedCurrents | None
) -> tuple[list[str], Array]:
    """filesource lines, and samples."""
    if seed is None:
        raise InputError("Transient(noise=True) needs seed=..., so that the run can be repeated")
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool) and seed >= 0
    if not whole and not isinstance(seed, np.random.SeedSequence | np.random.Generator):
        raise InputError(f"seed is {seed!r}: give an integer >= 0, a numpy.random.SeedSequence or a Generator")
    step = float(analysis.step or 0.0)
    if currents is None:
        currents = johnson_currents(netlist, step)
    if not math.isclose(currents.step, step, rel_tol=1e-9):
        raise InputError(f"currents were made for a step of {currents.step!r} s, but Transient.step = {step!r} s")
    unknown = [node for node in currents.nodes if node not in netlist.nodes]
    if unknown:
        raise InputError(f"currents: the netlist has no node {unknown[0]!r}")
    samples = currents.sample(analysis.currents, seed)
    lines = []
    for number, first in enumerate(range(0, len(currents.nodes), CHANNELS)):
        group = currents.nodes[first : first + CHANNELS]
        # Port k of type "id" drives its current from the first node of its pair through the source into the second.
        ports = " ".join([*(f"0 {node}" for node in group), *["0 0"] * padding(len(group))])
        channels = len(group) + padding(len(group))
        zeros, ones = " ".join(["0"] * channels), " ".join(["1"] * channels)
        lines.append(f"Athermograd{number} %id([{ports}]) thermograd_noise{number}")
        lines.append(
            f'.model thermograd_noise{number} filesource (file="noise{number}.txt" '
            f"amploffset=[{zeros}] amplscale=[{ones}])"
        )
    return lines, samples


def _noise_job(netlist: Netlist, analysis: Noise, deck: list[str]) -> tuple[dict[str, Any], list[Array], Finish]:
    for node in analysis.output_nodes:
        if node not in netlist.nodes and node != "0":
            raise InputError(f"Noise.output: the netlist has no node {node!r}")
    source = netlist[analysis.source]
    if not isinstance(source, VoltageSource | CurrentSource) or source.ac == 0.0:
        raise InputError(f"Noise.source = {analysis.source!r}: a source with ac != 0 is needed, got {source!r}")
    job = {
        "deck": [*deck, *_ending(netlist, analysis)],
        "vectors": ["frequency", "onoise_spectrum", "onoise_total"],
    }

    def finish(results: list[Array], version: str, log: str) -> NoiseResult:
        frequency, density, total = results
        _check_finite({"density": density}, log)
        # ngspice adds up integrals of each part's noise, and that of a BSIM4 transistor can be nan.
        power = float(total[-1]) if np.isfinite(total[-1]) else math.sqrt(np.trapezoid(density**2, frequency))
        return NoiseResult(frequency, density, power, version, log)

    return job, [], finish


def _operating_point(nodes: tuple[str, ...], results: list[Array], version: str, log: str) -> OperatingPointResult:
    voltages = dict(zip(nodes, results, strict=True))
    _check_finite(voltages, log)
    return OperatingPointResult({node: float(values[-1]) for node, values in voltages.items()}, version, log)


def _sweep(stop: float, nodes: tuple[str, ...], results: list[Array], version: str, log: str) -> ACResult:
    wanted = results[0] <= stop * (1 + 1e-9)  # ngspice goes a few points further
    frequency, parts = results[0][wanted], [part[wanted] for part in results[1:]]
    voltages = {node: real + 1j * imag for node, real, imag in zip(nodes, parts[::2], parts[1::2], strict=True)}
    _check_finite({node: np.abs(values) for node, values in voltages.items()}, log)
    return ACResult(frequency, voltages, version, log)


def _transient(
    analysis: Transient, corners: Array, nodes: tuple[str, ...], results: list[Array], version: str, log: str
) -> TransientResult:
    time, values = results[0], results[1:]
    end = float(time[-1]) if len(time) else 0.0
    if end < analysis.stop * (1 - 1e-6):
        raise SimulationError(f"ngspice stopped at {end:g} s of {analysis.stop:g} s; it printed: {_one_line(log)}")
    if analysis.noise:
        step = float(analysis.step or 0.0)
        number = time / step
        rows = np.flatnonzero(number > 0.9999)[: analysis.steps]
        if len(rows) < analysis.steps or np.abs(number[rows] - np.arange(1, analysis.steps + 1)).max() > 1e-3:
            raise SimulationError(f"ngspice did not keep the noise grid of {step:g} s; it printed: {_one_line(log)}")
        time = np.arange(1, analysis.steps + 1, dtype=np.float64) * np.float64(step)
        values = [column[rows] for column in values]
    elif analysis.samples is not None:
        grid = np.linspace(0.0, analysis.stop, analysis.samples)
        time, values = grid, list(np.ascontiguousarray(resample(time, np.column_stack(values), corners, grid).T))
    voltages = dict(zip(nodes, values, strict=True))
    _check_finite(voltages, log)
    return TransientResult(time, voltages, version, log)


def _check_finite(values: dict[str, Array], log: str) -> None:
    for name, column in values.items():
        if column.size == 0 or not np.all(np.isfinite(column)):
            raise SimulationError(
                f"ngspice returned {'nothing' if column.size == 0 else 'values that are not finite'} for {name!r} (an "
                f"unstable or singular circuit?); it printed: {_one_line(log)}"
            )


def _one_line(log: str) -> str:
    return " | ".join(log.splitlines()) or "nothing"
