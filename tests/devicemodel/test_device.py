"""What devices say they can be programmed with, against what they can."""

import pytest
import torch

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Device, Outcome, solve_many
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.systems import Dense, Implicit, Kronecker, LowRank

from ..systems import built_for, true_card

TECHNOLOGY = built_for("crossbar", "breadboard")
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


class OneByOne:
    """Has no way of its own to take many drives."""

    def __init__(self):
        device = IdealDevice(kappa0=1e-3, seed=4)
        self.solve, self.evolve = device.solve, device.evolve


def surrogate(read_out=None, **technology):
    card = true_card(preset("integrated").replace(**technology))
    return SurrogateDevice(card, die=3, extrapolate=True, read_out=read_out)


@pytest.mark.parametrize(
    "make",
    [
        OneByOne,
        lambda: IdealDevice(kappa0=1e-3, seed=4),
        surrogate,
        lambda: surrogate(ReadOut(reads=3, interval=0.2, auto_zero=True)),
        lambda: surrogate(resistors__conductance_drift=0.05, resistors__conductance_drift_time=1e-9),
        lambda: surrogate(resistors__drive_ranges=4),
        lambda: SpiceDevice(preset("integrated"), die=3, johnson_noise=False),
        lambda: CascadeDevice(preset("integrated"), die=3),
    ],
    ids=["one by one", "ideal", "surrogate", "auto-zero", "drifting", "ranges", "spice", "cascade"],
)
def test_many_drives_are_as_many_solves(make):
    """Bit for bit in all but the order of sums: the same noise, the same ranging, the same state afterwards."""
    generator = torch.Generator().manual_seed(7)
    system = LowRank(torch.randn(5, 6, dtype=torch.float64, generator=generator), None, 0.03)
    _, vectors = torch.linalg.eigh(system.dense())
    b = torch.randn(5, 6, dtype=torch.float64, generator=generator)
    # The slow mode clips, and what the host remembers of that serves the next drives.
    b[1] = vectors[:, 0] - 0.1 * vectors[:, 2]
    b[4] = vectors[:, 5]
    starts = 0.1 * torch.randn(5, 6, dtype=torch.float64, generator=generator)
    tried = set()
    for x0 in (None, starts):
        one, many = make(), make()
        rows = torch.zeros_like(b) if x0 is None else x0
        expected = [one.solve(system, row, 20.0, x0=start) for row, start in zip(b, rows, strict=True)]
        found = solve_many(many, system, b, 20.0, x0)
        for a, e in zip(found, expected, strict=True):
            torch.testing.assert_close(a.x, e.x, rtol=1e-9, atol=1e-11)
            assert (a.outcome, a.attempts, a.seconds) == (e.outcome, e.attempts, e.seconds)
            tried.add(a.attempts)
        torch.testing.assert_close(many.evolve(0.5).x, one.evolve(0.5).x, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(
            solve_many(many, system, b, 1.0)[2].x, solve_many(one, system, b, 1.0)[2].x, rtol=1e-9, atol=1e-11
        )
    assert isinstance(one, OneByOne | IdealDevice) or len(tried) > 1
    with pytest.raises(InputError, match="one drive a row"):
        solve_many(make(), system, b[0], 2.0)
    with pytest.raises(InputError, match="one start state for each drive"):
        solve_many(make(), system, b, 2.0, starts[:2])


def test_many_drives_of_an_unstable_board():
    system = Dense(torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64))
    found = solve_many(surrogate(), system, torch.ones(3, 2, dtype=torch.float64), 2.0)
    assert [one.outcome for one in found] == 3 * [Outcome.UNSTABLE]
