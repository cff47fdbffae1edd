"""benchmarks/devicemodel/laboratory/boards.py: a slice of its table, and errors stated too small as negative control."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "devicemodel" / "laboratory" / "boards.py"
BOARDS = 3


@pytest.fixture(scope="module")
def laboratory():
    spec = importlib.util.spec_from_file_location("synthetic_laboratory", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def combined(laboratory, factor):
    """Fisher's combination of the boards' probabilities."""
    joint = [laboratory.measure(2, seed, factor).joint for seed in range(BOARDS)]
    return float(chi2.sf(-2 * np.sum(np.log(joint)), 2 * BOARDS))


def test_joint_regions_hold_the_boards_own_values(laboratory):
    assert combined(laboratory, 1.0) > 1e-3


def test_errors_that_are_stated_too_small_are_rejected(laboratory):
    assert combined(laboratory, 3.0) < 1e-6


def test_the_laboratory_obeys_equipartition(laboratory):
    """Its spectra integrate to the covariance that it draws from by another law: kT / C."""
    board = laboratory.Board.nominal(2).made(np.random.default_rng(1))
    frequency = np.concatenate([[0.0], np.geomspace(1e-1, 1e9, 20001)])
    density = np.array([board.density(one) for one in frequency])
    found = np.trapezoid(density, frequency, axis=0)
    expected = np.diag(laboratory.BOLTZMANN * laboratory.KELVIN / board.capacitor)
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())
