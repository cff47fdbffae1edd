"""A linear netlist as state-space matrices, by modified nodal analysis, and the exact law of its linear SDE.

A circuit of linear parts is

    x' = F x + B u + Bn w,        y = H x + Du u + Dn w

with u the independent sources, w the Johnson currents of the resistors gathered per node, and y the outputs (volts).
The reduction, in `reduction`, removes everything that a source or an algebraic balance fixes and is exact for circuits of
index 1. Sources are constant in time. Dense matrices: up to about 1500 unknowns in a few seconds.

This is the oracle of the compiler's checks; ngspice stays the reference (tests compare the two).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm, solve_continuous_lyapunov

from ..errors import InputError
from ..netlist.elements import CurrentSource, VoltageSource
from ..netlist.netlist import Netlist
from .reduction import Reduced, output_rows, reduce_netlist

Array = NDArray[np.float64]
#: Above this condition number of the eigenvector matrix the matrix exponential is used instead of the eigenbasis.
_EIGENVECTOR_CONDITION = 1e7


def state_space(netlist: Netlist, outputs: Mapping[str, tuple[str, str]] | None = None) -> StateSpace:
    """State-space matrices of `netlist`.

    Args:
        netlist: a checked linear circuit.
        outputs: output name -> (plus node, minus node), each output a voltage difference; None: every node voltage.

    Raises:
        NetlistError: the circuit's graph is bad, its equations are singular or of index above 1.
        InputError: an output names an unknown node.
    """
    netlist.check(direct_current=False)
    if outputs is None:
        outputs = {node: (node, "0") for node in netlist.nodes}
    reduced = reduce_netlist(netlist)
    rows = output_rows(netlist, outputs)
    return StateSpace(
        F=reduced.F,
        B=reduced.B,
        Bn=reduced.Bn,
        H=rows @ reduced.Vx,
        Du=rows @ reduced.Vu,
        Dn=rows @ reduced.Vn,
        noise_density=reduced.noise_density,
        sources=reduced.sources,
        noise_nodes=reduced.noise_nodes,
        outputs=tuple(outputs),
        moving=tuple(e.name for e in netlist if isinstance(e, VoltageSource | CurrentSource) and e.waveform),
        nominal=reduced.nominal,
        initial=reduced.initial,
        _reduced=reduced,
        _rows=rows,
    )


@dataclass(frozen=True, eq=False)
class StateSpace:
    """x' = F x + B u + Bn w, y = H x + Du u + Dn w.

    The states x are an internal basis (charges and fluxes, scaled); only y has volts.

    Attributes:
        F: (n, n) in 1/s. B: (n, sources). Bn: (n, noise nodes). H: (outputs, n). Du, Dn: the direct parts.
        noise_density: (noise nodes, noise nodes), two-sided covariance density of w in A^2/Hz,
            sum over noisy resistors r of (2 k T_r / R_r) n_r n_r^T.
        sources: names of the independent sources, in the order of u. nominal: their dc values.
        noise_nodes: nodes that no voltage source fixes, in the order of w; w_i is a current into node i.
        outputs: names of y. moving: names of the sources that have a waveform.
        initial: the state that the capacitors' and inductors' `initial` values set.
    """

    F: Array
    B: Array
    Bn: Array
    H: Array
    Du: Array
    Dn: Array
    noise_density: Array
    sources: tuple[str, ...]
    noise_nodes: tuple[str, ...]
    outputs: tuple[str, ...]
    moving: tuple[str, ...]
    nominal: Array
    initial: Array
    _reduced: Reduced = field(repr=False)
    _rows: Array = field(repr=False)

    @property
    def size(self) -> int:
        """Number of states."""
        return self.F.shape[0]

    def drive(self, u: ArrayLike | Mapping[str, float] | None = None) -> Array:
        """The source vector: None gives the netlist's dc values; a mapping overrides some of them by name.

        Raises:
            InputError: an unknown source name, a wrong length, or a value that is not finite.
        """
        if u is None:
            return self.nominal
        if isinstance(u, Mapping):
            vector = self.nominal.copy()
            index = {name.lower(): i for i, name in enumerate(self.sources)}
            for name, value in u.items():
                if name.lower() not in index:
                    raise InputError(f"u: no source {name!r}; the sources are {', '.join(self.sources)}")
                vector[index[name.lower()]] = value
        else:
            vector = np.asarray(u, dtype=float)
        if vector.shape != self.nominal.shape or not np.all(np.isfinite(vector)):
            raise InputError(f"u: shape {vector.shape}, finite values of shape {self.nominal.shape} are needed")
        return vector

    def equilibrium(self, u: ArrayLike | Mapping[str, float] | None = None) -> Array:
        """The outputs (V) of the direct-current solution, stable or not: K z = s solved without going through F.

        Raises:
            NetlistError: the direct-current equations are singular (an integrator without any path at zero frequency).
        """
        return self._rows @ self._reduced.solve_static(self.drive(u))

    @cached_property
    def eigenvalues(self) -> NDArray[np.complex128]:
        """Natural frequencies of the circuit (eigenvalues of F) in 1/s, slowest decay first."""
        values = np.linalg.eigvals(self.F).astype(np.complex128)
        return values[np.argsort(-values.real, kind="stable")]

    @property
    def is_stable(self) -> bool:
        """True if every natural frequency decays. A circuit without states is stable."""
        return bool(np.all(self.eigenvalues.real < 0.0))

    def state_covariance(self) -> Array:
        """(n, n) stationary covariance of the states: F S + S F^T = -Bn noise_density Bn^T.

        Raises:
            InputError: the circuit is unstable, so that no stationary law exists.
        """
        if not self.is_stable:
            worst = self.eigenvalues[0]
            raise InputError(f"no stationary covariance: natural frequency {worst:.6g} 1/s does not decay")
        if self.size == 0:
            return np.zeros((0, 0))
        spread = self.Bn @ self.noise_density @ self.Bn.T
        solution = solve_continuous_lyapunov(self.F, -spread)
        return (solution + solution.T) / 2

    def covariance(self) -> Array:
        """(outputs, outputs) stationary covariance of H x in V^2; the white part Dn w has none and is left out."""
        return self.H @ self.state_covariance() @ self.H.T

    def transition(
        self,
        t: ArrayLike,
        x0: ArrayLike | None = None,
        u: ArrayLike | Mapping[str, float] | None = None,
    ) -> Array:
        """Mean outputs (V) at time `t` after the state was `x0`, sources constant: exact, no time stepping.

        x(t) = exp(F t) x0 + F^-1 (exp(F t) - 1) B u, written so that a singular F is no exception.

        Args:
            t: one time or a sequence of times, in s, >= 0.
            x0: the state at t = 0; None: `initial`.
            u: as in `drive`.

        Returns:
            (outputs,) for one time, (times, outputs) for a sequence.
        """
        if self.moving and u is None:
            raise InputError(f"source {self.moving[0]} has a waveform, but sources are constant here: give u")
        times = np.asarray(t, dtype=float)
        if not np.all(np.isfinite(times)) or np.any(times < 0.0):
            raise InputError(f"t = {t!r}: finite times >= 0 s are needed")
        drive = self.drive(u)
        states = self.states(np.atleast_1d(times), x0, drive)
        outputs = states @ self.H.T + self.Du @ drive
        return outputs[0] if times.ndim == 0 else outputs

    def states(self, times: Array, x0: ArrayLike | None, drive: Array) -> Array:
        """(times, n) mean states; see `transition`."""
        start = self.initial if x0 is None else np.asarray(x0, dtype=float)
        if start.shape != (self.size,):
            raise InputError(f"x0: shape {start.shape}, but the circuit has {self.size} states")
        forcing = self.B @ drive
        if self.size == 0:
            return np.zeros((len(times), 0))
        modes = self._modes
        if modes is None:
            return np.stack([self._by_expm(time, start, forcing) for time in times])
        values, vectors, inverse = modes
        exponent = np.multiply.outer(times, values)
        # (exp(lambda t) - 1) / lambda, and t where lambda = 0
        safe = np.where(exponent == 0.0, 1.0, exponent)
        growth = times[:, None] * np.where(exponent == 0.0, 1.0, np.expm1(safe) / safe)
        amplitudes = np.exp(exponent) * (inverse @ start) + growth * (inverse @ forcing)
        return np.ascontiguousarray((amplitudes @ vectors.T).real)

    @cached_property
    def _modes(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.complex128]] | None:
        values, vectors = np.linalg.eig(self.F)
        if np.linalg.cond(vectors) > _EIGENVECTOR_CONDITION:
            return None
        return values.astype(np.complex128), vectors.astype(np.complex128), np.linalg.inv(vectors).astype(np.complex128)

    def _by_expm(self, time: float, start: Array, forcing: Array) -> Array:
        augmented = np.zeros((self.size + 1, self.size + 1))
        augmented[:-1, :-1] = self.F * time
        augmented[:-1, -1] = forcing * time
        return (expm(augmented) @ np.append(start, 1.0))[:-1]

    def states_from(self, nodes: Sequence[str]) -> Array:
        """(n, nodes): the states for a volt at each of some nodes, all sources and other nodes at zero; see `state_from`."""
        return self._reduced.state_of_voltages[:, [self._reduced.nodes.index(node) for node in nodes]]

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes, in the netlist's order."""
        return self._reduced.nodes

    def state_from(self, voltages: Mapping[str, float], u: ArrayLike | Mapping[str, float] | None = None) -> Array:
        """The state whose capacitors carry the charges that the given node voltages (V) would put on them.

        Args:
            voltages: node -> V for every node that a capacitor touches; nodes left out count as 0 V.
            u: the sources at that moment, as in `drive`.

        Raises:
            InputError: an unknown node.
        """
        return self._reduced.state_from(voltages, self.drive(u))
