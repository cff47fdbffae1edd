"""Pictures of yields: what they show, and null where there is no number."""

from __future__ import annotations

from thermograd.report.figures.style import to_svg
from thermograd.report.yields.figures import margins_plot, sensitivity_plot, yield_plot


def test_a_level_has_one_place_and_each_reading_its_bars():
    levels = [
        {"reading": reading, "met": met, "dies": 5, "low": 0.1, "high": 1.0}
        for reading in ("refined", "bare")
        for met in (1, 5)
    ]
    figure = yield_plot(levels, ["3 bit", "8 bit"] * 2, "ADC resolution", "test accuracy >= exact NGD - 0.3")
    (ax,) = figure.axes
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["3 bit", "8 bit"]
    assert [list(line[0].get_ydata()) for line in ax.containers] == [[0.2, 1.0]] * 2
    assert "<svg" in to_svg(figure, "yield")


def test_the_largest_sensitivity_and_the_least_margin_are_at_the_top():
    index = {"first": 0.1, "first_conf": 0.05, "total_conf": 0.05}
    found = {"score": "error", "knobs": {"a": {**index, "total": 0.8}, "b": {**index, "total": 0.2}}}
    (ax,) = sensitivity_plot(found, {"a": "A"}).axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["b", "A"]
    none = {"low_misses": None, "high_misses": None}
    rows = [
        {"knob": "a", "value": 1.0, "worst": 2.0, "factor": 2.0, "low": 0.01, "high": 2.0, **none, "high_misses": 2.1},
        {"knob": "b", "value": 1.0, "worst": None, "factor": None, "low": 0.01, "high": 100.0, **none},
        {"knob": "c", "value": 0.0, "worst": 1.0, "factor": None, "low": 0.0, "high": 1.0, **none},
        {"knob": "d", "value": 8, "worst": 4, "factor": 2.5, "low": 4, "high": 30, **none, "low_misses": 3},
    ]
    (ax,) = margins_plot(rows).axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["b", "d", "a"]
    assert "<svg" in to_svg(margins_plot([]), "empty")
