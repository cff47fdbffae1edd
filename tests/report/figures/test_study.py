"""Pictures of studies: means, dies, baseline, and a scale that holds them."""

from __future__ import annotations

import copy

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


def test_studies_share_a_scale_when_asked() -> None:
    limits = [value for study in SMALL["studies"] for value in score_range(study)]
    scales = {study_plot(study, limits).axes[0].get_ylim() for study in SMALL["studies"]}
    assert len(scales) == 1
