"""The picture of a loss landscape: paths and marks where they belong, contours of the slice, text that can be read."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from torch import nn

from thermograd.optim.training.landscape import Landscape, Plane
from thermograd.optim.training.trajectory import Trajectory
from thermograd.report.figures.landscape import LEVELS, colours, landscape_plot, percent

TITLE = "digits: 1560 steps of 64, seed 12345"


def sample(
    labels: tuple[str, ...] = ("sgd", "adam", "ngd", "tngd"),
    kind: str = "paths",
    left: tuple[int, ...] = (),
    scale: float = 1.0,
    low: float = 0.02,
) -> Landscape:
    """A bowl around the origin with paths from one start towards it."""
    generator = np.random.default_rng(len(labels))
    paths, places, offs = [], [], []
    for k, label in enumerate(labels):
        t = np.linspace(1, 0, 30 if k not in left else 7)[:, None]
        place = scale * (t * [-8.0, 2.0] + (1 - t) * generator.uniform(-1, 1, 2))
        loss = np.linspace(2.3, 0.01 * (k + 1), len(t))
        paths.append(Trajectory(label, np.arange(len(t)), place, loss, len(t) if k in left else None, nn.Identity()))
        places.append(place)
        offs.append(scale * np.linspace(1.6, 0.00123456, len(t)))
    x, y = scale * np.linspace(-10, 2, 41), scale * np.linspace(-5, 7, 41)
    a, b = np.meshgrid(x / scale, y / scale)
    loss = low + 0.03 * (a**2 + 2 * b**2)
    plane = Plane(np.zeros(2), np.eye(2))
    shadow = tuple(0.00123456 for _ in labels)
    return Landscape(kind, plane, x, y, loss, 1437, tuple(paths), tuple(places), tuple(offs), shadow, 0)


CASES = {
    "usual": sample(),
    "random": sample(kind="random", scale=0.1),
    "one": sample(("ngd",)),
    "left": sample(left=(0, 2)),
    "many": sample(
        tuple(f"tngd-adam, lr 0.00123, damping 0.00456, analog time {t}" for t in (0, 1, 2, 5, 10, 20, 50, 100))
    ),
    "wide": sample(scale=1e4),
    "narrow": sample(scale=1e-4),
    "deep": sample(low=0.0),
    "flat": sample(low=1e3),
}


def texts(figure: Figure) -> list[Text]:
    """All text that is drawn: matplotlib also keeps labels of ticks that are beyond the ends of an axis."""
    figure.draw_without_rendering()
    found: list[Text] = [figure._suptitle]  # type: ignore[attr-defined]
    for ax in figure.axes:
        found += [] if ax.get_legend() is None else ax.get_legend().get_texts()
        if not ax.axison:
            continue
        found += [*ax.texts, ax._left_title, ax.xaxis.label, ax.yaxis.label]  # type: ignore[attr-defined]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            found += [label for tick in ticks for label in (tick.label1, tick.label2)] + [axis.get_offset_text()]
    return [text for text in found if text.get_text() and text.get_visible()]


def lines(figure: Figure) -> list[Line2D]:
    return list(figure.axes[0].lines)


@pytest.mark.parametrize("name", CASES)
def test_no_text_is_on_another_on_a_path_or_outside(name: str) -> None:
    figure = landscape_plot(CASES[name], TITLE)
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    assert len(boxes) > 12
    slice_box = figure.axes[0].get_window_extent()
    for k, (text, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, text
        assert not box.overlaps(slice_box), text
        for other, beside in boxes[:k]:
            assert not box.overlaps(beside), (text, other)


@pytest.mark.parametrize("name", CASES)
def test_paths_and_marks_are_at_the_projections(name: str) -> None:
    found = CASES[name]
    figure = landscape_plot(found, TITLE)
    drawn = lines(figure)
    for place, one, colour in zip(found.coordinates, found.trajectories, colours(found), strict=True):
        mine = [line for line in drawn if to_hex(line.get_color()) == to_hex(colour)]
        [path] = [line for line in mine if line.get_marker() == "None"]
        np.testing.assert_array_equal(path.get_xydata(), place)
        [end] = [line for line in mine if line.get_marker() in ("o", "X")]
        np.testing.assert_array_equal(end.get_xydata(), place[-1:])
        assert end.get_marker() == ("o" if one.diverged is None else "X")
    [start] = [line for line in drawn if to_hex(line.get_color()) == "#ffffff" and line.get_marker() == "o"]
    np.testing.assert_array_equal(start.get_xydata(), found.coordinates[0][:1])
    assert len(set(colours(found))) == len(found.trajectories)
    assert figure.axes[0].get_aspect() == 1


def test_the_legend_says_how_each_path_ends() -> None:
    found = sample(("sgd", "tngd, analog time 2"), left=(0,))
    written = [text.get_text().split("\n") for text in landscape_plot(found, TITLE).axes[2].get_legend().get_texts()]
    assert written == [
        ["SGD: loss 0.01", "on the plane 0.00123, 0.0012 from it", "diverged before step 7"],
        ["TNGD, analog time 2: loss 0.02", "on the plane 0.00123, 0.0012 from it"],
        ["start: loss 2.3", "1.6 from the plane"],
    ]


@pytest.mark.parametrize("name", ["usual", "deep", "flat"])
def test_contours_are_spaced_by_the_logarithm(name: str) -> None:
    found = CASES[name]
    ax = landscape_plot(found, TITLE).axes[0]
    levels = np.asarray(ax.collections[0].levels)  # type: ignore[attr-defined]
    assert len(levels) == LEVELS + 1
    ratio = levels[2:-1] / levels[1:-2]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    assert levels[-1] == pytest.approx(found.loss.max())
    assert levels[0] == pytest.approx(max(found.loss.min(), 1e-6 * found.loss.max()))


def test_a_slice_that_is_not_finite_in_places_or_all_alike_can_be_drawn() -> None:
    found = sample()
    found.loss[:5] = np.nan
    found.loss[:, :4] = np.inf
    landscape_plot(found, TITLE).draw_without_rendering()
    found.loss[:] = 0.5
    landscape_plot(found, TITLE).draw_without_rendering()
    found.loss[:] = 0.0
    landscape_plot(found, TITLE).draw_without_rendering()


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.9941, "99.41 %"),
        (0.99998, "99.9980 %"),
        (1 - 1e-9, "100 %"),
        (0.953, "95.3 %"),
        (0.0005954, "0.06 %"),
        (0.0, "0 %"),
    ],
)
def test_a_share_has_two_digits_of_what_matters(share: float, text: str) -> None:
    assert percent(share) == text


@settings(max_examples=50)
@given(st.floats(0, 1))
def test_a_share_is_written_near_its_value(share: float) -> None:
    written = float(percent(share).removesuffix(" %")) / 100
    assert abs(written - share) <= min(0.051 * min(share, 1 - share), 0.0051) + 5e-6


def test_the_callers_matplotlib_is_left_alone() -> None:
    before = dict(matplotlib.rcParams)
    landscape_plot(CASES["usual"], "$x_")
    assert dict(matplotlib.rcParams) == before
    script = "import sys, thermograd.report.figures.landscape; print('matplotlib.pyplot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert run.stdout.split() == ["False"]
