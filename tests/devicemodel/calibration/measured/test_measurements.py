"""Tables of measurements: what is written is read, and everything that is not a table is one clear error."""

from __future__ import annotations

import hashlib
import math
import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.calibration.measured import measurements
from thermograd.devicemodel.calibration.measured.measurements import Measurements, read_measurements
from thermograd.devicemodel.calibration.measured.schema import SCHEMAS, nodes_of

SPECTRUM = "frequency_hz,node,density_v2_per_hz,averages\n100,n1,1e-12,50\n200,n1,5e-13,50\n"
GOOD = {
    "trace": "time_s,node,volts,std_v\n0,n1,1.0,1e-3\n1e-3,n1-n2,-0.5,1e-3\n",
    "spectrum": SPECTRUM,
    "covariance": "node_a,node_b,f_lo_hz,f_hi_hz,covariance_v2,std_v2\nn1,n1,0,inf,1e-9,1e-11\nn1,n2,200,5e4,-1e-10,1e-11\n",
    "correlation": "node_a,node_b,f_lo_hz,f_hi_hz,correlation,std\nn1,n2,200,500,0.64,0.01\n",
}


def file(tmp_path, text, name="table.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def rejection(tmp_path, text):
    with pytest.raises(InputError) as caught:
        read_measurements(file(tmp_path, text))
    return str(caught.value)


@pytest.mark.parametrize("kind", GOOD)
def test_kind_follows_from_the_columns_and_a_written_table_is_read_again(kind, tmp_path):
    path = file(tmp_path, GOOD[kind])
    table = read_measurements(path)
    assert table.kind == kind
    assert list(table.columns) == list(SCHEMAS[kind])
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    table.write(tmp_path / "again.csv")
    again = read_measurements(tmp_path / "again.csv")
    assert again.content == table.content
    for name, column in table.columns.items():
        np.testing.assert_array_equal(again.columns[name], column)


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=1e-300, max_value=1e300)


