"""Rows of the Jacobian taken output by output, in float64, the comparison of a curvature with them, and models around one layer."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature
from thermograd.optim.curvature.factor import Factor

F64 = torch.float64


@dataclass
class Oracle:
    """J by one backward pass for each number in the outputs, (b, c, N), and the dense H, (b c, b c): no formula of any layer."""

    J: torch.Tensor
    H: torch.Tensor
    slope: torch.Tensor

    def rows(self, L):
        """L^T J, (b m, N)."""
        return torch.einsum("bcm,bcn->bmn", L, self.J).flatten(0, 1)


def oracle(model, x, loss_of, parameters):
    z = model(x)
    rows = []
    for one in z.reshape(-1):
        found = torch.autograd.grad(one, parameters, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
        rows.append(torch.cat([part.reshape(-1) for part in parts]))
    flat = z.detach().reshape(-1)
    J = torch.stack(rows).reshape(len(x), -1, sum(p.numel() for p in parameters))
    H = torch.autograd.functional.hessian(lambda v: loss_of(v.view_as(z)), flat)
    return Oracle(J, H, torch.func.grad(lambda v: loss_of(v.view_as(z)))(flat))


def squared(z):
    """A squared error with targets that are not the outputs."""
    return (z - torch.linspace(-1, 1, z.numel(), dtype=z.dtype).view_as(z)).square().sum()


def softmax(z):
    """Cross-entropy with classes last."""
    flat = z.reshape(-1, z.shape[-1])
    return F.cross_entropy(flat, torch.arange(len(flat)) % z.shape[-1])


def found_for(model, x, loss_of, parameters, keep_sensitivities=False):
    def closure():
        with sdpa_kernel(SDPBackend.MATH):  # torch's fused attention cannot be differentiated twice, as `product` does
            z = model(x)
        return loss_of(z), z

    result = Curvature(evaluate(closure), parameters, keep_sensitivities=keep_sensitivities)
    result.verify()
    return result


def compare(found, expected, tolerance=1e-9):
    """All views of one curvature against an `Oracle`, to a fraction of their largest entry."""
    M, flat = expected.rows(found.loss.factor), expected.J.flatten(0, 1)
    k, n = M.shape
    generator = torch.Generator().manual_seed(1)
    v, u = torch.randn(n, dtype=F64, generator=generator), torch.randn(k, dtype=F64, generator=generator)
    parts = [
        piece.view_as(p)
        for piece, p in zip(v.split([p.numel() for p in found.parameters]), found.parameters, strict=True)
    ]

    def joined(values):
        return torch.cat([part.reshape(-1) for part in values])

    b, c = found.loss.factor.shape[:2]
    blocks_of_H = expected.H.view(b, c, b, c)[range(b), :, range(b)]
    through = flat.T @ (expected.H @ (flat @ v))
    for name, got, wanted in (
        ("factor", found.loss.factor @ found.loss.factor.mT, blocks_of_H),
        ("jacobian", found.jacobian(), M),
        ("gram", found.gram(), M @ M.T),
        ("matvec", found.matvec(parts), M @ v),
        ("rmatvec", joined(found.rmatvec(u)), M.T @ u),
        ("product by blocks", joined(Factor.product(found, parts)), through),
        ("product", joined(found.product(parts)), through),
        ("gradient", joined(found.gradient()), flat.T @ expected.slope),
        ("sources", joined(found.rmatvec(found.sources)), flat.T @ expected.slope),
    ):
        size = float(wanted.abs().max()) + 1e-300
        off = float((got - wanted).abs().max()) / size if wanted.any() else float(got.abs().max())
        assert off < tolerance, f"{name} is off by {off:.2g}"


def check(model, x, loss_of=squared, direct=True):
    model = model.double()
    parameters = list(model.parameters())
    expected = oracle(model, x, loss_of, parameters)
    for keep in (True, False):
        found = found_for(model, x, loss_of, parameters, keep)
        assert bool(found.fallbacks) is not direct
        compare(found, expected)
    return found


def seeded(seed, *shape):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def built(seed, build):
    """A module with reproducible weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


class Positions(nn.Module):
    """A layer between two others, over the positions of a sequence, `times` in a row."""

    def __init__(self, width, layer, times=1):
        super().__init__()
        self.first, self.layer, self.head, self.times = nn.Linear(2, width), layer, nn.Linear(width, 2), times

    def forward(self, x):
        h = torch.tanh(self.first(x))
        for _ in range(self.times):
            h = torch.tanh(self.layer(h))
        z = self.head(h)
        return z.flatten(1, -2).sum(1) if z.dim() > 2 else z


def convolved(layer, shape, seed):
    """The layer with reproducible weights, before a small head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer.reset_parameters()
        width = layer(torch.zeros(1, *shape)).numel()
        return nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(width, 2))
