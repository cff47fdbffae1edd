"""Device cards: files come back as they were, and no damaged one is taken."""

import hashlib
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.converters import Converter
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.estimate import RANGES, Estimate
from thermograd.devicemodel.systems import Dense
from thermograd.devicemodel.validity import Validity

from ..systems import spd, true_card

CARD = true_card(preset("integrated"))


def changed(**fields):
    """A card's file with other contents and the digest that belongs to them."""
    data = json.loads(CARD.model_dump_json()) | fields
    plain = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return json.dumps(data | {"digest": hashlib.sha256(plain.encode()).hexdigest()})


def edited(old, new):
    """A card's file, changed by hand."""
    text = changed()
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.mark.parametrize("name", ["ideal", "integrated"])
def test_a_card_survives_its_file(tmp_path, name):
    card = true_card(preset(name), leak=0.0, lag=0.0)
    card.write(tmp_path / "card.json")
    assert DeviceCard.read(tmp_path / "card.json") == card


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        (CARD.model_dump_json()[:-20], "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[1]", "format None"),
        ("{}", "format None"),
        (changed(format=99), "format 99.*reads 5: update thermograd"),
        (changed(format=1), "format 1.*reads 5: calibrate again"),
        (changed(format="3"), "format '3'"),
        (changed(format=5.0), "field format: 5.0 is no integer"),
        (edited('"systems": 0', '"systems": 5'), "not as it was written: its digest does not fit"),
        (edited('"digest": ', '"digest": null, "old": '), "digest is missing"),
        (CARD.model_dump_json(), "digest is missing"),
        (changed(fabric="copper"), "fabric"),
        (changed(technology={"adc": {"bits": 99}}), r"adc\.bits"),
        (changed(technology={"self": 1}), "self"),
        (changed(mismatch={"value": "NaN", "std": 0}), r"mismatch\.value"),
        (changed(mismatch={"value": 0.1, "std": -1}), r"mismatch\.std"),
        (changed(mismatch=0.1), "mismatch"),
        (changed(surprise=1), "surprise"),
        (changed(provenance={"who": {"deep": 1}}), "provenance"),
    ],
)
def test_a_damaged_card_raises_by_name(tmp_path, text, message):
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        DeviceCard.read(path)
    assert "card.json" in str(caught.value)


TEXT = changed()


@settings(max_examples=150)
@given(
    place=st.integers(0, len(TEXT) - 1),
    kind=st.sampled_from(["cut", "drop", "swap"]),
    letter=st.characters(codec="utf-8"),
)
def test_a_file_that_lost_or_changed_a_character_raises_or_is_the_same_card(place, kind, letter):
    left = {"cut": "", "drop": TEXT[place + 1 :], "swap": letter + TEXT[place + 1 :]}[kind]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "card.json"
        path.write_text(TEXT[:place] + left, encoding="utf-8")
        try:
            read = DeviceCard.read(path)
        except InputError as error:
            assert "card.json" in str(error)  # noqa: PT017 - either way is right, and a wrong card is not
        else:
            assert read == CARD


def test_a_card_is_numbers_and_names_and_none_of_it_is_run(tmp_path, monkeypatch):
    code = "__import__('os').system('touch ran')"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.json").write_text(changed(provenance={"simulator": code, code: 1}))
    assert DeviceCard.read("card.json").provenance["simulator"] == code
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]


def test_a_missing_or_unreadable_card_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json.*No such file"):
        DeviceCard.read(tmp_path / "nowhere.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.json"):
        DeviceCard.read(tmp_path / "binary.json")


def test_a_what_if_changes_one_parameter():
    card = CARD.replace(mismatch=0.05, technology=CARD.technology.replace(adc__bits=4))
    assert card.mismatch == Estimate(value=0.05, std=0.0)
    assert card.technology.adc.bits == 4
    assert card.replace(mismatch=CARD.mismatch, technology=CARD.technology) == CARD


@pytest.mark.parametrize("change", [{"mismatch": "much"}, {"mismatch": math.nan}, {"technology": 3}, {"clamp": 0.5}])
def test_an_impossible_what_if_is_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        CARD.replace(**change)


@pytest.mark.parametrize("change", [{"adc": Converter(bits=4)}, {"mismach": 1.0}, {"fabric": "rc"}])
def test_what_a_card_has_not_cannot_be_replaced(change):
    with pytest.raises(TypeError, match=next(iter(change))):
        CARD.replace(**change)


