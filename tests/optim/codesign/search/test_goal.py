"""What a design must reach, as text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.optim.codesign.search.goal import Goal
from thermograd.optim.tasks.task import Score

ACCURACY = Score("test accuracy", more_is_better=True, target=0.9, percent=True)
ERROR = Score("relative L2 error", more_is_better=False, target=1e-3)


@given(st.floats(0, 30).map(lambda x: round(x, 3)), st.floats(0.5, 1))
def test_points_below_exact_ngd(points: float, exact: float) -> None:
    goal = Goal.parse(f"test_accuracy >= exact_ngd - {points}", ACCURACY)
    assert goal.limit(exact) == pytest.approx(exact - points / 100)
    assert goal.is_met(exact, exact)
    assert not goal.is_met(exact - points / 100 - 1e-4, exact)
    assert goal.shortfall(exact - (points + 2) / 100, exact) == pytest.approx(2.0)


def test_forms() -> None:
    assert Goal.parse("error <= 1.5 * exact_ngd", ERROR).limit(2e-3) == pytest.approx(3e-3)
    assert Goal.parse("relative_L2_error <= 0.01", ERROR).limit(5.0) == 0.01
    assert Goal.parse("accuracy >= 97 %", ACCURACY).limit(0.5) == pytest.approx(0.97)
    assert Goal.parse("accuracy >= exact_ngd", ACCURACY).limit(0.9) == 0.9


def test_what_diverged_meets_nothing() -> None:
    goal = Goal.parse("error <= 1.5 * exact_ngd", ERROR)
    assert goal.shortfall(math.nan, 1.0) == math.inf
    assert not goal.is_met(math.nan, 1.0)
    assert goal.shortfall(3.0, 1.0) == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("text", "score", "words"),
    [
        ("test_accuracy > exact_ngd", ACCURACY, "of no known form"),
        ("loss <= 1", ERROR, "is unknown"),
        ("test_accuracy <= 97 %", ACCURACY, "more is better: write >="),
        ("error >= 0.1", ERROR, "less is better: write <="),
        ("test_accuracy >= 0.97", ACCURACY, "is in percent"),
    ],
)
def test_what_is_no_target(text: str, score: Score, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Goal.parse(text, score)
