"""Resistors and capacitors of the foundries' models in ngspice, against the laws by hand with the coefficients of the model files."""

from __future__ import annotations

import pytest

from thermograd.circuits import InputError
from thermograd.circuits.process_bench import measured_capacitance, measured_resistance, resistor_noise
from thermograd.circuits.technology.pdk import process

from ...processes import needs_process

GF180MCU, SKY130 = process("gf180mcu"), process("sky130")
UM, HOT = 1e-6, 358.15
SIZE = (2 * UM, 20 * UM)
RESISTORS = [(GF180MCU, "ppolyf_u_1k"), (GF180MCU, "ppolyf_u"), (SKY130, "sky130_fd_pr__res_generic_po")]
CAPACITORS = [(GF180MCU, "cap_mim_2f0fF"), (GF180MCU, "cap_mim_1f5fF"), (SKY130, "sky130_fd_pr__cap_mim_m3_1")]


@needs_process("gf180mcu", "sky130")
@pytest.mark.parametrize(("known", "model"), RESISTORS)
def test_a_resistor_follows_its_law_over_temperature_and_voltage(known, model) -> None:
    """Sheet and ends, each with its own temperature coefficients; neither foundry's model bends with the voltage."""
    law = known.resistors[model]
    for kelvin, volts in ((233.15, 1.0), (HOT, 1.0), (300.15, known.supply)):
        measured = measured_resistance(known, model, *SIZE, kelvin, volts)
        assert measured == pytest.approx(law.resistance(*SIZE, kelvin), rel=1e-10)
    assert law.resistance(2 * UM, law.length(2 * UM, 1e4)) == pytest.approx(1e4, rel=1e-12)
    # Without the ends, or their temperature coefficient, the law is another one.
    if law.end:
        assert abs(law.sheet * SIZE[1] / SIZE[0] / law.resistance(*SIZE) - 1) > 5e-3


@needs_process("gf180mcu")
def test_corner_and_spread_of_a_resistor_are_those_of_its_sheet() -> None:
    model = "ppolyf_u_1k"
    law = GF180MCU.resistors[model]
    for corner in ("ss", "ff"):
        assert measured_resistance(GF180MCU, model, *SIZE, corner=corner) == pytest.approx(
            law.resistance(*SIZE, 300.15, law.corners[corner]), rel=1e-10
        )
    off = measured_resistance(GF180MCU, model, *SIZE, sigmas=-2.0)
    assert off == pytest.approx(law.resistance(*SIZE, 300.15, law.sheet * (1 - 2 * law.spread)), rel=1e-10)
    with pytest.raises(InputError, match="no statistics"):
        measured_resistance(SKY130, "sky130_fd_pr__res_generic_po", *SIZE, sigmas=1.0)


@needs_process("gf180mcu", "sky130")
def test_ngspice_hears_the_ends_of_gf180mcus_resistors_only() -> None:
    """The body is an expression, of which ngspice makes a source without noise; what is left follows the law of K, a and both resistances.

    SKY130's resistor is a model of its own, and has Nyquist's noise: nothing is wrong with the bench.
    """
    model, current = "ppolyf_u_1k", 1e-5
    law = GF180MCU.resistors[model]
    heard = resistor_noise(GF180MCU, model, *SIZE, current)
    wide, whole = SIZE[0] - law.width_offset, law.resistance(*SIZE, 300.15)
    end = law.end / wide * (1 + law.end_tc1 * 2 + law.end_tc2 * 4)
    assert heard.white == pytest.approx(2 * end / whole, rel=1e-3)
    flicker = law.flicker * current**law.flicker_exponent / (wide * 1 * UM)
    assert heard.flicker == pytest.approx(2 * flicker * (end / whole) ** 2, rel=0.05)
    sky = resistor_noise(SKY130, "sky130_fd_pr__res_generic_po", *SIZE, current)
    assert sky.white == pytest.approx(1.0, abs=1e-3)


@needs_process("gf180mcu", "sky130")
@pytest.mark.parametrize(("known", "model"), CAPACITORS)
def test_a_capacitor_follows_its_law_over_temperature(known, model) -> None:
    law, size = known.capacitors[model], (30 * UM, 20 * UM)
    for kelvin in (233.15, HOT):
        assert measured_capacitance(known, model, *size, kelvin) == pytest.approx(
            law.capacitance(*size, kelvin), rel=1e-9
        )
    side = law.side(1e-12)
    assert law.capacitance(side, side) == pytest.approx(1e-12, rel=1e-12)
    # The perimeter counts.
    assert abs(law.area * size[0] * size[1] / law.capacitance(*size) - 1) > 5e-3


@needs_process("gf180mcu")
def test_spread_and_voltage_of_a_capacitor() -> None:
    model, size = "cap_mim_1f5fF", (30 * UM, 30 * UM)
    law = GF180MCU.capacitors[model]
    nominal = measured_capacitance(GF180MCU, model, *size)
    assert measured_capacitance(GF180MCU, model, *size, sigmas=1.0) / nominal == pytest.approx(1 + law.spread, rel=1e-9)
    assert measured_capacitance(GF180MCU, model, *size, corner="ff") / nominal == pytest.approx(
        law.corners["ff"], rel=1e-9
    )
    # The coefficients stand in a comment of the file, so that ngspice does not heed them and the record's law does.
    assert measured_capacitance(GF180MCU, model, *size, volts=3.0) == pytest.approx(nominal, rel=1e-9)
    assert law.capacitance(*size, volts=3.0) / law.capacitance(*size) == pytest.approx(1 - 4.7724e-5, abs=1e-9)
    assert not law.voltage_simulated


def test_unknown_parts_are_errors_that_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="there are: sky130_fd_pr__res_generic_po"):
        measured_resistance(SKY130, "sky130_fd_pr__res_high_po", *SIZE)
    with pytest.raises(InputError, match="there are: cap_mim_2f0fF"):
        measured_capacitance(GF180MCU, "cap_mim", *SIZE)