def test_converters_are_in_one_place_and_what_is_changed_there_is_heeded():
    system, b = Dense(torch.tensor(spd(6, 10.0, 1))), torch.linspace(-1, 1, 6, dtype=torch.float64)
    exact = torch.linalg.solve(system.A, b)

    def error(bits, kind):
        card = CARD.replace(technology=CARD.technology.replace(**{f"{kind}__bits": bits}))
        errors = [SurrogateDevice(card, die).solve(system, b, 200.0).x - exact for die in range(20)]
        return float(torch.stack(errors).norm())

    for kind in ("dac", "adc"):
        two, four, eight = (error(bits, kind) for bits in (2, 4, 8))
        assert two > 2 * four > 2 * eight


@pytest.mark.parametrize(
    ("change", "instead"),
    [
        ({"opamp__gain": 1e3}, r"technology\.opamp\.gain is 1000 .*replace\(leak=1 / gain\)"),
        ({"opamp__gbw": 1e6}, r"replace\(lag="),
        ({"opamp__offset": 1e-2}, r"opamp\.offset_mismatch is 0\.01 .*replace\(offset="),
        ({"resistors__tolerance": 0.2}, r"resistors\.mismatch is .*replace\(mismatch="),
        ({"capacitors__tolerance": 0.2}, r"capacitors\.mismatch is .*replace\(capacitor_mismatch="),
        ({"opamp__slew": 1.0}, r"opamp\.slew is 1 .*SpiceDevice"),
    ],
)
def test_a_figure_that_the_card_has_itself_is_not_taken_from_its_technology(change, instead):
    with pytest.raises(InputError, match=instead):
        CARD.replace(technology=CARD.technology.replace(**change))


def test_the_summary_names_what_was_fitted():
    names = [name for name, _ in CARD.summary()]
    assert {"gain", "leak", "lag", "mismatch", "capacitor_mismatch", "offset", "noise_power"} <= set(names)


SEEN = Validity(unknowns=(4, 16), condition_number=(5.0, 50.0), duration=40.0, level=0.9, temperature=(290.0, 310.0))


def violated(n=8, condition=20.0, duration=5.0, temperatures=(300.0, 305.0), level=0.5):
    system = SEEN.violations_by_system(spd(n, condition, 1))
    return " / ".join(
        (*system, *SEEN.violations_by_run(duration, np.array(temperatures)), *SEEN.violations_by_level(level))
    )


@pytest.mark.parametrize(
    "inside",
    [
        {},
        {"n": 4},
        {"n": 16, "condition": 50.0},
        {"condition": 1.0},
        {"duration": 0.0},
        {"duration": 40.0},
        {"temperatures": (290.0, 310.0)},
        {"level": 0.9},
    ],
)
def test_what_the_fit_has_seen_violates_nothing(inside):
    assert violated(**inside) == ""


@pytest.mark.parametrize(
    ("outside", "message"),
    [
        ({"n": 3}, "3 unknowns, calibrated for 4 to 16"),
        ({"n": 17}, "17 unknowns, calibrated for 4 to 16"),
        ({"condition": 50.1}, "condition number 50.1, calibrated for at most 50"),
        ({"duration": math.inf}, "duration inf tau, calibrated for at most 40 tau"),
        ({"temperatures": (289.0, 300.0)}, "a die of 289 to 300 K, calibrated for 290 to 310 K"),
        ({"temperatures": (300.0, 310.1)}, "a die of 300 to 310.1 K, calibrated for 290 to 310 K"),
        ({"level": 0.91}, "node voltages of 0.91 V, calibrated for at most 0.9 V"),
        (
            {"n": 2, "duration": 99.0},
            "2 unknowns, calibrated for 4 to 16 / duration 99 tau, calibrated for at most 40 tau",
        ),
    ],
)
def test_a_bound_that_is_violated_is_named(outside, message):
    assert violated(**outside) == message


def test_a_singular_system_is_beyond_every_condition_number():
    assert "condition number inf" in SEEN.violations_by_system(np.zeros((5, 5)))[0]


@settings(max_examples=50)
@given(n=st.integers(4, 16), condition=st.floats(1.0, 200.0), seed=st.integers(0, 1000))
def test_what_is_proven_without_eigenvalues_is_what_they_say(n, condition, seed):
    matrix = spd(n, condition, seed)
    violations = SEEN.violations_by_system(matrix)
    assert bool(violations) == (np.linalg.cond(matrix) > 50.0 * (1 + 1e-6))
    # A floor of all eigenvalues is taken at its word, and says nothing where it is too low.
    assert SEEN.violations_by_system(matrix, np.linalg.eigvalsh(matrix)[0] / 2) == violations
    assert SEEN.violations_by_system(matrix, 1e3) == ()


