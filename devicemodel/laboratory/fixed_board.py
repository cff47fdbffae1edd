"""`FixedBoard`: a board whose matrix is wired in, as what a host drives and reads of it, and the matrix that it represents.

With T the transfer matrix at rest, outputs y over inputs u, the board solves T^-1 y = u. A host scales each input by a number l_i, so that
B = L T^-1 is symmetric as the systems of this package are, and each unknown by d_i:

    A = D B D,    u = L^-1 D^-1 b,    x = D^-1 y.

So one board solves its own matrix, its multiples, and whatever a diagonal scaling makes of them. What is left of a matrix without that are
its normalised entries A_ij / sqrt(A_ii A_jj), and these have to be the board's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ...circuits.errors import InputError
from ...circuits.linear.statespace import StateSpace, state_space
from ...circuits.netlist.netlist import Netlist
from ...circuits.records import Record
from ...circuits.spice.read import parse_spice
from ...circuits.technology.converters import Converter
from ..calibration.measured.result import CircuitCalibration
from ..calibration.measured.schema import nodes_of
from ..estimate import Number

LEAST_TOLERANCE = 1e-6
"""Difference of a normalised entry that is none, where the fit has no error."""
ERRORS = 3.0
"""Standard errors of the fit within which an entry is the board's."""
_STEP = 1e-3  # of a logarithm, in central differences
_LARGEST_CONDITION = 1e8


class BoardInput(Record):
    """A source of the netlist that the host sets."""

    title_in_errors = "board input"

    source: str
    """Name of a voltage or current source in the netlist."""
    limit: Number = Field(gt=0, allow_inf_nan=False)
    """Largest value of either sign that the host can set, V or A."""


class FixedBoard(Record):
    """A board that holds one matrix. Its netlist has the fitted values."""

    title_in_errors = "fixed board"

    kind: Literal["fixed"] = "fixed"
    netlist: str
    """In ngspice's text; read as data."""
    inputs: tuple[BoardInput, ...] = Field(min_length=1)
    """One for each unknown, in their order. Other sources keep their values, and make the offsets."""
    outputs: tuple[str, ...]
    """What is read of each unknown: a node, "n1", or a difference, "n1-n2"."""
    dac: Converter = Converter()
    """Its full scale stands for an input's limit."""
    adc: Converter = Converter()
    errors: tuple[tuple[Number, ...], ...]
    """(n, n) standard errors of the matrix' normalised entries, from the fit."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        n = len(self.inputs)
        if len(self.outputs) != n or [len(row) for row in self.errors] != [n] * n:
            raise ValueError(
                f"{n} inputs need as many outputs, and {n} x {n} errors; there are {len(self.outputs)} outputs"
            )
        if not all(0 <= error < math.inf for row in self.errors for error in row):
            raise ValueError("errors holds a number that is negative or not finite")
        _ = self.law
        return self

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return len(self.inputs)

    @cached_property
    def circuit(self) -> Netlist:
        """The netlist with the fitted values."""
        return parse_spice(self.netlist)

    @cached_property
    def law(self) -> BoardLaw:
        """What it does, by the fitted values."""
        return BoardLaw(self.circuit, [one.source for one in self.inputs], self.outputs)

    @property
    def tolerance(self) -> np.ndarray:
        """(n, n): by how much a normalised entry may differ from the board's: three standard errors of the fit."""
        return np.maximum(ERRORS * np.array(self.errors), LEAST_TOLERANCE)

    def scaling(self, matrix: np.ndarray) -> np.ndarray:
        """d (n,) of D B D, which has the matrix' diagonal.

        Raises:
            InputError: another size, or a diagonal that is not positive.
        """
        if matrix.shape != (self.size, self.size):
            raise InputError(
                f"the matrix is {matrix.shape[0]} x {matrix.shape[1]}, and the board is wired for {self.size} unknowns"
            )
        diagonal = np.diag(matrix)
        if not (diagonal > 0).all():
            at = int(np.argmin(diagonal)) + 1
            raise InputError(f"entry ({at}, {at}) of the matrix is {diagonal.min():.4g}: a diagonal above 0 is needed")
        return np.sqrt(diagonal / np.diag(self.law.matrix))

    def difference(self, matrix: np.ndarray) -> str:
        """What is not the board's in a matrix, naming the entry that is furthest off; "": it is the board's up to a diagonal scaling."""
        self.scaling(matrix)
        wanted, own, allowed = normalised(matrix), normalised(self.law.matrix), self.tolerance
        excess = np.abs(wanted - own) - allowed
        i, j = (int(k) for k in np.unravel_index(int(np.argmax(excess)), excess.shape))
        if excess[i, j] <= 0:
            return ""
        scale = math.sqrt(matrix[i, i] * matrix[j, j])
        return (
            f"entry ({i + 1}, {j + 1}) of the matrix is {matrix[i, j]:.5g}, and the board's, scaled to the same diagonal, "
            f"{own[i, j] * scale:.5g} (allowed: +- {allowed[i, j] * scale:.2g}, from the fit's errors)"
        )


