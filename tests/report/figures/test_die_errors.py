"""The picture of errors over dies says what the report counts."""

import numpy as np
import pytest

from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.describe import describe
from thermograd.compiler.compile import compile_matrix
from thermograd.report.figures.die_errors import KINDS, die_errors_plot

from ...systems import passive, spd


@pytest.mark.parametrize("fabric", ["crossbar", "dual_rail"])
def test_curves_end_at_the_share_of_stable_dies(fabric: str) -> None:
    matrix = passive(4, 0.3, 1) if fabric == "dual_rail" else spd(4, 2e3, 2)
    technology = preset("breadboard" if fabric == "dual_rail" else "integrated")
    report = describe(compile_matrix(matrix, fabric, technology), dies=200)
    ax = die_errors_plot(report).axes[0]
    curves = {line.get_label(): np.array(line.get_data()) for line in ax.get_lines() if line.get_label()[0] != "_"}
    # A passive network has no offsets.
    names = [name for name, _ in KINDS if name != "offsets" or fabric == "crossbar"]
    assert list(curves) == names
    for x, share in curves.values():
        assert share[-1] == pytest.approx(100 * report.dies.share)
        assert (np.diff(x) >= 0).all()
    median = np.interp(share[-1] / 2, *curves["all errors"][::-1])
    assert median == pytest.approx(report.dies.total.median, rel=0.2)
    assert (report.dies.share < 1) == (fabric == "crossbar")
    assert f"{100 * report.dies.share:.3g} % stable" in [text.get_text() for text in ax.texts]
