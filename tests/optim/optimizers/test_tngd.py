"""The device's optimizer: its limits, the equality of the two systems, what it does with bad readings, and exact
resume."""

import io
import math

import pytest
import torch
import torch.nn.functional as F
from scipy import linalg
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Outcome, Solution, worst
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.systems import Dense, Implicit, LowRank
from thermograd.optim.optimizers.damping import LevenbergMarquardt
from thermograd.optim.optimizers.tngd import TNGD

from ..oracle import dense_ggn, flat
from .test_ngd import closure_of, digits_problem, step_of

WRITTEN = DeviceCard.uncalibrated(
    preset("integrated").replace(resistors__range_error=0.01, resistors__write_noise=0.01, resistors__read_noise=0.01)
)
"""Of dies that hold another matrix at each programming, and in each run."""


def small_problem(dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 3)
    ).to(dtype)
    return model, torch.randn(7, 6, dtype=dtype), torch.randint(0, 3, (7,))


@pytest.mark.parametrize("system", ["dual", "primal"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-8)])
def test_no_analog_time_is_sgd(system, dtype, tolerance):
    model, x, y = digits_problem(dtype)
    start = {key: value.clone() for key, value in model.state_dict().items()}
    closure = closure_of(model, x, y)
    found = step_of(TNGD(model.parameters(), lr=0.5, damping=0.1, duration=0.0, system=system), model, closure)
    model.load_state_dict(start)
    sgd = torch.optim.SGD(model.parameters(), lr=0.5)
    before = flat(model.parameters()).double()
    closure()[0].backward()
    sgd.step()
    expected = flat(model.parameters()).double() - before
    assert float((found - expected).norm() / expected.norm()) < tolerance


@pytest.mark.parametrize("t", [0.1, 1.0, 20.0, math.inf])
@pytest.mark.parametrize("system", ["dual", "primal"])
def test_both_systems_follow_the_flow_of_the_parameters(system, t):
    """x(t) by the matrix exponential of the dense N x N matrix from the oracle: neither system's own formula."""
    model, x, y = small_problem()
    G, g = dense_ggn(model, x, lambda z: F.cross_entropy(z, y))
    A = (G + 0.05 * torch.eye(len(g), dtype=torch.float64)).numpy()
    limit = linalg.solve(A, g.numpy())
    expected = limit if math.isinf(t) else limit + linalg.expm(-A * t) @ (g.numpy() - limit)
    optimizer = TNGD(model.parameters(), lr=1.0, damping=0.05, duration=t, system=system)
    found = -step_of(optimizer, model, closure_of(model, x, y))
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=0, atol=1e-10)
    assert optimizer.last.cells == (14 if system == "dual" else len(g))
    assert optimizer.last.analog_seconds == pytest.approx(t * 1e-6)


@pytest.mark.parametrize("t", [0.0, 0.5, 50.0, math.inf])
def test_dual_and_primal_agree_on_digits(t):
    steps = []
    for system in ("dual", "primal"):
        model, x, y = digits_problem(torch.float32, train_steps=30)
        optimizer = TNGD(model.parameters(), lr=64.0, damping=0.05, duration=t, system=system)
        steps.append(step_of(optimizer, model, closure_of(model, x, y)))
    assert float((steps[0] - steps[1]).norm() / steps[0].norm()) < 1e-5


def companion_path(A, friction, b, state, t):
    """[x, x'] after t under x'' + friction x' + A x = b, by the exponential of the companion matrix with b as one more state."""
    n = len(b)
    M = torch.zeros(2 * n + 1, 2 * n + 1, dtype=torch.float64)
    M[:n, n : 2 * n], M[n : 2 * n, :n] = torch.eye(n, dtype=torch.float64), -A
    M[n : 2 * n, n : 2 * n], M[n : 2 * n, -1] = -friction * torch.eye(n, dtype=torch.float64), b
    return (torch.from_numpy(linalg.expm(M.numpy() * t)) @ torch.cat([state, torch.ones(1, dtype=torch.float64)]))[:-1]


