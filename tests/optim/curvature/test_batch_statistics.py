"""Batch normalisation by statistics of the batch: torch's values and gradients; the curvature of a model with those statistics frozen."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from thermograd import KFAC, NGD, NGDCG, TNGD, IdealDevice, NGDWoodbury
from thermograd.circuits.errors import InputError
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature

from .layer_oracle import built, oracle, seeded

DAMPING = 0.1


def images():
    """Activations in place, a layer without running statistics, one without scale and shift, and one on vectors."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.ReLU(inplace=True),
        nn.Conv2d(3, 2, 2), nn.BatchNorm2d(2, track_running_stats=False), nn.Tanh(), nn.Flatten(),
        nn.Linear(8, 4), nn.BatchNorm1d(4, affine=False), nn.Tanh(), nn.Linear(4, 3),
    )  # fmt: skip


def sequences():
    return nn.Sequential(
        nn.BatchNorm1d(1, momentum=None), nn.Conv1d(1, 2, 2), nn.BatchNorm1d(2), nn.Flatten(), nn.Linear(6, 3)
    )


def volumes():
    return nn.Sequential(nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3))


def dropped():
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.4), nn.ReLU(), nn.Linear(5, 3))


MODELS = {
    "images": (images, (1, 4, 4)),
    "sequences": (sequences, (1, 4)),
    "volumes": (volumes, (1, 3, 3, 3)),
    "dropout": (dropped, (4,)),
}


