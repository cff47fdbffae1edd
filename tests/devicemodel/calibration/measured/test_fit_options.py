"""Progress, values at their bounds and inflated errors of a fit, on one RC node drawn from its closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.devicemodel.calibration.measured.calibrate import calibrate_from_measurements, check_measurements
from thermograd.devicemodel.calibration.measured.measurements import Measurements
from thermograd.devicemodel.calibration.measured.predicted_rows import netlist_at, predicted_rows, row_errors
from thermograd.devicemodel.calibration.measured.result import CircuitCalibration, Prior, Verdict

TAU, STATED = 1e-4, 1e-3


def board(leak=1e9):
    circuit = Netlist("RC", temperature=300.0)
    circuit.add(
        VoltageSource("V1", "in", "0", 1.0), Resistor("R1", "in", "a", 1e3), Capacitor("C1", "a", "0", 8e-8, 0.0)
    )
    circuit.add(Resistor("RL", "a", "0", leak))
    return circuit


def step(scatter=1.0, seed=0):
    """1 - exp(-t / tau), with errors `scatter` times those stated."""
    times = np.linspace(1e-5, 5e-4, 40)
    noise = scatter * STATED * np.random.default_rng(seed).standard_normal(len(times))
    return Measurements.of("trace", time_s=times, node="a", volts=1 - np.exp(-times / TAU) + noise, std_v=STATED)


def test_inflated_errors_scale_with_the_scatter_and_the_verdict_stays_honest(tmp_path):
    table = step(scatter=5.0)
    stated, inflated = (
        calibrate_from_measurements(board(), ["C1"], [table], starts=0, errors=errors)
        for errors in ("stated", "inflated")
    )
    assert stated.inflation == 1.0
    # The scatter of 39 degrees of freedom is known to 1 / sqrt(2 * 39) = 11 %.
    assert inflated.inflation == pytest.approx(5.0, rel=0.35) == inflated.fit.scatter
    assert inflated["C1"].std == pytest.approx(inflated.inflation * stated["C1"].std, rel=1e-6)
    assert inflated["C1"].value == stated["C1"].value
    assert inflated.verdict is stated.verdict is Verdict.MISFIT
    assert abs(inflated["C1"].value - TAU / 1e3) < 4 * inflated["C1"].std
    inflated.write(tmp_path / "card.json")
    assert CircuitCalibration.read(tmp_path / "card.json") == inflated
    assert "inflated by" in dict(inflated.summary())["errors"]


def test_honest_errors_are_not_shrunk_and_priors_are_not_scaled():
    quiet = calibrate_from_measurements(board(), ["C1"], [step(scatter=0.2)], starts=0, errors="inflated")
    assert quiet.inflation == 1.0
    prior = {"C1": Prior(value=1e-7, std=1e-12)}  # so strong that it alone is the error
    held = calibrate_from_measurements(board(), ["C1"], [step(scatter=5.0)], priors=prior, starts=0, errors="inflated")
    assert held.inflation > 3.0
    assert held["C1"].std == pytest.approx(1e-12, rel=1e-3)


def test_a_value_that_runs_away_is_flagged_and_others_are_not():
    card = calibrate_from_measurements(board(leak=1e4), ["C1", "RL"], [step()], starts=0)
    assert card["RL"].at_bound
    assert card["RL"].std is None
    assert not card["C1"].at_bound
    assert "at its bound, 1000 times its start" in str(card["RL"])
    assert card.verdict is Verdict.UNIDENTIFIABLE


def test_progress_rises_to_its_end_and_changes_nothing():
    seen = []
    card = calibrate_from_measurements(
        board(), ["C1"], [step()], starts=1, progress=lambda done, total: seen.append((done, total))
    )
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len({total for _, total in seen}) == 1
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1]
    assert card == calibrate_from_measurements(board(), ["C1"], [step()], starts=1)


def test_another_kind_of_errors_raises():
    with pytest.raises(InputError, match="'stated' or 'inflated'"):
        calibrate_from_measurements(board(), ["C1"], [step()], errors="scaled")


def test_rows_are_predicted_in_their_own_units():
    circuit = netlist_at(board(leak=1e12), {"C1": 1e-7})
    table = step()
    times = table.columns["time_s"]
    assert np.allclose(predicted_rows(circuit, table), 1 - np.exp(-times / TAU), atol=1e-6)
    assert np.array_equal(row_errors(circuit, table), np.full(len(times), STATED))
    frequency = np.array([3e3, 1e2])
    spectrum = Measurements.of("spectrum", frequency_hz=frequency, node="a", density_v2_per_hz=1e-17, averages=100)
    law = 4 * 1.380649e-23 * 300 * 1e3 / (1 + (2 * math.pi * frequency * TAU) ** 2)
    assert predicted_rows(circuit, spectrum) == pytest.approx(law, rel=1e-6)
    assert row_errors(circuit, spectrum) == pytest.approx(law / 10, rel=1e-6)


def test_later_data_are_checked_with_the_inflated_errors_of_the_values():
    card = calibrate_from_measurements(board(), ["C1"], [step(scatter=5.0)], starts=0, errors="inflated")
    assert check_measurements(card, board(), [step(seed=3)]).p_value > 1e-3
