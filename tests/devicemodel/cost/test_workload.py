"""Counts of cells, codes, amplifiers, operations and watts against compiled circuits, sampled arrays and torch's own counter."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.devicemodel.cost.compiled import compiled_array
from thermograd.devicemodel.cost.planned import planned_array
from thermograd.devicemodel.cost.workload import (
    LAYOUTS,
    derivative_flops,
    largest_deviate,
    measured_seconds,
)
from thermograd.devicemodel.systems import LowRank

from ...systems import passive, spd

PAPER = preset("paper")
sizes = st.integers(1, 300)


@given(n=sizes, b=sizes, dz=sizes)
def test_counts_of_the_layouts(n: int, b: int, dz: int) -> None:
    k = b * dz
    factored, dense, dual = (planned_array(layout, n, b, dz, PAPER) for layout in ("factored", "dense", "dual"))
    assert (factored.cells, factored.codes, factored.amplifiers) == (n, k * (k + 2 * n), n + 2 * k)
    assert (dense.cells, dense.codes, dense.amplifiers) == (n, n**2, n)
    assert (dual.cells, 2 * dual.codes, dual.amplifiers) == (k, k**2 + k, k)
    assert factored.tau == dense.tau == dual.tau == pytest.approx(1e-6)


@pytest.mark.parametrize(("n", "b", "dz"), [(6, 2, 2), (5, 1, 3), (3, 2, 4)])
def test_a_compiled_cascade_has_the_codes_and_amplifiers_of_the_plan(n: int, b: int, dz: int) -> None:
    rng = np.random.default_rng([n, b, dz])
    J = torch.from_numpy(rng.standard_normal((b * dz, n)))
    H = torch.from_numpy(spd(b * dz, 5.0, seed=1))
    found = compiled_array(compile_system(LowRank(J, H, 0.5), "factored", PAPER))
    plan = planned_array("factored", n, b, dz, PAPER)
    assert (found.cells, found.codes, found.amplifiers) == (plan.cells, plan.codes, plan.amplifiers)
    without = compiled_array(compile_system(LowRank(J, None, 0.5), "factored", PAPER))
    assert without.codes == plan.codes - (b * dz) ** 2  # the array H is missing, and missed


@pytest.mark.parametrize("n", [2, 5, 9])
def test_other_compiled_fabrics(n: int) -> None:
    dense = compiled_array(compile_matrix(spd(n, 10.0, seed=0), "crossbar", PAPER))
    plan = planned_array("dense", n, 1, 1, PAPER)
    assert (dense.cells, dense.codes, dense.amplifiers) == (plan.cells, plan.codes, plan.amplifiers)
    pairs = compiled_array(compile_matrix(passive(n, 0.2, seed=0), "dual_rail", PAPER))
    assert (pairs.codes, pairs.amplifiers) == (n * (n + 1) // 2, 0)
    chain = 2.5 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    sparse = compiled_array(compile_matrix(chain, "rc", PAPER))
    assert (sparse.codes, sparse.amplifiers) == (n - 1 + n, 0)  # a chain of resistors, and a leg at each node


def test_a_second_slice_has_codes_of_its_own() -> None:
    sliced = preset("integrated").replace(resistors__slices=2)
    assert planned_array("dense", 5, 1, 1, sliced).codes == planned_array("dual", 9, 5, 1, sliced).codes == 50
    assert compiled_array(compile_matrix(spd(5, 5.0, 1), "crossbar", sliced)).codes == 50
    with pytest.raises(InputError, match="arrays of one slice"):
        planned_array("factored", 5, 1, 1, sliced)


def test_tau_of_a_program_is_its_own() -> None:
    """The largest entry becomes the unit resistor: tau = R C max|A|, where a plan takes R C."""
    a = spd(4, 10.0, seed=0)
    assert compiled_array(compile_matrix(a, "crossbar", PAPER)).tau == pytest.approx(1e-6 * np.abs(a).max(), rel=1e-12)


def test_heat_of_a_compiled_array_is_the_law_that_the_plan_averages() -> None:
    """places x g x V^2 / 2 + cells x g_b x F^2 / 2 at the bound, for one array and for one with half of the conductances."""
    for unit in (1e3, 2e3):
        technology = PAPER.replace(resistors__unit=unit, dac__full_scale=0.7, opamp__output_limit=1.5)
        a = spd(7, 10.0, seed=3)
        found = compiled_array(compile_matrix(a, "crossbar", technology)).heat
        conductance = np.abs(a).sum() / np.abs(a).max() / unit
        assert found == pytest.approx(conductance * 1.5**2 / 2 + 7 / unit * 0.7**2 / 2, rel=1e-9)


def sampled_heat(rng: np.random.Generator, rows: int, cells: int) -> float:
    """W of a (rows, cells) array and its input resistors, with the largest entry, voltage and drive at their limits."""
    entries, volts, drive = rng.standard_normal((rows, cells)), rng.standard_normal(cells), rng.standard_normal(cells)
    conductance = np.abs(entries) / np.abs(entries).max() * 1e-3
    volts *= 0.5 / np.abs(volts).max()
    drive /= np.abs(drive).max()
    two_rails = 2 * float((conductance * (volts / 2) ** 2).sum())
    return two_rails + 2 * float((1e-3 * (drive / 2) ** 2).sum())


@pytest.mark.parametrize("count", [1, 5, 100])
def test_the_largest_deviate_is_the_median_of_the_largest(count: int) -> None:
    largest = np.abs(np.random.default_rng(count).standard_normal((4000, count))).max(axis=1)
    below = int((largest < largest_deviate(count)).sum())
    assert abs(below - 2000) < 4 * math.sqrt(1000)  # binomial, four standard deviations
    assert abs(int((largest < 1.1 * largest_deviate(count)).sum()) - 2000) > 4 * math.sqrt(1000)


@pytest.mark.parametrize("n", [30, 300])
def test_planned_heat_is_that_of_gaussian_arrays(n: int) -> None:
    """The plan takes the median of the largest signal, and the mean of 1 / largest^2 is a little more: up to a fifth for 30."""
    rng = np.random.default_rng(n)
    sampled = [sampled_heat(rng, n, n) for _ in range(200)]
    error = float(np.std(sampled)) / math.sqrt(200)
    plan = planned_array("dense", n, 1, 1, PAPER).heat
    assert 0.8 * np.mean(sampled) - 4 * error < plan < np.mean(sampled) + 4 * error
    uniform = n * n * 1e-3 * 0.5**2 / 2  # the same array with every part at its limit
    assert uniform > 2 * np.mean(sampled)


def test_op_amps_of_one_output_take_inverters_and_all_of_the_voltage() -> None:
    single = PAPER.replace(opamp__outputs=1)
    differential, plan = (planned_array("dual", 1000, 30, 1, technology) for technology in (PAPER, single))
    assert (plan.cells, plan.codes, plan.amplifiers) == (30, differential.codes, 60)
    rng = np.random.default_rng(3)
    # Beside the array, which makes twice the heat: input and feedback resistor of each inverter at its column's voltage.
    inverters = []
    for _ in range(200):
        volts = rng.standard_normal(30)
        inverters.append(2 * float(((0.5 * volts / np.abs(volts).max()) ** 2).sum()) * 1e-3)
    error = float(np.std(inverters)) / math.sqrt(200)
    found = plan.heat - 2 * differential.heat
    assert 0.8 * np.mean(inverters) - 4 * error < found < np.mean(inverters) + 4 * error
    compiled = compiled_array(compile_matrix(spd(6, 10.0, seed=1), "auto", single))
    assert (compiled.cells, compiled.amplifiers) == (6, 12)
    with pytest.raises(InputError, match=r"'factored' has fully differential amplifiers.*set opamp\.outputs to 2"):
        planned_array("factored", 100, 4, 2, single)


@given(n=sizes, b=sizes, dz=sizes, layout=st.sampled_from(LAYOUTS))
def test_operations_grow_as_the_papers_table_says(n: int, b: int, dz: int, layout: str) -> None:
    """O(b dz N) factored; b dz N^2 more if multiplied out; b^2 dz^2 N more for the Gram matrix."""
    k, found = b * dz, derivative_flops(layout, n, b, dz)
    both = 6 * b * n + 4 * k * n
    assert derivative_flops("factored", n, b, dz) == both
    assert found >= both
    if layout == "dense":
        assert found - both == 2 * k * n**2
    if layout == "dual":
        assert k * k * n < found - both <= 4 * k * k * n
    assert derivative_flops(layout, n, 2 * b, dz) >= 2 * found * (1 - 1e-12)


def test_operations_of_a_gradient_are_those_that_torch_counts() -> None:
    """Equal layers without bias: 2 + 4 a parameter and sample, but for the first layer, whose inputs need no gradient."""
    width, depth, b = 16, 6, 8
    model = torch.nn.Sequential(*(torch.nn.Linear(width, width, bias=False) for _ in range(depth)))
    with FlopCounterMode(display=False) as counter:
        model(torch.ones(b, width)).sum().backward()
    n = depth * width**2
    gradient = derivative_flops("factored", n, b, 1) - 4 * b * n
    assert counter.get_total_flops() == gradient - 2 * b * width**2


def test_measured_seconds_are_those_that_pass() -> None:
    calls = []

    def nap(seconds: float) -> None:
        calls.append(seconds)
        time.sleep(seconds)

    short = measured_seconds(lambda: nap(0.01), repeats=3)
    assert len(calls) == 4
    long = measured_seconds(lambda: nap(0.08), repeats=3)
    assert 0.01 <= short < 0.05 < 0.08 <= long


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sparse", 1, 1, 1), "layout 'sparse' is unknown; there are: factored, dense, dual"),
        (("dual", 0, 1, 1), "parameters is 0: give an integer >= 1"),
        (("dual", 1, -2, 1), "batch is -2"),
        (("dual", 1, 1, 1.5), r"outputs is 1\.5"),
        (("dual", 1, True, 1), "batch is True"),
    ],
)
def test_bad_sizes_are_named(arguments: tuple[str, int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned_array(*arguments, PAPER)
    with pytest.raises(InputError, match=message):
        derivative_flops(*arguments)


def test_no_repeats_are_rejected() -> None:
    with pytest.raises(InputError, match="repeats is 0"):
        measured_seconds(lambda: None, repeats=0)
    assert math.isfinite(measured_seconds(lambda: None, repeats=1))
