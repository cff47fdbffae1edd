"""The noise that the law of refinement takes of a reading, against the law of the device."""

import math

import numpy as np
import pytest

from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.cell_law import propagate
from thermograd.devicemodel.limits.imperfections import Imperfections

from ...systems import spd


@pytest.mark.parametrize("name", ["integrated", "breadboard"])
def test_the_noise_of_a_reading_is_the_devices(name: str) -> None:
    technology, n = preset(name), 8
    card = DeviceCard.uncalibrated(technology)
    program = lay_out(spd(n, 20.0, 2) / 20.0, card.fabric, technology)
    _, covariance = propagate(program, np.zeros(n), np.zeros(n), math.inf, card, noisy=True)
    assert covariance is not None
    one, unit = Imperfections.of(card), 1.0 / technology.resistors.unit
    K, load = program.behaviour.conductance / unit, program.behaviour.load / unit
    inverse, negative = np.linalg.inv(K), np.maximum(-K, 0.0)
    # White noise of density S into a cell of conductance K leaves S / (2 K C).
    inverters = ((inverse @ negative) * negative).sum(axis=1).mean() if one.inverted else 0.0
    johnson = one.johnson * ((load * inverse.diagonal()).mean() + 2 * inverters)
    slow = one.amplifiers * ((load**2 * inverse.diagonal()).mean() + 4 * inverters)
    direct = one.adc_noise**2 - technology.adc.noise**2
    wanted = float(covariance.diagonal().mean())
    # To first order in the amplifiers' lag.
    assert johnson + slow + direct == pytest.approx(wanted, rel=0.02)
    # Negative controls: as it was without amplifiers, and without either part of their noise.
    for less in (johnson, johnson + slow, johnson + direct):
        assert less < 0.97 * wanted
