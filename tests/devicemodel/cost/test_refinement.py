"""What a refined reading takes: in closed form, and as many runs, conversions, products and multiply-adds as the host really does."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cost.digital_host import DigitalHost, HostWork
from thermograd.devicemodel.cost.model import Scenario
from thermograd.devicemodel.cost.refinement import ReadingPlan, product_work, scaling_work, written_out
from thermograd.devicemodel.device import Outcome, Solution
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host import converters
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense, LowRank

from ...systems import spd, true_card

INTEGRATED = preset("integrated")
WIDE = INTEGRATED.replace(opamp__output_limit=10.0, opamp__supply=5.0, adc__full_scale=10.0)
"""In whose range each run finds its level at once."""
PLANS = [
    *(ReadingPlan(rounds, chopped) for rounds in (0, 1, 2, 4) for chopped in (True, False)),
    ReadingPlan(3, method="fcg"),
]


def dense(n: int = 12) -> tuple[Dense, Tensor]:
    b = torch.from_numpy(np.random.default_rng(1).standard_normal(n))
    return Dense(torch.from_numpy(spd(n, 5.0, 0))), b


class Products(TorchDispatchMode):
    """Counts the multiply-adds of matrices with vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.multiply_adds = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.mv.default:
            self.multiply_adds += args[0].numel()
        return func(*args, **(kwargs or {}))


