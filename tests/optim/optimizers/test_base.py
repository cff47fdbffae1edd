"""What all natural-gradient optimizers share: updates, micro-batches, resuming, schedules, mixed precision, limits."""

import copy
import dataclasses
import gc
import inspect
import io
import math
import pickle
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thermograd.circuits.errors import InputError
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.ideal import IdealDevice
from thermograd.optim.optimizers.config import NaturalGradientConfig
from thermograd.optim.optimizers.damping import LevenbergMarquardt
from thermograd.optim.optimizers.kfac import KFAC
from thermograd.optim.optimizers.ngd import NGD, NGDCG, NGDWoodbury
from thermograd.optim.optimizers.tngd import TNGD

from ..curvature.joined_batch import flat
from ..oracle import dense_ggn

F64 = torch.float64
KINDS = {
    "ngd": (NGD, {}),
    "cg": (NGDCG, {"tolerance": 1e-12, "max_iter": 300}),
    "warm cg": (NGDCG, {"warm_start": True}),
    "woodbury": (NGDWoodbury, {}),
    "sketch": (NGDWoodbury, {"sketch": 5}),
    "kfac": (KFAC, {"refresh": 3}),
    "mc kfac": (KFAC, {"curvature": "mc-fisher"}),
    "mc ngd": (NGD, {"curvature": "mc-fisher", "mc_samples": 2}),
    "empirical": (NGD, {"curvature": "empirical"}),
    "momentum": (NGD, {"momentum": 0.9, "weight_decay": 0.01, "clip": 0.5}),
    "levenberg": (NGD, {"damping": LevenbergMarquardt(0.3, factor=0.7)}),
    "line search": (NGD, {"line_search": True, "lr": 3.0, "damping": LevenbergMarquardt(0.01)}),
    "spring": (NGD, {"spring": 0.7, "line_search": True}),
    "spring cg": (NGDCG, {"spring": 0.7, "tolerance": 1e-12, "max_iter": 300, "line_search": True}),
    "tngd spring": (TNGD, {"device": "noisy", "spring": 0.7}),
    "tngd": (TNGD, {"device": "noisy"}),
    "tngd reads": (TNGD, {"device": "noisy", "reads": 3, "update": "adam"}),
    "primal": (TNGD, {"device": "noisy", "system": "primal", "reset": False, "delay_time": 0.3}),
    "kronecker": (TNGD, {"device": "noisy", "system": "kronecker"}),
    "columns": (TNGD, {"device": "noisy", "system": "kfac", "curvature": "mc-fisher"}),
    "columns towards the product": (TNGD, {"device": "noisy", "system": "kfac", "factored_damping": False}),
}


