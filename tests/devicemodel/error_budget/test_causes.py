"""Causes of error: together they are all there are, and without them a device is ideal."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.records import Record
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.error_budget.budget import Problem, error_budget
from thermograd.devicemodel.error_budget.causes import (
    BANDWIDTH,
    CAUSES,
    CODES,
    DRIFT,
    LEAK,
    PROGRAMMING,
    SETTLING,
    WIRES,
)
from thermograd.devicemodel.error_budget.hardware import Hardware
from thermograd.devicemodel.estimate import RANGES
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense

from ...systems import m_matrix, spd

CONVERTER = ("full_scale", "noise", "max_gain", "leakage", "figure_of_merit", "rate", "count")
HARMLESS = {
    *(f"{part}__unit" for part in ("resistors", "capacitors", "inductors")),
    *("resistors__write_energy", "resistors__conductance_drift_time", "resistors__drive_ranges"),
    *(
        "opamp__outputs",
        "opamp__output_limit",
        "opamp__output_current",
        "opamp__power",
        "opamp__supply",
        "opamp__standby",
    ),
    *(f"dac__{name}" for name in (*CONVERTER, "bandwidth", "attenuations")),
    *(
        f"adc__{name}"
        for name in (*CONVERTER, "resistance", "capacitance", "attenuations", "attenuation_error")
        if name != "noise"
    ),
    # What only an amplifier's macromodel has.
    *(f"opamp__{name}" for name in ("slew", "output_resistance", "bias_current")),
    # Of noise that is a figure of a cause.
    *(f"opamp__{name}" for name in ("noise_voltage_corner", "noise_current_corner")),
    *(f"opamp__common_mode_{name}" for name in ("gain", "gbw", "offset")),
}
"""Figures that make no error of their own: units, ranges, energies, rates, and what devices do not have. (A technology rejects a DAC's
noise and an ADC's resistance.)"""
BY_TEMPERATURE = "thermal__"
"""The thermal figures act through temperature coefficients and Johnson noise."""
EVERYTHING = preset("integrated").replace(
    resistors__slices=2,
    resistors__die_to_die=0.02,
    resistors__gradient=0.02,
    resistors__conductance_drift=0.05,
    resistors__conductance_drift_spread=0.02,
    resistors__conductance_drift_time=1e-9,
    resistors__range_error=0.003,
    resistors__write_noise=0.003,
    resistors__relative_write_noise=0.003,
    resistors__read_noise=0.003,
    capacitors__die_to_die=0.02,
    capacitors__gradient=0.02,
    dac__inl=1e-3,
    dac__gain_mismatch=2e-3,
    adc__gain_mismatch=2e-3,
    dac__attenuations=4,
    dac__attenuation_error=2e-3,
    dac__dnl=0.2,
    dac__resistance=50.0,
    dac__capacitance=1e-14,
    adc__inl=1e-3,
    adc__dnl=0.2,
    thermal__to_hot=3e-3,
)
DURATION = 10.0


def problem(n: int = 6, condition: float = 20.0, seed: int = 0) -> Problem:
    b = np.random.default_rng(seed).standard_normal(n)
    return Problem(Dense(torch.from_numpy(spd(n, condition, seed))), torch.from_numpy(b))


def card_of(technology: Technology, gain: float = 1.0) -> DeviceCard:
    return DeviceCard.uncalibrated(technology).replace(gain=gain)


def error(hardware: Hardware, one: Problem, die: int | None) -> float:
    exact = torch.linalg.solve(one.system.dense(), one.b)
    found = hardware.device(die).solve(one.system, one.b, hardware.duration, x0=torch.zeros_like(one.b))
    return float((found.x - exact).norm() / exact.norm())


def test_every_figure_of_a_technology_and_a_card_belongs_to_a_cause_or_makes_no_error() -> None:
    figures = {
        f"{part}__{name}"
        for part, record in Technology()
        if isinstance(record, Record)
        for name in type(record).model_fields
        if part != "link" and name != "source"
    }
    removed = [name for cause in CAUSES for name in (*cause.common, *cause.technology)]
    assert len(removed) == len(set(removed)), "no figure belongs to two causes"
    left = {name for name in figures - set(removed) if not name.startswith(BY_TEMPERATURE)}
    assert left == HARMLESS
    parameters = [name for cause in CAUSES for name in cause.card]
    assert sorted(parameters) == sorted(name for name in RANGES if name != "noise_power"), "no noise has no power"


def test_without_all_causes_a_single_ended_array_is_ideal_to_rounding() -> None:
    """Its inverters, too, err by the causes that there are."""
    technology = EVERYTHING.replace(opamp__outputs=1, opamp__supply=1.0, resistors__slices=1)
    hardware = Hardware(DeviceCard.uncalibrated(technology), DURATION)
    assert hardware.device(3).fabric == "crossbar_single"
    found = hardware.causes()
    assert error(hardware, problem(), 3) > 0.03
    assert error(hardware.without(found), problem(), 3) < 1e-12


def test_without_all_causes_an_array_of_a_foundry_is_ideal_to_rounding() -> None:
    """The mismatch of its amplifiers' transistors is one of them."""
    hardware = Hardware(DeviceCard.uncalibrated(preset("gf180mcu")), DURATION)
    found = hardware.causes()
    assert error(hardware, problem(), 3) > 0.01
    assert error(hardware.without(found), problem(), 3) < 1e-12


@pytest.mark.parametrize("fabric", ["rc", "lc", "oscillator"])
def test_without_all_causes_passive_cells_and_oscillators_are_ideal_to_rounding(fabric: str) -> None:
    matrix, b = torch.from_numpy(m_matrix(3, 0)), torch.ones(3, dtype=torch.float64)
    one = Problem(Dense(matrix, floor=float(torch.linalg.eigvalsh(matrix)[0])), b)
    technology = EVERYTHING.replace(resistors__slices=1, inductors__die_to_die=0.02, inductors__gradient=0.02)
    hardware = Hardware(DeviceCard.uncalibrated(technology, fabric), DURATION)
    assert error(hardware, one, 3) > 1e-3
    assert error(hardware.without(hardware.causes()), one, 3) < 1e-12


@pytest.mark.parametrize("layout", [False, True])
def test_without_all_causes_a_surrogate_is_ideal_to_rounding(layout: bool) -> None:
    one = problem()
    hardware = Hardware(card_of(EVERYTHING, gain=1.03), DURATION, layout=layout)
    found = hardware.causes()
    assert set(CAUSES) - set(found) == (set() if layout else {WIRES})
    assert error(hardware, one, 3) > 0.03
    assert error(hardware.without(found), one, 3) < 1e-12
    for cause in found:
        # Each of them does something, so that none of the others' figures hides it.
        alone = hardware.without([other for other in found if other is not cause])
        # Programmable conductances have codes, if of 24 bits.
        assert set(alone.causes()) - ({CODES} if cause is PROGRAMMING else set()) == {cause}
        # Bandwidth changes the way to rest, and a first run comes before any drift.
        assert cause in (BANDWIDTH, DRIFT) or error(alone, one, 3) > 1e-10, cause.name


def test_with_all_causes_it_is_the_device_as_it_is() -> None:
    one, card = problem(), card_of(EVERYTHING)
    budget = error_budget(Hardware(card, DURATION, layout=True), [one], [5], seed=7)
    exact = torch.linalg.solve(one.system.dense(), one.b)
    bare, refined = (
        solver(SurrogateDevice(card, 5, 7, layout=True, extrapolate=True)).solve(one.system, one.b, DURATION)
        for solver in (lambda device: device, Refined)
    )
    assert budget.bare.total.item() == float((bare.x - exact).norm() / exact.norm())
    assert budget.refined.total.item() == float((refined.x - exact).norm() / exact.norm())


@pytest.mark.slow
def test_in_ngspice_without_all_causes_the_circuit_is_ideal_to_its_tolerance() -> None:
    one = problem(4, 5.0)
    technology = EVERYTHING.replace(
        resistors__conductance_drift=0.0,
        resistors__conductance_drift_spread=0.0,
        thermal__johnson_noise=False,
        adc__noise=0.0,
    )
    hardware = Hardware(technology, DURATION, fabric="crossbar")
    budget = error_budget(hardware, [one], [5], rounds=0, seed=7)
    exact = torch.linalg.solve(one.system.dense(), one.b)
    bare = SpiceDevice(technology, 5, "crossbar", seed=7).solve(one.system, one.b, DURATION)
    assert budget.bare.total.item() == float((bare.x - exact).norm() / exact.norm())
    assert budget.bare.ideal.item() < 1e-6
    surrogate = error_budget(Hardware(card_of(technology), DURATION), [one], [5], rounds=0, seed=7)
    kinds = {"mismatch", "codes", "offsets", "leak", "DAC", "temperature"}
    for mine, other in ((budget, surrogate), (surrogate, budget)):
        assert {cause.cause.name for cause in mine.bare.contributions} >= kinds
        by_name = {one.cause.name: one for one in other.bare.contributions}
        for found in mine.bare.contributions:
            if found.cause.name in kinds:
                np.testing.assert_allclose(found.alone, by_name[found.cause.name].alone, rtol=0.02, atol=1e-6)


def test_a_cause_is_taken_out_of_a_card_where_the_card_has_a_parameter_for_it() -> None:
    card, technology = card_of(EVERYTHING), EVERYTHING
    gone = Hardware(card, DURATION).without([LEAK, CODES, PROGRAMMING])
    assert isinstance(gone.made_of, DeviceCard)
    assert gone.made_of.leak.value == 0.0
    assert gone.technology.resistors.bits is None
    assert gone.technology.opamp.gain == technology.opamp.gain, "which the card does not heed"
    circuit = Hardware(technology, DURATION).without([LEAK, SETTLING])
    assert math.isinf(circuit.technology.opamp.gain)
    assert math.isinf(circuit.duration)


def test_bad_hardware_is_rejected() -> None:
    with pytest.raises(InputError, match="made_of is a str: give a DeviceCard or a Technology"):
        Hardware("integrated", 1.0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="fabric is 'rc', but the card is of 'crossbar'"):
        Hardware(card_of(EVERYTHING), 1.0, fabric="rc")
    one = problem()
    with pytest.raises(InputError, match="0 problems on 1 dies"):
        error_budget(Hardware(card_of(EVERYTHING), 1.0), [], [1])
    with pytest.raises(InputError, match=r"dies are \[1, 1\]: give each seed once"):
        error_budget(Hardware(card_of(EVERYTHING), 1.0), [one], [1, 1])
    with pytest.raises(InputError, match="b is zero"):
        error_budget(Hardware(card_of(EVERYTHING), 1.0), [one._replace(b=0 * one.b)], [1])
    with pytest.raises(InputError, match="the smallest eigenvalue is -1"):
        error_budget(
            Hardware(card_of(EVERYTHING), 1.0), [Problem(Dense(-torch.eye(2).double()), torch.ones(2).double())], [1]
        )
