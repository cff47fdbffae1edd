"""Write-and-verify: crosspoints measured through the device's own converters, and codes chosen by what was measured."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.passes.quantise import code_step
from thermograd.compiler.passes.slices import choose_codes
from thermograd.compiler.programming import CellTable, Programming
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.cell_measurement import measure_cells
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense

from ...systems import spd, true_card

INTEGRATED = preset("integrated")
QUIET = INTEGRATED.replace(
    dac=preset("ideal").dac.model_dump() | {"offset": 1e-3, "gain_error": 3e-3},
    adc=preset("ideal").adc.model_dump() | {"offset": 1e-3, "gain_error": 3e-3},
    thermal__johnson_noise=False,
    opamp__gain=500.0,
)
"""Converters that round nothing, with offsets and gains of their own; amplifiers of much leak."""
HALF_CODE = 0.5 / 255


def surrogate(technology=INTEGRATED, die=3, **options):
    return SurrogateDevice(true_card(technology), die=die, extrapolate=True, **options)


def true_factors(device, n):
    """What the parts say: crosspoint over nominal, over input resistor and gains of the converters. (n, n)"""
    nominal = lay_out(0.5 * np.eye(n) + 0.5, "crossbar", device.technology)
    parts = nominal.on(device.die).parts
    held = parts.coupling.mean(axis=0) / nominal.parts.coupling.mean(axis=0)
    deviates, technology = device.die.deviates, device.technology
    gains = [
        1 + getattr(technology, kind).gain_error * deviates(f"{kind}_gain", (1, 1))[0, 0] for kind in ("dac", "adc")
    ]
    return held / (parts.drive.mean(axis=0) / nominal.parts.drive_nominal * math.prod(gains))[:, None]


@pytest.mark.parametrize("n", [2, 5, 12])
def test_without_rounding_and_noise_the_law_gives_each_crosspoint(n):
    """Offsets of amplifiers, DAC and ADC, gains, leak and mismatch are all there. What is left is the load, known to the mismatch."""
    device = surrogate(QUIET)
    found = measure_cells(device, n, 2)
    np.testing.assert_allclose(found.factors[0], true_factors(device, n), rtol=2e-4)


def test_with_another_gain_the_law_does_not():
    """Negative control: an amplifier's gain taken for infinite shows in every diagonal factor as L / A0."""
    wrong = surrogate(QUIET)
    wrong.__class__ = type("Unknowing", (SurrogateDevice,), {"nominal_leak": 0.0})
    off = np.diag(measure_cells(wrong, 5, 2).factors[0]) / np.diag(true_factors(wrong, 5)) - 1
    code = 158 / 255
    np.testing.assert_allclose(off, (code + 1) / code / 500, rtol=0.05)


def test_each_crosspoint_is_known_to_better_than_half_a_code():
    """8-bit converters, their noise and the circuit's. The two measurements of a crosspoint tell how well."""
    device = surrogate()
    found = measure_cells(device, 12)
    error = found.factors[0] / true_factors(device, 12) - 1
    assert np.abs(error).max() < HALF_CODE
    common = error - error.mean()
    assert common.std() < HALF_CODE / 4
    assert 0.5 < found.repeatability / common[~np.eye(12, dtype=bool)].std() < 2


def test_fewer_levels_round_worse():
    device = surrogate()
    errors = [(measure_cells(device, 12, levels).factors[0] / true_factors(device, 12)).std() for levels in (1, 32)]
    assert errors[0] > 3 * errors[1]


def test_what_it_takes():
    n, levels = 7, 3
    device = surrogate()
    found = measure_cells(device, n, levels)
    # Blocks of 3 neighbours, and of every third cell: 3 of each kind.
    assert found.programmings == 6
    assert found.runs == 2 * n * 2 * levels
    assert found.conversions == 2 * n * found.runs
    assert found.seconds == pytest.approx(found.runs * 25 * 1e4 * 1e-11)
    assert found.bytes == 4 * n**2
    # Every crosspoint of either kind of block is written and taken away again, but at first and in the last block.
    assert n**2 < found.codes < 4 * n**2


