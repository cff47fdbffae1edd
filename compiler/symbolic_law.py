"""`SymbolicLaw`: the equations that a fabric promises, with a symbol for each part, as its parts write them down.

    sum_j Y_ij(s) v_j = I_i

for each cell i with read voltage v_i, drive current I_i and the Laplace variable s. Nothing is read off a netlist: which parts there are
and their values come from the program's parts, signs from the matrix. What a part is called in the netlist is stated here too, since the
two meet by name: both rails' `R1_2p` and `R1_2m` are R_12.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ..circuits.amplifiers.models import IDEAL_GAIN
from ..circuits.technology.technology import Technology

Expr = Any
"""A sympy expression; sympy is imported where it is used, since loading it takes as long as a fast command."""
ON_VALUE = 1e-9
"""Relative distance within which an input resistor is the one that the host reckons with."""


class Quantity(NamedTuple):
    """A value and its unit."""

    value: float
    unit: str


class Output(NamedTuple):
    """An integrator's output.

    Attributes:
        state: its symbol. capacitor, damper: first letters of the parts across the amplifier. amplifier: its name in the netlist.
    """

    state: Expr
    capacitor: str
    damper: str
    amplifier: str


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


def term(variable: Expr, coefficient: Expr = 1) -> Term:
    """coefficient * variable."""
    return Term(coefficient, (), variable)


class SymbolicLaw:
    """The intended equations of a program, and what each part of its netlist is called.

    Args:
        signs: (n, n) of the matrix: -1, 0 or 1.
        technology: of the program.
        sources: for each cell the sources that drive it, with their values for +1 A.

    Attributes:
        volts, currents: symbols v_i and I_i. s: the Laplace variable.
        parts: name in the netlist, less the rail's letter -> (parameter in symbols, its value).
        quantities: each part's symbol -> value and unit. latex_names: how LaTeX writes each symbol.
        drives: source -> (cell, value for I = 1, in symbols).
        cells: for each cell its equation. definitions: each that of the variable of its left side, in terms of what earlier ones define.
    """

    def __init__(self, signs: np.ndarray, technology: Technology, sources: Sequence[Mapping[str, float]]) -> None:
        self.signs, self.technology, self.sources = signs, technology, sources
        self.parts: dict[str, tuple[Expr, float]] = {}
        self.quantities: dict[Any, Quantity] = {}
        self.latex_names: dict[Any, str] = {}
        self.drives: dict[str, tuple[int, Expr]] = {}
        self.cells: list[Line] = []
        self.definitions: list[Line] = []
        n = len(signs)
        self.volts = [self.symbol(f"v_{i}", f"v_{{{i}}}") for i in range(1, n + 1)]
        self.currents = [self.symbol(f"I_{i}", f"I_{{{i}}}") for i in range(1, n + 1)]
        self.s = self.symbol("s", "s")

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
        """Right-hand sides of the cells' equations."""
        return [sum(each.coefficient() * each.variable for each in line.right) for line in self.cells]

    def admittance(self) -> list[list[Expr]]:
        """Y(s), for unit drive: the cells' lines with the definitions put in."""
        import sympy

        meaning: dict[Expr, dict[Expr, Expr]] = {v: {v: sympy.Integer(1)} for v in self.volts}
        constants: dict[Expr, Expr] = {}

        def total(terms: Iterable[Term]) -> dict[Expr, Expr]:
            sums: dict[Expr, Expr] = {}
            for each in terms:
                coefficient = sympy.sympify(each.coefficient()).xreplace(constants)
                for v, y in meaning.get(each.variable, {each.variable: sympy.Integer(1)}).items():
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

    # Networks of two-terminal parts

    def branches(
        self, kind: str, weights: Mapping[tuple[int, int], float], ground: Sequence[float]
    ) -> Iterator[tuple[list[Expr], list[tuple[int, Expr]]]]:
        """Symbols of the couplings, then cell by cell of its part to ground.

        Args:
            kind: letter of the couplings' names. weights: (i, j), i < j -> weight of the coupling. ground: of each cell, 0 if absent.

        Yields:
            For each cell the weights that join it, its own to ground last, in symbols; and (j, weight) for each neighbour j.
        """

        def branch(name: str, indices: tuple[int, ...], weight: float) -> Expr:
            made = self.part(name, indices, weight if kind == "C" else 1.0 / weight)
            return made if kind == "C" else 1 / made

        couplings = {
            (i, j): branch(kind, (i + 1, j + 1), w) for (i, j), w in weights.items() if w > 0 and self.signs[i, j]
        }
        for i, weight in enumerate(ground):
            joined = [
                (j, couplings[min(i, j), max(i, j)]) for j in range(len(ground)) if (min(i, j), max(i, j)) in couplings
            ]
            own = [y for _, y in joined]
            if weight > 0:
                own.append(branch(kind + "G", (i + 1,), weight))
            yield own, joined

    def coupled(
        self, i: int, own: list[Expr], joined: list[tuple[int, Expr]], states: list[Expr], factor: Expr = 1
    ) -> list[Term]:
        """factor * (sum of `own` times state i, and p_ij times weight and state of each neighbour)."""
        around = [Term(int(self.signs[i, j]) * factor * y, (), states[j]) for j, y in joined]
        return [Term(factor, (tuple(own),), states[i]), *around]

    def driven(self) -> None:
        """Each cell's sources carry its drive current as they are."""
        for i, sources in enumerate(self.sources):
            self.drives |= {name: (i, ratio(value, 1.0)) for name, value in sources.items()}

    # Amplifiers

    def amplifier_error(self) -> Expr:
        """eps(s) = 1/A0 + s/omega_t, defined once; to be called before `integrator` and `amplifier`."""
        import sympy

        opamp = self.technology.opamp
        gain, bandwidth = min(opamp.gain, IDEAL_GAIN), 2 * math.pi * opamp.gbw
        self.gain, self.level = self.symbol("A_0", "A_{0}"), sympy.Symbol("R_A")
        self.bandwidth = self.symbol("omega_t", r"\omega_{\mathrm{t}}")
        self.eps = self.symbol("eps", r"\varepsilon")
        self.quantities[self.gain] = Quantity(gain, "V/V")
        error = [term(1, 1 / self.gain)]
        if not math.isinf(bandwidth):
            self.quantities[self.bandwidth] = Quantity(bandwidth, "rad/s")
            error.append(term(1, self.s / self.bandwidth))
        self.definitions.append(Line((term(self.eps),), tuple(error)))
        return self.eps

    def integrator(
        self,
        i: int,
        coupled: list[Term],
        inputs: list[Expr],
        capacitance: float,
        drive: tuple[float, float],
        rails: int,
        damping: float = 0.0,
        output: Output | None = None,
    ) -> None:
        """[s C (1 + eps) + eps L] v_i + coupled = I_i, and the amplifier of the cell.

        Args:
            coupled: what flows into the summing node. inputs: the conductances that make L, without the input resistor.
            capacitance: F. drive: conductance of the input resistor and what the host assumes for it, S.
            rails: 1 or 2. damping: conductance from the output to the summing node, S.
            output: where it is not the cell that is read.
        """
        import sympy

        k, (conductance, nominal_conductance) = i + 1, drive
        state, capacitor, resistor, name = output or Output(self.volts[i], "C", "RL", str(k))
        c, entry = self.part(capacitor, (k,), capacitance), self.part("RB", (k,), 1.0 / conductance)
        own = [Term(c * self.s, ((sympy.Integer(1), self.eps),), state)]
        if damping > 0:
            damper = self.part(resistor, (k,), 1.0 / damping)
            inputs = [*inputs, 1 / damper]
            coupled = [Term(1 / damper, (), state), *coupled]
        own.append(Term(self.eps, ((*inputs, 1 / entry),), state))
        # Rounding may move an input resistor away from the one that the host reckons with.
        nominal, right = entry, term(self.currents[i])
        if abs(conductance / nominal_conductance - 1) > ON_VALUE:
            nominal = self.symbol("R_0", "R_{0}")
            self.quantities[nominal] = Quantity(1.0 / nominal_conductance, "ohm")
            right = term(self.currents[i], nominal / entry)
        self.cells.append(Line((*own, *coupled), (right,)))
        self.amplifier(name, rails)
        for source, value in self.sources[i].items():
            self.drives[source] = (i, ratio(value * nominal_conductance, 1.0) * nominal)

    def amplifier(self, name: str, rails: int) -> None:
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


def ratio(value: float, nominal: float) -> Expr:
    """value / nominal as an exact number: 1 where they agree to 1e-9, else the fraction nearest to it."""
    import sympy

    fraction = Fraction(value / nominal).limit_denominator(10**9)
    return sympy.Rational(fraction.numerator, fraction.denominator)
