"""Small programs as equations in symbols: what the netlist says, what the fabric promises, and the proof that these are the same.

For each cell i, with read voltage v_i, drive current I_i and the Laplace variable s,

    sum_j Y_ij(s) v_j = I_i.

Y is found twice. Once from the netlist's own text by Kirchhoff's laws (`symbolic_netlist`), once from the formula in the docstring of the
fabric's module and the signs of the matrix (`Parts.write_law`). The difference of the two must be zero as an expression, entry by entry,
for all values of the parts at once; then the values are put in, which must give the program's matrix at rest. Both rails' parts share
a symbol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...circuits.errors import InputError
from ...circuits.netlist.elements import CCVS, VCCS, VCVS, Capacitor, Element, Inductor, Resistor
from ...circuits.netlist.netlist import Netlist
from ...circuits.spice.read import parse_spice
from ..matrices import dense
from ..passes.verify import TOLERANCE, VerificationError
from ..program import AnalogProgram
from ..symbolic_law import Expr, Line, Quantity, SymbolicLaw, ratio
from .elimination import EliminationError, Inverses
from .symbolic_netlist import drive_law
from .symbolic_text import plain, text_of

LARGEST_SYMBOLIC = 6
"""Most unknowns, and most rows of an array of a cascade, of a program that is written in symbols."""
_LONGEST = 300


@dataclass(frozen=True, eq=False)
class Equations:
    """What `derive_equations` returns; prints as text, one line per cell.

    Attributes:
        equations: for each cell the equation sum_j Y_ij(s) v_j = I_i that follows from the netlist, a sympy Eq.
        law: the same from the fabric's formula.
        symbols: each part's symbol -> its value and unit (ohm, F, H, V/V, rad/s). A gain of 1e8 stands for an infinite one.
        proved: that both are the same for all values of the parts.
        difference: of Y with the values put in from the program's matrix (at s = 0; from the fabric's law at its other `probes`),
            relative to the largest entry.
        cells, definitions: the law as it is printed, and the quantities that it uses.
        latex_names: how LaTeX writes each symbol.
    """

    equations: tuple[Any, ...]
    law: tuple[Any, ...]
    symbols: Mapping[Any, Quantity]
    proved: bool
    difference: float
    cells: tuple[Line, ...]
    definitions: tuple[Line, ...]
    latex_names: Mapping[Any, str]

    def __str__(self) -> str:
        lines = [f"{text_of(line.left)} = {text_of(line.right)}" for line in self.cells]
        if self.definitions:
            lines += ["with", *(f"{text_of(line.left)} = {text_of(line.right)}" for line in self.definitions)]
        return "\n".join(lines)

    def latex(self) -> str:
        r"""The same as an `aligned` environment (amsmath), to be set in display mathematics: `\[ ... \]`."""
        lines = [
            rf"{text_of(line.left, self.latex_names)} &= {text_of(line.right, self.latex_names)}"
            for line in (*self.cells, *self.definitions)
        ]
        return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])


def derive_equations(program: AnalogProgram) -> Equations:
    """The equations of a program of at most 6 unknowns, and the proof that its netlist obeys its fabric's law.

    Args:
        program: nominal, both rails alike, as the compiler makes it.

    Raises:
        InputError: more than 6 unknowns (or rows of a factor); the program of one die, whose rails differ or whose amplifiers have offsets.
        VerificationError: netlist and law differ; the message names the cell and the difference.
    """
    import sympy

    _require_small_and_nominal(program)
    law = SymbolicLaw(
        np.sign(dense(program.target)).astype(int), program.technology, program.fabric.drives(program.parts)
    )
    program.parts.write_law(law)
    netlist = parse_spice(program.to_spice())
    inverses = Inverses()
    try:
        found = drive_law(netlist, _values(netlist, law), law.drives, program.readouts, inverses)
    except EliminationError as error:
        raise VerificationError(
            f"the netlist of fabric {program.fabric_name} differs from its law, cell {error.cell + 1}: {error}"
        ) from None
    wanted = law.admittance()
    _require_equal(program, found, wanted, inverses)
    worst = _require_values(program, found, inverses, law.quantities)
    found = [inverses.written_out(row) for row in found]
    used = {symbol for row in (*found, *wanted) for entry in row for symbol in sympy.sympify(entry).free_symbols}
    return Equations(
        equations=tuple(
            sympy.Eq(sympy.Add(*(y * v for y, v in zip(row, law.volts, strict=True))), right, evaluate=False)
            for row, right in zip(found, law.currents, strict=True)
        ),
        law=tuple(
            sympy.Eq(sympy.Add(*(y * v for y, v in zip(row, law.volts, strict=True))), right, evaluate=False)
            for row, right in zip(wanted, law.currents, strict=True)
        ),
        symbols={symbol: value for symbol, value in law.quantities.items() if symbol in used},
        proved=True,
        difference=worst,
        cells=tuple(law.cells),
        definitions=tuple(law.definitions),
        latex_names=law.latex_names,
    )


def _require_small_and_nominal(program: AnalogProgram) -> None:
    parts, n = program.parts, program.size
    rows = parts.symbolic_size
    if max(n, rows) > LARGEST_SYMBOLIC:
        what = f"{n} unknowns" if n >= rows else f"a factor of {rows} rows"
        raise InputError(
            f"equations in symbols are for at most {LARGEST_SYMBOLIC} unknowns and rows of a factor, this program has {what}; "
            "passes.verify.verify(program) checks a netlist of any size against its law in numbers"
        )
    for name, values in parts.rail_values():
        if len(values) == 2 and not np.allclose(values[0], values[1], rtol=TOLERANCE, atol=0.0):
            raise InputError(f"the two rails differ in {name}; equations are for the program before .on(die)")
    if np.any(parts.offset):
        raise InputError("the amplifiers have offsets; equations are for the program before .on(die)")


def _require_equal(
    program: AnalogProgram, found: list[list[Expr]], wanted: list[list[Expr]], inverses: Inverses
) -> None:
    """Raise unless both are the same expressions; of several differences, the one of fewest terms says most."""
    differences = [
        (difference, i, j)
        for i, row in enumerate(found)
        for j, entry in enumerate(row)
        if (unequal := inverses.normal(entry - wanted[i][j])) != 0 and (difference := inverses.apart(unequal)) != 0
    ]
    if differences:
        difference, i, j = min(differences, key=lambda each: (len(each[0].args) if each[0].is_Add else 1, each[1:]))
        text = plain(*inverses.written_out([difference]))
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
        raise VerificationError(
            f"the netlist of fabric {program.fabric_name} differs from its law, cell {i + 1}, coefficient of v_{j + 1}: "
            f"netlist less law is {text}; this is a fault in thermograd, please report it with the matrix"
        )


def _values(netlist: Netlist, law: SymbolicLaw) -> dict[str, Expr]:
    """Each part's parameter: its symbol, times a number where its value is not the one that the symbol stands for."""
    import sympy

    values: dict[str, Expr] = {}
    for part in netlist:
        if not isinstance(part, Resistor | Capacitor | Inductor | VCVS | VCCS | CCVS):
            continue
        known = law.parts.get(part.name) or (law.parts.get(part.name[:-1]) if part.name[-1] in "pm" else None)
        if known is None:
            values[part.name] = sympy.Symbol(part.name)  # of no part of the law: what it does is a difference
        else:
            values[part.name] = known[0] * ratio(_parameter(part), known[1])
    return values


