"""What our reader makes of a text: its parts, solved by the linear engines, which share no code with ngspice."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eig
from scipy.sparse.linalg import splu

from thermograd.circuits.linear.descriptor import Descriptor, describe_netlist
from thermograd.circuits.linear.noise_spectra import noise_spectrum
from thermograd.circuits.netlist.elements import Capacitor, CurrentSource, Inductor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.spice.names import node_name, part_name

#: An instance and the point behind it.
_INSIDE = re.compile(r"(x[^.]*)\.", re.IGNORECASE)
Complex = NDArray[np.complex128]


def outer_name(name: str) -> str:
    """The name that our reader gives to ngspice's node `x1.x2.n`: `n_x1_x2`, in lower case."""
    path = []
    while (inside := _INSIDE.match(name)) is not None:
        path.append(inside[1])
        name = name[inside.end() :]
    return node_name(name).lower() + "".join(f"_{part_name(part).lower()}" for part in path)


def at_rest(netlist: Netlist) -> dict[str, complex]:
    """The operating point: G z = B u; node voltages by lower-case name."""
    netlist.check()
    law = describe_netlist(netlist)
    return _named(law, _solve(law, 0.0, _inputs(netlist, law, "dc")))


def at_frequency(netlist: Netlist, hertz: float) -> dict[str, complex]:
    """The small-signal response to the sources' `ac` values: (G + 2 pi i f C) z = B u."""
    netlist.check(direct_current=False)
    law = describe_netlist(netlist)
    return _named(law, _solve(law, 2j * np.pi * hertz, _inputs(netlist, law, "ac")))


def noise_at(netlist: Netlist, node: str, hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """V/sqrt(Hz) at a node, given by its lower-case name."""
    spelled = {known.lower(): known for known in netlist.nodes}
    return noise_spectrum(netlist, [spelled[node]], hertz).amplitude[:, 0]


def after(netlist: Netlist, seconds: float, use_initial: bool, steps: int = 2000) -> dict[str, complex]:
    """Voltages at the end of a transient, by the trapezoidal rule with equal steps.

    (G + 2C/h) z_k = B (u_k + u_(k-1)) - (G - 2C/h) z_(k-1), with one backward Euler step at the start, where initial values need not obey
    the algebraic equations.

    Raises:
        RuntimeError: the circuit is unstable.
    """
    netlist.check(direct_current=not use_initial)
    law = describe_netlist(netlist)
    h = seconds / steps
    grid = h * np.arange(steps + 1)
    drive = np.zeros((len(law.sources), steps + 1))
    for row, name in enumerate(law.sources):
        source = netlist[name]
        assert isinstance(source, VoltageSource | CurrentSource)
        times, values = zip(*source.waveform, strict=True) if source.waveform else ((0.0,), (source.dc,))
        drive[row] = np.interp(grid, times, values)
    wanted = np.asarray(law.input @ drive)
    G, C = law.conductance, law.storage
    alpha, beta = eig(-G.toarray(), C.toarray(), right=False, homogeneous_eigvals=True)
    if np.any((alpha.real * np.sign(beta.real) > 1e-9 * abs(alpha)) & (abs(beta) > 1e-12 * abs(alpha) * h)):
        raise RuntimeError("the circuit is unstable: what it does depends on rounding")
    if use_initial:
        state = np.zeros(G.shape[0])
        stored = _stored(netlist, law)
        start = splu((G + C / (h * 1e-3)).tocsc())
        state = start.solve(wanted[:, 0] + stored / (h * 1e-3))
    else:
        state = _solve(law, 0.0, drive[:, 0]).real
    step = splu((G + 2 / h * C).tocsc())
    for k in range(1, steps + 1):
        # The algebraic rows (no storage) hold at each time: averaged, they would ring.
        state = (
            step.solve(2 / h * (C @ state) - G @ state + wanted[:, k] + wanted[:, k - 1])
            if k > 2
            else _euler(G, C, h, state, wanted[:, k])
        )
    return _named(law, state)


def _euler(
    G: object, C: object, h: float, state: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(splu((G + C / h).tocsc()).solve(C @ state / h + wanted))  # type: ignore[operator, attr-defined]


def _stored(netlist: Netlist, law: Descriptor) -> NDArray[np.float64]:
    """C z at t = 0 from the initial values of capacitors and inductors."""
    stored = np.zeros(law.conductance.shape[0])
    branches = [e for e in netlist if type(e).__name__ in ("Inductor", "VoltageSource", "VCVS", "CCVS")]
    row = {e.name.lower(): i for i, e in enumerate(branches, start=len(law.nodes))}
    currents = np.zeros(len(stored))
    for part in netlist:
        if isinstance(part, Capacitor) and part.initial:
            for end, sign in ((part.a, 1.0), (part.b, -1.0)):
                if end != "0":
                    stored[law.index[end]] += sign * part.capacitance * part.initial
        elif isinstance(part, Inductor) and part.initial:
            currents[row[part.name.lower()]] = part.initial
    return stored + np.asarray(law.storage @ currents)


def _inputs(netlist: Netlist, law: Descriptor, field: str) -> NDArray[np.float64]:
    return np.array([getattr(netlist[name], field) for name in law.sources], dtype=float)


def _solve(law: Descriptor, s: complex, u: NDArray[np.float64]) -> Complex:
    matrix = law.at(s).astype(np.complex128)
    scale = 1.0 / np.maximum(abs(matrix).max(axis=1).toarray().ravel(), 1e-300)
    return np.asarray(splu((matrix.multiply(scale[:, None])).tocsc()).solve(scale * (law.input @ u)))


def _named(law: Descriptor, z: NDArray[np.float64] | Complex) -> dict[str, complex]:
    return {node.lower(): complex(z[i]) for node, i in law.index.items()}
