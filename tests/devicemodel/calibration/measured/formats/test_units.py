"""Units as they are written, and what is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thermograd.devicemodel.calibration.measured.formats.units import named_unit, parse_unit


@pytest.mark.parametrize(
    ("text", "quantity", "one"),
    [
        ("s", "time", 1.0), ("ms", "time", 1e-3), ("µs", "time", 1e-6), ("second", "time", 1.0), ("S", "time", 1.0),
        ("(us)", "time", 1e-6),
        ("Hz", "frequency", 1.0), ("kHz", "frequency", 1e3), ("MHz", "frequency", 1e6),
        ("mHz", "frequency", 1e-3), ("HZ", "frequency", 1.0),
        ("V", "volt", 1.0), ("Volt", "volt", 1.0), ("mV", "volt", 1e-3), ("mv", "volt", 1e-3), ("Vpk", "volt", math.sqrt(0.5)),
        ("dBV", "volt", 10 ** (1 / 20)), ("dBmV", "volt", 1e-3 * 10 ** (1 / 20)), ("dBµV", "volt", 1e-6 * 10 ** (1 / 20)),
        ("V²", "volt2", 1.0), ("mV^2", "volt2", 1e-6), ("V/rtHz", "volt/rtHz", 1.0), ("nV/√Hz", "volt/rtHz", 1e-9),
        ("V/sqrt(Hz)", "volt/rtHz", 1.0), ("V/Hz½", "volt/rtHz", 1.0), ("V/Hz^(1/2)", "volt/rtHz", 1.0), ("V_per_rtHz", "volt/rtHz", 1.0),
        ("Vrms/rtHz", "volt/rtHz", 1.0), ("dBV/rtHz", "volt/rtHz", 10 ** (1 / 20)), ("V^2/Hz", "volt2/Hz", 1.0), ("V²/Hz", "volt2/Hz", 1.0),
        ("Vrms2/Hz", "volt2/Hz", 1.0), ("v2_per_hz", "volt2/Hz", 1.0), ("uV^2/Hz", "volt2/Hz", 1e-12), ("dBm", "watt", 1e-3 * 10**0.1),
        ("DBM", "watt", 1e-3 * 10**0.1), ("dBm/Hz", "watt/Hz", 1e-3 * 10**0.1), ("W/Hz", "watt/Hz", 1.0),
    ],
)  # fmt: skip
def test_units_are_read_as_they_are_written(text, quantity, one):
    unit = parse_unit(text)
    assert unit.quantity == quantity
    np.testing.assert_allclose(unit.to_si(np.array([1.0])), [one], rtol=1e-14)


@pytest.mark.parametrize("text", ["A", "dB", "deg", "°C", "Ampere", "Ω", "%", "Sequence"])
def test_other_units_are_known_as_such(text):
    assert parse_unit(text).quantity == "other"


@pytest.mark.parametrize("text", ["", "mhz", "m", "n1", "V/Hz", "V2/rtHz", "dBmm", "CH1", "MV/", "1"])
def test_what_is_no_unit_has_none(text):
    assert parse_unit(text) is None


@pytest.mark.parametrize(
    ("column", "name", "unit"),
    [
        ("time (ms)", "time", "ms"), ("V(n1) [mV]", "V(n1)", "mV"), ("CH1(V)", "CH1", "V"),
        ("V(n2) (V)", "V(n2)", "V"), ("psd (V/sqrt(Hz))", "psd", "V/sqrt(Hz)"), ("freq_Hz", "freq", "Hz"), ("V(s)", "V(s)", None),
        ("measured_V_per_rtHz", "measured", "V_per_rtHz"), ("Zeit / ms", "Zeit", "ms"), ("psd (V/√Hz)", "psd", "V/√Hz"),
        ("node_a", "node_a", None),
        ("X(CH1)", "X(CH1)", None), ("CH_1", "CH_1", None), ("time_s", "time", "s"), ("density_v2_per_hz", "density", "v2_per_hz"),
    ],
)  # fmt: skip
def test_units_in_column_names(column, name, unit):
    found, parsed = named_unit(column)
    assert found == name
    assert (parsed.text if parsed else None) == unit
