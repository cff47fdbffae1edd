"""Records of technologies with the source of each figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import PRESETS, RECORDS, preset
from thermograd.circuits.technology.technology import Technology
from thermograd.circuits.technology.technology_record import Figure, Source, TechnologyRecord

SOURCES = {
    "models": Source(kind="foundry", what="model file, section res"),
    "bench": Source(
        kind="simulated", what="amplifier.cir under 30 kohm", command="thermograd characterise amplifier.cir"
    ),
}
FIGURES = {
    "resistors": {"unit": Figure(value=1e5, source="models"), "bits": Figure(value=8, source="models")},
    "opamp": {"gain": Figure(value=3456.5, source="bench"), "outputs": Figure(value=2, source="bench")},
    "thermal": {"johnson_noise": Figure(value=False, source="models")},
}


def record(**changes: object) -> TechnologyRecord:
    given: dict[str, object] = {
        "name": "mine",
        "process": "mine",
        "pdk": "package 1.0",
        "simulator": "ngspice 39",
        "command": "make technologies",
        "summary": 'a process of "mine", by hand',
        "sources": SOURCES,
        "figures": FIGURES,
    }
    return TechnologyRecord(**(given | changes))  # type: ignore[arg-type]


def test_a_record_survives_its_file_and_is_a_technology(tmp_path: Path) -> None:
    record().write(tmp_path / "mine.toml")
    read = TechnologyRecord.read(tmp_path / "mine.toml")
    assert read == record()
    technology = read.technology()
    assert technology == Technology(
        name="mine",
        source=record().summary,
        resistors={"unit": 1e5, "bits": 8},
        opamp={"gain": 3456.5},
        thermal={"johnson_noise": False},
    )
    assert ("opamp.gain", 3456.5, "simulated", "amplifier.cir under 30 kohm") in read.rows()


def test_sizes_on_silicon_keep_their_sources() -> None:
    sizes = preset("integrated").area
    assert sizes is not None
    sources = {name: Source(kind=one.kind, what=one.source, command="make") for name, one in sizes.figures().items()}
    fields = {name: Figure(value=one.value, source=name) for name, one in sizes.figures().items()}
    fields["ladder"] = Figure(value="R-2R", source="switch")
    found = record(sources=SOURCES | sources, figures=FIGURES | {"area": fields}).technology().area
    assert found == sizes.model_copy(update={"ladder": "R-2R"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"figures": {"opamp": {"gain": Figure(value=2.0, source="guess")}}},
            "opamp.gain is from 'guess'.*models, bench",
        ),
        ({"figures": {"opamp": {"gain": Figure(value=2.0, source="bench")}}}, "no figure is from the source 'models'"),
        ({"figures": FIGURES | {"wires": {"length": Figure(value=1.0, source="models")}}}, r"wires\.length.*spelling"),
        ({"figures": FIGURES | {"adc": {"bits": Figure(value=77, source="models")}}}, r"adc\.bits.*77"),
    ],
)
def test_each_figure_needs_a_source_and_a_place(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        record(**changes)


def test_what_a_simulator_found_needs_its_command() -> None:
    with pytest.raises(InputError, match="set command"):
        Source(kind="simulated", what="on some bench")


@pytest.mark.parametrize(
    ("text", "message"),
    [("format = [", "not valid TOML"), ("format = 7", "format"), ('name = "x"', "process")],
)
def test_a_file_that_is_none_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        TechnologyRecord.read(tmp_path / "x.toml")


@pytest.mark.parametrize("name", RECORDS)
def test_a_shipped_record_is_its_preset(name: str) -> None:
    """With all kinds of sources, and none that is not one of an installed or public figure."""
    assert PRESETS[name] == RECORDS[name].technology()
    assert {source.kind for source in RECORDS[name].sources.values()} == {"foundry", "simulated", "published", "chosen"}
