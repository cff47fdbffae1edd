"""`next_measurements`: which further measurement would tell most of the values that a fit leaves open.

With the fit's information I of ln(values), a candidate of sensitivities A, which are known before it is made, leaves the information
I + A^T A (for a linear model of the logarithms). Its gain is

    g = 1/2 ln det(I + W + A^T A) - 1/2 ln det(I + W),

in nats, where W says that every value is known to a factor of a thousand from the start, which makes it finite where nothing is known.
(D-optimal design: V. V. Fedorov, Theory of Optimal Experiments, 1972.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .....circuits.errors import InputError
from .....circuits.linear.statespace import state_space
from .....circuits.netlist.elements import GROUND, VoltageSource
from .....circuits.netlist.netlist import Netlist
from ...identifiability import LIMIT
from ..measurements import Measurements
from ..problem import Model, Problem, free_values
from ..result import CircuitCalibration
from ..schema import nodes_of

Array = NDArray[np.float64]
READING, AVERAGES, MULTIMETER = 1e-3, 100.0, 0.01
"""Standard error of a reading, V; periodograms of a spectrum; relative error of a part's value: where no table says otherwise."""
POINTS = 24
"""Times or frequencies of a candidate."""
MOST_NODES = 8
"""Nodes among which candidates are sought."""
WORTH = 0.5
"""Least gain, nats, of a candidate that is named."""
CLEAR = 0.9
"""Share of its standard error that a value is left with at most, where more than one is named."""
_UNKNOWN = 1.0 / math.log(1e3) ** 2


@dataclass(frozen=True)
class Candidate:
    """A measurement that was not made.

    Attributes:
        what: the measurement, in words.
        gain: nats, see the module.
        std: name of a value -> standard error of its logarithm with this measurement added.
        text: a sentence for people.
    """

    what: str
    gain: float
    std: dict[str, float]
    text: str


def next_measurements(
    model: Model, calibration: CircuitCalibration, tables: Sequence[Measurements], most: int = 5
) -> tuple[Candidate, ...]:
    """Further measurements that tell more than half a nat, the best first.

    Candidates are the response and spectrum of each node of a free part or that was measured, and the cross-spectra of each two, all in the
    range and with the errors of the tables that are there, and a multimeter at each free part.

    Args:
        model: as it was calibrated. calibration: the fit. tables: that were fitted.
        most: of the candidates.

    Raises:
        InputError: `most` below 1; a model that cannot be used.
    """
    if most < 1:
        raise InputError(f"most = {most}: give a number of candidates >= 1")
    build, start = free_values(model, calibration.estimates)
    netlist = build(start)
    information = np.array(calibration.information)
    before = _errors(information)
    names = list(start)
    found = []
    for what, factor in _candidates(model, netlist, start, tables):
        after = information + factor.T @ factor
        gain = 0.5 * (_log_det(after) - _log_det(information))
        if not gain > WORTH:
            continue
        std = dict(zip(names, _errors(after).tolist(), strict=True))
        found.append(Candidate(what, gain, std, _sentence(what, names, before, std)))
    return tuple(sorted(found, key=lambda one: -one.gain)[:most])


def _candidates(
    model: Model, netlist: Netlist, start: Mapping[str, float], tables: Sequence[Measurements]
) -> Iterator[tuple[str, Array]]:
    """Each measurement in words, and its sensitivities (rows, p)."""
    for place, name in enumerate(start):
        row = np.zeros((1, len(start)))
        row[0, place] = 1.0 / MULTIMETER
        yield f"a multimeter at {name}, to {100 * MULTIMETER:g} %", row
    for what, table in _tables(netlist, start, tables):
        try:
            build, _ = free_values(model, start)
            problem = Problem(build, start, [table], {})
            yield what, problem.at(problem.origin).sensitivity
        except InputError:
            # What this circuit does not have there, such as noise.
            continue


