"""A cascade as a device: ngspice, its surrogate and `CascadeDevice` on one die; refined, trained, calibrated; what it does not take."""

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.programming import Programming
from thermograd.devicemodel.calibration.cases import random_factors
from thermograd.devicemodel.calibration.fitting import Observation, fit_law
from thermograd.devicemodel.calibration.simulated import calibrate
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices import surrogate
from thermograd.devicemodel.devices.overload import overload
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense

from ...systems import low_rank

INTEGRATED = preset("integrated")
QUIET = INTEGRATED.replace(
    thermal__johnson_noise=False,
    opamp__second_pole=math.inf,
    dac=Converter(bits=None),
    adc=Converter(bits=None),
    resistors__tc1=0.0,
    resistors__tc2=0.0,
)
"""Without heat in the resistors, too, which CascadeDevice has not."""
SYSTEMS = [random_factors(6, 20.0, kind, np.random.default_rng(kind)) for kind in range(3)]
B = torch.from_numpy(np.random.default_rng(5).standard_normal(6))


def distances(technology, system, duration, die=3):
    """From ngspice's x: of the surrogate, of CascadeDevice, and of the surrogate of another die."""
    card = DeviceCard.uncalibrated(technology, "factored")
    x = SpiceDevice(technology, die, "factored").solve(system, B, duration).x
    others = SurrogateDevice(card, die), CascadeDevice(technology, die), SurrogateDevice(card, die + 1)
    return [float((device.solve(system, B, duration).x - x).norm() / x.norm()) for device in others]


@pytest.mark.parametrize("system", SYSTEMS, ids=["plain", "core", "kronecker"])
def test_three_models_of_one_die_agree(system):
    surrogate, cascade, other = distances(QUIET, system, math.inf)
    assert surrogate < 1e-6
    # Products of two rails' deviations, of 1 % each, and the condition.
    assert cascade < 1e-3
    assert other > 3 * cascade


def test_what_the_cascade_device_leaves_out_is_bandwidth():
    slow, fast = (distances(QUIET.replace(opamp__gbw=gbw), SYSTEMS[1], 1.0)[:2] for gbw in (2e8, 2e11))
    assert max(slow[0], fast[0]) < 2e-5
    assert slow[1] > 5e-3
    assert fast[1] < 0.02 * slow[1]


def test_a_stage_that_uses_its_range_is_seen():
    technology, wide = QUIET, low_rank(np.ones((1, 36)), None, 0.5)
    nominal = lay_out(wide, "factored", technology)
    program = nominal.on(Die(technology, 3)).at_scale(5.0)
    currents = program.currents(np.ones(36))
    volts = run(program.circuit(currents, np.zeros(36)), OperatingPoint()).voltages
    stage = abs(volts["u1p1"] - volts["u1m1"]) / technology.opamp.output_limit
    cells = program.cell_volts(volts)
    assert stage > 2 * np.abs(cells).max() / technology.opamp.output_limit
    used = overload(program, cells[None, None], currents[None])
    assert used is not None
    assert used[0] >= stage * (1 - 1e-2)


def test_a_macromodel_in_a_cascade_is_watched():
    device = SpiceDevice(INTEGRATED, 3, "factored", johnson_noise=False, amplifier=Macromodel(INTEGRATED.opamp))
    assert device.solve(SYSTEMS[0], B, 5.0).outcome is Outcome.OK
    assert 0 < device.probe.used <= 1