@pytest.mark.parametrize("t", [0.0, 1e-3, 2.0, 20.0, math.inf])
@pytest.mark.parametrize("system", ["dual", "primal"])
def test_both_systems_of_oscillators_swing_from_the_gradient_to_the_natural_gradient(system, t):
    """x(0) = g, x'(0) = 0, and u(0) = s, u'(0) = 0 for the dual cells: one path, by the oracle's dense matrix."""
    model, x, y = small_problem()
    G, g = dense_ggn(model, x, lambda z: F.cross_entropy(z, y))
    A = G + 0.05 * torch.eye(len(g), dtype=torch.float64)
    optimizer = TNGD(
        model.parameters(), lr=1.0, damping=0.05, duration=t, system=system, device=IdealDevice(friction="critical"),
        reading="bare",
    )  # fmt: skip
    found = -step_of(optimizer, model, closure_of(model, x, y))
    start = torch.cat([g, torch.zeros_like(g)])
    friction = 2 * math.sqrt(0.05)
    expected = torch.linalg.solve(A, g) if math.isinf(t) else companion_path(A, friction, g, start, t)[: len(g)]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    if t == 1e-3:
        # Of first order the way from the gradient is t (g - A g), and from rest oscillators begin with t^2 / 2 g, which is no step.
        torch.testing.assert_close((found - g) / (t**2 / 2), g - A @ g, rtol=1e-2, atol=1e-3 * float(g.norm()))
        rest = companion_path(A, friction, g, torch.zeros(2 * len(g), dtype=torch.float64), t)[: len(g)]
        assert float(rest.norm()) < 1e-6 * float(g.norm())


def test_oscillators_carry_velocities_on():
    """By hand: position and velocity run on with the old matrix and drive for the delay, then with the new ones."""
    model, x, y = small_problem()
    closure, state = closure_of(model, x, y), None
    optimizer = TNGD(
        model.parameters(), lr=0.3, damping=0.05, duration=2.0, delay_time=0.7, reset=False, system="primal",
        device=IdealDevice(friction=0.3),
    )  # fmt: skip
    for _ in range(3):
        G, g = dense_ggn(model, x, lambda z: F.cross_entropy(z, y))
        A = G + 0.05 * torch.eye(len(g), dtype=torch.float64)
        state = torch.cat([g, torch.zeros_like(g)]) if state is None else state
        reading = companion_path(A, 0.3, g, state, 2.0)[: len(g)]
        state = companion_path(A, 0.3, g, state, 2.7)
        torch.testing.assert_close(step_of(optimizer, model, closure), -0.3 * reading, rtol=0, atol=1e-10)


def test_carried_state_and_delay_follow_the_device():
    """Two steps by hand: the state runs on with the old matrix and drive for the delay, then with the new ones."""
    model, x, y = small_problem()
    closure = closure_of(model, x, y)
    optimizer = TNGD(
        model.parameters(), lr=0.3, damping=0.05, duration=2.0, delay_time=0.7, reset=False, system="primal"
    )
    state = None
    for _ in range(3):
        G, g = dense_ggn(model, x, lambda z: F.cross_entropy(z, y))
        A = G + 0.05 * torch.eye(len(g), dtype=torch.float64)
        limit = torch.linalg.solve(A, g)
        state = g if state is None else state
        reading = limit + torch.linalg.matrix_exp(-A * 2.0) @ (state - limit)
        state = limit + torch.linalg.matrix_exp(-A * 2.7) @ (state - limit)
        torch.testing.assert_close(step_of(optimizer, model, closure), -0.3 * reading, rtol=0, atol=1e-10)
    assert optimizer.last.analog_seconds == pytest.approx(2.7e-6)
    assert optimizer.last.attempts == 2


def test_adam_on_the_gradient_is_torchs_adam():
    runs = []
    for kind in ("tngd", "adam"):
        model, x, y = small_problem()
        if kind == "tngd":
            optimizer = TNGD(model.parameters(), lr=0.01, duration=0.0, update="adam", betas=(0.8, 0.95))
        else:
            optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.8, 0.95))
        for _ in range(5):
            if kind == "adam":
                optimizer.zero_grad()
                closure_of(model, x, y)()[0].backward()
                optimizer.step()
            else:
                optimizer.step(closure_of(model, x, y))
        runs.append(flat(model.parameters()))
    torch.testing.assert_close(*runs, rtol=0, atol=1e-10)


class Scripted:
    """A device that solves nothing and answers with a given outcome."""

    def __init__(self, outcome, value=1.0):
        self.outcome, self.value = outcome, value

    def accepts(self, system):
        return not isinstance(system, Implicit)

    def solve(self, system, b, duration, x0=None):
        return Solution(torch.full_like(b, self.value), self.outcome, 1e-6, 3)

    def evolve(self, duration):
        raise AssertionError("not asked to run on")

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@pytest.mark.parametrize(
    ("outcome", "value", "applied"),
    [
        (Outcome.OK, 1.0, True),
        (Outcome.CLIPPED, 1.0, True),
        (Outcome.UNSTABLE, 1.0, False),
        (Outcome.OFFSET_CLIPPED, 1.0, False),
        (Outcome.NOT_CONVERGED, 1.0, False),
        (Outcome.NOT_FINITE, 1.0, False),
        (Outcome.OK, math.nan, False),
    ],
)
@pytest.mark.parametrize("update", ["sgd", "adam"])
@pytest.mark.parametrize("system", ["dual", "primal"])
def test_bad_readings_leave_parameters_and_moments_alone(outcome, value, applied, update, system):
    model, x, y = small_problem()
    optimizer = TNGD(model.parameters(), device=Scripted(outcome, value), update=update, system=system)
    moved = float(step_of(optimizer, model, closure_of(model, x, y)).norm()) > 0
    assert moved is applied
    assert optimizer.last.applied is applied
    assert optimizer.last.outcome is (Outcome.NOT_FINITE if math.isnan(value) else outcome)
    assert optimizer.last.attempts == 3
    assert bool(optimizer.state) is (applied and update == "adam")


