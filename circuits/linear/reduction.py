"""The equations of a linear netlist, reduced to ordinary differential equations.

`mna` gives E q' = -K q + r with scaled coordinates q. A singular E is split by its SVD; the part without dynamics is solved for and
substituted. If that part is singular the circuit has index 2 or more, which is an error. Every step is an exact change of coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lu_factor, lu_solve

from ..errors import InputError, NetlistError
from ..netlist.elements import Inductor
from ..netlist.netlist import Netlist
from .mna import RANK_TOLERANCE, Constrained, constrain

Array = NDArray[np.float64]
_DRIVEN = 1e-7  # a sum that is not below this share of its terms is no rounding, and what it drives is not conserved
_SINGULAR = 1e-14  # reciprocal condition (after equilibration) below which the algebraic part counts as singular


@dataclass(frozen=True, eq=False)
class Reduced:
    """x' = F x + B u + Bn w and node voltages v = Vx x + Vu u + Vn w, all nodes in the netlist's order."""

    F: Array
    B: Array
    Bn: Array
    Vx: Array
    Vu: Array
    Vn: Array
    noise_density: Array
    sources: tuple[str, ...]
    noise_nodes: tuple[str, ...]
    nominal: Array
    initial: Array
    _system: Constrained = field(repr=False)
    _to_state: Array = field(repr=False)
    _index: dict[str, int] = field(repr=False)

    def solve_static(self, drive: Array) -> Array:
        """Node voltages of K q = r, the direct-current equations."""
        system = self._system
        solved = _solve(system.K, system.R_u @ drive, "direct-current equations: some voltage is undetermined")
        return (system.basis @ solved + system.offset @ drive)[: len(self._index)]

    @property
    def nodes(self) -> tuple[str, ...]:
        """All of them, in the netlist's order."""
        return tuple(self._index)

    @property
    def state_of_voltages(self) -> Array:
        """(states, nodes): the states' part that node voltages make by the charges of capacitors, nodes in the netlist's order."""
        system, nodes = self._system, len(self._index)
        return np.asarray(self._to_state @ system.left.T[:, :nodes] @ system.capacitance)

    def state_from(self, voltages: Mapping[str, float], drive: Array) -> Array:
        """See `StateSpace.state_from`; inductor currents are those of `initial`."""
        vector = np.zeros(len(self._index))
        for node, value in voltages.items():
            if node != "0" and node not in self._index:
                raise InputError(f"voltages: the netlist has no node {node!r}")
            if node != "0":
                vector[self._index[node]] = value
        system = self._system
        return self._to_state @ (system.left.T @ system.storage(vector) - system.charge_offset @ drive)


def reduce_netlist(netlist: Netlist) -> Reduced:
    """Build and reduce the equations of `netlist`; raises NetlistError if singular or of index above 1."""
    index = {node: i for i, node in enumerate(netlist.nodes)}
    system = constrain(netlist, index)
    E, K = system.E, system.K
    left_d, sizes, right_d, left_a, right_a = _split(E)
    algebraic = left_a.T @ K @ right_a
    # q = right_d x + right_a z;  0 = -left_a^T K q + left_a^T r
    what = (
        "algebraic part: the circuit has index 2 or more (a loop of capacitors with controlled voltage sources, "
        "a cutset of inductors), or a node without any conductance"
    )
    K_x = left_a.T @ K @ right_d
    n_u = system.R_u.shape[1]
    fast = _solve(algebraic, np.hstack([K_x, left_a.T @ system.R_u, left_a.T @ system.R_w]), what)
    split = K_x.shape[1]
    z_x, z_u, z_w = -fast[:, :split], fast[:, split : split + n_u], fast[:, split + n_u :]
    q_x, q_u, q_w = right_d + right_a @ z_x, right_a @ z_u, right_a @ z_w
    weight = left_d.T / sizes[:, None]
    voltage = system.basis[: len(index)]
    initial = weight @ (system.left.T @ system.initial_storage - system.charge_offset @ system.nominal)
    if netlist.of(Inductor):
        free = _without_conserved(
            -weight @ K @ q_x, weight @ (system.R_u - K @ q_u), weight @ (system.R_w - K @ q_w), initial
        )
        weight, q_x, initial = free.T @ weight, q_x @ free, free.T @ initial
    return Reduced(
        F=-weight @ K @ q_x,
        B=weight @ (system.R_u - K @ q_u),
        Bn=weight @ (system.R_w - K @ q_w),
        Vx=voltage @ q_x,
        Vu=voltage @ q_u + system.offset[: len(index)],
        Vn=voltage @ q_w,
        noise_density=system.density,
        sources=system.sources,
        noise_nodes=system.noise_nodes,
        nominal=system.nominal,
        initial=initial,
        _system=system,
        _to_state=weight,
        _index=index,
    )


