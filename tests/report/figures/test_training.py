"""Groups of training runs: their mean and spread."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from thermograd.optim.tasks.burgers import RELATIVE_ERROR
from thermograd.report.figures.training import history_plot, training_groups

from ..sample_results import sample_results

SMALL = sample_results(unknowns=6, points=40)


def test_groups_are_the_optimizers_with_their_mean_and_spread() -> None:
    training = copy.deepcopy(SMALL["training"])
    groups = {group.label: group for group in training_groups(training)}
    on_dies = ["TNGD on 3 dies, refined", "TNGD on 3 dies, bare"]
    assert list(groups) == ["SGD", "Adam", "exact NGD", "TNGD, ideal device", *on_dies]
    dies = groups[on_dies[0]]
    assert len(dies.runs) == 9
    final = [run["accuracy"][-1] for run in training["runs"] if run["reading"] == "refined"]
    assert dies.mean[-1] == pytest.approx(sum(final) / 9)
    assert dies.std[-1] == pytest.approx((sum((f - sum(final) / 9) ** 2 for f in final) / 8) ** 0.5)
    # A run that was evaluated less often: the group keeps the steps that all have, values unchanged.
    run = training["runs"][0]
    for key in ("steps", "accuracy", "loss", "hybrid_seconds"):
        run[key] = run[key][::2]
    shorter = training_groups(training)[0]
    np.testing.assert_array_equal(shorter.steps, groups["SGD"].steps[::2])
    np.testing.assert_allclose(shorter.mean, groups["SGD"].mean[::2])


@pytest.mark.parametrize("values", [(2.0, 1.9, 1.85), (3.0, 0.4, 0.2), (1.0, 1e-3, 1e-6)])
def test_a_history_has_labels_whatever_it_spans(values: tuple[float, ...]) -> None:
    figure = history_plot(list(values), list(enumerate(values)), "three steps", RELATIVE_ERROR, batches=False)
    figure.draw_without_rendering()
    for ax in figure.axes:
        assert sum(bool(tick.get_text()) for tick in ax.get_yticklabels(which="both")) >= 2
        assert all(float(tick).is_integer() for tick in ax.get_xticks())