@pytest.mark.parametrize(
    ("outcome", "factor"),
    [
        (Outcome.OFFSET_CLIPPED, 1 / 0.7),  # their remedy is more damping
        (Outcome.UNSTABLE, 1 / 0.7),
        (Outcome.NOT_FINITE, 1.0),
    ],
)
def test_an_adapted_damping_rises_where_a_reading_needs_more(outcome, factor):
    model, x, y = small_problem()
    damping = LevenbergMarquardt(0.3, factor=0.7)
    optimizer = TNGD(model.parameters(), device=Scripted(outcome, 1.0), damping=damping, reading="bare")
    for k in range(3):
        optimizer.step(closure_of(model, x, y))
        assert optimizer.last.damping == pytest.approx(0.3 * factor**k)


def test_the_outcome_of_several_readings_is_the_worst():
    """Not the last: a clipped reading followed by one that is merely extrapolated is a clipped one."""

    class Series(Scripted):
        def solve(self, system, b, duration, x0=None):
            self.b = b
            return self.evolve(duration)

        def evolve(self, duration):
            return Solution(torch.ones_like(self.b), self.outcome.pop(0), 1e-6)

    model, x, y = small_problem()
    device = Series([Outcome.CLIPPED, Outcome.EXTRAPOLATED, Outcome.OK])
    optimizer = TNGD(model.parameters(), device=device, reads=3)
    optimizer.step(closure_of(model, x, y))
    assert optimizer.last.outcome is Outcome.CLIPPED
    assert [worst(pair) for pair in ([], [Outcome.OK, Outcome.EXTRAPOLATED], [Outcome.UNSTABLE, Outcome.CLIPPED])] == [
        Outcome.OK, Outcome.EXTRAPOLATED, Outcome.UNSTABLE,
    ]  # fmt: skip
    assert {worst([outcome]) for outcome in Outcome} == set(Outcome)


def test_what_the_device_is_given():
    seen = []

    class Spy(IdealDevice):
        def accepts(self, system):
            return not isinstance(system, Implicit)

        def solve(self, system, b, duration, x0=None):
            seen.append((system, b, duration, x0))
            return super().solve(system, b, duration, x0)

    for kind in ("dual", "primal"):
        model, x, y = small_problem(torch.float32)
        TNGD(model.parameters(), damping=0.25, duration=3.0, system=kind, device=Spy()).step(closure_of(model, x, y))
    (dual, s, t, s0), (primal, g, _, g0) = seen
    assert isinstance(dual, Dense)
    assert isinstance(primal, LowRank)
    assert dual.size == 14
    assert primal.J.shape[0] == 14
    assert t == 3.0
    assert torch.equal(s, s0)
    assert torch.equal(g, g0)
    assert primal.damping == 0.25
    # the two matrices have the same spectrum beyond the damping
    torch.testing.assert_close(
        torch.linalg.eigvalsh(dual.dense()), torch.linalg.eigvalsh(primal.dense().double())[-14:], rtol=1e-4, atol=1e-5
    )


def test_noise_reaches_the_parameters_and_repeats_with_its_seed():
    found = {}
    for name, device in {"quiet": None, "a": (1e-3, 1), "again": (1e-3, 1), "b": (1e-3, 2)}.items():
        model, x, y = small_problem()
        optimizer = TNGD(model.parameters(), duration=5.0, device=None if device is None else IdealDevice(*device))
        found[name] = step_of(optimizer, model, closure_of(model, x, y))
    assert torch.equal(found["a"], found["again"])
    assert not torch.allclose(found["a"], found["b"])
    assert not torch.allclose(found["a"], found["quiet"])


