"""A board behind a driver as a device: the law of its runs, what it is asked to do, and replies that are no readings."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

import thermograd as tg
from thermograd.circuits.errors import InputError
from thermograd.devicemodel import BoardDescription, BoardError, Device, MeasuredDevice, Outcome

A = torch.tensor([[2.0, 0.5, -0.2], [0.5, 1.5, 0.1], [-0.2, 0.1, 1.0]], dtype=torch.float64)
b = torch.tensor([1.0, -0.5, 0.3], dtype=torch.float64)
PERFECT = BoardDescription(
    name="perfect", port="none", cells=3, time_constant=2e-6, drive_limit=1.0, reading_limit=5.0, shows_overload=True
)


@dataclasses.dataclass
class ExactDriver:
    """tau dv/dt = u - W v by scipy's exponential; `bend` is what its amplifiers make of the drive."""

    description: BoardDescription = PERFECT
    bend: float = math.inf
    reads: list[float] = dataclasses.field(default_factory=list)
    weights: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))
    driven: int = 0

    def program(self, weights: np.ndarray) -> None:
        self.weights = weights

    def drive(self, volts: np.ndarray) -> None:
        self.volts, self.driven = np.clip(volts, -self.bend, self.bend), self.driven + 1

    def read(self, seconds: float) -> np.ndarray:
        self.reads.append(seconds)
        W, limit = self.weights, self.description.reading_limit
        left = expm(-W * seconds / self.description.time_constant)
        return np.clip((np.eye(len(W)) - left) @ np.linalg.solve(W, self.volts), -limit, limit)


def of(**changes) -> BoardDescription:
    return PERFECT.model_copy(update=changes)


