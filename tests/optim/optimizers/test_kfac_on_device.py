"""K-FAC on arrays as wide as the factors: digital and on a device the same system, which is the dense Kronecker matrix's; real dies, bare
and refined; what is done where a layer's reading fails."""

import copy
import io
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.cascade.device import CascadeDevice
from thermograd.devicemodel.device import Outcome, Solution
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.devicemodel.devices.spice import SpiceDevice
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature
from thermograd.optim.curvature.kronecker import KroneckerBlock, kronecker_blocks
from thermograd.optim.optimizers.kfac import KFAC
from thermograd.optim.optimizers.readings.reading import RAISE, RETRIES
from thermograd.optim.optimizers.tngd import TNGD

from ...systems import true_card
from ..curvature.joined_batch import flat
from .test_ngd import closure_of, step_of

DAMPING = 0.1
F64 = torch.float64


def problem(dtype=F64, normalised=False):
    torch.manual_seed(0)
    middle = [nn.LayerNorm(5)] if normalised else []
    model = nn.Sequential(nn.Linear(6, 5), *middle, nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    return model, 2 * torch.randn(9, 6, dtype=dtype), torch.arange(9) % 3


def die(seed=1, **options):
    return SurrogateDevice(true_card(preset("integrated")), die=seed, extrapolate=True, **options)


def steps_of(kind, count=1, dtype=F64, normalised=False, **options):
    """Changes of the parameters in each of some steps, and the optimizer."""
    model, x, y = problem(dtype, normalised)
    optimizer = kind(model.parameters(), lr=1.0, **{"damping": DAMPING} | options)
    closure = closure_of(model, x, y)
    return torch.stack([step_of(optimizer, model, closure) for _ in range(count)]), optimizer


def off(found, expected):
    return float((found - expected).norm() / expected.norm())


def written_out(damping=DAMPING, pi=None, normalised=False):
    """-((B + sqrt(damping) / pi) (x) (A + pi sqrt(damping)))^-1 g by dense matrices, layer by layer; pi by the traces, or given."""
    model, x, y = problem(normalised=normalised)

    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    found = Curvature(evaluate(closure), list(model.parameters()), keep_sensitivities=True)
    gradient = found.gradient()
    step = [torch.zeros_like(g) for g in gradient]
    for block in kronecker_blocks(found, {p: {} for p in model.parameters()}, 0.0):
        g = block.gather(gradient)
        if isinstance(block, KroneckerBlock):
            B, A, s = block.outputs, block.inputs, math.sqrt(damping)
            ratio = math.sqrt((A.trace() / len(A)) / (B.trace() / len(B))) if pi is None else pi
            C = torch.kron(B + s / ratio * torch.eye(len(B), dtype=F64), A + ratio * s * torch.eye(len(A), dtype=F64))
        else:
            C = block.rows.T @ block.rows + damping * torch.eye(len(g), dtype=F64)
        block.scatter(torch.linalg.solve(C, g), step)
    return -flat(step)


@pytest.mark.parametrize("normalised", [False, True])
def test_factored_damping_is_the_dense_kronecker_systems_solution(normalised):
    found, optimizer = steps_of(KFAC, factored_damping=True, normalised=normalised)
    expected = written_out(normalised=normalised)
    assert off(found[0], expected) < 1e-9
    assert optimizer.last.outcome is Outcome.OK
    # Negative controls: without pi, and with the damping of the product, it is another step.
    assert off(found[0], written_out(pi=1.0, normalised=normalised)) > 1e-2
    assert off(steps_of(KFAC, normalised=normalised)[0][0], expected) > 1e-2


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("factored", [True, False])
def test_an_exact_device_takes_the_digital_steps(factored, normalised):
    """Over several steps with averaged factors, in both systems."""
    expected, _ = steps_of(KFAC, 4, factored_damping=factored, refresh=1, normalised=normalised)
    device = IdealDevice() if factored else Refined(IdealDevice(), rounds=60, tolerance=1e-12, method="fcg")
    options = {"system": "kfac", "duration": math.inf, "factored_damping": factored, "normalised": normalised}
    found, optimizer = steps_of(TNGD, 4, device=device, reading="bare" if factored else "auto", **options)
    assert off(found, expected) < 1e-9
    assert optimizer.last.reading == ("bare" if factored else "refined")
    assert optimizer.last.cells == len(found[0])
    # Negative control: the other system's steps are others.
    assert off(found, steps_of(KFAC, 4, factored_damping=not factored, refresh=1, normalised=normalised)[0]) > 1e-2


def test_oscillators_take_them_too_by_the_floor_of_each_damped_factor():
    digital, _ = steps_of(KFAC, factored_damping=True)
    found, _ = steps_of(TNGD, device=IdealDevice(friction="critical"), system="kfac", duration=200.0, reading="bare")
    assert off(found, digital) < 1e-9


def test_no_analog_time_is_sgd():
    model, x, y = problem()
    gradient = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
    found, _ = steps_of(TNGD, system="kfac", duration=0.0)
    torch.testing.assert_close(found[0], -flat(gradient), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("factored", [True, False])
def test_a_refined_die_takes_the_digital_step_and_a_bare_one_does_not(factored):
    expected, _ = steps_of(KFAC, factored_damping=factored)
    options = {"system": "kfac", "duration": 40.0}
    # Towards the damped product, Richardson's rate is that of another damping: 1 - sqrt(damping) / (largest eigenvalue).
    device = Refined(die(), rounds=20, tolerance=1e-4, method="richardson" if factored else "fcg")
    refined, optimizer = steps_of(TNGD, device=device, factored_damping=factored, **options)
    assert off(refined, expected) < 3e-3
    last = optimizer.last
    assert (last.outcome, last.reading, last.retries) == (Outcome.OK, "refined", 0)
    assert last.residual <= 1e-4
    assert last.rounds > 1
    assert last.products > 4
    assert last.attempts >= 2 * (5 + 7 + 3 + 6)  # every column, at both signs
    assert last.analog_seconds > 0
    assert last.programmings == 4 if factored else last.programmings > 4  # two layers, two factors, each round anew
    bare, optimizer = steps_of(TNGD, device=die(), reading="bare", **options)
    assert optimizer.last.reading == "bare"
    assert off(bare, expected) > 1e-2


@pytest.mark.parametrize(
    ("options", "reading"),
    [
        ({"duration": 16.0}, "refined"),  # five time constants of sqrt(damping)
        ({"duration": 15.0}, "bare"),
        ({"duration": 15.0, "reading": "refined"}, "refined"),
        ({"duration": 15.0, "reading": "auto", "factored_damping": False}, "refined"),
        ({"duration": math.inf, "reading": "bare"}, "bare"),
        ({"duration": 1.0, "device": Refined(IdealDevice(), rounds=1)}, "refined"),
        ({"duration": 1.0, "device": Refined(IdealDevice(), rounds=1), "factored_damping": False}, "refined"),
    ],
)
def test_when_columns_are_refined(options, reading):
    _, optimizer = steps_of(TNGD, system="kfac", **options)
    assert optimizer.last.reading == reading


class Weak:
    """A device that is unstable below a floor of the matrix, for matrices of one size, and solves above it."""

    def __init__(self, least, size=None):
        self.least, self.size, self.ideal = least, size, IdealDevice()

    def accepts(self, system):
        return self.ideal.accepts(system)

    def solve(self, system, b, duration, x0=None):
        if self.size in (None, system.size) and float(torch.linalg.eigvalsh(system.dense())[0]) < self.least:
            return Solution(torch.zeros_like(b), Outcome.UNSTABLE, 1.0, 1)
        return self.ideal.solve(system, b, duration, x0)

    def evolve(self, duration):
        raise AssertionError("not asked to run on")

    def state_dict(self):
        return self.ideal.state_dict()

    def load_state_dict(self, state):
        self.ideal.load_state_dict(state)


def weak(least, size=None):
    """Without a unit diagonal, in which the damping would be another number."""
    return Refined(Weak(least, size), rounds=3, tolerance=1e-9, equilibrate=False)


@pytest.mark.parametrize("retries", range(RETRIES + 1))
def test_a_layer_that_fails_is_tried_with_more_damping(retries):
    # Gram matrices of 9 samples have full rank in 7 inputs but for rounding: their floor is that of the damping, about.
    least = 1.3 * math.sqrt(DAMPING * RAISE ** (retries - 1)) if retries else 0.0
    found, optimizer = steps_of(TNGD, system="kfac", duration=math.inf, device=weak(least))
    assert off(found[0], written_out(DAMPING * RAISE**retries)) < 1e-8
    assert (optimizer.last.retries, optimizer.last.reading) == (retries, "refined")
    assert optimizer.last.damping == DAMPING


def test_then_that_layer_takes_its_scaled_gradient():
    """The first layer's inputs are 7 wide, and no other factor is."""
    found, optimizer = steps_of(TNGD, system="kfac", duration=math.inf, device=weak(1e9, size=7))
    last = optimizer.last
    assert (last.retries, last.reading, last.outcome) == (RETRIES, "gradient", Outcome.UNSTABLE)
    assert last.applied
    model, x, y = problem()
    gradient = flat(torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters())))
    first = 5 * 7
    size = float(found[0][:first].norm() / gradient[:first].norm())
    torch.testing.assert_close(found[0][:first], -size * gradient[:first], rtol=1e-6, atol=1e-9)
    assert size < 1 / DAMPING
    # The other layer's is the solution.
    torch.testing.assert_close(found[0][first:], written_out()[first:], rtol=1e-6, atol=1e-9)


