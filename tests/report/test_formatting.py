"""Numbers as text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.report.formatting import engineering, percent, plus_minus, si, significant


@given(value=st.floats(-1e6, 1e6), uncertainty=st.floats(1e-6, 1e3))
def test_plus_minus_rounds_to_the_uncertainty(value: float, uncertainty: float) -> None:
    shown, error = (float(part) for part in plus_minus(value, uncertainty).replace("−", "-").split(" ± "))
    assert abs(shown - value) <= 0.5 * max(1.0, uncertainty)
    assert (
        abs(shown - value) <= 0.5001 * max(uncertainty, 1.0)
        if uncertainty > 1
        else abs(shown - value) <= 0.51 * uncertainty
    )
    assert error == pytest.approx(uncertainty, rel=0.35) if uncertainty < 10 else True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (plus_minus(0.9643, 0.0052, 100, "%"), "96.4 ± 0.5 %"),
        (plus_minus(1.0072, 0.0113), "1.007 ± 0.011"),
        (plus_minus(94.2, 3.1), "94 ± 3"),
        (plus_minus(-0.002, 0.004, 100, "points"), "−0.2 ± 0.4 points"),
        (plus_minus(0.5, 0.0), "0.500"),
        (plus_minus(0.0, 0.0), "0"),
        (plus_minus(0.1, 1.7e-17, 100, "%"), "10.0 %"),
        (plus_minus(None, 0.1), "–"),
        (plus_minus(math.inf, 0.1), "–"),
        (si(2.3e-7, "s"), "230 ns"),
        (si(1e4, "Ω"), "10.0 kΩ"),
        (si(12.0, "s"), "12.0 s"),
        (si(0.0, "s"), "0 s"),
        (si(None, "s"), "–"),
        (significant(1234.5), "1234"),
        (significant(3.2e-13, 2), "3.2 × 10⁻¹³"),
        (significant(-0.25, 2), "−0.25"),
        (percent(0.99123), "99.1 %"),
        (percent(math.nan), "–"),
    ],
)
def test_numbers_as_text(text: str, expected: str) -> None:
    assert text == expected


@given(value=st.floats(1e-15, 1e14))
def test_si_prefix_is_the_value(value: float) -> None:
    number, unit = si(value, "s").split(" ", 1)
    scale = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    assert float(number) * scale[unit.removesuffix("s")] == pytest.approx(value, rel=6e-3)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (20.7e3, "Ω", "20.7 kΩ"),
        (1e-9, "F", "1 nF"),
        (4019.9999999999995, "Ω", "4.02 kΩ"),
        (999.96, "Ω", "1 kΩ"),
        (1000.0, "Ω", "1 kΩ"),
        (1e6, "Ω", "1 MΩ"),
        (2.2e-6, "H", "2.2 µH"),
        (0.5, "V", "500 mV"),
        (-3e-4, "V", "-300 µV"),
        (47.0, "Ω", "47 Ω"),
        (0.0, "V", "0 V"),
        (float("inf"), "Hz", "inf Hz"),
        (1e-30, "F", "1e-30 F"),
    ],
)
def test_engineering_notation(value: float, unit: str, text: str) -> None:
    assert engineering(value, unit) == text
