"""The laws of the fabrics in symbols: the formula in the docstring of each fabric's module, with a symbol for each part.

Nothing is read off the netlist: which parts there are and their values come from the program's parts, signs from the matrix. What a part
is called in the netlist is stated here too, since the two meet by name: both rails' `R1_2p` and `R1_2m` are R_12.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...circuits.amplifiers.models import IDEAL_GAIN
from ..fabrics.cascade import FactoredParts
from ..fabrics.lc import PROBE
from ..fabrics.network import Network
from ..matrices import dense
from ..passes.verify import TOLERANCE
from .symbolic_netlist import Expr, ratio

if TYPE_CHECKING:
    from ..program import AnalogProgram


class Quantity(NamedTuple):
    """A value and its unit."""

    value: float
    unit: str


@dataclass(frozen=True)
class Term:
    """monomial * product of sums * variable; with 1 for a variable, a constant."""

    monomial: Expr
    sums: tuple[tuple[Expr, ...], ...]
    variable: Expr

    def coefficient(self) -> Expr:
        """What multiplies the variable."""
        product = self.monomial
        for parts in self.sums:
            product = product * sum(parts)
        return product


@dataclass(frozen=True)
class Line:
    """sum of `left` = sum of `right`."""

    left: tuple[Term, ...]
    right: tuple[Term, ...]


@dataclass
class Law:
    """The intended equations of a program, from its fabric's formula, and what each part of its netlist is called.

    Attributes:
        parts: name in the netlist, less the rail's letter -> (parameter in symbols, its value).
        drives: source -> (cell, value for I = 1, in symbols).
        definitions: each the definition of the variable of its left side, in terms of what earlier ones define.
    """

    program: AnalogProgram
    parts: dict[str, tuple[Expr, float]] = field(default_factory=dict)
    quantities: dict[Any, Quantity] = field(default_factory=dict)
    latex_names: dict[Any, str] = field(default_factory=dict)
    drives: dict[str, tuple[int, Expr]] = field(default_factory=dict)
    cells: list[Line] = field(default_factory=list)
    definitions: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        program, n = self.program, self.program.size
        self.volts = [self.symbol(f"v_{i}", f"v_{{{i}}}") for i in range(1, n + 1)]
        self.currents = [self.symbol(f"I_{i}", f"I_{{{i}}}") for i in range(1, n + 1)]
        self.s = self.symbol("s", "s")
        self.signs = np.sign(dense(program.target)).astype(int)
        if program.fabric_name in ("crossbar", "crossbar_single", "factored"):
            self._active()
        else:
            self._passive()

    def symbol(self, text: str, latex: str) -> Expr:
        """A symbol with its two spellings."""
        import sympy

        made = sympy.Symbol(text)
        self.latex_names[made] = latex
        return made

    def part(self, kind: str, indices: tuple[int, ...], value: float, name: str = "", stage: int = 0) -> Expr:
        """The symbol of the part `kind` `indices`, e.g. R_12, RG_1, or R1_12 in stage 1; `name` if the netlist's is another."""
        tail = "".join(map(str, indices))
        word = rf"\mathrm{{{kind[1:]}}}" if kind[1:] else ""
        raised = f"^{{({stage})}}" if stage else ""
        made = self.symbol(f"{kind}{stage or ''}_{tail}", f"{kind[0]}{raised}_{{{word}{tail}}}")
        self.quantities[made] = Quantity(value, {"R": "ohm", "C": "F", "L": "H"}[kind[0]])
        self.parts[name or kind + "_".join(map(str, (stage, *indices) if stage else indices))] = (made, value)
        return made

    def rights(self) -> list[Expr]:
        """What the cells' equations are equal to."""
        return [sum(term.coefficient() * term.variable for term in line.right) for line in self.cells]

    def admittance(self) -> list[list[Expr]]:
        """Y(s), for unit drive: the cells' lines with the definitions put in."""
        import sympy

        meaning: dict[Expr, dict[Expr, Expr]] = {v: {v: sympy.Integer(1)} for v in self.volts}
        constants: dict[Expr, Expr] = {}

        def total(terms: Iterable[Term]) -> dict[Expr, Expr]:
            sums: dict[Expr, Expr] = {}
            for term in terms:
                coefficient = sympy.sympify(term.coefficient()).xreplace(constants)
                for v, y in meaning.get(term.variable, {term.variable: sympy.Integer(1)}).items():
                    sums[v] = sums.get(v, 0) + coefficient * y
            return sums

        for line in self.definitions:
            own = line.left[0].variable
            factor = total(line.left)[own]
            meaning[own] = {v: y / factor for v, y in total(line.right).items()}
            if set(meaning[own]) == {1}:
                constants[own] = meaning[own][1]
        rows = [total(line.left) for line in self.cells]
        scale = [right / current for right, current in zip(self.rights(), self.currents, strict=True)]
        return [[row.get(v, sympy.Integer(0)) / k for v in self.volts] for row, k in zip(rows, scale, strict=True)]

    def _passive(self) -> None:
        """`rc`, `dual_rail`: s C v + K v = I; `lc`: (s^2 C + s G + Gamma) phi = I; `spu`: (s C + 1/R + 1/(s L)) v = I."""
        program, parts, s = self.program, self.program.parts, self.s
        n, kind = program.size, {"lc": "L", "spu": "C"}.get(program.fabric_name, "R")
        if isinstance(parts, Network):
            weights = {
                (i, j): w
                for i, j, w in zip(parts.first.tolist(), parts.second.tolist(), parts.coupling[0].tolist(), strict=True)
            }
            storage = parts.storage[0].tolist()
        else:
            weights = {(i, j): float(parts.coupling[0, i, j]) for i in range(n) for j in range(i + 1, n)}
            storage = parts.capacitance[0].tolist()

        def branch(name: str, indices: tuple[int, ...], weight: float) -> Expr:
            made = self.part(name, indices, weight if kind == "C" else 1.0 / weight)
            return made if kind == "C" else 1 / made

        couplings = {
            (i, j): branch(kind, (i + 1, j + 1), w) for (i, j), w in weights.items() if w > 0 and self.signs[i, j]
        }
        for i in range(n):
            own: list[Term] = []
            joined = [(j, couplings[min(i, j), max(i, j)]) for j in range(n) if (min(i, j), max(i, j)) in couplings]
            sums = [y for _, y in joined]
            if (leg := float(parts.ground[0, i])) > 0:
                sums.append(branch(kind + "G", (i + 1,), leg))
            state = self.volts
            if program.fabric_name == "lc":
                state = [self.symbol(f"phi_{k + 1}", rf"\phi_{{{k + 1}}}") for k in range(n)]
                own.append(Term(self.part("C", (i + 1,), storage[i]) * s**2, (), state[i]))
                own.append(Term(s / self.part("RD", (i + 1,), 1.0 / float(parts.shunt[0, i])), (), state[i]))
                probe = self.symbol("R_P", r"R_{\mathrm{P}}")
                self.quantities[probe] = Quantity(PROBE, "ohm")
                self.parts[f"H{i + 1}"] = (probe, PROBE)
                flux = Term(1 / (sums[-1] * probe), (), self.volts[i])
                self.definitions.append(Line((_plain_term(state[i]),), (flux,)))
            elif kind == "R":
                own.append(Term(self.part("C", (i + 1,), storage[i]) * s, (), state[i]))
            else:
                own.append(Term(1 / self.part("R", (i + 1,), 1.0 / float(parts.shunt[0, i])), (), state[i]))
                own.append(Term(1 / (self.part("L", (i + 1,), storage[i]) * s), (), state[i]))
            factor = s if kind == "C" else s**0
            own.append(Term(factor, (tuple(sums),), state[i]))
            own += [Term(int(self.signs[i, j]) * factor * y, (), state[j]) for j, y in joined]
            self.cells.append(Line(tuple(own), (_plain_term(self.currents[i]),)))
        for i, sources in enumerate(program.fabric.drives(parts)):
            self.drives |= {name: (i, ratio(value, 1.0)) for name, value in sources.items()}

    def _active(self) -> None:
        """[s C (1 + eps) + eps L] v + K v = I, with what stands for K v in each of the active fabrics."""
        import sympy

        program, parts, s = self.program, self.program.parts, self.s
        opamp, rails = program.technology.opamp, 1 if program.fabric_name == "crossbar_single" else 2
        gain, bandwidth = min(opamp.gain, IDEAL_GAIN), 2 * math.pi * opamp.gbw
        self.gain, self.level = self.symbol("A_0", "A_{0}"), sympy.Symbol("R_A")
        self.bandwidth = self.symbol("omega_t", r"\omega_{\mathrm{t}}")
        self.eps = self.symbol("eps", r"\varepsilon")
        self.quantities[self.gain] = Quantity(gain, "V/V")
        error = [_plain_term(1, 1 / self.gain)]
        if not math.isinf(bandwidth):
            self.quantities[self.bandwidth] = Quantity(bandwidth, "rad/s")
            error.append(_plain_term(1, s / self.bandwidth))
        self.definitions.append(Line((_plain_term(self.eps),), tuple(error)))
        cascade = isinstance(parts, FactoredParts)
        self.arrays = self._cascade() if cascade else [self._array(rails)]
        drive, capacitance = (np.atleast_2d(x)[0] for x in (parts.drive, parts.capacitance))
        for i, (coupled, sums) in enumerate(self.arrays[-1]):
            k = i + 1
            c, entry = self.part("C", (k,), float(capacitance[i])), self.part("RB", (k,), 1.0 / float(drive[i]))
            own = [Term(c * s, ((sympy.Integer(1), self.eps),), self.volts[i])]
            if cascade and parts.damping[i] > 0:
                damper = self.part("RL", (k,), 1.0 / float(parts.damping[i]))
                sums = [*sums, 1 / damper]
                coupled = [Term(1 / damper, (), self.volts[i]), *coupled]
            own.append(Term(self.eps, ((*sums, 1 / entry),), self.volts[i]))
            # Rounding may move an input resistor away from the one that the host reckons with.
            nominal, right = entry, _plain_term(self.currents[i])
            if abs(float(drive[i]) / parts.drive_nominal - 1) > TOLERANCE:
                nominal = self.symbol("R_0", "R_{0}")
                self.quantities[nominal] = Quantity(1.0 / parts.drive_nominal, "ohm")
                right = _plain_term(self.currents[i], nominal / entry)
            self.cells.append(Line((*own, *coupled), (right,)))
            self._amplifier(str(k), rails)
            for name, value in program.fabric.drives(parts)[i].items():
                self.drives[name] = (i, ratio(value * parts.drive_nominal, 1.0) * nominal)

    def _array(self, rails: int) -> list[tuple[list[Term], list[Expr]]]:
        """For each row of a crossbar its terms sigma_ij G_ij v_j, and its conductances; one rail has -v_j from an inverter."""
        import sympy

        parts, n = self.program.parts, self.program.size
        inverted: dict[int, Expr] = {}
        if rails == 1:
            negative = (self.signs < 0) & (parts.coupling[0] > 0)
            for j in np.flatnonzero(negative.any(axis=0)).tolist():
                inverted[j] = self.symbol(f"n_{j + 1}", f"n_{{{j + 1}}}")
                left = Term(sympy.Integer(1), ((sympy.Integer(1), 2 * self.eps),), inverted[j])
                self.definitions.append(Line((left,), (_plain_term(self.volts[j], -sympy.Integer(1)),)))
                for name in (f"RI{j + 1}", f"RF{j + 1}"):
                    self.part("RI", (j + 1,), 1.0 / parts.drive_nominal, name)
                self._amplifier(f"i{j + 1}", 1)
        rows = []
        for i in range(n):
            terms, sums = [], []
            for j in range(n):
                if parts.coupling[0, i, j] > 0 and self.signs[i, j]:
                    y = 1 / self.part("R", (i + 1, j + 1), 1.0 / float(parts.coupling[0, i, j]))
                    sums.append(y)
                    if j in inverted and self.signs[i, j] < 0:
                        terms.append(Term(y, (), inverted[j]))
                    else:
                        terms.append(Term(int(self.signs[i, j]) * y, (), self.volts[j]))
            rows.append((terms, sums))
        return rows

    def _cascade(self) -> list[list[tuple[list[Term], list[Expr]]]]:
        """The rows of each array as `_array` has them, and w_t = [g_t + eps (L_t + g_t)]^-1 G_t w_(t-1) for those between."""
        parts: FactoredParts = self.program.parts
        state, stages = self.volts, []
        for t, array in enumerate(parts.arrays, start=1):
            rows, outputs = [], []
            for r, row in enumerate(array.toarray().tolist(), start=1):
                y = {j: 1 / self.part("R", (r, j + 1), 1.0 / abs(g), stage=t) for j, g in enumerate(row) if g}
                terms = [Term(x if row[j] > 0 else -x, (), state[j]) for j, x in y.items()]
                rows.append((terms, list(y.values())))
                if t < len(parts.arrays):
                    back = 1 / self.part("RF", (r,), 1.0 / float(parts.feedback[t - 1][r - 1]), stage=t)
                    outputs.append(self.symbol(f"w{t}_{r}", f"w^{{({t})}}_{{{r}}}"))
                    left = (Term(back, (), outputs[-1]), Term(self.eps, ((*y.values(), back),), outputs[-1]))
                    self.definitions.append(Line(left, tuple(terms)))
                    self._amplifier(f"S{t}_{r}", 2)
            stages.append(rows)
            state = outputs
        return stages

    def _amplifier(self, name: str, rails: int) -> None:
        """The macromodel's parts: one pole, A_0 / (1 + s A_0 / omega_t), at a level R_A that cancels."""
        import sympy

        share, gain = sympy.Rational(1, rails), self.quantities[self.gain].value
        if self.bandwidth not in self.quantities:
            self.parts[f"E{name}"] = (self.gain * share, gain / rails)
            return
        load = 1e6
        pole = gain / (self.quantities[self.bandwidth].value * load)
        self.parts[f"G{name}"] = (self.gain / self.level, gain / load)
        self.parts[f"RA{name}"] = (self.level, load)
        self.parts[f"CA{name}"] = (self.gain / (self.bandwidth * self.level), pole)
        self.parts[f"E{name}"] = (share, 1.0 / rails)


