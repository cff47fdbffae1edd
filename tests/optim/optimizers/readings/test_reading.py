"""Refined readings in TNGD: when they are taken, that they make a step of exact NGD of a real die, and what is done where they fail."""

import contextlib
import io
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.batch.die_batch import DieBatch
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Outcome, Solution
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Implicit
from thermograd.optim.optimizers.damping import LevenbergMarquardt
from thermograd.optim.optimizers.readings.reading import RAISE, RETRIES
from thermograd.optim.optimizers.tngd import TNGD

from ....systems import true_card
from ...oracle import dense_ggn, flat
from ..test_ngd import closure_of, step_of
from ..test_tngd import small_problem

DAMPING = 0.3


def die(seed=1, fabric="crossbar"):
    return SurrogateDevice(true_card(preset("integrated"), fabric), die=seed, extrapolate=True)


def exact_step(model, x, y, damping=DAMPING):
    """-(G + damping)^-1 g of the oracle."""
    G, g = dense_ggn(model, x, lambda z: F.cross_entropy(z, y))
    return -torch.linalg.solve(G + damping * torch.eye(len(g), dtype=G.dtype), g)


@pytest.mark.parametrize(
    ("damping", "options", "reading"),
    [
        (0.1, {"duration": 50.0}, "refined"),  # five time constants
        (0.1, {"duration": 49.0}, "bare"),
        (0.1, {"duration": math.inf}, "refined"),
        (0.0, {"duration": math.inf}, "bare"),  # no floor is known
        (0.1, {"duration": 0.0}, "bare"),
        (0.1, {"duration": 1.0, "reading": "refined"}, "refined"),
        (0.1, {"duration": math.inf, "reading": "bare"}, "bare"),
        (0.1, {"duration": 50.0, "reads": 2}, "bare"),
        (0.1, {"duration": 50.0, "reset": False, "system": "primal"}, "bare"),
        (0.1, {"duration": 1.0, "device": Refined(IdealDevice(), rounds=1)}, "refined"),
        (LevenbergMarquardt(0.1), {"duration": 50.0}, "refined"),
        (0.1, {"duration": 22.5, "device": IdealDevice(friction="critical")}, "refined"),  # as far, with the root
        (0.1, {"duration": 22.4, "device": IdealDevice(friction="critical")}, "bare"),
    ],
)
def test_a_circuit_that_is_read_to_its_end_is_refined(damping, options, reading):
    model, x, y = small_problem()
    optimizer = TNGD(model.parameters(), damping=damping, **options)
    optimizer.step(closure_of(model, x, y))
    assert optimizer.last.reading == reading
    assert (optimizer.last.residual is not None) is (reading == "refined")


@pytest.mark.parametrize(
    ("system", "fabric", "duration"),
    [("dual", "crossbar", 40.0), ("primal", "crossbar", 40.0), ("dual", "oscillator", 30.0)],
)
def test_a_refined_die_takes_the_exact_step_and_a_bare_one_does_not(system, fabric, duration):
    off = {}
    for kind in ("bare", "refined", "more"):
        model, x, y = small_problem()
        device = Refined(die(fabric=fabric), rounds=4) if kind == "more" else die(fabric=fabric)
        reading = "bare" if kind == "bare" else "auto"
        optimizer = TNGD(
            model.parameters(),
            lr=1.0,
            damping=DAMPING,
            duration=duration,
            system=system,
            device=device,
            reading=reading,
        )
        expected = exact_step(model, x, y)
        found = step_of(optimizer, model, closure_of(model, x, y))
        off[kind] = float((found - expected).norm() / expected.norm())
        last = optimizer.last
        assert last.outcome in (Outcome.OK, Outcome.EXTRAPOLATED)
        if kind != "bare":
            assert last.residual < 1e-2
            assert last.products == last.rounds + 1
            assert last.attempts >= 2 * (last.rounds + 1)
    assert off["bare"] > 1e-2
    assert off["refined"] < 0.3 * off["bare"]
    assert off["more"] < 1e-3


def test_kronecker_blocks_are_refined_one_by_one():
    steps = {}
    for kind, device in {"ideal": IdealDevice(), "die": CascadeDevice("integrated", die=1)}.items():
        model, x, y = small_problem()
        optimizer = TNGD(
            model.parameters(),
            lr=1.0,
            damping=DAMPING,
            duration=40.0,
            system="kronecker",
            device=device,
            reading="refined",
        )
        steps[kind] = step_of(optimizer, model, closure_of(model, x, y))
        assert optimizer.last.reading == "refined"
        assert optimizer.last.residual <= 1e-2
        assert optimizer.last.products >= 3  # one a block at least
    off = float((steps["die"] - steps["ideal"]).norm() / steps["ideal"].norm())
    assert 0 < off < 3e-2