def test_bounds_that_were_not_recorded_are_not_looked_at():
    bare = Validity(unknowns=(4, 16), condition_number=(5.0, 50.0))
    assert bare.violations_by_run(math.inf, np.array([4.0])) == ()
    assert bare.violations_by_level(1e3) == ()


IMPOSSIBLE = [
    ({"mismatch": -1.0}, "field mismatch: its value is -1: give a number from 0 to 2"),
    ({"mismatch": 500.0}, "field mismatch: its value is 500"),
    ({"capacitor_mismatch": -1e-9}, "field capacitor_mismatch: its value is -1e-09"),
    ({"lag": -1e-9}, "field lag: its value is -1e-09"),
    ({"pole": -1e-9}, "field pole: its value is -1e-09"),
    ({"leak": -1.0}, "field leak: its value is -1"),
    ({"offset": -1e-3}, "field offset: its value is -0.001"),
    ({"noise_power": -1.0}, "field noise_power: its value is -1"),
    ({"gain": 0.0}, "field gain: its value is 0: give a number above 0"),
    ({"mismatch": "0.01"}, r"field mismatch\.value: '0.01' is no number"),
    ({"mismatch": True}, r"field mismatch\.value: True is no number"),
    ({"clamp": "2"}, "field clamp: '2' is no number"),
]
KINDS = {"validity": {"unknowns": (4, 16), "condition_number": (5.0, 50.0)}, "held_out": CARD.held_out.model_dump()}
IMPOSSIBLE_PARTS = [
    ("validity", {"unknowns": (16, 4)}, "unknowns is 16 to 4: give two numbers >= 1, the lower one first"),
    ("validity", {"unknowns": (0, 4)}, "unknowns is 0 to 4"),
    ("validity", {"unknowns": (4.0, 16)}, r"unknowns\.0: 4.0 is no integer"),
    ("validity", {"condition_number": (50.0, 5.0)}, "condition_number is 50 to 5"),
    ("validity", {"condition_number": ("NaN", 50.0)}, "condition_number is nan to 50"),
    ("validity", {"condition_number": (-5.0, 50.0)}, "condition_number is -5 to 50"),
    ("validity", {"temperature": (310.0, 290.0)}, "temperature is 310 to 290"),
    ("validity", {"temperature": (-1.0, 290.0)}, "temperature is -1 to 290"),
    ("validity", {"duration": "NaN"}, "duration"),
    ("validity", {"duration": -1.0}, "duration"),
    ("validity", {"level": "NaN"}, "level"),
    ("validity", {"layout": 1}, "layout"),
    ("held_out", {"explained_variance": 7.0}, "explained_variance"),
    ("held_out", {"explained_variance_new_dies": "-Infinity"}, "explained_variance_new_dies: it is infinite"),
    ("held_out", {"spice_error": "NaN"}, "spice_error"),
    ("held_out", {"residual": -1.0}, "residual"),
    ("held_out", {"systems": -1}, "systems"),
    ("held_out", {"systems": "5"}, "systems: '5' is no integer"),
    ("held_out", {"intervals": {"score": (0.0, 1.0)}}, "intervals: 'score' is none of its figures"),
    ("held_out", {"intervals": {"residual": (0.2, 0.1)}}, "intervals: residual is 0.2 to 0.1"),
    ("held_out", {"intervals": {"residual": (0.1, "NaN")}}, "intervals: residual is 0.1 to nan"),
]