def problem(dtype=F64, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv1d(1, 3, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.LayerNorm(18), nn.Linear(18, 3))
    return model.to(dtype), torch.randn(12, 1, 6, dtype=dtype), torch.arange(12) % 3


def closure_of(model, x, y):
    def closure():
        z = model(x)
        return F.cross_entropy(z, y), z

    return closure


def made(name, model, **changes):
    kind, options = KINDS[name]
    options = {"lr": 0.3, "damping": 0.2, **options, **changes}
    if options.get("device") == "noisy":
        options |= {"device": IdealDevice(kappa0=1e-4, seed=1), "duration": 4.0}
    return kind(model.parameters(), **options)


def moved(optimizer, model, closure):
    before = flat(model.parameters())
    optimizer.step(closure)
    return flat(model.parameters()) - before


@pytest.mark.parametrize(
    ("name", "half"), [(name, False) for name in KINDS] + [("ngd", True), ("mc ngd", True), ("levenberg", True)]
)
def test_a_resumed_run_is_the_same_to_the_bit(name, half):
    """Through a file that is read with weights_only=True, moments, factors, labels, device and adapted damping included; or by deepcopy."""

    def run(optimizer, model):
        for _ in range(4):
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                optimizer.step(closure_of(model, x, y))

    dtype = torch.float32 if half else F64
    model, x, y = problem(dtype)
    whole = made(name, model)
    run(whole, model)
    saved = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": whole.state_dict()}, saved)
    copies = (
        [] if name == "primal" else [copy.deepcopy((model, whole))]
    )  # (a device's kept state has the batch's graph)
    run(whole, model)
    for copied, its in copies:
        run(its, copied)
        assert torch.equal(flat(model.parameters()), flat(copied.parameters()))
    saved.seek(0)
    state = torch.load(saved, weights_only=True)
    other, _, _ = problem(dtype, seed=5)
    other.load_state_dict(state["model"])
    resumed = made(name, other)
    resumed.load_state_dict(state["optimizer"])
    run(resumed, other)
    assert torch.equal(flat(model.parameters()), flat(other.parameters()))
    assert resumed.last.loss == whole.last.loss


@pytest.mark.parametrize("name", [name for name in KINDS if not name.startswith("mc")])
def test_micro_batches_are_one_batch(name):
    model, x, y = problem()
    other = copy.deepcopy(model)
    whole, parts = made(name, model), made(name, other)
    for _ in range(2):
        whole.step(closure_of(model, x, y))
        for some in (slice(0, 4), slice(4, 8), slice(8, 12)):
            parts.prepare(closure_of(other, x[some], y[some]))
        parts.step()
    torch.testing.assert_close(flat(other.parameters()), flat(model.parameters()), rtol=1e-7, atol=1e-9)
    assert parts.last.loss == pytest.approx(whole.last.loss)
    with pytest.raises(InputError, match="has no batch"):
        parts.step()
    parts.prepare(closure_of(other, x, y))
    with pytest.raises(InputError, match=r"prepared batches.*copy it after step"):
        copy.copy(parts)


@pytest.mark.parametrize(("name", "lets_go"), [("ngd", True), ("kfac", True), ("primal", True), ("cg", False)])
def test_a_prepared_micro_batch_holds_no_graph(name, lets_go):
    """What the graph saved is gone after `prepare`; conjugate gradients, which go back through it, keep it until the step."""
    held = weakref.WeakSet()

    class Saved:
        def __init__(self, tensor):
            self.tensor = tensor.detach()
            held.add(self)

    model, x, y = problem()
    optimizer = made(name, model)
    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
        optimizer.prepare(closure_of(model, x, y))
        gc.collect()
        assert (not held) is lets_go
        optimizer.step()
    gc.collect()
    assert not held


def test_momentum_decay_and_clipping_are_what_they_say():
    model, x, y = problem()
    other = copy.deepcopy(model)
    plain = NGD(model.parameters(), lr=0.3, damping=0.2)
    full = NGD(other.parameters(), lr=0.3, damping=0.2, momentum=0.9, weight_decay=0.1)
    velocity = torch.zeros(0)
    theta = flat(other.parameters())
    for _ in range(3):
        with torch.no_grad():
            nn.utils.vector_to_parameters(theta.clone(), model.parameters())
        x_found = -moved(plain, model, closure_of(model, x, y)) / 0.3
        velocity = x_found if not len(velocity) else 0.9 * velocity + x_found
        theta = theta * (1 - 0.3 * 0.1) - 0.3 * velocity
        full.step(closure_of(other, x, y))
        torch.testing.assert_close(flat(other.parameters()), theta)
    clipped = NGD(model.parameters(), lr=0.3, damping=0.2, clip=1e-3)
    assert float(moved(clipped, model, closure_of(model, x, y)).norm()) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    "scheduler", ["CosineAnnealingLR", "OneCycleLR", "ReduceLROnPlateau", "LambdaLR", "SequentialLR"]
)
def test_torchs_schedulers(scheduler):
    model, x, y = problem()
    optimizer = made("momentum", model)
    S = torch.optim.lr_scheduler
    chosen = {
        "CosineAnnealingLR": lambda: S.CosineAnnealingLR(optimizer, 10),
        "OneCycleLR": lambda: S.OneCycleLR(optimizer, max_lr=0.5, total_steps=10, cycle_momentum=False),
        "ReduceLROnPlateau": lambda: S.ReduceLROnPlateau(optimizer, patience=0),
        "LambdaLR": lambda: S.LambdaLR(optimizer, lambda k: 0.5**k),
        "SequentialLR": lambda: S.SequentialLR(
            optimizer, [S.ConstantLR(optimizer), S.ExponentialLR(optimizer, 0.5)], [2]
        ),
    }[scheduler]()
    rates = []
    for _ in range(4):
        loss = optimizer.step(closure_of(model, x, y))
        chosen.step(*([loss + 10 * len(rates)] if scheduler == "ReduceLROnPlateau" else []))
        rates.append(optimizer.param_groups[0]["lr"])
    assert len(set(rates)) > 1


