"""Curves of errors: their medians, and logarithmic axes."""

from __future__ import annotations

import copy

import pytest
from matplotlib.figure import Figure

from thermograd.report.figures.error_curves import draw_errors, error_curves

from ..sample_results import sample_results

POISSON = sample_results(unknowns=6, points=40)["poisson"]


def test_a_curve_is_the_median_at_the_steps_that_all_runs_have() -> None:
    poisson = copy.deepcopy(POISSON)
    first = poisson["runs"][0]
    first["steps"], first["errors"] = first["steps"][::2], first["errors"][::2]
    dies, adam, *_ = error_curves(poisson)
    assert (dies.kind, len(dies.errors), dies.steps) == ("die", 3, list(range(0, 41, 4)))
    assert dies.median == pytest.approx([0.67, *(0.67 / step**2 for step in dies.steps[1:])])
    assert adam.steps[-1] == 2000


def test_both_axes_are_logarithmic_and_all_curves_are_named() -> None:
    ax = Figure().subplots()
    draw_errors(ax, error_curves(POISSON), labels="short", each=False)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in ax.texts] == ["NGD", "TNGD, ideal", "TNGD, dies", "Adam"]
    assert len(ax.lines) == 4
