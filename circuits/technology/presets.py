"""The shipped technologies and thermal situations by name, and `as_technology`, by which every argument may be a name or a record."""

from __future__ import annotations

from ..errors import InputError
from .converters import Converter, Link
from .foundry_areas import foundry_areas
from .parts import Capacitors, Inductors, OpAmp, Resistors, Switches, Thermal, Wires
from .provenance import Figure
from .technology import Technology
from .technology_record import TechnologyRecord, shipped_records

# All four: a die of 5 mm by 5 mm by 0.3 mm in 8 x 8 cells, so the silicon carries 148 W/(m K) * 0.3 mm = 0.044 W/K between neighbours.
# Order-of-magnitude figures from handbook constants, none of them measured on a device.
SITUATIONS: dict[str, Thermal] = {
    "isolated": Thermal(
        ambient_rms=0.1,
        to_ambient=4e-5,
        to_neighbour=0.044,
        to_hot=0.0,
        source="in an oven held to 0.1 K, on 3 mm of glass epoxy (0.3 W/(m K)) in still air (10 W/(m^2 K)): 390 K/W in all; "
        "nothing hot is near, and its own heat hardly leaves",
    ),
    "packaged": Thermal(
        ambient_rms=2.0,
        to_ambient=5e-4,
        to_neighbour=0.044,
        to_hot=1e-4,
        source="QFN with a soldered pad on a four-layer board, 31 K/W in all (data sheets: 25 to 40); a GPU at 360 K some 5 cm "
        "away, whose heat is mostly lost on the way",
    ),
    "beside a GPU": Thermal(
        ambient=318.15,
        ambient_rms=5.0,
        to_ambient=5e-4,
        to_neighbour=0.044,
        to_hot=3e-3,
        source="the same package in 45 C air, 5 mm from a GPU at 360 K: two 35 um copper planes (390 W/(m K), 0.027 W/K a square) "
        "over an eighth of a square for each cell of the edge",
    ),
    "bare": Thermal(
        ambient=318.15,
        ambient_rms=5.0,
        to_ambient=4e-3,
        to_neighbour=0.044,
        to_hot=1e-2,
        source="no package: 1 mm from a GPU at 360 K on 0.1 mm of silicon interposer (148 W/(m K)), under its cooler, which takes "
        "0.5 W/mm^2 at 45 K, 11 kW/(m^2 K)",
    ),
}
"""Named thermal situations, from well isolated from the neighbour to not at all; see `thermal_preset`."""


# Energies are representative, none of them measured on a device; docs/cost.md says how they were found. Converters: medians of B. Murmann's
# ADC survey 1997-2025 (github.com/bmurmann/ADC-survey), designs since 2015 with 15 to 17 and with 7 to 9 effective bits; DACs are taken to
# be as good. Link: an I/O in 32 nm SOI, 1.4 pJ/b over 0.75 inch of board. Codes: 10 pJ for 64 bits of an 8 kB SRAM (M. Horowitz, ISSCC
# 2014).
FINE_STEP, COARSE_STEP, LINK_BIT, CODE_BIT = 8.5e-14, 3.05e-14, 1.4e-12, 1.6e-13

