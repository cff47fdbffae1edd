"""Files appear whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thermograd.circuits.files import checksum, write_checksummed, write_file, write_text
from thermograd.circuits.technology.presets import preset


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    write_text(target, "old")

    def fail(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_file(target, fail)
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_checksum_of_a_record_is_the_one_in_its_file(tmp_path):
    record = preset("integrated")
    write_checksummed(tmp_path / "record.json", record)
    assert json.loads((tmp_path / "record.json").read_text())["digest"] == checksum(record)
    assert checksum(record.replace(opamp__gain=12345.0)) != checksum(record)
