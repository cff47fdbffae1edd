"""Comparison figures: what their lines and bands are, which axes are logarithmic, and that all is labelled."""

import numpy as np
import pytest

from thermograd.optim.tasks.classification import ACCURACY
from thermograd.optim.tasks.task import Score
from thermograd.optim.training.experiment_result import ExperimentResult, RunResult
from thermograd.optim.training.train import History
from thermograd.report.figures.comparison import comparison_plot

ERROR = Score("relative L2 error", more_is_better=False, target=1e-4)


def run(label, seed, n, floor, seconds, score=ACCURACY, batch=8, hardware=1e-6):
    loss = list(2.0 * np.exp(-np.arange(n) / n * 3) + floor + 0.1 * seed)
    scores = (0.1, 0.8, 0.9 + 0.01 * seed) if score.percent else (1.0, 1e-2, 1e-4)
    evaluations = list(zip((0, n // 2, n), scores, strict=True))
    times = {"processor_seconds": [seconds] * n, "hardware_seconds": [hardware] * n}
    return RunResult(label, seed, None, History(loss=loss, evaluations=evaluations, score=score, **times), batch)


def plotted(score=ACCURACY, batch=8, slow=1e-2, longer=40, hardware=1e-6):
    fast = [run("fast $1", seed, 40, 0.01, 1e-3, score, batch) for seed in (0, 1, 2)]
    other = [run("slow", 0, longer, 0.3, slow, score, batch, hardware)]
    figure = comparison_plot(ExperimentResult(("fast $1", "slow"), "slow", score, (*fast, *other)), "task")
    figure.draw_without_rendering()
    return figure, np.array(figure.axes).reshape(2, 3)


def test_lines_are_medians_and_bands_the_range():
    figure, axes = plotted()
    line, _other = axes[0, 0].get_lines()
    losses = np.array([run("", seed, 40, 0.01, 1e-3).history.loss for seed in (0, 1, 2)])
    smooth = np.array([np.convolve(one, [0.5, 0.5], "valid") for one in losses])  # a twentieth of 40 steps
    x, y = np.array(line.get_xydata()).T
    assert x.tolist() == list(range(2, 41))
    assert y == pytest.approx(np.median(smooth, axis=0))
    (band,) = axes[0, 0].collections  # none of a single training
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((smooth.min(), smooth.max()))
    x = np.array(axes[0, 1].get_lines()[0].get_xdata())
    assert x == pytest.approx(1e-3 * np.arange(2, 41))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["fast $1", "slow"]
    assert legend.get_title().get_text() == "task; lines: median over seeds and dies; bands: lowest to highest"
    top = max(ax.get_window_extent().y1 for ax in axes.flat)
    assert legend.get_window_extent().y0 >= top  # it hides no data
    labels = [ax.get_xlabel() for ax in axes[1]]
    assert labels == ["step", "processor time, device's simulation left out (s)", "modelled hardware time (s)"]
    assert [axes[0, 0].get_ylabel(), axes[1, 0].get_ylabel()] == [
        "training loss,\nmean of the latest 5 % of steps",
        "test accuracy",
    ]


def test_axes_are_logarithmic_where_values_span_a_decade():
    _, axes = plotted(ERROR, batch=None, slow=1e-1, longer=800)
    assert [ax.get_xscale() for ax in axes[1]] == ["log"] * 3
    assert axes[1, 0].get_yscale() == "log"
    assert axes[0, 0].get_ylabel() == "training loss"
    for ax in axes.flat:
        assert all(np.array(line.get_xdata()).min() > 0 for line in ax.get_lines())  # no point at log 0
    _, axes = plotted(slow=2e-3)
    assert [ax.get_xscale() for ax in axes[1]] == ["linear"] * 3
    assert all(ax.get_xlim()[0] == 0 for ax in axes.flat)


def test_a_time_that_is_not_known_is_said_and_not_drawn():
    _, axes = plotted(hardware=float("nan"))
    assert axes[1, 2].get_xlabel() == "modelled hardware time (s)\nnot known of slow"
    assert [len(line.get_xdata()) > 0 for line in axes[1, 2].get_lines()] == [True, False]


def test_a_note_of_many_runs_is_wrapped():
    runs = [run(f"a run of a long name, {k}", 0, 40, 0.1, 1e-3, hardware=float("nan")) for k in range(4)]
    figure = comparison_plot(ExperimentResult(tuple(one.label for one in runs), None, ACCURACY, tuple(runs)))
    figure.draw_without_rendering()
    label = figure.axes[5].xaxis.label
    assert "run of a long name, 3" in label.get_text().replace("\n", " ")
    assert label.get_window_extent().x1 <= figure.bbox.width


def test_a_run_that_diverges_does_not_hide_the_others():
    bad = run("diverges", 0, 40, 0.1, 1e-3)
    bad.history.loss[20:] = [1e14] * 20
    runs = (run("a", 0, 40, 0.1, 1e-3), bad)
    low, high = comparison_plot(ExperimentResult(("a", "diverges"), None, ACCURACY, runs)).axes[0].get_ylim()
    assert 0 < low < 0.3
    assert 2 < high < 50


def test_few_points_are_marked():
    runs = [run("a", 0, 40, 0.1, 1e-3)]  # with three evaluations
    figure = comparison_plot(ExperimentResult(("a",), None, ACCURACY, tuple(runs)))
    losses, scores = figure.axes[0].get_lines()[0], figure.axes[3].get_lines()[0]
    assert (losses.get_marker(), scores.get_marker()) == ("None", "o")


def test_curves_that_cover_each_other_are_both_seen():
    runs = [run(label, 0, 40, 0.1, 1e-3) for label in ("a", "b")]
    figure = comparison_plot(ExperimentResult(("a", "b"), None, ACCURACY, tuple(runs)))
    first, second = figure.axes[0].get_lines()
    assert first.get_linestyle() == "-" != second.get_linestyle()
