"""The page of a co-design in a real browser: it draws, filters, sorts and chooses, without a network and without an error."""

from __future__ import annotations

import random

import pytest

from thermograd.report.codesign import units
from thermograd.report.codesign.page import page_of, write_codesign_page
from thermograd.report.codesign.result_file import checked

from .browser import browser
from .sample_codesign import KNOBS, sample_codesign

HTML = "</script><img src=x onerror=alert(1)><b>x</b>"
"""A name that would run if it were put on the page as it is."""
SAMPLE = sample_codesign(
    designs=20, task=HTML, knobs=[*KNOBS[:5], KNOBS[5] | {"title": HTML}], notes=[HTML], command=HTML
)
SAMPLE["references"][0]["name"] = HTML
for _design in SAMPLE["designs"]:
    _design["unsourced"] = [HTML]
    _design["parts"][HTML] = _design["parts"].pop("settling")
BY_NUMBER = {design["number"]: design for design in SAMPLE["designs"]}


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def shown(chromium, tmp_path_factory):
    """The page of the sample; each test leaves it as it was."""
    path = tmp_path_factory.mktemp("codesign") / "page.html"
    write_codesign_page(SAMPLE, path)
    return chromium.open(path)


_RESET = """(winner) => {
  for (const id of ["feasible", "front"]) document.getElementById(id).checked = false;
  for (const id of ["filter", "level"]) document.getElementById(id).value = "";
  document.getElementById("references").checked = true;
  state.boxed = null;
  if (state.chosen !== winner) choose(winner);
  update();
}"""


@pytest.fixture
def whole(shown):
    """All designs shown, the winner chosen, no problem before or after."""
    yield shown
    shown.page.evaluate(_RESET, SAMPLE["winner"])
    assert shown.problems == []
    assert shown.requests == []


def test_all_is_drawn_without_a_network(whole):
    drawn = whole.page.eval_on_selector_all(
        "[id^=plot-]", "plots => plots.filter((p) => p.querySelector('.main-svg')).map((p) => p.id)"
    )
    assert set(drawn) == {
        "plot-front", "plot-curve", "plot-sensitivity", "plot-yield", "plot-yield-curve", "plot-time", "plot-energy", "plot-history",
    }  # fmt: skip
    assert sorted(whole.rows()) == sorted(BY_NUMBER)
    assert whole.points() == set(BY_NUMBER)
    assert whole.page.locator("#plot-front .scatterlayer .point").count() >= len(BY_NUMBER)
    assert f"Design {SAMPLE['winner']} ★" in whole.text("#chosen-title")


def test_a_row_chooses_its_design(whole):
    other = next(number for number in BY_NUMBER if number != SAMPLE["winner"])
    whole.page.click(f"#rows tr[data-number='{other}'] td >> nth=0")
    assert whole.text("#chosen-title") == f"Design {other}"
    point = BY_NUMBER[other]["point"]
    assert units.setting(point["opamp.gbw"], "Hz") in whole.text("#specification")
    assert whole.page.locator("#rows tr[aria-selected=true]").get_attribute("data-number") == str(other)
    assert whole.page.url.endswith(f"#design={other}")
    assert whole.page.is_visible("#margin-note")  # those of the winner are not its own
    whole.page.focus(f"#rows tr[data-number='{SAMPLE['winner']}']")
    whole.page.keyboard.press("Enter")
    assert f"Design {SAMPLE['winner']} ★" in whole.text("#chosen-title")
    assert units.times(1.8) in whole.text("#specification")


def test_a_point_of_the_plot_chooses_its_design(whole):
    whole.page.uncheck("#references")
    whole.page.check("#feasible")
    number = next(number for number in sorted(whole.points()) if number != SAMPLE["winner"])
    x, y = whole.place(number)
    whole.page.mouse.move(x, y)
    whole.page.mouse.click(x, y)
    whole.wait(f"document.getElementById('chosen-title').textContent === 'Design {number}'")


def test_filters_reach_table_and_plot_alike(whole):
    whole.page.fill("#filter", "adc.bits <= 6, tolerance < 3 %, energy < 20 mJ")
    kept = {
        number
        for number, design in BY_NUMBER.items()
        if design["point"]["adc.bits"] <= 6
        and design["point"]["resistors.tolerance"] < 0.03
        and design["joules"] < 0.02
    }
    assert 0 < len(kept) < len(BY_NUMBER)
    assert set(whole.rows()) == kept == whole.points()
    assert whole.text("#count") == f"{len(kept)} of {len(BY_NUMBER)} designs"
    whole.page.fill("#filter", "tngd.system = dual")
    assert set(whole.rows()) == {n for n, design in BY_NUMBER.items() if design["point"]["tngd.system"] == "dual"}
    whole.page.fill("#filter", "")
    whole.page.check("#feasible")
    assert set(whole.rows()) == {number for number, design in BY_NUMBER.items() if design["feasible"]} == whole.points()
    whole.page.uncheck("#feasible")
    whole.page.select_option("#level", "solve")
    assert set(whole.rows()) == {number for number, design in BY_NUMBER.items() if design["fidelity"] == "solve"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("speed < 3", "no column"),
        ("energy < 3 V", "no number in J"),
        ("adc.bits", "no condition"),
        ("energy < x", "no number"),
    ],
)
def test_a_filter_that_cannot_be_read_says_so_and_hides_nothing(whole, text, says):
    whole.page.fill("#filter", text)
    assert says in whole.text("#problem")
    assert len(whole.rows()) == len(BY_NUMBER)


