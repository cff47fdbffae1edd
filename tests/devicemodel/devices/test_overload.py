"""Saturation behind an output resistance is seen: in ngspice, by the surrogate, by batches and cascades, and not without the detection."""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.compiler.linear_law import Outputs
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.calibration.cases import random_system
from thermograd.devicemodel.calibration.simulated import calibrate
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.overload import overload, share_along
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.state_space_law import StateSpaceLaw
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense, LowRank

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "benchmarks" / "devicemodel"))  # scripts, not a package

import saturation  # noqa: E402

SILENT = {"opamp__noise_voltage": 0.0, "opamp__noise_current": 0.0, "thermal__johnson_noise": False}
SATURATING = {
    "breadboard": (preset("breadboard").replace(**SILENT), "crossbar_single"),
    "integrated, 200 ohm": (preset("integrated").replace(opamp__output_resistance=200.0, **SILENT), "crossbar"),
}


def problem(seed: int) -> tuple[Dense, torch.Tensor, np.ndarray]:
    rng = np.random.default_rng(seed)
    a, b = random_system(4, 20.0, False, rng), rng.standard_normal(4)
    return Dense(torch.from_numpy(a)), torch.from_numpy(b), np.linalg.solve(a, b)


def error(x: torch.Tensor, exact: np.ndarray) -> float:
    return float(np.linalg.norm(x.numpy() - exact) / np.linalg.norm(exact))


@pytest.mark.parametrize("name", SATURATING)
@pytest.mark.parametrize("seed", range(6))
def test_the_macromodel_is_read_at_a_level_that_it_holds(name, seed):
    technology, fabric = SATURATING[name]
    system, b, exact = problem(seed)
    device = SpiceDevice(technology, seed + 1, fabric, johnson_noise=False, amplifier=Macromodel(technology.opamp))
    solution = device.solve(system, b, math.inf)
    # As wrong as the parts make it: mismatch, offsets and the DAC's codes at that level.
    assert solution.outcome is Outcome.OK
    assert error(solution.x, exact) < 0.2
    case = saturation.Case(technology, seed + 1, system.dense().numpy(), b.numpy(), math.inf)
    assert saturation.departure(device, case) < 1e-3
    if name == "breadboard":
        # The control: what the host saw before, the cells alone, is within range, and wrong.
        blind = saturation.device_of("macromodel", case, watched=False)
        seen = blind.solve(system, b, math.inf)
        assert seen.outcome is Outcome.OK
        assert error(seen.x, exact) > 0.5


@pytest.mark.parametrize("kind", saturation.KINDS)
def test_no_reading_called_ok_is_saturated_and_without_detection_some_are(kind):
    numbers = (0, 3, 8, 13, 14)
    seen, unseen = (saturation.judged(kind, watched, numbers) for watched in (True, False))
    assert seen.wrong == 0
    assert seen.outcomes[Outcome.OK.value] >= 4
    assert unseen.wrong >= 1
    assert sum(seen.runs) >= sum(unseen.runs)


@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single"])
def test_the_law_of_the_overload_is_what_ngspice_finds_at_the_gain_nodes(fabric):
    technology = SATURATING["breadboard" if fabric == "crossbar_single" else "integrated, 200 ohm"][0]
    technology = technology.replace(dac__full_scale=0.05 * technology.opamp.output_limit, opamp__bias_current=0.0)
    system, b, _ = problem(1)
    for duration in (1.0, math.inf):
        device = SpiceDevice(technology, 3, fabric, johnson_noise=False, amplifier=Macromodel(technology.opamp))
        assert device.solve(system, b, duration).outcome is Outcome.OK
        program, probe = device.program, device.probe
        currents = probe.driven * program.parts.drive_nominal
        [law] = overload(program, probe.settled[None, None], currents[None])
        # Without current into capacitors it would be another number on the way.
        if math.isinf(duration):
            assert probe.used == pytest.approx(law, rel=0.01)
        else:
            assert law <= probe.used * 1.01


@pytest.mark.parametrize("duration", [2.0, math.inf])
@pytest.mark.parametrize("name", SATURATING)
def test_a_batch_sees_what_each_surrogate_sees(name, duration):
    technology, fabric = SATURATING[name]
    technology = technology.replace(opamp__output_resistance=4 * technology.opamp.output_resistance)
    card, (system, b, _) = DeviceCard.uncalibrated(technology, fabric), problem(2)
    batch = DieBatch(card, [1, 2, 3])
    found = batch.solve(system, b, duration)
    for k, die in enumerate((1, 2, 3)):
        one = SurrogateDevice(card, die).solve(system, b, duration)
        assert (one.outcome, one.attempts) == (found.outcomes[k], found.attempts[k])
        torch.testing.assert_close(one.x, found.x[k], rtol=1e-9, atol=1e-12)
    assert max(found.attempts) > 1


