"""Raw files: what ngspice writes here is read to the last bit, and LTspice's as its format is documented."""

from __future__ import annotations

import math
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.calibration.measured.formats import read_bench_file

from . import raw_encoder

TRAN = [("time", "time"), ("V(n1)", "voltage"), ("V(n2)", "voltage"), ("I(R1)", "device_current")]
COLUMNS = [[0.0, 1e-6, 3e-6, 7e-6], [0.1, 0.2, 0.3, 0.4], [1.5, 2.5, 3.5, 4.5], [1e-3, 1e-3, 2e-3, 2e-3]]
R, C = 1e3, 1e-6


def write(tmp_path, data, name="out.raw"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def ngspice(tmp_path_factory):
    """An RC node that ngspice simulated, in one file of doubles and one of text, with what it printed of the same runs."""
    if shutil.which("ngspice") is None:
        pytest.skip("the command ngspice is not installed")
    folder = tmp_path_factory.mktemp("ngspice")
    (folder / "deck.cir").write_text(f"""* one node
V1 in 0 1 AC 1
R1 in n1 {R}
C1 n1 0 {C} ic=0
.control
set wr_singlescale
set numdgt=17
tran 20u 0.5m uic
write tran.raw
wrdata tran.txt v(n1)
set filetype=ascii
write tran_text.raw
set filetype=binary
noise v(n1) V1 dec 3 10 10k
setplot noise1
write noise.raw
set sqrnoise
noise v(n1) V1 dec 3 10 10k
setplot noise3
write squared.raw
.endc
.end
""")
    subprocess.run(["ngspice", "-b", "deck.cir"], cwd=folder, check=False, capture_output=True, timeout=60)
    return folder


def test_a_transient_of_ngspice_is_its_own_to_the_last_bit(ngspice):
    printed = np.loadtxt(ngspice / "tran.txt")
    (table,) = read_bench_file(ngspice / "tran.raw", nodes={"v(n1)": "n1"}, std=1e-3)
    np.testing.assert_allclose(table.columns["time_s"], printed[:, 0], rtol=1e-15)
    np.testing.assert_allclose(table.columns["volts"], printed[:, 1], rtol=1e-15)
    assert table.notes[0] == "read as a SPICE raw file, Transient Analysis"
    (text,) = read_bench_file(ngspice / "tran_text.raw", nodes={"v(n1)": "n1"}, std=1e-3)
    np.testing.assert_allclose(text.columns["volts"], table.columns["volts"], rtol=1e-14)
    # every voltage is read under its own name where nodes are not given, and currents are left out
    (both,) = read_bench_file(ngspice / "tran.raw", std=1e-3)
    assert set(both.columns["node"].tolist()) == {"in", "n1"}
    assert any("i(v1)" in note for note in both.notes)


@pytest.mark.parametrize("name", ["noise.raw", "squared.raw"])
def test_a_noise_spectrum_of_ngspice_is_the_textbooks(ngspice, name):
    (table,) = read_bench_file(ngspice / name, nodes={"onoise": "n1"}, averages=100)
    frequency = table.columns["frequency_hz"]
    law = 4 * 1.380649e-23 * 300.15 * R / (1 + (2 * math.pi * frequency * R * C) ** 2)
    np.testing.assert_allclose(table.columns["density_v2_per_hz"], law, rtol=1e-5)
    # the negative control: amplitudes are no densities
    assert np.all(np.abs(np.sqrt(table.columns["density_v2_per_hz"]) / law - 1) > 1e3)


@pytest.mark.parametrize(
    "flags", ["real forward", "real forward double", "real forward FastAccess", "real double fastaccess"]
)
@pytest.mark.parametrize("encoding", ["utf-16-le", "ascii"])
def test_ltspice_transients_in_both_widths_and_orders(flags, encoding, tmp_path):
    path = write(tmp_path, raw_encoder.ltspice("Transient Analysis", flags, TRAN, COLUMNS, encoding=encoding))
    (table,) = read_bench_file(path, std=1e-3)
    kind = np.float64 if "double" in flags else np.float32
    np.testing.assert_array_equal(table.columns["time_s"], COLUMNS[0] * 2)
    np.testing.assert_array_equal(table.columns["volts"], np.array(COLUMNS[1] + COLUMNS[2], dtype=kind).astype(float))
    assert table.columns["node"].tolist() == ["n1"] * 4 + ["n2"] * 4
    assert table.notes == ("read as an LTspice raw file, Transient Analysis", "left out: 'I(R1)'")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ltspice_in_text(encoding, end, tmp_path):
    data = raw_encoder.ltspice_text("Transient Analysis", "real forward", TRAN, COLUMNS, encoding=encoding)
    path = write(tmp_path, data.replace("\n".encode(encoding), end.encode(encoding)))
    (table,) = read_bench_file(path, nodes={"V(n2)": "n2"}, std=1e-3)
    np.testing.assert_array_equal(table.columns["volts"], COLUMNS[2])


def test_compressed_steps_of_ltspice_are_tables_of_their_own(tmp_path):
    steps = [[0.0, -1e-6, 2e-6, 0.0, -3e-6], [0.1, 0.2, 0.3, 1.1, 1.2]]
    data = raw_encoder.ltspice("Transient Analysis", "real forward stepped", TRAN[:2], steps)
    tables = read_bench_file(write(tmp_path, data), std=1e-3)
    assert [t.columns["time_s"].tolist() for t in tables] == [[0.0, 1e-6, 2e-6], [0.0, 3e-6]]
    assert [t.source for t in tables] == ["out.raw, step 1", "out.raw, step 2"]
    whole = raw_encoder.ltspice("Transient Analysis", "real forward", TRAN[:2], steps)
    with pytest.raises(InputError, match="goes back at point 4"):
        read_bench_file(write(tmp_path, whole), std=1e-3)


def test_a_jump_is_read_from_its_later_point(tmp_path):
    data = raw_encoder.ltspice("Transient Analysis", "real", TRAN[:2], [[0.0, 1e-6, 1e-6, 2e-6], [0.0, 0.0, 1.0, 1.0]])
    (table,) = read_bench_file(write(tmp_path, data), std=1e-3)
    assert table.columns["volts"].tolist() == [0.0, 1.0, 1.0]
    assert "1 earlier points of equal times are left out" in table.notes


def test_ltspice_noise_names_its_output_only(tmp_path):
    names = [("frequency", "frequency"), ("V(onoise)", "voltage"), ("gain", "voltage"), ("V(r1)", "voltage")]
    columns = [[10.0, 100.0], [2e-9, 1e-9], [1.0, 0.5], [1e-9, 1e-9]]
    data = raw_encoder.ltspice("Noise Spectral Density - (V/Hz½ or A/Hz½)", "real forward log", names, columns)
    path = write(tmp_path, data)
    with pytest.raises(InputError, match=r"does not say the node of 'V\(onoise\)': nodes=.*averages: averages=100"):
        read_bench_file(path)
    (table,) = read_bench_file(path, nodes={"V(onoise)": "n1"}, averages=50)
    np.testing.assert_allclose(table.columns["density_v2_per_hz"], [4e-18, 1e-18], rtol=1e-6)


def test_what_a_file_does_not_say_is_named_alone(tmp_path):
    path = write(tmp_path, raw_encoder.ltspice("Transient Analysis", "real", TRAN, COLUMNS))
    with pytest.raises(InputError, match=r"does not say the standard error of its readings in V: std=1e-3$"):
        read_bench_file(path)
    with pytest.raises(InputError, match=r"names 'CH1', but the channels are V\(n1\), V\(n2\), I\(R1\)"):
        read_bench_file(path, nodes={"CH1": "n1"}, std=1e-3)
    with pytest.raises(InputError, match="'I\\(R1\\)' is in 'no voltage', but a trace needs volt"):
        read_bench_file(path, nodes={"I(R1)": "n1"}, std=1e-3)
    with pytest.raises(InputError, match="holds AC Analysis; transient and noise analyses are read"):
        read_bench_file(write(tmp_path, raw_encoder.ltspice("AC Analysis", "real", TRAN, COLUMNS)), std=1e-3)
    late = write(tmp_path, raw_encoder.ltspice("Transient Analysis", "real", TRAN, COLUMNS, offset="1e-3"))
    with pytest.raises(InputError, match=r"says an offset of 0.001 s\): start=0"):
        read_bench_file(late, std=1e-3)
    (table,) = read_bench_file(late, std=1e-3, start=1e-6, nodes={"V(n1)": "n1", "CH7": "n2"})
    np.testing.assert_allclose(table.columns["time_s"], [0.0, 2e-6, 6e-6])
    assert "no channel here: 'CH7'" in table.notes


@given(cut=st.integers(0, 10_000))
@settings(max_examples=30)
def test_a_file_that_was_cut_off_raises(cut, tmp_path_factory):
    data = raw_encoder.ltspice("Transient Analysis", "real", TRAN, COLUMNS)
    with pytest.raises(InputError):
        read_bench_file(write(tmp_path_factory.mktemp("cut"), data[: cut % len(data)]), std=1e-3)


@given(place=st.integers(0, 2000), spoil=st.binary(min_size=1, max_size=6), text=st.booleans())
@settings(max_examples=60)
def test_spoilt_bytes_are_tables_or_an_input_error(place, spoil, text, tmp_path_factory):
    encode = raw_encoder.ltspice_text if text else raw_encoder.ltspice
    data = bytearray(encode("Transient Analysis", "real", TRAN, COLUMNS))
    data[place % len(data) : place % len(data) + len(spoil)] = spoil
    try:
        tables = read_bench_file(write(tmp_path_factory.mktemp("spoilt"), bytes(data)), std=1e-3)
    except InputError:
        return
    assert all(np.isfinite(t.columns["volts"]).all() for t in tables)


@pytest.mark.parametrize("count", ["999999999999", "-1", "1e3", "", "9" * 400])
@pytest.mark.parametrize("field", ["No. Points: 4", "No. Variables: 4"])
def test_sizes_that_the_file_has_no_room_for_raise_before_memory_is_taken(count, field, tmp_path):
    data = raw_encoder.ltspice("Transient Analysis", "real", TRAN, COLUMNS, encoding="ascii")
    data = data.replace(field.encode(), field[:-1].encode() + count.encode())
    with pytest.raises(InputError):
        read_bench_file(write(tmp_path, data), std=1e-3)
