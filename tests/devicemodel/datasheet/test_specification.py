"""Verdicts on figures that are given, without a device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.datasheet import DatasheetConditions, Limit, Specification, Verdict
from thermograd.devicemodel.datasheet.figures import FIGURES, Found, Place

PLACES = (Place("tt", 27.0), Place("ss", 85.0))


def found(values: Any, figure: str = "bare_error", why: str = "") -> dict[str, Any]:
    """Of (places, systems, dies) or, of one system, (places, dies)."""
    array = np.asarray(values, dtype=float)
    array = array[:, None, :] if array.ndim == 2 else array
    return Found(figure, "all", array, PLACES, 0, tuple(range(1, array.shape[2] + 1)), why).to_dict()


def verdict(sheet: dict[str, Any], **limit: Any) -> tuple[Verdict, float | None, str]:
    [judged] = Specification(limit=[{"figure": sheet["figure"], **limit}]).judge([sheet])
    return judged.verdict, judged.margin, judged.text


def test_ends_and_where_they_are() -> None:
    sheet = found([[0.1, 0.3, 0.2], [0.4, 0.05, 0.6]])
    assert (sheet["min"], sheet["typ"], sheet["max"]) == (0.05, 0.2, 0.6)
    assert sheet["max_at"] == {"corner": "ss", "temperature": 85.0, "system": 1, "die": 3}
    assert [one["max"] for one in sheet["dies"]] == [0.4, 0.3, 0.6]
    assert [one["typ"] for one in sheet["places"]] == [0.2, 0.4]


def test_worst_and_typical_are_judged_apart() -> None:
    sheet = found([[0.1, 0.3, 0.2], [0.4, 0.05, 0.6]])
    assert verdict(sheet, max=0.5) == (Verdict.FAIL, pytest.approx(0.5 / 0.6), "at ss, 85 °C, die 3, system 1")
    assert verdict(sheet, max=0.6)[:2] == (Verdict.PASS, 1.0)
    assert verdict(sheet, max=0.5, of="typical")[:2] == (Verdict.PASS, pytest.approx(2.5))
    assert verdict(sheet, min=0.06)[0] is Verdict.FAIL
    assert verdict(sheet, min=0.01, max=1.0)[:2] == (Verdict.PASS, pytest.approx(1 / 0.6))


def test_a_missing_reading_never_passes() -> None:
    sheet = found([[0.1, np.nan, 0.2], [0.1, 0.1, np.inf]])
    assert sheet["missing"] == 2
    assert verdict(sheet, max=1.0) == (Verdict.NOT_KNOWN, pytest.approx(5.0), "2 of 6 have no value")
    assert verdict(sheet, max=0.15)[0] is Verdict.FAIL
    assert sheet["dies"][1]["max"] is None
    nothing = found([[np.nan], [np.nan]], "area", "states no areas")
    assert verdict(nothing, max=1.0) == (Verdict.NOT_KNOWN, None, "states no areas")


@pytest.mark.parametrize(
    ("met", "dies", "share", "expected"),
    # Clopper and Pearson: 30 of 30 is at least 0.884, 10 of 10 at least 0.692, 5 of 30 at most 0.347.
    [
        (30, 30, 0.88, Verdict.PASS),
        (30, 30, 0.89, Verdict.NOT_SHOWN),
        (10, 10, 0.9, Verdict.NOT_SHOWN),
        (5, 30, 0.34, Verdict.NOT_SHOWN),
        (5, 30, 0.36, Verdict.FAIL),
    ],
)
def test_a_share_of_dies_is_shown_or_not(met: int, dies: int, share: float, expected: Verdict) -> None:
    values = np.full((2, dies), 0.1)
    values[1, met:] = 0.3
    assert verdict(found(values), max=0.2, share=share)[0] is expected


@settings(max_examples=40)
@given(
    values=st.lists(st.floats(1e-9, 1e3), min_size=2, max_size=8),
    limit=st.floats(1e-9, 1e3),
)
def test_a_margin_of_at_least_one_is_what_passes(values: list[float], limit: float) -> None:
    sheet = found([values, values[::-1]])
    kind, margin, _ = verdict(sheet, max=limit)
    assert (kind is Verdict.PASS) == (max(values) <= limit)
    assert margin == pytest.approx(limit / max(values))
    assert sheet["min"] <= sheet["typ"] <= sheet["max"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"figure": "speed", "max": 1.0}, "'speed' is unknown; there are: bare_error"),
        ({"figure": "area"}, "give max, or min"),
        ({"figure": "area", "max": 1e-6, "share": 0.9}, "all dies share it"),
        ({"figure": "settling", "max": 1e-6, "min": 1e-5}, "above max"),
        ({"figure": "settling", "min": 1e-6, "share": 0.9}, "share counts dies below max"),
        ({"figure": "settling", "max": float("nan")}, "finite"),
        ({"figure": "settling", "max": "1us"}, "max"),
    ],
)
def test_limits_that_make_no_sense(limit: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Limit(**limit)


def test_files_are_read_or_named(tmp_path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text('[[limit]]\nfigure = "settling"\nmax = 1e-6\n')
    assert Specification.read(path).limit == (Limit(figure="settling", max=1e-6),)
    with pytest.raises(InputError, match="workload 'mine' is not in the data sheet, which has 'all'"):
        Specification(limit=[{"figure": "area", "max": 1.0, "workload": "mine"}]).check(["all"])
    for text, message in (
        ("limit = 3", "limit"),
        ("[[limit]]\nfigur = 1", "figur"),
        ("[", "not valid TOML"),
        ("", "limit"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            Specification.read(path)


@settings(max_examples=40)
@given(
    fields=st.dictionaries(
        st.sampled_from([*DatasheetConditions.model_fields, "other"]),
        st.one_of(st.none(), st.integers(-3, 20), st.floats(), st.text(max_size=5), st.lists(st.floats(), max_size=3)),
        max_size=3,
    )
)
def test_conditions_are_valid_or_an_input_error(fields: dict[str, Any]) -> None:
    try:
        conditions = DatasheetConditions(**fields)
    except InputError:
        return
    assert conditions.dies
    assert conditions.typical_temperature in conditions.temperatures


def test_each_figure_has_a_title_and_a_method() -> None:
    assert all(kind.title and kind.method and kind.rests_on for kind in FIGURES.values())
