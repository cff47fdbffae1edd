"""The first-order law with what is beyond it is the circuit: ngspice is the oracle."""

import dataclasses

import numpy as np
import pytest

from thermograd.circuits.netlist.analyses import OperatingPoint, Transient
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import lay_out
from thermograd.devicemodel.calibration.circuit_law import beyond_the_law
from thermograd.devicemodel.calibration.fitting import Observation, on_die
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.cell_law import propagate
from thermograd.devicemodel.host.probe import Probe

from ...systems import passive, spd


@pytest.mark.parametrize(
    ("technology", "fabric", "matrix"),
    [
        ("integrated", "crossbar", spd(4, 30.0, 1)),
        ("breadboard", "crossbar_single", spd(4, 30.0, 1)),
        ("integrated", "dual_rail", passive(4, 0.3, 1)),
    ],
)
@pytest.mark.parametrize("duration", [1.0, 200.0])
def test_the_law_and_what_is_beyond_it_are_ngspices_reading(technology, fabric, matrix, duration):
    card = DeviceCard.uncalibrated(preset(technology), fabric)
    volts, nothing = np.array([0.3, -0.2, 0.1, 0.4]), np.zeros(4)
    probe = Probe(volts, volts, nothing, nothing, nothing, duration, 1.0)
    observed = Observation(lay_out(matrix, fabric, card.technology), Die(card.technology, 3), probe, 0)
    program, currents = on_die(observed, card)
    law, _ = propagate(program, currents, nothing, duration, card, noisy=False)
    found, netlist = law + beyond_the_law(observed, card), program.circuit(currents, nothing)
    if duration > 100:  # at rest
        seen = program.cell_volts(run(netlist, OperatingPoint(nodes=program.nodes)).voltages)
    else:
        analysis = Transient(duration * program.tau, nodes=program.nodes, tolerance=1e-8)
        seen = program.cell_volts(run(netlist, analysis).voltages)[:, -1]
    size = np.abs(seen).max()
    # ngspice steps through a transient, whose error adds up to some 2e-6.
    np.testing.assert_allclose(found, seen, rtol=0, atol=(1e-6 if duration > 100 else 3e-6) * size)
    if technology == "integrated":
        # Negative control: rails of unequal parts, of which the law alone knows the mean.
        assert np.abs(law - seen).max() > 1e-5 * size


def test_a_figure_that_is_zero_is_an_ideal_amplifiers():
    card = DeviceCard.uncalibrated(preset("ideal"), "crossbar")
    volts, nothing = np.array([0.3, -0.2, 0.1, 0.4]), np.zeros(4)
    probe = Probe(volts, volts, nothing, nothing, nothing, 1.0, 1.0)
    observed = Observation(lay_out(spd(4, 30.0, 1), "crossbar", card.technology), Die(card.technology, 3), probe, 0)
    # An ideal amplifier is one of a large gain in the netlist.
    assert np.abs(beyond_the_law(observed, card)).max() < 5e-6
    slow = card.replace(lag=1e-2 * observed.nominal.tau)
    late = dataclasses.replace(observed, probe=dataclasses.replace(probe, duration=0.05))
    assert np.abs(beyond_the_law(late, slow)).max() > 5e-6
