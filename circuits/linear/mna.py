"""Modified nodal analysis of a linear netlist: its equations, scaled and with the sources' conditions solved.

With node voltages v, inductor currents j and source-branch currents e, Kirchhoff's laws are

    C v' = -G v + A_I u_I - A_V e - A_L j + N w          current balance at each node
    L j' = A_L^T v                                       inductors; mutual inductances off L's diagonal
    P v  = u_V   (independent sources),  0 (E sources: v(a) - v(b) - gain (v(cp) - v(cm)))

A current that an H or F source senses is that of an inductor in series with the sensed source if there is one; otherwise the sensed
source is a branch of its own, an inductor of zero inductance, whose current the reduction solves for (`reduction`, the third step).

Two exact changes of coordinates are made here:

1. Scaling. Nodes by 1/sqrt(C_ii) (or 1/sqrt(tau G_ii) where no capacitor sits), inductors by 1/sqrt(L): the rank
   decisions below then compare numbers of order one whatever the circuit's units are.
2. Sources. The voltage constraints are solved, v = Nv q + Pu u, and the current balances are combined so that the
   source currents e drop out (left null space). Sources are constant in time, so capacitors at source nodes carry none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import constants
from scipy.linalg import qr

from ..errors import NetlistError
from ..netlist.elements import (
    CCCS,
    CCVS,
    VCCS,
    VCVS,
    Capacitor,
    CurrentSource,
    Element,
    Inductor,
    Resistor,
    VoltageSource,
)
from ..netlist.mutual_inductance import MutualInductance, mutual_inductances
from ..netlist.netlist import Netlist
from ..netlist.semiconductors import reject_devices
from ..netlist.topology import UnionFind

Array = NDArray[np.float64]
RANK_TOLERANCE = 1e-11
"""Relative, after scaling: parts within 1e11 of each other are distinguished."""


@dataclass(frozen=True, eq=False)
class Constrained:
    """E q' = -K q + R_u u + R_w w with (v, j) = basis q + offset u: steps 1 and 2 done."""

    E: Array
    K: Array
    R_u: Array
    R_w: Array
    basis: Array
    offset: Array
    left: Array
    capacitance: Array
    charge_offset: Array
    initial_storage: Array
    density: Array
    sources: tuple[str, ...]
    noise_nodes: tuple[str, ...]
    nominal: Array

    def storage(self, voltages: Array) -> Array:
        """Charges at the nodes for given node voltages, followed by the initial fluxes of the inductors."""
        nodes = len(voltages)
        return np.concatenate([self.capacitance @ voltages, self.initial_storage[nodes:]])