def test_what_no_level_can_hold_is_clipped_in_every_device():
    technology = SATURATING["integrated, 200 ohm"][0].replace(opamp__output_current=1e-9, opamp__offset=0.0)
    system, b, _ = problem(0)
    card = DeviceCard.uncalibrated(technology, "crossbar")
    spice = SpiceDevice(technology, 1, "crossbar", johnson_noise=False, amplifier=Macromodel(technology.opamp))
    for device in (spice, SurrogateDevice(card, 1), SpiceDevice(technology, 1, "crossbar", johnson_noise=False)):
        assert device.solve(system, b, math.inf).outcome.clipped
    assert all(outcome.clipped for outcome in DieBatch(card, [1, 2]).solve(system, b, math.inf).outcomes)
    curvature = LowRank(torch.ones(2, 4, dtype=torch.float64), None, 1.0)
    assert CascadeDevice(technology, 1).solve(curvature, b, 20.0).outcome.clipped


def test_technologies_whose_outputs_have_no_such_limits_are_not_looked_at():
    technology = preset("paper")
    program = lay_out(np.eye(3), "crossbar", technology).on(Die(technology, 1))
    assert overload(program, np.full((1, 1, 3), 5.0), np.zeros((1, 3))) is None


def test_calibrate_leaves_saturated_runs_out_and_says_so():
    technology = SATURATING["breadboard"][0].replace(opamp__output_current=2e-3)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        card = calibrate(technology, amplifier=Macromodel(technology.opamp), sizes=(4,), workers=1)
    count = card.provenance["saturated_runs"]
    assert count >= 1
    assert any(f"{count} of 6 calibration runs saturated" in str(one.message) for one in said)
    assert ("left out", f"{count} runs, which saturated") in card.summary()
    assert card.gain.value == pytest.approx(1.0, abs=0.05)


def test_a_technology_of_which_every_run_saturates_is_told_what_to_change():
    technology = SATURATING["breadboard"][0].replace(opamp__output_current=1e-6)
    with pytest.raises(InputError, match=r"saturated at every level.*output_current 1e-06 A.*resistors.unit"):
        calibrate(technology, amplifier=Macromodel(technology.opamp), sizes=(2,), workers=1)


@pytest.mark.parametrize("outputs", [1, 2])
def test_outputs_are_looked_at_along_a_run_voltage_and_current_alike(outputs):
    opamp = preset("integrated").opamp.model_copy(
        update={"outputs": outputs, "output_limit": 1.0, "output_resistance": 0.0, "output_current": 1e-3}
    )
    # A position of 0.2 V where it is read, after a swing to 0.6; a velocity of 0.3 V on the way; each of two outputs has half.
    states = np.array([[[0.0, 0.0], [0.6, 0.3], [0.2, 0.0]]])
    law = Outputs(np.eye(2) / outputs, np.array([[1e-4, 0.0], [0.0, 2e-3]]), np.array([[0.0], [1e-3]]))
    [share] = share_along(opamp, law, states, np.array([[0.05]]))
    assert share == pytest.approx(max(0.6, (0.3 * 2e-3 + 0.05e-3) / 1e-3))
    [read] = share_along(opamp, law, states[:, -1:], np.array([[0.05]]))
    assert read == pytest.approx(0.2)
    plain = opamp.model_copy(update={"output_current": math.inf})
    assert share_along(plain, law, states, np.array([[0.05]])) == pytest.approx([0.6])


@pytest.mark.parametrize("seen", [True, False])
def test_a_settled_oscillator_is_followed_on_its_way(seen, monkeypatch):
    technology = preset("integrated").replace(opamp__output_limit=1.0, **SILENT)
    # With next to no friction two slow cells swing to nearly twice where they settle.
    system = Dense(torch.diag(torch.tensor([1.0, 0.02, 0.03], dtype=torch.float64)), floor=1e-4)
    b = torch.tensor([0.0, 0.02, -0.02], dtype=torch.float64)
    device = SpiceDevice(technology, None, "oscillator")
    if not seen:
        monkeypatch.setattr(SpiceDevice, "_swing", lambda *_: 0.0)
    found = device.solve(system, b, math.inf)
    board = device.board_of(device.program).in_range(device.probe.drive_range)
    program = board.program
    law = StateSpaceLaw(program.fabric.linear_law(program.parts, technology), technology.opamp, program.tau)
    amperes = torch.from_numpy(device.probe.driven[None] * board.amperes_per_volt)
    peak = law.peak(law.begin(torch.zeros(1, 6, dtype=torch.float64), amperes), amperes, math.inf)[0]
    assert found.outcome is Outcome.OK
    assert bool(peak <= 1.0) is seen
    with pytest.raises(InputError, match=r"damped by a lower bound.*give Dense\(A, floor"):
        device.solve(Dense(system.A), b, math.inf)
