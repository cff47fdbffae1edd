"""Plans: what a file means, the design points, and what is wrong with others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.card import DeviceCard
from thermograd.optim.codesign.knobs import KNOBS
from thermograd.optim.codesign.plans.plan import StudyPlan, read_plan
from thermograd.optim.codesign.plans.sample import Range, latin_hypercube

FULL = """
task = { name = "poisson", interior = 30 }
card = "shipped:integrated"
level = "solve"
steps = [1, 5]
dies = [1, 2]
seeds = [0]
readings = ["refined"]
[knobs]
adc.bits = [3, "none"]
"tolerance" = [0.01, 0.1]
[sample]
number = 3
seed = 4
[range]
"opamp.gain" = [1e2, 1e5]
"tngd.system" = ["dual", "primal"]
[fixed]
refined.rounds = 2
[check]
fraction = 0.05
"""


def read(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return read_plan(path)


def test_a_file_says_points_as_the_grid_with_each_point_of_the_sample(tmp_path):
    plan = read(tmp_path, FULL)
    assert (plan.task, plan.settings, plan.ways()) == ("poisson", {"interior": 30}, ("refined",))
    points = plan.points()
    assert len(points) == 2 * 2 * 3
    assert [(point["adc.bits"], point["resistors.tolerance"]) for point in points[::3]] == [
        (3, 0.01), (3, 0.1), (None, 0.01), (None, 0.1),
    ]  # fmt: skip
    gains = {point["opamp.gain"] for point in points}
    assert len(gains) == 3
    assert [1e2 <= gain < 1e3 for gain in sorted(gains)] == [True, False, False]  # one in each decade
    assert {point["refined.rounds"] for point in points} == {2}
    assert points == read(tmp_path, FULL).points()
    assert points != read(tmp_path, FULL.replace("seed = 4", "seed = 5")).points()


def test_paths_are_of_the_files_folder(tmp_path):
    DeviceCard.uncalibrated("integrated").write(tmp_path / "card.json")
    plan = read(tmp_path, 'task = "digits"\ncard = "card.json"')
    assert plan.card == str(tmp_path / "card.json")
    assert plan.read_card() == DeviceCard.uncalibrated("integrated")
    assert read(tmp_path, 'task = "digits"\ntechnology = "gf180mcu"').read_card().technology.name == "gf180mcu"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dies = [1, 2]", "dies = [1, 1]", "dies.*each once"),
        ("dies = [1, 2]", "die = [1]", "field 'die' is unknown.*did you mean dies"),
        ("seeds = [0]", "seeds = []", "seeds.*at least one"),
        ('["refined"]', '["refined", "bare"]', "bare readings do not heed refined.rounds"),
        ('["refined"]', '["fine"]', "readings.*of refined, bare"),
        ("adc.bits = [3", "adc.bits = [3.5", "adc.bits is 3.5 bit: give a whole number from 1"),
        ("adc.bits = [3", "adc.bit = [3", "'adc.bit' is unknown"),
        ('[3, "none"]', "8", r"adc.bits is 8: give a list, such as adc.bits = \[8\]"),
        ("[0.01, 0.1]", "[0.1, 0.1]", "values of tolerance.*each once"),
        ("refined.rounds = 2", "resistors.tolerance = 0.1", r"turned twice, in \[knobs\] and \[fixed\]"),
        ("[1e2, 1e5]", "[1e5, 1e2]", "range of opamp.gain.*the lower one first"),
        ('["dual", "primal"]', '["dual"]', "range of tngd.system.*at least two of"),
        ("number = 3", "number = 0", "number.*greater than or equal to 1"),
        ("[sample]\nnumber = 3\nseed = 4", "", r"\[range\] needs \[sample\]"),
        ("fraction = 0.05", "fraction = 5", "fraction.*less than or equal to 1"),
        ("steps = [1, 5]", "steps = 5", r'level "solve" takes a list of steps.*steps = \[5\]'),
        ('level = "solve"', 'level = "training"', 'level "training" takes one number'),
        ('card = "shipped:integrated"', 'card = "a.json"\ntechnology = "sky130"', "already holds its technology"),
        ("interior = 30", 'interior = 30 }\nsettings = { interior = 3', "interior is given twice"),
        ("task = ", "task = = ", "plan.toml' is not valid TOML"),
    ],
)  # fmt: skip
def test_errors_say_what_to_write(tmp_path, old, new, message):
    assert old in FULL
    with pytest.raises(InputError, match=message):
        read(tmp_path, FULL.replace(old, new, 1))


def test_no_file_and_other_encodings_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none.toml' cannot be read"):
        read_plan(tmp_path / "none.toml")
    (tmp_path / "plan.toml").write_bytes(b"task = '\xff'")
    with pytest.raises(InputError, match="not UTF-8"):
        read_plan(tmp_path / "plan.toml")


@settings(max_examples=30)
@given(number=st.integers(1, 40), seed=st.integers(0, 2**31), low=st.floats(1.5, 1e3), ratio=st.floats(1.01, 1e6))
def test_a_latin_hypercube_has_one_point_in_each_part_of_each_range(number, seed, low, ratio):
    ranges = [
        Range.of(KNOBS["opamp.gain"], (low, low * ratio)),
        Range.of(KNOBS["thermal.ambient"], (250.0, 350.0)),
        Range.of(KNOBS["tngd.system"], KNOBS["tngd.system"].choices),
    ]
    assert ranges[0].log
    assert not ranges[1].log
    points = latin_hypercube(ranges, number, seed)
    parts = [
        np.log([point["opamp.gain"] / low for point in points]) / np.log(ratio),
        (np.array([point["thermal.ambient"] for point in points]) - 250.0) / 100.0,
    ]
    for shares in parts:
        # An equal part holds one; rounding at its edge may move it by a part in 1e9.
        assert np.allclose(np.sort(shares) * number - np.arange(number) - 0.5, 0.0, atol=0.5 + 1e-6)
    assert points == latin_hypercube(ranges, number, seed)
    assert all(point["tngd.system"] in KNOBS["tngd.system"].choices for point in points)


def test_whole_numbers_are_equally_likely_and_a_point_drawn_twice_is_one():
    drawn = latin_hypercube([Range.of(KNOBS["adc.bits"], (3, 6))], 400, 0)
    assert [sum(point["adc.bits"] == bits for point in drawn) for bits in (3, 4, 5, 6)] == [100] * 4
    plan = StudyPlan(task="digits", sample={"number": 50}, range={"adc.bits": (3, 6)})
    assert sorted(point["adc.bits"] for point in plan.points()) == [3, 4, 5, 6]
