"""Write-and-verify of cells whose errors are partly fixed and partly drawn anew: the table has the fixed part, and says how well."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import lay_out
from thermograd.compiler.programming import CellTable, Programming
from thermograd.devicemodel.devices.cell_measurement import measure_cells
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

from ...systems import spd, true_card

N = 9
QUIET = preset("ideal").replace(resistors__bits=10, resistors__tolerance=0.01)
FIXED = QUIET.replace(resistors__range_error=0.03)
WRITTEN = QUIET.replace(resistors__write_noise=0.02)


def device_of(technology: Technology, programming: Programming | None = None) -> SurrogateDevice:
    return SurrogateDevice(true_card(technology), 3, extrapolate=True, programming=programming)


def held(device: SurrogateDevice, share: float) -> np.ndarray:
    """What the parts hold at that share of the largest conductance, over that and in units of the row's input resistor, (n, n)."""
    nominal = lay_out((1 - share) * np.eye(N) + share, "crossbar", device.technology.replace(resistors__bits=16))
    parts = nominal.parts.with_entries([np.full((N, N), share / device.technology.resistors.unit)])
    found = dataclasses.replace(nominal, technology=device.technology, parts=parts).on(device.die).parts
    row = found.drive.mean(axis=0) * device.technology.resistors.unit
    return found.coupling.mean(axis=0) * device.technology.resistors.unit / row[:, None]


def error_of(device: SurrogateDevice) -> float:
    """Relative rms error of a solution, over several systems."""
    squares = []
    for seed in range(12):
        a, b = spd(N, 5.0, seed), np.random.default_rng(seed).standard_normal(N)
        exact = np.linalg.solve(a, b)
        found = device.solve(
            Dense(torch.from_numpy(a)), torch.from_numpy(b), math.inf, x0=torch.zeros(N, dtype=torch.float64)
        )
        squares.append(float(((found.x.numpy() - exact) ** 2).sum() / (exact**2).sum()))
    return math.sqrt(np.mean(squares))


def test_a_line_through_two_codes_is_the_law_of_a_fixed_error() -> None:
    device = device_of(FIXED)
    table = measure_cells(device, N, 2)
    assert table.offsets is not None
    for share in (0.2, 0.9):
        predicted = share * table.factors[0] + table.offsets[0]
        np.testing.assert_allclose(predicted, held(device, share), atol=2e-4)
        # Negative control: a factor alone, as it was at the code that is measured.
        code = round(0.618 * 1023) / 1023
        alone = share / code * (code * table.factors[0] + table.offsets[0])
        assert np.abs(alone - held(device, share)).max() > 0.02
    assert measure_cells(device_of(QUIET), N, 2).offsets is None


def test_verified_codes_take_out_a_fixed_error() -> None:
    table = measure_cells(device_of(FIXED), N, 2)
    bare, verified = (error_of(device_of(FIXED, Programming(cells=one))) for one in (None, table))
    assert bare > 0.05
    # What is left: entries so small that a cell of positive error holds more at its least code, or nothing at all.
    assert verified < bare / 5
    blind = CellTable(table.factors, 0.0, 0, 0.0, 0, 0, 0)
    assert error_of(device_of(FIXED, Programming(cells=blind))) > bare / 2, "negative control: without the offsets"


def test_what_is_drawn_anew_is_averaged_and_not_known_beforehand() -> None:
    errors, plain = [], device_of(WRITTEN)
    code = round(0.618 * 1023) / 1023
    for count in (1, 16):
        table = measure_cells(plain, N, 2, programmings=count)
        off = (table.factors[0] - held(plain, code) / code)[~np.eye(N, dtype=bool)]
        errors.append(float(np.sqrt(np.mean(off**2))))
        # What the table says of itself.
        assert table.repeatability == pytest.approx(errors[-1], rel=0.3)
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.3)
    assert plain.programmings == 0, "test matrices count by themselves"
    # With the fixed part known the write noise of the chosen codes is left, all of it.
    verified, noise_alone = (
        error_of(device_of(technology, Programming(cells=cells)))
        for technology, cells in ((WRITTEN, table), (WRITTEN.replace(resistors__tolerance=0.0), None))
    )
    assert verified == pytest.approx(noise_alone, rel=0.25)


def test_read_noise_is_averaged_over_runs() -> None:
    table = measure_cells(device_of(QUIET.replace(resistors__read_noise=0.02)), 4, 8)
    assert 1e-4 < table.repeatability < 0.02


def test_bad_tables_and_counts_are_named() -> None:
    with pytest.raises(InputError, match="programmings is 0: give an integer >= 1"):
        measure_cells(device_of(QUIET), N, 2, programmings=0)
    ones = np.ones((1, 2, 2), dtype=np.float32)
    with pytest.raises(InputError, match="offsets must be a numpy array of the shape of factors"):
        CellTable(ones, 0.0, 0, 0.0, 0, 0, 0, offsets=np.ones(3))
    with pytest.raises(InputError, match=r"offsets\[0, 1, 0\] is nan"):
        CellTable(ones, 0.0, 0, 0.0, 0, 0, 0, offsets=np.array([[[0.0, 0.0], [np.nan, 0.0]]]))
