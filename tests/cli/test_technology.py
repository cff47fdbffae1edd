"""`thermograd technology`: presets and files, written and read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thermograd.circuits.technology.presets import PRESETS
from thermograd.circuits.technology.technology import Technology

from .command_line import Run, assert_rejected


def test_technology_lists_writes_and_reads_back(run: Run) -> None:
    code, out, _ = run("technology")
    assert code == 0
    assert all(name in out for name in PRESETS)
    assert run("technology", "breadboard", "--out", "my.toml")[0] == 0
    assert Technology.read("my.toml") == PRESETS["breadboard"]
    code, out, _ = run("technology", "my.toml")
    Path("copy.toml").write_text(out, encoding="utf-8")
    assert Technology.read("copy.toml") == PRESETS["breadboard"]
    code, out, _ = run("technology", "integrated", "--json")
    assert Technology(**json.loads(out)) == PRESETS["integrated"]
    assert set(json.loads(run("technology", "--json")[1])) == set(PRESETS)


def test_sources_of_a_foundrys_preset_are_shown(run: Run) -> None:
    code, out, _ = run("technology", "gf180mcu", "--sources")
    assert code == 0
    assert all(word in out for word in ("opamp.gain", "foundry", "simulated", "published", "chosen"))
    record = json.loads(run("technology", "sky130", "--sources", "--json")[1])
    assert record["figures"]["opamp"]["gain"]["value"] == PRESETS["sky130"].opamp.gain


BAD: dict[str, tuple[list[str], str]] = {
    "broken toml": (["technology", "broken.toml"], "not valid .toml"),
    "sources of none": (["technology", "integrated", "--sources"], "gf180mcu, sky130"),
    "nothing to write": (["technology", "--out", "x.toml"], "needs the name"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_it(files: Run, case: str) -> None:
    assert_rejected(files, *BAD[case])
