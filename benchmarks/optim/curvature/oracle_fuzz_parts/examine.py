"""One case against the oracle: agreement, an error in words, or a fault."""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from thermograd.circuits.errors import InputError

from .cases import CG_TOLERANCE, Case, make_case, seed_all
from .oracle import NotDifferentiable, copy_state, random_state, restore, same_random_state, true_step

Kind = Literal["agrees", "words", "fault", "no case"]
Control = Literal["none", "off", "row"]


@dataclass
class Result:
    """What became of a case.

    Attributes:
        seed, place: of the case.
        kind: "agrees"; "words", an `InputError`; "fault"; "no case", a model that torch itself cannot run or differentiate.
        what: kind of the fault, or the error's words without their numbers.
        detail: all of it.
        step: at which it showed, from 1.
        expected: whether an error was due, since the loss is not convex, couples samples, or has no second derivative in torch.
        solver, model: what was tried.
    """

    seed: int
    place: int
    kind: Kind
    what: str = ""
    detail: str = ""
    step: int = 0
    expected: bool = False
    solver: str = ""
    model: str = ""


def examine(seed: int, place: int, control: Control = "none") -> Result:
    """Build the case, take its steps, and compare each.

    Args:
        seed, place: of the case.
        control: a deliberate fault, which must be found: "off", a step that is 1e-4 longer; "row", one sample's row of M left out.
    """
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = [make_case(seed, place) for _ in range(3)]
        case, replicas = built[0], built[1:]
        if case is None:
            return Result(seed, place, "no case", "the network does not run")
        seed_all(7 * place + 1)
        words = "; ".join([*case.words, str(case.net)])
        result = Result(seed, place, "agrees", solver=case.solver, model=" ".join(words.split()))
        try:
            _steps(case, [one for one in replicas if one is not None], result, control)
        except NotDifferentiable as error:
            result.kind, result.what = "no case", re.sub(r"[\d.e+-]+", "#", str(error))[:80]
        return result


def _steps(case: Case, replicas: list[Case], result: Result, control: Control) -> None:
    with_groups = [
        {"params": [list(case.net.parameters())[i] for i in members], "damping": damping}
        for members, damping in case.groups
    ]
    if not any(p.requires_grad for p in case.parameters):
        raise NotDifferentiable("all parameters are frozen")
    optimizer = case.make(with_groups)
    dampings = case.dampings
    for step in range(1, case.steps + 1):
        result.step = step
        if case.resumed and step > 1:
            fresh = case.make(with_groups)
            fresh.load_state_dict(optimizer.state_dict())
            optimizer = fresh
        adapting = "Levenberg" in case.solver
        if adapting:
            dampings = [optimizer._adapted] * len(dampings)
        truth = true_step(case, replicas, dampings)
        if not truth.finite and step > 1:
            return
        # how the state should be after one run of each closure
        state = random_state()
        once = replicas[0]
        copy_state(case.net, once.net)
        for i in range(len(case.losses)):
            once.closure(i)()
        moved = random_state()
        before = [p.detach().clone() for p in once.parameters]  # (Embedding(max_norm) changes its own in forward)
        restore(state)
        flat = any(loss.flat for loss in case.losses)
        result.expected = not truth.convex or truth.coupled or not truth.finite or flat
        try:
            loss = _take(optimizer, case, control)
        except InputError as error:
            result.kind, result.what, result.detail = "words", _without_numbers(str(error)), str(error)
            return
        except Exception as error:  # noqa: BLE001 (whatever a user would see)
            result.kind, result.what = "fault", f"raw {type(error).__name__}: {_without_numbers(str(error))}"
            result.detail = traceback.format_exc()
            return
        found = torch.cat([(a - p.detach()).double().reshape(-1) for a, p in zip(before, case.parameters, strict=True)])
        found = found / optimizer.param_groups[0]["lr"]
        if control == "off":
            found = found * (1 + 1e-4)
        if not optimizer.last.applied:
            if truth.finite:
                result.kind, result.what = "fault", f"skipped: {optimizer.last.outcome.name}"
            else:
                result.kind, result.what = "words", f"skipped: {optimizer.last.outcome.name}"
            return
        if not truth.finite:
            result.kind, result.what = "fault", "a step of what is not finite"
            return
        tolerance = truth.tolerance
        if "cg" in case.solver:
            tolerance += 2 * CG_TOLERANCE * float(truth.g.norm()) / min(dampings)
        if "NGDCG" in case.solver:
            tolerance += 1e-10 * float(truth.g.norm()) / min(dampings)
        off, size = float((found - truth.x).norm()), float(truth.x.norm())
        faults = []
        if not off <= tolerance:
            faults.append(("wrong step", f"off by {off:.3g} of {size:.3g}, tolerance {tolerance:.2g}"))
        elif not truth.convex and "CG" not in case.solver and "cg" not in case.solver:
            faults.append(("a loss that is not convex is accepted", ""))
        if abs(loss - truth.loss) > 1e-5 * abs(truth.loss) + 1e-6:
            faults.append(("wrong loss", f"{loss} for {truth.loss}"))
        if not adapting:
            if not same_random_state(random_state(), moved):
                faults.append(("generators moved", "not as one run of each closure moves them"))
            for (name, a), (_, b) in zip(case.net.named_buffers(), once.net.named_buffers(), strict=True):
                if not torch.allclose(a.double(), b.double(), rtol=1e-5, atol=1e-8, equal_nan=True):
                    faults.append(("buffers changed", f"{name}: not as one run of each closure changes them"))
                    break
        if faults:
            result.kind = "fault"
            result.what = faults[0][0]
            result.detail = "; ".join(f"{what} {detail}" for what, detail in faults)
            return
        _shorten(case, before, found)


def _shorten(case: Case, before: list[Tensor], x: Tensor) -> None:
    """Put the parameters where a step of at most 0.5 ends, since a network that has diverged tells nothing."""
    rate = min(0.3, 0.5 / max(float(x.norm()), 1e-300))
    with torch.no_grad():
        for p, b, part in zip(case.parameters, before, x.split([p.numel() for p in before]), strict=True):
            p.copy_(b - rate * part.reshape(b.shape).to(b.dtype))


def _take(optimizer: Any, case: Case, control: Control) -> float:
    closures = [case.closure(i) for i in range(len(case.losses))]
    if control == "row":
        closures = [_without_a_row(case, i) for i in range(len(case.losses))]
    if len(closures) == 1:
        return float(optimizer.step(closures[0]))
    for closure in closures:
        optimizer.prepare(closure)
    return float(optimizer.step())


def _without_a_row(case: Case, i: int) -> Callable[[], tuple[Tensor, Tensor]]:
    def run() -> tuple[Tensor, Tensor]:
        z = case.network.batches[i](case.net)
        kept = torch.cat([z[:-1], z[-1:].detach()])
        return case.losses[i].run(kept), z

    return run


def _without_numbers(text: str) -> str:
    return re.sub(r"\d[\d.e+-]*", "#", text)[:110]
