"""A fabric in one file and a device in one file, through all that the package does with its own."""

import math

import numpy as np
import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.fabrics.registry import registered_fabric
from thermograd.compiler.passes.verify import verify
from thermograd.devicemodel.device import Device, Outcome
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.systems import Dense, Kronecker
from thermograd.optim.optimizers.tngd import TNGD

from .systems import spd
from .toy_device import ToyDevice
from .toy_fabric import TransconductorRC

A, B = spd(3, 8.0, 1), np.array([1.0, -0.5, 0.3])
EXACT = np.linalg.solve(A, B)
PERFECT = preset("ideal").replace(dac__bits=None, adc__bits=None)


@pytest.fixture(autouse=True)
def fabric():
    with registered_fabric(TransconductorRC()) as toy:
        yield toy


def problem():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2).double()
    x = torch.randn(2, 3, dtype=torch.float64)
    return model, x, torch.tensor([0, 1])


def step(device, duration=math.inf, **options):
    """What one step of TNGD changes."""
    model, x, y = problem()
    optimizer = TNGD(model.parameters(), lr=1.0, damping=0.5, duration=duration, device=device, **options)

    def closure():
        outputs = model(x)
        return torch.nn.functional.cross_entropy(outputs, y), outputs

    before = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    optimizer.step(closure)
    assert optimizer.last.outcome is Outcome.OK
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]) - before


def test_the_fabric_goes_from_matrix_to_simulator():
    program = compile_matrix(A, "gm_c", PERFECT)
    verify(program)
    again = parse_spice(program.to_spice(B))
    for netlist in (program.netlist(B), again):
        seen = run(netlist, OperatingPoint(nodes=program.nodes))
        np.testing.assert_allclose(program.decode(seen.voltages), EXACT, rtol=1e-6)


def test_the_fabric_is_a_device_in_spice():
    for die, tolerance in ((None, 1e-6), (3, 0.2)):
        device = SpiceDevice(PERFECT.replace(resistors__tolerance=0.02), die, "gm_c", johnson_noise=False)
        found = device.solve(Dense(torch.from_numpy(A)), torch.from_numpy(B), math.inf)
        assert found.outcome is Outcome.OK
        np.testing.assert_allclose(found.x, EXACT, atol=tolerance)
        assert device.program.fabric_name == "gm_c"
    # Negative control: the die's parts are not the nominal ones.
    assert np.abs(found.x.numpy() - EXACT).max() > 1e-4
    with pytest.raises(InputError, match="layout=True with fabric 'gm_c'"):
        SpiceDevice(PERFECT, None, "gm_c", layout=True)


def test_the_device_is_driven_and_read_as_all_are():
    device = ToyDevice(preset("integrated"), die=2, read_out=ReadOut(reads=3, interval=0.1, auto_zero=True))
    assert isinstance(device, Device)
    found = device.solve(Dense(torch.from_numpy(A)), torch.from_numpy(B), 20.0)
    assert found.outcome is Outcome.OK
    np.testing.assert_allclose(found.x, EXACT, atol=0.1)
    assert found.attempts >= 2  # one of them without drive
    assert found.seconds == pytest.approx(found.attempts * 20.2e-6)
    assert np.abs(device.probe.requested).max() <= 1.0
    assert not np.array_equal(device.probe.requested, device.probe.driven)
    twin = ToyDevice(preset("integrated"), die=2, read_out=device.read_out)
    twin.load_state_dict(device.state_dict())
    again = [one.solve(Dense(torch.from_numpy(A)), torch.from_numpy(B), 20.0).x for one in (device, twin)]
    assert torch.equal(*again)
    with pytest.raises(InputError, match=r"Kronecker: ToyDevice takes Dense\(A\) or LowRank"):
        device.solve(Kronecker(torch.eye(2), torch.eye(2), 0.1), torch.ones(4), 1.0)
    flat = Dense(torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)))
    assert device.solve(flat, torch.from_numpy(B), 1.0).outcome is Outcome.UNSTABLE


def test_both_take_a_training_step():
    digital = step(IdealDevice())
    np.testing.assert_allclose(step(ToyDevice(PERFECT)), digital, rtol=1e-9)
    np.testing.assert_allclose(step(SpiceDevice(PERFECT, None, "gm_c", johnson_noise=False)), digital, rtol=1e-5)
    # Negative control: converters of three bits make another step, unless it is refined.
    coarse = ToyDevice(PERFECT.replace(dac__bits=3, adc__bits=3))
    assert not np.allclose(step(coarse, reading="bare"), digital, rtol=1e-2)
    np.testing.assert_allclose(step(coarse), digital, rtol=1e-2)
