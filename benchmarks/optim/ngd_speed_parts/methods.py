"""The methods compared: a list, so that a line adds one.

Each makes whole steps: forward pass, loss, gradient, solution, update. Methods whose package is missing, or that need more memory than the
machine has, are left out with a note.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from thermograd.devicemodel.devices.ideal import IdealDevice

from .problems import LOSS, Problem

Step = Callable[[], float]
"""Makes one step and returns the loss before it."""

TIME = 50.0
"""tau, the paper's."""
NOISE = 1e-6
"""kappa0, the paper's estimate for a real device."""


@dataclass(frozen=True)
class Method:
    """One line of the table.

    Attributes:
        name: in the tables.
        make: from a problem, the function that makes one step of it.
        order: run time of a step as the paper has it, "" where it has none.
        time: t of the x(t) that its step is to equal, None where it is to equal none (first order, or noisy).
        package: that must be installed.
        jacobians: explicit Jacobians in float32 that it holds at its peak, in all.
        cycle: steps of which one does more work than the others; whole cycles are measured.
        swept: whether it takes part in the sweeps over N and b, too.
    """

    name: str
    make: Callable[[Problem], Step]
    order: str = ""
    time: float | None = None
    package: str = ""
    jacobians: float = 0.0
    cycle: int = 1
    swept: bool = True

    def obstacle(self, problem: Problem, memory: float) -> str:
        """Why it cannot run on this problem, "" if it can.

        Args:
            memory: bytes that it may take.
        """
        if self.package and find_spec(self.package) is None:
            return f"{self.package} is not installed"
        needed = self.jacobians * problem.jacobian_bytes
        return f"would take {needed / 1e9:.2g} GB" if needed > memory else ""


def first_order(kind: type[torch.optim.Optimizer], problem: Problem) -> Step:
    optimizer = kind(problem.model.parameters(), lr=problem.lr)  # type: ignore[call-arg]

    def step() -> float:
        optimizer.zero_grad()
        loss, _ = problem.closure()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def ours(place: str, problem: Problem, **options: Any) -> Step:
    """An optimizer of this package, "module:class", by the call that all of them share."""
    module, name = place.split(":")
    made = {key: value() if isinstance(value, partial) else value for key, value in options.items()}
    kind = getattr(importlib.import_module(f"thermograd.optim.optimizers.{module}"), name, None)
    if kind is None:
        raise ImportError(f"thermograd.optim.optimizers.{module} has no {name}")
    optimizer = kind(problem.model.parameters(), lr=problem.lr, damping=problem.damping, **made)

    def step() -> float:
        loss = float(optimizer.step(problem.closure))
        if not optimizer.last.applied:
            raise RuntimeError(f"the step was not applied: {optimizer.last.outcome.name}")
        return loss

    return step


