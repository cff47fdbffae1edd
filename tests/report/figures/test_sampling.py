"""The picture of a sampled solution: its errors with their bars, and unknowns by whole numbers."""

import numpy as np

from thermograd.report.figures.settling import estimate_plot


def test_errors_have_their_bars_at_whole_unknowns() -> None:
    x, error, exact = np.array([1.0, 2.0, 4.0]), np.array([0.1, 0.2, 0.3]), np.array([1.1, 2.0, 3.5])
    ax = estimate_plot(x, error, exact, "three").axes[0]
    [bars] = ax.containers
    points, _, (lines,) = bars
    np.testing.assert_allclose(points.get_ydata(), x - exact)
    ends = np.array([segment[:, 1] for segment in lines.get_segments()])
    np.testing.assert_allclose(ends, np.stack([x - exact - error, x - exact + error], axis=1))
    assert np.array_equal(ax.get_xticks(), np.round(ax.get_xticks()))
