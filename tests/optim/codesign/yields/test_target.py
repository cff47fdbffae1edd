"""Targets as people write them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.optim.codesign.study_result import StudyScore
from thermograd.optim.codesign.yields import Target

SCORES = [
    StudyScore("test accuracy", percent=True, more_is_better=True),
    *(StudyScore(name, more_is_better=False) for name in ("training loss", "relative L2 error", "solve error")),
]


@pytest.mark.parametrize(
    ("text", "exact", "score", "limit"),
    [
        ("test_accuracy >= exact_ngd - 0.3", 0.97, "test accuracy", 0.967),
        ("Accuracy>=exact_ngd-0.3 points", 0.97, "test accuracy", 0.967),
        ("test accuracy >= 97 %", math.nan, "test accuracy", 0.97),
        ("accuracy >= 97", math.nan, "test accuracy", 0.97),
        ("relative_L2_error <= 1.5 * exact_ngd", 2e-5, "relative L2 error", 3e-5),
        ("training loss <= exact_ngd + 1e-2", 0.2, "training loss", 0.21),
        ("loss<=0.5*exact_ngd + .1", 0.2, "training loss", 0.2),
        ("solve error <= 1e-3", math.nan, "solve error", 1e-3),
        ("accuracy >= exact_ngd", 0.5, "test accuracy", 0.5),
    ],
)
def test_limit(text, exact, score, limit):
    found = Target.parse(text, SCORES)
    assert found.score == score
    assert found.limit(exact).value == pytest.approx(limit, rel=1e-12)
    assert found.is_relative == math.isfinite(exact)
    assert str(found) == text


@given(st.floats(0.0, 1.0), st.floats(0.0, 20.0, allow_subnormal=False))
def test_a_limit_is_met_by_itself_and_not_by_less(exact, points):
    limit = Target.parse(f"accuracy >= exact_ngd - {points!r}", SCORES).limit(exact)
    assert limit(limit.value)
    assert not limit(limit.value - 2e-9 * abs(limit.value) - 1e-300)
    assert not limit(math.nan)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accuracy > 0.9", "write"),
        ("accuracy >= exact - 0.3", "write"),
        ("accuracy >= 0.97", "such as 97 or 97 %"),
        ("accuracy >= 101", "to 100"),
        ("accuracy <= 97", "more is better"),
        ("training loss >= exact_ngd", "less is better"),
        ("solve error <= 3 %", "leave '%' out"),
        ("solve error <= exact_ngd + 3 points", "leave 'points' out"),
        ("error <= 1", "relative L2 error or solve error: write all"),
        ("F1 >= 0.3", "there are: test accuracy"),
        ("solve error <= -1 * exact_ngd", "above 0"),
        ("", "write"),
    ],
)
def test_what_is_no_target(text, said):
    with pytest.raises(InputError, match=said):
        Target.parse(text, SCORES)


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_any_text_is_a_target_or_an_input_error(text):
    try:
        Target.parse(text, SCORES)
    except InputError:
        pass


def test_a_relative_target_needs_exact_ngd():
    with pytest.raises(InputError, match="exact NGD"):
        Target.parse("accuracy >= exact_ngd - 1", SCORES).limit()
