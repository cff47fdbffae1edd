"""The shipped technologies and thermal situations; `Technology.preset` and `Thermal.preset` look them up by name."""

from __future__ import annotations

from .technology import Capacitors, Converter, OpAmp, Resistors, Switches, Technology, Thermal, Wires

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
"""Named thermal situations, from well isolated from the neighbour to not at all; see `Thermal.preset`."""


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
            source="timing model of arXiv:2405.13817: 1 kOhm, 1 nF, 16 bit, 50 Gb/s; amplifiers not stated there: ideal",
            dac=Converter(bits=16),
            adc=Converter(bits=16, max_gain=64),
        ),
        Technology(
            name="breadboard",
            source="1 % metal film (E96, 100 ppm/K), 5 % film capacitors, typical values of the TL072 op-amp, 12 bit converters",
            resistors=Resistors(unit=1e3, tolerance=0.005, tc1=1e-4, series="E96"),
            capacitors=Capacitors(unit=1e-8, tolerance=0.025),
            opamp=OpAmp(
                gain=2e5,
                gbw=3e6,
                offset=3e-3,
                rail=10.0,
                slew=1.3e7,
                output_resistance=125.0,
                bias_current=6.5e-11,
                noise_voltage=1.8e-8,
                noise_voltage_corner=100.0,
                noise_current=1e-14,
                power=4.2e-2,
            ),
            dac=Converter(bits=12, full_scale=10.0, gain_error=1e-3, offset=1e-3),
            adc=Converter(bits=12, full_scale=10.0, gain_error=1e-3, offset=1e-3, noise=5e-4, max_gain=64),
            thermal=Thermal(ambient_rms=2.0, to_neighbour=2e-3, to_ambient=1e-3, to_hot=1e-4),
        ),
        Technology(
            name="integrated",
            source="representative of a CMOS array (1 % matching, 66 dB amplifiers, 8 bit); no foundry's data",
            resistors=Resistors(unit=1e4, tolerance=0.01, tc1=1e-3, bits=8),
            capacitors=Capacitors(unit=1e-11, tolerance=0.005),
            opamp=OpAmp(
                gain=2e3,
                gbw=5e8,
                offset=5e-4,
                rail=1.0,
                second_pole=1.5e9,
                slew=3e8,
                noise_voltage=5e-9,
                noise_voltage_corner=1e5,
                common_mode_gain=1e3,
                common_mode_gbw=2e8,
                power=5e-4,
            ),
            switches=Switches(on_resistance=100.0, leakage=1e-10),
            wires=Wires(
                segment_resistance=1.0, segment_capacitance=2e-15, crosspoint_capacitance=1e-15, input_capacitance=5e-14
            ),
            dac=Converter(bits=8, gain_error=2e-3, offset=5e-4),
            adc=Converter(bits=8, gain_error=2e-3, offset=5e-4, noise=5e-4, max_gain=64),
            thermal=Thermal(ambient_rms=2.0, to_hot=1e-4),
        ),
    )
}