class Weak:
    """A device that answers with `outcome` below a damping, and solves above it."""

    def __init__(self, least, outcome=Outcome.UNSTABLE):
        self.least, self.outcome = least, outcome
        self.ideal = IdealDevice()

    def accepts(self, system):
        return not isinstance(system, Implicit)

    def solve(self, system, b, duration, x0=None):
        if float(torch.linalg.eigvalsh(system.dense())[0]) < self.least:
            return Solution(torch.zeros_like(b), self.outcome, 1.0, 1)
        return self.ideal.solve(system, b, duration, x0)

    def evolve(self, duration):
        raise AssertionError("not asked to run on")

    def state_dict(self):
        return self.ideal.state_dict()

    def load_state_dict(self, state):
        self.ideal.load_state_dict(state)


def weak(least, outcome=Outcome.UNSTABLE):
    """Without a unit diagonal, in which the damping would be another number."""
    return Refined(Weak(least, outcome), rounds=3, tolerance=1e-6, equilibrate=False)


@pytest.mark.parametrize("system", ["dual", "primal"])
@pytest.mark.parametrize("retries", range(RETRIES + 1))
def test_what_does_not_converge_is_tried_with_more_damping(retries, system):
    model, x, y = small_problem()
    least = DAMPING * RAISE**retries * 0.99
    optimizer = TNGD(model.parameters(), lr=1.0, damping=DAMPING, duration=math.inf, system=system, device=weak(least))
    expected = exact_step(model, x, y, DAMPING * RAISE**retries)
    found = step_of(optimizer, model, closure_of(model, x, y))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)
    last = optimizer.last
    assert (last.retries, last.reading, last.outcome) == (retries, "refined", Outcome.OK)
    assert last.damping == DAMPING


@pytest.mark.parametrize("outcome", [Outcome.UNSTABLE, Outcome.CLIPPED, Outcome.OFFSET_CLIPPED])
@pytest.mark.parametrize("system", ["dual", "primal"])
def test_then_the_step_is_the_gradient_at_the_scale_of_the_curvature(system, outcome):
    model, x, y = small_problem()
    G, g = dense_ggn(model, x, lambda z: F.cross_entropy(z, y))
    optimizer = TNGD(
        model.parameters(), lr=1.0, damping=DAMPING, duration=20.0, system=system, device=weak(1e9, outcome)
    )
    found = -step_of(optimizer, model, closure_of(model, x, y))
    last = optimizer.last
    assert (last.retries, last.reading, last.outcome, last.applied) == (RETRIES, "gradient", outcome, True)
    assert last.analog_seconds == pytest.approx(last.attempts)
    # Along the gradient, and no longer than 1 / (largest eigenvalue) of it.
    size = float(found.norm() / g.norm())
    torch.testing.assert_close(found, size * g, rtol=1e-6, atol=1e-9)
    top = float(torch.linalg.eigvalsh(G)[-1]) + DAMPING
    assert 0.05 / top < size <= (1 + 1e-9) / top


def test_an_adapted_damping_rises_where_the_die_needs_more():
    model, x, y = small_problem()
    optimizer = TNGD(
        model.parameters(), damping=LevenbergMarquardt(DAMPING, factor=0.7), duration=math.inf, device=weak(2 * DAMPING)
    )
    optimizer.step(closure_of(model, x, y))
    assert optimizer.last.retries == 1
    optimizer.step(closure_of(model, x, y))
    assert optimizer.last.damping == pytest.approx(DAMPING / 0.7)


@pytest.mark.parametrize(("system", "floor"), [("dual", 0.2), ("kfac", 0.05)])
def test_a_damping_that_falls_below_what_settles_warns(system, floor):
    """Runs of 24 tau settle from 5 / 24 on, and of the factors from the square of it."""
    model, x, y = small_problem()
    closure = closure_of(model, x, y)
    falling = [2 * floor, 1.1 * floor, 0.8 * floor, 0.7 * floor, 2 * floor]
    optimizer = TNGD(model.parameters(), damping=lambda step: falling[step], duration=24.0, system=system)
    readings = []
    for step in range(len(falling)):
        with (
            pytest.warns(UserWarning, match="readings are bare from now on") if step == 2 else contextlib.nullcontext()
        ):
            optimizer.step(closure)
        readings.append(optimizer.last.reading)
    assert readings == ["refined", "refined", "bare", "bare", "refined"]


