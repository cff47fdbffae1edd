"""The table of what is not modelled: complete, and true of the netlists that are emitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from thermograd.circuits.errors import InputError
from thermograd.circuits.records import Record
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.effects import EFFECTS, MODELS, NO_ERROR, OPTIONS
from thermograd.compiler.fabrics.registry import fabric_named
from thermograd.compiler.limitations import left_out, markdown, not_modelled

PAGE = Path(__file__).resolve().parents[2] / "docs" / "limitations.md"


def test_every_figure_of_a_technology_belongs_to_one_effect_or_changes_no_reading() -> None:
    figures = {
        f"{part}__{name}"
        for part, record in Technology()
        if isinstance(record, Record)
        for name in type(record).model_fields
    }
    named = [figure for effect in EFFECTS for figure in effect.figures] + sorted(NO_ERROR)
    assert len(named) == len(set(named))
    assert set(named) == figures


def test_what_nothing_states_is_modelled_by_nothing() -> None:
    # The output resistance takes gain and range, and is the latter's figure.
    shared = "gain of loaded amplifiers"
    for effect in EFFECTS:
        assert effect.figures or not effect.modelled_by or effect.name == shared, effect.name


def test_a_model_with_an_option_leaves_out_less() -> None:
    for option, models in OPTIONS.items():
        for model in models:
            assert set(not_modelled(model, None, [option])) < set(not_modelled(model))


def test_fabrics_are_told_what_concerns_their_parts() -> None:
    passive, active = (not_modelled("netlist", fabric_named(name)) for name in ("lc", "crossbar"))
    assert ("saturation of inductors" in passive, "saturation of inductors" in active) == (True, False)
    assert ("slew rate of amplifiers" in passive, "slew rate of amplifiers" in active) == (False, True)


def test_a_row_begins_with_what_the_technology_states() -> None:
    """What it does not state does nothing: `integrated` has no attenuator, and its temperatures do not move until it says so."""
    effects, board = not_modelled("netlist"), preset("integrated")
    stated = left_out(effects, board)
    assert stated.startswith("second pole of amplifiers; white noise of amplifiers; ")
    assert left_out(effects).startswith("input resistors in ranges; ")
    assert stated.rpartition("; ")[2] == left_out(effects).rpartition("; ")[2]
    attenuated = board.replace(dac__attenuations=2, thermal__dynamic=True)
    first, second, _ = left_out(effects, attenuated).split("; ", 2)
    assert (first, second) == ("attenuator between DACs and input resistors", "temperatures that move from run to run")
    # Nothing states these, and they act all the same.
    passive = not_modelled("netlist", fabric_named("rc"))
    assert left_out(passive, preset("ideal")).startswith("supply and ground impedance; ")


def test_the_ideal_device_models_nothing_but_the_law() -> None:
    assert len(not_modelled("IdealDevice")) == len(EFFECTS)


@pytest.mark.parametrize(("model", "options"), [("DieBatch", ["layout"]), ("toy", []), ("IdealDevice", ["macromodel"])])
def test_an_unknown_model_or_option_is_rejected(model: str, options: list[str]) -> None:
    with pytest.raises(InputError, match="unknown; there are" if model not in MODELS else "has no option"):
        not_modelled(model, None, options)


def test_the_page_shows_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith(markdown()), "run python -m tools.limitations_table"