def _tables(
    netlist: Netlist, free: Iterable[str], tables: Sequence[Measurements]
) -> Iterator[tuple[str, Measurements]]:
    nodes = _nodes(netlist, free, tables)
    times, frequencies = _scales(netlist, nodes, tables)
    std = _stated(tables, "trace", "std_v", READING)
    for node in nodes:
        table = Measurements.of("trace", time_s=times, node=node, volts=0.0, std_v=std)
        yield (
            f"the response at {node}, {POINTS} readings of {std:.2g} V from {times[0]:.2g} to {times[-1]:.2g} s",
            table,
        )
    averages = _stated(tables, "spectrum", "averages", AVERAGES)
    band = f"{POINTS} frequencies from {frequencies[0]:.2g} to {frequencies[-1]:.2g} Hz, {averages:.3g} averages"
    for node in nodes:
        table = Measurements.of(
            "spectrum", frequency_hz=frequencies, node=node, density_v2_per_hz=1.0, averages=averages
        )
        yield f"the noise spectrum of {node}, {band}", table
    for i, first in enumerate(nodes):
        for second in nodes[i + 1 :]:
            pairs = [(first, first, 1.0), (first, second, 0.0), (second, second, 1.0)]
            rows = [(f, a, b, value) for f in frequencies.tolist() for a, b, value in pairs]
            frequency, node_a, node_b, density = (np.array(column) for column in zip(*rows, strict=True))
            table = Measurements.of(
                "spectrum",
                frequency_hz=frequency,
                node=node_a,
                node_b=node_b,
                density_v2_per_hz=density,
                averages=averages,
            )
            yield f"the cross-spectrum of {first} and {second}, {band}", table


def _nodes(netlist: Netlist, free: Iterable[str], tables: Sequence[Measurements]) -> list[str]:
    """Nodes of the free parts and those that were measured, without those that a voltage source holds."""
    held = {node for part in netlist if isinstance(part, VoltageSource) for node in part.nodes}
    near = [node for name in free if name in netlist for node in netlist[name].nodes]
    columns = [table.columns[name].tolist() for table in tables for name in ("node", "node_a") if name in table.columns]
    near += [node for column in columns for voltage in column for node in nodes_of(voltage)]
    return [node for node in dict.fromkeys(near) if node != GROUND and node not in held][:MOST_NODES]


def _scales(netlist: Netlist, nodes: Sequence[str], tables: Sequence[Measurements]) -> tuple[Array, Array]:
    """Times, s, and frequencies, Hz: the range of the tables; where there are none, what spans the circuit's time constants."""
    space = state_space(netlist, {node: (node, GROUND) for node in nodes})
    rates = np.abs(space.eigenvalues)
    rates = rates[rates > 0]
    slow, fast = (float(rates.min()), float(rates.max())) if len(rates) else (1.0, 1.0)
    times = _range(tables, "time_s", (0.1 / fast, 4.0 / slow))
    frequencies = _range(tables, "frequency_hz", (0.1 * slow / (2 * math.pi), 10 * fast / (2 * math.pi)))
    return np.geomspace(*times, POINTS), np.geomspace(*frequencies, POINTS)


def _range(tables: Sequence[Measurements], column: str, otherwise: tuple[float, float]) -> tuple[float, float]:
    given = [table.columns[column] for table in tables if column in table.columns]
    positive = np.concatenate(given) if given else np.zeros(0)
    positive = positive[positive > 0]
    return (float(positive.min()), float(positive.max())) if len(np.unique(positive)) > 1 else otherwise


def _stated(tables: Sequence[Measurements], kind: str, column: str, otherwise: float) -> float:
    given = [table.columns[column] for table in tables if table.kind == kind]
    return float(np.median(np.concatenate(given))) if given else otherwise


def _log_det(information: Array) -> float:
    return float(np.linalg.slogdet(information + _UNKNOWN * np.eye(len(information)))[1])


def _errors(information: Array) -> Array:
    """Standard errors of the logarithms."""
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(information + _UNKNOWN * np.eye(len(information))))))


def _sentence(what: str, names: Sequence[str], before: Array, std: Mapping[str, float]) -> str:
    ratio = [std[name] / float(old) for name, old in zip(names, before, strict=True)]
    # Those that stay unknown are not told.
    best = [i for i in np.argsort(ratio).tolist() if std[names[i]] <= LIMIT][:3]
    if not best:
        return f"{what}: only in combination with others"
    clear = [i for i in best if ratio[i] < CLEAR] or best[:1]
    return f"{what}: " + ", ".join(
        f"{names[i]} to {_share(std[names[i]])} (now {_share(float(before[i]))})" for i in clear
    )


def _share(error: float) -> str:
    return "unknown" if error > LIMIT else f"{100 * error:.2g} %"
