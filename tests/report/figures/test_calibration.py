"""The surrogate beside ngspice: every point of the comparisons is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from thermograd.report.figures.calibration import calibration_plot

from ..sample_results import sample_results

SMALL = sample_results(unknowns=6, points=40)


def test_every_point_of_the_comparisons_is_drawn() -> None:
    figure = calibration_plot(SMALL["calibration"])
    parity, residual = figure.axes
    comparisons = SMALL["calibration"]["comparisons"]
    for new, label in ((False, "fitted dies"), (True, "new dies")):
        line = next(line for line in parity.lines if line.get_label() == label)
        x = np.concatenate([c["spice"] for c in comparisons if c["new_die"] is new])
        y = np.concatenate([c["surrogate"] for c in comparisons if c["new_die"] is new])
        np.testing.assert_array_equal(line.get_xydata(), np.column_stack([x, y]))
    left = sum(float(np.sum(np.square(line.get_ydata()))) for line in residual.lines)
    apart = sum(float(np.sum((np.array(c["surrogate"]) - c["spice"]) ** 2)) for c in comparisons)
    assert left == pytest.approx(apart)
    reach = max(np.abs([c["spice"] for c in comparisons if len(c["spice"]) == 48]).max(), 0)
    assert parity.get_xlim()[1] > reach