def test_measuring_leaves_the_device_as_it_was():
    system, b = Dense(torch.from_numpy(spd(5, 10.0, 1))), torch.ones(5, dtype=torch.float64)
    plain, measured = surrogate(), surrogate()
    for device in (plain, measured):
        device.solve(system, b, 10.0)
    measure_cells(measured, 5, 1)
    assert torch.equal(plain.evolve(1.0).x, measured.evolve(1.0).x)


class Blind:
    """A board that shows nothing but voltages."""

    def __init__(self, board):
        self.relax, self.takes_rows, self.kept = board.relax, board.takes_rows, board.kept


def test_it_sees_voltages_alone(monkeypatch):
    device = surrogate()
    seen = measure_cells(device, 4, 2).factors
    whole = device.board_of
    monkeypatch.setattr(device, "board_of", lambda *given: Blind(whole(*given)))
    np.testing.assert_array_equal(measure_cells(device, 4, 2).factors, seen)


def table(factors):
    return CellTable(np.asarray(factors, dtype=np.float32)[None], 0.0, 0, 0.0, 0, 0, 0)


def test_codes_are_the_nearest_for_what_each_crosspoint_holds():
    n, technology = 9, preset("ideal").replace(resistors__bits=6)
    factors = np.exp(0.1 * np.random.default_rng(0).standard_normal((n, n))).astype(np.float32)
    A = spd(n, 20.0, 1)
    program = lay_out(A, "crossbar", technology, 0.0, table(factors))
    codes = program.parts.coupling[0] / code_step(technology.resistors)
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-9)
    # The crosspoint that would ask for most has the largest code.
    assert np.round(codes).max() == 63
    held = program.parts.polarity * program.parts.coupling[0] * factors
    wanted = program.conductance_unit * A
    assert (np.abs(held - wanted) <= (0.5 + 1e-6) * code_step(technology.resistors) * factors).all()
    assert np.abs(held - wanted).max() > 0.4 * code_step(technology.resistors)
    np.testing.assert_array_equal(program.parts.coupling[0], program.parts.coupling[1])


def test_a_table_of_ones_changes_nothing():
    A = spd(6, 20.0, 2)
    plain, same = (lay_out(A, "crossbar", INTEGRATED, 0.0, cells) for cells in (None, table(np.ones((8, 8)))))
    np.testing.assert_array_equal(plain.parts.coupling, same.parts.coupling)
    assert plain.conductance_unit == pytest.approx(same.conductance_unit)


def test_continuous_conductances_are_matched_exactly():
    wanted = np.array([[1.0, -0.5], [0.25, 0.0]])
    factors = np.array([[[0.9, 1.1], [1.2, 1.0]]])
    [found] = choose_codes(wanted, preset("ideal").resistors, factors)
    np.testing.assert_allclose(found * factors[0], wanted)


def entry_error(device, A):
    """Rms error of the programmed matrix over its largest entry, but for a common factor, which a reading's scale is."""
    device.solve(Dense(torch.from_numpy(A)), torch.ones(len(A), dtype=torch.float64), 1.0)
    realised = device.program.matrix
    realised = realised * (A * realised).sum() / (realised * realised).sum()
    return float(np.sqrt(np.mean((realised - A) ** 2)))


def test_verified_matrices_and_those_of_another_dies_table():
    """Negative control: with a table of another die the errors of both add up, which is worse than no table."""
    technology = INTEGRATED.replace(opamp__gain=1e5, resistors__bits=10)
    n = 10
    tables = {die: measure_cells(surrogate(technology, die), n, 16) for die in (1, 2)}
    errors = {}
    for name, cells in (("none", None), ("own", tables[1]), ("other", tables[2])):
        device = surrogate(technology, 1, programming=Programming(cells=cells))
        errors[name] = np.mean([entry_error(device, spd(n, 30.0, seed) + np.full((n, n), 0.5)) for seed in range(3)])
    # One mismatch of two resistors' mean, and that of the drive; another die's adds as much again.
    assert errors["own"] < errors["none"] / 3
    assert errors["other"] > 1.2 * errors["none"]