def loss_of(z):
    return F.cross_entropy(z.view(-1, 3), torch.arange(z.numel() // 3) % 3)


def frozen(model, x):
    """The model in evaluation of its normalisations, by the means and biased variances of the batch, which are taken here."""
    found = copy.deepcopy(model)
    for module in found.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(freeze)
    torch.manual_seed(0)
    found(x)
    return found


@torch.no_grad()
def freeze(module, inputs):
    if module.training:
        others = [i for i in range(inputs[0].dim()) if i != 1]
        module.running_mean, module.running_var = inputs[0].mean(others), inputs[0].var(others, correction=0)
        module.eval()


def flat(values):
    return torch.cat([part.reshape(-1) for part in values]).detach()


def steps(model, x):
    """(C~ + lambda)^-1 g with J~ of the frozen model and g of the model itself; and, for the control, with g of the frozen one."""
    constant = frozen(model, x)

    def run(_):
        torch.manual_seed(0)
        return constant(x)

    found = oracle(run, x, loss_of, list(constant.parameters()))
    J = found.J.flatten(0, 1)
    A = J.T @ found.H @ J + DAMPING * torch.eye(J.shape[1], dtype=J.dtype)
    itself = copy.deepcopy(model)
    torch.manual_seed(0)
    g = flat(torch.autograd.grad(loss_of(itself(x)), list(itself.parameters())))
    return torch.linalg.solve(A, g), torch.linalg.solve(A, J.T @ found.slope.detach()), itself


OPTIMIZERS = {
    "NGD": lambda p: NGD(p, lr=1.0, damping=DAMPING),
    "NGDCG": lambda p: NGDCG(p, lr=1.0, damping=DAMPING, tolerance=1e-9, max_iter=500),
    "NGDWoodbury": lambda p: NGDWoodbury(p, lr=1.0, damping=DAMPING),
    "TNGD": lambda p: TNGD(p, lr=1.0, damping=DAMPING, duration=math.inf, device=IdealDevice()),
    "primal": lambda p: TNGD(p, lr=1.0, damping=DAMPING, duration=math.inf, device=IdealDevice(), system="primal"),
    "micro-batches": lambda p: NGD(p, lr=1.0, damping=DAMPING),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_has_constant_statistics_and_the_exact_gradient(name, kind):
    build, shape = MODELS[name]
    model, x = built(1, build).double(), seeded(1, 6, *shape)
    expected, control, once = steps(model, x)
    optimizer = OPTIMIZERS[kind](model.parameters())
    before = flat(model.parameters())

    def closure():
        torch.manual_seed(0)
        z = model(x)
        return loss_of(z), z

    first = optimizer.prepare if kind == "micro-batches" else optimizer.step
    with pytest.warns(UserWarning, match="BatchNorm.* in training mode: the curvature holds"):
        first(closure)
    if kind == "micro-batches":  # the same batch twice is that batch
        optimizer.step(closure)
    step = before - flat(model.parameters())
    assert (step - expected).norm() < 1e-6 * expected.norm()
    assert (step - control).norm() > 0.05 * expected.norm()
    assert optimizer.last.fallbacks == ()
    if kind != "micro-batches":
        for one, other in zip(model.buffers(), once.buffers(), strict=True):
            assert torch.equal(one, other)


def test_values_and_gradients_are_torchs():
    """The same numbers as without a recorder; derivatives of second order by torch's own check."""
    model, x = built(1, images), torch.rand(6, 1, 4, 4)
    other = copy.deepcopy(model)
    batch = evaluate(lambda: (model(x).square().mean(), model(x)))
    plain = other(x).square().mean()
    plain.backward()
    batch.loss.backward()
    assert torch.equal(batch.loss, plain)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)
    norm = nn.BatchNorm1d(2).double()

    def recorded(x, weight, bias):
        norm.weight.data, norm.bias.data = weight.data, bias.data
        z = evaluate(lambda: (norm(x).sum(), norm(x))).outputs
        return z.tanh()

    inputs = [part.requires_grad_() for part in (seeded(1, 4, 2), seeded(2, 2), seeded(3, 2))]
    assert torch.autograd.gradgradcheck(lambda x: recorded(x, *inputs[1:]), inputs[0])


def test_the_hessian_of_the_loss_is_exact_through_the_statistics():
    model, x = built(1, dropped).double(), seeded(1, 6, 4)
    model[2].eval()
    parameters = list(model.parameters())
    found = Curvature(evaluate(lambda: (loss_of(z := model(x)), z)), parameters, "hessian")
    v = [seeded(i, *p.shape) for i, p in enumerate(parameters)]
    slopes = torch.autograd.grad(loss_of(model(x)), parameters, create_graph=True)
    expected = torch.autograd.grad(slopes, parameters, v, materialize_grads=True)
    torch.testing.assert_close(flat(found.product(v)), flat(expected))


def test_kronecker_factors_beside_batch_normalisation():
    """Training goes down; the factors' blocks are those of constant statistics."""
    model, x = built(1, images).double(), seeded(1, 6, 1, 4, 4)
    optimizer = KFAC(model.parameters(), lr=0.3, damping=0.1)
    losses = []
    for _ in range(12):
        losses.append(optimizer.step(lambda: (loss_of(z := model(x)), z)))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.filterwarnings("ignore:.*in training mode")
@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        (lambda p: TNGD(p, duration=1.0, damping=0.3, device=IdealDevice()), 'batch normalisation in training mode.*system="primal"'),
        (lambda p: NGD(p, damping=0.0), "batch normalisation in training mode.*give damping > 0"),
    ],
)  # fmt: skip
def test_what_the_gradient_through_statistics_does_not_admit_raises(optimizer, words):
    model, x = built(1, dropped).double(), seeded(1, 6, 4)
    with pytest.raises(InputError, match=words):
        optimizer(model.parameters()).step(lambda: (loss_of(z := model(x)), z))


class Own(nn.BatchNorm1d):
    def forward(self, x):
        return x - x.mean(0)


@pytest.mark.parametrize(
    "norm", [nn.SyncBatchNorm(4), Own(4), nn.utils.parametrizations.weight_norm(nn.BatchNorm1d(4), dim=None)]
)
def test_other_ways_of_batch_normalisation_raise(norm):
    if isinstance(norm, nn.SyncBatchNorm):
        norm.forward = lambda x: x - x.mean(0)  # (it runs on accelerators only)
    model = nn.Sequential(nn.Linear(3, 4), norm)
    x = torch.rand(5, 3)
    with pytest.raises(InputError, match="in a way of its own"):
        NGD(model.parameters()).step(lambda: (model(x).square().mean(), model(x)))
