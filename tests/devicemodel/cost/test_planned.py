"""The planned law against compiled circuits, and what it refuses."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import compile_matrix, compile_system
from thermograd.devicemodel.cost.loaded_circuit import LoadedCircuit
from thermograd.devicemodel.cost.model import Scenario
from thermograd.devicemodel.cost.planned import PlannedCircuit, planned_array
from thermograd.devicemodel.cost.planned_law import Loop, Stage

from ...systems import low_rank

INTEGRATED = preset("integrated").replace(
    resistors__bits=None, opamp__common_mode_gain=math.inf, opamp__common_mode_gbw=math.inf
)
SLOW = {"opamp__gbw": 3e6, "opamp__second_pole": 9e6, "opamp__gain": 200.0}
N = 8


def circulant(diagonal: float, seed: int) -> np.ndarray:
    """Symmetric, all rows alike in their sum of magnitudes: there the planned law is exact."""
    row = 0.1 * np.random.default_rng(seed).standard_normal(N)
    row = (row + np.roll(row[::-1], 1)) / 2
    row[0] = diagonal
    return np.array([np.roll(row, k) for k in range(N)])


@pytest.mark.parametrize(
    "fields", [{}, SLOW, {**SLOW, "opamp__output_resistance": 200.0}], ids=["fast", "slow", "soft"]
)
def test_rows_loaded_alike_have_the_natural_frequencies_of_the_netlist(fields: dict[str, float]) -> None:
    matrix, technology = circulant(1.0, seed=0), INTEGRATED.replace(**fields)
    program = compile_matrix(matrix, "crossbar", technology, check=False)
    row = float(np.abs(program.parts.matrix()).sum(axis=1)[0])
    loop = Loop(technology.opamp, 1e-11, row + 1e-4, row)
    low, high = program.conductance_unit * np.linalg.eigvalsh(matrix)[[0, -1]]
    circuit = LoadedCircuit(program)
    tolerance = 3e-3 if "opamp__output_resistance" in fields else 1e-5
    assert loop.slowest(low, high) == pytest.approx(circuit.slowest, rel=tolerance)
    assert loop.settling(low, 0.01) == pytest.approx(circuit.settling(0.01), rel=max(tolerance, 1e-4))
    if fields:  # amplifiers without loads are as wrong as RC is
        bare = dataclasses.replace(loop, load=1e-4, output=0.0)
        assert abs(bare.settling(low, 0.01) / circuit.settling(0.01) - 1) > 0.1
        assert 1e-11 / low * math.log(100) < 0.8 * circuit.settling(0.01)


def test_inverters_count_their_negative_entries_at_most_twice_more() -> None:
    """2 |K_neg| is added to the load: its row sum bounds what it is for any eigenvector. Left out, a slow one is missed by 5 %."""
    technology = preset("breadboard").replace(resistors__series=None, opamp__gbw=3e5, opamp__output_resistance=0.0)
    counted, left_out = [], []
    for seed in range(4):
        program = compile_matrix(circulant(1.0, seed), "crossbar_single", technology, check=False)
        held, circuit = program.parts.matrix(), LoadedCircuit(program)
        row, negative = float(np.abs(held[0]).sum()), float(-held[0][held[0] < 0].sum())
        low, high = np.linalg.eigvalsh(held)[[0, -1]]
        for found, more in ((counted, 2 * negative), (left_out, 0.0)):
            loop = Loop(technology.opamp, 1e-8, row + 1e-3 + more, row)
            found.append(loop.slowest(low, high) / circuit.slowest - 1)
    assert -0.005 < min(counted) <= max(counted) < 0.02
    assert min(left_out) < -0.05


def cascade(gbw: float, damping: float) -> tuple[LoadedCircuit, Loop, np.ndarray]:
    """A compiled cascade of circulant factors, its planned law and the eigenvalues of what its arrays hold, S."""
    technology = INTEGRATED.replace(opamp__gbw=gbw, opamp__second_pole=3 * gbw, opamp__output_resistance=100.0)
    J, H = circulant(0.5, seed=1), circulant(1.0, seed=2)
    program = compile_system(low_rank(J, H, damping), "factored", INTEGRATED, check=False)
    program = dataclasses.replace(program, technology=technology)
    parts = program.parts
    sums = [np.asarray(abs(array).sum(axis=0)).ravel()[0] for array in parts.arrays]
    stages = tuple(Stage(sums[t], float(parts.feedback[t][0]), sums[t + 1]) for t in range(2))
    own = float(parts.damping[0])
    loop = Loop(technology.opamp, 1e-11, sums[2] + own + float(parts.drive[0]), sums[0] + own, own, stages)
    product = parts.arrays[2] @ parts.arrays[1] @ parts.arrays[0] / parts.feedback[0][0] / parts.feedback[1][0]
    return LoadedCircuit(program), loop, np.linalg.eigvalsh(product.toarray())


def test_a_cascade_of_rows_loaded_alike_is_as_slow_as_the_netlist() -> None:
    for gbw in (5e8, 2e7, 3e6):
        circuit, loop, held = cascade(gbw, 0.05)
        slowest = max(loop.slowest(mu, mu) for mu in held)
        assert slowest == pytest.approx(circuit.slowest, rel=2e-3)
    alone = dataclasses.replace(loop, stages=())  # the control: summing stages that have no bandwidth
    assert max(alone.slowest(mu, mu) for mu in held) > 1.1 * circuit.slowest


def test_a_cascade_is_stable_where_the_plan_says_so_and_unstable_not_far_below() -> None:
    """Gaussian J (8 x 24), H = 1: the plan takes the stages' norms to fall on one eigenvector, which errs on the safe side."""
    rng, (b, dz, n), condition = np.random.default_rng(24), (4, 2, 24), 100.0
    J, H = rng.standard_normal((8, n)), np.eye(8)
    damping = np.linalg.eigvalsh(J.T @ H @ J)[-1] / condition

    def at(gbw: float) -> Technology:
        return INTEGRATED.replace(opamp__gbw=gbw, opamp__second_pole=3 * gbw)

    def planned(gbw: float) -> bool:
        found = planned_array("factored", n, b, dz, at(gbw), condition).settling()
        return found is not None and math.isfinite(found)

    program = compile_system(low_rank(J, H, damping), "factored", at(1e10), check=False)
    needed = next(float(gbw) for gbw in np.geomspace(1e6, 1e8, 50) if planned(float(gbw)))
    stable = [LoadedCircuit(dataclasses.replace(program, technology=at(share * needed))).stable for share in (1.1, 0.4)]
    assert stable == [True, False]


