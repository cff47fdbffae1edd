"""Tables as text: read where they mean one thing, else one line that names the place and a remedy that works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thermograd.circuits.errors import InputError
from thermograd.cli.number_files.arrays import read_arrays

A = np.array([[2.0, 0.5], [0.5, 1.25]])

READ = {
    "blanks": "2 0.5\n0.5   1.25\n",
    "commas and blanks": " 2 , 0.5\n0.5,\t1.25 \n",
    "tabs": "2\t0.5\n0.5\t1.25\n",
    "semicolons": "2;0.5\n0.5;1.25\n",
    "decimal commas": "2;0,5\n0,5;1,25\n",
    "decimal commas and tabs": "2\t0,5\n0,5\t1,25\n",
    "decimal commas and blanks": "2 0,5\n0,5 1,25\n",
    "decimal commas in quotes": '"2","0,5"\n"0,5","1,25"\n',
    "quotes": '"2","0.5"\n"0.5","1.25"\n',
    "quotes and blanks": '"2" "0.5"\n"0.5" "1.25"\n',
    "delimiters at the end": "2,0.5,\n0.5,1.25,\n",
    "a spreadsheet's empty cells": "2;0,5;;\n0,5;1,25;;\n;;;\n;;;\n",
    "comments": "# A; of mine, 0,5\n2,0.5 # first\n\n0.5,1.25\n",
    "mac": "2,0.5\r0.5,1.25\r",
    "windows": "\ufeff2,0.5\r\n0.5,1.25\r\n",
    "form feed in a comment": "2,0.5 # page\f9,9\n0.5,1.25 # next\u20289,9\x85 9\x1c9\n",
    "fortran": "  2.0D0  0.5d+00\n 5.0E-1  0.125D+1\n",
    "signs": "+2,+.5\n5.e-1,+1.25\n",
    "no end of line": "2,0.5\n0.5,1.25",
}


@pytest.mark.parametrize("case", READ)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le-mark", "utf-32"])
def test_what_means_one_thing_is_read(tmp_path: Path, case: str, encoding: str) -> None:
    text = READ[case]
    if encoding != "utf-8":
        text = text.removeprefix("\ufeff")
    data = ("\ufeff" + text).encode("utf-16-le") if encoding == "utf-16-le-mark" else text.encode(encoding)
    path = tmp_path / "A.CSV"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_arrays("matrix", path)[""], A)


def test_comments_may_be_of_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "A.txt"
    path.write_bytes(b"# r\xe9sistance en \xb5S\n2 0.5\n0.5 1.25\n")
    np.testing.assert_array_equal(read_arrays("matrix", path)[""], A)


REJECTED = {
    "header": ("a,b\n1,2\n", "line 1: 'a' is not a number"),
    "pandas": (",0,1\n0,2.0,0.5\n1,0.5,1.25\n", "line 1, column 1 is empty.*header or an index column"),
    "ragged": ("1,2\n3\n", "line 2 has 1 number where line 1 has 2 numbers"),
    "empty field": ("1,,3\n1,2,3\n", "line 1, column 2 is empty"),
    "empty field at one end": ("1,2,3\n1,2,\n", "line 2, column 3 is empty"),
    "empty row inside": ("1,2\n,\n1,2\n", "line 2, column 1 is empty"),
    "empty field between tabs": ("1\t\t3\n1\t\t3\n", "line 1 has an empty field between two tabs"),
    "points and commas": ("1.5;0,5\n0,5;1\n", "line 1 has '0,5' and line 1 '1.5'.*write points"),
    "thousands": ("1.234,5;1\n1;1\n", "points for decimals"),
    "several commas": ("1,234,567;1\n1;1\n", "several commas"),
    "two separators": ("1,2 3\n4,5 6\n7 8,9.5\n", "'2 3' is not a number"),
    "complex": ("1+0j,0\n0,1\n", "complex, and real"),
    "complex of numpy": ("(1.5e+00+2e+00j) 1\n0 1\n", "complex, and real"),
    "unit": ("10k,1\n1,10k\n", "'10k' is not a number: write it without a unit or suffix"),
    "ohms": ("10 \u2126;1\n1;1\n", "without a unit"),
    "underscore": ("1_000,1\n1,1\n", "'1_000' is not a number"),
    "hexadecimal": ("0x10,1\n1,1\n", "not a number"),
    "other digits": ("\u0661,1\n1,1\n", "not a number"),
    "form feed": ("1,2\f\n3,4\n", "not a number"),
    "line separator": ("1,2\u20283,4\n", "not a number"),
    "overflow": ("1e400,1\n1,1\n", "beyond double precision"),
    "binary": ("1,2\x00\n", "NUL"),
    "matlab": ("[2 0.5; 0.5 1.25]\n", "not a number"),
    "separator line": ("sep=;\n1;2\n2;1\n", "leave out a header"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_what_means_nothing_or_two_things_is_an_error(tmp_path: Path, case: str) -> None:
    text, message = REJECTED[case]
    path = tmp_path / "A.csv"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(InputError, match=message) as raised:
        read_arrays("matrix", path)
    assert "np.savetxt(path, A, delimiter=',')" in str(raised.value), "the message is whole"


def test_the_remedy_works(tmp_path: Path) -> None:
    path = tmp_path / "A.csv"
    np.savetxt(path, A, delimiter=",")
    np.testing.assert_array_equal(read_arrays("matrix", path)[""], A)
    path.write_text("# a,b\n2,0.5\n0.5,1.25\n", encoding="utf-8")
    np.testing.assert_array_equal(read_arrays("matrix", path)[""], A)


def test_utf_16_without_a_mark_and_damaged_text_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "A.csv"
    for data, message in (
        ("1,2\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"\xff\xfe1", "damaged utf-16"),
    ):
        path.write_bytes(data)
        with pytest.raises(InputError, match=message):
            read_arrays("matrix", path)


def test_numbers_that_are_not_finite_are_left_to_the_compiler_which_names_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "A.csv"
    path.write_text("nan,-inf\nInfinity,1\n", encoding="utf-8")
    np.testing.assert_array_equal(read_arrays("matrix", path)[""], [[np.nan, -np.inf], [np.inf, 1]])
