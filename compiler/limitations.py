"""What is not modelled, of the table in `effects`: for reports, solutions and docs/limitations.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..circuits.technology.technology import Technology
from .effects import EFFECTS, MODELS, OPTIONS, Effect
from .fabrics.base import Fabric

SHOWN = 4
"""Effects that a row of a report names."""


def not_modelled(model: str, fabric: Fabric | None = None, options: Iterable[str] = ()) -> tuple[str, ...]:
    """Names of the effects that a model leaves out, in the order of the table.

    Args:
        model: one of `MODELS`. options: of `OPTIONS`, what was asked for.
        fabric: leaves out effects of parts that it has not; None: effects of all fabrics.

    Raises:
        InputError: an unknown model, or an option that it does not take.
    """
    options = tuple(options)
    return tuple(e.name for e in EFFECTS if _shown_by(e, fabric) and not e.is_modelled(model, *options))


def left_out(effects: Sequence[str], technology: Technology | None = None) -> str:
    """Effects as the row of a report: the first few, and where the others stand.

    Args:
        effects: names, as of `not_modelled`. technology: those come first that it states; last, those whose figures it leaves as an ideal
            part has them, since they do nothing.
    """
    ranked = list(effects) if technology is None else sorted(effects, key=_Rank(technology))
    more = len(ranked) - SHOWN
    return "; ".join(ranked[:SHOWN]) + (f"; and {more} more (docs/limitations.md)" if more > 0 else "")


def by_statement(effects: Sequence[str], technology: Technology) -> list[tuple[str, bool]]:
    """Effects in the order of `left_out`, each with whether the technology states it, so that it is known to be there."""
    rank = _Rank(technology)
    return [(name, rank(name) == 0) for name in sorted(effects, key=rank)]


class _Rank:
    """0 of an effect that a technology states, 1 of one that no technology can, 2 of one that it does not."""

    def __init__(self, technology: Technology) -> None:
        self._ideal, self._technology = Technology(), technology
        self._figures = {effect.name: effect.figures for effect in EFFECTS}

    def __call__(self, effect: str) -> int:
        figures = [name.split("__") for name in self._figures[effect]]
        if not figures:
            return 1
        values = [getattr(getattr(self._technology, part), one) for part, one in figures]
        ideal = [getattr(getattr(self._ideal, part), one) for part, one in figures]
        # A switch stands first.
        return 2 if values == ideal or values[0] is False else 0


def _shown_by(effect: Effect, fabric: Fabric | None) -> bool:
    if effect.needs is None or fabric is None:
        return True
    return fabric.active if effect.needs == "amplifiers" else fabric.has_inductors


def markdown() -> str:
    """The table as docs/limitations.md shows it: a row for each effect, a column for each model, with the options that add it."""
    rows = [f"| effect | what it does | {' | '.join(MODELS)} |", "|---|---|" + "---|" * len(MODELS)]
    for effect in EFFECTS:
        marks = [_mark(effect, model) for model in MODELS]
        name = effect.name if effect.needs is None else f"{effect.name} ({effect.needs})"
        rows.append(f"| {name} | {effect.consequence} | {' | '.join(marks)} |")
    return "\n".join(rows) + "\n"


def _mark(effect: Effect, model: str) -> str:
    if effect.is_modelled(model):
        return "yes"
    adding = [name for name, models in OPTIONS.items() if model in models and effect.is_modelled(model, name)]
    return " or ".join(adding) or "-"
