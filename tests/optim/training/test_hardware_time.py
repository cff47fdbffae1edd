"""Modelled time of steps: that of `thermograd cost` for the same step, digital operations against torch's counter, nothing disturbed."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cost.digital_host import DigitalHost
from thermograd.devicemodel.cost.model import Scenario
from thermograd.devicemodel.cost.refinement import ReadingPlan
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.optim.optimizers.tngd import TNGD
from thermograd.optim.tasks.digits import digits
from thermograd.optim.tasks.poisson import poisson
from thermograd.optim.training.hardware_time import measured_network, solve_cost
from thermograd.optim.training.train import History, train

from ...toy_device import ToyDevice

BATCH, RATE = 2, DigitalHost().rate


def steps_of(name, steps=1, **options):
    return train(digits(), name, steps, BATCH, evaluate_every=0, **options).hardware_seconds


def forward_of(task, batch=BATCH):
    return measured_network(task.model(), lambda model: task.closure(model, 0, batch, 0)).forward


@pytest.mark.parametrize(
    ("technology", "reading", "plan", "system"),
    [
        ("paper", "bare", ReadingPlan(), "dual"),
        ("paper", "refined", ReadingPlan(2), "dual"),
        ("paper", "bare", ReadingPlan(), "primal"),
        ("integrated", "bare", ReadingPlan(), "dual"),
    ],
)
def test_a_step_takes_what_the_cost_model_says(technology, reading, plan, system):
    """The one model of `thermograd cost`: as many cells, runs, products and operations give the same time."""
    board, made = preset(technology), []
    device = IdealDevice() if technology == "paper" else ToyDevice(board)
    given = Refined(device, rounds=2) if reading == "refined" else device

    def optimizer(params):
        made.append(TNGD(params, damping=0.3, duration=20.0, device=given, system=system, reading=reading))
        return made[0]

    history = train(digits(), optimizer, 1, BATCH, evaluate_every=0)
    seconds = history.hardware_seconds
    record = made[0].last
    # The softmax loss has one source less than outputs in the dual system; the published arrays take all outputs.
    outputs, layout = (9, "dual") if system == "dual" else (10, "factored")
    attempts, rest = divmod(record.attempts, plan.runs)
    assert (rest, attempts) == (0, 1 if technology == "paper" else 2)  # one more to find the signal level
    duration = record.analog_seconds / (record.attempts * board.resistors.unit * board.capacitors.unit)
    asked = {"attempts": attempts, "reading": plan, "forward": forward_of(digits())}
    cost = Scenario(2410, BATCH, outputs, layout, board, duration, **asked).cost()
    assert seconds == [pytest.approx(cost.seconds, rel=1e-12)]
    assert history.hardware_joules == [pytest.approx(cost.joules, rel=1e-12)]
    assert cost.counts.work.products == record.products == plan.products


def test_a_settled_run_lasts_until_the_slowest_mode_that_the_damping_allows_has_settled():
    settings = {"duration": math.inf, "reading": "bare", "damping": 0.01}
    found = steps_of("tngd", settings=settings)
    cost = Scenario(2410, BATCH, 9, "dual", preset("paper"), 5 / 0.01, forward=forward_of(digits())).cost()
    assert found == [pytest.approx(cost.seconds, rel=1e-12)]
    assert math.exp(-0.01 * 5 / 0.01) < 0.01  # what is left of that mode
    assert found[0] > 5 / 0.01 * 1e-6


def test_operations_of_digital_steps():
    F = forward_of(digits())
    assert steps_of("sgd") == steps_of("adam") == [3 * F / RATE]
    n, k = 2410, 9 * BATCH
    gram = 3 * F + 2 * F * 9 + k * (k + 1) * n + 2 * k * n + k**3 / 3 + 2 * k**2
    assert steps_of("ngd") == [pytest.approx(gram / RATE, rel=1e-12)]
    cg = [(seconds * RATE / F - 3) / 4 for seconds in steps_of("ngd-cg", 3)]
    assert all(c == pytest.approx(round(c)) and 1 <= c <= 50 for c in cg)  # whole numbers of products
    kfac = steps_of("kfac", 12)
    assert kfac[0] == kfac[10] > 3 * kfac[1] > 0  # eigenvectors every ten steps
    assert all(math.isnan(seconds) for seconds in steps_of("tngd-kfac"))  # no model, and no guess


def test_energy_of_digital_steps_is_the_host_s_power_and_nothing_waits():
    for name in ("sgd", "ngd", "ngd-cg", "kfac"):
        history = train(digits(), name, 2, BATCH, evaluate_every=0)
        power = DigitalHost().power
        assert history.hardware_joules == pytest.approx([power * s for s in history.hardware_seconds], rel=1e-12)
    assert all(
        math.isnan(joules) for joules in train(digits(), "tngd-kfac", 1, BATCH, evaluate_every=0).hardware_joules
    )


def test_a_history_of_before_energies_has_none():
    old = History.of_dict({"loss": [1.0, 0.5], "hardware_seconds": [1.0, 1.0], "evaluations": []}, digits().score)
    assert len(old.hardware_joules) == 2
    assert all(math.isnan(joules) for joules in old.hardware_joules)


@pytest.mark.parametrize("refined", [False, True])
def test_a_single_solution_costs_what_the_scenario_does_without_its_derivatives(refined):
    board = preset("integrated")
    A = torch.eye(18, dtype=torch.float64) * 2 + 0.1
    toy = ToyDevice(board)
    device = Refined(toy, rounds=1) if refined else toy
    solution = device.solve(Dense(A), torch.ones(18, dtype=torch.float64), 20.0)
    found = solve_cost(device, solution, 18)
    plan = ReadingPlan(1) if refined else ReadingPlan()
    attempts, rest = divmod(solution.attempts, plan.runs)
    assert rest == 0
    duration = solution.seconds / (solution.attempts * board.resistors.unit * board.capacitors.unit)
    asked = {"attempts": attempts, "reading": plan, "digital_seconds": 0.0}
    cost = Scenario(2410, BATCH, 9, "dual", board, duration, **asked).cost()
    assert (found.seconds, found.joules) == (
        pytest.approx(cost.seconds, rel=1e-12),
        pytest.approx(cost.joules, rel=1e-12),
    )
    assert found.part("derivatives").seconds == 0 < found.part("programming").joules


def test_a_forward_pass_is_counted_as_torch_counts_it():
    task = digits()
    model = task.model()
    with FlopCounterMode(display=False) as counter:
        task.closure(model, 0, BATCH, 0)()
    assert forward_of(task) == counter.get_total_flops() == 2 * BATCH * (64 * 32 + 32 * 10)
    # Second derivatives by forward-over-reverse, which a counter that hooks modules does not bear.
    residuals = poisson()
    assert forward_of(residuals, None) > 2 * 2 * 360 * (2 * 32 + 32 * 32 + 32)


def test_counting_changes_neither_the_model_nor_the_random_state():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    x, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()

    def closure_of(twin):
        def closure():
            outputs = twin(x)
            return nn.functional.cross_entropy(outputs, y), outputs

        return closure

    found = measured_network(model, closure_of)
    assert found.layers == ((5, 8, 6), (9, 3, 6))
    assert (found.samples, found.outputs) == (6, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
