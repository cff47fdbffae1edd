"""The examples run, and the figures that they print obey the laws that they quote."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ..processes import needs_process

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    """An example as a module, by its path: the folder is no package."""
    specification = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look there for what annotations mean
    specification.loader.exec_module(module)
    return module


def data_folder() -> Path:
    """Where breadboard/ is, or the reason to skip."""
    candidates = [Path(os.environ["THERMOGRAD_DATA"])] if os.environ.get("THERMOGRAD_DATA") else []
    candidates.append(ROOT.parent / "shared" / "data")
    for folder in candidates:
        if (folder / "breadboard" / "components.csv").is_file():
            return folder
    pytest.skip("the board's measurements are not here: no breadboard/ in ../shared/data or in THERMOGRAD_DATA")


@pytest.fixture(scope="module")
def spu():
    return load("eight_cell_spu")


@pytest.fixture(scope="module")
def inverted(spu, tmp_path_factory):
    """One short run of the first example, with its picture."""
    picture = tmp_path_factory.mktemp("spu") / "made" / "spu.png"
    return spu.main(["--runs", "12", "--steps", "8000", "--seed", "3", "--plot", str(picture)]), picture


@pytest.mark.slow
def test_exact_covariance_is_the_inverse(inverted):
    figures, _ = inverted
    assert figures["exact_error"] < 1e-9


@pytest.mark.slow
def test_noise_gives_the_inverse_with_the_error_that_the_law_expects(inverted):
    """The squared error over its expectation is a weighted mean of squares of standard normals, one for each of the 36 entries but
    correlated by the cells' common mode. Taken as 8 free ones, its standard deviation is 1/2, and sqrt(12) less for the mean
    of twelve runs."""
    figures, _ = inverted
    assert figures["bias"] < 0.02
    runs = (figures["single_errors"][:, -3:] ** 2).mean(axis=0) / figures["single_expected"][-3:] ** 2
    assert np.all(np.abs(runs - 1) < 4 * 0.5 / np.sqrt(12))
    for error, expected in (
        (figures["pooled_errors"][-1], figures["pooled_expected"][-1]),
        (figures["injected_error"], figures["injected_expected"]),
        (figures["device_error"], figures["device_bar"]),
    ):
        assert (error / expected) ** 2 < 1 + 4 * 0.5
    assert np.abs(figures["deviations"]).max() < 5
    # 1 / sqrt(time) over a factor of 60
    rms = np.sqrt((figures["single_errors"] ** 2).mean(axis=0))
    slope = np.polyfit(np.log(figures["times"]), np.log(rms), 1)[0]
    assert figures["times"][-1] > 60 * figures["times"][0]
    assert slope == pytest.approx(-0.5, abs=0.1)


@pytest.mark.slow
def test_other_laws_are_rejected(inverted):
    """Negative controls: uncoupled cells (1 / A_ii), and the inverse at a temperature 25 % off."""
    figures, _ = inverted
    matrix = np.linalg.inv(figures["inverse"])
    for wrong in (np.diag(1 / np.diag(matrix)), 1.25 * figures["inverse"]):
        assert np.abs((figures["estimate"] - wrong) / figures["standard_error"]).max() > 6


@pytest.mark.slow
def test_same_seed_same_figures(spu):
    one, again, other = (
        spu.main(["--runs", "2", "--steps", "8000", "--seed", seed])["estimate"] for seed in ("3", "3", "4")
    )
    np.testing.assert_array_equal(again, one)
    assert not np.array_equal(other, one)


@pytest.mark.slow
def test_picture_of_the_processing_unit(inverted):
    assert inverted[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [["--runs", "0"], ["--steps", "10"]])
def test_unusable_settings_are_rejected(spu, arguments, capsys):
    with pytest.raises(SystemExit):
        spu.main(arguments)
    assert "--runs needs at least 1 and --steps at least 2000" in capsys.readouterr().err


@pytest.fixture(scope="module")
def board():
    return load("two_node_board")


@pytest.fixture(scope="module")
def compared(board, tmp_path_factory):
    """One short run of the second example, with its picture."""
    folder, picture = data_folder(), tmp_path_factory.mktemp("board") / "board.png"
    return board.main(["--data", str(folder), "--records", "2", "--seed", "4", "--plot", str(picture)]), picture


@pytest.mark.slow
def test_three_ways_to_predict_the_board_agree(compared):
    figures, _ = compared
    for name, law in figures["law"].items():
        # The two percentages are small differences of large terms: 1e-4 of a percent in the terms.
        assert figures["noise"][name] == pytest.approx(law, rel=1e-4, abs=0.02 if name.endswith("_pct") else 0.0)
        assert abs(figures["transient"][name] - law) < 4 * figures["transient_error"][name]
    np.testing.assert_allclose(figures["rho_noise"], figures["rho_law"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(figures["psd_noise"], figures["psd_law"], rtol=1e-4)
    seen = np.isfinite(figures["eps_transient"])
    assert seen.sum() >= 2
    off = (figures["eps_transient"] - figures["eps_law"])[seen] / figures["eps_transient_error"][seen]
    assert np.abs(off).max() < 4.5


@pytest.mark.slow
def test_law_reproduces_the_authors_model(compared):
    """The board's own author left the amplifiers' poles out; so does this variant. His files have four digits."""
    figures, _ = compared
    np.testing.assert_allclose(figures["rho_no_poles"], figures["rho_author"], rtol=0, atol=1.5e-4)
    for name, tolerance in (("rho12", 2e-4), ("v1_over_v2", 5e-4)):
        assert figures["law_no_poles"][name] == pytest.approx(figures["author"][name], abs=tolerance)
    # Only the noise budget differs: one factor for the whole spectrum, between the two budgets of the example.
    ratio = figures["psd_law"] / figures["psd_author"]
    low = figures["frequency"] < 5e3
    assert np.ptp(ratio[low]) < 0.005
    assert np.all(
        (figures["psd_johnson_only"] < figures["psd_author"]) & (figures["psd_author"] < figures["psd_law"])[0]
    )


@pytest.mark.slow
def test_board_agrees_where_the_example_says_so_and_nowhere_else(compared):
    figures, _ = compared
    measured, law, error = figures["measured"], figures["law"], figures["measured_error"]
    for name, implied in figures["expected_error"].items():  # its own scatter is what its spectrum implies
        assert error[name] == pytest.approx(implied, rel=3 / np.sqrt(2 * 29))
    assert abs(measured["identity_offdiag_pct"] - law["identity_offdiag_pct"]) < 3 * error["identity_offdiag_pct"]
    assert abs(measured["rho12"] / law["rho12"] - 1) < 0.02
    off = (figures["rho_measured"] - figures["rho_law"]) / figures["rho_error"]
    assert np.all(np.abs(off[:2]) < 3)
    assert np.all(np.abs(off[2:]) > 5)
    assert figures["law_johnson_only"]["v1_mV"] < 0.8 * measured["v1_mV"] < law["v1_mV"]
    assert np.all(np.abs(figures["eps_measured"] - figures["eps_law"]) < 3 * figures["eps_error"])


def test_precision_law_is_the_textbook_one_for_a_single_pole(board):
    """sqrt(2 tau / T) without a coupling and with a band wide enough to hold all of the spectrum."""
    parts = {"R1": 4.7e3, "R2": 4.7e3, "R3": 1e12, "R4": 1e12, "C1": 22e-9, "C2": 22e-9, "R11": 1e4, "R12": 1e4}
    space = board.law(board.board(parts, poles=False))
    spread = board.sampling_covariance(space, 1e-2, 1e7, 0.02)[0, 0, 0, 0]
    variance = board.band_covariance(space, 1e-2, 1e7)[0, 0]
    assert np.sqrt(spread) / variance == pytest.approx(np.sqrt(2 * 4.7e3 * 22e-9 / 0.02), rel=1e-3)


@pytest.mark.slow
def test_picture_of_the_board(compared):
    assert compared[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("given", [[], ["--data", "nowhere/at/all"]])
def test_missing_data_is_named_with_both_ways_to_give_it(board, given, capsys, monkeypatch):
    monkeypatch.delenv("THERMOGRAD_DATA", raising=False)
    with pytest.raises(SystemExit) as exit:
        board.main(given)
    assert exit.value.code == 2
    message = capsys.readouterr().err
    assert "--data FOLDER" in message
    assert "THERMOGRAD_DATA" in message


@pytest.fixture(scope="module")
def transistors(tmp_path_factory):
    """The third example, with its picture."""
    picture = tmp_path_factory.mktemp("transistors") / "made" / "transistors.png"
    module = load("transistor_crossbar")
    return module, module.main(["--seed", "1", "--plot", str(picture)]), picture


def test_transistor_array_settles_where_its_amplifiers_figures_say(transistors):
    """The error that transistors make, 1e-3, is predicted to 1 % by the macromodel and to 10 % by gain and offset alone."""
    _, figures, picture = transistors
    error = float(np.linalg.norm(figures["errors"]["transistors"]))
    assert 5e-4 < error < 2e-3
    assert figures["missed"]["macromodel"] < 0.01
    assert figures["missed"]["one pole"] < 0.1
    assert figures["final"] == pytest.approx(error, rel=0.02)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_amplifiers_of_another_gain_are_told_apart(transistors):
    """Negative control: a macromodel of a gain 10 % higher misses more of the error than is allowed above."""
    module, figures, _ = transistors
    matrix, b = module.system(1)
    technology = module.Technology(
        name="x",
        resistors=module.Resistors(unit=module.UNIT_RESISTOR),
        capacitors=module.Capacitors(unit=module.UNIT_CAPACITOR),
        opamp=figures["loaded"].opamp,
    )
    program = module.compile_matrix(matrix, fabric="crossbar_single", technology=technology, b=b)
    other = figures["free"].opamp.model_copy(update={"gain": 1.1 * figures["free"].opamp.gain})
    found = module.settle(module.with_offset(program, figures["loaded"].offset), b, module.Macromodel(other))
    error = (found - figures["exact"]) / np.linalg.norm(figures["exact"])
    true = figures["errors"]["transistors"]
    assert np.linalg.norm(error - true) / np.linalg.norm(true) > 0.03


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_process(name)) for name in ("gf180mcu", "sky130")])
def test_a_foundrys_amplifier_has_the_sizes_that_its_script_finds(name):
    sized = load("amplifiers/size_amplifier")
    assert sized.main([name]) == (ROOT / "examples" / "amplifiers" / f"{name}.cir").read_text(encoding="utf-8")
