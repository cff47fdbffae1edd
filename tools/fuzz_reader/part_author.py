"""Random cards of parts: R, L, C, K, sources, controlled sources, instances and diodes, spelled in many ways."""

from __future__ import annotations

import random

from .spelling import Pen
from .styles import STYLES, Cell, Scope


class PartAuthor:
    """Writes cards of parts.

    Args:
        rng: of all choices.
        style: name of one of `STYLES`.
    """

    def __init__(self, rng: random.Random, style: str) -> None:
        self.rng, self.style = rng, STYLES[style]
        self.pen = Pen(rng, self.style.units, self.style.tidy)
        self.cells: list[Cell] = []
        self.inductive = False
        self.driven: set[str] = set()

    def reach(self, scope: Scope, node: str) -> list[list[str]]:
        """Tie a fresh node to the others."""
        rng = self.rng
        kind = rng.choice("RRRRVVEH")
        a, b = (node, rng.choice(scope.nodes)) if self.pen.chance(0.7) else (rng.choice(scope.nodes), node)
        if kind == "R":
            return self.resistor(scope, a, b)
        if kind == "V":
            return self.source(scope, a, b)
        others = [known for known in scope.nodes if known != node]
        if kind == "E" and len(others) > 1:
            return [self.card(scope, "E", a, b, *self.pair(scope), self.signed(0.1, 3.0, scope))]
        if kind == "H" and scope.sources:
            return [
                self.card(
                    scope, "H", a, b, self.pen.case(rng.choice(scope.sources)), self.signed(1.0, 1e3, scope, "ohm")
                )
            ]
        return self.resistor(scope, a, b)

    def card(self, scope: Scope, letter: str, *words: str) -> list[str]:
        """The lines of a part's card, named as the style does; nodes in several spellings."""
        return self.pen.card([self.name(scope, letter), *words])

    def name(self, scope: Scope, letter: str) -> str:
        """A name that is not taken."""
        scope.count += 1
        stem = (
            self.rng.choice(("", "", "", "x", "load", "_")) if not self.style.prefix else f"{self.style.prefix}{letter}"
        )
        return f"{self.rng.choice((letter, letter, letter.lower()))}{stem}{scope.count}"

    def node(self, name: str) -> str:
        """A node as it may be written."""
        if name == "0" and self.pen.chance(0.1):
            return self.rng.choice(("gnd", "GND"))
        return name

    def pair(self, scope: Scope) -> list[str]:
        """Two nodes, with or without brackets and a comma."""
        one, other = (self.node(self.rng.choice(scope.nodes)) for _ in range(2))
        form = self.rng.random()
        if form < 0.8:
            return [one, other]
        return ["(", one, other, ")"] if form < 0.9 else ["(", f"{one},{other}", ")"]

    def ends(self, scope: Scope) -> tuple[str, str]:
        """Two nodes, mostly different."""
        if len(scope.nodes) < 2 or self.pen.chance(0.01):
            return self.node(self.rng.choice(scope.nodes)), self.node(self.rng.choice(scope.nodes))
        one, other = self.rng.sample(scope.nodes, 2)
        return self.node(one), self.node(other)

    def signed(self, low: float, high: float, scope: Scope, unit: str = "") -> str:
        """A number of either sign."""
        text = self.pen.number(low, high, scope.names, unit)
        return f"-{text}" if self.pen.chance(0.3) and text[0] not in "{'+-" else text

    def resistor(self, scope: Scope, a: str = "", b: str = "") -> list[list[str]]:
        """R, with its temperature or its multiplier now and then."""
        pen, rng = self.pen, self.rng
        if not a:
            a, b = self.ends(scope)
        value = pen.number(100.0, 1e5, scope.names, "ohm")
        words = [a, b, pen.assignment("r", value) if pen.chance(0.04) else value]
        form = rng.random()
        if form < 0.04:
            words.append(pen.assignment("dtemp", pen.plain(rng.uniform(1.0, 80.0))))
        elif form < 0.06:
            words.append(pen.assignment("temp", pen.plain(rng.uniform(1.0, 80.0))))
        elif form < 0.09:
            words.append(pen.assignment("noisy", rng.choice("01")))
        elif form < 0.12:
            words.append(pen.assignment("m", rng.choice(("1", "2", "3", "{2}", "0.5"))))
        elif form < 0.14:
            words.append(rng.choice(("tc=0.001", "tc1=1m", "ac=2k", "scale=2", "tc=0,0", "tc1=0", "w=1u")))
        return [self.card(scope, "R", *words)]

    def capacitor(self, scope: Scope) -> list[list[str]]:
        """C."""
        pen = self.pen
        words = [*self.ends(scope), pen.number(1e-11, 1e-6, scope.names, "F")]
        if pen.chance(0.1):
            words.append(pen.assignment("ic", self.signed(0.1, 5.0, scope, "V")))
        if pen.chance(0.04):
            words.append(pen.assignment("m", "2"))
        return [self.card(scope, "C", *words)]

    def inductor(self, scope: Scope, a: str = "", b: str = "") -> list[list[str]]:
        """L, mostly behind a resistor, so that it closes no loop at rest."""
        pen = self.pen
        self.inductive = True
        if not a:
            a, b = self.ends(scope)
            if pen.chance(0.9):
                scope.count += 1
                inner = f"k{scope.count}"
                return [*self.resistor(scope, a, inner), *self.inductor(scope, inner, b)]
        words = [a, b, pen.number(1e-6, 1e-2, scope.names, "H")]
        if pen.chance(0.1):
            words.append(pen.assignment("ic", self.signed(1e-3, 0.1, scope, "A")))
        lines = self.card(scope, "L", *words)
        scope.inductors.append(lines[0].split()[0])
        return [lines]

    def coupled(self, scope: Scope) -> list[list[str]]:
        """K, and two inductors if there are none yet."""
        if not self.pen.chance(0.3):
            return self.resistor(scope)
        cards: list[list[str]] = []
        if len(scope.inductors) < 2:
            cards += self.inductor(scope) + self.inductor(scope)
        pair = [self.pen.case(name) for name in self.rng.sample(scope.inductors, 2)]
        return [*cards, self.card(scope, "K", *pair, self.pen.number(0.1, 0.9, scope.names))]

    def source(self, scope: Scope, a: str, b: str) -> list[list[str]]:
        """V."""
        values = self.values(scope, 0.1, 10.0, "V")
        lines = self.card(scope, "V", a, b, *values)
        scope.sources.append(lines[0].split()[0])
        if any(word.lower() == "ac" for word in values):
            self.driven.add(scope.sources[-1])
        return [lines]

    def current(self, scope: Scope) -> list[list[str]]:
        """I."""
        words = self.values(scope, 1e-5, 1e-2, "A")
        if self.pen.chance(0.08):
            words.append(self.pen.assignment("m", "2"))
        return [self.card(scope, "I", *self.ends(scope), *words)]

    def values(self, scope: Scope, low: float, high: float, unit: str) -> list[str]:
        """What stands after a source's nodes."""
        pen, rng = self.pen, self.rng
        value = self.signed(low, high, scope, unit)
        ac = [
            pen.case("ac"),
            *rng.choice((["1"], [], [pen.plain(rng.uniform(0.5, 2.0))], ["1", "0"], ["2", "180"], ["1", "90"])),
        ]
        form = rng.random()
        if form < 0.35:
            return [value]
        if form < 0.55:
            return [pen.case("dc"), value]
        if form < 0.6:
            return [pen.assignment("dc", value)]
        if form < 0.75:
            return [value, *ac]
        if form < 0.8:
            return [*ac, pen.case("dc"), value]
        if form < 0.83:
            return [*ac]
        if form < 0.93:
            return self.waveform(scope, low, high, ac)
        return rng.choice(
            (
                [pen.case("sin"), "(", "0", "1", "1k", ")"],
                [pen.case("pulse"), "(", "0", "1", "1u", "1n", "1n", "1u", "2u", ")"],
                [value, *ac, "distof1", "1"],
                [*ac, value],
                [value, value],
                ["dc", value, "dc", value],
                [],
            )
        )

    def waveform(self, scope: Scope, low: float, high: float, ac: list[str]) -> list[str]:
        """pwl, with brackets, commas and further values."""
        pen, rng = self.pen, self.rng
        time = 0.0
        points: list[str] = []
        for place in range(rng.randint(1, 4)):
            plus = "+" if pen.chance(0.01) else ""
            points += [plus + (pen.plain(time) if time else "0"), self.signed(low, high, scope)]
            time += rng.uniform(0.5, 3.0) * 1e-6
            if place == 0 and pen.chance(0.05):
                points[0] = "1n"
        if pen.chance(0.15):
            points = [points[0], *(f",{word}" for word in points[1:])]
        wave = [pen.case("pwl"), "(", *points, ")"] if pen.chance(0.85) else [pen.case("pwl"), *points]
        return rng.choice((wave, wave, [*ac, *wave], [*wave, *ac], ["dc", points[1].lstrip(","), *wave]))

    def transconductor(self, scope: Scope) -> list[list[str]]:
        """G, or E between two nodes that a resistor joins."""
        words = [*self.ends(scope), *self.pair(scope), self.signed(1e-6, 1e-3, scope)]
        if self.pen.chance(0.05):
            words.append(self.pen.assignment("m", "2"))
        return [self.card(scope, "G", *words)]

    def mirror(self, scope: Scope) -> list[list[str]]:
        """F, where there is a source to sense."""
        if not scope.sources:
            return self.resistor(scope)
        words = [*self.ends(scope), self.pen.case(self.rng.choice(scope.sources)), self.signed(0.05, 2.0, scope)]
        return [self.card(scope, "F", *words)]

    def instance(self, scope: Scope) -> list[list[str]]:
        """X, with some of the cell's parameters."""
        pen, rng = self.pen, self.rng
        if not self.cells:
            return self.resistor(scope)
        cell = rng.choice(self.cells)
        nodes = [self.node(rng.choice(scope.nodes)) for _ in range(cell.ports)]
        words = ["(", *nodes, ")"] if pen.chance(0.05) else nodes
        words.append(pen.case(cell.name))
        given = [formal for formal in cell.formals if pen.chance(0.6)]
        if given and pen.chance(0.2):
            words.append(pen.case("params:"))
        for formal in given:
            value = pen.number(0.5, 2.0, scope.names)
            if formal in scope.names and pen.chance(0.3):
                value = f"{{{formal}}}"
            words.append(pen.assignment(formal, value))
        if pen.chance(0.03):
            words.append(pen.assignment("m", "2"))
        return [self.card(scope, "X", *words)]

    def diode(self, scope: Scope) -> list[list[str]]:
        """D, rarely: only ngspice solves it, so that the text that we write is what is compared."""
        if not self.pen.chance(0.15):
            return self.capacitor(scope)
        scope.count += 1
        model = f"dm{scope.count}"
        card = self.pen.card(
            [".model", model, "D", "(", self.pen.assignment("is", "1e-14"), self.pen.assignment("n", "1.1"), ")"]
        )
        return [self.card(scope, "D", *self.ends(scope), model), card]
