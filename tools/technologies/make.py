"""A technology record from a design and a foundry's models: what stands there, and what ngspice finds on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from thermograd.circuits.amplifiers.characterise import characterise
from thermograd.circuits.amplifiers.process_amplifier import process_amplifier
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.process_bench.transmission_gates import TransmissionGate, leakage, on_resistance
from thermograd.circuits.spice.read import parse_spice
from thermograd.circuits.technology.pdk.process_record import Process
from thermograd.circuits.technology.pdk.registry import process
from thermograd.circuits.technology.presets import COARSE_STEP, CODE_BIT, LINK_BIT, SITUATIONS
from thermograd.circuits.technology.technology_record import TechnologyRecord

from .area import GATES, add_area
from .designs import Design
from .figures import Figures
from .mismatch import add_mismatch

COMMAND = "make technologies"
ROOM = 300.15
"""Temperature of the figures, K."""


def record_of(design: Design) -> TechnologyRecord:
    """The record of a design: some 20 s of simulations.

    Raises:
        InputError: the process's models are not installed.
    """
    of, found = process(design.process), Figures()
    _resistors(found, design, of)
    _capacitors(found, design, of)
    _amplifier(found, design, of)
    add_mismatch(found, design, of, process_amplifier(design.process))
    _switches(found, design, of)
    _wires(found, design, of)
    _converters(found, design)
    add_area(found, design, of, process_amplifier(design.process))
    order = ("resistors", "capacitors", "opamp", "switches", "wires", "dac", "adc", "link", "thermal", "area")
    return TechnologyRecord(
        name=design.process,
        process=design.process,
        pdk=f"{of.distribution} {of.version}",
        simulator=f"ngspice {_ngspice_version()}",
        command=COMMAND,
        summary=design.summary,
        sources=found.sources,
        figures={part: found.figures[part] for part in order if part in found.figures},
    )


def _ngspice_version() -> str:
    return run(parse_spice("version\nV1 a 0 1\nR1 a 0 1"), OperatingPoint()).ngspice_version


def _resistors(found: Figures, design: Design, of: Process) -> None:
    part = of.resistors[design.resistor]
    length = part.length(design.width, design.unit_resistor)
    # The law is quadratic in temperature, so that three points are exact.
    low, here, high = (part.resistance(design.width, length, ROOM + step) for step in (-10.0, 0.0, 10.0))
    size = f"{1e6 * design.width:g} um x {1e6 * length:.1f} um of {part.model}"
    found.add(
        "resistors",
        "unit_resistor",
        "chosen",
        f"a unit resistor of {design.unit_resistor:g} ohm, {size}; columns of 8 unknowns load an amplifier with some 65 kohm",
        unit=design.unit_resistor,
        area=design.width * length,
    )
    found.add(
        "resistors",
        "resistor_model",
        "foundry",
        f"{part.source}; {size} about {ROOM:g} K",
        tc1=(high - low) / 20 / here,
        tc2=(high - 2 * here + low) / 200 / here,
        die_to_die=part.spread or None,
    )
    found.add(
        "resistors",
        "resistor_mismatch",
        part.mismatch_kind,
        part.mismatch_source,
        pelgrom_coefficient=part.pelgrom_coefficient,
    )
    found.add("resistors", "codes", "chosen", "8 bits, codes in an SRAM beside, as `integrated`", bits=8)
    found.add(
        "resistors",
        "code_energy",
        "published",
        "10 pJ for 64 bits of an 8 kB SRAM (M. Horowitz, ISSCC 2014), as `integrated`; a newer process's",
        write_energy=CODE_BIT,
    )


def _capacitors(found: Figures, design: Design, of: Process) -> None:
    part = of.capacitors[design.capacitor]
    side = part.side(design.unit_capacitor)
    size = f"{1e6 * side:.1f} um x {1e6 * side:.1f} um of {part.model}"
    found.add(
        "capacitors",
        "unit_capacitor",
        "chosen",
        f"{design.unit_capacitor:g} F, {size}: {design.unit_resistor * design.unit_capacitor:g} s with the unit resistor",
        unit=design.unit_capacitor,
        area=side**2,
    )
    found.add("capacitors", "capacitor_model", "foundry", part.source, die_to_die=part.spread or None)
    found.add(
        "capacitors",
        "capacitor_mismatch",
        part.mismatch_kind,
        part.mismatch_source,
        pelgrom_coefficient=part.pelgrom_coefficient,
    )


def _amplifier(found: Figures, design: Design, of: Process) -> None:
    amplifier, load, name, volts = process_amplifier(design.process), design.load_resistance, design.process, of.supply
    under = f"{load:g} ohm and {design.load_capacitance:g} F at each output"
    measured = characterise(amplifier, None, load, design.load_capacitance, ROOM, common_mode="ref")
    opamp = measured.opamp
    # Its capacitance alone is in the second pole, its resistance in the gain.
    figures = {key: value for key, value in opamp.model_dump(exclude_defaults=True).items() if key != "offset"}
    found.add(
        "opamp",
        "amplifier",
        "simulated",
        f"examples/amplifiers/{name}.cir, corner tt, {ROOM:g} K, {under}",
        f"thermograd characterise examples/amplifiers/{name}.cir --subckt {name} --inputs inp,inn --outputs outp,outn "
        f"--supply vdd={volts:g} --supply vss=0 --supply ref={volts / 2:g} --reference {volts / 2:g} --load-resistance {load:g} "
        f"--load-capacitance {1e12 * design.load_capacitance:g}p --common-mode ref",
        **figures,
    )
    found.add("opamp", "supply_voltage", "foundry", f"{of.title}: {volts:g} V, half on either side", supply=volts / 2)


def _switches(found: Figures, design: Design, of: Process) -> None:
    length, middle = of.nmos.min_length, of.supply / 2
    gate = TransmissionGate(of, *GATES, length)
    signals = middle + np.linspace(-design.full_scale / 2, design.full_scale / 2, 9)
    ohms = on_resistance(gate, signals.tolist(), ROOM)
    leaks = leakage(gate, middle + design.full_scale / 2, middle, ROOM)
    found.add(
        "switches",
        "transmission_gate",
        "simulated",
        f"transmission gate of {1e6 * GATES[0]:g} and {1e6 * GATES[1]:g} um, {1e6 * length:g} um long, corner tt, at half of the supply; "
        f"closed {ohms.min():.0f} to {ohms.max():.0f} ohm within {design.full_scale / 2:g} V of it, open with as many V across it",
        COMMAND,
        on_resistance=float(ohms[len(ohms) // 2]),
        leakage=max(map(abs, leaks)) / (design.full_scale / 2),
    )


def _wires(found: Figures, design: Design, of: Process) -> None:
    squares = design.pitch / design.line
    beneath = of.resistors[design.resistor].substrate_capacitance
    found.add(
        "wires",
        "lines",
        "published",
        f"not in the model files: {design.wires}; here {1e6 * design.pitch:g} um of {1e6 * design.line:g} um from crosspoint to crosspoint",
        segment_resistance=design.sheet * squares,
        segment_capacitance=design.line_capacitance * design.pitch,
    )
    found.add(
        "wires",
        "crossings",
        "chosen",
        f"as `integrated`, representative; beside it a resistor's own {1e15 * beneath * 1e-10:.2g} fF per 100 um^2 to the substrate",
        crosspoint_capacitance=1e-15,
    )


def _converters(found: Figures, design: Design) -> None:
    shared: dict[str, Any] = {"bits": 8, "full_scale": design.full_scale, "gain_error": 2e-3, "offset": 5e-4}
    what = "8 bits with the errors of `integrated`; full scale within the amplifier's swing"
    found.add("dac", "converters", "chosen", what, **shared)
    found.add("adc", "converters", "chosen", what, **shared, noise=5e-4, max_gain=64.0)
    survey = (
        "median of 7 to 9 effective bits since 2015 in B. Murmann's ADC survey, as `integrated`; most of newer processes; "
        "DACs are taken to be as good"
    )
    for kind in ("dac", "adc"):
        found.add(kind, "converter_energy", "published", survey, figure_of_merit=COARSE_STEP, rate=1e8)
    found.add(
        "link",
        "link_energy",
        "published",
        "an I/O in 32 nm SOI over 0.75 inch of board, as `integrated`",
        energy=LINK_BIT,
    )
    package = SITUATIONS["packaged"]
    figures = package.model_dump(exclude_defaults=True, exclude={"source"})
    found.add("thermal", "package", "chosen", f"as `integrated`: {package.source}", **figures)
