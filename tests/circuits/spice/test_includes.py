"""Included files: those inside of one folder, and no other."""

from __future__ import annotations

import os

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.spice.read import read_spice


@pytest.fixture
def folder(tmp_path):
    """A permitted folder with a file beside it that must stay out."""
    (tmp_path / "secret.inc").write_text("R9 out 0 1\n", encoding="utf-8")
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / "part.inc").write_text("R2 out 0 {r}\n.include sub/deep.inc\n", encoding="utf-8")
    (home / "sub" / "deep.inc").write_text("C1 out 0 1n\n.include 'same.inc' ; beside\n", encoding="utf-8")
    (home / "sub" / "same.inc").write_text("R3 out 0 5k\n", encoding="utf-8")
    (home / "models.lib").write_text(
        ".lib tt\n.model dm d (is=1e-14)\n.endl tt\n.lib ff\n.model dm d (is=2e-14)\n.lib models.lib extra\n.endl\n"
        ".lib extra\nRx out 0 1k\n.endl\n",
        encoding="utf-8",
    )
    return home


def write(folder, cards):
    path = folder / "main.cir"
    path.write_text(f"main\n.param r=2k\nV1 in 0 1\nR1 in out 1k\n{cards}\n.end\n", encoding="utf-8")
    return path


def test_what_is_inside_of_the_folder_is_included(folder):
    path = write(folder, '.include "part.inc"\n.lib models.lib FF\nD1 out 0 dm')
    netlist = read_spice(path, include_folder=folder)
    assert [e.name for e in netlist] == ["V1", "R1", "R2", "C1", "R3", "Rx", "D1"]
    assert netlist["D1"].model.values == {"is": 2e-14}
    assert netlist["R2"].resistance == 2e3
    inside = read_spice(write(folder, f".inc {folder}/sub/../part.inc"), folder)  # absolute, and inside
    assert "R3" in inside
    elsewhere = write(folder.parent, ".include part.inc")  # relative to the folder
    assert "R3" in read_spice(elsewhere, folder)
    plain = read_spice(str(write(folder, "R2 out 0 1k")), str(folder))
    assert len(plain) == 3
    with pytest.raises(InputError, match=r"line 5 \(\.include part.inc\).*include_folder"):
        read_spice(write(folder, ".include part.inc"))


@pytest.mark.parametrize(
    "name",
    ["../secret.inc", "sub/../../secret.inc", "/etc/passwd", "{parent}/secret.inc", "link.inc", "linked/secret.inc", "away/secret.inc",
     "~/.bashrc", "/dev/zero", "/proc/self/environ", "sub", "", "no.inc", "a\x00b", "x" * 5000, "pipe"],
)  # fmt: skip
def test_no_file_outside_of_the_folder_is_included(folder, name):
    os.symlink(folder.parent / "secret.inc", folder / "link.inc")
    os.symlink(folder.parent, folder / "linked")
    os.symlink("..", folder / "away")
    os.mkfifo(folder / "pipe")
    name = name.replace("{parent}", str(folder.parent))
    for card in (f'.include "{name}"', f'.lib "{name}" tt'):
        with pytest.raises(InputError, match=r"line 5 .*(no file inside|write \.include)"):
            read_spice(write(folder, card), include_folder=folder)
    (folder / "outer.inc").write_text(f'\n.include "{name}"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2 of outer\.inc"):
        read_spice(write(folder, ".include outer.inc"), include_folder=folder)


def test_included_files_are_no_freer_than_the_text(folder):
    for content, message in (
        ("R5 out 0 1\n.control\nshell ls\n.endc\n", r"line 2 of bad.inc \(.control\).*not run"),
        ("R1 out 0 1\n", r"line 1 of bad.inc .*duplicate"),
        (".include bad.inc\n", "more than 10 deep"),
        (".include bad.inc\n.include bad.inc\n", "more than 10 deep"),
        (".lib here\n.endl\n", r"line 1 of bad.inc .*SECTION"),
        (".include\n", r"line 1 of bad.inc .*SECTION"),
        (".lib models.lib nothing\n", r"line 1 of bad.inc .*no section 'nothing'"),
    ):
        (folder / "bad.inc").write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_spice(write(folder, ".include bad.inc"), include_folder=folder)
    for k in range(9):
        (folder / f"f{k}.inc").write_text(f".include f{k + 1}.inc\n" * 3, encoding="utf-8")
    (folder / "f9.inc").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="more than 200 files"):
        read_spice(write(folder, ".include f0.inc"), include_folder=folder)


def test_files_that_cannot_be_read(folder):
    (folder / "bytes.cir").write_bytes(b"t\nR1 a 0 1 ; \x81\n")
    with pytest.raises(
        InputError, match=r"cannot be read: it is neither UTF-8, UTF-16 nor Windows-1252; convert it, .*iconv"
    ):
        read_spice(folder / "bytes.cir")
    for path in (folder / "none.cir", folder, "a\x00b", None):
        with pytest.raises(InputError, match="cannot be read"):
            read_spice(path)
    path = write(folder, "")
    for bad in (folder / "none", path, "a\x00b", 3):
        with pytest.raises(InputError, match="include_folder"):
            read_spice(path, include_folder=bad)


def test_windows_and_ltspice_name_files_in_their_ways(folder):
    for card in (
        r".include sub\same.inc",
        r".include .\sub\same.inc",
        r'.lib "sub\same.inc"',
        ".lib sub/same.inc",
        ".lib 'sub/same.inc'",
    ):
        assert "R3" in read_spice(write(folder, f"R2 out 0 1\n{card}"), include_folder=folder)
    for card in (
        r".include ..\secret.inc",
        r".lib C:\Users\me\LTspice\lib\cmp\standard.dio",
        ".lib none.lib",
        ".lib ../secret.inc",
    ):
        with pytest.raises(InputError, match=r"line 5 .*inside of the folder"):
            read_spice(write(folder, card), include_folder=folder)


def test_included_files_have_the_encodings_and_line_ends_of_others(folder):
    (folder / "wide.inc").write_bytes("* ohm \u03a9\r\nC2 out 0 10\u00b5\r\n".encode("utf-16"))
    (folder / "latin.inc").write_bytes(b"* page\x0cR8 out 0 1\r\nC3 out 0 4.7\xb5\n")
    netlist = read_spice(write(folder, "R2 out 0 1\n.include wide.inc\n.include latin.inc"), include_folder=folder)
    assert "R8" not in netlist
    assert (netlist["C2"].capacitance, netlist["C3"].capacitance) == (1e-5, 4.7e-6)
    (folder / "mac.inc").write_bytes(b"R3 out 0 1\rR4 out 0 1\n")
    with pytest.raises(InputError, match=r"mac.inc: line 1: it has a carriage return"):
        read_spice(write(folder, ".include mac.inc"), include_folder=folder)
