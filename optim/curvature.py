"""The generalised Gauss-Newton matrix of one batch, without forming it.

    G = J^T H J = (L^T J)^T (L^T J),   g = J^T r = J^T L s,   H = L L^T,  L s = r

with J the (b c, N) Jacobian of the outputs. Everything the natural gradient needs is in the small space of k = b m
sources: the Gram matrix K = L^T J J^T L, s, and one vector-Jacobian product u -> J^T L u back to the parameters.

For a linear layer with inputs a_i and sensitivities D_ij = d(L^T z)_ij / d(layer output), the layer's part of K is
elementwise, (a_i . a_i' + [bias]) (D_ij . D_i'j'), so its Jacobian is never formed. All D come out of one batched
backward pass of m directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..circuits.errors import InputError
from .capture import LinearCall, Recorder, reached_beside, sole_layer, users
from .loss_curvature import LossCurvature, fixed_probe, loss_curvature
from .per_sample import jacobian_rows

Closure = Callable[[], tuple[Tensor, Tensor]]
"""Returns (loss, outputs) of the batch, without calling backward."""

DENSE_PARAMETERS = 20_000
"""Largest N for which `GGN.dense` forms the N x N matrix."""


@dataclass(eq=False)
class _Layer:
    """A linear call and the positions of its optimised parameters."""

    call: LinearCall
    weight: int | None = None
    bias: int | None = None


@dataclass(eq=False)
class Batch:
    """What one run of the closure left: loss, outputs and what the hooks saw."""

    loss: Tensor
    outputs: Tensor
    recorder: Recorder = field(repr=False)


def evaluate(closure: Closure) -> Batch:
    """Run the closure under grad with the hooks on, and check what it returns.

    Raises:
        InputError: not a pair of a scalar loss and outputs of shape (b, ...) that carry a graph.
    """
    recorder = Recorder()
    with torch.enable_grad(), recorder:
        result = closure()
    if not (isinstance(result, tuple) and len(result) == 2 and all(isinstance(part, Tensor) for part in result)):
        raise InputError(
            f"the closure returned {type(result).__name__}: return (loss, outputs), and do not call backward"
        )
    loss, outputs = result
    if loss.numel() != 1:
        raise InputError(f"the loss has shape {tuple(loss.shape)}: reduce it to a scalar by mean or sum")
    if outputs.dim() < 1 or outputs.numel() == 0 or outputs.dtype not in (torch.float32, torch.float64):
        raise InputError(
            f"outputs are {tuple(outputs.shape)} {outputs.dtype}: return a float32 or float64 tensor of shape (batch, "
            "...)"
        )
    if outputs.grad_fn is None or loss.grad_fn is None:
        raise InputError(
            "loss or outputs carry no autograd graph: are all parameters frozen, or was the model run under no_grad?"
        )
    return Batch(loss, outputs, recorder)


class GGN:
    """The Gauss-Newton matrix of a batch as Gram matrix, sources and pullback.

    Outputs of one sample must depend on that sample alone (no batch normalisation in training mode; `verify` tests it).
    N-vectors are lists of tensors shaped as the parameters; k-vectors are ordered (sample, direction).

    Args:
        batch: from `evaluate`.
        parameters: the N optimised parameters; unused or frozen ones count as zero columns of J.
        known_curved: see `loss_curvature`.

    Raises:
        InputError: batch normalisation in training mode; a loss that depends on a parameter beside the outputs; a loss
            that `loss_curvature` refuses; dropout where a layer needs a second run.
    """

    def __init__(self, batch: Batch, parameters: Sequence[Tensor], known_curved: bool = False) -> None:
        if batch.recorder.coupling:
            raise InputError(
                f"{batch.recorder.coupling[0]} in training mode makes each output depend on the whole batch, so there "
                "is no per-sample Jacobian: put those modules in eval(), or use GroupNorm or LayerNorm"
            )
        self.batch = batch
        self.parameters = list(parameters)
        self.trained = [i for i, p in enumerate(self.parameters) if p.requires_grad]
        beside = reached_beside(batch.loss, batch.outputs, [self.parameters[i] for i in self.trained])
        if beside:
            p = self.parameters[self.trained[beside[0]]]
            raise InputError(
                f"the loss depends on a parameter of shape {tuple(p.shape)} other than through the outputs (a penalty "
                "in the loss?): the Gauss-Newton matrix covers outputs only; leave the term out of the loss"
            )
        self.loss: LossCurvature = loss_curvature(batch.loss, batch.outputs, known_curved)
        self._layers, self._rest = self._assign()
        self._sensitivities: list[Tensor] | None = None
        self._rows: list[Tensor] | None = None

    @property
    def cells(self) -> int:
        """k = b m, the size of the dual system."""
        b, _, m = self.loss.factor.shape
        return b * m

    @property
    def sources(self) -> Tensor:
        """s, (k,) float64, with J^T L s the gradient. InputError for a loss with slope but no curvature."""
        return self.loss.require_sources().reshape(-1)

    def gram(self) -> Tensor:
        """K = L^T J J^T L, (k, k) float64, accumulated in float64 from factors in the model's type."""
        b, _, m = self.loss.factor.shape
        K = torch.zeros(b, m, b, m, dtype=torch.float64, device=self.batch.outputs.device)
        for layer, D in zip(self._layers, self._layer_sensitivities(), strict=True):
            rows = D.transpose(0, 1).reshape(b * m, -1).double()
            overlap = torch.zeros(b, b, dtype=torch.float64, device=K.device)
            if layer.weight is not None:
                a = layer.call.input.double()
                overlap = a @ a.mT
            if layer.bias is not None:
                overlap = overlap + 1.0
            K += overlap[:, None, :, None] * (rows @ rows.mT).reshape(b, m, b, m)
        K = K.reshape(b * m, b * m)
        for part in self._other_rows():
            part = part.double()
            K += part @ part.mT
        return (K + K.mT) / 2

    def pullback(self, u: Tensor) -> list[Tensor]:
        """J^T L u for u (k,), one vector-Jacobian product; zeros for parameters that the outputs do not use."""
        b, _, m = self.loss.factor.shape
        return self._vjp(torch.einsum("bcm,bm->bc", self.loss.factor, u.double().reshape(b, m)))

    def gradient(self) -> list[Tensor]:
        """g = J^T r, the gradient of the loss."""
        return self._vjp(self.loss.residual)

    def jacobian(self) -> Tensor:
        """L^T J, (k, N) in the model's type: explicit rows, k N entries."""
        b, _, m = self.loss.factor.shape
        outputs = self.batch.outputs
        columns = [torch.zeros(b * m, p.numel(), dtype=outputs.dtype, device=outputs.device) for p in self.parameters]
        for layer, D in zip(self._layers, self._layer_sensitivities(), strict=True):
            if layer.weight is not None:
                columns[layer.weight] = torch.einsum("mbo,bi->bmoi", D, layer.call.input).reshape(b * m, -1)
            if layer.bias is not None:
                columns[layer.bias] = D.transpose(0, 1).reshape(b * m, -1)
        for i, part in zip(self._rest, self._other_rows(), strict=True):
            columns[i] = part
        return torch.cat(columns, dim=1)

    def dense(self) -> Tensor:
        """G, (N, N) float64. InputError above `DENSE_PARAMETERS`."""
        n = sum(p.numel() for p in self.parameters)
        if n > DENSE_PARAMETERS:
            raise InputError(
                f"G of {n} parameters would hold {n * n:.1e} entries (at most {DENSE_PARAMETERS} parameters): use "
                "gram()"
            )
        rows = self.jacobian().double()
        return rows.mT @ rows

    def verify(self) -> None:
        """Test K against the model's own backward pass, |J^T L u|^2 = u^T K u for a fixed pseudo-random u.

        InputError when they differ: the outputs of a sample depend on other samples, or on random numbers.
        """
        K = self.gram()
        u = fixed_probe(self.cells).to(K)
        true = sum(float(part.double().square().sum()) for part in self.pullback(u))
        claimed = float(u @ K @ u)
        tolerance = (1e-4 if self.batch.outputs.dtype == torch.float32 else 1e-9) * float(K.abs().sum())
        if abs(true - claimed) > tolerance:
            raise InputError(
                f"the per-sample Jacobian disagrees with the backward pass (|J^T L u|^2 = {true:.6g}, u^T K u = "
                f"{claimed:.6g}): an output depends on other samples of the batch (statistics over the batch, samples "
                "reordered) or on random numbers"
            )

    def _assign(self) -> tuple[list[_Layer], list[int]]:
        """Which parameters a layerwise formula covers, and which need explicit rows."""
        outputs, recorder = self.batch.outputs, self.batch.recorder
        b = outputs.shape[0]
        fit = [
            call
            for call in recorder.linear
            if call.input.dim() == 2
            and call.input.shape[0] == b
            and call.input.dtype == call.output_dtype == outputs.dtype
        ]
        assert outputs.grad_fn is not None
        graph = users(outputs.grad_fn)
        calls = {call.edge.node: call for call in fit}
        layers: dict[int, _Layer] = {}
        rest: list[int] = []
        for i in self.trained:
            p = self.parameters[i]
            used, call = sole_layer(p, graph, calls)
            if not used:
                continue
            if call is None:
                rest.append(i)
                continue
            if call.input._version != call.version:
                raise InputError(
                    "the input of a linear layer was changed in place after the layer ran: make that operation out of "
                    "place"
                )
            layer = layers.setdefault(id(call), _Layer(call))
            if p is call.weight:
                layer.weight = i
            else:
                layer.bias = i
        if rest and recorder.random:
            raise InputError(
                f"{recorder.random[0]} is active and a parameter of shape {tuple(self.parameters[rest[0]].shape)} "
                "needs a second run of the model, which would draw another mask: put dropout in eval(), or keep to "
                "linear layers on (batch, features)"
            )
        return list(layers.values()), rest

    def _layer_sensitivities(self) -> list[Tensor]:
        """D of every layer, (m, b, out), from one batched backward pass."""
        if self._sensitivities is None:
            outputs = self.batch.outputs
            m = self.loss.factor.shape[-1]
            cotangents = self.loss.factor.permute(2, 0, 1).to(outputs.dtype).reshape(m, *outputs.shape)
            edges = [layer.call.edge for layer in self._layers]
            found = (
                torch.autograd.grad(outputs, edges, cotangents, is_grads_batched=True, retain_graph=True)
                if edges
                else ()
            )
            self._sensitivities = [D.detach() for D in found]
        return self._sensitivities

    def _other_rows(self) -> list[Tensor]:
        """Explicit rows, (k, numel), of the parameters without a layerwise formula."""
        if self._rows is None:
            self._rows = []
            if self._rest:
                found = self.batch.recorder.root_of(self.batch.outputs)
                if found is None:
                    raise InputError(
                        f"a parameter of shape {tuple(self.parameters[self._rest[0]].shape)} is not a linear layer's, "
                        "and the outputs are not what one module returned: return the outermost module's own output "
                        "(not a slice or a function of it, and not from a compiled module)"
                    )
                root, leaf = found
                needed = [self.parameters[i] for i in self._rest]
                self._rows = jacobian_rows(root, leaf, needed, self.loss.factor.to(self.batch.outputs.dtype))
        return self._rows

    def _vjp(self, cotangent: Tensor) -> list[Tensor]:
        outputs = self.batch.outputs
        wanted = [self.parameters[i] for i in self.trained]
        found = torch.autograd.grad(
            outputs, wanted, cotangent.to(outputs.dtype).reshape(outputs.shape), retain_graph=True, allow_unused=True
        )
        result = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
        for i, part in zip(self.trained, found, strict=True):
            if part is not None:
                result[i] = part.detach()
        return result