def test_a_resumed_refined_run_is_bit_exact():
    def build():
        model, x, y = small_problem(torch.float32)
        return (
            model,
            TNGD(model.parameters(), lr=0.1, damping=DAMPING, duration=40.0, device=die(), reading="refined"),
            closure_of(model, x, y),
        )

    model, optimizer, closure = build()
    buffer = io.BytesIO()
    for step in range(4):
        if step == 2:
            torch.save([model.state_dict(), optimizer.state_dict()], buffer)
        optimizer.step(closure)
    resumed, other, again = build()
    other.step(again)
    buffer.seek(0)
    for part, state in zip((resumed, other), torch.load(buffer, weights_only=True), strict=True):
        part.load_state_dict(state)
    for _ in range(2):
        other.step(again)
    assert torch.equal(flat(resumed.parameters()), flat(model.parameters()))
    assert other.last.residual == optimizer.last.residual


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reading": "twice"}, "twice"),
        ({"reading": "refined", "reset": False, "system": "primal"}, "overwrite the state"),
        ({"reading": "refined", "reset": False, "system": "primal", "delay_time": 1.0}, "overwrite the state"),
        ({"reading": "refined", "reads": 2}, "overwrite the state"),
        ({"reading": "refined", "duration": 0.0}, "duration > 0"),
        ({"device": Refined(IdealDevice()), "reset": False, "system": "primal"}, "overwrite the state"),
        ({"device": Refined(IdealDevice()), "reading": "bare"}, "that it refines"),
        ({"device": Refined(DieBatch(true_card(preset("integrated")), [1, 2]))}, "a solution for each die"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(InputError, match=words):
        TNGD(nn.Linear(2, 2).parameters(), **options)


def test_primal_systems_are_programmed_every_few_steps():
    """The same path as with a program a step, to the tolerance of the readings; the dual system's program says nothing of the next."""
    ends = {}
    for every in (1, 4):
        model, x, y = small_problem()
        optimizer = TNGD(
            model.parameters(),
            lr=0.2,
            damping=1.0,
            duration=math.inf,
            system="primal",
            device=die(),
            program_every=every,
        )
        programmings = []
        for _ in range(8):
            optimizer.step(closure_of(model, x, y))
            assert optimizer.last.residual <= 1e-2
            programmings.append(optimizer.last.programmings)
        assert programmings == [int(k % every == 0) for k in range(8)]
        ends[every] = flat(model.parameters()).detach()
    start = flat(small_problem()[0].parameters()).detach()
    assert float((ends[4] - ends[1]).norm()) < 0.02 * float((ends[1] - start).norm())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"program_every": 0}, "program_every is 0"),
        ({"program_every": 2}, 'system="dual": the dual cells stand for'),
        ({"program_every": 2, "system": "kronecker"}, "layers take turns"),
        ({"program_every": 2, "system": "primal", "reading": "bare"}, "bare readings"),
        ({"program_every": 2, "system": "primal", "reset": False}, "bare readings"),
        ({"device": Refined(IdealDevice(), program_every=2)}, 'system="dual"'),
        ({"program_every": 2, "system": "primal", "device": Refined(IdealDevice())}, "give it to Refined"),
    ],
)
def test_when_every_step_has_to_be_programmed(options, words):
    model = small_problem()[0]
    with pytest.raises(InputError, match=words):
        TNGD(model.parameters(), **options)


@pytest.mark.parametrize("damping", [0.1, LevenbergMarquardt(0.1)])
def test_a_program_for_several_steps_needs_runs_that_settle(damping):
    model, x, y = small_problem()
    optimizer = TNGD(model.parameters(), damping=damping, duration=49.0, system="primal", program_every=2)
    with pytest.raises(InputError, match="does not settle"):
        optimizer.step(closure_of(model, x, y))


@pytest.mark.parametrize("reading", ["bare", "refined"])
def test_products_that_null_offsets_are_counted(reading):
    card, found = true_card(preset("integrated")), {}
    for nulled in (False, True):
        model, x, y = small_problem()
        device = SurrogateDevice(card, die=1, extrapolate=True, read_out=ReadOut(null_offsets=nulled))
        optimizer = TNGD(model.parameters(), damping=DAMPING, duration=40.0, device=device, reading=reading)
        optimizer.step(closure_of(model, x, y))
        found[nulled] = optimizer.last.products
    assert found[True] > found[False]
    assert (found[False] == 0) is (reading == "bare")
