"""What all pictures share: SVG that is well-formed and described, axes, labels, files that are alike."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from thermograd.optim.tasks.classification import ACCURACY
from thermograd.report.figures.calibration import calibration_plot, loop_plot
from thermograd.report.figures.cell import cell_plot
from thermograd.report.figures.matrix import matrix_plot
from thermograd.report.figures.overview import overview_figure
from thermograd.report.figures.settling import refinement_plot, settling_plot, transient_plot
from thermograd.report.figures.study import study_plot
from thermograd.report.figures.style import accuracy_axis, label_ends, power_of_ten, save, to_svg
from thermograd.report.figures.training import history_plot, training_plot

from ..sample_results import sample_results

SMALL = sample_results(unknowns=6, points=40)

PICTURES: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "matrix": lambda results: matrix_plot(results["matrix"]),
    "cell": lambda results: cell_plot(results["matrix"]["passive"]),
    "transient": lambda results: transient_plot(results["transient"]),
    "calibration": lambda results: calibration_plot(results["calibration"]),
    "refinement": lambda results: refinement_plot(results["refinement"]),
    "training": lambda results: training_plot(results["training"]),
    "loop": lambda results: loop_plot(results["loop"]),
    "study": lambda results: study_plot(results["studies"][0]),
    "overview": overview_figure,
    "settling": lambda results: settling_plot(
        np.linspace(0, 5, 20), np.outer([1.0, -2.0], 1 - np.exp(-np.linspace(0, 5, 20))), np.array([1.0, -2.0]), "two"
    ),
    "history": lambda results: history_plot([2.0, 1.0, 0.5], [(0, 0.1), (3, 0.9)], "three steps", ACCURACY),
}


@pytest.mark.parametrize("name", PICTURES)
def test_svg_is_well_formed_described_and_its_own(name: str) -> None:
    given, before = copy.deepcopy(SMALL), dict(matplotlib.rcParams)
    text = to_svg(PICTURES[name](given), name, 'a "quoted" <description> & more')
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    assert root.get("aria-label") == 'a "quoted" <description> & more'
    ids = {element.get("id") for element in root.iter()} - {None}
    assert ids
    assert all(identity.startswith(f"{name}-") for identity in ids)  # none collides with another picture's
    values = [value for element in root.iter() for value in element.attrib.values()]
    used = {target for value in values for target in re.findall(r"url\(#([^)]+)\)", value)}
    targets = {e.get("{http://www.w3.org/1999/xlink}href", "") for e in root.iter()}
    links = {target[1:] for target in targets if target.startswith("#")}  # pictures are data, not references
    assert links | used <= ids
    assert not any(element.tag.endswith(("script", "image}")) for element in root.iter())
    assert given == SMALL
    assert dict(matplotlib.rcParams) == before
    if name in ("matrix", "study"):
        assert to_svg(PICTURES[name](given), name, 'a "quoted" <description> & more') == text


def test_pyplot_is_never_loaded() -> None:
    script = (
        "import sys, thermograd.report.figures.overview, thermograd.report.figures.study\n"
        "print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert run.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(("suffix", "magic"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_a_file_is_written_whole_and_always_alike(tmp_path: Path, suffix: str, magic: bytes) -> None:
    before = dict(matplotlib.rcParams)
    for name in ("a", "b"):
        save(PICTURES["history"](SMALL), tmp_path / f"{name}{suffix}")
    first, second = sorted(tmp_path.iterdir())
    assert first.read_bytes().startswith(magic)
    assert first.read_bytes() == second.read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_text_from_the_results_is_not_read_as_mathematics() -> None:
    study = SMALL["studies"][0] | {"title": r"cost $\frac{1}$ <b>", "axis": "$^$"}
    ET.fromstring(to_svg(study_plot(study), "dollar"))


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=15)
def test_accuracy_axis_holds_its_values_in_order(values: list[float]) -> None:
    ax = Figure().add_subplot()
    accuracy_axis(ax, values)
    bottom, top = ax.get_ylim()
    assert bottom < top
    assert bottom <= min(values)
    assert min(max(values), 0.999) <= top
    heights = ax.transData.transform([(0, value) for value in sorted(values)])[:, 1]
    assert np.all(np.diff(heights) >= -1e-9)


@pytest.mark.parametrize("values", [(0.08, 0.28), (0.972, 0.974), (0.31, 0.36), (0.5, 0.99), (0.4, 0.4), (1.0, 1.0)])
def test_an_accuracy_axis_has_at_least_two_ticks(values: tuple[float, float]) -> None:
    ax = Figure().add_subplot()
    accuracy_axis(ax, values)
    bottom, top = ax.get_ylim()
    assert sum(bottom <= tick <= top for tick in ax.get_yticks()) >= 2


@given(values=st.lists(st.integers(-50, 50).map(lambda k: k / 10), min_size=1, max_size=7))
@settings(max_examples=15)
def test_end_labels_keep_apart_and_in_order(values: list[float]) -> None:
    ax = Figure().add_subplot()
    ax.set_ylim(-6, 6)
    label_ends(ax, [(value, str(k), "black") for k, value in enumerate(values)], gap=0.06)
    places = {int(text.get_text()): text.xyann[1] for text in ax.texts}
    order = sorted(range(len(values)), key=lambda k: (values[k], k))
    assert np.all(np.diff([places[k] for k in order]) > 0.055)


def test_powers_of_ten() -> None:
    assert [power_of_ten(value) for value in (1e-12, 1.0, 1e10)] == ["10⁻¹²", "10⁰", "10¹⁰"]
