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
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from thermograd.report import demo_page as report

from .sample_results import explained, sample_results

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
    """The page without its pictures, which is what takes the time; tests/report/figures/test_demo.py draws them."""
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
        assert "<table" in body or name == "transient", name
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
    final = [run["accuracy"][-1] for run in results["training"]["runs"] if run["optimizer"] == "tngd" and run["die"]]
    assert f"calibrated dies reaches {100 * np.mean(final):.1f} ± {100 * np.std(final, ddof=1):.1f} %" in page
    assert "1.007 ± 0.011" in page
    assert f"{sum(results['matrix']['program']['parts'].values()):,} parts" in page
    assert f"at most {100 * max(s['difference'] for s in results['loop']['systems']):.2f} %" in page
    for key in ("version", "python", "torch", "ngspice", "seed", "cores"):
        assert str(results["meta"][key]) in page
    for stage, seconds in results["meta"]["seconds"].items():
        assert re.search(rf"{stage}\s*{seconds:.1f}", page)


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
@pytest.mark.parametrize(("part", "field"), [("training", "runs"), ("calibration", "comparisons"), ("loop", "systems")])
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
    results["matrix"]["program"]["fabric"] = "dual_rail"
    assert "passive cells" in sections(report.render(results))["matrix"]


# --- the summary says where a figure misses its bar -------------------------------------------------------------------


def misses(results: dict[str, Any]) -> list[bool]:
    return ['class="miss"' in sentence for sentence in report.summary(results)]


def test_three_sentences_without_a_miss() -> None:
    sentences = report.summary(SMALL)
    assert len(sentences) == 3
    assert misses(SMALL) == [False, False, False]
    assert all(s.striptags().endswith(".") and s.striptags().count(". ") == 0 for s in sentences)


def test_a_poor_surrogate_is_said_to_miss_the_bar() -> None:
    results, rng = copy.deepcopy(SMALL), np.random.default_rng(5)
    for item in results["calibration"]["comparisons"]:
        spice = np.array(item["spice"])
        item["surrogate"] = (spice + 0.4 * spice.std() * rng.standard_normal(len(spice))).tolist()
    assert misses(results) == [False, True, False]
    assert "misses the bar of 95 %" in Page(report.summary(results)[1]).text


@pytest.mark.parametrize("ratio", [0.9, 1.1, math.nan])
def test_noise_off_the_law_is_said(ratio: float) -> None:
    assert misses(SMALL | {"transient": SMALL["transient"] | {"rms_over_std": ratio}}) == [True, False, False]


@pytest.mark.parametrize(("shift", "word", "miss"), [(-0.05, "worse", True), (0.02, "better", False)])
def test_a_real_difference_from_exact_ngd_is_said(shift: float, word: str, miss: bool) -> None:
    results = copy.deepcopy(SMALL)
    exact = {run["seed"]: run["accuracy"][-1] for run in results["training"]["runs"] if run["optimizer"] == "ngd"}
    for run in results["training"]["runs"]:
        if run["optimizer"] == "tngd" and run["die"] is not None:
            run["accuracy"][-1] = exact[run["seed"]] + shift + 0.001 * run["seed"]
    assert f"{word} by more than chance" in report.summary(results)[2].striptags()
    assert misses(results) == [False, False, miss]


def test_a_loop_that_is_not_explained_is_said() -> None:
    results = copy.deepcopy(SMALL)
    results["loop"]["systems"][2]["explained"] = 0.61
    assert "only 61.0 %" in report.summary(results)[2].striptags()


# --- figures ----------------------------------------------------------------------------------------------------------


