"""The report: complete, safe with any text in the results, and true to their numbers."""

from __future__ import annotations

import copy
import math
import re
from collections import defaultdict
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

from thermograd.report.demo import page as report

from ..sample_results import explained, sample_results

SMALL = sample_results(unknowns=6, points=40)
HOSTILE = "<script>alert('x')</script>\"'&<b onclick=y>--> $\\frac{1 {{ 7 * 7 }} {% raw %} https://example.com/x.js"
VOID = {"meta", "br", "hr", "img", "link", "input", "path", "use"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; `unbalanced` holds what was closed out of turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.stack: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.stack or self.stack.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader sees, white space collapsed."""
        return re.sub(r"\s+", " ", "".join(self.words))


def replaced(data: Any, change: Callable[[str], str]) -> Any:
    """The same structure with every string value changed; keys stay."""
    if isinstance(data, dict):
        return {key: replaced(value, change) for key, value in data.items()}
    if isinstance(data, list):
        return [replaced(value, change) for value in data]
    return change(data) if isinstance(data, str) else data


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "new folder" / "report.html"
    report.write_report(sample_results(), path)
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page without its pictures, which is what takes the time; tests/report/figures draws them."""
    monkeypatch.setattr(report, "_figures", lambda results: defaultdict(lambda: Markup("<svg></svg>")))


def sections(text: str) -> dict[str, str]:
    """The page's sections by id."""
    return dict(re.findall(r'<section id="(\w+)">(.*?)</section>', text, flags=re.DOTALL))


@pytest.mark.slow
def test_the_page_is_complete_and_needs_nothing_else(whole: str) -> None:
    page = Page(whole)
    assert page.unbalanced == []
    assert page.stack == []
    assert list(sections(whole)) == list(report.PARTS)
    for name, body in sections(whole).items():
        assert "<svg" in body, name
        assert "<figcaption>" in body, name
        assert "<table" in body or name in ("transient", "refinement"), name
        assert body.count('class="question"') == 1, name
    assert "script" not in page.tags
    for tag, name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "action"):
            assert value.startswith("#") or (tag == "image" and value.startswith("data:image/png;base64,")), (
                tag,
                name,
                value[:60],
            )
        assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", value)), value[:80]
    assert "@import" not in whole
    assert "url(" not in re.search(r"<style>.*?</style>", whole, re.DOTALL).group()  # type: ignore[union-attr]
    assert len(whole.encode()) < 5e6


@pytest.mark.slow
def test_figures_are_those_of_the_results(whole: str) -> None:
    results, page = sample_results(), Page(whole).text
    old = [c for c in results["calibration"]["comparisons"] if not c["new_die"]]
    assert f"explains {100 * explained(old):.1f} ±" in page
    final = [run["accuracy"][-1] for run in results["training"]["runs"] if run["reading"] == "refined"]
    assert f"3 dies, refined reaches {100 * np.mean(final):.1f} ± {100 * np.std(final, ddof=1):.1f} %" in page
    assert "1.007 ± 0.011" in page
    assert f"{sum(results['matrix']['program']['parts'].values()):,} parts" in page
    assert f"at most {100 * max(s['difference'] for s in results['loop']['systems']):.2f} %" in page
    for key in ("version", "python", "torch", "ngspice", "seed", "cores"):
        assert str(results["meta"][key]) in page
    for stage, seconds in results["meta"]["seconds"].items():
        assert re.search(rf"{stage}\s*{seconds:.1f}", page)
    assert "0.80 % of |A⁻¹b|, rms (95 %: 0.50 % to 1.20 %)" in whole


@pytest.mark.slow
def test_hostile_text_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    real = report.to_svg

    def draw(figure: Any, name: str, text: str) -> str:
        """Really draw the pictures that hold text from the results."""
        drawn.append(name)
        return real(figure, name, text) if name in ("overview", "study0") else "<svg></svg>"

    monkeypatch.setattr(report, "to_svg", draw)
    page = Page(report.render(replaced(SMALL, lambda text: HOSTILE)))
    assert "study0" in drawn
    assert page.unbalanced == []
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert HOSTILE in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert {name for tag, name, value in page.attributes if "example.com" in value} <= {"aria-label"}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("part", report.PARTS)
@pytest.mark.parametrize("nothing", [None, {}, "absent"])
def test_a_missing_part_is_said_to_be_missing(part: str, nothing: Any) -> None:
    results = {key: value for key, value in SMALL.items() if key != part}
    if nothing != "absent":
        results[part] = nothing
    text = report.render(results)
    found = sections(text)
    assert list(found) == list(report.PARTS)
    assert "This run has no" in found[part]
    assert "<svg" not in found[part]
    assert all("This run has no" not in body for name, body in found.items() if name != part)


def test_nothing_at_all_is_a_report_too() -> None:
    text = report.render({})
    assert all("This run has no" in body for body in sections(text).values())


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("part", "field"), [("training", "runs"), ("poisson", "runs"), ("calibration", "comparisons"), ("loop", "systems")]
)
def test_a_part_without_entries_counts_as_missing(part: str, field: str) -> None:
    assert "This run has no" in sections(report.render(SMALL | {part: SMALL[part] | {field: []}}))[part]


@pytest.mark.usefixtures("undrawn")
def test_optional_fields_may_be_null_or_absent() -> None:
    results = copy.deepcopy(SMALL)
    results["meta"] = {}
    results["matrix"]["netlist_file"] = None
    results["training"]["table"] = []
    results["transient"] |= {"rms_uncertainty": 0.0, "final_error": math.nan}
    results["calibration"]["comparisons"] = [c for c in results["calibration"]["comparisons"] if c["new_die"]]
    results["studies"][0]["sentence"] = "A sentence of its own."
    for study in results["studies"]:
        study.pop("check")
        for run in study["runs"]:
            run.pop("outcomes")
            run["level"] = run.pop("shown")
        study["levels"] = sorted({run["level"] for run in study["runs"]})
    page = Page(report.render(results))
    assert "A sentence of its own." in page.text
    assert page.unbalanced == []
    assert "None" not in page.text
    assert "nan" not in page.text.replace("nano", "")


@pytest.mark.usefixtures("undrawn")
def test_the_passive_fabric_has_its_own_caption() -> None:
    results = copy.deepcopy(SMALL)
    results["matrix"]["passive"] = True
    assert "passive cells" in sections(report.render(results))["matrix"]


def test_the_template_is_beside_the_module() -> None:
    assert (Path(report.__file__).parents[1] / "templates" / "report.html").is_file()