def test_under_autocast_the_curvature_is_of_the_parameters_type():
    model, x, y = problem(torch.float32)
    other = copy.deepcopy(model)

    def rounded():
        with torch.autocast("cpu", torch.bfloat16):
            z = other(x)
            return F.cross_entropy(z, y), z

    exact = moved(NGD(model.parameters(), lr=1.0, damping=0.2), model, closure_of(model, x, y))
    optimizer = NGD(other.parameters(), lr=1.0, damping=0.2)
    found = moved(optimizer, other, rounded)
    assert found.dtype == torch.float32
    assert float((found - exact).norm() / exact.norm()) < 0.03  # eight bits
    with torch.autocast("cpu", torch.bfloat16):  # around the whole step, too
        assert math.isfinite(optimizer.step(closure_of(other, x, y)))
    assert optimizer.last.outcome is Outcome.OK


@pytest.mark.parametrize("system", ["dual", "primal", "kronecker"])
def test_no_analog_time_is_sgd_and_for_ever_is_the_natural_gradient(system):
    """To 1e-6 (issue), with one linear layer and a squared error, where the Kronecker form is exact."""
    torch.manual_seed(0)
    model, x = nn.Linear(5, 3).double(), torch.randn(9, 5, dtype=F64)
    target = torch.randn(9, 3, dtype=F64)

    def step(kind, **options):
        own = copy.deepcopy(model)

        def closure():
            z = own(x)
            return F.mse_loss(z, target), z

        return moved(kind(own.parameters(), lr=1.0, damping=0.1, **options), own, closure)

    G, g = dense_ggn(model, x, lambda z: F.mse_loss(z, target))
    exact = -torch.linalg.solve(G + 0.1 * torch.eye(len(g), dtype=F64), g)
    scale = float(exact.norm())
    averaged = {"ema_decay": 0.0} if system == "kronecker" else {}
    found = step(TNGD, system=system, duration=math.inf, **averaged)
    assert float((found - exact).norm()) < 1e-6 * scale
    assert float((step(TNGD, system=system, duration=0.0) + g).norm()) < 1e-6 * float(g.norm())
    assert float((step(KFAC, ema_decay=0.0) - exact).norm()) < 1e-6 * scale
    early = step(TNGD, system=system, duration=1.0, **averaged)
    assert float((early - exact).norm()) > 1e-2 * scale


def test_a_singular_curvature_without_damping_moves_only_in_its_range():
    torch.manual_seed(1)
    model, x = nn.Linear(6, 2).double(), torch.randn(3, 6, dtype=F64)
    target = torch.randn(3, 2, dtype=F64)

    def closure():
        z = model(x)
        return F.mse_loss(z, target), z

    G, g = dense_ggn(model, x, lambda z: F.mse_loss(z, target))
    w, V = torch.linalg.eigh(G)
    null = V[:, w < 1e-10 * w[-1]]
    assert null.shape[1] > 3
    optimizer = TNGD(model.parameters(), lr=1.0, damping=0.0, duration=math.inf, system="primal")
    found = moved(optimizer, model, closure)
    assert float((null.T @ found).norm()) < 1e-9 * float(found.norm())
    torch.testing.assert_close(found, -torch.linalg.pinv(G, rtol=1e-10, hermitian=True) @ g)


