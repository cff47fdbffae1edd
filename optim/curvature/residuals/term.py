"""One residual at its samples: values with or without a graph, and rows of their Jacobian by torch.func.

`residual(model, sample)` runs on one sample, under vmap. The Jacobian comes from a vjp for each sample, also under vmap: the work of one
forward and one backward pass of the batch, with no hooks and nothing registered, whatever derivatives the residual takes inside.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._pytree import tree_flatten, tree_unflatten

from ....circuits.errors import InputError
from ..autograd_graph import users
from ..run_state import Generators
from .captured import Captured
from .written_out import WrittenOut

Residual: TypeAlias = Callable[[Any, Any], Tensor]
"""residual(model, sample): a scalar or vector of one sample."""

_CHUNK_ENTRIES = 2**22
"""Entries of the Jacobian computed at once, 32 MiB in float64; a few of its size are held in between."""

DRAWS = "draws random numbers, other ones in each run: draw them before, and give them as part of the samples"
CHANGES = (
    "changes a buffer of the model, or another tensor that it was not given, so that the next run is of another function: put modules with "
    "running statistics or power iterations in eval(), and write without in-place operations"
)


class ResidualTerm:
    """weight / 2 times the mean over b samples of |residual(model, sample)|^2.

    Args:
        model: what the residual is called with.
        residual: called with the model and one sample; returns a scalar or a vector.
        samples: a tensor (b, ...), or a tuple, list or dict of such tensors.
        weight: > 0.

    Raises:
        InputError: an argument of another kind, samples of different numbers.
    """

    def __init__(self, model: nn.Module, residual: Residual, samples: Any, weight: float) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model is a {type(model).__name__}: give a torch.nn.Module (several in a ModuleDict)")
        if not callable(residual):
            raise InputError(f"residual is {residual!r}: give a function of the model and one sample")
        if not (isinstance(weight, int | float) and math.isfinite(weight) and weight > 0):
            raise InputError(f"weight is {weight!r}: give a finite number > 0")
        leaves, self._spec = tree_flatten(samples)
        if not leaves or not all(isinstance(leaf, Tensor) and leaf.dim() > 0 for leaf in leaves):
            raise InputError("samples are not tensors (b, ...): give one, or a tuple of tensors with the same b")
        self._leaves = [leaf.detach() for leaf in leaves]
        self.samples = len(leaves[0])
        if self.samples == 0 or any(len(leaf) != self.samples for leaf in leaves):
            raise InputError(
                f"samples have shapes {[tuple(leaf.shape) for leaf in leaves]}: give all the same first dimension b >= 1"
            )
        self.model, self.residual, self.weight = model, residual, float(weight)
        self._bound = _Bound(model, residual)
        self._captures = False

    @property
    def scale(self) -> float:
        """sqrt(weight / b): the loss is |scale r|^2 / 2."""
        return math.sqrt(self.weight / self.samples)

    def values(self) -> Tensor:
        """r, (b, c), with a graph to the model's parameters where gradients are enabled.

        Raises:
            InputError: the residual fails, returns no floating-point tensor, draws random numbers or changes the model's buffers; the
                model is none of single samples.
        """
        _require_single_samples(self.model)

        def one(leaves: list[Tensor]) -> Tensor:
            return self._checked(self.residual(self.model, tree_unflatten(leaves, self._spec)))

        found: Tensor = self._run(vmap(one), self._leaves)
        return found

    def rows(self, parameters: Sequence[Tensor], wanted: Sequence[int]) -> Iterator[tuple[Tensor, dict[int, Tensor]]]:
        """(r, J) of some samples after the others: values (n, c), and columns of J for each wanted parameter, (n c, numel).

        Args:
            parameters: of an optimizer.
            wanted: positions of those to differentiate in; those on which the residual does not depend, and that are not the model's, are
                left out of the result.

        Raises:
            InputError: as `values`; the residual depends on one of the parameters in a way that torch's functions do not show.
        """
        _require_single_samples(self.model)
        slots = self._slots()
        own = {id(p) for _, p in slots}
        chosen = {i: parameters[i].detach() for i in wanted}
        position = {id(parameters[i]): i for i in wanted}
        beside = {i for i in wanted if id(parameters[i]) not in own}
        changing = [(name, position[id(p)]) for name, p in slots if id(p) in position]
        fixed = {name: p.detach() for name, p in slots if id(p) not in position}
        captures = self._captures or bool(beside)

        def one(leaves: list[Tensor]) -> tuple[Tensor, dict[int, Tensor]]:
            sample, used = tree_unflatten(leaves, self._spec), set[int]()

            def run(values: dict[int, Tensor]) -> Tensor:
                given = {**fixed, **{name: values[i] for name, i in changing}}
                captured = Captured({id(parameters[i]): value for i, value in values.items()})
                with captured if captures else contextlib.nullcontext():
                    r = self._checked(functional_call(self._bound, given, (sample,), tie_weights=False))
                used.update(position[found] for found in captured.used)
                return r

            r, pull = vjp(run, chosen)
            if len(r) == 1:
                (J,) = pull(torch.ones_like(r))
            else:
                (J,) = vmap(pull)(torch.eye(len(r), dtype=r.dtype, device=r.device))
            return r, {i: part for i, part in J.items() if i in used or i not in beside}

        entries = max(1, sum(part.numel() for i, part in chosen.items() if i not in beside))
        start, step = 0, max(1, _CHUNK_ENTRIES // entries)
        while start < self.samples:
            end = min(start + step, self.samples)
            with torch.enable_grad():  # what was not replaced shows by a graph
                r, some = self._run(vmap(one), [leaf[start:end] for leaf in self._leaves])
            if self._depends(r, parameters) and not captures:
                captures = self._captures = True
                continue
            self._require_replaced(r, parameters)
            yield r.detach(), {i: J.detach().reshape(r.numel(), -1) for i, J in some.items()}
            start, step = end, max(1, _CHUNK_ENTRIES // (entries * r.shape[1]))

    def _checked(self, r: Any) -> Tensor:
        """The residual of one sample as a vector."""
        if not isinstance(r, Tensor):
            raise InputError(
                f"{self._name} returned a {type(r).__name__} for one sample: return a scalar or vector tensor"
            )
        if not r.is_floating_point() or r.numel() == 0:
            raise InputError(
                f"{self._name} returned {tuple(r.shape)} {r.dtype} for one sample: return a floating-point scalar or vector"
            )
        return r.reshape(-1)

    def _run(self, batched: Callable[[list[Tensor]], Any], leaves: list[Tensor]) -> Any:
        """The batched call, with errors of the user's function in words."""
        generators, buffers = Generators(), [(one, one._version, one.clone()) for one in self.model.buffers()]
        try:
            with WrittenOut():
                found = batched(leaves)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"{self._name} failed on one sample, {self._sample()}: {error}. {_remedy(error)}"
            ) from error
        if generators.moved:
            raise InputError(f"{self._name} {DRAWS}")
        if any(one._version != version for one, version, _ in buffers):
            with torch.no_grad():
                for one, _, before in buffers:
                    one.copy_(before)
            raise InputError(f"{self._name} {CHANGES}")
        return found

    def _slots(self) -> list[tuple[str, Tensor]]:
        """Each place of a parameter once: several of a tied one, one of those in a module that is there several times."""
        return [
            (f"{prefix}.{name}", p)
            for prefix, module in self._bound.named_modules()
            for name, p in module._parameters.items()
            if p is not None
        ]

    @property
    def _name(self) -> str:
        return f"residual {getattr(self.residual, '__name__', type(self.residual).__name__)}"

    def _sample(self) -> str:
        """The shapes of one sample."""
        shapes = [f"a tensor of shape {tuple(leaf.shape[1:])}" for leaf in self._leaves]
        return shapes[0] if self._spec.is_leaf() else f"a {self._spec.type.__name__} of {', '.join(shapes)}"

    def _depends(self, r: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Those parameters on which values that were computed with replaced ones depend all the same."""
        if r.grad_fn is None:
            return []
        leaves = {id(getattr(node, "variable", None)) for node in users(r.grad_fn)}
        return [p for p in parameters if id(p) in leaves]

    def _require_replaced(self, r: Tensor, parameters: Sequence[Tensor]) -> None:
        """InputError if the values depend on a parameter that could not be replaced."""
        for p in self._depends(r, parameters):
            raise InputError(
                f"{self._name} depends on a parameter of shape {tuple(p.shape)} through a tensor computed from it before: compute that "
                "inside the residual"
            )


class _Bound(nn.Module):
    """The residual as a module of one sample, so that functional_call replaces parameters throughout the residual."""

    def __init__(self, model: nn.Module, residual: Residual) -> None:
        super().__init__()
        self.model, self.residual = model, residual

    def forward(self, sample: Any) -> Tensor:
        return self.residual(self.model, sample)


def _require_single_samples(model: nn.Module) -> None:
    """InputError for modules that couple samples, or draw random numbers for each."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None):
            raise InputError(
                f"{type(module).__name__} takes its statistics from the batch, and a residual is of one sample: put it in eval(), with "
                "running statistics, or use another normalisation"
            )
        if isinstance(module, _DropoutNd) and module.training and module.p > 0:
            raise InputError(
                f"{type(module).__name__} is active, which draws a mask for each sample and run: put it in eval()"
            )


def _remedy(error: Exception) -> str:
    """What to do about a failure of the residual."""
    text = str(error)
    if "randomness" in text:
        return f"It {DRAWS}"
    if "mutate" in text:
        return f"It {CHANGES}"
    if "dtype" in text:
        return "Give samples of the same floating-point type as the model's parameters, by .double() or .float()"
    if "functorch" in text or "does not require grad" in text or "vmap" in text:
        return (
            "It runs under torch.func.vmap: differentiate by torch.func or thermograd.laplacian and its like (not torch.autograd.grad), "
            "and use no .item(), no `if` on values, nothing in place"
        )
    return (
        "It is called with the model and ONE sample, without the batch's dimension, and returns a scalar or a vector; a model that "
        "needs that dimension takes model(x.unsqueeze(0)).squeeze(0); what vmap cannot run, such as LSTM, needs a closure of its own"
    )