def _without_conserved(F: Array, B: Array, Bn: Array, initial: Array) -> Array:
    """Orthonormal basis of the states that can occur: those in which what nothing changes keeps its initial value of zero.

    The flux through a loop of inductors is such a quantity y^T x, y^T F = y^T B = y^T Bn = 0. Left in, it would be a mode without decay
    and without noise, for which there is no stationary law to speak of.
    """
    size = F.shape[0]
    if size == 0:
        return np.eye(0)
    left, values, _ = np.linalg.svd(F)
    silent = left[:, values <= RANK_TOLERANCE * values[0]]
    # Nothing may reach it, not even weakly: each sum must cancel to rounding against its own terms.
    for other in (F, B, Bn, initial[:, None]):
        reach, terms = np.abs(silent.T @ other), np.abs(silent).T @ np.abs(other)
        rounding = 1e-13 * np.abs(other).max(initial=0.0)
        silent = silent[:, (reach <= np.maximum(_DRIVEN * terms, rounding)).all(axis=1)]
    if silent.shape[1] == 0:
        return np.eye(size)
    complement, _, _ = np.linalg.svd(silent, full_matrices=True)
    return np.asarray(complement[:, silent.shape[1] :])


def output_rows(netlist: Netlist, outputs: Mapping[str, tuple[str, str]]) -> Array:
    """(outputs, nodes) matrix that takes node voltages to voltage differences."""
    index = {node: i for i, node in enumerate(netlist.nodes)}
    rows = np.zeros((len(outputs), len(index)))
    for row, (name, pair) in zip(rows, outputs.items(), strict=True):
        if isinstance(pair, str) or len(pair) != 2:
            raise InputError(f"output {name!r} = {pair!r}: a pair (plus node, minus node) is needed")
        for node, sign in zip(pair, (1.0, -1.0), strict=True):
            if node != "0":
                if node not in index:
                    raise InputError(f"output {name!r}: the netlist has no node {node!r}")
                row[index[node]] += sign
    return rows


def _split(E: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Left basis, sizes and right basis of the dynamic part of E, then left and right basis of its null spaces."""
    size = E.shape[0]
    if np.array_equal(E, np.diag(np.diag(E))):  # grounded capacitors only: keep the coordinates
        sizes, eye = np.diag(E), np.eye(size)
        held = np.abs(sizes) > RANK_TOLERANCE * max(np.abs(sizes).max(initial=0.0), np.finfo(float).tiny)
        return eye[:, held], sizes[held], eye[:, held], eye[:, ~held], eye[:, ~held]
    U, sizes, Vt = np.linalg.svd(E)
    rank = int(np.count_nonzero(sizes > RANK_TOLERANCE * sizes[0]))
    return U[:, :rank], sizes[:rank], Vt[:rank].T, U[:, rank:], Vt[rank:].T


def _solve(matrix: Array, right: Array, what: str) -> Array:
    """Solve with equilibration; NetlistError(`what`) if singular."""
    if matrix.shape[0] == 0:
        return np.zeros((0, *right.shape[1:]))
    rows = np.abs(matrix).max(axis=1)
    columns = np.abs(matrix / np.where(rows > 0.0, rows, 1.0)[:, None]).max(axis=0)
    if rows.min() == 0.0 or columns.min() == 0.0:
        raise NetlistError(f"singular {what}")
    balanced = matrix / rows[:, None] / columns
    if 1.0 / np.linalg.cond(balanced, 1) < _SINGULAR:
        raise NetlistError(f"singular {what}")
    factors = lu_factor(balanced)
    scaled = right / (rows if right.ndim == 1 else rows[:, None])
    solved = lu_solve(factors, scaled)
    return solved / (columns if right.ndim == 1 else columns[:, None])
