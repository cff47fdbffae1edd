"""Fronts and their hypervolume."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thermograd.circuits.errors import InputError
from thermograd.optim.codesign.search.front import dominates, hypervolume, on_front

_POINTS = st.lists(st.tuples(*[st.integers(0, 6)] * 3), max_size=8)


@given(_POINTS)
@settings(max_examples=60)
def test_hypervolume_counts_the_cells_that_are_dominated(points: list[tuple[int, int, int]]) -> None:
    """On a grid of whole numbers the volume is a number of unit cells, which an independent count finds."""
    cells = np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    covered = sum(any(all(p <= c) for p in np.array(points).reshape(-1, 3)) for c in cells)
    assert hypervolume(points, (5, 5, 5)) == pytest.approx(covered)


@given(_POINTS)
def test_the_front_has_all_of_the_volume(points: list[tuple[int, int, int]]) -> None:
    front = [one for one, good in zip(points, on_front(points), strict=True) if good]
    assert hypervolume(front, (7, 7, 7)) == pytest.approx(hypervolume(points, (7, 7, 7)))
    assert not any(dominates(one, other) for one in front for other in front)


def test_two_costs_and_none() -> None:
    assert hypervolume([(1.0, 2.0), (2.0, 1.0)], (3.0, 3.0)) == pytest.approx(3.0)
    assert hypervolume([], (1.0, 1.0)) == 0.0
    with pytest.raises(InputError, match="nan"):
        hypervolume([(math.nan, 1.0)], (1.0, 1.0))
