"""Pictures of studies: means, dies, baseline, and a scale that holds them."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from thermograd.report.figures.study import score_range, study_plot

from ..sample_results import sample_results

SMALL = sample_results(unknowns=6, points=40)


@pytest.mark.parametrize("k", range(3))
def test_a_study_shows_mean_spread_dies_and_baseline(k: int) -> None:
    study = SMALL["studies"][k]
    ax = study_plot(study).axes[0]
    low, high = score_range(study)
    assert len(ax.containers) == len(study["readings"])
    for reading, bars in zip(study["readings"], ax.containers, strict=True):
        x, y = bars.lines[0].get_data()
        for value, mean in zip(x, y, strict=True):
            runs = [
                run["scores"]["test accuracy"]
                for run in study["runs"]
                if (run["reading"], run["shown"]) == (reading, value)
            ]
            assert mean == pytest.approx(sum(runs) / 3)
            assert low <= min(runs)
            assert max(runs) <= high
        assert list(x) == sorted({run["shown"] for run in study["runs"]})
        assert any(label.get_text() == reading for label in ax.texts)
    assert any(list(line.get_ydata()) == [study["ideal"][0]["scores"]["test accuracy"]] * 2 for line in ax.lines)
    bottom, top = ax.get_ylim()
    assert bottom < low
    assert high < top


def test_dies_that_agree_and_dies_that_fail_stay_on_the_scale() -> None:
    study = copy.deepcopy(SMALL["studies"][2])
    for run in study["runs"]:
        run["scores"]["test accuracy"] = 0.1 if run["die"] == 1 or run["level"] < 4 else 0.95
    ax = study_plot(study).axes[0]
    bars = ax.containers[0].lines[2][0].get_segments()
    assert all(0.1 - 1e-9 <= end <= 0.95 + 1e-9 for bar in bars for end in bar[:, 1])
    assert ax.get_ylim()[1] < 0.99
    places = ax.transData.transform([(2, tick) for tick in ax.yaxis.get_major_locator()()])[:, 1]
    assert np.diff(places).min() > 0.06 * np.ptp(ax.transAxes.transform([(0, 0), (0, 1)])[:, 1])


def test_levels_where_all_runs_diverged_are_on_the_axis() -> None:
    study = copy.deepcopy(SMALL["studies"][2])
    for run in (*study["runs"], *study["ideal"]):
        run["scores"]["test accuracy"] = None  # as JSON has nan
    ax = study_plot(study).axes[0]
    low, high = ax.get_xlim()
    assert all(low < run["shown"] < high for run in study["runs"])


def test_studies_share_a_scale_when_asked() -> None:
    limits = [value for study in SMALL["studies"] for value in score_range(study)]
    scales = {study_plot(study, limits).axes[0].get_ylim() for study in SMALL["studies"]}
    assert len(scales) == 1


def legend_of(figure) -> set[str]:
    [legend] = figure.legends
    return {text.get_text() for text in legend.get_texts()}


def test_every_mark_is_named_and_axes_have_their_units() -> None:
    figure = study_plot(SMALL["studies"][2])
    assert legend_of(figure) == {"mean, worst to best", "each die", "ideal device"}
    accuracy, loss = figure.axes
    assert accuracy.get_xlabel() == "ADC resolution (bit)"
    assert (accuracy.get_ylabel(), loss.get_ylabel()) == ("test accuracy", "training loss (less is better)")
    with_seeds = copy.deepcopy(SMALL["studies"][2])
    with_seeds["seeds"].append(1)
    with_seeds["ideal"].append({"seed": 1, "scores": {"test accuracy": 0.96, "training loss": 0.1}})
    figure = study_plot(with_seeds, scores=["test accuracy"])
    assert legend_of(figure) == {"mean, worst to best", "each die and seed", "ideal device", "ideal, over seeds"}
    assert len(figure.axes) == 1


def test_runs_that_diverged_are_marked_and_a_level_of_none_else_has_no_mean() -> None:
    """Errors over decades, on a logarithmic axis; the marks are at the end that is bad."""
    study = copy.deepcopy(SMALL["studies"][2])
    for run in study["runs"]:
        run["scores"]["training loss"] = math.nan if run["level"] == 2 else 10.0 ** -run["level"]
    figure = study_plot(study, scores=["training loss"])
    ax = figure.axes[0]
    assert "diverged" in legend_of(figure)
    assert ax.get_yscale() == "log"
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[2.0]] * len(study["readings"])
    assert all(line.get_ydata()[0] > 0.9 for line in crosses)
    assert math.isnan(ax.containers[0].lines[0].get_ydata()[0])


def test_one_run_alone_is_drawn() -> None:
    study = copy.deepcopy(SMALL["studies"][2])
    study["runs"] = study["runs"][:1]
    study |= {"levels": [study["runs"][0]["level"]], "readings": [study["runs"][0]["reading"]]}
    figure = study_plot(study)
    figure.draw_without_rendering()
    assert legend_of(figure) == {"one run", "ideal device"}
