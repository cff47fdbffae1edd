"""An independent oracle: the Gauss-Newton matrix by dense automatic differentiation of the whole flattened model, in
float64."""

import copy

import torch
from torch.func import functional_call, hessian, jacrev


def flat(parts):
    return torch.cat([part.detach().reshape(-1) for part in parts])


def dense_ggn(model, inputs, loss_of):
    """(G, g) of loss_of(outputs) in float64, over all parameters in order."""
    model = copy.deepcopy(model).double()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]
    sizes = [p.numel() for p in model.parameters()]

    def outputs(theta):
        parts = [piece.view(shape) for piece, shape in zip(theta.split(sizes), shapes, strict=True)]
        return functional_call(model, dict(zip(names, parts, strict=True)), (inputs,))

    theta = flat(model.parameters())
    z = outputs(theta).detach()
    J = jacrev(outputs)(theta).reshape(z.numel(), -1)
    H = hessian(lambda v: loss_of(v.view_as(z)))(z.reshape(-1))
    r = torch.func.grad(loss_of)(z).reshape(-1)
    return J.T @ H @ J, J.T @ r
