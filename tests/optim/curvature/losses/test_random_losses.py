"""Random sums of losses: L L^T and L s + remainder are the Hessian and the slope of autograd in float64, whatever was recognised."""

import pytest
import torch
import torch.nn.functional as F

from thermograd.optim.curvature.losses.likelihood_detection import detect_likelihood
from thermograd.optim.curvature.losses.loss_hessian import LossCurvature, loss_curvature
from thermograd.optim.curvature.losses.products import LossProducts

F64 = torch.float64
B, C = 4, 3


def terms(generator):
    """name -> loss of z (B, C), with labels, targets and masks of its own."""
    t = 2 * torch.randn(B, C, dtype=F64, generator=generator)
    y = torch.randint(0, C, (B,), generator=generator)
    kept = torch.where(torch.rand(B, generator=generator) < 0.5, y, -100)
    hard = torch.randint(0, 2, (B, C), generator=generator).double()
    weight = torch.rand(C, dtype=F64, generator=generator) + 0.1
    return {
        "classes": lambda z: F.cross_entropy(z, y, weight=weight.to(z), label_smoothing=0.1),
        "ignored": lambda z: F.cross_entropy(z, kept, reduction="sum"),
        "soft": lambda z: F.cross_entropy(z, torch.softmax(t, -1).to(z)),
        "binary": lambda z: F.binary_cross_entropy_with_logits(z, hard.to(z), weight=weight.to(z)),
        "softplus": lambda z: (F.softplus(z) - hard.to(z) * z).sum(),
        "squares": lambda z: F.mse_loss(z, t.to(z)),
        "Huber": lambda z: F.huber_loss(z, t.to(z), delta=0.5),
        "smooth": lambda z: F.smooth_l1_loss(z, t.to(z), reduction="sum"),
        "L1": lambda z: F.l1_loss(z, t.to(z)),
        "hinge": lambda z: F.relu(1 - (2 * hard.to(z) - 1) * z).mean(),
        "quantile": lambda z: torch.maximum(0.9 * (t.to(z) - z), 0.1 * (z - t.to(z))).mean(),
        "linear": lambda z: (z * t.to(z)).mean(),
        "Poisson": lambda z: F.poisson_nll_loss(z.clamp(max=20), hard.to(z)),
        "temperature": lambda z: F.cross_entropy(z / 3, y),
        "mixed outputs": lambda z: (z @ t[:C].to(z)).square().mean(),
    }


def found_and_true(seed):
    generator = torch.Generator().manual_seed(seed)
    dtype = (torch.float32, F64)[seed % 2]
    z = torch.randn(B, C, dtype=F64, generator=generator) * (0.0, 0.3, 1.0, 5.0, 40.0, 300.0)[seed % 6]
    every = terms(generator)
    names = [list(every)[int(i)] for i in torch.randint(0, len(every), (1 + seed % 3,), generator=generator)]
    scale = (1.0, 1e-6, 1e4)[seed % 5 % 3]

    def loss_of(z):
        return scale * sum(every[name](z) for name in names)

    z = z.to(dtype).requires_grad_()
    products = LossProducts(loss_of(z), z)
    likelihood = detect_likelihood(products)
    r = products.slope.detach().double()
    found = loss_curvature(products) if likelihood is None else LossCurvature(r, *likelihood.factor())
    w = z.detach().double().requires_grad_()
    (slope,) = torch.autograd.grad(loss_of(w), w)
    H = torch.autograd.functional.hessian(lambda v: loss_of(v.view(B, C)), w.detach().reshape(-1))
    return names, found, H.view(B, C, B, C)[range(B), :, range(B)], slope, dtype


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_random_sums_of_losses(dtype):
    dropped = 0
    for seed in range(dtype == F64, 160, 2):
        names, found, H, slope, _ = found_and_true(seed)
        size = float(slope.abs().max() + H.abs().max()) + 1e-300
        tolerance = size * (1e-4 if dtype == torch.float32 else 1e-11)
        L = found.factor
        assert float((L @ L.mT - H).abs().max()) < tolerance, (seed, names)
        in_range = torch.einsum("bcm,bm->bc", L, found.sources)
        whole = in_range if found.remainder is None else in_range + found.remainder
        assert float((whole - slope).abs().max()) < tolerance, (seed, names)
        dropped += float((in_range - slope).abs().max()) > 1e3 * tolerance
    assert dropped > 10  # without the remainder the slope of many is another
