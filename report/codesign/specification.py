"""One design as its reader needs it: the specification with margins, what it reached and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

from . import units
from .result_file import CodesignFile, Design, KnobAxis, MarginFigure, Setting

HEADS = ("figure", "value", "holds to", "margin")
"""Heads of `specification`, whose rows begin with the knob's title and its name."""

MEANING = (
    "Holds to: how far this figure alone can get worse before the target is missed, and by which factor. With all of them at their ends "
    "the target is missed."
)
_BY = {
    "short": " Sought with short trainings of one die, whose loss must stay within the search's limit.",
    "full": " Sought with whole trainings of one die.",
}


def margin_meaning(result: CodesignFile) -> str:
    """What the margins are, and by which trainings they were found."""
    return MEANING + _BY.get(result.margins_by, "")


def specification(design: Design, result: CodesignFile, knobs: dict[str, KnobAxis]) -> list[list[str]]:
    """Rows of title, name, value, how far it can get worse, and by which factor.

    Margins are known of the winner only; its figures that were not searched stand below those that were.
    """
    margins = {margin.knob: margin for margin in result.margins} if design.number == result.winner else {}
    point = heeded(design)
    values = point | {name: margin.value for name, margin in margins.items() if name not in point}
    rows = []
    for name, value in values.items():
        knob = knobs[name]
        rows.append([knob.title, name, units.setting(value, knob.unit), *_margin(margins.get(name), value, knob.unit)])
    return rows


def heeded(design: Design) -> dict[str, Setting]:
    """The point without what its reading does not heed: a bare one has no refinement."""
    bare = design.reading == "bare"
    return {name: value for name, value in design.point.items() if not (bare and name.startswith("refined."))}


def _margin(margin: MarginFigure | None, value: Setting, unit: str) -> tuple[str, str]:
    if margin is None:
        return units.NONE, ""
    if margin.worst is None:
        return "no end found", ""
    both = margin.low_misses is not None and margin.high_misses is not None
    if both:
        holds = f"{units.setting(margin.low, unit)} to {units.setting(margin.high, unit)}"
    elif margin.worst == value:
        return "no worse", "none"
    else:
        holds = f"{_way(margin.worst, value)} {units.setting(margin.worst, unit)}".strip()
    return holds, units.times(margin.factor) if margin.factor is not None else ""


def _way(worst: Setting, value: Setting) -> str:
    if isinstance(worst, int | float) and isinstance(value, int | float):
        return "down to" if worst < value else "up to"
    return ""


def facts(design: Design, result: CodesignFile) -> list[list[str]]:
    """Rows of a name and a text: score, yield, cost and reading. A total with unsourced prices says so in its line."""
    reached = design.scores.get(result.score.name)
    rows = [[result.score.name, units.score(reached, result.score.percent)]]
    rows += [[name, units.score(value, False)] for name, value in design.scores.items() if name != result.score.name]
    share = design.die_yield
    if share is not None:
        interval = f"95 %: {units.share(share.low)} to {units.share(share.high)}"
        rows.append(["yield", f"{share.met} of {share.dies} dies ({interval})"])
    rows += [
        ["energy of the training", units.joules(design.joules) + _remark(design.unsourced, area=False)],
        ["time of the training", units.seconds(design.seconds) + _remark(design.unsourced, area=False)],
        ["area", units.area(design.area) + _remark(design.unsourced, area=True)],
    ]
    if design.reading:
        rows.append(["reading", design.reading])
    if design.stopped:
        rows.append(["given up", design.stopped])
    return rows


def unsourced_of(unsourced: Sequence[str], area: bool) -> list[str]:
    """Those of the area, or of time and energy."""
    return [name for name in unsourced if name.startswith("area") == area]


def _remark(unsourced: Sequence[str], area: bool) -> str:
    """In the line of a total."""
    found = unsourced_of(unsourced, area)
    if not found:
        return ""
    named = [name.split(":")[0] for name in found]
    return f" (unsourced in part: {', '.join(named[:4])}{f' and {len(named) - 4} more' if len(named) > 4 else ''})"
