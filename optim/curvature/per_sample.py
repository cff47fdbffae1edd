"""Rows of the contracted Jacobian L^T J for parameters that no layerwise formula covers.

The outermost module is run again on each sample by torch.func (vmap over samples of a vjp), for just those parameters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vjp, vmap
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from ...circuits.errors import InputError
from .hooks import RootCall

CHUNK_ENTRIES = 2**24
"""Jacobian entries computed at once, 64 MiB in float32; intermediate activations come on top."""

TOTAL_ENTRIES = 2**29
"""Jacobian entries kept in all, 2 GiB in float32."""


def names_in(root: RootCall, parameters: list[Tensor]) -> list[str]:
    """The name of each parameter in the outermost module. InputError for one that is not in it."""
    known = {id(p): name for name, p in root.module.named_parameters()}
    for i, p in enumerate(parameters):
        if id(p) not in known:
            raise InputError(
                f"a parameter of shape {tuple(p.shape)} (number {i} of those without a layerwise formula) is not part "
                f"of the {type(root.module).__name__} that made the outputs: wrap the whole network in one module"
            )
    return [known[id(p)] for p in parameters]


def jacobian_rows(root: RootCall, leaf: int, parameters: list[Tensor], factor: Tensor) -> list[Tensor]:
    """L^T J for these parameters.

    Args:
        root: the outermost call; tensors among its arguments whose first dimension is b are taken as one entry for each
            sample.
        leaf: position of the outputs among the leaves of its result.
        parameters: P of them, parts of the module.
        factor: (b, c, m) in the type of the parameters.

    Returns:
        P tensors of shape (b m, numel), rows in the order (sample, direction).

    Raises:
        InputError: too many entries; or the module draws random numbers, or does something that vmap cannot do.
    """
    b, _, m = factor.shape
    entries = sum(p.numel() for p in parameters)
    total = b * m * entries
    if total > TOTAL_ENTRIES:
        raise InputError(
            f"the explicit Jacobian of {entries} parameters without a layerwise formula would hold {total:.1e} entries "
            f"(at most {TOTAL_ENTRIES:.1e}): use a smaller batch, or freeze those parameters"
        )
    names = names_in(root, parameters)
    leaves, spec = tree_flatten((root.args, root.kwargs))
    leaves = [x.detach() if isinstance(x, Tensor) else x for x in leaves]
    batched = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.dim() > 0 and x.shape[0] == b]
    if not batched:
        raise InputError(f"no argument of {type(root.module).__name__} has the batch of {b} as its first dimension")

    def rows(cotangents: Tensor, *samples: Tensor) -> dict[str, Tensor]:
        filled: list[Any] = list(leaves)
        for i, sample in zip(batched, samples, strict=True):
            filled[i] = sample.unsqueeze(0)
        args, kwargs = tree_unflatten(filled, spec)

        def run(values: dict[str, Tensor]) -> Tensor:
            result: Tensor = tree_leaves(functional_call(root.module, values, args, kwargs))[leaf]
            return result.reshape(-1)

        _, pull = vjp(run, {n: p.detach() for n, p in zip(names, parameters, strict=True)})
        found: dict[str, Tensor] = vmap(lambda cotangent: pull(cotangent)[0])(cotangents)
        return found

    chunk = max(1, CHUNK_ENTRIES // max(1, m * entries))
    try:
        with torch.no_grad():  # the vjp inside differentiates all the same; nothing outside it needs a graph
            found = vmap(rows, chunk_size=chunk)(factor.mT.contiguous(), *(leaves[i] for i in batched))
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{type(root.module).__name__} cannot be differentiated sample by sample ({error}); it must treat each "
            "sample alone, draw no random numbers in forward and take the batch as the first dimension of its "
            "arguments; torch cannot run recurrent layers so: NGDCG takes them"
        ) from error
    return [found[name].reshape(b * m, -1) for name in names]