@pytest.mark.parametrize(
    ("device", "system", "message"),
    [
        (lambda: SpiceDevice(QUIET, 3, "factored"), Dense(torch.eye(2).double()), "takes LowRank.*fabric='crossbar'"),
        (
            lambda: SpiceDevice(QUIET, 3, "factored"),
            low_rank(np.ones((2, 3)), -np.eye(2), 1.0),
            "positive semi-definite",
        ),
        (
            lambda: SpiceDevice(QUIET, 3, "factored", programming=Programming(compensate_leak=True)),
            SYSTEMS[0],
            "leave compensate_leak and cells out",
        ),
        (
            lambda: SurrogateDevice(
                DeviceCard.uncalibrated(INTEGRATED.replace(opamp__gbw=math.inf, opamp__slew=math.inf), "factored"), 3
            ),
            SYSTEMS[0],
            "infinite variance",
        ),
    ],
)
def test_what_it_does_not_take_is_an_error_with_the_remedy(device, system, message):
    with pytest.raises(InputError, match=message):
        device().solve(system, torch.ones(system.size).double(), 1.0)


def test_more_states_than_the_surrogate_holds_are_left_to_the_cascade_device(monkeypatch):
    monkeypatch.setattr(surrogate, "STATES", 20)
    with pytest.raises(InputError, match=r"21 states \(at most 20\).*or a CascadeDevice"):
        SurrogateDevice(DeviceCard.uncalibrated(QUIET, "factored"), 3).solve(SYSTEMS[0], B, 1.0)


def test_refined_readings_reach_the_tolerance():
    device = Refined(SurrogateDevice(DeviceCard.uncalibrated(INTEGRATED, "factored"), 3), tolerance=1e-6)
    for system in SYSTEMS[1:]:
        found = device.solve(system, B, 200.0)
        assert found.outcome is Outcome.OK
        assert float((system.matvec(found.x) - B).norm() / B.norm()) <= 1e-6


def test_a_card_of_a_cascade_is_no_extrapolation_for_the_cascade_device():
    card = DeviceCard.uncalibrated(INTEGRATED, "factored")
    assert CascadeDevice(card, 3).solve(SYSTEMS[0], B, 5.0).outcome is Outcome.OK
    crossbar = CascadeDevice(DeviceCard.uncalibrated(INTEGRATED, "crossbar"), 3, extrapolate=True)
    assert crossbar.solve(SYSTEMS[0], B, 5.0).violations == ("fabric factored, calibrated as crossbar",)
    few = card.replace(validity=card.validity.model_copy(update={"unknowns": (1, 5)}))
    with pytest.raises(InputError, match="6 unknowns, calibrated for 1 to 5"):
        CascadeDevice(few, 3).solve(SYSTEMS[0], B, 5.0)


def test_a_fit_to_runs_in_ngspice_finds_the_technology():
    runs = []
    for k, (system, duration) in enumerate(
        [(SYSTEMS[0], 1.0), (SYSTEMS[1], 1.0), (SYSTEMS[1], math.inf), (SYSTEMS[2], 40.0)]
    ):
        device = SpiceDevice(QUIET, 1 + k % 2, "factored")
        device.solve(system, B, duration)
        runs.append(Observation(lay_out(system, "factored", QUIET), device.die, device.probe, k))
    blank = DeviceCard.uncalibrated(QUIET, "factored").replace(
        leak=0.0, lag=0.0, mismatch=0.0, capacitor_mismatch=0.0, offset=0.0
    )
    found, _ = fit_law(blank, runs)
    opamp = QUIET.opamp
    wanted = {
        "gain": 1.0,
        "leak": 1 / opamp.gain,
        "lag": 1 / (2 * math.pi * opamp.gbw),
        "mismatch": QUIET.resistors.mismatch,
        "capacitor_mismatch": QUIET.capacitors.mismatch,
        "offset": opamp.offset_mismatch,
    }
    for name, value in wanted.items():
        assert found[name].value == pytest.approx(value, rel=0.02), name


@pytest.mark.long
def test_a_calibrated_card_explains_held_out_systems():
    card = calibrate("integrated", "factored", sizes=(4, 8), dies=(1, 2), new_dies=(101,), workers=1)
    assert card.held_out.explained_variance > 0.95
    with pytest.raises(InputError, match=r"takes LowRank.*calibrate fabric='crossbar'"):
        calibrate("integrated", "factored", systems=[(np.eye(3), np.ones(3))])
