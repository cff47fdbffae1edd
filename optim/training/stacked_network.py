"""`StackedNetwork`: one network with many sets of weights, and the curvature of each on its batch, all computed together.

For layers z_l = W_l a_l-1 + b_l, a_l = phi(z_l), and the factor L of the loss's Hessian in the outputs (`curvature.losses.likelihood`), the
sensitivities are D_last = L^T and D_l = (D_l+1 W_l+1) phi'(z_l), and as in `curvature.blocks`

    K[im, i'm'] = sum_l (a_i . a_i' + [bias]) (D_im . D_i'm'),      M^T u = sum of outer products of u D and a.

Shapes: weights (copies, out, in), batches (copies, b, ...), k = b m sources in the order (sample, direction).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...circuits.errors import InputError
from ..curvature.losses.likelihood import Likelihood

ELEMENTWISE = (nn.Tanh, nn.ReLU, nn.Sigmoid, nn.SiLU, nn.GELU, nn.Softplus, nn.ELU, nn.LeakyReLU, nn.Identity)
"""Activations that act on each unit by itself."""
LEAST = {torch.float64: 1e-20, torch.float32: 1e-12}
"""See `Likelihood.least`."""


@dataclass(frozen=True, eq=False)
class StackedCurvature:
    """Of a batch of each copy.

    Attributes:
        loss: (copies,), mean over the batch. sources: s, (copies, k) float64. gram: K, (copies, k, k) float64.
        inputs: a of each layer, (copies, b, in). sensitivities: D of each, (copies, b, m, out).
    """

    loss: Tensor
    sources: Tensor
    gram: Tensor
    inputs: list[Tensor]
    sensitivities: list[Tensor]


class StackedNetwork:
    """Copies of a network of linear layers and elementwise activations.

    Args:
        models: of one structure, each with weights of its own; one for each copy.

    Attributes:
        parameters: weight and bias of each layer, (copies, ...).

    Raises:
        InputError: a network of other layers, frozen parameters, layers that share them.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self._layers = layers_of(models[0])
        self._models = list(models)
        stacks = zip(*(list(model.parameters()) for model in models), strict=True)
        self.parameters = [torch.stack([one.detach() for one in stack]) for stack in stacks]

    def curvature(self, inputs: Tensor, targets: Tensor) -> StackedCurvature:
        """Of the mean cross-entropy of inputs (copies, b, ...) and classes (copies, b)."""
        outputs, seen, slopes = self._forward(inputs)
        copies, b, classes = outputs.shape
        with torch.enable_grad():
            z = outputs.detach().requires_grad_()
            losses = nn.functional.cross_entropy(z.flatten(0, 1), targets.flatten(), reduction="none")
            mean = losses.reshape(copies, b).mean(1)
            (residual,) = torch.autograd.grad(mean.sum(), z)
        # Each sample of each copy is one of the likelihood's.
        likelihood = Likelihood(
            "categorical",
            torch.softmax(outputs.double(), -1).reshape(-1, 1, classes),
            torch.full((copies * b, 1, 1), 1 / b, dtype=torch.float64),
            residual.double().reshape(-1, 1, classes),
            ((copies * b, classes), 1),
            LEAST[outputs.dtype],
        )
        factor, sources = likelihood.factor()
        D = factor.mT.to(outputs.dtype).reshape(copies, b, -1, classes)
        m = D.shape[2]
        sensitivities, gram = [D], torch.zeros(copies, b * m, b * m, dtype=torch.float64)
        weights = [self.parameters[weight] for weight, _ in self._linear()]
        for weight, slope in zip(weights[:0:-1], slopes[::-1], strict=True):
            back = (D.flatten(1, 2) @ weight).reshape(copies, b, m, -1)
            D = back * slope.unsqueeze(2)
            sensitivities.insert(0, D)
        for (_, bias), a, D in zip(self._linear(), seen, sensitivities, strict=True):
            a, flat = a.double(), D.double().flatten(1, 2)
            overlaps = a @ a.mT + (bias is not None)
            pairs = (flat @ flat.mT).reshape(copies, b, m, b, m)
            gram += (pairs * overlaps[:, :, None, :, None]).reshape(gram.shape)
        return StackedCurvature(mean.detach(), sources.reshape(copies, -1), gram, seen, sensitivities)

    def directions(self, found: StackedCurvature, u: Tensor) -> list[Tensor]:
        """M^T u for u (copies, k), as `parameters`."""
        copies, b, m, _ = found.sensitivities[0].shape
        u = u.to(found.sensitivities[0].dtype).reshape(copies * b, 1, m)
        parts = list[Tensor]()
        for (_, bias), a, D in zip(self._linear(), found.inputs, found.sensitivities, strict=True):
            cotangent = torch.bmm(u, D.flatten(0, 1)).reshape(copies, b, -1)
            parts.append(cotangent.mT @ a)
            if bias is not None:
                parts.append(cotangent.sum(1))
        return parts

    def model(self, copy: int) -> nn.Module:
        """The copy's model, with its present weights."""
        model = self._models[copy]
        with torch.no_grad():
            for own, stack in zip(model.parameters(), self.parameters, strict=True):
                own.copy_(stack[copy])
        return model

    def _linear(self) -> list[tuple[int, int | None]]:
        """Places of weight and bias of each linear layer among the parameters."""
        found, place = list[tuple[int, int | None]](), 0
        for layer in self._layers:
            if isinstance(layer, nn.Linear):
                bias = None if layer.bias is None else place + 1
                found.append((place, bias))
                place += 1 if bias is None else 2
        return found

    def _forward(self, inputs: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Outputs, the inputs of each linear layer, and the slopes of the activations between them."""
        a, seen, slopes, linear = inputs, list[Tensor](), list[Tensor](), iter(self._linear())
        for layer in self._layers:
            if isinstance(layer, nn.Flatten):
                a = a.flatten(2)
            elif isinstance(layer, nn.Linear):
                weight, bias = next(linear)
                if len(slopes) < len(seen):
                    slopes.append(torch.ones_like(a))
                seen.append(a)
                a = a @ self.parameters[weight].mT
                if bias is not None:
                    a = a + self.parameters[bias].unsqueeze(1)
            else:
                with torch.enable_grad():
                    z = a.detach().requires_grad_()
                    after = layer(z)
                    (slope,) = torch.autograd.grad(after.sum(), z)
                a = after.detach()
                if seen:
                    slopes[len(seen) - 1 :] = [slope if len(slopes) < len(seen) else slopes[-1] * slope]
        return a, seen, slopes


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The layers of a network that can be stacked. InputError for another one, which names the layer."""
    layers = [layer for layer in model.modules() if not isinstance(layer, nn.Sequential)]
    wrong = [layer for layer in layers if not isinstance(layer, (nn.Linear, nn.Flatten, *ELEMENTWISE))]
    if not isinstance(model, nn.Sequential) or wrong:
        named = type(wrong[0] if wrong else model).__name__
        raise InputError(
            f"the network has a {named}: dies are trained together as nn.Sequential of Linear, Flatten and elementwise activations "
            f"({', '.join(one.__name__ for one in ELEMENTWISE)}); train them one by one with train(...)"
        )
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    parameters = list(model.parameters())
    if not linear or len(parameters) != sum(1 + (one.bias is not None) for one in linear):
        raise InputError("the network has layers that share parameters, or none: give each Linear its own")
    if any(not one.requires_grad for one in parameters):
        raise InputError("the network has frozen parameters: train its dies one by one with train(...)")
    if not isinstance(layers[-1], nn.Linear):
        raise InputError(
            f"the network ends in a {type(layers[-1]).__name__}: end it in a Linear, whose outputs the loss takes"
        )
    return layers