PRESETS: dict[str, Technology] = {
    tech.name: tech
    for tech in (
        Technology(
            name="ideal",
            source="perfect parts: no tolerance, no noise, infinite gain and resolution",
            thermal=Thermal(johnson_noise=False),
        ),
        Technology(
            name="paper",
            source="timing model of arXiv:2405.13817: 1 kOhm, 1 nF, 16 bit, 50 Gb/s; amplifiers not stated there: ideal; "
            "energies not stated there: representative (docs/cost.md)",
            resistors=Resistors(write_energy=CODE_BIT),
            dac=Converter(bits=16, figure_of_merit=FINE_STEP),
            adc=Converter(bits=16, max_gain=64, figure_of_merit=FINE_STEP),
            link=Link(energy=LINK_BIT),
        ),
        Technology(
            name="breadboard",
            source="1 % metal film (E96, 100 ppm/K), 5 % film capacitors, 5 % chokes, typical values of the TL072 op-amp at +-15 V, "
            "12 bit converters",
            resistors=Resistors(unit=1e3, tolerance=0.005, tc1=1e-4, series="E96"),
            capacitors=Capacitors(unit=1e-8, tolerance=0.025),
            inductors=Inductors(tolerance=0.025),
            opamp=OpAmp(
                outputs=1,
                gain=2e5,
                gbw=3e6,
                offset=3e-3,
                output_limit=10.0,
                slew=1.3e7,
                output_resistance=125.0,
                output_current=4e-2,
                bias_current=6.5e-11,
                noise_voltage=1.8e-8,
                noise_voltage_corner=100.0,
                noise_current=1e-14,
                power=4.2e-2,
                supply=15.0,
            ),
            dac=Converter(bits=12, full_scale=10.0, gain_error=1e-3, offset=1e-3),
            adc=Converter(bits=12, full_scale=10.0, gain_error=1e-3, offset=1e-3, noise=5e-4, max_gain=64),
            thermal=Thermal(
                ambient_rms=2.0,
                to_neighbour=2e-3,
                to_ambient=1e-3,
                to_hot=1e-4,
                amplifiers_apart=True,
                heat_capacity=0.15,
                source="a board of 57 mm by 57 mm in still air, 10 W/(m^2 K) from both sides: 16 K/W in all; 1.6 mm of glass epoxy, "
                "1.9 MJ/(m^3 K); of the amplifiers' packages (two in a DIP-8 at 85 K/W, 7 K warmer than the air) the resistors are taken "
                "to feel nothing",
            ),
        ),
        Technology(
            name="integrated",
            source="representative of a CMOS array (1 % matching, 66 dB amplifiers on 1.8 V, 8 bit; energies: docs/cost.md), no foundry's",
            resistors=Resistors(unit=1e4, tolerance=0.01, tc1=1e-3, bits=8, write_energy=CODE_BIT),
            capacitors=Capacitors(unit=1e-11, tolerance=0.005),
            inductors=Inductors(tolerance=0.005),
            opamp=OpAmp(
                gain=2e3,
                gbw=5e8,
                offset=5e-4,
                output_limit=1.0,
                output_current=5e-3,
                second_pole=1.5e9,
                slew=3e8,
                noise_voltage=5e-9,
                noise_voltage_corner=1e5,
                common_mode_gain=1e3,
                common_mode_gbw=2e8,
                power=5e-4,
                supply=0.9,
            ),
            switches=Switches(on_resistance=100.0, leakage=1e-10),
            wires=Wires(
                segment_resistance=1.0, segment_capacitance=2e-15, crosspoint_capacitance=1e-15, input_capacitance=5e-14
            ),
            dac=Converter(bits=8, gain_error=2e-3, offset=5e-4, figure_of_merit=COARSE_STEP, rate=1e8),
            adc=Converter(
                bits=8,
                gain_error=2e-3,
                offset=5e-4,
                noise=5e-4,
                max_gain=64,
                figure_of_merit=COARSE_STEP,
                rate=1e8,
            ),
            link=Link(energy=LINK_BIT),
            thermal=SITUATIONS["packaged"],
            area=foundry_areas(
                "gf180mcu",
                amplifier=Figure(
                    value=5e-9, kind="chosen", source="70 um by 70 um; no design is behind the preset's figures"
                ),
                switch=Figure(
                    value=4e-11,
                    kind="chosen",
                    source="transmission gate of 10 um and 20 um of gate width, for 100 ohm at 1.8 V",
                ),
            ),
        ),
    )
}

RECORDS: dict[str, TechnologyRecord] = shipped_records()
"""The presets that were made from foundries' models, figure by figure with its source; see `docs/silicon.md`."""
PRESETS |= {name: record.technology() for name, record in RECORDS.items()}


def preset(name: str) -> Technology:
    """One of the shipped technologies: `ideal`, `paper`, `breadboard`, `integrated`, and those made from open foundries' models,
    `gf180mcu` and `sky130`, which need no PDK (`RECORDS` has the source of each of their figures).

    Raises:
        InputError: there is no technology of that name.
    """
    try:
        return PRESETS[name]
    except (KeyError, TypeError):
        file = isinstance(name, str) and name.endswith((".toml", ".json"))
        remedy = f"; a file is read by Technology.read({name!r})" if file else ""
        raise InputError(f"technology preset {name!r} is unknown; there are: {', '.join(PRESETS)}{remedy}") from None


def thermal_preset(name: str) -> Thermal:
    """One of the named thermal situations of a die: `isolated`, `packaged`, `beside a GPU`, `bare`.

    For `technology.replace(thermal=thermal_preset(name))`.

    Raises:
        InputError: there is no situation of that name.
    """
    try:
        return SITUATIONS[name]
    except (KeyError, TypeError):
        raise InputError(f"thermal situation {name!r} is unknown; there are: {', '.join(SITUATIONS)}") from None


def as_technology(technology: Technology | str) -> Technology:
    """A technology that is given as a record, or by the name of a preset.

    Raises:
        InputError: neither a record nor the name of a preset.
    """
    if not isinstance(technology, Technology | str):
        raise InputError(f"technology is a {type(technology).__name__}: give a Technology or the name of a preset")
    return technology if isinstance(technology, Technology) else preset(technology)
