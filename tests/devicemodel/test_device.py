"""What devices say they can be programmed with, against what they can."""

import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Device
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense, Implicit, Kronecker, LowRank

from ..systems import true_card

TECHNOLOGY = preset("breadboard")
DEVICES = {
    "ideal": (IdealDevice, {"Dense", "LowRank", "Kronecker", "Implicit"}),
    "spice": (lambda: SpiceDevice(TECHNOLOGY, johnson_noise=False), {"Dense", "LowRank", "Kronecker"}),
    "surrogate": (
        lambda: SurrogateDevice(true_card(TECHNOLOGY), extrapolate=True),
        {"Dense", "LowRank", "Kronecker"},
    ),
    "cascade": (lambda: CascadeDevice(TECHNOLOGY), {"LowRank", "Kronecker"}),
}


class Rows:
    """The smallest matrix that is known by its products alone."""

    J = torch.tensor([[1.0, 0.5, 0.0, 0.2]], dtype=torch.float64)
    shape, dtype = (1, 4), torch.float64

    def gram(self):
        return self.J @ self.J.mT

    def matvec(self, v):
        return self.J @ v

    def rmatvec(self, u):
        return self.J.mT @ u


def systems():
    eye = torch.eye(2, dtype=torch.float64)
    return [
        Dense(torch.eye(4, dtype=torch.float64)),
        LowRank(Rows.J, None, 0.5),
        Kronecker(eye, eye, 0.5),
        Implicit(Rows(), 0.5),
        "a matrix",
    ]


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_accepts_what_it_solves_and_nothing_else(name):
    make, accepted = DEVICES[name]
    device, b = make(), torch.ones(4, dtype=torch.float64)
    assert isinstance(device, Device)
    for system in systems():
        kind = type(system).__name__
        assert device.accepts(system) is (kind in accepted), kind
        if kind in accepted:
            assert device.solve(system, b, 1.0).outcome.readable, kind
        else:
            with pytest.raises(InputError, match=f"system is a {kind}"):
                device.solve(system, b, 1.0)