def _parameter(part: Element) -> float:
    if isinstance(part, Resistor):
        return part.resistance
    if isinstance(part, Capacitor):
        return part.capacitance
    if isinstance(part, Inductor):
        return part.inductance
    if isinstance(part, VCCS):
        return part.transconductance
    if isinstance(part, CCVS):
        return part.transresistance
    assert isinstance(part, VCVS)
    return part.gain


def _require_values(
    program: AnalogProgram, found: list[list[Expr]], inverses: Inverses, quantities: Mapping[Any, Quantity]
) -> float:
    """Largest relative difference of Y with numbers from the program's matrix, and at other s from the fabric's law."""
    import sympy

    worst = 0.0
    for times in program.fabric.probes:
        s = times / program.tau
        point = {symbol: quantity.value for symbol, quantity in quantities.items()} | {sympy.Symbol("s"): s}
        if times == 0.0 and sympy.Symbol("A_0") in point:
            # At rest the program's matrix is that of the technology's own gain, infinite ones included.
            point[sympy.Symbol("A_0")] = program.technology.opamp.gain
        values = np.array([inverses.evaluated(row, point) for row in found], dtype=float)
        if times == 0.0:
            values = values / (program.scaling * program.conductance_unit)[:, None] / program.scaling[None, :]
            wanted = dense(program.matrix)
        else:
            admittance = np.real(dense(program.fabric.admittance(program.parts, program.technology, s)))
            wanted = admittance / program.fabric.drive(program.parts)[:, None]
        off = np.abs(values - wanted).max(axis=1) / np.abs(wanted).max()
        if not off.max() <= TOLERANCE:
            raise VerificationError(
                f"the equations of fabric {program.fabric_name} with the parts' values differ from the matrix by {off.max():.3g} "
                f"(relative), cell {int(np.argmax(off)) + 1}: this is a fault in thermograd, please report it with the matrix"
            )
        worst = max(worst, float(off.max()))
    return worst
