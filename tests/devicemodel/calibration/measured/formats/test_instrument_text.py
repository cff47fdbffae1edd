"""Tables as oscilloscopes and analysers write them, by their makers' examples and manuals."""

from __future__ import annotations

import re

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.calibration.measured.formats import read_bench_file

TDS = """Record Length,2.500000e+03,,  -0.000002000000,  0.00146,
Sample Interval,1.000000e-06,,  -0.000001000000,   0.00292,
Trigger Point,1.250000000000e+03,,  0.000000000000,   0.50000,
,,,  0.000001000000,   0.75000,
Source,CH2,,  0.000002000000,   0.87500,
Vertical Units,V,,  0.000003000000,   0.93750,
Horizontal Units,s,,  0.000004000000,   0.96875,
Probe Atten,1.000000e+00,,  0.000005000000,   0.98437,
Model Number,TDS2024B,,  0.000006000000,   0.99218,
"""
MSO = """Model,MSO4104
Firmware Version,2.83

Point Format,Y,
Horizontal Units,S,
Horizontal Scale,4e-06,
Sample Interval,1e-06,
Record Length,4,
Gating,0.0% to 100.0%,
Probe Attenuation,10,1
Vertical Units,V,A
Vertical Scale,0.5,1
Label,,
TIME,CH1,CH2
-1.0e-06,0.25,7
0.0e+00,0.5,7
1.0e-06,0.75,7
2.0e-06,0.875,7
"""
KEYSIGHT = "x-axis,1,2\r\nsecond,Volt,Volt\r\n-1.00E-06,+0.0E+00,-402.0E-06\r\n+0.00E-06,+0.5E+00,1\r\n+1.00E-06,750.0E-03,2\r\n"
RIGOL = "X,CH1,CH2,Start,Increment,\nSequence,Volt,Volt,-1.000000e-06,1.000000e-06\n0,4.72e+01,2.40e+00,\n1,5.0e-01,3.2,\n2,7.5e-1,3.2,\n"
RIGOL_T0 = "CH1(V),CH2(V),t0 = -1.000000e-06, tInc = 1.000000e-06,\n0.25,1.5,,\n0.5,2.5,,\n0.75,3.5,,\n"
RIGOL_OLD = "Time,X(CH1),X(CH2)\nSecond,Volt,Volt\n-1e-6,0.1,1\n0,0.5,1\n1e-6,0.75,1\n"
SIGLENT = "Record Length,Analog:3\nSample Interval,Analog:1e-6\nSource,CH1\nSecond,Volt\n-1e-6,0.1\n0,0.5\n1e-6,0.75\n"
FSV = "Type;FSV-7;\nVersion;2.30;\nRBW;3000,000;Hz\nTrace Mode;AVERAGE;\nSweep Count;20;\nx-Unit;Hz;\ny-Unit;dBm;\nValues;2;\n9000,0;-80,0;\n9100,5;-90,0;\n"  # noqa: E501
N9020 = "Trace\nSwept SA\nA.20.12,N9020A\nAverage Count,100\nAverage Type,LogPower(Video)\nRBW,1000\nX Axis Units,Hz\nY Axis Units,dBm\nDATA\n9000,-80\n9100,-90\n"  # noqa: E501


def read(tmp_path, text, **stated):
    path = tmp_path / "bench.csv"
    path.write_text(text, encoding="utf-8")
    (table,) = read_bench_file(path, **stated)
    return table


def rejection(tmp_path, text, **stated):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, **stated)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "channel", "layout", "volts"),
    [
        (TDS, "CH2", "Tektronix TDS or TBS", [0.5, 0.75, 0.875, 0.9375, 0.96875, 0.98437, 0.99218]),
        (MSO, "CH1", "a Tektronix oscilloscope", [0.5, 0.75, 0.875]),
        (KEYSIGHT, "1", "Keysight", [0.5, 0.75]),
        (KEYSIGHT, "CH1", "Keysight", [0.5, 0.75]),
        (RIGOL, "CH1", "Rigol oscilloscope's CSV, times from start", [0.5, 0.75]),
        (RIGOL_T0, "CH1", "Rigol oscilloscope's CSV, times from t0", [0.5, 0.75]),
        (RIGOL_OLD, "X(CH1)", "names and units in two lines", [0.5, 0.75]),
        (SIGLENT, "CH1", "units above its columns", [0.5, 0.75]),
    ],
)
def test_oscilloscopes(text, channel, layout, volts, tmp_path):
    table = read(tmp_path, text, nodes={channel: "n1"}, std=1e-3, start=0.0)
    assert table.kind == "trace"
    np.testing.assert_allclose(table.columns["volts"], volts, rtol=1e-12)
    np.testing.assert_allclose(table.columns["time_s"], 1e-6 * np.arange(len(volts)), rtol=1e-12, atol=1e-20)
    assert layout in table.notes[0]
    assert any(re.match(r"\d times before the start at 0 s are left out", note) for note in table.notes)
    message = rejection(tmp_path, text, nodes={channel: "n1"})
    assert re.search(
        r"does not say at which of its times .* \(times begin at -[12]e-06 s, before the trigger\): start=0 ", message
    )
    assert message.endswith("nor the standard error of its readings in V: std=1e-3")


