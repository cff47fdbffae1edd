"""Groups of training runs: their mean and spread."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from thermograd.report.figures.training import training_groups

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
