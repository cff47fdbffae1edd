"""A circuit's free values, its measurements and its priors as one likelihood of x = ln|values|, with sensitivities.

A value that runs beyond 1/1000 or 1000 times its start is held there, with a sensitivity of zero: the data want it at zero or infinity, and
the others are found without it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ....circuits.errors import InputError
from ....circuits.netlist.elements import (
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
from ....circuits.netlist.netlist import Netlist
from .likelihood import Block, blocks_of
from .measurements import Measurements
from .result import Prior

__all__ = ["Builder", "Model", "Point", "Problem", "free_values"]

Array = NDArray[np.float64]
Builder: TypeAlias = Callable[[Mapping[str, float]], Netlist]
Model: TypeAlias = Netlist | Builder
_FIELDS: dict[type[Element], str] = {
    Resistor: "resistance",
    Capacitor: "capacitance",
    Inductor: "inductance",
    VCVS: "gain",
    VCCS: "transconductance",
    CCVS: "transresistance",
    CCCS: "gain",
    VoltageSource: "dc",
    CurrentSource: "dc",
}
_STEP = 1e-3  # of a logarithm, in central differences: their error is of order 1e-7
_REACH = math.log(1e3)


class Problem:
    """Measurements and priors as functions of x = ln|values|.

    Args:
        build: the netlist of given values.
        start: the values around which x may range.
        tables: measurements. priors: name -> what is known besides.

    Raises:
        InputError: a prior that fits no free value; spectra that do not belong together.
    """

    def __init__(
        self,
        build: Builder,
        start: Mapping[str, float],
        tables: Sequence[Measurements],
        priors: Mapping[str, Prior],
    ) -> None:
        _check_priors(priors, start)
        self.build, self.names, self.tables = build, list(start), tables
        given = np.array(list(start.values()))
        self.sign, self.origin = np.sign(given), np.log(np.abs(given))
        self.blocks: list[Block] = [block for table in tables for block in blocks_of(table)]
        self.labels = [label for block in self.blocks for label in block.labels] + [
            f"prior of {name}" for name in priors
        ]
        self.spread = np.concatenate([*(block.spread for block in self.blocks), np.full(len(priors), 2.0)])
        self.known = [
            (self.names.index(name), math.log(abs(p.value)), abs(p.value) / p.std) for name, p in priors.items()
        ]
        self._last: Point | None = None

    def at(self, x: Array) -> Point:
        """Everything at one x. The last point is kept: the optimiser asks for cost, gradient and information one after the other."""
        if self._last is None or not np.array_equal(self._last.x, x):
            self._last = Point(self, np.array(x))
        return self._last

    def values(self, x: Array) -> dict[str, float]:
        """The parameter values at x, by name."""
        return dict(zip(self.names, (self.sign * np.exp(x)).tolist(), strict=True))

    def predict(self, x: Array) -> tuple[Netlist, list[NDArray[Any]]]:
        """The netlist and what it says of the measurements."""
        netlist = self.build(self.values(x))
        if not isinstance(netlist, Netlist):
            raise InputError(f"model: it returned a {type(netlist).__name__}; a function must return a Netlist")
        return netlist, [block.predict(netlist) for block in self.blocks]

    def cost(self, x: Array) -> float:
        """-ln L; infinite where there is no circuit or no stationary law."""
        try:
            return self.at(x).cost
        except InputError:
            return math.inf

    def gradient(self, x: Array) -> Array:
        """-A^T z; the optimiser leaves a point of infinite cost without it."""
        point = self.at(x)
        return np.asarray(-point.sensitivity.T @ point.residual)

    def hessian(self, x: Array) -> Array:
        """A^T A, the Fisher information."""
        try:
            factor = self.at(x).sensitivity
        except InputError:
            return np.eye(len(self.names))
        return np.asarray(factor.T @ factor)


class Point:
    """Likelihood, residuals and sensitivities at one x."""

    def __init__(self, problem: Problem, x: Array) -> None:
        self.problem, self.x = problem, x
        self.inside = np.abs(x - problem.origin) <= _REACH
        self.held = problem.origin + np.clip(x - problem.origin, -_REACH, _REACH)
        self.values = problem.values(self.held)
        self.netlist, self.model = problem.predict(self.held)
        try:
            own = [block.residual(model) for block, model in zip(problem.blocks, self.model, strict=True)]
            cost = sum(block.cost(model) for block, model in zip(problem.blocks, self.model, strict=True))
        except np.linalg.LinAlgError:
            raise InputError(
                "the netlist has no noise in one of the measured voltages, or the same one in two of them; leave it out of the table, or "
                "add the resistors that make it noisy"
            ) from None
        prior = np.array([(value - self.held[i]) * strength for i, value, strength in problem.known])
        self.residual: Array = np.concatenate([*own, prior])
        self.cost = cost + float(prior @ prior) / 2
        if not np.all(np.isfinite(self.residual)) or not math.isfinite(self.cost):
            raise InputError(f"the netlist's predictions are not finite at {self.values}; start from other values")

    @property
    def at_bound(self) -> NDArray[np.bool_]:
        """(p,) values that are held at 1/1000 or 1000 times their start."""
        return np.asarray(np.abs(self.held - self.problem.origin) >= (1.0 - 1e-9) * _REACH)

    @cached_property
    def sensitivity(self) -> Array:
        """A, (rows, p), of the measurements and then the priors, by central differences."""
        columns = []
        for i, inside in enumerate(self.inside.tolist()):
            if not inside:
                columns.append(np.zeros(len(self.residual)))
                continue
            step = np.zeros(len(self.x))
            step[i] = _STEP
            (_, up), (_, down) = self.problem.predict(self.held + step), self.problem.predict(self.held - step)
            changes = [
                block.whiten(model, (high - low) / (2 * _STEP))
                for block, model, high, low in zip(self.problem.blocks, self.model, up, down, strict=True)
            ]
            prior = [strength if i == j else 0.0 for j, _, strength in self.problem.known]
            columns.append(np.concatenate([*changes, prior]))
        return np.column_stack(columns)


def free_values(model: Model, free: Sequence[str] | Mapping[str, float]) -> tuple[Builder, dict[str, float]]:
    """The model as a function of its free values, and these at the start."""
    if isinstance(free, str) or len(free) == 0 or len({name.lower() for name in free}) < len(free):
        raise InputError(
            f"free = {free!r}: different names are needed, such as ['R3', 'C1'], or name -> starting value"
        )
    start: dict[str, float] = {}
    if isinstance(model, Netlist):
        for name in free:
            part = model[name]
            if type(part) not in _FIELDS:
                raise InputError(f"free: {name} is a {type(part).__name__}, which has no single value to fit")
            start[name] = float(getattr(part, _FIELDS[type(part)]))
    elif not callable(model):
        raise InputError(f"model: a {type(model).__name__}; a Netlist, or a function that returns one, is needed")
    elif not isinstance(free, Mapping):
        raise InputError("free: a model that is a function needs starting values, {'R3': 6800.0}")
    if isinstance(free, Mapping):
        start = {name: float(value) for name, value in free.items()}
    for name, value in start.items():
        if not math.isfinite(value) or value == 0.0:
            raise InputError(
                f"free: {name} starts at {value!r}; a finite value other than 0 is needed, whose sign is kept"
            )
    if not isinstance(model, Netlist):
        return model, start
    netlist = model
    return lambda values: _with_values(netlist, values), start


def _with_values(netlist: Netlist, values: Mapping[str, float]) -> Netlist:
    """A copy with other values of some parts."""
    wanted = {name.lower(): value for name, value in values.items()}
    other = Netlist(netlist.title, netlist.temperature, netlist.comments)
    for part in netlist:
        value = wanted.get(part.name.lower())
        changed = part if value is None else dataclasses.replace(part, **{_FIELDS[type(part)]: value})  # type: ignore[type-var]
        other.add(changed, group=netlist.group_of(part.name))
    return other


def _check_priors(priors: Mapping[str, Prior], start: Mapping[str, float]) -> None:
    for name, prior in priors.items():
        if name not in start:
            raise InputError(f"priors: {name!r} is not free; there are {', '.join(start)}")
        if not isinstance(prior, Prior):
            raise InputError(f"priors: {name} is a {type(prior).__name__}; give Prior(value=..., std=...)")
        if prior.value * start[name] <= 0.0 or prior.std >= abs(prior.value):
            raise InputError(
                f"priors: {name} = {prior.value:g} +- {prior.std:g}, starting at {start[name]:g}; a value of the same sign with a standard "
                "error below its magnitude is needed"
            )
