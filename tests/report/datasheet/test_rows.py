"""The words of a data sheet's tables."""

from __future__ import annotations

from thermograd.report.datasheet import rows


def figure(**changes: object) -> dict[str, object]:
    found = {
        "title": "settling time", "workload": "all", "unit": "s", "min": 1e-6, "typ": 2e-6, "max": 4e-6, "missing": 0, "values": 6,
        "max_at": {"corner": "ss", "temperature": -40.0, "die": 3, "system": 1}, "why_missing": "",
        "rests_on": {"simulated": 3, "not stated": 1}, "unsourced": ["opamp.supply"],
    }  # fmt: skip
    return found | changes


def test_a_figure_and_what_it_lacks_are_one_line() -> None:
    [row] = rows.figures({"figures": [figure()]})
    assert row[2:6] == ("1 µs", "2 µs", "4 µs", "ss, −40 °C, die 3, system 1")
    assert row[6] == "3 simulated, 1 not stated; no source of their own: opamp.supply"
    [row] = rows.figures({"figures": [figure(missing=2)]})
    assert "2 of 6 without a value" in row[5]
    [row] = rows.figures({"figures": [figure(min=None, typ=None, max=None, why_missing="states no areas")]})
    assert row[2:6] == ("–", "–", "–", "states no areas")


def test_units() -> None:
    assert rows.value_of(2.5e-6, "m²") == "2.5 mm²"
    assert rows.value_of(0.01234, "") == "0.0123"
    assert rows.value_of(None, "J") == "–"


def test_limits_and_verdict() -> None:
    limit = {
        "title": "settling time", "workload": "all", "unit": "s", "min": None, "max": 5e-6, "of": "worst", "share": 0.9, "value": 0.8,
        "margin": None, "verdict": "not shown", "text": "8 of 10 dies",
    }  # fmt: skip
    sheet = {"specification": [limit], "passed": False}
    assert rows.limits(sheet) == [
        ("settling time", "all", "≤ 5 µs on 90 % of dies", "80 % of dies", "–", "not shown", "8 of 10 dies")
    ]
    assert rows.verdict_of(sheet) == "specification not met: 0 of 1 limits pass"
    assert rows.verdict_of({"specification": None}) == ""