def test_noise_reaches_the_parameters_with_the_laws_covariance():
    """kappa0 (1 - e^{-2At}) A^{-1} over 600 devices: whitened readings are normal; those of half the time are not."""
    torch.manual_seed(2)
    model, x, y = nn.Linear(3, 2).double(), torch.randn(5, 3, dtype=F64), torch.arange(5) % 2
    G, g = dense_ggn(model, x, lambda z: F.cross_entropy(z, y))
    A, t, kappa, runs = G + 0.2 * torch.eye(len(g), dtype=F64), 2.0, 1e-3, 600
    start = copy.deepcopy(model.state_dict())
    steps = []
    for seed in range(runs):
        model.load_state_dict(start)
        device = IdealDevice(kappa0=kappa, seed=seed)
        optimizer = TNGD(model.parameters(), lr=1.0, damping=0.2, duration=t, device=device, system="primal")
        steps.append(moved(optimizer, model, closure_of(model, x, y)))
    w, V = torch.linalg.eigh(A)
    values = (torch.stack(steps) - torch.stack(steps).mean(0)) @ V

    def excess(time):
        """Sum over modes of the squared z-scores of their variances; chi-square of N degrees where the law is right."""
        ratio = values.var(0) / (kappa * (1 - torch.exp(-2 * w * time)) / w)
        return float(((ratio - 1) ** 2 / (2 / (runs - 1))).sum())

    assert excess(t) < 26.1  # 99.9 % of chi-square with 8 degrees of freedom
    assert excess(t / 2) > 100


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"curvature": "fischer"}, "curvature is 'fischer'"),
        ({"mc_samples": 0}, "mc_samples is 0"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"momentum": 0.5, "update": "adam"}, "has its own"),
        ({"clip": 0.0}, "clip"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"mc_samples": 2}, "draws no labels"),
        ({"betas": (0.5, 0.9)}, "has neither"),
        ({"eps": 1e-3}, "has neither"),
        ({"damping": lambda step: -1.0}, "damping is -1.0"),
        ({"damping": "adapted"}, r"damping is 'adapted': .*LevenbergMarquardt\(\)"),
        ({"damping": LevenbergMarquardt}, r"LevenbergMarquardt'>: .*LevenbergMarquardt\(\)"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"curvature": "mc-fisher", "mc_samples": 1.5}, r"mc_samples is 1\.5: give an integer"),
        ({"seed": 1.5}, r"seed is 1\.5: give an integer"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(InputError, match=words):
        NGD(nn.Linear(2, 2).parameters(), **options)


@pytest.mark.parametrize("kind", [NGD, NGDCG, NGDWoodbury, KFAC, TNGD])
def test_every_option_stands_in_the_signature_with_its_default(kind):
    """No **options: those of `NaturalGradientConfig` are keyword arguments of each optimizer, and reach it."""
    signature = inspect.signature(kind)
    assert not {p.kind for p in signature.parameters.values()} & {
        inspect.Parameter.VAR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    }
    for field in dataclasses.fields(NaturalGradientConfig):
        parameter = signature.parameters[field.name]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default == field.default
    chosen = {"seed": 3, "update": "adam", "weight_decay": 0.1, "betas": (0.5, 0.6), "eps": 1e-3, "clip": 2.0}
    more = {"curvature": "mc-fisher", "mc_samples": 4} | ({"system": "primal"} if kind is TNGD else {})
    config = kind(nn.Linear(2, 2).parameters(), **chosen, **more).config
    assert {name: getattr(config, name) for name in chosen} == chosen
    assert (config.curvature, config.mc_samples) == ("mc-fisher", 4)
    assert kind(nn.Linear(2, 2).parameters(), momentum=0.5).config.momentum == 0.5
    with pytest.raises(TypeError, match="wieght_decay"):
        kind(nn.Linear(2, 2).parameters(), wieght_decay=0.1)


@pytest.mark.parametrize(
    ("update", "group", "words"),
    [
        ("sgd", {"betas": (0.5, 0.9)}, 'betas, which update="sgd" does not use'),
        ("adam", {"momentum": 0.5}, 'momentum, which update="adam" does not use'),
        ("sgd", {"momentum": 1.5}, r"momentum is 1\.5"),
        ("sgd", {"weight_decay": -1.0}, "weight_decay is -1"),
        ("adam", {"eps": 0.0}, r"eps is 0\.0"),
        ("sgd", {"lr": math.nan}, "lr is nan"),
        ("sgd", {"clip": 0.1}, "clip, which is one for all groups: give it to NGD"),
        ("sgd", {"method": "cg"}, "method, which is one for all groups"),
    ],
)
def test_settings_of_a_group_are_heeded_or_raise(update, group, words):
    with pytest.raises(InputError, match=words):
        NGD([{"params": nn.Linear(2, 2).parameters(), **group}], update=update)


def test_a_group_has_no_damping_of_its_own_beside_an_adapted_one():
    layer = nn.Linear(2, 2)
    groups = [{"params": [layer.weight], "damping": 0.1}, {"params": [layer.bias]}]
    with pytest.raises(InputError, match="one for all"):
        NGD(groups, damping=LevenbergMarquardt())


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        (lambda params: NGD(params, update="adam"), "no momentum: it was saved with another update"),
        (lambda params: torch.optim.Adam(params), "was saved by another optimizer: give one of NGD"),
        (lambda params: TNGD(params), "was saved by TNGD: give one of NGD"),
        (lambda params: NGD(params, damping=LevenbergMarquardt()), "another kind of damping"),
        (lambda params: NGD(params, damping=lambda step: 0.1), "another kind of damping"),
    ],
)
def test_the_state_of_another_optimizer_raises(saved, words):
    layer = nn.Linear(2, 2)
    optimizer = NGD(layer.parameters(), damping=0.3)
    with pytest.raises(InputError, match=words):
        optimizer.load_state_dict(saved(layer.parameters()).state_dict())
    assert optimizer.param_groups[0]["damping"] == 0.3
    for damping in (0.4, 0.5):  # torch's first load leaves a default that the groups of a state lack
        optimizer.load_state_dict(NGD(layer.parameters(), damping=damping).state_dict())
        assert optimizer.param_groups[0]["damping"] == damping