def test_explained_variance_is_the_law_and_its_error_covers_the_truth() -> None:
    comparisons = SMALL["calibration"]["comparisons"]
    value, _ = report.explained_variance(comparisons)
    assert value == pytest.approx(explained(comparisons), rel=1e-12)
    nothing = [c | {"surrogate": [float(np.mean(c["spice"]))] * len(c["spice"])} for c in comparisons]
    assert report.explained_variance(nothing)[0] == pytest.approx(0.0, abs=1e-12)
    assert all(math.isnan(figure) for figure in report.explained_variance([]))
    # 200 sets of 30 systems with known residual variance 0.04: the standard error must be that of the estimates.
    rng = np.random.default_rng(11)
    estimates = []
    for _ in range(200):
        spice = rng.standard_normal((30, 8))
        surrogate = spice + 0.2 * rng.standard_normal((30, 8))
        estimates.append(
            report.explained_variance([{"spice": a, "surrogate": b} for a, b in zip(spice, surrogate, strict=True)])
        )
    values, errors = np.array(estimates).T
    # The standard deviation of 200 values is known to 5 %; resampling 30 systems is low by about 2 %.
    assert np.mean(errors) == pytest.approx(values.std(ddof=1), rel=0.2)


def test_paired_difference() -> None:
    finals = [
        ("tngd", 1, 0, 0.94),
        ("tngd", 2, 0, 0.96),
        ("tngd", 1, 1, 0.98),
        ("ngd", None, 0, 0.96),
        ("ngd", None, 1, 0.97),
    ]
    runs = [
        {"optimizer": name, "die": die, "seed": seed, "accuracy": [0.1, value]} for name, die, seed, value in finals
    ]
    gap = report.paired_difference({"runs": runs}, ("tngd", True), ("ngd", False))
    assert gap is not None
    assert gap["mean"] == pytest.approx(0.0)  # -0.01 at seed 0, +0.01 at seed 1
    assert gap["error"] == pytest.approx(0.01)
    assert not gap["beyond"]
    assert report.paired_difference({"runs": runs}, ("tngd", False), ("ngd", False)) is None


@given(value=st.floats(-1e6, 1e6), uncertainty=st.floats(1e-6, 1e3))
def test_plus_minus_rounds_to_the_uncertainty(value: float, uncertainty: float) -> None:
    shown, error = (float(part) for part in report.plus_minus(value, uncertainty).replace("−", "-").split(" ± "))
    assert abs(shown - value) <= 0.5 * max(1.0, uncertainty)
    assert (
        abs(shown - value) <= 0.5001 * max(uncertainty, 1.0)
        if uncertainty > 1
        else abs(shown - value) <= 0.51 * uncertainty
    )
    assert error == pytest.approx(uncertainty, rel=0.35) if uncertainty < 10 else True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (report.plus_minus(0.9643, 0.0052, 100, "%"), "96.4 ± 0.5 %"),
        (report.plus_minus(1.0072, 0.0113), "1.007 ± 0.011"),
        (report.plus_minus(94.2, 3.1), "94 ± 3"),
        (report.plus_minus(-0.002, 0.004, 100, "points"), "−0.2 ± 0.4 points"),
        (report.plus_minus(0.5, 0.0), "0.500"),
        (report.plus_minus(0.0, 0.0), "0"),
        (report.plus_minus(0.1, 1.7e-17, 100, "%"), "10.0 %"),
        (report.plus_minus(None, 0.1), "–"),
        (report.plus_minus(math.inf, 0.1), "–"),
        (report.si(2.3e-7, "s"), "230 ns"),
        (report.si(1e4, "Ω"), "10.0 kΩ"),
        (report.si(12.0, "s"), "12.0 s"),
        (report.si(0.0, "s"), "0 s"),
        (report.si(None, "s"), "–"),
        (report.significant(1234.5), "1234"),
        (report.significant(3.2e-13, 2), "3.2 × 10⁻¹³"),
        (report.significant(-0.25, 2), "−0.25"),
        (report.percent(0.99123), "99.1 %"),
        (report.percent(math.nan), "–"),
    ],
)
def test_numbers_as_text(text: str, expected: str) -> None:
    assert text == expected


@given(value=st.floats(1e-15, 1e14))
def test_si_prefix_is_the_value(value: float) -> None:
    number, unit = report.si(value, "s").split(" ", 1)
    scale = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    assert float(number) * scale[unit.removesuffix("s")] == pytest.approx(value, rel=6e-3)


def test_the_template_is_beside_the_module() -> None:
    assert (Path(report.__file__).parent / "templates" / "report.html").is_file()