def test_readings_that_are_empty_before_the_start_do_no_harm(tmp_path):
    text = "x-axis,1,2\nsecond,Volt,Volt\n-2E-3,,\n-1E-3,,\n0,1,2\n1E-3,3,\n"
    assert read(tmp_path, text, nodes={"1": "n1"}, std=1e-3, start=0.0).columns["volts"].tolist() == [1.0, 3.0]


def test_currents_are_left_out_and_readings_in_them_raise(tmp_path):
    table = read(tmp_path, MSO, nodes={"CH1": "n1"}, std=1.0, start=0.0)
    assert "left out: 'CH2'" in table.notes
    assert "'CH2' is in 'A', but a trace needs volt" in rejection(
        tmp_path, MSO, nodes={"CH2": "n1"}, std=1.0, start=0.0
    )
    assert "does not say the node of 'CH1': nodes" in rejection(tmp_path, MSO, std=1.0, start=0.0)


def test_times_with_too_few_digits_are_counted_by_the_sample_interval(tmp_path):
    text = MSO.replace("0.0e+00,0.5", "-1.0e-06,0.5").replace("1.0e-06,0.75", "1e-6,0.75")
    table = read(tmp_path, text, nodes={"CH1": "n1"}, std=1.0, start=-1e-6)
    np.testing.assert_allclose(table.columns["time_s"], [0, 1e-6, 2e-6, 3e-6], atol=1e-20)
    assert any("counted by the sample interval of 1e-06 s" in note for note in table.notes)
    other = text.replace("Sample Interval,1e-06", "Sample Interval,1e-03")  # it does not fit the times
    assert "line 16: the same quantity as line 15" in rejection(
        tmp_path, other, nodes={"CH1": "n1"}, std=1.0, start=-1e-6
    )


@pytest.mark.parametrize("text", [FSV, N9020])
def test_spectrum_analysers(text, tmp_path):
    bandwidth, averages = (3000.0, 20.0) if text is FSV else (1000.0, 100.0)
    table = read(tmp_path, text, nodes={"1": "n1"}, impedance=50.0)
    np.testing.assert_allclose(table.columns["density_v2_per_hz"], 50 * 1e-3 * np.array([1e-8, 1e-9]) / bandwidth)
    assert table.columns["frequency_hz"].tolist() == ([9000.0, 9100.5] if text is FSV else [9000.0, 9100.0])
    assert set(table.columns["averages"].tolist()) == {averages}
    assert any(f"RBW of {bandwidth:g} Hz is taken" in note for note in table.notes)
    assert any("2.5 dB low" in note for note in table.notes) == (text is N9020)
    assert rejection(tmp_path, text, nodes={"1": "n1"}).endswith(
        "does not say the impedance of its powers in ohm: impedance=50"
    )
    wider = read(tmp_path, text, nodes={"1": "n1"}, impedance=50.0, rbw=2 * bandwidth, averages=7)
    np.testing.assert_allclose(wider.columns["density_v2_per_hz"] * 2, table.columns["density_v2_per_hz"])
    assert set(wider.columns["averages"].tolist()) == {7.0}