@pytest.mark.parametrize("name", ["cg", "warm cg", "ngd"])
def test_levenberg_and_marquardt_judge_a_step_by_the_curvature_before_it(name):
    """By products through the graph as by the blocks; the parameters end where the step went."""
    found = []
    for kind, options in (KINDS[name], (NGD, {})):
        model, x, y = problem()
        optimizer = kind(
            model.parameters(), lr=0.3, damping=LevenbergMarquardt(0.3, factor=0.7), momentum=0.5, **options
        )
        for _ in range(3):
            optimizer.step(closure_of(model, x, y))
        found.append((flat(model.parameters()), optimizer.last.damping))
    # three tenths of a Newton step fall short of what the model predicts by less than a tenth: rho is near one, lambda falls
    assert found[0][1] == found[1][1] == pytest.approx(0.3 * 0.7**2)
    torch.testing.assert_close(
        found[0][0], found[1][0], rtol=1e-3 if name == "warm cg" else 1e-9, atol=1e-3 if name == "warm cg" else 1e-9
    )
    with torch.no_grad():  # nobody's graph is fooled: versions went on
        versions = [p._version for p in model.parameters()]
    optimizer.step(closure_of(model, x, y))
    assert all(p._version > old for p, old in zip(model.parameters(), versions, strict=True))