def _plain_term(variable: Expr, coefficient: Expr = 1) -> Term:
    return Term(coefficient, (), variable)


def plain(expression: Expr) -> str:
    """An expression as text: x^2 y for x**2*y."""
    return str(expression).replace("**", "^").replace("*", " ")


def text_of(terms: Iterable[Term], latex_names: Mapping[Any, str] | None = None) -> str:
    """A sum of terms, as text or with names for LaTeX."""
    import sympy

    def write(expression: Expr) -> str:
        return plain(expression) if as_text else sympy.latex(expression, symbol_names=latex_names)

    as_text, text = latex_names is None, ""
    left, right = ("(", ")") if as_text else (r"\left(", r"\right)")
    for term in terms:
        sign, rest = sympy.sympify(term.monomial).as_coeff_Mul()
        size = abs(sign) * rest * sympy.Mul(*(parts[0] for parts in term.sums if len(parts) == 1))
        above, below = sympy.fraction(size)
        words = [write(above)] if above != 1 else []
        words += [f"{left}{' + '.join(map(write, parts))}{right}" for parts in term.sums if len(parts) > 1]
        words += [write(term.variable)] if term.variable != 1 else []
        product = " ".join(words) or "1"
        if below != 1 and as_text:
            product += f"/({write(below)})" if below.is_Mul else f"/{write(below)}"
        elif below != 1:
            product = rf"\frac{{{product}}}{{{write(below)}}}"
        minus = sign < 0
        text += (" - " if minus else " + ") if text else ("-" if minus else "")
        text += product
    return text
