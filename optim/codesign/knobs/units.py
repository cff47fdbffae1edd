"""Units of a technology's numbers, and levels of those that are often studied. All else of a knob is read off the record's own fields."""

from __future__ import annotations

from .knob import SHARE

_VARIED = ("resistors", "capacitors", "inductors")
_CONVERTERS = ("dac", "adc")


def _of(*parts: str, names: str) -> tuple[str, ...]:
    return tuple(f"{part}.{name}" for part in parts for name in names.split())


_BY_UNIT: dict[str, tuple[str, ...]] = {
    SHARE: (
        *_of(*_VARIED, names="tolerance die_to_die gradient"),
        *_of("resistors", names="range_error write_noise relative_write_noise read_noise"),
        *_of(*_CONVERTERS, names="gain_error gain_mismatch inl attenuation_error"),
        *_of("area", names="overhead"),
    ),
    "": (
        *_of("resistors", names="on_off slices drive_ranges conductance_drift conductance_drift_spread"),
        *_of("opamp", names="outputs gain common_mode_gain"),
        *_of(*_CONVERTERS, names="max_gain attenuations count"),
        *_of("thermal", names="cells"),
    ),
    "bit": (*_of("resistors", *_CONVERTERS, names="bits"), *_of("link", names="word")),
    "LSB": _of(*_CONVERTERS, names="dnl"),
    "ohm": (
        *_of("resistors", names="unit"),
        *_of("opamp", names="output_resistance"),
        *_of("switches", names="on_resistance"),
        *_of("wires", names="segment_resistance"),
        *_of(*_CONVERTERS, names="resistance"),
    ),
    "ohm a square": _of("area", names="sheet_resistance"),
    "S": _of("switches", *_CONVERTERS, names="leakage"),
    "F": (
        *_of("capacitors", names="unit"),
        *_of("wires", names="segment_capacitance crosspoint_capacitance input_capacitance"),
        *_of(*_CONVERTERS, names="capacitance"),
    ),
    "F/m^2": _of("area", names="capacitance_density"),
    "H": _of("inductors", names="unit"),
    "m": (
        *_of(*_VARIED, names="pelgrom_coefficient"),
        *_of("area", names="resistor_width resistor_head resistor_spacing capacitor_border line_pitch"),
    ),
    "m^2": (
        *_of(*_VARIED, names="area"),
        *_of("opamp", names="input_area"),
        *_of("area", names="amplifier switch bit dac adc"),
    ),
    "V": (
        *_of("opamp", names="offset output_limit common_mode_offset supply"),
        *_of(*_CONVERTERS, names="full_scale offset noise"),
    ),
    "V m": _of("opamp", names="offset_pelgrom_coefficient"),
    "V/s": _of("opamp", names="slew"),
    "V/sqrt(Hz)": _of("opamp", names="noise_voltage"),
    "A": _of("opamp", names="output_current bias_current"),
    "A/sqrt(Hz)": _of("opamp", names="noise_current"),
    "Hz": (
        *_of("opamp", names="gbw second_pole noise_voltage_corner noise_current_corner common_mode_gbw"),
        *_of(*_CONVERTERS, names="bandwidth"),
    ),
    "1/s": _of(*_CONVERTERS, names="rate"),
    "bit/s": _of("link", names="rate"),
    "J": (
        *_of("resistors", names="write_energy"),
        *_of(*_CONVERTERS, names="figure_of_merit"),
        *_of("link", names="energy"),
    ),
    "J/K": _of("thermal", names="heat_capacity"),
    "W": (*_of("opamp", "thermal", names="power"), *_of("opamp", names="standby")),
    "W/K": _of("thermal", names="to_ambient to_neighbour to_hot"),
    "K": _of("thermal", names="reference ambient ambient_rms hot_temperature"),
    "1/K": _of("resistors", names="tc1"),
    "1/K^2": _of("resistors", names="tc2"),
    "s": (*_of("resistors", names="conductance_drift_time"), *_of("thermal", names="ambient_time between_runs")),
}

UNITS: dict[str, str] = {name: unit for unit, names in _BY_UNIT.items() for name in names}
"""Unit of each number of a technology by its name, such as `adc.noise`: SI, `SHARE` for a share, "" for a plain number."""

LEVELS: dict[str, tuple[float | str, ...]] = {
    "resistors.tolerance": (0.003, 0.01, 0.03, 0.1, 0.3),
    "capacitors.tolerance": (0.003, 0.01, 0.03, 0.1, 0.3),
    "resistors.bits": (4, 5, 6, 8, 10),
    "resistors.slices": (1, 2),
    "resistors.write_noise": (0.003, 0.01, 0.03),
    "resistors.read_noise": (0.003, 0.01, 0.03),
    "resistors.conductance_drift": (0.0, 0.01, 0.03, 0.1),
    "opamp.gain": (100.0, 1e3, 1e4, 1e5),
    "opamp.gbw": (1e6, 1e7, 1e8, 1e9),
    "opamp.offset": (0.0, 1e-4, 1e-3, 1e-2),
    "opamp.noise_voltage": (0.0, 1e-9, 1e-8, 1e-7),
    "dac.bits": (4, 6, 8, 10),
    "adc.bits": (2, 3, 4, 6, 8, 10),
    "adc.noise": (0.0, 1e-4, 1e-3, 1e-2),
    "dac.inl": (0.0, 1e-3, 3e-3, 1e-2),
    "adc.inl": (0.0, 1e-3, 3e-3, 1e-2),
    "thermal.to_hot": (0.0, 1e-3, 3e-3, 1e-2, 1e-1),
    "thermal.ambient_rms": (0.0, 1.0, 3.0, 10.0),
}
"""Of a study that names none."""