class BoardLaw:
    """State space of a board's netlist and the matrix at rest.

    Args:
        netlist: linear. sources: names of the inputs, in the order of the unknowns. outputs: "n1" or "n1-n2" each.

    Attributes:
        space: with these outputs. inputs: (n,) places of the inputs among the sources. fixed: (sources,) values of the others.
        rest: (n,) V at the outputs with the inputs at zero.
        transfer: T, (n, n), outputs over inputs at rest.
        input_scaling: l (n,). matrix: B = L T^-1, (n, n) symmetric.
        slowest: longest time constant, s.

    Raises:
        InputError: an unknown source or node; a board that is unstable, or whose matrix is singular or not positive definite.
        NetlistError: as `state_space`.
    """

    def __init__(self, netlist: Netlist, sources: Sequence[str], outputs: Sequence[str]) -> None:
        self.space: StateSpace = state_space(netlist, {name: nodes_of(name) for name in outputs})
        known = {name.lower(): place for place, name in enumerate(self.space.sources)}
        for name in sources:
            if name.lower() not in known:
                raise InputError(
                    f"inputs: no source {name!r} in the netlist; there are {', '.join(self.space.sources) or 'none'}"
                )
            if sum(other.lower() == name.lower() for other in sources) > 1:
                raise InputError(f"inputs: source {name!r} is named twice")
        if len(outputs) != len(sources):
            raise InputError(f"{len(sources)} inputs and {len(outputs)} outputs: give one of each for each unknown")
        if not self.space.is_stable or self.space.size == 0:
            raise InputError(
                "the board's netlist does not relax: a natural frequency does not decay, or it holds no charge; its capacitors are needed"
            )
        self.inputs = np.array([known[name.lower()] for name in sources])
        self.fixed = self.space.nominal.copy()
        self.fixed[self.inputs] = 0.0
        self.rest = self.space.equilibrium(self.fixed)
        units = np.zeros((len(sources), len(self.fixed)))
        units[np.arange(len(sources)), self.inputs] = 1.0
        self.transfer = np.column_stack([self.space.equilibrium(unit) for unit in units])
        norms = np.abs(self.transfer).max(axis=0)
        if not (norms > 0).all() or np.linalg.cond(self.transfer / norms) > _LARGEST_CONDITION:
            raise InputError(
                "the outputs at rest do not tell the inputs apart, since the transfer matrix from inputs to outputs is singular: "
                "choose other outputs"
            )
        inverse = np.linalg.inv(self.transfer)
        self.input_scaling = _symmetrising(inverse)
        self.matrix = self.input_scaling[:, None] * inverse
        self.asymmetry = float(np.abs(normalised(self.matrix) - normalised(self.matrix).T).max())
        self.matrix = (self.matrix + self.matrix.T) / 2
        if np.linalg.eigvalsh(self.matrix)[0] <= 0:
            raise InputError(
                f"the board's matrix, inverse of the transfer from inputs to outputs, is not positive definite: {self.matrix.tolist()}"
            )
        self.slowest = -1.0 / float(self.space.eigenvalues[0].real)


def normalised(matrix: np.ndarray) -> np.ndarray:
    """A_ij / sqrt(A_ii A_jj), (n, n)."""
    size = np.sqrt(np.diag(matrix))
    return np.asarray(matrix / size[:, None] / size)


def _symmetrising(matrix: np.ndarray) -> np.ndarray:
    """l (n,) with which L M is as symmetric as it can be, with a positive diagonal; ln|l| has a mean of zero."""
    n, diagonal = len(matrix), np.diag(matrix)
    if not diagonal.all():
        at = int(np.argmin(np.abs(diagonal))) + 1
        raise InputError(
            f"output {at} at rest does not depend on input {at} alone: give inputs and outputs in the same order"
        )
    signed = np.sign(diagonal)[:, None] * matrix
    rows, targets = [], []
    for i in range(n):
        for j in range(i):
            product = signed[i, j] * signed[j, i]
            if product > 0:
                weight = math.sqrt(product / abs(diagonal[i] * diagonal[j]))
                row = np.zeros(n)
                row[i], row[j] = weight, -weight
                rows.append(row)
                targets.append(weight * math.log(signed[j, i] / signed[i, j]))
    logs = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=1e-12)[0] if rows else np.zeros(n)
    return np.asarray(np.sign(diagonal) * np.exp(logs))


def entry_errors(
    calibration: CircuitCalibration,
    build: Callable[[Mapping[str, float]], Netlist],
    sources: Sequence[str],
    outputs: Sequence[str],
) -> np.ndarray:
    """(n, n) standard errors of the normalised entries of a board's matrix, to first order in those of the fitted logarithms."""
    values = calibration.estimates

    def entries(name: str, step: float) -> np.ndarray:
        changed = values | {name: values[name] * math.exp(step)}
        return normalised(BoardLaw(build(changed), sources, outputs).matrix)

    slopes = np.array([(entries(name, _STEP) - entries(name, -_STEP)) / (2 * _STEP) for name in values])
    variance = np.einsum("pij,pq,qij->ij", slopes, calibration.covariance, slopes)
    return np.sqrt(np.maximum(variance, 0.0))
