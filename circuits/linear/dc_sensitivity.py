"""First-order change of voltages at rest with each part of a linear netlist, by the adjoint network.

With the descriptor form at rest, G z = B u, and outputs y = D z, a resistor of conductance g between nodes a and b whose resistance
changes by a share delta moves the outputs by

    dy = W^T (e_a - e_b) g (v_a - v_b) delta,     G^T W = D^T,

and a source by W^T B e_k per volt or ampere: one factorisation serves all parts (S. W. Director, R. A. Rohrer, IEEE Transactions on
Circuit Theory 16:318, 1969).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import linalg

from ..errors import NetlistError
from ..netlist.elements import GROUND, CurrentSource, Resistor, VoltageSource
from ..netlist.netlist import Netlist
from .descriptor import describe_netlist

Array = NDArray[np.float64]


class DCSensitivity:
    """The outputs of a linear netlist at rest, and their first-order changes.

    Args:
        netlist: without diodes, transistors or saturating sources.
        outputs: (k) pairs of nodes; an output is the voltage from the first to the second, which may be ground, "0".

    Attributes:
        volts: (k,) V, the outputs.

    Raises:
        NetlistError: a part that is not linear; a circuit without one solution at rest.
    """

    def __init__(self, netlist: Netlist, outputs: Sequence[tuple[str, str]]) -> None:
        form = describe_netlist(netlist)
        inputs = np.array([netlist[name].dc for name in form.sources])  # type: ignore[attr-defined]
        try:
            factors = linalg.splu(form.conductance)
        except RuntimeError:
            raise NetlistError(
                f"netlist {netlist.title!r} has no single solution at rest; look for a node without a path to ground"
            ) from None
        read = form.differences(list(outputs))
        self._netlist, self._form = netlist, form
        self._rest = factors.solve(form.input @ inputs)
        self._adjoint = factors.solve(read.T.toarray(), trans="T")
        self._source = {name: k for k, name in enumerate(form.sources)}
        self.volts: Array = read @ self._rest

    def of_resistors(self, names: Sequence[str]) -> Array:
        """(k, m) V: change of each output for a change of one in the logarithm of each of these resistances."""
        parts = []
        for part in (self._netlist[name] for name in names):
            if not isinstance(part, Resistor):
                raise NetlistError(f"{part.name} is a {type(part).__name__}, not a resistor")
            parts.append(part)
        current = self._across(self._rest, parts) / np.array([part.resistance for part in parts])
        return np.asarray(self._across(self._adjoint, parts).T * current)

    def of_sources(self, names: Sequence[str]) -> Array:
        """(k, m): change of each output with each of these sources, V/V or V/A."""
        wrong = next(
            (name for name in names if not isinstance(self._netlist[name], VoltageSource | CurrentSource)), None
        )
        if wrong is not None:
            raise NetlistError(f"{wrong} is a {type(self._netlist[wrong]).__name__}, not an independent source")
        columns = [self._source[self._netlist[name].name] for name in names]
        return np.asarray((self._form.input[:, columns].T @ self._adjoint).T)

    def _across(self, state: Array, parts: Sequence[Resistor]) -> Array:
        """Difference of a quantity between the two nodes of each part, (m,) or (m, k)."""
        index = self._form.index | {GROUND: -1}
        padded = np.concatenate([state, np.zeros((1, *state.shape[1:]))])
        first, second = ([index[getattr(part, end)] for part in parts] for end in ("a", "b"))
        return np.asarray(padded[first] - padded[second])
