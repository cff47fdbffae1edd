"""Recording of a forward pass: which layers ran, and on which inputs.

While the optimizer's closure runs, global forward hooks of torch record each call of a layer whose curvature has a direct form
(`LAYERS`): its input, and the edge of its output in the autograd graph, taken at once so that an in-place activation afterwards cannot
move it. The output of batch normalisation in training mode goes on from there on a graph of its own (`batch_statistics`).
"""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from .batch_statistics import BatchStatistics, can_hold_constant, uses_batch_statistics
from .run_state import RunState

LAYERS: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.PReLU,
)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer of `LAYERS`.

    Attributes:
        module: the layer.
        weight, bias: its own parameters; None where it has none (absent, parametrised or pruned).
        input: its input, detached.
        version: counter of in-place changes to the input's memory, when the layer ran.
        shape, dtype: of the output.
        edge: edge of the output in the autograd graph; None after the graph was freed.
        statistics: mean and 1 / standard deviation of a normalisation by statistics of the batch.
        folds: (outer, b, inner), if the output at the edge has its rows in that order, while input and shape have the samples first.
    """

    module: nn.Module
    weight: Tensor | None
    bias: Tensor | None
    input: Tensor
    version: int
    shape: torch.Size
    dtype: torch.dtype
    edge: GradientEdge | None
    statistics: tuple[Tensor, Tensor] | None = None
    folds: tuple[int, int, int] | None = None

    def samples_first(self, leading: int, b: int, inner: int) -> Call:
        """The same call, its first `leading` dimensions as (b, ...); row r of them belongs to sample (r // inner) mod b."""
        if self.shape[0] == b and self.shape[1:leading].numel() == inner:
            return self
        folds = (self.shape[:leading].numel() // (b * inner), b, inner)
        rows = self.input.reshape(*folds, *self.input.shape[leading:])
        shape = torch.Size((b, folds[0] * inner, *self.shape[leading:]))
        return dataclasses.replace(self, input=rows.transpose(0, 1).flatten(1, 2), shape=shape, folds=folds)

    def by_sample(self, D: Tensor) -> Tensor:
        """Sensitivities (m, ...) of the output at the edge as (b, m, ...)."""
        if self.folds is None:
            return D.transpose(0, 1)
        split = D.reshape(len(D), *self.folds, *self.shape[2:])
        return split.movedim(2, 0).flatten(2, 3)

    @property
    def node(self) -> Node:
        """Node of the edge in the autograd graph."""
        assert self.edge is not None
        return self.edge.node


class ForwardRecorder:
    """Context manager that records the modules that run in this thread.

    Args:
        state: takes up the buffers of each outermost module before it runs.

    Attributes:
        calls: calls of layers with a direct form, in order.
        statistics: of the batch, in its batch normalisations.
        coupling: types of the modules that couple the samples of a batch in a way that cannot be held constant.
    """

    def __init__(self, state: RunState | None = None) -> None:
        self.calls: list[Call] = []
        self.statistics = BatchStatistics()
        self.coupling: list[str] = []
        self._state = state
        self._depth = 0
        self._thread = threading.get_ident()
        self._handles: list[Any] = []

    def __enter__(self) -> ForwardRecorder:
        self._handles = [
            register_module_forward_pre_hook(self._before),
            register_module_forward_hook(self._after, with_kwargs=True, always_call=True),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _before(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if threading.get_ident() == self._thread:
            if self._depth == 0 and self._state is not None:
                self._state.add_buffers_of(module)
            self._depth += 1

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """Record a call; the output, where another tensor takes its place."""
        if threading.get_ident() != self._thread:
            return None
        self._depth -= 1
        x = args[0] if args else kwargs.get("input")
        replaced = statistics = None
        if uses_batch_statistics(module) and _is_tensor(output) and output.requires_grad:
            if can_hold_constant(module, x):
                replaced, *statistics = self.statistics.attached(cast(_BatchNorm, module), cast(Tensor, x), output)
                output = replaced
            else:
                self.coupling.append(type(module).__name__)
        if isinstance(module, nn.EmbeddingBag) and len(args) + len(kwargs) > 1:
            pass  # offsets, or weights of the tokens
        elif type(module) in LAYERS and _is_tensor(x):
            self._record(module, cast(Tensor, x), output, statistics)
        return replaced

    def _record(self, module: nn.Module, x: Tensor, output: Any, statistics: list[Tensor] | None) -> None:
        if not (_is_tensor(output) and output.requires_grad):
            return
        own = module._parameters
        self.calls.append(
            Call(
                module,
                own.get("weight"),
                own.get("bias"),
                x.detach(),
                x._version,
                output.shape,
                output.dtype,
                get_gradient_edge(output),
                None if statistics is None else (statistics[0], statistics[1]),
            )
        )


def _is_tensor(value: object) -> bool:
    """Whether it is a tensor, and not what says so for the sake of `isinstance`, such as the stand-in of the forward Laplacian."""
    return issubclass(type(value), Tensor)
