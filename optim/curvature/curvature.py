"""The curvature of one batch, without forming it.

    C = M^T M,   M = L^T J

with J the (b c, N) Jacobian of the outputs and L the factor of a matrix in the outputs: the loss's Hessian H = L L^T for
the generalised Gauss-Newton matrix (the Fisher, where the loss is a log-likelihood of an exponential family), drawn labels
for the Monte-Carlo Fisher, each sample's own slope for the empirical Fisher. Everything the natural gradient needs is in the
small space of k = b m sources: the Gram matrix K = M M^T, the sources s with g = M^T s, and products with M and M^T. All
sensitivities come out of one batched backward pass of m directions, and no layer's own Jacobian is formed (`blocks`).
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import MutableMapping, Sequence
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ...circuits.errors import InputError
from .assignment import Assignment, Structure, assign
from .autograd_graph import leaves_bypassing
from .batch import Batch
from .batch_statistics import BatchStatistics
from .blocks import ParameterBlock, RowsBlock
from .factor import DetachedFactor, Factor, filled
from .graph_products import GraphProducts
from .graph_signature import Signature, signature
from .losses.likelihood import Likelihood, require_likelihood
from .losses.likelihood_detection import detect_likelihood
from .losses.loss_hessian import LossCurvature, fixed_probe, in_the_range_of, loss_curvature
from .losses.products import LossProducts
from .rows.explicit_rows import explicit_rows
from .sensitivities import Sink, make_sink

CurvatureKind = Literal["ggn", "fisher", "mc-fisher", "empirical", "hessian"]
CURVATURE_KINDS: tuple[CurvatureKind, ...] = ("ggn", "fisher", "mc-fisher", "empirical", "hessian")

CallShapes = tuple[int, int, tuple[tuple[type[torch.nn.Module], torch.Size], ...]]

_BATCHED_ENTRIES = 200_000
"""Entries of the layers' outputs above which the directions go backward one by one: a batched pass copies what it cannot batch, such as
pooling; below, it saves m passes through Python."""


class Curvature(Factor):
    """A positive semi-definite curvature of a batch as Gram matrix, sources and products.

    Layers with a direct form need outputs that depend on their own sample alone (`verify` tests it); rows need nothing, since C = J^T H J
    is right whatever couples samples. Statistics of the batch in batch normalisation are constants of J here, and of the gradient are
    not (`batch_statistics`).

    Args:
        batch: from `evaluate`.
        parameters: the N optimised parameters; unused or frozen ones count as zero columns of J.
        kind: "ggn"; "fisher", the same matrix, for a loss that is a negative log-likelihood; "mc-fisher", by drawn labels,
            k = b mc_samples; "empirical", k = b; "hessian" of the loss in the parameters, which has a `product` only.
        mc_samples: labels drawn for each sample ("mc-fisher").
        generator: of the labels, on the CPU; needed for "mc-fisher".
        keep_sensitivities: keep the layers' sensitivities, which Kronecker factors need, also where rows of M take less memory.
        verified: what `verify` found of models by the shapes of their calls; it is read, and filled by `verify`.

    Raises:
        InputError: synchronised batch normalisation in training mode; a loss that depends on a parameter other than through the outputs;
            later, where needed: as `loss_curvature`, `require_likelihood` and `assign`.
    """

    def __init__(
        self,
        batch: Batch,
        parameters: Sequence[Tensor],
        kind: CurvatureKind = "ggn",
        mc_samples: int = 1,
        generator: torch.Generator | None = None,
        keep_sensitivities: bool = False,
        verified: MutableMapping[CallShapes, Structure] | None = None,
    ) -> None:
        if kind not in CURVATURE_KINDS:
            raise InputError(f"curvature is {kind!r}: give one of {', '.join(CURVATURE_KINDS)}")
        if mc_samples < 1 or (kind == "mc-fisher" and generator is None):
            raise InputError(
                f"mc_samples is {mc_samples}, generator {generator}: mc-fisher needs mc_samples >= 1 and a generator"
            )
        if batch.recorder.coupling:
            raise InputError(
                f"{batch.recorder.coupling[0]} normalises by statistics of the batch in a way of its own, so that they cannot be held "
                "constant in the curvature: use torch's BatchNorm1d, 2d or 3d with plain parameters, or GroupNorm or LayerNorm"
            )
        self.batch, self.kind, self._keep = batch, kind, keep_sensitivities
        self.parameters = list(parameters)
        self.trained = [i for i, p in enumerate(self.parameters) if p.requires_grad]
        self.dtype = self.parameters[self.trained[0]].dtype if self.trained else batch.outputs.dtype
        beside = leaves_bypassing(batch.loss, batch.outputs, [self.parameters[i] for i in self.trained])
        if beside and kind != "hessian":
            p = self.parameters[self.trained[beside[0]]]
            raise InputError(
                f"the loss depends on a parameter of shape {tuple(p.shape)} other than through the outputs (a penalty "
                "in the loss, or outputs that are not the very tensor it was taken of, but another cast?): the Gauss-Newton matrix covers "
                "outputs only; leave the term out, return that tensor"
            )
        self._loss = LossProducts(batch.loss, batch.outputs)
        self.slope = self._loss.gradient
        self.likelihood: Likelihood | None = detect_likelihood(self._loss)
        self._sampling = (mc_samples, generator)
        self._verified = {} if verified is None else verified
        self._checked = False
        self._products = GraphProducts(batch, self.parameters, self.trained)

    @cached_property
    def call_shapes(self) -> CallShapes:
        """b, what the graph is made of, and type and shape of each call of a layer."""
        calls = tuple((type(call.module), call.shape) for call in self.batch.recorder.calls)
        return self.samples, self._signature.nodes, calls

    @cached_property
    def _signature(self) -> Signature:
        assert self.batch.outputs.grad_fn is not None
        return signature(self.batch.outputs.grad_fn)

    @property
    def verified(self) -> bool:
        """Whether this graph was verified, or one of the same operations and shapes, none of which can mix samples."""
        known = self._verified.get(self.call_shapes)
        return known is not None and (self._checked or not known.separate or not self._signature.mixes)

    @property
    def fallbacks(self) -> list[int]:
        """Positions of the parameters without a direct form."""
        return self._assignment.fallbacks

    @property
    def samples(self) -> int:
        """Number of samples b, the first dimension of the outputs."""
        return self.batch.outputs.shape[0]

    @property
    def directions(self) -> int:
        """Number of columns m of L."""
        if self.kind in ("ggn", "fisher") and self.likelihood is not None and "loss" not in self.__dict__:
            return self.likelihood.directions  # the factor itself takes memory where outputs are many
        return self.loss.factor.shape[-1]

    @property
    def sources(self) -> Tensor:
        """Sources s, (k,) float64, with g = M^T s + remainder."""
        return self.loss.sources.reshape(-1)

    @cached_property
    def remainder(self) -> list[Tensor] | None:
        """What of the gradient the sources do not give, J^T (r - L s), and what it has through statistics of the batch."""
        if not self._statistics.modules:
            if self.kind == "mc-fisher":  # all of it, and a further backward pass would find the same
                return self.gradient()
            return None if self.loss.remainder is None else self._vjp(self.loss.remainder)
        with self._statistics.constant():
            given = self._vjp(torch.einsum("bcm,bm->bc", self.loss.factor, self.loss.sources))
        return [g - part for g, part in zip(self.gradient(), given, strict=True)]

    def gradient(self) -> list[Tensor]:
        """Gradient of the loss g = J^T r, by one backward pass, through statistics of the batch."""
        return list(self._gradient)

    @cached_property
    def _gradient(self) -> list[Tensor]:
        return self._vjp(self.slope.detach())

    def product(self, values: Sequence[Tensor]) -> list[Tensor]:
        """C v = J^T (H (J v)): three backward passes, whatever k is, and no assumption on samples.

        By the blocks, M^T (M v), with a warning, where the model cannot be differentiated twice.
        """
        if self.kind == "hessian":
            return self._products.hessian(values)
        with self._statistics.constant():
            tangent = self._products.tangent(values)
            if tangent is None:
                if not self.verified:
                    self.verify()
                return super().product(values)
            if self.kind in ("ggn", "fisher"):
                return self._vjp(self._loss.products(tangent.unsqueeze(0))[0])
            L = self.loss.factor
            flat = tangent.double().reshape(len(L), 1, -1)
            return self._vjp(flat @ L @ L.mT)

    def verify(self) -> None:
        """Test M against the model's own backward pass, and take plain rows of J for all parameters, with a warning, where they differ."""
        if not self._agrees():
            if self._assignment.layers:
                warnings.warn(
                    "outputs depend on other samples of the batch (statistics over the batch, samples reordered), or the backward pass is "
                    "not that of the layers: the direct forms of layers do not hold, and all parameters take rows of the Jacobian, which "
                    f"are exact, by {self.cells} backward passes",
                    stacklevel=2,
                )
            self._verified[self.call_shapes] = Structure({}, separate=False)
            for name in ("_assignment", "blocks"):
                self.__dict__.pop(name, None)
        self._verified[self.call_shapes] = self._assignment.structure
        self._checked = True

    def _agrees(self) -> bool:
        """Whether M^T u and M M^T u are those of the model's backward pass, for a fixed pseudo-random u."""
        b, _, m = self.loss.factor.shape
        u = fixed_probe(self.cells).to(self.loss.factor)
        found = self.rmatvec(u)
        with self._statistics.constant():
            true = self._vjp(torch.einsum("bcm,bm->bc", self.loss.factor, u.reshape(b, m)))
        size = sum(float(part.double().square().sum()) for part in true)
        off = sum(float((a.double() - c.double()).square().sum()) for a, c in zip(true, found, strict=True))
        halves = any(call.dtype.itemsize < 4 for call in self.batch.recorder.calls)
        halves = halves or self.batch.outputs.dtype.itemsize < 4
        tolerance = 3e-2 if halves else 1e-7 if self.dtype == torch.float64 else 1e-3
        through = self.matvec(found).double()
        claimed = sum(float(part.double().square().sum()) for part in found)
        return off <= tolerance**2 * size and abs(float(u.double() @ through) - claimed) <= tolerance * claimed

    @cached_property
    def blocks(self) -> list[ParameterBlock]:
        """The blocks of columns, from one backward pass of all directions or one of each."""
        m = self.loss.factor.shape[-1]
        sinks = [
            make_sink(uses, weight, bias, m, self.parameters, self.dtype, self._keep)
            for weight, bias, uses in (self._assignment.layers if m else [])
        ]
        with self._statistics.constant():
            if sinks:
                self._fill(sinks)
            return [one.block() for one in sinks] + self._explicit()

    def stored(self) -> DetachedFactor:
        """The same factor without the autograd graph, whose memory can be freed then."""
        blocks = [block.without_graph() for block in self.blocks]
        parts = (self.sources, self.remainder, self.gradient(), self.fallbacks)
        return DetachedFactor(self.parameters, self.dtype, blocks, self.loss, *parts)

    def _fill(self, sinks: list[Sink]) -> None:
        """Send the sensitivities of the layers' calls to their sinks."""
        outputs, factor = self.batch.outputs, self.loss.factor.to(self.batch.outputs.dtype)
        cotangents = factor.permute(2, 0, 1).reshape(-1, *outputs.shape)
        calls = list({use.call.node: use.call for one in sinks for use in one.uses}.values())
        edges = [call.edge for call in calls if call.edge is not None]
        at = {edge.node: i for i, edge in enumerate(edges)}

        def fill(directions: slice, parts: Sequence[Tensor]) -> None:
            for one in sinks:
                one.receive(directions, [parts[at[use.call.node]] for use in one.uses])

        with self._statistics.constant(inputs_only=True):
            if sum(call.shape.numel() for call in calls) < _BATCHED_ENTRIES:
                with contextlib.suppress(RuntimeError):  # of an operation that vmap cannot run
                    found = torch.autograd.grad(outputs, edges, cotangents, is_grads_batched=True, retain_graph=True)
                    fill(slice(None), [call.by_sample(D.detach()) for call, D in zip(calls, found, strict=True)])
                    return
            for j, cotangent in enumerate(cotangents):
                found = torch.autograd.grad(outputs, edges, cotangent, retain_graph=True)
                fill(slice(j, j + 1), [call.by_sample(D.unsqueeze(0)) for call, D in zip(calls, found, strict=True)])

    def _explicit(self) -> list[ParameterBlock]:
        """Blocks of the parameters without a direct form, by rows."""
        if not self.fallbacks:
            return []
        needed = [self.parameters[i] for i in self.fallbacks]
        rows = explicit_rows(self.batch.outputs, self.loss.factor, needed, self._assignment.structure.separate)
        b = self.batch.outputs.shape[0]
        return [RowsBlock(i, None, [part], b) for i, part in zip(self.fallbacks, rows, strict=True)]

    @cached_property
    def loss(self) -> LossCurvature:
        """Residual r, factor L and sources s of the loss."""
        outputs, likelihood = self.batch.outputs, self.likelihood
        samples, generator = self._sampling
        b = outputs.shape[0]
        r = self._loss.slope.detach().double().reshape(b, -1)
        if self.kind == "hessian":
            raise InputError(
                "the Hessian of the loss in the parameters has no factor M, since it may be indefinite: use NGDCG, which takes products "
                'alone, or the curvature "ggn"'
            )
        if self.kind == "ggn" and likelihood is None:
            return loss_curvature(self._loss)
        likelihood = require_likelihood(likelihood, f'curvature "{self.kind}"')
        if self.kind in ("ggn", "fisher"):
            return LossCurvature(r, *likelihood.factor())
        if self.kind == "empirical":
            return in_the_range_of(likelihood.empirical(), r, torch.finfo(self._loss.dtype).eps)
        assert generator is not None
        factor = likelihood.sampled(samples, generator)
        return LossCurvature(r, factor, r.new_zeros(b, factor.shape[-1]), r)

    @cached_property
    def _assignment(self) -> Assignment:
        known = self._verified.get(self.call_shapes)
        with self._statistics.constant(inputs_only=True):
            found = assign(self.batch, self.parameters, self.trained, self.dtype, known)
        if known is not None and len(found.structure.layouts) > len(known.layouts):
            # Outputs that did not depend on a call before, as behind weights that start at zero, do now.
            self._verified[self.call_shapes] = found.structure
        return found

    @property
    def _statistics(self) -> BatchStatistics:
        return self.batch.recorder.statistics

    def _vjp(self, cotangent: Tensor) -> list[Tensor]:
        outputs = self.batch.outputs
        wanted = [self.parameters[i] for i in self.trained]
        found = torch.autograd.grad(
            outputs, wanted, cotangent.to(outputs.dtype).reshape(outputs.shape), retain_graph=True, allow_unused=True
        )
        result: list[Tensor | None] = [None] * len(self.parameters)
        for i, part in zip(self.trained, found, strict=True):
            result[i] = part
        return filled(result, self.parameters)
