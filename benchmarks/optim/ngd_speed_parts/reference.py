"""The step in float64, from rows of the Jacobian one by one: the reference of all steps.

    x(t) = J^T y(t),   dy/dt = -((lambda I + H K) y - r),   y(0) = r,   K = J J^T

over the b c outputs, with the softmax's r and H in closed form, so that x(inf) = (G + lambda I)^-1 g and x(t) is the device's path. Nothing
here is shared with the package. Takes b c backward passes of a single sample, twice or thrice where the rows do not fit into `ROWS`.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from .methods import softmax_curvature
from .problems import OUTPUTS, Problem

ROWS = 2.5e9
"""Bytes of rows held at once, in each of two blocks."""
LARGEST = 2_000_000
"""Parameters up to which it is worth its time."""


class Reference:
    """K, H, r of a problem in float64.

    Args:
        problem: taken at its start.
    """

    def __init__(self, problem: Problem) -> None:
        problem.restore()
        self.model = copy.deepcopy(problem.model).double()
        self.parameters = list(self.model.parameters())
        self.x = problem.x.double()
        self.outputs = self.model(self.x)
        b, c = self.outputs.shape
        self.r, hessian = softmax_curvature(self.outputs, problem.y)
        samples = max(1, min(b, int(ROWS / (8 * OUTPUTS * problem.size))))
        blocks = [range(first, min(first + samples, b)) for first in range(0, b, samples)]
        K = torch.zeros(b * c, b * c, dtype=torch.float64, device=self.x.device)
        for place, one in enumerate(blocks):
            J = self.rows(one)
            for other in blocks[: place + 1]:
                part = J @ (J if other is one else self.rows(other)).mT
                here, there = (slice(c * block.start, c * block.stop) for block in (one, other))
                K[here, there], K[there, here] = part, part.mT
        self.HK = torch.stack([hessian(column.reshape(b, c)).reshape(-1) for column in K]).mT  # K is symmetric

    def rows(self, samples: range) -> Tensor:
        """Rows of J, (c n, N)."""
        size = sum(p.numel() for p in self.parameters)
        J = torch.empty(len(samples) * OUTPUTS, size, dtype=torch.float64, device=self.x.device)
        for place, i in enumerate(samples):
            for k, output in enumerate(self.model(self.x[i : i + 1])[0]):
                row = torch.autograd.grad(output, self.parameters, retain_graph=True)
                torch.cat([part.reshape(-1) for part in row], out=J[place * OUTPUTS + k])
        return J

    def step(self, damping: float, time: float = math.inf) -> Tensor:
        """x(t), (N,)."""
        r = self.r.reshape(-1)
        A = self.HK + damping * torch.eye(len(r), dtype=torch.float64, device=r.device)
        settled = torch.linalg.solve(A, r)
        y = settled if math.isinf(time) else settled + torch.linalg.matrix_exp(-time * A) @ (r - settled)
        found = torch.autograd.grad(self.outputs, self.parameters, y.reshape(self.r.shape), retain_graph=True)
        return torch.cat([part.reshape(-1) for part in found])