@given(
    rows=st.lists(st.tuples(st.floats(0, 1e9), st.sampled_from(["a", "b1", "a-b1"]), NUMBERS, POSITIVE), min_size=1, max_size=12,
                  unique_by=lambda row: (row[0], row[1])),
    line_end=st.sampled_from(["\n", "\r\n"]),
)  # fmt: skip
def test_any_trace_survives_writing_to_the_last_bit(rows, line_end, tmp_path_factory):
    times, nodes, volts, stds = zip(*rows, strict=True)
    table = Measurements.of("trace", time_s=times, node=nodes, volts=volts, std_v=stds)
    path = tmp_path_factory.mktemp("trace") / "t.csv"
    table.write(path)
    path.write_bytes(path.read_bytes().replace(b"\n", line_end.encode()))
    again = read_measurements(path)
    assert again.content == table.content
    np.testing.assert_array_equal(again.columns["volts"], np.array(volts))
    assert again.columns["node"].tolist() == list(nodes)


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_table_or_an_input_error(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("noise") / "t.csv"
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_measurements(path)


@given(kind=st.sampled_from(sorted(GOOD)), place=st.integers(0, 200), spoil=st.binary(min_size=1, max_size=3))
def test_a_table_with_a_spoilt_place_is_a_table_or_an_input_error(kind, place, spoil, tmp_path_factory):
    data = bytearray(GOOD[kind].encode())
    data[place : place + len(spoil)] = spoil
    path = tmp_path_factory.mktemp("spoilt") / "t.csv"
    path.write_bytes(bytes(data))
    try:
        table = read_measurements(path)
    except InputError:
        return
    assert all(np.isfinite(c).all() for n, c in table.columns.items() if c.dtype.kind == "f" and n != "f_hi_hz")


@given(cut=st.integers(0, 10_000))
def test_a_written_table_that_was_cut_off_raises(cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "t.csv"
    Measurements.of(
        "spectrum", frequency_hz=[1.0, 2.0], node="a", density_v2_per_hz=[1e-12, 2e-12], averages=9.5
    ).write(path)
    whole = path.read_bytes()
    body = len(whole.rstrip())  # the last line end may go
    path.write_bytes(whole[: cut % body])
    with pytest.raises(InputError):
        read_measurements(path)


@given(row=st.integers(0, 2), factor=st.sampled_from([0.5, 1.0000001, 2.0]))
def test_an_edited_row_is_noticed(row, factor, tmp_path_factory):
    path = tmp_path_factory.mktemp("edit") / "t.csv"
    density = [1e-12, 2e-12, 3e-12]
    Measurements.of("spectrum", frequency_hz=[1.0, 2.0, 3.0], node="a", density_v2_per_hz=density, averages=9).write(
        path
    )
    text = path.read_text()
    path.write_text(text.replace(f"a,a,{density[row]!r}", f"a,a,{density[row] * factor!r}"))
    with pytest.raises(InputError, match="rows are not those that were written"):
        read_measurements(path)
    path.write_text(text)
    assert len(read_measurements(path)) == 3


def test_later_versions_and_odd_declarations_raise(tmp_path):
    assert "format '2'; this version of thermograd reads 1" in rejection(
        tmp_path, f"# thermograd-measurements 2\n{SPECTRUM}"
    )
    assert "rows='two'" in rejection(tmp_path, f"# thermograd-measurements 1 rows=two\n{SPECTRUM}")
    assert "declare 3 rows and have 2" in rejection(tmp_path, f"# thermograd-measurements 1 rows=3\n{SPECTRUM}")
    kept = read_measurements(
        file(tmp_path, f"# taken on Monday, at 297 K\n# thermograd-measurements 1 rows=2\n{SPECTRUM}")
    )
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "are empty"),
        ("node,x\nn1,1\n", "those of no kind of table"),
        ("frequency_hz,node\n1,n1\n", r"no column density_v2_per_hz and no column averages \(or rel_std\), which a spectrum needs"),
        (SPECTRUM.replace("averages", "rms"), r"has no column averages \(or rel_std\), which a spectrum needs; 'rms': not"),
        (GOOD["trace"].replace("std_v", "note"), "has no column std_v, which a trace needs; 'note': not known"),
        (GOOD["correlation"].replace("correlation", "rho"), "has no column correlation, which a correlation needs; 'rho'"),
        (GOOD["covariance"].replace("v2\n", "v2,correlation,std\n").replace("-11", "-11,0,1"), "of a covariance and of a correlation"),
        (SPECTRUM.replace("5e-13", ""), "line 3: density_v2_per_hz = '': a finite number is needed .*remove the row"),
        (SPECTRUM.splitlines()[0], "no rows below"),
        (SPECTRUM.replace("200,n1", "200"), r"line 3: 3 cells, but there are 4 columns"),
        (SPECTRUM.replace("5e-13", "-5e-13"), r"line 3: the density of one voltage must be > 0"),
        (SPECTRUM.replace("5e-13", "nan"), r"line 3: density_v2_per_hz = 'nan': a finite number is needed .*remove the row if"),
        (SPECTRUM.replace("5e-13", "1_0"), "density_v2_per_hz = '1_0'"),
        (SPECTRUM.replace("5e-13", "1e999"), "density_v2_per_hz = '1e999'"),
        (SPECTRUM.replace("5e-13", "__import__('os')"), r"line 3: density_v2_per_hz = \"__import__\('os'\)\": a finite number"),
        (SPECTRUM.replace("5e-13", "=1+1"), "density_v2_per_hz = '=1\\+1'"),
        (SPECTRUM.replace("50\n200", "0.5\n200"), "line 2: averages = '0.5': a finite number >= 1"),
        (SPECTRUM.replace("200,n1", "0,n1"), "line 3: frequency_hz = '0': a finite number > 0"),
        (SPECTRUM.replace("200,n1", "200,n1;shell rm"), "line 3: node = 'n1;shell rm'"),
        (SPECTRUM.replace("200,n1", "200,0"), "is always zero"),
        (SPECTRUM.replace("200,n1", "200,a-b-c"), "line 3: node = 'a-b-c'"),
        (SPECTRUM.replace("200,n1", "100,n1"), r"line 3: the same quantity as line 2 \(100, n1, n1\); average them"),
        (SPECTRUM + '"', "not CSV"),
        ("node,node,volts\na,a,1\n", "column 'node' is there twice"),
        (GOOD["covariance"].replace("200,5e4", "5e4,200"), "line 3: f_lo_hz must be below f_hi_hz"),
        (GOOD["covariance"] + "n2,n1,200,5e4,1,1\n", "line 4: the same quantity as line 3"),
        (GOOD["correlation"].replace("0.64", "1.2"), "line 2: correlation = '1.2': a finite number >= -1 and <= 1"),
        (GOOD["correlation"].replace("n1,n2", "n1,n1"), "the two voltages different ones"),
        (GOOD["trace"].replace("1.0,1e-3", "1.0,0"), "line 2: std_v = '0': a finite number > 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(text, message, tmp_path):
    assert re.search(message, rejection(tmp_path, text))


def test_files_that_are_not_there_or_of_another_kind_are_named(tmp_path):
    for path, message in ((tmp_path / "no.csv", "cannot be read"), (tmp_path / "t.xlsx", "use .csv or .parquet")):
        with pytest.raises(InputError, match=message):
            read_measurements(path)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_measurements(tmp_path / "folder.csv")


def test_relative_errors_stand_for_averages(tmp_path):
    table = read_measurements(file(tmp_path, SPECTRUM.replace("averages", "rel_std").replace(",50", ",0.1")))
    np.testing.assert_allclose(table.columns["averages"], 100.0)
    both = "frequency_hz,node,density_v2_per_hz,averages,rel_std\n1,a,1,4,0.5\n"
    assert "leave one of them out" in rejection(tmp_path, both)


def test_too_many_rows_raise_before_they_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(measurements, "MAX_ROWS", 1)
    assert "more than 1 rows" in rejection(tmp_path, SPECTRUM)


def test_a_split_keeps_the_rows_of_a_frequency_together():
    frequency = np.repeat(np.arange(1.0, 11.0), 2)
    table = Measurements.of(
        "spectrum", frequency_hz=frequency, node=["a", "b"] * 10, density_v2_per_hz=1e-12, averages=9
    )
    rest, held = table.split(5)
    assert held.columns["frequency_hz"].tolist() == [5.0, 5.0, 10.0, 10.0]
    assert len(rest) == 16
    assert rest.sha256 == held.sha256 == table.sha256
    for every in (1, 11):
        with pytest.raises(InputError, match="every"):
            table.split(every)
    with pytest.raises(InputError, match="no row is chosen"):
        table.take(frequency > 99)


def test_arrays_are_checked_like_files():
    with pytest.raises(InputError, match="row 2: std_v"):
        Measurements.of("trace", time_s=[0, 1], node="a", volts=[0, 0], std_v=[1, -1])
    with pytest.raises(InputError, match="column volts has 3 values, others have 4"):
        Measurements.of("trace", time_s=[0, 1, 2, 3], node="a", volts=[0, 0, 0], std_v=1)
    with pytest.raises(InputError, match="kind 'spectra'"):
        Measurements.of("spectra", node="a")
    with pytest.raises(InputError, match="kind 'trace', not 'spectrum'"):
        Measurements.of("spectrum", time_s=0, node="a", volts=0, std_v=1)


def test_voltages_are_nodes_or_differences():
    assert nodes_of("n1") == ("n1", "0")
    assert nodes_of("n1-n2") == ("n1", "n2")
    for bad in ("", "-", "a-", "a-a", "a-A", "0", "a b", "temper"):
        with pytest.raises(InputError):
            nodes_of(bad)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"pip install 'thermograd\[study\]'"):
        read_measurements(tmp_path / "t.parquet")


class TestParquet:
    """The laws are those of CSV."""

    @pytest.fixture(autouse=True)
    def arrow(self):
        import pyarrow
        import pyarrow.parquet

        self.pa, self.pq = pyarrow, pyarrow.parquet

    @pytest.mark.parametrize("kind", GOOD)
    def test_the_same_content_as_csv(self, kind, tmp_path):
        table = read_measurements(file(tmp_path, GOOD[kind]))
        table.write(tmp_path / "t.parquet")
        again = read_measurements(tmp_path / "t.parquet")
        assert again.content == table.content
        assert again.kind == kind

    def write(self, path, metadata=None, **columns):
        self.pq.write_table(self.pa.table(columns).replace_schema_metadata(metadata), path)
        return path

    def good(self, **changes):
        return {"time_s": [0.0, 1.0], "node": ["a", "a"], "volts": [1, 2], "std_v": [0.1, 0.1]} | changes

    def test_a_table_of_somebody_elses_is_read(self, tmp_path):
        assert read_measurements(self.write(tmp_path / "t.parquet", **self.good())).columns["volts"].tolist() == [
            1.0,
            2.0,
        ]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"volts": [1.0, None]}, "row 2: volts = None"),
            ({"volts": [1.0, math.nan]}, "row 2: volts = nan"),
            ({"volts": [[1.0], [2.0]]}, "column 'volts' is of type list"),
            ({"volts": ["1", "x"]}, "row 2: volts = 'x'"),
            ({"volts": [True, False]}, "column 'volts' is of type bool"),
            ({"node": ["a", None]}, "row 2: node = None"),
            ({"node": [1, 2]}, "row 1: node = 1"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_row(self, changes, message, tmp_path):
        with pytest.raises(InputError, match=message):
            read_measurements(self.write(tmp_path / "t.parquet", **self.good(**changes)))

    def test_later_versions_edits_and_cuts_raise(self, tmp_path):
        path = tmp_path / "t.parquet"
        self.write(path, {"thermograd-measurements": "thermograd-measurements 2"}, **self.good())
        with pytest.raises(InputError, match="format '2'"):
            read_measurements(path)
        table = Measurements.of("trace", **self.good())
        self.write(
            path,
            {"thermograd-measurements": f"thermograd-measurements 1 content={table.content}"},
            **self.good(volts=[1, 3]),
        )
        with pytest.raises(InputError, match="not those that were written"):
            read_measurements(path)
        table.write(path)
        whole = path.read_bytes()
        for length in range(0, len(whole), 97):
            path.write_bytes(whole[:length])
            with pytest.raises(InputError):
                read_measurements(path)

    @given(place=st.integers(0, 2000), spoil=st.binary(min_size=1, max_size=8))
    def test_spoilt_bytes_are_noticed_or_harmless(self, place, spoil, tmp_path_factory):
        path = tmp_path_factory.mktemp("spoilt") / "t.parquet"
        table = Measurements.of("trace", **self.good())
        table.write(path)
        data = bytearray(path.read_bytes())
        place %= len(data)
        data[place : place + len(spoil)] = spoil
        path.write_bytes(bytes(data))
        try:
            assert read_measurements(path).kind == "trace"
        except InputError:
            pass


@pytest.mark.parametrize("twice", ["n1", "N1"])
def test_one_quantity_measured_twice_is_rejected_however_it_is_spelled(twice):
    with pytest.raises(InputError, match="same quantity as row 1"):
        Measurements.of("trace", time_s=[0.0, 0.0], node=["n1", twice], volts=[1.0, 2.0], std_v=0.1)
    with pytest.raises(InputError, match="same quantity as row 1"):
        Measurements.of("trace", time_s=[0.0, 0.0], node=["n1-n2", f"n2-{twice}"], volts=[1.0, -2.0], std_v=0.1)
    table = Measurements.of("trace", time_s=[0.0, 0.0], node=["n1-n2", "n2"], volts=[1.0, 2.0], std_v=0.1)
    assert len(table) == 2


@given(place=st.integers(0, 400), spoil=st.integers(0, 255))
def test_a_written_table_with_a_changed_byte_is_the_same_or_an_input_error(place, spoil, tmp_path_factory):
    path = tmp_path_factory.mktemp("byte") / "t.csv"
    table = Measurements.of("trace", time_s=[0.0, 1e-6, 2e-6], node="n1", volts=[1.0, 0.5, 0.25], std_v=0.1)
    table.write(path)
    data = bytearray(path.read_bytes())
    data[place % len(data)] = spoil
    path.write_bytes(bytes(data))
    try:
        assert read_measurements(path).content == table.content
    except InputError:
        pass


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("comma", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_the_dialects_of_spreadsheets_hold_the_same_table(mark, comma, encoding, tmp_path):
    plain = read_measurements(file(tmp_path, GOOD["trace"]))
    rows = [row.split(",") for row in GOOD["trace"].split()]
    rows = [[*row, "Größe" if i == 0 else "1.5", ""] for i, row in enumerate(rows)]
    quote = '"' if mark == "," else ""
    text = "\r\n".join(
        mark.join(quote + (cell.replace(".", ",") if comma else cell) + quote for cell in row) for row in rows
    )
    path = tmp_path / "dialect.csv"
    path.write_bytes(text.encode(encoding))
    table = read_measurements(path)
    assert table.content == plain.content
    assert "column 'Größe' is not one of a trace and is ignored" in table.notes
    assert ("decimal commas" in table.notes) == comma
    assert any("Latin-1" in note for note in table.notes) == (encoding == "latin-1")


def test_commas_and_points_in_one_table_raise(tmp_path):
    text = "time_s;node;volts;std_v\n0;n1;1,234;0.1\n"
    assert "'1,234' in line 2 has a comma where '0.1' in line 2 has a decimal point" in rejection(tmp_path, text)
    # the negative control: thousands are not guessed, and a table of points only is not touched
    assert read_measurements(file(tmp_path, text.replace("1,234", "1.234"))).columns["volts"].tolist() == [1.234]


def test_damaged_declarations_are_named(tmp_path):
    path = tmp_path / "t.csv"
    Measurements.of("trace", time_s=[0.0, 1e-6], node="n1", volts=[1.0, 0.5], std_v=0.1).write(path)
    path.write_text(path.read_text().replace("thermograd-m", "thermogrod-m").replace("0.5", "0.7"), encoding="utf-8")
    with pytest.raises(InputError, match="line 1: a damaged declaration"):
        read_measurements(path)