def constrain(netlist: Netlist, index: dict[str, int]) -> Constrained:
    """The equations of `netlist`, its nodes numbered by `index`; raises NetlistError where sources contradict each other."""
    reject_devices(netlist, "state-space engine")
    nodes, inductors = len(index), netlist.of(Inductor)
    probes: list[CCVS | CCCS] = [*netlist.of(CCVS), *netlist.of(CCCS)]
    in_series = {probe.sense.lower(): _series_inductor(netlist, probe.sense) for probe in probes}
    metered = [netlist[name] for name, found in in_series.items() if found is None]
    size = nodes + len(inductors) + len(metered)
    G, C = np.zeros((size, size)), np.zeros((size, size))
    for resistor in netlist.of(Resistor):
        _stamp(G, index, resistor.a, resistor.b, 1.0 / resistor.resistance)
    for vccs in netlist.of(VCCS):
        for node, sign in ((vccs.a, 1.0), (vccs.b, -1.0)):
            if node != "0":
                row = G[index[node]]
                _control(row, index, vccs.cp, vccs.cm, sign * vccs.transconductance)
    stored = np.zeros(size)
    for capacitor in netlist.of(Capacitor):
        _stamp(C, index, capacitor.a, capacitor.b, capacitor.capacitance)
        _control(stored, index, capacitor.a, capacitor.b, capacitor.capacitance * (capacitor.initial or 0.0))
    for row, inductor in enumerate(inductors, start=nodes):
        C[row, row] = inductor.inductance
        _control(G[row], index, inductor.a, inductor.b, -1.0)
        _control(G[:, row], index, inductor.a, inductor.b, 1.0)
        stored[row] = inductor.inductance * (inductor.initial or 0.0)
    rows = {inductor.name.lower(): (row, inductor) for row, inductor in enumerate(inductors, start=nodes)}
    for (first, second), mutual in mutual_inductances(netlist).items():
        for (row, _), (column, other) in ((rows[first], rows[second]), (rows[second], rows[first])):
            C[row, column] = mutual
            stored[row] += mutual * (other.initial or 0.0)
    currents = {name: (rows[found[0].name.lower()][0], found[1]) for name, found in in_series.items() if found}
    for row, meter in enumerate(metered, start=nodes + len(inductors)):
        currents[meter.name.lower()] = row, 1.0
        _control(G[row], index, meter.a, meter.b, -1.0)
        _control(G[:, row], index, meter.a, meter.b, 1.0)
    for cccs in netlist.of(CCCS):
        column, sign = currents[cccs.sense.lower()]
        _control(G[:, column], index, cccs.a, cccs.b, sign * cccs.gain)
    v_sources, i_sources = netlist.of(VoltageSource), netlist.of(CurrentSource)
    vcvs, ccvs = netlist.of(VCVS), netlist.of(CCVS)
    # An ammeter, a sensed source of 0 V, is no input: it could drive what else is conserved.
    ammeters = {e.name for e in v_sources if e.name.lower() in in_series and e.dc == 0.0 and e.ac == 0.0}
    v_sources = [e for e in v_sources if e not in metered]
    fixing = (*v_sources, *vcvs, *ccvs)
    inputs = [e for e in netlist if isinstance(e, VoltageSource | CurrentSource) and e.name not in ammeters]
    sources = tuple(e.name for e in inputs)
    place = {name: i for i, name in enumerate(sources)}
    branches = np.zeros((size, len(fixing)))
    wanted = np.zeros((len(fixing), len(sources)))
    R_u = np.zeros((size, len(sources)))
    for current in i_sources:
        _control(R_u[:, place[current.name]], index, current.a, current.b, -1.0)
    for row, meter in enumerate(metered, start=nodes + len(inductors)):
        if meter.name in place:
            R_u[row, place[meter.name]] = -1.0
    for column, source in enumerate(fixing):
        _control(branches[:, column], index, source.a, source.b, 1.0)
    constraint = branches.T.copy()
    for row, voltage in enumerate(v_sources):
        if voltage.name in place:
            wanted[row, place[voltage.name]] = 1.0
    for row, controlled in enumerate(vcvs, start=len(v_sources)):
        _control(constraint[row], index, controlled.cp, controlled.cm, -controlled.gain)
    for row, probe in enumerate(ccvs, start=len(v_sources) + len(vcvs)):
        column, sign = currents[probe.sense.lower()]
        constraint[row, column] -= sign * probe.transresistance

    noise_nodes, R_w, density = _johnson(netlist, fixing, index, size)
    scale = _scales(C, G, nodes)
    basis, offset = _null_space(constraint * scale, wanted)
    left, _ = _null_space(branches.T * scale, wanted)
    basis, offset, left = scale[:, None] * basis, scale[:, None] * offset, scale[:, None] * left
    nominal = np.array([netlist[name].dc for name in sources])  # type: ignore[attr-defined]
    return Constrained(
        E=left.T @ C @ basis,
        K=left.T @ G @ basis,
        R_u=left.T @ (R_u - G @ offset),
        R_w=left.T @ R_w,
        basis=basis,
        offset=offset,
        left=left,
        capacitance=C[:nodes, :nodes],
        charge_offset=left.T @ C @ offset,
        initial_storage=stored,
        density=density,
        sources=sources,
        noise_nodes=noise_nodes,
        nominal=nominal,
    )


def _series_inductor(netlist: Netlist, sense: str) -> tuple[Inductor, float] | None:
    """The inductor in series with the source `sense`, if any, and the sign of its current in the source's direction."""
    source = netlist[sense]
    for node, away in ((source.a, -1.0), (source.b, 1.0)):  # current leaves the source at its minus node
        if node == "0":
            continue
        others = [e for e in netlist if not isinstance(e, MutualInductance) and e is not source and node in (e.a, e.b)]
        if len(others) == 1 and isinstance(others[0], Inductor):
            return others[0], away if others[0].a == node else -away
    return None