def test_heads_sort_the_table(whole):
    head = "#designs th button[data-key=energy]"
    whole.page.click(head)
    rising = [BY_NUMBER[number]["joules"] for number in whole.rows()]
    assert rising == sorted(rising)
    whole.page.click(head)
    assert [BY_NUMBER[number]["joules"] for number in whole.rows()] == sorted(rising, reverse=True)
    whole.page.click("#designs th button[data-key=number]")
    assert whole.rows() == sorted(BY_NUMBER)


def test_a_box_in_the_plot_keeps_its_designs(whole):
    whole.page.uncheck("#references")
    number = SAMPLE["winner"]
    x, y = whole.place(number)
    whole.page.mouse.move(x - 25, y - 25)
    whole.page.mouse.down()
    whole.page.mouse.move(x + 12, y + 12, steps=3)
    whole.page.mouse.move(x + 25, y + 25, steps=3)
    whole.page.mouse.up()
    whole.page.wait_for_selector("#unbox", state="visible")
    assert number in whole.rows()
    assert len(whole.rows()) < len(BY_NUMBER)
    whole.page.click("#unbox")
    assert len(whole.rows()) == len(BY_NUMBER)


def test_numbers_as_the_page_writes_them_are_read_as_filters(whole):
    draw = random.Random(0)
    values = [10 ** draw.uniform(-12, 7) for _ in range(60)]
    for write, unit, scale in ((units.joules, "J", 1.0), (units.seconds, "s", 1.0), (units.area, "mm²", 1e6)):
        texts = [write(value) for value in values if unit != "mm²" or value < 1e-3]
        read = whole.page.evaluate("([texts, unit]) => texts.map((text) => numberOf(text, unit))", [texts, unit])
        for text, found, value in zip(texts, read, [v for v in values if unit != "mm²" or v < 1e-3], strict=True):
            assert "×" in text or found == pytest.approx(scale * value, rel=6e-3), text


def test_text_of_a_result_is_text_on_the_page(whole):
    """Names that are HTML neither end the script nor become elements, and nothing in them runs."""
    assert HTML in whole.text("h1")
    assert HTML in whole.text("#specification")
    assert HTML in whole.text(".references")
    assert HTML in whole.page.text_content("#plot-time")
    assert whole.page.locator("img").count() == 0


def test_nothing_is_wider_than_a_phone(whole):
    """Tables scroll in their own boxes; a bar leads from the plot to the specification."""
    assert not whole.page.is_visible("#jump")
    whole.page.set_viewport_size({"width": 390, "height": 800})
    whole.wait("document.querySelector('#plot-front .main-svg').getBoundingClientRect().right <= 390")
    assert whole.page.evaluate("document.documentElement.scrollWidth") <= 390
    whole.page.click("#jump")
    assert whole.page.evaluate("document.getElementById('card').getBoundingClientRect().top < 400")
    whole.page.set_viewport_size({"width": 1300, "height": 1000})


def test_a_search_without_designs_is_a_page_too(chromium, tmp_path):
    path = tmp_path / "page.html"
    empty = checked(sample_codesign(designs=0, sensitivity=None, history=[]))
    path.write_text(page_of(empty, plotly=""))
    opened = chromium.open(path)
    assert "No design was found" in opened.text(".answer")
    assert "no designs yet" in opened.text("main")
    assert opened.problems == []


def test_an_error_or_a_request_would_be_noticed(chromium, tmp_path):
    """Negative control: a page that throws, and one that asks a network, which its own policy forbids as well."""
    path = tmp_path / "page.html"
    text = page_of(checked(sample_codesign(designs=0, sensitivity=None, history=[])), plotly="")
    broken = "<script>fetch('http://127.0.0.1:9/x').catch(() => 0); throw new Error('broken')</script></body>"
    path.write_text(text.replace("</body>", broken))
    opened = chromium.open(path)
    assert any("broken" in problem for problem in opened.problems)
    assert any("Content Security Policy" in problem for problem in opened.problems)
