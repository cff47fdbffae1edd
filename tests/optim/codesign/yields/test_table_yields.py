"""Yields of a table whose scores are known."""

import pandas
import pytest

from thermograd.circuits.errors import InputError
from thermograd.optim.codesign.yields import answer, read_target, table_yields

SCORE = {"name": "test accuracy", "column": "test_accuracy", "percent": True, "more_is_better": True}


def table(scores, knob="adc.bits", reading="refined"):
    """scores: level -> die -> scores by seed; exact NGD has 0.97 and 0.95 of two seeds."""
    rows = [{"device": "exact NGD", "seed": seed, "test_accuracy": exact} for seed, exact in enumerate((0.97, 0.95))]
    for level, dies in scores.items():
        for die, found in enumerate(dies):
            for seed, score in enumerate(found):
                about = {"device": "die", "die": die, "seed": seed, "reading": reading, knob: level}
                rows.append({**about, "test_accuracy": score})
    frame = pandas.DataFrame(rows).convert_dtypes()
    frame.attrs = {"score": SCORE, "knobs": [knob]}
    return frame


GOOD, BAD, ONE_DIVERGED = [0.96, 0.96], [0.96, 0.95], [0.99, float("nan")]
BITS = {3: [BAD, BAD, GOOD], 4: [GOOD, ONE_DIVERGED, BAD], 6: [GOOD] * 3, 8: [GOOD] * 3}
TEXT = "accuracy >= exact_ngd - 0.3"


def test_dies_are_judged_by_their_mean_against_exact_ngd_with_the_same_seeds():
    found = table_yields(table(BITS), TEXT)
    assert [one.point for one in found] == [{"adc.bits": bits} for bits in BITS]
    assert [one.found.met for one in found] == [1, 1, 3, 3]
    assert found[0].limit == pytest.approx(0.957)
    assert found[0].to_dict()["high"] == found[0].found.high


@pytest.mark.parametrize(
    ("scores", "knob", "said"),
    [
        (BITS, "adc.bits", "from 6 bit on: 3 of 3 dies, so at least 29 % of all dies (95 % confidence); at 4 bit 1 of 3 dies."),
        ({0.01: [GOOD], 0.05: [BAD]}, "resistors.tolerance", "up to 1 %: 1 of 1 dies, so at least"),
        ({4: [BAD], 6: [BAD, GOOD]}, "adc.bits", "at no level from 4 bit to 6 bit: 1 of 2 dies at most, at 6 bit."),
        ({4: [GOOD], 6: [GOOD]}, "adc.bits", "at every level from 4 bit to 6 bit: 1 of 1"),
        ({8: [GOOD], 6: [BAD], 4: [GOOD]}, "adc.bits", "with 4 bit, 8 bit, which are not next to each other"),
        ({2: [BAD], 6: [GOOD], 8: [BAD]}, "adc.bits", "from 6 bit to 6 bit: "),
        ({True: [GOOD], False: [BAD]}, "refined.chopped", "with on: 1 of 1 dies"),
    ],
)  # fmt: skip
def test_the_answer_in_one_sentence(scores, knob, said):
    found = table(scores, knob)
    text = answer(table_yields(found, TEXT), read_target(found, TEXT))
    assert said in text
    assert "accuracy >= exact_ngd - 0.3" in text


def test_a_smaller_share_of_dies_may_be_enough():
    levels = table_yields(table(BITS), TEXT)
    assert "at every level" in answer(levels, read_target(table(BITS), TEXT), wanted=0.3)


def test_an_unfinished_table_is_not_judged():
    with pytest.raises(InputError, match="has not all of the seeds"):
        table_yields(table({3: [GOOD, GOOD[:1]]}), TEXT)
    with pytest.raises(InputError, match="no finished run"):
        table_yields(table({3: [GOOD]})[:2], TEXT)
    with pytest.raises(InputError, match="no exact NGD of seed 0"):
        table_yields(table({3: [GOOD]})[2:], TEXT)
    assert table_yields(table({3: [GOOD]})[2:], "accuracy >= 96 %")[0].found.met == 1


def test_an_answer_is_of_one_knob_and_one_reading():
    found = table_yields(table(BITS), TEXT) + table_yields(table(BITS, reading="bare"), TEXT)
    with pytest.raises(InputError, match="these levels have 1 and 2"):
        answer(found, read_target(table(BITS), TEXT))