def test_a_bare_step_that_fails_is_skipped():
    found, optimizer = steps_of(TNGD, system="kfac", duration=math.inf, device=Weak(1e9), reading="bare")
    assert not optimizer.last.applied
    assert optimizer.last.outcome is Outcome.UNSTABLE
    assert not bool(found.any())


@pytest.mark.parametrize("factored", [True, False])
def test_a_resumed_run_is_bit_exact(factored):
    def build():
        model, x, y = problem(torch.float32)
        optimizer = TNGD(
            model.parameters(),
            lr=0.1,
            damping=DAMPING,
            duration=20.0,
            device=die(),
            system="kfac",
            reading="refined",
            factored_damping=factored,
            curvature="mc-fisher",
            momentum=0.5,
        )
        return model, optimizer, closure_of(model, x, y)

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
    # Negative control: the device's noise is part of the state.
    fresh, third, closure = build()
    buffer.seek(0)
    saved, state = torch.load(buffer, weights_only=True)
    fresh.load_state_dict(saved)
    third.load_state_dict({**state, "device": copy.deepcopy(third.state_dict()["device"])})
    for _ in range(2):
        third.step(closure)
    assert not torch.equal(flat(fresh.parameters()), flat(model.parameters()))


@pytest.mark.slow
def test_in_spice():
    """ngspice in the loop takes the digital step, as the surrogate of the same die does."""
    expected, _ = steps_of(KFAC, factored_damping=True)
    options = {"system": "kfac", "duration": 20.0}
    found = {}
    for name, device in {
        "ngspice": SpiceDevice(preset("integrated"), die=1, fabric="crossbar", johnson_noise=False),
        "surrogate": die(),
    }.items():
        found[name], optimizer = steps_of(TNGD, device=Refined(device, rounds=10, tolerance=1e-3), **options)
        assert optimizer.last.reading == "refined"
        assert optimizer.last.residual <= 1e-3
        assert off(found[name], expected) < 2e-2
    bare, _ = steps_of(
        TNGD,
        device=SpiceDevice(preset("integrated"), die=1, fabric="crossbar", johnson_noise=False),
        reading="bare",
        **options,
    )
    assert off(bare, expected) > 3 * off(found["ngspice"], expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"system": "factors"}, "'kronecker', 'kfac'"),
        ({"system": "kfac", "reads": 2}, "columns"),
        ({"system": "kfac", "reset": False}, "primal"),
        ({"system": "kfac", "factored_damping": 1}, "True or False"),
        ({"system": "kfac", "factored_damping": False, "reading": "bare"}, "refined readings"),
        ({"system": "kronecker", "factored_damping": False, "reading": "refined"}, "refined readings"),
        ({"system": "kfac", "duration": 0.0, "factored_damping": False}, "duration > 0"),
        ({"system": "kfac", "device": CascadeDevice("integrated", die=1)}, "takes no Dense"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(InputError, match=words):
        TNGD(nn.Linear(2, 2).parameters(), **options)
    with pytest.raises(InputError, match="True or False"):
        KFAC(nn.Linear(2, 2).parameters(), factored_damping="yes")


def test_no_damping_has_no_factored_one():
    with pytest.raises(InputError, match="a number > 0"):
        steps_of(TNGD, system="kfac", damping=0.0, duration=math.inf)


def arrays(count, first=1):
    return [die(first + k) for k in range(count)]


def test_arrays_of_each_factor_keep_their_programs():
    """Four arrays for two layers, programmed at every third step, go along the digital path; one array would program four times a step."""

    def path(make):
        model, x, y = problem()
        optimizer = make(model.parameters())
        closure, steps, programmings = closure_of(model, x, y), [], []
        for _ in range(6):
            steps.append(step_of(optimizer, model, closure))
            programmings.append(optimizer.last.programmings)
            assert optimizer.last.residual is None or optimizer.last.residual <= 1e-2
        return torch.stack(steps).sum(0), programmings

    def on_arrays(every):
        options = {"system": "kfac", "device": arrays(4), "program_every": every}
        return lambda params: TNGD(params, lr=0.1, damping=DAMPING, duration=40.0, **options)

    digital, _ = path(lambda params: KFAC(params, lr=0.1, damping=DAMPING, factored_damping=True))
    for every, expected in ((1, [4] * 6), (3, [4, 0, 0, 4, 0, 0])):
        found, programmings = path(on_arrays(every))
        assert programmings == expected
        assert off(found, digital) < 2e-2


def test_a_state_of_arrays_holds_each_devices():
    model, x, y = problem()
    made = [
        TNGD(model.parameters(), damping=DAMPING, duration=40.0, system="kfac", device=arrays(4), program_every=2)
        for _ in range(2)
    ]
    made[0].step(closure_of(model, x, y))
    state = made[0].state_dict()
    assert len(state["device"]) == 4
    made[1].load_state_dict(state)
    assert made[1].state_dict()["device"][3]["runs"] == state["device"][3]["runs"] > 0
    one = TNGD(model.parameters(), damping=DAMPING, duration=40.0, system="kfac", device=die())
    with pytest.raises(InputError, match="of 4 devices, and the optimizer has 1"):
        one.load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": arrays(3)}, "sequence of 3: give two"),
        ({"device": []}, "sequence of 0: give two"),
        ({"device": arrays(4), "system": "primal"}, 'system="primal"'),
        ({"device": arrays(4), "factored_damping": False}, "factored_damping=False"),
        ({"device": [die(), Refined(die())]}, r"device\[1\] is Refined"),
        ({"device": [die(), 3]}, r"device\[1\] is 3"),
        ({"device": [die()] * 4}, r"device\[1\] is device\[0\] once more"),
        ({"device": die(), "program_every": 2}, "layers take turns"),
    ],
)
def test_arrays_that_do_not_fit_raise(options, words):
    with pytest.raises(InputError, match=words):
        steps_of(TNGD, **{"duration": 40.0, "system": "kfac"} | options)


