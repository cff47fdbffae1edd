"""A cascade on the same dies in ngspice, in its calibrated surrogate and in `CascadeDevice`.

    python benchmarks/devicemodel/fabrics/cascade_agreement.py        (about two minutes on one core)

A card of fabric "factored" is calibrated in `integrated` (seed 0). Then, without noise and with perfect converters, on eight dies that it
never saw:

    solutions   the error vector x - A^-1 b at rest and after 1 tau, eight systems of each kind (J^T J, J^T H J, A (x) B) of 8, 16 and 32
                unknowns, condition number 5 to 100: the explained fraction of its variance, and the rms distance from ngspice's x
    bandwidth   the distance of both from ngspice after 1 tau, of J^T H J with 8 unknowns on one die, as amplifiers become faster, and
                that of `CascadeDevice` with resistors whose temperature does not matter, too: it has neither bandwidth nor heat in it, and
                what is left of its distance are products of two rails' deviations
"""

from __future__ import annotations

import math

import numpy as np
import torch

from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.calibration.cases import random_factors
from thermograd.devicemodel.calibration.simulated import calibrate
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Device
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice

KINDS = ("J^T J", "J^T H J", "A (x) B")
SIZES = (8, 16, 32)
DIES = range(501, 509)
INTEGRATED = preset("integrated")


def quiet(technology: Technology) -> Technology:
    """Without noise, with perfect converters and amplifiers of one pole, as `SpiceDevice` has them."""
    perfect = {part: Converter(bits=None, full_scale=getattr(technology, part).full_scale) for part in ("dac", "adc")}
    return technology.model_copy(update=perfect).replace(thermal__johnson_noise=False, opamp__second_pole=math.inf)


def without_noise(card: DeviceCard) -> DeviceCard:
    """The card with a quiet technology."""
    return card.model_copy(update={"technology": quiet(card.technology)})


def solutions(card: DeviceCard) -> None:
    """Print the table of explained variances."""
    technology = quiet(INTEGRATED)
    print(
        f"{'kind':9s} {'n':>3s} {'tau':>4s} {'error':>8s}   surrogate: R^2, distance     CascadeDevice: R^2, distance"
    )
    for kind, name in enumerate(KINDS):
        for n in SIZES:
            for duration in (1.0, math.inf):
                rng, found = np.random.default_rng([n, kind]), []
                for die in DIES:
                    system = random_factors(n, float(rng.uniform(5, 100)), kind, rng)
                    b = torch.from_numpy(rng.standard_normal(n))
                    exact = np.linalg.solve(system.dense().numpy(), b.numpy())
                    devices: list[Device] = [
                        SpiceDevice(technology, die, "factored"),
                        SurrogateDevice(card, die, extrapolate=True),
                        CascadeDevice(card, die, extrapolate=True),
                    ]
                    read = [device.solve(system, b, duration).x.numpy() for device in devices]
                    found.append([(x - exact) / np.linalg.norm(exact) for x in read])
                spice, *others = np.moveaxis(np.array(found), 1, 0)
                varied = float(np.sum((spice - spice.mean()) ** 2))
                columns = []
                for one in others:
                    left = float(np.sum((spice - one) ** 2))
                    columns.append(f"{1 - left / varied:.6f} {math.sqrt(left / len(DIES)):.1e}")
                error = math.sqrt(float(np.sum(spice**2)) / len(DIES))
                print(f"{name:9s} {n:3d} {duration:4g} {error:8.1e}   {columns[0]:>27s} {columns[1]:>32s}")


def bandwidth() -> None:
    """Print the distances by gain-bandwidth product."""
    rng = np.random.default_rng(8)
    system, b = random_factors(8, 20.0, 1, rng), torch.from_numpy(rng.standard_normal(8))
    print(f"\n{'GBW':>6s}   surrogate  CascadeDevice  without tc")
    for gbw in (1e8, 5e8, 5e9, 5e10, 5e11):
        off = []
        for changes in ({}, {"resistors__tc1": 0.0, "resistors__tc2": 0.0}):
            technology = quiet(INTEGRATED).replace(opamp__gbw=gbw, **changes)
            card = DeviceCard.uncalibrated(technology, "factored")
            spice = SpiceDevice(technology, 501, "factored").solve(system, b, 1.0).x
            for device in (SurrogateDevice(card, 501), CascadeDevice(technology, 501)):
                off.append(float((device.solve(system, b, 1.0).x - spice).norm() / spice.norm()))
        print(f"{gbw:6.0e}   {off[0]:9.1e}  {off[1]:13.1e}  {off[3]:10.1e}")


def main() -> None:
    """Calibrate, then print both tables."""
    card = calibrate(INTEGRATED, "factored", workers=1)
    for row in card.summary():
        print(f"{row[0]:40s} {row[1]}")
    print()
    solutions(without_noise(card))
    bandwidth()


if __name__ == "__main__":
    main()
