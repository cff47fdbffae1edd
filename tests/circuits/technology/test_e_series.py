"""Preferred numbers against the table of IEC 60063 and against a search over all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.e_series import nearest_preferred, series_values

SERIES = ["E6", "E12", "E24", "E48", "E96", "E192"]
E12 = [1.0, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 3.9, 4.7, 5.6, 6.8, 8.2]
# Every second value is E48's; typed from the standard, not computed.
E96 = """
1.00 1.02 1.05 1.07 1.10 1.13 1.15 1.18 1.21 1.24 1.27 1.30 1.33 1.37 1.40 1.43 1.47 1.50 1.54 1.58 1.62 1.65 1.69 1.74
1.78 1.82 1.87 1.91 1.96 2.00 2.05 2.10 2.15 2.21 2.26 2.32 2.37 2.43 2.49 2.55 2.61 2.67 2.74 2.80 2.87 2.94 3.01 3.09
3.16 3.24 3.32 3.40 3.48 3.57 3.65 3.74 3.83 3.92 4.02 4.12 4.22 4.32 4.42 4.53 4.64 4.75 4.87 4.99 5.11 5.23 5.36 5.49
5.62 5.76 5.90 6.04 6.19 6.34 6.49 6.65 6.81 6.98 7.15 7.32 7.50 7.68 7.87 8.06 8.25 8.45 8.66 8.87 9.09 9.31 9.53 9.76
"""


def test_series_are_those_of_the_standard():
    e96 = [float(value) for value in E96.split()]
    np.testing.assert_allclose(series_values("E12"), E12, rtol=1e-12)
    np.testing.assert_allclose(series_values("E6"), E12[::2], rtol=1e-12)
    np.testing.assert_allclose(series_values("E96"), e96, rtol=1e-12)
    np.testing.assert_allclose(series_values("E48"), e96[::2], rtol=1e-12)
    np.testing.assert_allclose(series_values("E192")[::2], e96, rtol=1e-12)
    assert 9.20 in series_values("E192")  # the exception to its rule


@pytest.mark.parametrize("name", SERIES)
def test_a_series_has_as_many_values_as_its_name_says(name):
    values = series_values(name)
    assert len(values) == int(name[1:])
    assert values[0] == 1.0
    assert values[-1] < 10.0
    assert (np.diff(values) > 0).all()


@given(st.sampled_from(SERIES), st.floats(1e-12, 1e12))
def test_nearest_is_nearest_by_ratio(name, value):
    decades = 10.0 ** np.arange(-14, 15)
    every = np.concatenate([series_values(name) * decade for decade in decades])
    distance = np.abs(np.log(every / value)).min()
    found = float(nearest_preferred(np.array([value]), name)[0])
    assert abs(np.log(found / value)) <= distance + 1e-9
    assert np.abs(every / found - 1).min() < 1e-12


@given(st.sampled_from(SERIES), st.integers(-9, 9), st.integers(0, 191))
def test_preferred_numbers_stay_themselves_in_every_decade(name, decade, k):
    values = series_values(name)
    value = values[k % len(values)] * 10.0**decade
    assert nearest_preferred(np.array([value]), name)[0] == pytest.approx(value, rel=1e-12)


def test_an_unknown_series_is_named_in_the_error():
    with pytest.raises(InputError, match=r"E13.*E24"):
        series_values("E13")
