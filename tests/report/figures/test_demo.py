"""The report's pictures: each is drawn from its part of the results alone, and its SVG is well-formed text."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from thermograd.circuits.netlist.netlist import Netlist
from thermograd.compiler.compile import compile_matrix
from thermograd.report.figures import demo as plots
from thermograd.report.figures.schematic import draw_cell
from thermograd.report.figures.style import accuracy_axis, label_ends, power_of_ten, to_svg

from ..sample_results import sample_results

SMALL = sample_results(unknowns=6, points=40)
PICTURES: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "matrix": lambda results: plots.matrix_plot(results["matrix"]),
    "cell": lambda results: plots.cell_plot(results["matrix"]["program"]["fabric"]),
    "transient": lambda results: plots.transient_plot(results["transient"]),
    "calibration": lambda results: plots.calibration_plot(results["calibration"]),
    "training": lambda results: plots.training_plot(results["training"]),
    "loop": lambda results: plots.loop_plot(results["loop"]),
    "study": lambda results: plots.study_plot(results["studies"][0]),
    "overview": plots.overview_figure,
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
        "import sys, thermograd.report.figures.demo; print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert run.stdout.split() == ["False", "False"]


def test_every_point_of_the_comparisons_is_drawn() -> None:
    figure = plots.calibration_plot(SMALL["calibration"])
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


def test_the_heat_map_is_symmetric_about_zero_and_holds_every_coupling() -> None:
    a = np.array(SMALL["matrix"]["A"])
    image = plots.matrix_plot(SMALL["matrix"]).axes[0].images[0]
    low, high = image.get_clim()
    assert low == -high
    assert high == np.abs(a - np.diag(np.diag(a))).max()
    np.testing.assert_array_equal(image.get_array(), a)


def test_groups_are_the_optimizers_with_their_mean_and_spread() -> None:
    training = copy.deepcopy(SMALL["training"])
    groups = {group.label: group for group in plots.training_groups(training)}
    assert list(groups) == ["SGD", "Adam", "exact NGD", "TNGD, ideal device", "TNGD on 3 calibrated dies"]
    dies = groups["TNGD on 3 calibrated dies"]
    assert len(dies.runs) == 9
    final = [run["accuracy"][-1] for run in training["runs"] if run["optimizer"] == "tngd" and run["die"] is not None]
    assert dies.mean[-1] == pytest.approx(sum(final) / 9)
    assert dies.std[-1] == pytest.approx((sum((f - sum(final) / 9) ** 2 for f in final) / 8) ** 0.5)
    # A run that was evaluated less often: the group keeps the steps that all have, values unchanged.
    run = training["runs"][0]
    for key in ("steps", "accuracy", "loss", "hybrid_seconds"):
        run[key] = run[key][::2]
    shorter = plots.training_groups(training)[0]
    np.testing.assert_array_equal(shorter.steps, groups["SGD"].steps[::2])
    np.testing.assert_allclose(shorter.mean, groups["SGD"].mean[::2])


@pytest.mark.parametrize("k", range(3))
def test_a_study_shows_mean_spread_dies_and_baseline(k: int) -> None:
    study = SMALL["studies"][k]
    ax = plots.study_plot(study).axes[0]
    bars = ax.containers[0]
    low, high = plots.accuracy_range(study)
    x, y = bars.lines[0].get_data()
    for value, mean in zip(x, y, strict=True):
        runs = [run["accuracy"] for run in study["runs"] if run["shown"] == value]
        assert mean == pytest.approx(sum(runs) / 3)
        assert low <= min(runs)
        assert max(runs) <= high
    assert list(x) == sorted({run["shown"] for run in study["runs"]})
    assert any(list(line.get_ydata()) == [study["baseline"]] * 2 for line in ax.lines)
    bottom, top = ax.get_ylim()
    assert bottom < low
    assert high < top


def test_dies_that_agree_and_dies_that_fail_stay_on_the_scale() -> None:
    study = copy.deepcopy(SMALL["studies"][2])
    for run in study["runs"]:
        run["accuracy"] = 0.1 if run["die"] == 1 or run["level"] < 4 else 0.95
    ax = plots.study_plot(study).axes[0]
    bars = ax.containers[0].lines[2][0].get_segments()
    assert all(0.1 - 1e-9 <= end <= 0.95 + 1e-9 for bar in bars for end in bar[:, 1])
    assert ax.get_ylim()[1] < 0.99
    places = ax.transData.transform([(2, tick) for tick in ax.yaxis.get_major_locator()()])[:, 1]
    assert np.diff(places).min() > 0.06 * np.ptp(ax.transAxes.transform([(0, 0), (0, 1)])[:, 1])


def test_studies_share_a_scale_when_asked() -> None:
    limits = [value for study in SMALL["studies"] for value in plots.accuracy_range(study)]
    scales = {plots.study_plot(study, limits).axes[0].get_ylim() for study in SMALL["studies"]}
    assert len(scales) == 1


def test_the_law_may_have_a_coarser_grid_of_its_own() -> None:
    fine = sample_results(unknowns=6, points=601)["transient"]
    coarse = copy.deepcopy(fine)
    coarse["law_time"] = fine["time"][::6]
    for key in ("law_mean", "law_std"):
        coarse[key] = [row[::6] for row in fine[key]]
    traces = [plots.transient_plot(transient).axes[1].lines[:6] for transient in (fine, coarse)]
    for one, other in zip(*traces, strict=True):
        assert min(one.get_xdata()) == pytest.approx(fine["time"][-1] / 2)
        np.testing.assert_allclose(one.get_ydata(), other.get_ydata(), atol=0.01)


@pytest.mark.parametrize("part", ["matrix", "transient", "calibration", "training"])
def test_the_overview_says_what_is_not_there(part: str) -> None:
    figure = plots.overview_figure(SMALL | {part: None})
    assert [text.get_text() for ax in figure.axes for text in ax.texts].count("not in this run") == 1


def test_the_overview_of_nothing_can_be_drawn() -> None:
    ET.fromstring(to_svg(plots.overview_figure({}), "empty"))


def test_text_from_the_results_is_not_read_as_mathematics() -> None:
    study = SMALL["studies"][0] | {"title": r"cost $\frac{1}$ <b>", "axis": "$^$"}
    ET.fromstring(to_svg(plots.study_plot(study), "dollar"))


# --- the schematic shows the circuit that the compiler emits ----------------------------------------------------------


def drawn_resistors() -> set[tuple[str, str]]:
    """(column, summing line) of every crosspoint of the drawn integrator cell, by position."""
    ax = Figure().add_subplot()
    draw_cell(ax, "crossbar")
    columns = {text.get_position()[0]: text.get_text() for text in ax.texts if text.get_position()[1] > 4}
    zigzags = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 10]
    lines = sorted({round(path[-1][1], 6) for path in zigzags})
    return {(columns[path[0][0]], {lines[0]: "e⁻", lines[1]: "e⁺"}[round(path[-1][1], 6)]) for path in zigzags}


def emitted_resistors(netlist: Netlist) -> set[tuple[str, str]]:
    """The same of row 1 of a two-cell crossbar's netlist."""
    names = {"p1": "p₁", "m1": "m₁", "p2": "p₂", "m2": "m₂", "bp1": "b⁺", "bm1": "b⁻", "ep1": "e⁺", "em1": "e⁻"}
    found = [netlist[name] for name in ("R1_1p", "R1_1m", "R1_2p", "R1_2m", "RB1p", "RB1m")]
    return {(names[resistor.a], names[resistor.b]) for resistor in found}


def test_the_schematic_is_the_emitted_circuit() -> None:
    mixed = compile_matrix([[2.0, -0.5], [-0.5, 1.0]], fabric="crossbar").netlist(b=[1.0, 0.0])
    assert drawn_resistors() == emitted_resistors(mixed)
    positive = compile_matrix([[2.0, 0.5], [0.5, 1.0]], fabric="crossbar").netlist(b=[1.0, 0.0])
    assert drawn_resistors() != emitted_resistors(positive)  # the picture's second entry is negative


# --- axes and labels --------------------------------------------------------------------------------------------------


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
