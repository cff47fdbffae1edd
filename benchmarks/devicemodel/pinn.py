"""Systems of a physics-informed network on its way: Poisson's equation on the unit square, u = sin(pi x) sin(pi y) to be found.

A tanh network of 2, 32, 32 and 1 units (1,185 parameters, float64); residuals Delta u + 2 pi^2 sin(pi x) sin(pi y) inside and 10 u at the
boundary, over the square root of their number. K = J J^T is the Gram matrix of their Jacobian; Levenberg-Marquardt steps solve K + damping.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.func import functional_call, hessian, jacrev, vmap

BOUNDARY_WEIGHT = 10.0


class Poisson:
    """The network, its points and its parameters as one vector."""

    def __init__(self, interior: int, boundary: int, seed: int = 0) -> None:
        torch.manual_seed(seed)
        layers = [
            torch.nn.Linear(2, 32),
            torch.nn.Tanh(),
            torch.nn.Linear(32, 32),
            torch.nn.Tanh(),
            torch.nn.Linear(32, 1),
        ]
        self.net = torch.nn.Sequential(*layers).double()
        self.shapes = [(name, p.shape, p.numel()) for name, p in self.net.named_parameters()]
        self.theta = torch.cat([p.detach().flatten() for p in self.net.parameters()])
        self.inside = torch.rand(interior, 2, dtype=torch.float64)
        edge, side = torch.rand(boundary, dtype=torch.float64), torch.arange(boundary) % 4
        ends = (side >= 2).double()
        self.edge = torch.where((side % 2 == 0)[:, None], torch.stack([edge, ends], 1), torch.stack([ends, edge], 1))

    def u(self, theta: Tensor, point: Tensor) -> Tensor:
        """The network at a point (2,)."""
        pieces = theta.split([count for _, _, count in self.shapes])
        named = {name: piece.view(shape) for (name, shape, _), piece in zip(self.shapes, pieces, strict=True)}
        return functional_call(self.net, named, (point,))[0]

    def residuals(self, theta: Tensor) -> Tensor:
        """(interior + boundary,)"""

        def inner(point: Tensor) -> Tensor:
            source = 2 * math.pi**2 * torch.sin(math.pi * point[0]) * torch.sin(math.pi * point[1])
            return hessian(self.u, argnums=1)(theta, point).trace() + source

        inside = vmap(inner)(self.inside) / math.sqrt(len(self.inside))
        edge = BOUNDARY_WEIGHT * vmap(lambda point: self.u(theta, point))(self.edge) / math.sqrt(len(self.edge))
        return torch.cat([inside, edge])

    def linearised(self) -> tuple[Tensor, Tensor]:
        """r, (n,), and its Jacobian, (n, parameters)."""
        return self.residuals(self.theta), jacrev(self.residuals)(self.theta)

    def step(self, share: float) -> tuple[Tensor, Tensor]:
        """A digital Levenberg-Marquardt step with a damping of `share` of the largest eigenvalue. K and r before it."""
        r, J = self.linearised()
        K = J @ J.mT
        damping = share * float(torch.linalg.eigvalsh(K)[-1])
        delta = J.mT @ torch.linalg.solve(K + damping * torch.eye(len(r), dtype=torch.float64), r)
        length = min(
            (0.5**k for k in (0, 1, 3, 6)), key=lambda size: float(self.residuals(self.theta - size * delta).norm())
        )
        self.theta = self.theta - length * delta
        return K, r