def circuit_of(layout: str, n: int, technology: Technology = INTEGRATED, condition: float = 10.0) -> PlannedCircuit:
    """Of k = 640 samples times outputs."""
    found = planned_array(layout, n, 32, 20, technology, condition).circuit
    assert isinstance(found, PlannedCircuit)
    return found


def test_gaussian_systems_settle_as_planned() -> None:
    """The dual layout's k x k system of Gaussian rows; the plan knows k and the condition number. another condition is the control."""
    rng, technology = np.random.default_rng(0), INTEGRATED
    ratios = []
    for k in (12, 24):
        rows = rng.standard_normal((k, 2 * k))
        gram = rows @ rows.T
        top = np.linalg.eigvalsh(gram)[-1]
        program = compile_matrix(gram + top / 9 * np.eye(k), "crossbar", technology, check=False)
        values = np.linalg.eigvalsh(program.target)
        planned = planned_array("dual", 1000, k, 1, technology, float(values[-1] / values[0])).settling()
        found = LoadedCircuit(program).settling(0.01)
        assert planned is not None
        ratios.append(planned / found)
        wrong = planned_array("dual", 1000, k, 1, technology, 5 * float(values[-1] / values[0])).settling()
        assert wrong is not None
        assert wrong > 2 * found
    assert 0.5 < min(ratios) <= max(ratios) < 2.0


