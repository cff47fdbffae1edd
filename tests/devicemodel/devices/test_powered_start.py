"""Runs of arrays of transistors: they begin where a host sets the cells, with the amplifiers at their bias."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch

from thermograd.circuits.amplifiers.characterise import characterise
from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense

ROOT = Path(__file__).resolve().parents[3]
A = torch.tensor([[1.0, 0.4, -0.2], [0.4, 0.9, 0.1], [-0.2, 0.1, 1.1]], dtype=torch.float64)
B = torch.tensor([1.0, -0.5, 0.3], dtype=torch.float64)
START = torch.tensor([-0.3, 0.4, 0.2], dtype=torch.float64)


@functools.cache
def array() -> tuple[Amplifier, Technology]:
    """The two-stage amplifier, and an array of it whose columns load it with some 40 kohm."""
    netlist = ROOT / "examples" / "amplifiers" / "two_stage.cir"
    amplifier = Amplifier.read_spice(netlist, "two_stage", ("inp", "inn"), ("out",), {"vdd": 0.9, "vss": -0.9})
    technology = Technology(
        resistors={"unit": 1e5},
        capacitors={"unit": 1e-11},
        opamp=characterise(amplifier, load_resistance=4e4).opamp,
    )
    return amplifier, technology


@pytest.mark.parametrize("start", [None, START])
@pytest.mark.parametrize("duration", [0.3, 5.0])
def test_a_run_follows_the_law_from_its_start(duration: float, start: torch.Tensor | None) -> None:
    amplifier, technology = array()
    found = SpiceDevice(technology, None, "crossbar_single", amplifier=amplifier).solve(Dense(A), B, duration, x0=start)
    silent = technology.replace(thermal__johnson_noise=False)
    surrogate = SurrogateDevice(DeviceCard.uncalibrated(silent, "crossbar_single"), extrapolate=True)
    law = surrogate.solve(Dense(A), B, duration, x0=start)
    assert (
        float((found.x - law.x).norm() / law.x.norm()) < 3e-4
    )  # measured 0.6e-4 to 1e-4: the gain depends on each column's load
    if start is not None and duration < 1:  # control: from other voltages it is somewhere else
        other = surrogate.solve(Dense(A), B, duration)
        assert float((found.x - other.x).norm() / law.x.norm()) > 0.3


def test_transistors_make_no_noise_in_a_transient() -> None:
    amplifier, technology = array()
    with pytest.raises(InputError, match="Macromodel"):
        SpiceDevice(technology, None, "crossbar_single", johnson_noise=True, amplifier=amplifier)
    assert not SpiceDevice(technology, None, "crossbar_single", amplifier=amplifier).johnson_noise
