"""Tables of experiments against averages, deviations and intervals that are worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from thermograd.optim.tasks.classification import ACCURACY
from thermograd.optim.tasks.task import Score
from thermograd.optim.training.experiment_result import ExperimentResult, RunResult
from thermograd.optim.training.train import History

ERROR = Score("relative L2 error", more_is_better=False, target=1e-4)


def run(label, seed, losses, score, die=None, batch=8, outcome="ok", score_type=ACCURACY):
    n = len(losses)
    history = History(
        loss=list(losses),
        processor_seconds=[0.5] * n,
        hardware_seconds=[1e-3] * n,
        outcome=["ok"] * (n - 1) + [outcome],
        reading=["refined"] * (n - 1) + ["gradient" if outcome != "ok" else "refined"],
        retries=[0] * (n - 1) + [int(outcome != "ok")],
        evaluations=[(0, 0.0 if score_type.more_is_better else 1.0), (n // 2, score / 2), (n, score)],
        score=score_type,
    )
    return RunResult(label, seed, die, history, batch)


def falling(n, to):
    return np.linspace(1.0, to, n)


def test_spread_and_pairs():
    base = [run("a", seed, falling(40, 0.2), value) for seed, value in enumerate((0.90, 0.94, 0.92))]
    dies = [
        run("b", seed, falling(20, 0.1), value, die, outcome="not converged")
        for seed, pair in enumerate(((0.91, 0.95), (0.96, 0.96), (0.93, 0.97)))
        for die, value in enumerate(pair)
    ]
    first, second = ExperimentResult(("a", "b"), "a", ACCURACY, (*base, *dies)).table()
    assert (first.seeds, first.dies, first.score_std_dies, first.score_difference) == (3, 1, None, None)
    assert first.score == pytest.approx(0.92)
    assert first.score_std == pytest.approx(0.02)
    means = np.array([0.93, 0.96, 0.95])
    assert second.score == pytest.approx(means.mean())
    assert second.score_std == pytest.approx(means.std(ddof=1))
    assert second.score_std_dies == pytest.approx(math.sqrt((0.0008 + 0.0 + 0.0008) / 3))
    assert second.worst == 0.91
    apart = 100 * (means - [0.90, 0.94, 0.92])
    half = stats.ttest_1samp(apart, 0.0).confidence_interval(0.95).high - apart.mean()
    assert second.score_difference.mean == pytest.approx(apart.mean())
    assert second.score_difference.half_width == pytest.approx(half)
    assert (second.score_difference.unit, second.score_difference.seeds) == ("points", 3)
    assert second.loss_difference.unit == "decades"
    ends = [np.mean(falling(20, 0.1)[-2:]), np.mean(falling(40, 0.2)[-4:])]
    assert second.loss_difference.mean == pytest.approx(math.log10(ends[0] / ends[1]))
    assert (second.bad, second.gradient, second.retried) == pytest.approx((0.05, 0.05, 0.05))


def test_steps_and_time_to_the_end_of_another_run():
    """The mean of the latest tenth of the steps comes to that of the reference's last tenth; nan before there are as many."""
    reference = [run("a", seed, falling(40, 0.2), 0.9) for seed in (0, 1)]
    reaching, short = run("b", 0, falling(20, 0.1), 0.95), run("b", 1, falling(20, 0.5), 0.5)
    first, row = ExperimentResult(("a", "b"), "a", ACCURACY, (*reference, reaching, short)).table()
    wanted, losses = np.mean(falling(40, 0.2)[-4:]), falling(20, 0.1)
    steps = next(n for n in range(2, 21) if np.mean(losses[n - 2 : n]) <= wanted)
    assert (row.to_loss.count, row.to_loss.trainings, row.to_loss.steps) == (1, 2, steps)
    assert row.to_loss.processor_seconds == pytest.approx(0.5 * steps)
    assert row.to_loss.hardware_seconds == pytest.approx(1e-3 * steps)
    assert (row.to_score.count, row.to_score.steps) == (1, 20)
    assert (first.to_loss.count, first.to_loss.steps) == (2, 40)  # itself
    # Batches' losses fluctuate, and a single low one is not there yet; where all points are taken it is.
    lucky = falling(20, 0.5)
    lucky[5] = 0.01
    assert run("b", 0, lucky, 0.5).steps_to_loss(wanted) is None
    assert run("b", 0, lucky, 0.5, batch=None).steps_to_loss(wanted) == 6


def test_errors_are_better_where_smaller_and_differ_in_decades():
    ours = [run("b", seed, falling(10, 0.1), 10.0**-k, score_type=ERROR) for seed, k in enumerate((4, 5))]
    theirs = [run("a", seed, falling(10, 0.1), 1e-2, score_type=ERROR) for seed in (0, 1)]
    row = ExperimentResult(("a", "b"), "a", ERROR, (*theirs, *ours)).table()[1]
    assert row.worst == 1e-4
    assert (row.score_difference.mean, row.score_difference.unit) == (pytest.approx(-2.5), "decades")
    assert row.to_score.count == 2


def test_a_diverged_training_and_a_single_seed_are_said_as_such():
    one, other = run("a", 0, falling(10, 0.1), 0.9), run("b", 0, [math.nan] * 10, 0.1)
    row = ExperimentResult(("a", "b"), "a", ACCURACY, (one, other)).table()[1]
    assert math.isnan(row.loss)
    assert (row.score_std, row.to_loss.count, row.to_loss.steps) == (None, 0, None)
    assert math.isnan(row.score_difference.half_width)
    apart = run("b", 7, falling(10, 0.1), 0.9)
    row = ExperimentResult(("a", "b"), "a", ACCURACY, (one, apart)).table()[1]
    assert (row.score_difference, row.to_loss) == (None, None)  # no seed in common