@pytest.mark.parametrize(("change", "message"), IMPOSSIBLE)
def test_impossible_values_raise_by_both_routes(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        CARD.replace(**change)
    file = {key: value if key == "clamp" else {"value": value, "std": 0.0} for key, value in change.items()}
    (tmp_path / "card.json").write_text(changed(**file))
    with pytest.raises(InputError, match=message):
        DeviceCard.read(tmp_path / "card.json")


@pytest.mark.parametrize(("kind", "change", "message"), IMPOSSIBLE_PARTS)
def test_impossible_ranges_and_scores_raise_by_both_routes(tmp_path, kind, change, message):
    if kind == "validity":
        with pytest.raises(InputError, match=message):
            CARD.replace(validity=KINDS[kind] | change)
    (tmp_path / "card.json").write_text(changed(**{kind: KINDS[kind] | change}))
    with pytest.raises(InputError, match=message):
        DeviceCard.read(tmp_path / "card.json")
    # Negative control: what is changed here is possible without the change.
    (tmp_path / "card.json").write_text(changed(**{kind: KINDS[kind]}))
    DeviceCard.read(tmp_path / "card.json")


def test_a_score_of_nothing_to_explain_survives_its_file(tmp_path):
    held = CARD.held_out.model_copy(update={"explained_variance": math.nan})
    CARD.model_copy(update={"held_out": held}).write(tmp_path / "card.json")
    read = DeviceCard.read(tmp_path / "card.json")
    assert math.isnan(read.held_out.explained_variance)
    assert dict(read.summary())["explained variance, held-out systems"] == "nothing to explain"
    assert dict(read.summary())["explained variance, held-out dies"] == "0.0000"


def test_a_layout_violates_a_card_of_schematics():
    found = [SEEN.model_copy(update={"layout": layout}).violations_by_layout(True) for layout in (True, False, None)]
    assert found == [(), ("an array with its layout, calibrated on schematics",), ()]
    assert SEEN.violations_by_layout(False) == ()


def test_an_uncalibrated_card_has_the_figures_of_its_technology() -> None:
    technology = preset("integrated")
    card = DeviceCard.uncalibrated(technology)
    pole = 1 / (2 * math.pi * technology.opamp.second_pole)
    wanted = true_card(technology, pole=pole)
    for name in RANGES:
        assert getattr(card, name) == getattr(wanted, name), name
    passive = DeviceCard.uncalibrated(technology, "dual_rail")
    assert (passive.leak.value, passive.lag.value, passive.offset.value) == (0.0, 0.0, 0.0)
    assert card.validity.violations_by_system(np.diag([1e-9, 1.0])) == ()
    assert card.provenance == {"calibration": "none: the technology's own figures"}
    assert passive.inductor_mismatch.value == 0.0
    assert DeviceCard.uncalibrated(technology, "lc").inductor_mismatch.value == technology.inductors.mismatch
    # Of amplifiers with one output.
    single = DeviceCard.uncalibrated("breadboard")
    assert (single.fabric, single.leak.value) == ("crossbar_single", 5e-6)
    with pytest.raises(InputError, match="fabric crossbar cannot be built: its amplifiers need two outputs"):
        DeviceCard.uncalibrated(preset("breadboard"), "crossbar")
    with pytest.raises(InputError, match="fabric crossbar cannot be built"):
        card.replace(technology=technology.replace(opamp__outputs=1, opamp__supply=1.0))


def test_a_circuits_amplifiers_are_those_of_the_card() -> None:
    technology = preset("integrated")
    same = DeviceCard.uncalibrated(technology, "crossbar").circuit_technology()
    for name in ("gain", "gbw", "second_pole"):
        assert getattr(same.opamp, name) == pytest.approx(getattr(technology.opamp, name), rel=1e-15)
    other = CARD.replace(leak=1e-2, lag=1e-9, pole=0.0).circuit_technology()
    assert (other.opamp.gain, other.opamp.second_pole) == (100.0, math.inf)
    assert other.opamp.gbw == pytest.approx(1 / (2 * math.pi * 1e-9))
    assert other.opamp.noise_voltage == technology.opamp.noise_voltage


def test_an_estimates_interval_is_students():
    known = Estimate(value=1.0, std=0.1)
    assert known.interval() == pytest.approx((1 - 0.195996, 1 + 0.195996), abs=1e-6)
    # A table of Student's t: 2.776 for 4 degrees of freedom, 12.706 for one.
    assert Estimate(value=0.0, std=1.0, degrees_of_freedom=4).interval() == pytest.approx((-2.776, 2.776), abs=1e-3)
    assert Estimate(value=0.0, std=1.0, degrees_of_freedom=1).interval()[1] == pytest.approx(12.706, abs=1e-3)
    assert str(known) == "1 +- 0.1 (95 %: +- 0.2)"
    assert str(Estimate(value=1.0, std=0.0)) == "1 +- 0"
    with pytest.raises(InputError, match="level is 95"):
        known.interval(95)


def test_a_held_out_figure_is_shown_with_its_interval(tmp_path):
    held = CARD.held_out.model_copy(update={"residual": 0.02, "intervals": {"residual": (0.01, 0.03)}})
    CARD.model_copy(update={"held_out": held}).write(tmp_path / "card.json")
    rows = dict(DeviceCard.read(tmp_path / "card.json").summary())
    assert rows["left unexplained"] == "0.02 (95 %: 0.01 to 0.03), relative rms"