def test_refined_readings_converge_where_they_did_not():
    n, die = 16, 1
    A = spd(n, 300.0, 2)
    d = 1 / np.sqrt(np.diag(A))
    system = Dense(torch.from_numpy(A * np.outer(d, d)), floor=float(np.linalg.eigvalsh(A * np.outer(d, d))[0]) * 0.999)
    b = torch.from_numpy(np.random.default_rng(2).standard_normal(n))
    cells = measure_cells(surrogate(die=die), n, 16)
    bare, verified = (
        Refined(surrogate(die=die, programming=programming), tolerance=1e-3).solve(system, b, 8 / system.floor)
        for programming in (None, Programming(cells=cells))
    )
    assert bare.outcome is not Outcome.OK
    assert verified.outcome is Outcome.OK


@pytest.mark.slow
def test_ngspice_is_measured_the_same():
    """The circuit itself, rails of unequal parts and noise included: what its parts are to half a code, and what the surrogate reads."""
    device = SpiceDevice(INTEGRATED, die=3, fabric="crossbar")
    found = measure_cells(device, 3, 12)
    error = found.factors[0] / true_factors(device, 3) - 1
    assert np.abs(error).max() < HALF_CODE
    assert np.abs(found.factors / measure_cells(surrogate(), 3, 12).factors - 1).max() < HALF_CODE


def test_a_drive_beyond_the_range_is_lowered():
    """Amplifiers' offsets add up in a receiver, with the number of senders that load it."""
    usual = measure_cells(surrogate(), 12, 4)
    device = surrogate(INTEGRATED.replace(opamp__offset=0.02))
    found = measure_cells(device, 12, 4)
    assert found.runs > usual.runs
    assert np.abs(found.factors[0] / true_factors(device, 12) - 1).max() < 4 * HALF_CODE


def test_bad_arguments_raise():
    with pytest.raises(InputError, match="fabric 'auto'"):
        measure_cells(SpiceDevice(INTEGRATED), 4)
    with pytest.raises(InputError, match="size is 1"):
        measure_cells(surrogate(), 1)
    with pytest.raises(InputError, match="levels is 0"):
        measure_cells(surrogate(), 4, 0)
    with pytest.raises(InputError, match="deviate too far"):
        measure_cells(surrogate(INTEGRATED.replace(opamp__offset=0.1)), 12, 1)
    with pytest.raises(InputError, match="cells is a"):
        Programming(cells=np.ones((1, 2, 2)))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"factors\[0, 1, 1\] is 0"):
        table([[1.0, 1.0], [1.0, 0.0]])
    with pytest.raises(InputError, match="shape"):
        dataclasses.replace(table(np.ones((2, 2))), factors=np.ones((2, 2)))
    with pytest.raises(InputError, match="measured for 2 unknowns, the system has 3"):
        lay_out(np.eye(3), "crossbar", INTEGRATED, 0.0, table(np.ones((2, 2))))
    with pytest.raises(InputError, match="fabric='crossbar'"):
        lay_out(np.eye(3), "dual_rail", INTEGRATED, 0.0, table(np.ones((3, 3))))


def test_the_second_slice_holds_what_the_measured_first_one_lacks():
    """Both driven by one table: with it the second slice takes the entries' errors down, without it nothing."""
    technology = INTEGRATED.replace(opamp__gain=1e5, resistors__bits=6)
    n, errors = 8, {}
    for slices in (1, 2):
        sliced = technology.replace(resistors__slices=slices)
        tables = {"none": None, "own": measure_cells(surrogate(sliced, 1), n)}
        for name, cells in tables.items():
            device = surrogate(sliced, 1, programming=Programming(cells=cells))
            errors[slices, name] = np.mean([entry_error(device, spd(n, 30.0, seed)) for seed in range(3)])
    assert errors[2, "none"] > errors[1, "none"] / 2
    assert errors[2, "own"] < errors[1, "own"] / 5