class Rooted(nn.Module):
    """A finite loss with a gradient that is not a number where an input is negative."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = self.inner(x)
        return self.head(torch.where(h > 0, h.sqrt(), 0.0))


@pytest.mark.parametrize("name", KINDS)
def test_a_gradient_that_is_not_a_number_leaves_nothing_behind(name):
    """Neither in the parameters nor in moments, factors or device: the next batch is as if the bad one had not been."""
    torch.manual_seed(1)
    model = Rooted().double()
    with torch.no_grad():
        model.inner.bias.fill_(9.0)
    y = torch.arange(6) % 3
    good, bad = torch.rand(6, 4, dtype=F64), torch.rand(6, 4, dtype=F64)
    bad[2] = -100 * torch.sign(model.inner.weight[0]).detach()
    other = copy.deepcopy(model)
    first, second = made(name, model), made(name, other)
    for optimizer, net in ((first, model), (second, other)):
        optimizer.step(closure_of(net, good, y))
        assert optimizer.last.applied
    before = flat(model.parameters())
    assert math.isfinite(first.step(closure_of(model, bad, y)))
    assert first.last.outcome is Outcome.NOT_FINITE
    assert torch.equal(flat(model.parameters()), before)
    if name == "primal":  # the device's state went with the reading: both start at the gradient
        second.load_state_dict({**second.state_dict(), "carried": False})
    first.step(closure_of(model, good, y))
    second.step(closure_of(other, good, y))
    assert first.last.applied
    if (
        not name.startswith("mc") and "tngd" not in name and name not in ("primal", "kronecker")
    ):  # those have drawn numbers
        assert torch.equal(flat(model.parameters()), flat(other.parameters()))


@pytest.mark.parametrize("kind", [NGD, TNGD, KFAC])
def test_half_precision_that_comes_out_in_single(kind):
    """As transformers' models give it: logits cast to float32 behind layers in bfloat16, convolutions and products alike."""
    model, x, y = problem(torch.float32)
    other = copy.deepcopy(model)

    def rounded():
        with torch.autocast("cpu", torch.bfloat16):
            z = other(x)
        return F.cross_entropy(z.float(), y), z.float()

    def once():
        with torch.autocast("cpu", torch.bfloat16):
            z = other(x).float()
        return F.cross_entropy(z, y), z

    exact = moved(kind(model.parameters(), lr=1.0, damping=0.2), model, closure_of(model, x, y))
    found = moved(kind(other.parameters(), lr=1.0, damping=0.2), other, once)
    assert float((found - exact).norm() / exact.norm()) < 0.05
    with pytest.raises(InputError, match="very tensor"):  # another cast is another tensor
        kind(other.parameters(), lr=1.0, damping=0.2).step(rounded)


@pytest.mark.parametrize("update", ["sgd", "adam"])
def test_schedules_that_cycle_momentum_find_it(update):
    model, x, y = problem()
    optimizer = NGD(model.parameters(), lr=0.1, damping=0.2, update=update, momentum=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    seen = set()
    for _ in range(9):
        optimizer.step(closure_of(model, x, y))
        schedule.step()
        group = optimizer.param_groups[0]
        seen.add(group["betas"][0] if update == "adam" else group["momentum"])
    assert len(seen) > 5


def test_there_is_no_record_before_the_first_step_and_pickling_needs_none():
    model = nn.Linear(3, 2)
    optimizer = NGD(model.parameters())
    with pytest.raises(InputError, match="no step yet"):
        _ = optimizer.last
    state = copy.deepcopy(optimizer.state_dict())
    pickle.dumps(optimizer)
    x = torch.ones(4, 3)

    def closure():
        outputs = model(x)
        return outputs.square().mean(), outputs

    assert optimizer.step(closure) == optimizer.last.loss
    assert set(optimizer.state_dict()) == set(state)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"momentum": "x"}, "momentum is 'x': give a number"),
        ({"momentum": "0.5"}, "momentum is '0.5': give a number"),
        ({"momentum": None}, "momentum is None: give a number"),
        ({"momentum": 1.0}, r"momentum is 1.0: give a number >= 0 and < 1"),
        ({"betas": 0.9, "update": "adam"}, "betas is 0.9: give two numbers"),
        ({"betas": (0.9, "x"), "update": "adam"}, "betas is 'x': give a number"),
        ({"betas": (0.9, 1.0), "update": "adam"}, r"betas is 1.0: give a number >= 0 and < 1"),
    ],
)
def test_moments_that_are_no_numbers_raise(options, words):
    layer = nn.Linear(2, 2)
    with pytest.raises(InputError, match=words):
        NGD(layer.parameters(), **options)
    if "update" not in options:
        with pytest.raises(InputError, match=words):
            NGD([{"params": layer.parameters(), **options}])


@pytest.mark.parametrize("reset", ["no", None, 0])
def test_a_reset_that_is_neither_true_nor_false_raises(reset):
    with pytest.raises(InputError, match=f"reset is {reset!r}: give True or False"):
        TNGD(nn.Linear(2, 2).parameters(), reset=reset, system="primal")
