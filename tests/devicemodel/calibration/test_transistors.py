"""Calibration against arrays whose amplifiers are transistors."""

from __future__ import annotations

from pathlib import Path

import pytest

from thermograd.circuits.amplifiers.characterise import characterise
from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.calibration.simulated import CLAMP, calibrate

ROOT = Path(__file__).resolve().parents[3]


def test_a_card_of_transistors_has_their_figures() -> None:
    """Lag and leak are those of the bench under a like load; at large outputs the gain is down to half. Noise is that of `.noise`, to which
    the output stages add above GBW."""
    netlist = ROOT / "examples" / "amplifiers" / "two_stage.cir"
    amplifier = Amplifier.read_spice(netlist, "two_stage", ("inp", "inn"), ("out",), {"vdd": 0.9, "vss": -0.9})
    opamp = characterise(amplifier, load_resistance=5e4).opamp
    technology = Technology(
        resistors={"unit": 1e5, "tolerance": 0.01},
        capacitors={"unit": 1e-11, "tolerance": 0.005},
        opamp=opamp.model_copy(update={"offset": 1e-3}),
    )
    card = calibrate(technology, sizes=(2,), dies=(1,), new_dies=(101,), amplifier=amplifier, workers=2)
    assert card.fabric == "crossbar_single"
    assert str(card.provenance["amplifier"]).startswith("sub-circuit two_stage")
    assert 0.7 < card.leak.value * opamp.gain < 2.5  # measured 2.0
    assert card.lag.value == pytest.approx(1 / (2 * 3.14159 * opamp.gbw), rel=0.3)
    assert (card.mismatch.value, card.offset.value) == pytest.approx((0.01, 1e-3), rel=0.15)
    assert 1.0 < card.noise_power.value < 10.0
    assert card.clamp == CLAMP
    assert card.held_out.explained_variance > 0.99