def _stamp(matrix: Array, index: dict[str, int], a: str, b: str, value: float) -> None:
    i, j = index.get(a, -1), index.get(b, -1)
    if i >= 0:
        matrix[i, i] += value
    if j >= 0:
        matrix[j, j] += value
    if i >= 0 and j >= 0:
        matrix[i, j] -= value
        matrix[j, i] -= value


def _control(vector: Array, index: dict[str, int], plus: str, minus: str, value: float) -> None:
    if plus != "0":
        vector[index[plus]] += value
    if minus != "0":
        vector[index[minus]] -= value


def _johnson(
    netlist: Netlist, fixing: tuple[Element, ...], index: dict[str, int], size: int
) -> tuple[tuple[str, ...], Array, Array]:
    """Nodes that none of the sources `fixing` fixes, the matrix that injects their currents, and the density 2kT/R n n^T."""
    sets = UnionFind((*index, "0"))
    for element in fixing:
        sets.union(element.a, element.b)
    ground = sets.find("0")
    free = tuple(node for node in index if sets.find(node) != ground)
    place = {node: i for i, node in enumerate(free)}
    inject = np.zeros((size, len(free)))
    inject[[index[node] for node in free], np.arange(len(free))] = 1.0
    density = np.zeros((len(free), len(free)))
    for resistor in netlist.of(Resistor):
        if resistor.noisy:
            kelvin = netlist.temperature if resistor.temperature is None else resistor.temperature
            _stamp(density, place, resistor.a, resistor.b, 2.0 * constants.k * kelvin / resistor.resistance)
    return free, inject, density


def _scales(C: Array, G: Array, nodes: int) -> Array:
    """Step 1: 1/sqrt of each diagonal of C; what stores nothing uses the circuit's typical time constant and conductance."""
    stored, loss = np.diag(C).copy(), np.abs(np.diag(G)[:nodes])
    held = stored[:nodes] > 0.0
    both = held & (loss > 0.0)
    tau = float(np.median(stored[:nodes][both] / loss[both])) if both.any() else 1.0
    usual = float(np.median(loss[loss > 0.0])) * tau if (loss > 0.0).any() else 1.0
    stored[:nodes] = np.where(held, stored[:nodes], np.where(loss > 0.0, tau * loss, usual))
    stored[nodes:] = np.where(stored[nodes:] > 0.0, stored[nodes:], tau**2 / usual)
    return 1.0 / np.sqrt(stored)


def _null_space(constraint: Array, wanted: Array) -> tuple[Array, Array]:
    """Basis of {v: constraint v = 0} and the least-norm v of constraint v = wanted u.

    Coordinates that no constraint touches are kept as they are, so that the basis stays sparse.
    """
    size = constraint.shape[1]
    if constraint.shape[0] == 0:
        return np.eye(size), np.zeros((size, wanted.shape[1]))
    length = np.linalg.norm(constraint, axis=1)
    if length.min() == 0.0:
        raise NetlistError("an E source controls itself with gain 1, so that its condition is empty; change its gain")
    rows, right = constraint / length[:, None], wanted / length[:, None]
    touched = np.flatnonzero(np.any(rows != 0.0, axis=0))
    free = np.flatnonzero(~np.any(rows != 0.0, axis=0))
    Q, R = qr(rows[:, touched].T)
    rank = rows.shape[0]
    R = R[:rank]
    diagonal = np.abs(np.diag(R))
    if len(touched) < rank or diagonal.min() < RANK_TOLERANCE:
        raise NetlistError(
            "the voltage sources and E sources contradict each other or repeat a condition; remove one of them"
        )
    basis = np.zeros((size, size - rank))
    basis[free, np.arange(len(free))] = 1.0
    basis[np.ix_(touched, np.arange(len(free), size - rank))] = Q[:, rank:]
    offset = np.zeros((size, wanted.shape[1]))
    offset[touched] = Q[:, :rank] @ np.linalg.solve(R.T, right)
    return basis, offset
