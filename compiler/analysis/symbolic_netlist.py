"""Kirchhoff's equations of a netlist in symbols, and their elimination down to the cells' voltages and drive currents.

With node voltages z, read voltages v_i = z_plus - z_minus, drive currents I and the Laplace variable s, the netlist says

    N(s) [z, currents of voltage-fixing parts] = B I,    and    sum_j Y_ij(s) v_j = I_i    is what it says of v and I alone.

Two rails are written in sum and difference, which is a change of basis and holds for any netlist; where the netlist
is symmetric, the sums fall out as a block that has an equation for each of its unknowns and says nothing of the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ...circuits.netlist.elements import (
    CCVS,
    GROUND,
    VCCS,
    VCVS,
    Capacitor,
    CurrentSource,
    Element,
    Inductor,
    Resistor,
    VoltageSource,
)
from ...circuits.netlist.netlist import Netlist
from ..symbolic_law import Expr
from .elimination import Column, Inverses, Row, System, combined


def drive_law(
    netlist: Netlist,
    values: Mapping[str, Expr],
    drives: Mapping[str, tuple[int, Expr]],
    readouts: Iterable[tuple[str, str]],
    inverses: Inverses,
) -> list[list[Expr]]:
    """Y(s), n rows of n entries: sum_j Y_ij v_j = I_i is what the circuit says of read voltages and drive currents.

    Args:
        netlist: linear parts.
        values: name of each part but independent sources -> the value of its one parameter, in symbols.
        drives: name of each driven source -> (cell from 0, its value for a drive current of 1). Others must be 0.
        readouts: the node pair of each cell, "0" is ground.
        inverses: takes the symbols that stand for 1 / polynomial in Y.

    Raises:
        EliminationError: a cell's drive is not a function of the read voltages.
    """
    pairs = list(readouts)
    rows, constraints = _kirchhoff(netlist, values, drives)
    _drop_currents(rows)
    rows = _in_sums_and_differences(rows, netlist, pairs)
    system = System({key: row for key, row in rows.items() if row}, constraints, inverses)
    system.eliminate()
    return system.solved(len(pairs))


def _kirchhoff(
    netlist: Netlist, values: Mapping[str, Expr], drives: Mapping[str, tuple[int, Expr]]
) -> tuple[dict[Column, Row], set[Column]]:
    """The rows, each with the key of the node or part that it is about, and which of them fix a voltage or make a gain."""
    import sympy

    s = sympy.Symbol("s")
    rows: dict[Column, Row] = {("n", node): {} for node in netlist.nodes}
    constraints: set[Column] = set()

    def add(row: Column, column: Column, value: Expr) -> None:
        if GROUND not in (row[1], column[1]):
            rows[row][column] = rows[row].get(column, 0) + value

    def leaves(part: Element, column: Column, value: Expr) -> None:
        add(("n", part.a), column, value)
        add(("n", part.b), column, -value)

    for part in netlist:
        a, b = ("n", part.a), ("n", part.b)
        if isinstance(part, CurrentSource | VoltageSource) and part.name in drives:
            cell, amount = drives[part.name]
        else:
            cell, amount = -1, sympy.Integer(0)
        if isinstance(part, Resistor | Capacitor | Inductor):
            value = values[part.name]
            admittance = s * value if isinstance(part, Capacitor) else 1 / value
            admittance = admittance / s if isinstance(part, Inductor) else admittance
            leaves(part, a, admittance)
            leaves(part, b, -admittance)
        elif isinstance(part, CurrentSource):
            if cell >= 0:
                leaves(part, ("u", cell), amount)
        elif isinstance(part, VCCS):
            constraints |= {a, b}
            leaves(part, ("n", part.cp), values[part.name])
            leaves(part, ("n", part.cm), -values[part.name])
        else:
            own: Column = ("j", part.name.lower())
            rows[own] = {}
            constraints.add(own)
            leaves(part, own, sympy.Integer(1))
            add(own, a, sympy.Integer(1))
            add(own, b, sympy.Integer(-1))
            if isinstance(part, VCVS):
                add(own, ("n", part.cp), -values[part.name])
                add(own, ("n", part.cm), values[part.name])
            elif isinstance(part, CCVS):
                add(own, ("j", part.sense.lower()), -values[part.name])
            elif cell >= 0:
                add(own, ("u", cell), -amount)
    return rows, constraints


def _drop_currents(rows: dict[Column, Row]) -> None:
    """Remove Kirchhoff's equations that only say what an output or a source delivers."""
    where: dict[Column, list[Column]] = {}
    for key, row in rows.items():
        for column in row:
            where.setdefault(column, []).append(key)
    for column, keys in where.items():
        if column[0] == "j" and len(keys) == 1:
            rows.pop(keys[0], None)


def _in_sums_and_differences(
    rows: dict[Column, Row], netlist: Netlist, pairs: list[tuple[str, str]]
) -> dict[Column, Row]:
    """Node voltages of twins as (c + d) / 2 and (c - d) / 2, their rows as sum and difference; d is v where they are read."""
    import sympy

    half = sympy.Rational(1, 2)
    basis: dict[Column, Row] = {}
    twins: list[tuple[str, str]] = []
    for i, (plus, minus) in enumerate(pairs):
        if minus == GROUND:
            basis["n", plus] = {("v", i): sympy.Integer(1)}
            continue
        basis["n", plus] = {("c", plus): half, ("v", i): half}
        basis["n", minus] = {("c", plus): half, ("v", i): -half}
        twins.append((plus, minus))
    for node in netlist.nodes:
        twin = re.sub(r"p(\d+)$", r"m\1", node)
        if twin != node and twin in netlist.nodes and not {("n", node), ("n", twin)} & set(basis):
            basis["n", node] = {("c", node): half, ("d", node): half}
            basis["n", twin] = {("c", node): half, ("d", node): -half}
            twins.append((node, twin))
    changed = {
        key: combined((basis.get(c, {c: sympy.Integer(1)}), x) for c, x in row.items()) for key, row in rows.items()
    }
    for plus, minus in twins:
        if ("n", plus) not in rows or ("n", minus) not in rows:
            continue
        one, other = changed["n", plus], changed["n", minus]
        changed["n", plus] = combined([(one, sympy.Integer(1)), (other, sympy.Integer(-1))])
        changed["n", minus] = combined([(one, sympy.Integer(1)), (other, sympy.Integer(1))])
    return changed
