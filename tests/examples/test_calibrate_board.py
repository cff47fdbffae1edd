"""The board's calibration from its published measurements, and that its words are true."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from thermograd.circuits.linear.noise_spectra import noise_spectrum
from thermograd.devicemodel.calibration.measured.measurements import read_measurements
from thermograd.devicemodel.calibration.measured.result import CircuitCalibration, Verdict

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("calibrate_board", ROOT / "examples" / "calibrate_board.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def data_folder() -> Path:
    """Where breadboard/ is, or the reason to skip."""
    for folder in (Path(os.environ.get("THERMOGRAD_DATA", "")), ROOT.parent / "shared" / "data"):
        if (folder / "breadboard" / "components.csv").is_file():
            return folder
    pytest.skip("the board's measurements are not here: no breadboard/ in ../shared/data or in THERMOGRAD_DATA")


@pytest.fixture(scope="module")
def calibrated(example, tmp_path_factory):
    """A, C and D, without further searches, with files and picture."""
    out = tmp_path_factory.mktemp("board")
    example.STARTS.update(dict.fromkeys("ABCD", 0))
    arguments = ["--data", str(data_folder()), "--only", "A", "--only", "C", "--only", "D"]
    return example.main([*arguments, "--write", str(out), "--plot", str(out / "lab.png")]), out


@pytest.mark.slow
def test_the_netlist_as_drawn_fits_one_spectrum_and_is_contradicted_by_the_correlations(calibrated):
    card = calibrated[0]["cards"]["A"]
    assert card.fit.p_value > 0.05
    assert card.verdict is Verdict.CONTRADICTED
    assert card["R3"].value < 0.2 * calibrated[0]["meter"]["R3"]


@pytest.mark.slow
def test_with_noise_after_the_network_each_value_is_near_the_multimeters(calibrated):
    figures, _ = calibrated
    card, meter = figures["cards"]["C"], figures["meter"]
    off = {name: (card[name].value - meter[name]) / card[name].std for name in ("R3", "C1", "C2")}
    assert abs(off["R3"]) < 1
    assert abs(off["C1"]) < 2
    assert abs(off["C2"]) < 3
    assert card["R3"].std < 0.2 * card["R3"].value
    assert card.fit.p_value > 0.01
    assert card.held_out.p_value > 0.01
    assert card.verdict is Verdict.OK


@pytest.mark.slow
def test_the_multimeters_values_are_not_possible_together(calibrated):
    """The negative control of the agreement one by one: the likelihood falls by far more than three normal values would let it."""
    cards = calibrated[0]["cards"]
    assert cards["D"].verdict is Verdict.MISFIT
    assert cards["D"].fit.chi_squared - cards["C"].fit.chi_squared > 30
    # R3 and C1 depend on each other, which the separate errors do not show.
    assert cards["C"].correlation[0, 1] < -0.9


@pytest.mark.slow
def test_what_is_written_can_be_read(calibrated):
    figures, out = calibrated
    assert read_measurements(out / "spectrum.csv").content == figures["spectrum"].content
    assert read_measurements(out / "correlation.csv").content == figures["correlation"].content
    assert CircuitCalibration.read(out / "calibration_C.json") == figures["cards"]["C"]
    assert (out / "lab.png").read_bytes().startswith(b"\x89PNG")


def test_model_is_the_boards_law_plus_what_is_read_after_it(example):
    """Unit gains and no noise after the network give the other example's law; noise adds to it, in common to both channels or not."""
    parts = {"R1": 4.7e3, "R2": 4.7e3, "R3": 6.8e3, "R4": 1e4, "C1": 22e-9, "C2": 22e-9, "R11": 1e4, "R12": 1e4}
    frequencies = np.array([300.0, 3e3, 3e4])
    exact = 2 * example.BOARD.spectrum(example.BOARD.law(example.BOARD.board(parts)), frequencies)

    def seen(**more):
        return noise_spectrum(example.model(parts, parts | more), ["m1", "m2"], frequencies).density

    np.testing.assert_allclose(seen(), exact, rtol=1e-9)
    noisy = exact + 4e-14 * np.eye(2) + 9e-14
    np.testing.assert_allclose(seen(own_noise=2e-7, common_noise=3e-7), noisy, rtol=1e-9)


def test_missing_data_is_named(example, capsys, monkeypatch):
    monkeypatch.delenv("THERMOGRAD_DATA", raising=False)
    with pytest.raises(SystemExit):
        example.main([])
    assert "--data FOLDER" in capsys.readouterr().err
