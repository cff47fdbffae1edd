"""Any file: the project's own tables in any dialect, and bytes that are no table."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.calibration.measured import Measurements
from thermograd.devicemodel.calibration.measured.formats import read, read_bench_file

SCALES = {"s": 1.0, "ms": 1e3, "us": 1e6, "V": 1.0, "mV": 1e3, "uV": 1e6}
TRACE = Measurements.of(
    "trace", time_s=[0.0, 1e-3, 2.5e-3], node=["n1", "n1", "n2"], volts=[1.5, -0.25, 3e-7], std_v=1e-3
)


def same(table, other):
    assert table.kind == other.kind
    for name, column in other.columns.items():
        if column.dtype.kind == "f":
            np.testing.assert_allclose(table.columns[name], column, rtol=1e-14)
        else:
            assert table.columns[name].tolist() == column.tolist()


@given(
    mark=st.sampled_from([",", ";", "\t"]),
    comma=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "utf-16"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    units=st.tuples(
        st.sampled_from(["s", "ms", "us"]), st.sampled_from(["V", "mV", "uV"]), st.sampled_from(["V", "mV"])
    ),
    form=st.sampled_from(["{} ({})", "{} [{}]", "{}_{}", "{} / {}"]),
    order=st.permutations(range(5)),
    wide=st.booleans(),
)
@settings(max_examples=60)
def test_a_table_in_any_dialect_is_the_same_table(
    mark, comma, encoding, line_end, units, form, order, wide, tmp_path_factory
):
    columns = {
        form.format("time", units[0]): [value * SCALES[units[0]] for value in TRACE.columns["time_s"].tolist()],
        "node": TRACE.columns["node"].tolist(),
        form.format("volts", units[1]): [value * SCALES[units[1]] for value in TRACE.columns["volts"].tolist()],
        form.format("std", units[2]): [value * SCALES[units[2]] for value in TRACE.columns["std_v"].tolist()],
        "Gerät µ": ["x", "", "y"],
    }
    stated = {}
    expected = TRACE
    if wide:  # a column for each node: the instruments' way
        expected = Measurements.of(
            "trace", time_s=[0.0, 1e-3] * 2, node=["n1"] * 2 + ["n2"] * 2, volts=[1.5, -0.25, 2.0, 3.0], std_v=1e-3
        )
        columns = {
            form.format("time", units[0]): [0.0, 1e-3 * SCALES[units[0]]],
            "node": [1, 2],
            f"V(n1) [{units[1]}]": [1.5 * SCALES[units[1]], -0.25 * SCALES[units[1]]],
            f"V(n2) ({units[2]})": [2.0 * SCALES[units[2]], 3.0 * SCALES[units[2]]],
            "Gerät µ": ["7", "8"],
        }
        columns["index"] = columns.pop("node")
        stated = {"std": 1e-3, "nodes": {"V(n1)": "n1", "V(n2)": "n2"}}
    names = [list(columns)[i] for i in order]
    if wide:  # a row of an instrument begins with a number
        names.sort(key=lambda name: name == "Gerät µ")
    rows = [names, *([columns[name][i] for name in names] for i in range(len(columns[names[0]])))]
    quote = '"' if mark == "," and comma else ""
    text = line_end.join(
        mark.join(
            quote + (cell if isinstance(cell, str) else repr(cell).replace(".", "," if comma else ".")) + quote
            for cell in row
        )
        for row in rows
    )
    path = tmp_path_factory.mktemp("dialect") / "table.csv"
    path.write_bytes((text + line_end).encode(encoding))
    (table,) = read_bench_file(path, **stated)
    same(table, expected)
    assert any("Gerät" in note for note in table.notes)  # ignored, and said


@pytest.mark.parametrize("name", ["own.csv", "own.parquet"])
def test_own_tables_pass_and_need_nothing_said(name, tmp_path):
    TRACE.write(tmp_path / name)
    (table,) = read_bench_file(tmp_path / name, nodes={"CH1": "n9"}, std=7.0)
    assert table.content == TRACE.content
    text = (tmp_path / "own.csv").read_text() if name == "own.csv" else ""
    if text:
        (tmp_path / name).write_text(text.replace("1.5", "1.6"))
        with pytest.raises(InputError, match="not those that were written"):
            read_bench_file(tmp_path / name)


def test_own_spectra_in_other_units(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("frequency (kHz);node;density (dBV/rtHz);averages\n1,0;n1;-120;10\n2,5;n1;-130;10\n")
    (table,) = read_bench_file(path)
    np.testing.assert_allclose(table.columns["density_v2_per_hz"], [1e-12, 1e-13], rtol=1e-12)
    assert "'density (dBV/rtHz)' converted to density_v2_per_hz" in table.notes
    path.write_text("frequency (kHz),node,density (dBm),averages\n1,n1,-120,10\n")
    with pytest.raises(InputError, match="rbw of its densities in 'dBm'"):
        read_bench_file(path, impedance=50)
    path.write_text("frequency (kHz),node,density (dBm),averages\n1,n1,,10\n")
    with pytest.raises(InputError, match="line 2: density_v2_per_hz = ''"):
        read_bench_file(path, impedance=50, rbw=1)
    path.write_text("frequency (kHz),frequency_hz,node,density (V),averages\n1,1,n1,1,10\n")
    with pytest.raises(InputError, match="is there twice, in two units"):
        read_bench_file(path, rbw=1)


@given(
    head=st.sampled_from(
        [
            b"", b"Title: x\nDate: y\nPlotname: Transient Analysis\nFlags: real\nNo. Variables: 2\nNo. Points: 2\nVariables:\n",
            b"Record Length,2,,0,1\n", b"X,CH1,Start,Increment\n", b"CH1(V),t0=0,tInc=1\n", b"time (s),V(a) [V]\n0,1\n",
            b"x-axis,1\nsecond,Volt\n", b"\xff\xfe", b"time_s;node;volts;std_v\n", b"x-Unit;Hz;\ny-Unit;dBm;\n",
        ]
    ),
    body=st.one_of(st.binary(max_size=80), st.text("0123456789.,;eE+-\n\t ab\"", max_size=80).map(str.encode)),
)  # fmt: skip
@settings(max_examples=150)
def test_any_bytes_are_tables_or_an_input_error(head, body, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(head + body)
    try:
        tables = read_bench_file(path, std=1.0, averages=2, rbw=1.0, impedance=1.0, start=0.0)
    except InputError:
        return
    assert all(
        np.isfinite(c).all() for t in tables for n, c in t.columns.items() if c.dtype.kind == "f" and n != "f_hi_hz"
    )


def test_files_too_large_or_absent_raise(tmp_path, monkeypatch):
    path = tmp_path / "large.csv"
    path.write_text("time (s),V(a) [V]\n" + "".join(f"{i},1\n" for i in range(2000)))
    monkeypatch.setattr(sys.modules[read.__module__] if callable(read) else read, "MAX_BYTES", 5000)
    with pytest.raises(InputError, match="is larger than 0 MiB"):
        read_bench_file(path, std=1.0)
    with pytest.raises(InputError, match="cannot be read"):
        read_bench_file(tmp_path / "none.csv")
