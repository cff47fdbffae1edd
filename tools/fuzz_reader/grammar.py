"""Random netlists as people write them: parts that mostly form a circuit, in the manner of six tools."""

from __future__ import annotations

from collections.abc import Callable

from .part_author import PartAuthor
from .styles import PARAMETERS, Cell, Scope

_OPTIONS = (
    "reltol=1e-4", "abstol=1p", "gmin=1e-10", "rshunt=1k", "rshunt = 1meg", "cshunt=1n", "rseries=1", "method=gear", "noacct", "itl1=200",
    "tnom=27", "scale=2", "seed=3", "savecurrents", "node", "list", "post", "temp=50 reltol=1e-3", "numdgt=7", "keepopinfo", "gminsteps=10",
)  # fmt: skip


class Author(PartAuthor):
    """Writes one netlist."""

    def write(self) -> str:
        """The text."""
        rng, pen = self.rng, self.pen
        top = Scope(["0"], [])
        lines: list[str] = []
        if pen.chance(0.4):
            lines += self.parameters(top)
        for number in range(rng.choice((0, 0, 0, 1, 1, 2))):
            lines += self.cell(top, number)
        body = self.parts(
            top, rng.randint(2, 7), list(rng.sample(self.style.nodes, rng.randint(2, min(5, len(self.style.nodes)))))
        )
        if pen.chance(0.5):
            rng.shuffle(body)
        lines += [line for card in body for line in card]
        lines += self.conditions(top)
        lines += self.analyses(top)
        if pen.chance(0.5):
            for _ in range(rng.randint(0, 3)):
                lines.insert(
                    rng.randint(0, len(lines)),
                    rng.choice(("* comment", "", "*", "   ", "* R9 a b 1k", "*.options rshunt=1k")),
                )
        ending = "\r\n" if pen.chance(0.08) else "\n"
        end = [pen.case(".end")] if pen.chance(0.9) else []
        return ending.join([self.style.title, *_kept(lines), *end, ""])

    def parameters(self, scope: Scope) -> list[str]:
        """`.param` cards of values near one, some by others."""
        rng, pen = self.rng, self.pen
        lines: list[str] = []
        fresh = [name for name in rng.sample(PARAMETERS, rng.randint(1, 4)) if name not in scope.names]
        words: list[str] = []
        for name in fresh:
            value = pen.plain(rng.uniform(0.5, 2.0))
            if pen.chance(0.4):
                text = pen.expression(rng.uniform(0.5, 2.0), scope.names)
                value = pen.braced(text) if pen.chance(0.8) else text.replace(" ", "")
            words.append(pen.assignment(name, value))
            scope.names.append(name)
            if pen.chance(0.7):
                lines += pen.card([pen.case(".param"), *words])
                words = []
        if words:
            lines += pen.card([pen.case(".param"), *words])
        if pen.chance(0.2):
            rng.shuffle(lines) if not any(line.startswith("+") for line in lines) else None
        return lines

    def cell(self, top: Scope, number: int) -> list[str]:
        """A sub-circuit's definition."""
        rng, pen = self.rng, self.pen
        name = rng.choice(("div", "amp", "s", "load1", "OPAMP"))
        name += str(number)
        ports = rng.sample(("a", "b", "in", "out", "p", "1", "2", "n1"), rng.randint(1, 3))
        formals = rng.sample(PARAMETERS, rng.choice((0, 1, 1, 2)))
        inner = Scope(["0", *ports], [*formals, *rng.sample(top.names, min(len(top.names), 1))])
        words = [pen.case(".subckt"), name, *(["(", *ports, ")"] if pen.chance(0.1) else ports)]
        if formals and pen.chance(0.3):
            words.append(rng.choice(("params:", "PARAMS:")))
        for place, formal in enumerate(formals):
            value = pen.number(0.5, 2.0, formals[:place] if pen.chance(0.5) else ())
            words.append(pen.assignment(formal, value))
        lines = pen.card(words)
        if pen.chance(0.2):
            lines += self.parameters(inner)
        body = self.parts(inner, rng.randint(1, 3), rng.sample(("x", "y", "mid", "in2", "n1_"), rng.choice((0, 1, 2))))
        lines += [line for card in body for line in card]
        lines.append(rng.choice((".ends", f".ends {name}", ".ENDS", f".ENDS {name.upper()}")))
        self.cells.append(Cell(name, len(ports), formals))
        return lines

    def parts(self, scope: Scope, extra: int, fresh: list[str]) -> list[list[str]]:
        """Cards that reach each of the fresh nodes, and some more."""
        rng = self.rng
        cards: list[list[str]] = []
        for node in fresh:
            cards += self.reach(scope, node)
            scope.nodes.append(node)
        makers: list[Callable[[Scope], list[list[str]]]] = [
            self.resistor,
            self.resistor,
            self.resistor,
            self.instance,
            self.instance,
        ]
        makers += [self.capacitor, self.capacitor, self.inductor, self.coupled]
        makers += [self.current, self.transconductor, self.mirror, self.diode]
        for _ in range(extra):
            cards += rng.choice(makers)(scope)
        return cards

    def conditions(self, scope: Scope) -> list[str]:
        """Temperatures and options."""
        pen, rng = self.pen, self.rng
        lines: list[str] = []
        if pen.chance(0.2):
            celsius = pen.plain(rng.uniform(1.0, 120.0))
            lines += pen.card(
                rng.choice(([pen.case(".temp"), celsius], [pen.case(".options"), pen.assignment("temp", celsius)]))
            )
        if pen.chance(0.05):
            lines += pen.card([pen.case(".temp"), pen.plain(rng.uniform(1.0, 120.0))])
        if pen.chance(0.2):
            option = rng.choice(_OPTIONS)
            lines += pen.card([rng.choice((".options", ".option", ".OPTIONS", ".opt")), *option.split(" ", 1)])
        return lines

    def analyses(self, scope: Scope) -> list[str]:
        """`.op`, and others for a share."""
        pen, rng = self.pen, self.rng
        lines = [[pen.case(".op")]]
        if pen.chance(0.35):
            lines.append(
                [
                    pen.case(".ac"),
                    *rng.choice(("dec 1 10 100k", "lin 3 1k 100k", "DEC 2 1k 1MEG", "oct 1 1k 8k")).split(),
                ]
            )
        if pen.chance(0.2) and not self.inductive:
            lines.append([pen.case(".tran"), "10n", rng.choice(("2u", "10u", "1e-5")), *rng.choice(((), (), ("uic",)))])
        if pen.chance(0.2) and scope.sources:
            output = rng.choice([node for node in scope.nodes if node != "0"])
            driven = [name for name in scope.sources if name in self.driven] or scope.sources
            lines.append([".noise", f"v({output})", rng.choice(driven).lower(), "dec", "1", "100", "1meg"])
        if pen.chance(0.1):
            lines.append(
                rng.choice(([".save", "all"], [".print", "op", "v(out)"], [".probe", "v(out)"], [".width", "out=80"]))
            )
        rng.shuffle(lines)
        return [line for words in lines for line in pen.card(words)]


def _kept(lines: list[str]) -> list[str]:
    """Without a continuation that has lost its card, which comes of shuffling."""
    while lines and lines[0].lstrip().startswith("+"):
        lines = lines[1:]
    return lines