def test_it_is_a_device_whose_runs_obey_the_law() -> None:
    """x(t) = (1 - exp(-A t)) A^-1 b, in t s tau seconds on the board, where A = s W."""
    driver = ExactDriver()
    device = MeasuredDevice(driver)
    assert isinstance(device, Device)
    exact = torch.linalg.solve(A, b)
    for t in (0.3, 2.0):
        expected = exact - torch.linalg.matrix_exp(-A * t) @ exact
        torch.testing.assert_close(device.solve(tg.Dense(A), b, t).x, expected, rtol=1e-9, atol=1e-12)
        assert driver.reads[-1] == pytest.approx(t * 2.0 * 2e-6)
    later = device.evolve(1.0)
    torch.testing.assert_close(later.x, exact - torch.linalg.matrix_exp(-A * 3.0) @ exact, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(device.solve(tg.Dense(A), b, math.inf).x, exact, rtol=1e-5, atol=1e-5)


def test_codes_smaller_systems_and_refinement() -> None:
    """Codes of four bits and a weak DAC leave an error that refinement takes away; cells that no unknown needs are not driven."""
    driver = ExactDriver(of(cells=5, weight_codes=7, drive_bits=8))
    device = MeasuredDevice(driver)
    bare = device.solve(tg.Dense(A), b, 50.0)
    exact = torch.linalg.solve(A, b)
    assert 1e-3 < float((bare.x - exact).norm() / exact.norm()) < 0.3
    np.testing.assert_allclose(driver.weights * 7, np.round(driver.weights * 7), atol=1e-12)
    assert not driver.weights[:3, 3:].any()
    assert np.abs(driver.volts[3:]).max() < 0.01
    refined = tg.Refined(device, tolerance=1e-9, method="fcg").solve(tg.Dense(A), b, 50.0)
    assert refined.outcome is Outcome.OK
    torch.testing.assert_close(refined.x, exact, rtol=1e-8, atol=1e-8)
    with pytest.raises(InputError, match="6 unknowns, and board perfect has 5 cells"):
        device.solve(tg.Dense(torch.eye(6, dtype=torch.float64)), torch.ones(6, dtype=torch.float64), 1.0)


def test_a_reading_at_the_end_of_its_range_is_clipped_and_tried_with_less() -> None:
    """The solution is ten times the drive, and the ADC ends at half of it."""
    weak, drive = 0.1 * torch.eye(3, dtype=torch.float64) + 0.9 * torch.outer(b, b) / b.square().sum(), b.roll(1)
    found = MeasuredDevice(ExactDriver(of(reading_limit=0.5))).solve(tg.Dense(weak), drive, 200.0)
    assert (found.outcome, found.attempts > 1) == (Outcome.OK, True)
    torch.testing.assert_close(found.x, torch.linalg.solve(weak, drive), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("seen", "good"), [(False, True), (True, False)])
def test_saturation_that_no_cell_shows_is_found_by_two_more_runs(seen: bool, good: bool) -> None:
    """Negative control: a board that is said to show it is believed."""
    found = MeasuredDevice(ExactDriver(of(shows_overload=seen), bend=0.3)).solve(tg.Dense(A), b, 50.0)
    error = float((found.x - torch.linalg.solve(A, b)).norm() / torch.linalg.solve(A, b).norm())
    assert (error < 0.05) is good


def test_a_matrix_that_grows_is_not_let_loose() -> None:
    driver = ExactDriver()
    assert MeasuredDevice(driver).solve(tg.Dense(A - 1.2 * torch.eye(3)), b, 1.0).outcome is Outcome.UNSTABLE
    assert driver.driven == 0


def test_a_start_is_taken_where_it_is_forgotten() -> None:
    device = MeasuredDevice(ExactDriver())
    free = device.solve(tg.Dense(A), b, 20.0)
    torch.testing.assert_close(device.solve(tg.Dense(A), b, 20.0, x0=b).x, free.x)
    with pytest.raises(
        InputError, match=r"runs of board perfect start from rest: .* give a duration of at least 7\.89"
    ):
        device.solve(tg.Dense(A), b, 1.0, x0=b)


def test_a_wired_board_holds_its_own_matrix_and_preconditions_its_neighbours() -> None:
    driver = ExactDriver(of(wired=tuple(map(tuple, A.tolist()))), weights=A.numpy())
    device = MeasuredDevice(driver)
    stretch = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
    for own in (3 * A, A * torch.outer(stretch, stretch)):
        found = device.solve(tg.Dense(own), b, 50.0)
        assert found.outcome is Outcome.OK
        torch.testing.assert_close(found.x, torch.linalg.solve(own, b), rtol=1e-6, atol=1e-6)
    near = A + 0.3 * (1 - torch.eye(3, dtype=torch.float64))
    with pytest.raises(InputError, match=r"0\.\d+ from a scaling D W D of the board's wired one .* extrapolate=True"):
        device.solve(tg.Dense(near), b, 50.0)
    willing = MeasuredDevice(driver, extrapolate=True)
    exact = torch.linalg.solve(near, b)
    bare = willing.solve(tg.Dense(near), b, 50.0)
    assert bare.outcome is Outcome.EXTRAPOLATED
    refined = tg.Refined(willing, tolerance=1e-8, method="fcg").solve(tg.Dense(near), b, 50.0)
    torch.testing.assert_close(refined.x, exact, rtol=1e-7, atol=1e-7)
    assert float((bare.x - exact).norm() / exact.norm()) > 0.02


@settings(max_examples=25)
@given(st.lists(st.one_of(st.floats(), st.floats(-5, 5)), max_size=4))
def test_whatever_is_replied_is_a_reading_or_an_error_in_words(reply: list[float]) -> None:
    driver = ExactDriver()
    driver.read = lambda seconds: np.array(reply)  # type: ignore[method-assign]
    device, good = MeasuredDevice(driver), len(reply) == 3 and all(abs(value) <= 5 for value in reply)
    if good:
        assert bool(torch.isfinite(device.solve(tg.Dense(A), b, 1.0).x).all())
    else:
        with pytest.raises(BoardError, match="board perfect at none: drive and read failed 3 times"):
            device.solve(tg.Dense(A), b, 1.0)
        assert len(device.faults) == 3


def test_descriptions_and_drivers_that_cannot_be_are_rejected() -> None:
    with pytest.raises(InputError, match="cells"):
        BoardDescription(name="x", port="y", cells=0, time_constant=1.0, drive_limit=1.0, reading_limit=1.0)
    with pytest.raises(InputError, match="give 2 rows of 2"):
        BoardDescription(
            name="x", port="y", cells=2, time_constant=1.0, drive_limit=1.0, reading_limit=1.0, wired=((1.0,),)
        )
    with pytest.raises(InputError, match="give an object with description, program, drive and read"):
        MeasuredDevice(object())  # type: ignore[arg-type]
