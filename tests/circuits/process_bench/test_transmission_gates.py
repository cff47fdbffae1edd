"""Transmission gates of GF180MCU in ngspice, against hand formulas with the model's coefficients."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from thermograd.circuits import InputError
from thermograd.circuits.process_bench import TransmissionGate, charge_injection, leakage, on_resistance
from thermograd.circuits.process_bench import transmission_gates as module
from thermograd.circuits.technology.pdk import process
from thermograd.circuits.technology.pdk.excerpt import needed_cards

from ...processes import needs_process

GF180MCU = process("gf180mcu")
UM, WARM, HOT = 1e-6, 300.15, 358.15
BOTH, N, P = (TransmissionGate(GF180MCU, *widths) for widths in ((2 * UM, 4 * UM), (2 * UM, 0.0), (0.0, 4 * UM)))


def coefficients() -> dict[str, float]:
    """Of the bin that the NMOS transistor lies in."""
    text = " ".join(needed_cards(N.parts("1", "a", "b", "on", "off", "vdd")))
    found = re.findall(r"\b([a-z]\w*)\s*=\s*([-+]?[.0-9]+(?:e[-+]?\d+)?)", text)
    return {name: float(value) for name, value in found}


@needs_process("gf180mcu")
def test_conductances_of_both_transistors_add_up_and_follow_the_width() -> None:
    levels = np.linspace(0.0, GF180MCU.supply, 5)
    both, n, p = (on_resistance(gate, levels) for gate in (BOTH, N, P))
    np.testing.assert_allclose(1 / both, 1 / n + 1 / p, rtol=2e-6)
    wide = on_resistance(TransmissionGate(GF180MCU, 4 * UM, 0.0), levels[:2])
    np.testing.assert_allclose(n[:2] / wide, 2.0, rtol=0.03)
    assert n[0] < n[1] < n[2] < n[3]  # less overdrive, and more body effect
    assert p[4] < p[3] < p[2] < p[1]
    assert on_resistance(BOTH, [1.65], HOT)[0] > 1.1 * both[2]  # mobility falls with temperature


@needs_process("gf180mcu")
def test_leakage_of_a_switch_in_mid_range_is_that_of_its_junctions() -> None:
    """I = (J_s A + J_sw (P - W)) exp((E_g(T_0)/V_0 - E_g(T)/V + 3 ln(T/T_0)) / N), of the model's J_s, J_sw, N and T_0 = 25 C."""
    c = coefficients()
    area, around = 2 * UM * module.DIFFUSION, 2 * (2 * UM + module.DIFFUSION)

    def gap(kelvin: float) -> float:
        return (1.16 - 7.02e-4 * kelvin**2 / (kelvin + 1108)) / (8.617087e-5 * kelvin)

    def predicted(kelvin: float) -> float:
        cold = c["tnom"] + 273.15
        grown = math.exp((gap(cold) - gap(kelvin) + c["xtis"] * math.log(kelvin / cold)) / c["njs"])
        return (c["jss"] * area + c["jsws"] * (around - (2 * UM - 2 * c["wint"]))) * grown

    for kelvin in (WARM, HOT):
        assert leakage(N, 1.65, 1.65, kelvin) == pytest.approx((predicted(kelvin),) * 2, rel=0.01)
    assert predicted(HOT) / predicted(WARM) > 1000


@needs_process("gf180mcu")
def test_leakage_between_the_rails_is_subthreshold_current_and_ngspices_own_conductance_would_hide_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    into, out = leakage(N, GF180MCU.supply, 0.0)
    hot, _ = leakage(N, GF180MCU.supply, 0.0, HOT)
    assert abs(into + out) < 0.05 * abs(into)  # from one end to the other
    # exp(-V_T / n V) with V_T of some 0.55 V (falling 1 mV a kelvin) and n of some 1.4, within a factor of 2.
    expected = math.exp((0.55 / 0.025865 - (0.55 - 0.058) / 0.030863) / 1.4)
    assert 0.5 < (hot / into) / expected < 2
    mid = max(map(abs, leakage(N, 1.65, 1.65)))
    monkeypatch.setattr(module, "_NO_GMIN", 1e-12)
    assert max(map(abs, leakage(N, 1.65, 1.65))) > 1e5 * mid


@needs_process("gf180mcu")
def test_injected_charge_is_half_a_channel_and_the_overlaps() -> None:
    """Overdrive of 0.4 to 0.8 V; overlap C_gso, with C_gsl while the gate is above the signal, over the whole swing."""
    c = coefficients()
    oxide = 3.9 * 8.8542e-12 / c["toxe"] * (2 * UM - 2 * c["wint"]) * 0.28 * UM
    width, swing = 2 * UM - 2 * c["wint"], GF180MCU.supply
    least = 0.5 * oxide * 0.4 + c["cgso"] * width * swing
    most = 0.5 * oxide * 0.8 + (c["cgso"] + c["cgsl"]) * width * swing
    n, p, both = (charge_injection(gate, 1.65, 1e-9) for gate in (N, P, BOTH))
    assert least < -n < most
    assert not least < -charge_injection(TransmissionGate(GF180MCU, 4 * UM, 0.0), 1.65, 1e-9) < most
    # Opposite carriers: what one leaves the other takes, less what differs in size.
    assert n < 0 < p
    assert both == pytest.approx(n + p, rel=0.1)


def test_a_gate_without_transistors_is_an_error() -> None:
    with pytest.raises(InputError, match="both 0"):
        TransmissionGate(GF180MCU, 0.0, 0.0)
