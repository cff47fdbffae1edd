"""Elimination of hidden unknowns from linear equations whose coefficients are symbols.

Every coefficient is kept as an expanded sum of monomials with integer exponents of either sign (a Laurent polynomial), so nothing is
ever brought to a common denominator. A pivot that is one monomial is divided by outright; the inverse of any other one is a symbol of its
own (`Inverses`).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from typing import Any

from ..symbolic_law import Expr

Column = tuple[str, Any]
"""("v", i) read voltage, ("u", i) drive current; hidden: ("n", node), ("d", node) and ("c", node) of twins, ("j", part)."""
Row = dict[Column, Expr]

LARGEST_COEFFICIENT = 500
"""Terms at which an elimination is given up: circuits that obey a law of `fabrics` stay below a fifth of it."""


class EliminationError(Exception):
    """The circuit does not determine the drive of a cell by the read voltages; `cell` is its index, from 0."""

    def __init__(self, cell: int, why: str) -> None:
        super().__init__(why)
        self.cell = cell


@dataclass
class Inverses:
    """Symbols that stand for 1 / polynomial, one for each polynomial up to a monomial factor.

    Attributes:
        known: normalised polynomial -> its symbol.
    """

    known: dict[Expr, Expr] = field(default_factory=dict)

    def of(self, polynomial: Expr) -> Expr:
        """1 / polynomial (expanded, not zero): a monomial, or a monomial times a symbol of `known`."""
        import sympy

        if not polynomial.is_Add:
            return 1 / polynomial
        names = sorted(polynomial.free_symbols, key=lambda name: (name.name != "s", name.name))

        def exponents(term: Expr) -> tuple[int, ...]:
            powers = term.as_powers_dict()
            return tuple(int(powers.get(name, 0)) * (-1 if name.name == "s" else 1) for name in names)

        # The largest exponents name the same term whatever monomial the polynomial is multiplied by; of s the smallest, so that what
        # is left has a value at rest.
        leading = max(polynomial.args, key=exponents)
        normalised = times(polynomial, 1 / leading)
        symbol = self.known.setdefault(normalised, sympy.Symbol(f"D_{len(self.known) + 1}"))
        return symbol / leading

    def normal(self, expression: Expr) -> Expr:
        """The expression as a sum of monomials in its symbols and those of `known`; equal sums are equal expressions."""
        import sympy

        if expression.is_Add:
            return sympy.Add(*(self.normal(part) for part in expression.args))
        if expression.is_Mul:
            return reduce(times, (self.normal(part) for part in expression.args))
        if expression.is_Pow and expression.base.is_Add:
            base, power = self.normal(expression.base), int(expression.exp)
            return reduce(times, [base if power > 0 else self.of(base)] * abs(power))
        return expression

    def apart(self, expression: Expr) -> Expr:
        """The partial fractions of a sum that `normal` returned, in which unequal expressions may be equal.

        Of each D = 1 / (1 + t), t a monomial, no power stands beside one of t: D t = 1 - D and D / t = 1 / t - D.
        """
        import sympy

        for polynomial, symbol in self.known.items():
            others = [part for part in sympy.Add.make_args(polynomial) if part != 1]
            names = [name for name in others[0].free_symbols if abs(others[0].as_powers_dict()[name]) == 1]
            if len(others) == 1 and polynomial != others[0] and names:
                expression = _apart(expression, symbol, others[0], min(names, key=str))
        return expression

    def written_out(self, expressions: Iterable[Expr]) -> list[Expr]:
        """The expressions with 1 / polynomial in place of the symbols of `known`."""
        meaning: dict[Expr, Expr] = {}
        for polynomial, symbol in self.known.items():
            meaning[symbol] = 1 / polynomial.xreplace(meaning)  # which may hold earlier symbols
        return [expression.xreplace(meaning) for expression in expressions]

    def evaluated(self, expressions: Iterable[Expr], point: Mapping[Expr, Any]) -> list[Any]:
        """The values of expanded expressions at a point; exact for rational numbers."""
        values = dict(point)
        for polynomial, symbol in self.known.items():
            if polynomial.free_symbols <= values.keys():
                values[symbol] = 1 / _value(polynomial, values)
        return [_value(expression, values) for expression in expressions]


def _apart(expression: Expr, symbol: Expr, monomial: Expr, name: Expr) -> Expr:
    """Partial fractions in one monomial, by the exponent of one of its symbols."""
    import sympy

    unit = monomial.as_powers_dict()[name]
    left, done = list(sympy.Add.make_args(expression)), []
    while left:
        term = left.pop()
        powers = term.as_powers_dict()
        exponent = powers.get(name, 0) / unit
        if powers.get(symbol, 0) < 1 or exponent == 0:
            done.append(term)
        elif exponent > 0:
            rest = term / monomial
            left += [rest / symbol, -rest]
        else:
            left += [term / symbol, -term * monomial]
    return sympy.Add(*done)


def times(one: Expr, other: Expr) -> Expr:
    """The product of two expanded expressions, expanded; several times as fast as `sympy.expand`, which searches them for powers."""
    import sympy

    if one.is_Add or other.is_Add:
        return sympy.Add(*(x * y for x in sympy.Add.make_args(one) for y in sympy.Add.make_args(other)))
    return one * other


def _value(expression: Expr, point: Mapping[Expr, Any]) -> Any:
    total: Any = Fraction(0)
    for term in expression.args if expression.is_Add else [expression]:
        number, powers = term.as_coeff_Mul()
        product: Any = Fraction(int(number.p), int(number.q))
        for base, power in powers.as_powers_dict().items():
            if base != 1:
                product *= point[base] ** int(power)
        total += product
    return total


def combined(parts: Iterable[tuple[Row, Expr]]) -> Row:
    """sum of row times factor, expanded, without zeros."""
    import sympy

    total: dict[Column, list[Expr]] = {}
    for row, factor in parts:
        for column, value in row.items():
            total.setdefault(column, []).append(times(value, factor))
    expanded = {column: sympy.Add(*values) for column, values in total.items()}
    return {column: value for column, value in expanded.items() if value != 0}


def _hidden(row: Row) -> list[Column]:
    return [column for column in row if column[0] not in "uv"]


class System:
    """Rows that are all zero, and the elimination of hidden columns from them."""

    def __init__(self, rows: dict[Column, Row], constraints: set[Column], inverses: Inverses) -> None:
        self.rows, self.constraints, self.inverses = rows, constraints, inverses

    def eliminate(self) -> None:
        """Leave only rows in read voltages and drives."""
        while True:
            self._drop_blocks()
            pivot = self._pivot()
            if pivot is None:
                return
            self._substitute(*pivot)

    def solved(self, n: int) -> list[list[Expr]]:
        """Y, from rows in v and u alone."""
        import sympy

        used: list[Column] = []
        for i in range(n):
            own = [key for key, row in self.rows.items() if ("u", i) in row and key not in used]
            if not own:
                raise EliminationError(i, "the circuit has no equation for its drive")
            key = min(own, key=lambda k: (self.rows[k]["u", i].is_Add, len(self.rows[k])))
            self._substitute(key, ("u", i), keep=True)
            used.append(key)
        solution = []
        for i, key in enumerate(used):
            row = self.rows[key]
            inverse = -self.inverses.of(row["u", i])
            solution.append([times(row.get(("v", j), sympy.Integer(0)), inverse) for j in range(n)])
        return solution

    def _where(self) -> dict[Column, list[Column]]:
        """The rows of each hidden column."""
        where: dict[Column, list[Column]] = {}
        for key, row in self.rows.items():
            for column in _hidden(row):
                where.setdefault(column, []).append(key)
        return where

    def _drop_blocks(self) -> None:
        """Remove rows that only define hidden columns which no other row holds."""
        again = True
        while again:
            again = False
            for holders in self._where().values():
                if len(holders) == 1:
                    del self.rows[holders[0]]
                    again = True
                    break
        where = self._where()
        left = set(where)
        while left:
            columns: set[Column] = set()
            keys: set[Column] = set()
            reach = [left.pop()]
            while reach:
                column = reach.pop()
                columns.add(column)
                for key in where[column]:
                    if key not in keys:
                        keys.add(key)
                        reach += [c for c in _hidden(self.rows[key]) if c not in columns]
            left -= columns
            if len(keys) == len(columns) and self._regular(sorted(keys), sorted(columns)):
                for key in keys:
                    del self.rows[key]

    def _regular(self, keys: list[Column], columns: list[Column]) -> bool:
        """Whether the block's determinant is not zero: it is not at some point, with exact arithmetic."""
        import sympy

        entries = [[self.rows[key].get(column, sympy.Integer(0)) for column in columns] for key in keys]
        used = [*(entry for row in entries for entry in row), *self.inverses.known]
        draw = random.Random(0)
        symbols = sorted({x for entry in used for x in entry.free_symbols} - {*self.inverses.known.values()}, key=str)
        point = {symbol: Fraction(draw.randrange(2, 10**4)) for symbol in symbols}
        matrix = [self.inverses.evaluated(row, point) for row in entries]
        for k in range(len(matrix)):
            row = next((r for r in range(k, len(matrix)) if matrix[r][k]), None)
            if row is None:
                return False
            matrix[k], matrix[row] = matrix[row], matrix[k]
            for r in range(k + 1, len(matrix)):
                factor = matrix[r][k] / matrix[k][k]
                matrix[r] = [x - factor * y for x, y in zip(matrix[r], matrix[k], strict=True)]
        return True

    def _pivot(self) -> tuple[Column, Column] | None:
        """(row, column) to eliminate next: what costs least, and keeps denominators those of single stages."""
        where = self._where()
        best: tuple[tuple[int, ...], Column, Column] | None = None
        for key, row in self.rows.items():
            hidden, own = _hidden(row), key in self.constraints
            # A row with a drive is the equation of a cell, not the definition of something in it.
            free = own or not any(column[0] == "u" for column in row)
            for column in hidden:
                value, lone = row[column], len(hidden) == 1
                unit = not value.is_Add
                if unit and ((lone and free) or own):
                    phase = 0 if value.is_Number else 1
                elif lone and free:
                    phase = 2
                else:
                    phase = 3 + 2 * (not free) + (not unit)
                rank = (phase, (len(hidden) - 1) * (len(where[column]) - 1), len(row))
                if best is None or rank < best[0]:
                    best = rank, key, column
        return None if best is None else best[1:]

    def _substitute(self, key: Column, column: Column, keep: bool = False) -> None:
        """Eliminate a column from all rows but `key`, and drop that row unless it is to be kept."""
        import sympy

        pivot = self.rows[key]
        inverse = self.inverses.of(pivot[column])
        for other, row in list(self.rows.items()):
            if other == key or column not in row:
                continue
            without = {c: x for c, x in row.items() if c != column}
            rest = {c: x for c, x in pivot.items() if c != column}
            self.rows[other] = combined([(without, sympy.Integer(1)), (rest, times(-row[column], inverse))])
            largest = max((len(x.args) for x in self.rows[other].values() if x.is_Add), default=0)
            if largest > LARGEST_COEFFICIENT:
                raise EliminationError(
                    next((c[1] for c in self.rows[other] if c[0] in "uv"), 0),
                    f"the voltage of {column[1]} does not drop out of its equation, whose coefficients grow to {largest} terms",
                )
        if not keep:
            del self.rows[key]
        self.rows = {k: row for k, row in self.rows.items() if row}
