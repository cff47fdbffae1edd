"""The oracle itself, on circuits whose voltages can be worked out by hand."""

import pytest

from .oracle import operating_point


def test_divider():
    v = operating_point(
        "* title\nV1 in 0 dc 3.0\nR1 in out 1000.0 temp=27.0\nR2 out 0 2000.0\nC1 out 0 1e-9 ic=5\n.end"
    )
    assert v["out"] == pytest.approx(2.0)


def test_current_flows_into_the_second_node():
    assert operating_point("I1 0 a dc 0.001\nR1 a 0 1000.0")["a"] == pytest.approx(1.0)


def test_inverting_amplifier_of_finite_gain():
    # Gain A: out = -A e, (in - e) / R1 = (e - out) / R2.
    v = operating_point("V1 in 0 dc 1.0\nR1 in e 1000.0\nR2 e out 2000.0\nE1 out 0 0 e 100.0")
    assert v["out"] == pytest.approx(-2.0 / (1 + 3.0 / 100.0))


def test_transconductance_takes_current_from_the_first_node():
    assert operating_point("V1 c 0 dc 1.0\nG1 0 a c 0 0.002\nR1 a 0 1000.0")["a"] == pytest.approx(2.0)


def test_an_unknown_card_is_not_skipped():
    with pytest.raises(AssertionError, match="Q1"):
        operating_point("R1 a 0 1.0\nQ1 a 0 0 model")