def test_the_papers_cascade_needs_faster_amplifiers_the_less_it_is_damped() -> None:
    strong = INTEGRATED.replace(opamp__output_current=10.0)
    assert circuit_of("factored", 1000, strong).obstacles() == ()
    [why] = circuit_of("factored", 100_000, strong, condition=100.0).obstacles()
    assert "the loop is unstable" in why
    assert circuit_of("factored", 100_000, strong, condition=100.0).settling(0.01) == math.inf
    fast = strong.replace(opamp__gbw=5e9, opamp__second_pole=1.5e10, opamp__gain=1e5)
    assert circuit_of("factored", 100_000, fast, condition=100.0).obstacles() == ()
    # Between both, one is stable only just.
    gbw = np.geomspace(5e8, 5e9, 14)
    said = []
    for hertz in gbw:
        one = fast.replace(opamp__gbw=float(hertz), opamp__second_pole=3 * float(hertz))
        said.append("".join(circuit_of("factored", 100_000, one, condition=100.0).obstacles()))
    kinds = ["unstable" if "is unstable" in text else "marginal" if "is marginal" in text else "" for text in said]
    assert list(dict.fromkeys(kinds)) == ["unstable", "marginal", ""]


def test_a_scenario_that_is_not_buildable_says_so_and_keeps_a_protocol() -> None:
    cost = Scenario(100_000, 32, 20, technology=preset("integrated"), condition=100.0, duration=50.0).cost()
    assert not cost.buildable
    assert cost.part("settling").seconds == pytest.approx(5e-6)
    assert cost.needed == math.inf
    assert any("drives 0.731 ohm, which takes 0.342 A" in why for why in cost.obstacles)
    assert str(cost).count("\nnot buildable, because ") == len(cost.obstacles) >= 2
    open_ended = dataclasses.replace(Scenario(100_000, 32, 20, technology=preset("integrated")), condition=100.0).cost()
    assert open_ended.seconds == math.inf
    assert open_ended.bottleneck == "settling"


@pytest.mark.parametrize(
    ("layout", "fields", "condition", "words"),
    [
        ("dense", {}, 100.0, "finite gain adds"),
        ("dual", {"opamp__output_current": 1e-3}, 10.0, "drives 93.7 ohm, which takes 0.00267 A"),
        ("dual", {"opamp__output_resistance": 200.0}, 10.0, "200 ohm of its own"),
        ("dual", {"resistors__bits": 3}, 30.0, "3 bits move eigenvalues by"),
        ("dual", {"resistors__bits": 8, "resistors__on_off": 3.0}, 30.0, "8 bits with on_off = 3 move eigenvalues by"),
        ("factored", {"resistors__bits": 3, "opamp__output_current": 1.0, "opamp__gain": 1e6}, 1e3, "leaves out the damping"),
    ],
)  # fmt: skip
def test_each_obstacle_has_its_cause(layout: str, fields: dict[str, float], condition: float, words: str) -> None:
    strong = INTEGRATED.replace(opamp__output_current=10.0)
    n = 100_000 if layout == "dense" else 1000
    assert any(words in why for why in circuit_of(layout, n, strong.replace(**fields), condition).obstacles())
    better = strong.replace(opamp__gain=1e6, resistors__bits=12)
    assert circuit_of(layout, n, better, condition).obstacles() == ()


def test_driving_the_resistors_takes_the_supplies_voltage() -> None:
    """V_s times the current at the mean magnitude of Gaussian signals, less the array's heat."""
    k = 640
    rng = np.random.default_rng(0)
    found, stated = [], planned_array("dual", 1000, 32, 20, INTEGRATED)
    for _ in range(20):
        entries, volts = np.abs(rng.standard_normal((k, k))), np.abs(rng.standard_normal(k))
        load = (1e-4 * entries / entries.max()).sum(axis=0)
        v = 0.25 * volts / volts.max()  # of each output
        found.append(2 * float((load * v * (0.9 - v)).sum()))
    assert stated.drive_loss == pytest.approx(np.mean(found), rel=0.1)
    assert planned_array("dual", 1000, 32, 20, INTEGRATED.replace(opamp__supply=0.0)).drive_loss == 0
    assert stated.most_heat > 10 * stated.heat
