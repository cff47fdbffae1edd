"""The heat map of the matrix."""

from __future__ import annotations

import numpy as np

from thermograd.report.figures.matrix import matrix_plot

from ..sample_results import sample_results

SMALL = sample_results(unknowns=6, points=40)


def test_the_heat_map_is_symmetric_about_zero_and_holds_every_coupling() -> None:
    a = np.array(SMALL["matrix"]["A"])
    image = matrix_plot(SMALL["matrix"]).axes[0].images[0]
    low, high = image.get_clim()
    assert low == -high
    assert high == np.abs(a - np.diag(np.diag(a))).max()
    np.testing.assert_array_equal(image.get_array(), a)