@pytest.mark.parametrize(
    ("unit", "reading", "needed"),
    [
        ("V/rtHz", 1e-6, ""), ("µV/√Hz", 1.0, ""), ("V^2/Hz", 1e-12, ""), ("dBV/rtHz", -120.0, ""), ("dBV", -110.0, "rbw"),
        ("mV", 1e-3 * 10**0.5, "rbw"), ("V^2", 1e-11, "rbw"), ("dBm/Hz", -107.0 + 0.01029995663981, "impedance"),
        ("dBm", -97.0 + 0.01029995663981, "rbw impedance"), ("W/Hz", 2e-14, "impedance"), ("Vpk/rtHz", 1e-6 * 2**0.5, ""),
        ("dBµV", 10.0, "rbw"),
    ],
)  # fmt: skip
def test_each_unit_of_a_spectrum_is_the_same_density(unit, reading, needed, tmp_path):
    """1e-12 V^2/Hz: in 10 Hz and on 50 ohm, -110 dBV, 2e-14 W/Hz, -107 dBm/Hz + 10 lg 1.0024."""
    text = f"freq (kHz),psd ({unit}),phase (deg)\n0,{reading!r},0\n1,{reading!r},0\n2,{reading!r},0\n"
    given = {"rbw": 10.0, "impedance": 50.0}
    table = read(tmp_path, text, nodes={"psd": "n1"}, averages=9, **{name: given[name] for name in needed.split()})
    np.testing.assert_allclose(table.columns["density_v2_per_hz"], 1e-12, rtol=1e-6)
    assert table.columns["frequency_hz"].tolist() == [1000.0, 2000.0]
    assert "the reading at 0 Hz is left out" in table.notes
    for name in needed.split():
        message = rejection(
            tmp_path, text, nodes={"psd": "n1"}, averages=9, **{n: given[n] for n in needed.split() if n != name}
        )
        assert message.endswith(f"{name}={'10' if name == 'rbw' else '50'}")
        assert message.count("=") == 1


@pytest.mark.parametrize(
    ("text", "stated", "message"),
    [
        ("time,CH1\n0,1\n1,2\n", {}, r"does not say the unit of 'time': units={\"time\": \"s\"}"),
        ("time (s),CH1\n0,1\n1,2\n", {}, r"does not say the node of 'CH1': .*; nor the unit of 'CH1': .*; nor the standard error"),
        ("time (s),CH1\n0,1\n1,2\n", {"units": {"CH1": "furlong"}}, "units says 'furlong' of 'CH1', which is no unit"),
        ("time (s),CH1\n0,1\n1,2\n", {"units": {"CH3": "V"}}, r"units names 'CH3', but the columns are time \(s\), CH1"),
        ("time (s),T (K)\n0,1\n1,2\n", {}, r"no channel holds what a trace needs; the columns are T \(K\) \(K\)"),
        ("a,b\n0,1\n1,2\n", {}, "none of the columns 'a', 'b' is a time or a frequency"),
        ("t1 (s),t2 (s)\n0,1\n1,2\n", {}, r"columns 't1 \(s\)', 't2 \(s\)' are all times"),
        ("0,1\n1,2\n", {}, "line 1: 2 columns of numbers without names"),
        ("time (s),V(a) [V]\n0,1,5\n1,2,5\n", {}, "line 2: 3 columns of numbers below 2 names.*separate columns by semicolons"),
        ("x-axis,1\nsecond,Volt\n-1,\n1,\n2,5\n", {"std": 1, "start": 0, "nodes": {"1": "a"}}, "line 4: volts = nan: .*remove the row"),
        ("time (s),V(a) [V]\n0,1\nx,2\n2,3\n", {"std": 1}, "line 3: time .s. is not a number"),
        ("time (s),V(a) [V]\n0,1\n1,\n2,3\n", {"std": 1}, "line 3: volts = nan: .*remove the row"),
        ("time (s),V(a) [V]\n0,1\n1,2\n1,3\n", {"std": 1}, r"line 4: the same quantity as line 3 \(1, a\); average them"),
        ("time (s),V(a) [V]\n0,1\n1,2,3\n", {"std": 1}, "line 3: 3 cells, but there are 2 columns"),
        ("X,CH1,Start,Increment,\nSequence,Volt,a,b\n0,1,\n1,2,\n", {}, "start and increment of the times in its header are no numbers"),
        ("freq (Hz),V(a) [dBV]\n1,1\n2,1\n", {"averages": 3, "rbw": -1.0}, "rbw = -1.0: a finite number > 0"),
        ("hello\n", {}, "is no table that is known"),
        ("", {}, "is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text, stated, message, tmp_path):
    assert re.search(message, rejection(tmp_path, text, **stated))
