"""Words and pictures of a laboratory report."""

from __future__ import annotations

import numpy as np

from thermograd.circuits.spice.read import parse_spice
from thermograd.devicemodel.calibration.identifiability import Unidentifiable
from thermograd.devicemodel.calibration.measured.calibrate import calibrate_from_measurements
from thermograd.devicemodel.calibration.measured.measurements import Measurements
from thermograd.report.laboratory.facts import facts_of, in_words
from thermograd.report.laboratory.figures import table_plot, values_plot
from thermograd.report.laboratory.page import value_rows, write_report

CIRCUIT = "divider\nV1 in 0 DC 1\nR1 in a 1k\nR2 a 0 3k\nC1 a 0 10n IC=0\n.end\n"


def test_pairs_are_said_in_words():
    def group(*identified):
        return Unidentifiable(values=("R1", "R23"), identified_as=identified, std=None)

    assert in_words(group("R1/R23")) == "R1 and R23: only as their ratio (R1/R23)"
    assert in_words(group("R1*R23")) == "R1 and R23: only as their product (R1*R23)"
    assert in_words(group()) == "R1 and R23: not identified by the data"
    assert in_words(group("R1*R23^2")) == "R1 and R23: only as R1*R23^2"


def test_a_report_names_what_a_settled_voltage_identifies(tmp_path):
    circuit = parse_spice(CIRCUIT)
    times = np.linspace(1e-3, 2e-3, 6)
    table = Measurements.of("trace", "settled <b>", time_s=times, node="a", volts=0.75, std_v=1e-3)
    card = calibrate_from_measurements(circuit, ["R1", "R2"], [table], starts=0)
    facts = facts_of(card, circuit, [table], [table], title="a & b", command="lab", suspicions=["volts: in mV?"])
    assert any("only as their ratio" in line for line in facts["unidentifiable"])
    series = facts["tables"][0]["series"][0]
    assert np.abs(series["residual"]).max() < 1e-3
    assert np.allclose(series["fit"], 0.75)
    assert value_rows(facts)[0][-1] == "not identified"
    page = write_report(facts, tmp_path / "lab")[0].read_text(encoding="utf-8")
    assert "settled &lt;b&gt;" in page
    assert "volts: in mV?" in page
    assert len(table_plot(facts["tables"][0]).axes) == 2
    assert values_plot(facts).axes[0].get_yticklabels()[0].get_text() == "R1"
