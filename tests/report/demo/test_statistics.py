"""Figures that the report computes from the results."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermograd.report.demo.statistics import explained_variance, paired_difference

from ..sample_results import explained, sample_results

SMALL = sample_results(unknowns=6, points=40)


def test_explained_variance_is_the_law_and_its_error_covers_the_truth() -> None:
    comparisons = SMALL["calibration"]["comparisons"]
    value, _ = explained_variance(comparisons)
    assert value == pytest.approx(explained(comparisons), rel=1e-12)
    nothing = [c | {"surrogate": [float(np.mean(c["spice"]))] * len(c["spice"])} for c in comparisons]
    assert explained_variance(nothing)[0] == pytest.approx(0.0, abs=1e-12)
    assert all(math.isnan(figure) for figure in explained_variance([]))
    # 200 sets of 30 systems with known residual variance 0.04: the standard error must be that of the estimates.
    rng = np.random.default_rng(11)
    estimates = []
    for _ in range(200):
        spice = rng.standard_normal((30, 8))
        surrogate = spice + 0.2 * rng.standard_normal((30, 8))
        estimates.append(
            explained_variance([{"spice": a, "surrogate": b} for a, b in zip(spice, surrogate, strict=True)])
        )
    values, errors = np.array(estimates).T
    # The standard deviation of 200 values is known to 5 %; resampling 30 systems is low by about 2 %.
    assert np.mean(errors) == pytest.approx(values.std(ddof=1), rel=0.2)


def test_paired_difference() -> None:
    finals = [
        ("tngd", 1, 0, 0.94),
        ("tngd", 2, 0, 0.96),
        ("tngd", 1, 1, 0.98),
        ("ngd", None, 0, 0.96),
        ("ngd", None, 1, 0.97),
    ]
    runs = [
        {"optimizer": name, "die": die, "reading": "refined", "seed": seed, "accuracy": [0.1, value]}
        for name, die, seed, value in finals
    ]
    gap = paired_difference({"runs": runs}, ("tngd", "refined"), ("ngd", ""))
    assert gap is not None
    assert gap["mean"] == pytest.approx(0.0)  # -0.01 at seed 0, +0.01 at seed 1
    assert gap["error"] == pytest.approx(0.01)
    assert not gap["beyond"]
    assert paired_difference({"runs": runs}, ("tngd", ""), ("ngd", "")) is None
    assert paired_difference({"runs": runs}, ("tngd", "bare"), ("ngd", "")) is None
    same = [run | {"accuracy": [0.1, 0.95 if run["die"] else 0.94]} for run in runs]
    gap = paired_difference({"runs": same}, ("tngd", "refined"), ("ngd", ""))
    assert gap is not None
    assert (gap["error"], gap["beyond"]) == (0.0, False)  # no scatter, no verdict