@pytest.mark.parametrize(
    "options",
    [
        {"duration": 5.0},
        {"duration": 5.0, "update": "adam"},
        {"duration": 0.5, "delay_time": 0.2, "reset": False, "system": "primal", "update": "adam"},
        {"duration": 0.5, "delay_time": 0.2, "reset": False, "system": "primal", "friction": "critical"},
        {"duration": 50.0, "written": True},
    ],
    ids=["dual", "dual adam", "primal with a carried state", "and velocities", "written anew at each step"],
)
def test_a_resumed_run_is_bit_exact(options):
    def build():
        model, x, y = small_problem(torch.float32)
        given = {name: value for name, value in options.items() if name not in ("written", "friction")}
        device = IdealDevice(1e-3, 3, friction=options.get("friction"))
        device = SurrogateDevice(WRITTEN, 3, extrapolate=True) if "written" in options else device
        optimizer = TNGD(model.parameters(), lr=0.05, damping=0.1, device=device, **given)
        return model, optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9), closure_of(model, x, y)

    model, optimizer, scheduler, closure = build()
    buffer = io.BytesIO()
    for step in range(8):
        if step == 4:
            torch.save([model.state_dict(), optimizer.state_dict(), scheduler.state_dict()], buffer)
        optimizer.step(closure)
        scheduler.step()
    resumed, other, later, again = build()
    other.step(again)  # a state of its own, to be replaced
    buffer.seek(0)
    parts = torch.load(buffer, weights_only=True)
    for part, state in zip((resumed, other, later), parts, strict=True):
        part.load_state_dict(state)
    for _ in range(4):
        other.step(again)
        later.step()
    assert torch.equal(flat(resumed.parameters()), flat(model.parameters()))


def test_a_loss_without_curvature_needs_the_primal_system():
    model, x, _ = small_problem()

    def closure():
        z = model(x)
        return z.abs().sum(), z

    with pytest.raises(InputError, match='system="primal"'):
        TNGD(model.parameters()).step(closure)
    gradient = torch.cat([part.reshape(-1) for part in torch.autograd.grad(closure()[0], list(model.parameters()))])
    found = step_of(TNGD(model.parameters(), lr=1.0, damping=0.5, duration=math.inf, system="primal"), model, closure)
    torch.testing.assert_close(found, -gradient / 0.5)  # G = 0: only the damping is left


def test_a_softmax_that_saturates_for_good_does_not_stop_the_run():
    model, x, y = small_problem(torch.float32)
    optimizer = TNGD(model.parameters(), lr=0.1, damping=0.1)
    optimizer.step(closure_of(model, x, y))
    with torch.no_grad():
        model[4].weight.mul_(1e6)
        wrong = model(x).argmin(-1)
    assert float(step_of(optimizer, model, closure_of(model, x, wrong)).norm()) > 0
    assert optimizer.last.outcome is Outcome.OK
    assert optimizer.last.cells == 14


def test_a_device_that_does_not_accept_the_system_raises_with_the_other_systems():
    model = nn.Linear(3, 2).double()
    x, y = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0])

    def closure():
        outputs = model(x)
        return torch.nn.functional.cross_entropy(outputs, y), outputs

    def step(**options):
        optimizer = TNGD(model.parameters(), damping=0.5, device=CascadeDevice("ideal"), **options)
        optimizer.step(closure)
        return optimizer.last

    with pytest.raises(InputError, match=r"system='dual' programs a Dense.*CascadeDevice.*'primal' or 'kronecker'"):
        step()
    assert step(system="primal").applied


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"duration": -1.0}, "duration"),
        ({"duration": math.nan}, "duration"),
        ({"duration": "long"}, "duration is 'long'"),
        ({"reads": 2.5}, r"reads is 2\.5: give an integer"),
        ({"device": "surrogate"}, "device is 'surrogate', a path: give a device, or a card"),
        ({"device": IdealDevice}, "device is IdealDevice, a class: give a device"),
        ({"delay_time": -1.0}, "delay_time"),
        ({"ema_decay": 0.5}, "averages nothing"),
        ({"ema_decay": 1.0, "system": "kronecker"}, r"ema_decay is 1\.0"),
        ({"read_interval": 2.0}, "one reading"),
        ({"reset": False}, "has no meaning"),
        ({"delay_time": 1.0, "system": "primal"}, "no effect"),
        ({"update": "lion"}, "lion"),
        ({"system": "both"}, "both"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"betas": (0.9,)}, "betas"),
        ({"eps": 0.0, "update": "adam"}, "eps"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(InputError, match=words):
        TNGD(nn.Linear(2, 2).parameters(), **options)


def test_state_of_another_optimizer_raises():
    model, _, _ = small_problem()
    with pytest.raises(InputError, match="was saved by another optimizer: give one of TNGD"):
        TNGD(model.parameters()).load_state_dict(torch.optim.SGD(model.parameters(), lr=0.1).state_dict())
