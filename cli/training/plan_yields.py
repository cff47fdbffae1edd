"""Yields of a study's dies against a target: what `thermograd study PLAN.toml --target` adds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...circuits.files import write_text
from ..outputs import note, say, show, to_json

if TYPE_CHECKING:
    from ...optim.codesign.plans.runs import Prepared
    from ...optim.codesign.yields.target import Target

_ROWS = 40
"""Of a table that people read."""


def read_target(text: str, prepared: Prepared) -> Target:
    """The target, before anything runs. InputError for one that is none of the study's scores."""
    from ...optim.codesign.plans.table import main_score
    from ...optim.codesign.yields.table_yields import scores_of
    from ...optim.codesign.yields.target import Target

    return Target.parse(text, scores_of(main_score(prepared), prepared.plan.level == "training"))


def judge(folder: Path, target: Target) -> dict[str, Any]:
    """The yields of a folder's finished table, written to yields.json and, of one knob, yields.png.

    Returns:
        target, levels (`LevelYield.to_dict`), answers (a sentence for each reading; of several knobs none), any_level (whether all dies of
        one level meet the target), files.
    """
    from ...optim.codesign.plans.table import read_table
    from ...optim.codesign.yields.table_yields import answer, shown, table_yields
    from ...report.figures.style import save
    from ...report.yields.figures import yield_plot

    table = read_table(folder)
    found = table_yields(table, target)
    readings = list(dict.fromkeys(one.reading for one in found))
    knobs = list(table.attrs["knobs"])
    answers = []
    if len(knobs) == 1:
        answers = [answer([one for one in found if one.reading == reading], target) for reading in readings]
    levels = [one.to_dict() for one in found]
    whole = any(one.found.met == one.found.dies for one in found)
    result: dict[str, Any] = {"target": str(target), "levels": levels, "answers": answers, "any_level": whole}
    files = [folder / "yields.json"]
    write_text(files[0], to_json(result))
    if len(knobs) == 1:
        from ...optim.codesign.knobs.registry import knob_named

        texts = [shown(knobs[0], one.point[knobs[0]]) for one in found]
        save(yield_plot(levels, texts, knob_named(knobs[0]).title, str(target)), folder / "yields.png")
        files.append(folder / "yields.png")
    return result | {"files": files}


def tell(found: dict[str, Any]) -> None:
    """The yields as a table, and the answers."""
    from ...optim.codesign.yields.table_yields import shown

    levels = found["levels"]
    if len(levels) <= _ROWS:
        columns = [*levels[0]["point"], "reading", "dies that meet it", "yield, 95 % interval"]
        rows = [
            [
                *(shown(name, value) for name, value in one["point"].items()),
                one["reading"],
                f"{one['met']} of {one['dies']}",
                f"{100 * one['low']:.0f} to {100 * one['high']:.0f} %",
            ]
            for one in levels
        ]
        show(found["target"], columns, rows)
    for text in found["answers"]:
        say(text)
    if not found["answers"]:
        good = sum(one["met"] == one["dies"] for one in levels)
        say(f"{found['target']}: all dies of {good} of {len(levels)} design points meet it")
    note(f"wrote {', '.join(map(str, found['files']))}")
