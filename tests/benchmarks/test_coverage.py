"""benchmarks/devicemodel/coverage.py: a slice of its tables, few seeds and small systems, and the errors of before as negative control."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from thermograd.circuits.technology.presets import preset
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.devicemodel.calibration.cases import make_cases
from thermograd.devicemodel.calibration.fit_runs import fit_runs
from thermograd.devicemodel.calibration.fitting import parameters_of
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.systems import Dense

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "devicemodel" / "coverage.py"
SEEDS = 8


@pytest.fixture(scope="module")
def coverage():
    """The script; its name is that of an installed package."""
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", PATH)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    yield spec.loader.exec_module(module) or module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def runs():
    """Fitting runs of each seed, in ngspice once."""
    technology, found = preset("integrated"), []
    for seed in range(SEEDS):
        dies = [1000 * (seed + 1) + k for k in range(3)]
        cases, _ = make_cases("crossbar", technology, seed, (), (4, 6), dies, (1,))
        devices = []
        for case in cases:
            device = SpiceDevice(technology, case.die, "crossbar", johnson_noise=False)
            device.solve(Dense(torch.from_numpy(case.matrix)), torch.from_numpy(case.b), case.duration)
            devices.append(device)
        found.append((cases, devices))
    return found


def within(coverage, runs):
    """Of the fitted parameters, the seeds whose interval holds the true value, (levels, parameters)."""
    technology = preset("integrated")
    truth, names = coverage.true_figures(technology), parameters_of(fabric_named("crossbar"))
    start = DeviceCard.uncalibrated(technology, "crossbar").replace(**{name: truth[name] for name in names})
    hits = np.zeros((len(coverage.LEVELS), len(names)))
    for seed, (cases, devices) in enumerate(runs):
        estimates, _ = fit_runs(start, coverage.fit_runs.observed(cases, devices, seed), linear=True)
        for place, level in enumerate(coverage.LEVELS):
            spans = [estimates[name].interval(level) for name in names]
            hits[place] += [low <= truth[name] <= high for (low, high), name in zip(spans, names, strict=True)]
    return hits


@pytest.mark.long
def test_intervals_of_a_calibration_hold_the_true_values(coverage, runs):
    for level, found in zip(coverage.LEVELS, within(coverage, runs), strict=True):
        low, high = coverage.limits(level, SEEDS)
        assert np.all((found >= low) & (found <= high)), (level, found)
        # Together: 48 intervals, of which those of one seed may have causes in common.
        assert abs(found.mean() / SEEDS - level) < 4 * np.sqrt(level * (1 - level) / (3 * SEEDS))
    with coverage.textbook_errors():
        assert within(coverage, runs)[1].mean() < 0.75 * SEEDS


def test_intervals_of_measured_values_hold_the_true_ones(coverage):
    table = coverage.measured(range(SEEDS))
    for row in table.values():
        for level, found in zip(coverage.LEVELS, row.within, strict=True):
            low, high = coverage.limits(level, SEEDS)
            assert low <= found <= high
        # Errors half as large would have twice that.
        assert row.pull < 2.0


def test_a_count_is_of_the_intervals_that_hold_the_truth(coverage):
    table = coverage.counts({"a": 1.0}, {"a": [([True, True], 0.1, 0.1), ([False, True], 0.2, -0.6)]})
    assert table["a"] == (1.0, (1, 2), pytest.approx(0.15), pytest.approx(np.sqrt(5.0)), 2)
    # A binomial table: 40 of probability 0.95.
    assert coverage.limits(0.95, 40) == (34, 40)