class NumpyDie:
    """Solves a matrix that is 1 % off, without torch."""

    def accepts(self, system: Any) -> bool:
        return True

    def solve(self, system: Any, b: Tensor, duration: float, x0: Tensor | None = None) -> Solution:
        A = system.dense().numpy()
        off = 1 + 0.01 * np.random.default_rng(0).standard_normal(A.shape)
        return Solution(torch.from_numpy(np.linalg.solve(A * off, b.numpy())), Outcome.OK, 1e-6)

    def evolve(self, duration: float) -> Solution:
        raise AssertionError

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@contextmanager
def conversions(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Numbers that DACs and ADCs convert."""
    counted = {"DAC": 0, "ADC": 0}

    def counting(name: str, original: Any) -> Any:
        def convert_all(all_of_them: Any, volts: np.ndarray, *more: Any) -> Any:
            counted[name] += volts.size
            return original(all_of_them, volts, *more)

        return staticmethod(convert_all)

    for name, kind in (("DAC", converters.Dac), ("ADC", converters.Adc)):
        monkeypatch.setattr(kind, "convert_all", counting(name, kind.convert_all))
    yield counted


def test_counts_in_closed_form() -> None:
    """Two runs a round, at +b and -b; the residual of every reading; k^2, N^2, or two products with J and one with H."""
    assert [ReadingPlan(rounds).runs for rounds in (None, 0, 1, 2, 4)] == [1, 2, 4, 6, 10]
    assert [ReadingPlan(rounds).products for rounds in (None, 0, 1, 2, 4)] == [0, 1, 2, 3, 5]
    assert [ReadingPlan(rounds, chopped=False).runs for rounds in (0, 3)] == [1, 4]
    n, b, dz = 700, 5, 4
    k = b * dz
    assert product_work("dual", n, b, dz) == HostWork(1, k * k, 8 * k * k)
    assert product_work("dense", n, b, dz) == HostWork(1, n * n, 8 * n * n)
    assert product_work("factored", n, b, dz) == HostWork(1, 2 * k * n + k * k + n, 8 * (2 * k * n + k * k))


@pytest.mark.parametrize("layout", ["dual", "dense", "factored"])
def test_the_step_has_the_runs_conversions_and_work_of_its_reading(layout: str) -> None:
    bare = Scenario(1000, 8, 9, layout, INTEGRATED, duration=20.0)
    one = bare.cost()
    product, n = product_work(layout, 1000, 8, 9), bare.array().cells
    assert one.counts.work == HostWork()
    for plan in PLANS:
        found = dataclasses.replace(bare, reading=plan).cost()
        assert found.counts.runs == plan.runs
        assert found.counts.conversions == plan.runs * n
        for name in ("transfers", "DAC", "settling", "ADC"):
            assert found.part(name).seconds == pytest.approx(plan.runs * one.part(name).seconds)
            assert found.part(name).joules == pytest.approx(plan.runs * one.part(name).joules)
        for name in ("derivatives", "programming"):
            assert found.part(name) == one.part(name), "programmed once"
        work, scaled = found.counts.work, layout != "factored"
        assert work.products == plan.products
        assert work.multiply_adds == plan.products * product.multiply_adds + scaled * n * n
        assert work.bytes == plan.products * product.bytes + scaled * 16 * n * n


def test_time_and_energy_of_the_residuals_are_the_hosts() -> None:
    work = HostWork(3, 10**9, 10**9)
    # Two operations, in double precision: at half of the rate.
    assert DigitalHost(rate=1e12, bandwidth=math.inf).seconds(work) == pytest.approx(4e-3)
    assert DigitalHost(rate=math.inf, bandwidth=1e12).seconds(work) == pytest.approx(1e-3)
    assert DigitalHost(rate=1e12, bandwidth=1e11).seconds(work) == pytest.approx(1e-2)
    host = DigitalHost(rate=1e12, power=7.0, bandwidth=1e11)
    found = Scenario(1000, 8, 9, "dual", INTEGRATED, host=host, reading=ReadingPlan(2)).cost()
    residuals = found.part("residuals")
    assert residuals.seconds == pytest.approx((3 * 8 + 16) * 72**2 / 1e11)
    assert residuals.joules == pytest.approx(7 * residuals.seconds)
    # By default a number of the matrix costs what a DRAM takes for it.
    assert 1.3e-9 < 8 * DigitalHost().power / DigitalHost().bandwidth < 2.6e-9


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_a_refined_run_takes_what_the_model_says(plan: ReadingPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    system, b = dense()
    n = system.size
    device = SurrogateDevice(true_card(WIDE), die=4)
    with conversions(monkeypatch) as counted:
        found = Refined(device, plan.rounds, chopped=plan.chopped, method=plan.method).solve(system, b, 30.0)
    assert found.refinement is not None
    assert found.refinement.rounds == plan.rounds
    assert found.refinement.products == plan.products
    cost = Scenario(n, 1, n, "dual", WIDE, duration=30.0, reading=plan).cost()
    assert cost.counts.runs == found.attempts
    assert counted == {"DAC": cost.counts.conversions, "ADC": cost.counts.conversions}
    # tau of a plan is R C; that of a program, of unit diagonal here, R C times its largest entry, which takes as many of them.
    largest = float(system.A.diagonal().max())
    assert found.seconds == pytest.approx(cost.part("settling").seconds * largest)


def test_a_bare_run_takes_what_the_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    system, b = dense()
    with conversions(monkeypatch) as counted:
        found = SurrogateDevice(true_card(INTEGRATED), die=4).solve(system, b, 30.0)
    counts = Scenario(12, 1, 12, "dual", INTEGRATED, attempts=found.attempts).cost().counts
    assert found.attempts > 1, "until it found its level"
    assert counted == {"DAC": counts.conversions, "ADC": counts.conversions}
    assert counts.work == HostWork()


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_the_host_multiplies_as_often_as_the_model_says(plan: ReadingPlan) -> None:
    """By torch's own dispatch; the negative control leaves the system's factors out."""
    system, b = dense()
    J = torch.from_numpy(np.random.default_rng(2).standard_normal((4, 12)))
    low_rank = LowRank(J, None, 0.3)
    for one, product in (
        (system, written_out(12)),
        (
            low_rank,
            HostWork(1, product_work("factored", 12, 4, 1).multiply_adds - 16 - 12),
        ),  # no H, and the damping is a vector's
    ):
        solver = Refined(NumpyDie(), plan.rounds, chopped=plan.chopped, method=plan.method, equilibrate=False)
        with Products() as counted:
            solver.solve(one, b, 30.0)
        assert counted.multiply_adds == plan.work(product, HostWork()).multiply_adds
        if one is low_rank:
            assert counted.multiply_adds != plan.work(written_out(12), HostWork()).multiply_adds


def test_scaling_touches_each_entry_once() -> None:
    assert scaling_work(10) == HostWork(0, 100, 1600)


def test_bad_plans_are_named() -> None:
    with pytest.raises(InputError, match="rounds is -1: give an integer >= 0, or None"):
        ReadingPlan(-1)
    with pytest.raises(InputError, match="method is 'gmres'"):
        ReadingPlan(1, method="gmres")  # type: ignore[arg-type]
    assert [str(plan) for plan in (ReadingPlan(), ReadingPlan(1), ReadingPlan(2))] == ["bare", "1 round", "2 rounds"]
