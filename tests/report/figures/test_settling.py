"""The noisy transient beside the exact law."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from thermograd.report.figures.settling import transient_plot

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
