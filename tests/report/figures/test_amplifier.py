"""The picture of a measured amplifier: curves and laws as they are, marks where the law puts them, text that can be read."""

from __future__ import annotations

import math
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from thermograd.circuits.amplifiers.characterise import Characterisation
from thermograd.circuits.technology.parts import OpAmp
from thermograd.report.figures.amplifier import amplifier_plot

CASES = {
    "usual": OpAmp(
        gain=1.4e4, gbw=8e7, second_pole=5e8, noise_voltage=7e-9, noise_voltage_corner=6e5, output_resistance=2e4
    ),
    "one pole": OpAmp(gain=2e5, gbw=3e6, noise_voltage=2e-8, noise_voltage_corner=100.0),
    "hardly stable": OpAmp(gain=1e4, gbw=4e7, second_pole=5e5, noise_voltage=7e-9, noise_voltage_corner=7e5),
    "small gain": OpAmp(gain=20, gbw=1e6, noise_voltage=1e-9),
    "large gain": OpAmp(gain=1e7, gbw=1e6, noise_voltage=1e-9, noise_voltage_corner=3.0),
}


def characterisation(opamp: OpAmp) -> Characterisation:
    """What measuring an amplifier that keeps to the record's laws gives, computed."""
    f, noise_at = np.geomspace(1e-2, 1e11, 261), np.geomspace(0.1, opamp.gbw / 20, 80)
    poles = (opamp.gbw / opamp.gain, opamp.second_pole)
    response = opamp.gain / np.prod([1 + 1j * f / pole for pole in poles], axis=0)
    low, high = poles[0], opamp.gbw
    for _ in range(200):  # |A| falls, so that its only crossing of 1 is found by halving
        middle = math.sqrt(low * high)
        above = opamp.gain > math.prod(math.hypot(1, middle / pole) for pole in poles)
        low, high = (middle, high) if above else (low, middle)
    margin = 180 - sum(math.degrees(math.atan(low / pole)) for pole in poles)
    noise = opamp.noise_voltage * np.sqrt(1 + opamp.noise_voltage_corner / noise_at)
    return Characterisation(
        opamp, 0.0, low, margin, (-1.0, 1.0), math.inf, 0.0, 300.15, f, response, noise_at, noise
    )  # fmt: skip


def texts(figure: Figure) -> list[Text]:
    """All text that is drawn: matplotlib also keeps labels of ticks that are beyond the ends of an axis."""
    figure.draw_without_rendering()
    found: list[Text] = [figure._suptitle]  # type: ignore[attr-defined]
    for ax in figure.axes:
        found += [*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]  # type: ignore[attr-defined]
        found += [] if ax.get_legend() is None else ax.get_legend().get_texts()
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in found if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("name", CASES)
def test_curves_laws_and_marks_are_where_the_record_puts_them(name: str) -> None:
    opamp = CASES[name]
    measured = characterisation(opamp)
    figure = amplifier_plot(measured, "an amplifier")
    gain, phase, noise = figure.axes
    for ax in (gain, phase):
        curve, law = ax.lines[:2]
        np.testing.assert_array_equal(curve.get_xdata(), law.get_xdata())
        np.testing.assert_allclose(curve.get_ydata(), law.get_ydata(), atol=1e-9)  # the amplifier keeps to the law
    assert float(gain.lines[0].get_ydata()[0]) == pytest.approx(20 * math.log10(opamp.gain), abs=0.1)  # type: ignore[index]
    marks = [line for line in gain.lines if line.get_marker() == "o"]
    assert float(marks[0].get_xdata()[0]) == pytest.approx(opamp.gbw / opamp.gain)  # type: ignore[index]
    assert float(marks[0].get_ydata()[0]) == pytest.approx(20 * math.log10(opamp.gain) - 3.0103, abs=1e-3)  # type: ignore[index]
    assert float(marks[1].get_xdata()[0]) == measured.unity_gain  # type: ignore[index]
    [written] = [text.get_text() for text in phase.texts if text.get_text()]
    assert written == f"phase margin {measured.phase_margin:.1f}°"
    np.testing.assert_array_equal(noise.lines[0].get_ydata(), measured.noise_voltage)
    np.testing.assert_allclose(noise.lines[1].get_ydata(), measured.noise_voltage, rtol=1e-12)


def test_the_law_is_drawn_and_not_the_measurement_twice() -> None:
    measured = characterisation(CASES["usual"])
    object.__setattr__(measured, "response", measured.response / (1 + 1j * measured.frequency / 1e9))
    object.__setattr__(measured, "noise_voltage", 1.1 * measured.noise_voltage)
    for ax in amplifier_plot(measured, "with a third pole").axes:
        curve, law = (np.asarray(line.get_ydata(), dtype=float) for line in ax.lines[:2])
        assert np.abs(curve - law).max() > 0.05 * np.abs(law).min()


@pytest.mark.parametrize("name", CASES)
def test_no_text_is_on_another_on_a_curve_or_outside(name: str) -> None:
    title = f"a rather long name of an amplifier, {name}, at 300.15 K, 46 kΩ and 200 fF at each output"
    figure = amplifier_plot(characterisation(CASES[name]), title)
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    assert len(boxes) > 20
    for k, (text, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, text
        for other, beside in boxes[:k]:
            assert not box.overlaps(beside), (text, other)
    for ax in figure.axes:
        for line in ax.lines[:2]:
            places = ax.transData.transform(line.get_xydata())
            fine = np.linspace(places[0, 0], places[-1, 0], 2000)
            height = np.interp(fine, places[:, 0], places[:, 1])
            for text, box in boxes:
                on = (fine >= box.x0) & (fine <= box.x1) & (height >= box.y0) & (height <= box.y1)
                assert not on.any(), text


def test_an_unstable_loop_has_its_negative_margin_written() -> None:
    measured = characterisation(CASES["hardly stable"])
    object.__setattr__(measured, "response", measured.response * np.exp(-1j * measured.frequency / 3e7))
    object.__setattr__(measured, "phase_margin", measured.phase_margin - math.degrees(measured.unity_gain / 3e7))
    assert measured.phase_margin < 0
    [written] = [text.get_text() for text in amplifier_plot(measured, "with a delay").axes[1].texts if text.get_text()]
    assert written == f"phase margin {measured.phase_margin:.1f}°"


def test_the_callers_matplotlib_is_left_alone() -> None:
    before = dict(matplotlib.rcParams)
    amplifier_plot(characterisation(CASES["usual"]), "$x_")
    assert dict(matplotlib.rcParams) == before
    script = "import sys, thermograd.report.figures.amplifier; print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert run.stdout.split() == ["False", "False"]
