"""The amplifiers that come with a process: the parts of their netlists, their ports, and what is said where there is none."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

from thermograd.circuits.amplifiers.process_amplifier import process_amplifier, process_netlist
from thermograd.circuits.amplifiers.user_netlist import Amplifier
from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.pdk.registry import PROCESSES

from ...processes import needs_process

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_process(name)) for name in ("gf180mcu", "sky130")])
def test_it_rests_at_half_of_the_supply(name: str) -> None:
    found = process_amplifier(name)
    assert isinstance(found, Amplifier)
    assert (found.inputs, found.outputs) == (("inp", "inn"), ("outp", "outn"))
    assert found.supplies == {"vdd": 2 * found.reference, "vss": 0.0, "ref": found.reference}
    assert len(found.parts) > 30


def test_an_installed_package_has_the_netlist_of_every_process() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    for name in PROCESSES:
        assert str(process_netlist(name).relative_to(ROOT)) in data["thermograd"]


def test_a_process_without_one_says_what_to_give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The package's attribute of that name is the function.
    monkeypatch.setattr(
        importlib.import_module("thermograd.circuits.amplifiers.process_amplifier"), "_FOLDER", tmp_path
    )
    with pytest.raises(InputError, match=r"no amplifier here .*; give a netlist and its ports"):
        process_amplifier("gf180mcu")