@pytest.mark.parametrize("count", [2, 6])
def test_two_arrays_for_each_layer_are_needed(count):
    with pytest.raises(InputError, match="2 layers: give 4, two for each"):
        steps_of(TNGD, duration=40.0, system="kfac", device=arrays(count))


@pytest.mark.parametrize("system", ["primal", "kronecker"])
def test_a_cascade_is_given_factors(system):
    torch.manual_seed(0)
    model, x, y = nn.Linear(3, 2).to(F64), torch.randn(4, 3, dtype=F64), torch.tensor([0, 1, 1, 0])
    device = SurrogateDevice(true_card(preset("integrated"), "factored"), die=1, extrapolate=True)
    optimizer = TNGD(model.parameters(), lr=0.5, damping=0.3, duration=20.0, device=device, system=system)
    closure, exact = closure_of(model, x, y), copy.deepcopy(model)
    digital = TNGD(exact.parameters(), lr=0.5, damping=0.3, duration=20.0, device=IdealDevice(), system=system)
    found, wanted = step_of(optimizer, model, closure), step_of(digital, exact, closure_of(exact, x, y))
    assert device.program.fabric_name == "factored"
    assert 1e-4 < off(found, wanted) < 0.1
    with pytest.raises(InputError, match="give system="):
        TNGD(model.parameters(), damping=0.3, device=device, system="dual").step(closure)
