"""The noisy transient beside the exact law."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from thermograd.report.figures.settling import settling_plot, transient_plot

from ..sample_results import sample_results


def test_the_law_may_have_a_coarser_grid_of_its_own() -> None:
    fine = sample_results(unknowns=6, points=601)["transient"]
    coarse = copy.deepcopy(fine)
    coarse["law_time"] = fine["time"][::6]
    for key in ("law_mean", "law_std"):
        coarse[key] = [row[::6] for row in fine[key]]
    traces = [transient_plot(transient).axes[1].lines[:6] for transient in (fine, coarse)]
    for one, other in zip(*traces, strict=True):
        assert min(one.get_xdata()) == pytest.approx(fine["time"][-1] / 2)
        np.testing.assert_allclose(one.get_ydata(), other.get_ydata(), atol=0.01)


def test_velocities_are_drawn_below_in_the_colours_of_their_positions() -> None:
    time, exact = np.linspace(0, 5, 30), np.array([1.0, -2.0])
    x, rates = np.outer(exact, 1 - np.exp(-time)), np.outer(exact, np.exp(-time))
    upper, lower = settling_plot(time, x, exact, "two", rates).axes
    assert lower.get_ylabel() == "velocity (V)"
    positions = [line for line in upper.lines if len(np.ravel(line.get_ydata())) == 30]
    for one, other in zip(positions, lower.lines, strict=True):
        assert one.get_color() == other.get_color()
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), rates[1])  # of the largest entry first
    assert len(settling_plot(time, x, exact, "two").axes) == 1
