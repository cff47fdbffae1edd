"""Causes of an error as text, Markdown, picture and page."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from thermograd.report.error_budget import heading_of, rows_of, title_of, to_markdown, write_page
from thermograd.report.figures.error_budget import error_budget_plot
from thermograd.report.figures.style import BLUE, ORANGE

NAMES = ("offsets", "<b>codes", "leak")


def summary(*systems: float | None) -> dict[str, Any]:
    numbers = [math.inf if one is None else one for one in systems]
    return {"median": systems[0], "least": min(numbers), "most": max(numbers), "systems": list(systems)}


def budget(dies: tuple[int | None, ...] = (1, 2)) -> dict[str, Any]:
    causes = [
        {
            "cause": name,
            "meaning": f"meaning of {name}",
            "share": share,
            "without": summary(0.2 - share / 10, 0.2),
            "alone": summary(alone, 0.01),
            "remaining": summary(remaining, 1e-9),
        }
        for name, share, alone, remaining in zip(
            NAMES, (0.75, 0.25, -0.001), (0.1, 0.05, 0.0), (0.07, 0.001, 1e-14), strict=True
        )
    ]
    bare = {"total": summary(0.2, 0.3), "ideal": summary(1e-14, 1e-14), "explained": 1.0, "causes": causes}
    lost = {**bare, "total": summary(None, None), "causes": causes[::-1]}
    return {
        "technology": "integrated",
        "device": "surrogate",
        "layout": False,
        "duration_tau": 20.0,
        "dies": list(dies),
        "systems": 2,
        "rounds": 1,
        "readings": {"bare": bare, "refined": lost},
    }


def test_text_names_who_was_asked_and_what_came_out() -> None:
    found = budget()
    assert title_of(found, "8 unknowns") == "Causes of the error: 8 unknowns, integrated (surrogate), 2 dies"
    assert title_of(budget((None,)) | {"layout": True}, "x").endswith("(surrogate, with its wires), nominal parts")
    assert title_of(budget((7,)), "x").endswith("die 7")
    assert heading_of(found, "bare") == "bare: 0.2 (0.2 to 0.3 over 4 readings); without all causes 1e-14"
    assert heading_of(found, "refined").startswith("refined, 1 round: no reading")
    assert rows_of(found, "bare")[0] == ("offsets", "75 %", "0.12", "0.1", "0.07")
    assert [row[1] for row in rows_of(found, "bare")] == ["75 %", "25 %", "0 %"]


def test_markdown_has_a_column_for_each_system() -> None:
    text = to_markdown(budget(), ["step 5", "step 9"])
    assert "| cause | share | without it | with it alone | step 5 | step 9 |\n|---|---|---|---|---|---|\n" in text
    assert "| as it is |  |  |  | 0.2 | 0.3 |\n| offsets | 75 % | 0.12 | 0.1 | 0.07 | 1e-09 |\n" in text
    assert "| as it is |  |  |  | no reading | no reading |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {7}
    assert "without it and all above |" in to_markdown(budget(), ["one"])


def test_bars_are_the_errors() -> None:
    found = budget()
    figure = error_budget_plot(found, "Causes")
    for ax, reading in zip(figure.axes, ("bare", "refined"), strict=True):
        causes = found["readings"][reading]["causes"]
        assert [label.get_text() for label in ax.get_yticklabels()] == [one["cause"] for one in causes]
        low, high = ax.get_xlim()
        for colour, key in ((BLUE, "alone"), (ORANGE, "without")):
            bars = [bar for bar in ax.patches if to_hex(bar.get_facecolor()) == colour.lower()]
            ends = [bar.get_x() + bar.get_width() for bar in bars]
            np.testing.assert_allclose(ends, [max(one[key]["median"], low) for one in causes])
            assert max(ends) < high
    assert "0.2" in figure.axes[0].get_title(loc="left")
    assert "no reading" in figure.axes[1].get_title(loc="left")


@pytest.mark.parametrize("systems", [1, 2])
def test_no_text_is_on_another(systems: int) -> None:
    figure = error_budget_plot(budget() | {"systems": systems}, title_of(budget(), "mnist, steps 5, 15, 25"))
    figure.draw_without_rendering()
    texts = [figure._suptitle, *(text for legend in figure.legends for text in legend.get_texts())]  # type: ignore[attr-defined]
    for ax in figure.axes:
        texts += [*ax.get_yticklabels(), ax.title, ax._left_title, ax.xaxis.label]  # type: ignore[attr-defined]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    assert len(boxes) > 10
    for k, (text, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text
        assert not any(box.overlaps(other) for _, other in boxes[:k]), text


def test_the_page_has_picture_and_tables_and_hostile_text_stays_text(tmp_path: Path) -> None:
    write_page(budget(), "8 unknowns", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert page.count("<table") == 3
    assert "meaning of offsets" in page
    assert "<b>codes" not in page
    assert "&lt;b&gt;codes" in page
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert "<script" not in page