def softmax_curvature(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """r = (p - e_y) / b, and v -> H v with H = (diag(p) - p p^T) / b for each sample, of the mean cross-entropy."""
    b = len(targets)
    p = outputs.detach().softmax(-1)
    r = (p - nn.functional.one_hot(targets, outputs.shape[-1])) / b
    return r, lambda v: (p * v - p * (p * v).sum(-1, keepdim=True)) / b


class Products:
    """J^T w and J v of one forward pass by reverse mode alone: J v is the derivative of J^T w in w.

    Args:
        outputs: (b, c) with their graph.
        parameters: N entries in all.
    """

    def __init__(self, outputs: Tensor, parameters: list[nn.Parameter]) -> None:
        self.outputs, self.parameters = outputs, parameters
        self.dummy = torch.zeros_like(outputs, requires_grad=True)
        self.pulled = torch.autograd.grad(outputs, parameters, self.dummy, create_graph=True)

    def back(self, w: Tensor) -> Tensor:
        """J^T w, (N,)."""
        found = torch.autograd.grad(self.outputs, self.parameters, w, retain_graph=True)
        return torch.cat([part.reshape(-1) for part in found])

    def forward(self, v: Tensor) -> Tensor:
        """J v, (b, c)."""
        (found,) = torch.autograd.grad(self.pulled, self.dummy, split(v, self.parameters), retain_graph=True)
        return found


def split(v: Tensor, like: list[nn.Parameter]) -> list[Tensor]:
    """v (N,) in the parameters' shapes."""
    return [part.view_as(p) for part, p in zip(v.split([p.numel() for p in like]), like, strict=True)]


def conjugate_gradients(product: Callable[[Tensor], Tensor], g: Tensor, steps: int) -> Tensor:
    """x after as many steps from 0, each of one product; fewer only where the residual is zero."""
    x, r, p = torch.zeros_like(g), g.clone(), g.clone()
    squared = r @ r
    for _ in range(steps):
        if not float(squared) > 0:
            break
        Ap = product(p)
        alpha = squared / (p @ Ap)
        x.add_(alpha * p)
        r.sub_(alpha * Ap)
        before, squared = squared, r @ r
        p = r + (squared / before) * p
    return x


def update(problem: Problem, x: Tensor) -> None:
    with torch.no_grad():
        for p, part in zip(problem.parameters, split(x, problem.parameters), strict=True):
            p.sub_(part, alpha=problem.lr)


def double_backward(problem: Problem, steps: int) -> Step:
    """CG on products by double backward, forward pass and its graph made once."""

    def step() -> float:
        loss, outputs = problem.closure()
        products = Products(outputs, problem.parameters)
        r, hessian = softmax_curvature(outputs, problem.y)
        x = conjugate_gradients(
            lambda v: products.back(hessian(products.forward(v))) + problem.damping * v, products.back(r), steps
        )
        update(problem, x)
        return loss.item()

    return step


def gradient(problem: Problem) -> tuple[float, Tensor]:
    loss, _ = problem.closure()
    found = torch.autograd.grad(loss, problem.parameters)
    return loss.item(), torch.cat([part.reshape(-1) for part in found])


def operator_arguments(problem: Problem) -> tuple[Any, ...]:
    return problem.model, LOSS, problem.parameters, [(problem.x, problem.y)]


def curvlinops_cg(problem: Problem, steps: int) -> Step:
    """The same CG on curvlinops' operator, its checks off. (Its own CG makes one product more.)"""
    from curvlinops import GGNLinearOperator

    def step() -> float:
        loss, g = gradient(problem)
        ggn = GGNLinearOperator(*operator_arguments(problem), check_deterministic=False, num_data=len(problem.y))
        update(problem, conjugate_gradients(lambda v: ggn @ v + problem.damping * v, g, steps))
        return loss

    return step


def curvlinops_kfac(problem: Problem) -> Step:
    """K-FAC from one Monte-Carlo label per sample, weight and bias together, damped as Martens and Grosse do; inverted at each step."""
    from curvlinops import KFACInverseLinearOperator, KFACLinearOperator

    def step() -> float:
        loss, g = gradient(problem)
        kfac = KFACLinearOperator(
            *operator_arguments(problem),
            check_deterministic=False,
            num_data=len(problem.y),
            fisher_type="mc",
            separate_weight_and_bias=False,
        )
        inverse = KFACInverseLinearOperator(kfac, damping=problem.damping, use_heuristic_damping=True)
        update(problem, inverse @ g)
        return loss

    return step


def explicit_jacobian(problem: Problem) -> Step:
    """The rows by vmap(jacrev), and x = J^T (lambda I + H K)^-1 r by LU in the model's type."""

    def step() -> float:
        values = {name: p.detach() for name, p in problem.model.named_parameters()}

        def single(values: dict[str, Tensor], x: Tensor) -> Tensor:
            outputs: Tensor = functional_call(problem.model, values, (x.unsqueeze(0),))
            return outputs.squeeze(0)

        with torch.no_grad():
            loss, outputs = problem.closure()
            rows = vmap(jacrev(single), (None, 0))(values, problem.x)
            J = [part.reshape(outputs.numel(), -1) for part in rows.values()]
            K = sum(part @ part.mT for part in J)
            r, hessian = softmax_curvature(outputs, problem.y)
            A = hessian(K.reshape(*outputs.shape, -1).movedim(-1, 0)).flatten(1).mT  # K is symmetric
            A.diagonal().add_(problem.damping)
            y = torch.linalg.solve(A, r.reshape(-1))
            update(problem, torch.cat([y @ part for part in J]))
        return loss.item()

    return step


def tngd(system: str, noise: float) -> Callable[[Problem], Step]:
    device = partial(IdealDevice, kappa0=noise, seed=0)
    return partial(ours, "tngd:TNGD", duration=TIME, device=device, system=system)


def kfac(refresh: int) -> Callable[[Problem], Step]:
    """As curvlinops' with refresh = 1; with 10, inverses serve for ten steps."""
    return partial(ours, "kfac:KFAC", curvature="mc-fisher", ema_decay=0.0, refresh=refresh)


CG, WOODBURY, DEVICE = "O(c b N)", "O(b² dz² N + b³ dz³)", "O(b dz N + t)"
METHODS: tuple[Method, ...] = (
    Method("Adam", partial(first_order, torch.optim.Adam), "O(b N)"),
    Method("SGD", partial(first_order, torch.optim.SGD), "O(b N)", swept=False),
    Method("CG 10, curvlinops", partial(curvlinops_cg, steps=10), CG, math.inf, "curvlinops"),
    Method("CG 50, curvlinops", partial(curvlinops_cg, steps=50), CG, math.inf, "curvlinops", swept=False),
    Method("CG 10, double backward", partial(double_backward, steps=10), CG, math.inf),
    Method("CG 50, double backward", partial(double_backward, steps=50), CG, math.inf, swept=False),
    Method("K-FAC, curvlinops", curvlinops_kfac, "", math.inf, "curvlinops"),
    Method("explicit Jacobian, Woodbury", explicit_jacobian, WOODBURY, math.inf, jacobians=2.5),
    Method("NGD", partial(ours, "ngd:NGD"), WOODBURY, math.inf),
    Method("NGD, MC Fisher", partial(ours, "ngd:NGD", curvature="mc-fisher")),
    Method("NGDCG 10", partial(ours, "ngd:NGDCG", tolerance=0.0, max_iter=10), CG, math.inf),
    Method("NGDCG 50", partial(ours, "ngd:NGDCG", tolerance=0.0, max_iter=50), CG, math.inf, swept=False),
    Method("NGDWoodbury", partial(ours, "ngd:NGDWoodbury"), WOODBURY, math.inf, jacobians=2.5, swept=False),
    Method("KFAC", kfac(1), "", math.inf),
    Method("KFAC, factors of 10 steps", kfac(10), cycle=10, swept=False),
    Method(f"TNGD, {TIME:g} tau", tngd("dual", 0.0), DEVICE, TIME),
    Method(f"TNGD, {TIME:g} tau, noise", tngd("dual", NOISE), DEVICE, swept=False),
    Method(f"TNGD, {TIME:g} tau, N cells", tngd("primal", 0.0), DEVICE, TIME),
    Method(f"TNGD, {TIME:g} tau, N cells, noise", tngd("primal", NOISE), DEVICE, swept=False),
    Method(f"TNGD, {TIME:g} tau, Kronecker", tngd("kronecker", 0.0), swept=False),
)
"""Of this package: `partial(ours, "module:class", ...)` with the options that it takes; a partial among them is called for each problem."""

CROSSING: tuple[Method, ...] = (
    METHODS[0],
    Method("Gram matrix", partial(ours, "ngd:NGD", method="gram")),
    Method("CG to 1e-4", partial(ours, "ngd:NGD", method="cg")),
)
"""Between these `NGD` chooses by the size k of the Gram matrix."""
