"""The picture of the whole chain says what is missing."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from thermograd.report.figures.overview import overview_figure
from thermograd.report.figures.style import to_svg

from ..sample_results import sample_results

SMALL = sample_results(unknowns=6, points=40)


@pytest.mark.parametrize("part", ["matrix", "transient", "calibration", "poisson"])
def test_the_overview_says_what_is_not_there(part: str) -> None:
    figure = overview_figure(SMALL | {part: None})
    assert [text.get_text() for ax in figure.axes for text in ax.texts].count("not in this run") == 1


def test_the_overview_of_nothing_can_be_drawn() -> None:
    ET.fromstring(to_svg(overview_figure({}), "empty"))
