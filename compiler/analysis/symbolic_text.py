"""Symbolic laws as text and as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..symbolic_law import Expr, Term


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
