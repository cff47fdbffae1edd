"""Modelled time and energy of a training's steps, on the machine of `devicemodel.cost`: the host alone, or with the array beside it.

A step of TNGD costs what `thermograd cost` says of one with as many cells, runs of the array, programmings and digital products; its
physical time is the device's own. A digital step costs the host's operations (`devicemodel.cost.digital_step`).
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ...circuits.errors import InputError
from ...circuits.technology.presets import preset
from ...circuits.technology.technology import Technology
from ...devicemodel.cost import digital_step
from ...devicemodel.cost.digital_host import DigitalHost, HostWork
from ...devicemodel.cost.model import digital_cost, step_cost
from ...devicemodel.cost.planned import CROSSBAR, OSCILLATOR, planned_array
from ...devicemodel.cost.refinement import product_work, scaling_work
from ...devicemodel.cost.solver_array import SolverArray
from ...devicemodel.cost.step import StepCost
from ...devicemodel.cost.workload import Workload
from ...devicemodel.device import Solution, order_of
from ...devicemodel.host.refine import Refined, settling
from ..optimizers.base import NaturalGradient
from ..optimizers.damping import LevenbergMarquardt
from ..optimizers.kfac import KFAC
from ..optimizers.ngd import NGD, NGDCG, NGDWoodbury
from ..optimizers.step import StepRecord
from ..optimizers.tngd import TNGD

_PLANNED = {"crossbar": CROSSBAR, "crossbar_single": CROSSBAR, "oscillator": OSCILLATOR}
"""Fabrics whose arrays can be planned."""


@dataclass(frozen=True)
class Network:
    """What the model needs of a network and a batch.

    Attributes:
        parameters: N, trainable. samples: b. outputs: dz of a sample.
        forward: operations of a forward pass of the batch, the loss and the derivatives in it included.
        layers: (inputs with bias, outputs, rows) of each layer with a weight matrix.
    """

    parameters: int
    samples: int
    outputs: int
    forward: float
    layers: tuple[tuple[int, int, int], ...]

    def work(self, sources: int) -> Workload:
        """The derivatives, with k rows of J."""
        return Workload(self.parameters, self.samples, max(1, sources), self.forward or None)


class _Operations(TorchDispatchMode):
    """Operations of matrix products and convolutions by torch's formulas. (`FlopCounterMode` itself hooks modules, which derivatives with
    respect to inputs do not bear.)"""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=found)
        return found


def measured_network(
    model: nn.Module, closure_of: Callable[[nn.Module], Callable[[], tuple[Tensor, Tensor]]]
) -> Network:
    """Count the operations of a forward pass, as torch does, on a copy of the model: neither the model nor any random state changes.

    Args:
        closure_of: of a model, its closure for a batch.
    """
    twin, rows = copy.deepcopy(model), dict[int, tuple[int, int, int]]()

    def count(module: nn.Module, _: Any, output: Any) -> None:
        weight, bias = module.weight, getattr(module, "bias", None)
        if isinstance(output, Tensor) and isinstance(weight, Tensor):
            inputs = weight.numel() // len(weight) + (isinstance(bias, Tensor) and bias.requires_grad)
            rows[id(module)] = (inputs, len(weight), max(1, output.numel() // len(weight)))

    for module in twin.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.dim() >= 2 and weight.requires_grad:
            module.register_forward_hook(count)
    with torch.random.fork_rng(devices=[]), _Operations() as counter:
        _, outputs = closure_of(twin)()
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    samples = len(outputs) if outputs.dim() else 1
    each = max(1, outputs.numel() // max(1, samples))
    return Network(parameters, samples, each, counter.flops, tuple(rows.values()))


def modelled_cost(
    optimizer: Optimizer,
    network: Network,
    step: int,
    host: DigitalHost | None = None,
    record: StepRecord | None = None,
) -> StepCost | None:
    """Time and energy of the optimizer's latest step, part by part; None for what has no model.

    Without a model are systems of Kronecker factors on a device, passive arrays, and optimizers of one's own that are no
    `NaturalGradient` of this package. A run that is settled, of no duration, counts as one until the slowest mode that the damping allows
    has settled (`host.refine.settling`): 5 / lambda tau, which bounds it from above; inf without damping.

    Args:
        step: its number, from 0. host: None: `DigitalHost()`.
        record: of another step of such an optimizer; None: of its latest one.
    """
    host = host or DigitalHost()
    if not isinstance(optimizer, NaturalGradient):
        return _digital(digital_step.first_order(network.work(1)), 0.0, host)
    record, again = record or optimizer.last, 0.0
    if isinstance(optimizer.policy, LevenbergMarquardt):
        again += digital_step.PRODUCT + (not optimizer.config.line_search)
    again = (again + record.trials) * network.work(1).forward_flops
    return _of_step(optimizer, record, network, step, host, again)


def solve_cost(
    device: Any,
    solution: Solution,
    unknowns: int,
    damping: float = 0.0,
    host: DigitalHost | None = None,
    derivatives: float = 0.0,
) -> StepCost | None:
    """Time and energy of a single solution of a dense system, such as the dual one of a step.

    Args:
        device: that gave it; `Refined` ones too. One without a technology of its own counts as the published array (`paper`).
        solution: its runs, analog seconds, digital products and programmings are charged; a bare one is programmed once.
        unknowns: of the system.
        damping: smallest eigenvalue of the system, for a run without an end, see `modelled_cost`.
        host: None: `DigitalHost()`.
        derivatives: time that the host takes for the system and what becomes of its solution, s, in which the array waits.

    Returns:
        None where there is no model: passive arrays, fabrics that cannot be planned.

    Raises:
        InputError: no unknowns.
    """
    technology, fabric = _hardware(device)
    planned = None if fabric is None else _array("dual", 1, unknowns, technology, fabric)
    if planned is None:
        return None
    found = solution.refinement
    products = solution.products if found is None else found.products
    taken = _Reading(
        found is not None,
        max(1, solution.attempts),
        solution.seconds,
        products,
        1 if found is None else found.programmings,
    )
    return _with_array(device, technology, planned, (1, unknowns), taken, damping, derivatives, host or DigitalHost())


@dataclass(frozen=True)
class _Reading:
    """What of a reading is charged."""

    refined: bool
    attempts: int
    seconds: float
    products: int
    programmings: int


def _digital(work: digital_step.DigitalWork, again: float, host: DigitalHost) -> StepCost:
    """Of a step on the host alone, with operations of further forward passes."""
    return digital_cost((work.derivatives + again) / host.rate, work.solve / host.rate, host)


@functools.singledispatch
def _of_step(
    optimizer: NaturalGradient, record: StepRecord, network: Network, step: int, host: DigitalHost, again: float
) -> StepCost | None:
    """Cost of a step, with the operations of what adapts damping and length."""
    return None


@_of_step.register
def _(
    optimizer: NGD, record: StepRecord, network: Network, step: int, host: DigitalHost, again: float
) -> StepCost | None:
    work = network.work(record.cells)
    if record.iterations:
        return _digital(digital_step.by_conjugate_gradients(work, record.iterations), again, host)
    few = optimizer.method == "auto" and 2 * network.parameters <= record.cells
    return _digital((digital_step.by_least_squares if few else digital_step.by_gram)(work), again, host)


@_of_step.register
def _(
    optimizer: NGDWoodbury, record: StepRecord, network: Network, step: int, host: DigitalHost, again: float
) -> StepCost | None:
    return _digital(digital_step.by_gram(network.work(record.cells)), again, host)


@_of_step.register
def _(
    optimizer: NGDCG, record: StepRecord, network: Network, step: int, host: DigitalHost, again: float
) -> StepCost | None:
    return _digital(digital_step.by_conjugate_gradients(network.work(1), record.iterations), again, host)


@_of_step.register
def _(
    optimizer: KFAC, record: StepRecord, network: Network, step: int, host: DigitalHost, again: float
) -> StepCost | None:
    passes = {"mc-fisher": optimizer.config.mc_samples, "empirical": 1}.get(optimizer.config.curvature, network.outputs)
    refreshed = step % optimizer.refresh == 0
    work = digital_step.by_kronecker_factors(network.work(1), network.layers, passes, refreshed)
    return _digital(work, again, host)


@_of_step.register
def _(
    optimizer: TNGD, record: StepRecord, network: Network, step: int, host: DigitalHost, again: float
) -> StepCost | None:
    dual = optimizer.system == "dual"
    if not dual and optimizer.system != "primal":
        return None
    if record.cells == 0:  # nothing was solved: the loss or the curvature was not finite
        return digital_cost((network.work(1).gradient_flops + again) / host.rate, 0.0, host)
    drawn = optimizer.config.mc_samples if optimizer.config.curvature == "mc-fisher" else network.outputs
    sources = record.cells if dual else network.samples * drawn
    technology, fabric = _hardware(optimizer.device)
    if fabric is None:
        return None
    planned = _array("dual" if dual else "factored", network.parameters, sources, technology, fabric)
    if planned is None:
        return None
    work = network.work(sources)
    formed = optimizer.forms_curvature
    digital = ((work.derivatives(planned[0]) if formed else work.gradient_flops) + again) / host.rate
    refined = record.reading in ("refined", "gradient")
    taken = _Reading(
        refined,
        max(1, record.attempts),
        record.analog_seconds,
        record.products,
        record.programmings if refined else int(formed),
    )
    sizes = network.parameters, sources
    return _with_array(optimizer.device, technology, planned, sizes, taken, record.damping, digital, host)


def _with_array(
    device: Any,
    technology: Technology,
    planned: tuple[str, SolverArray],
    sizes: tuple[int, int],
    taken: _Reading,
    damping: float,
    digital: float,
    host: DigitalHost,
) -> StepCost:
    """Of a step on host and array. sizes: parameters and sources. digital: time of the derivatives, s."""
    (layout, array), work = planned, HostWork()
    if taken.refined:
        product = product_work(layout, *sizes, 1)
        scaling = HostWork() if layout == "factored" else scaling_work(array.cells)
        work = HostWork(
            taken.products,
            taken.products * product.multiply_adds + taken.programmings * scaling.multiply_adds,
            taken.products * product.bytes + taken.programmings * scaling.bytes,
        )
    analog = taken.seconds
    if math.isinf(analog):
        analog = settling(damping, order_of(device)) * array.tau * taken.attempts
    return step_cost(array, technology, analog, digital, host, taken.attempts, work, programmings=taken.programmings)


def _hardware(device: Any) -> tuple[Technology, str | None]:
    """Technology and plannable fabric of a device; the published ones where it has none of its own."""
    order = order_of(device)
    while isinstance(device, Refined):
        device = device.device
    made_of = getattr(device, "card", device)
    technology, fabric = getattr(made_of, "technology", None), getattr(made_of, "fabric", "auto")
    if not isinstance(technology, Technology):
        technology, fabric = preset("paper"), "auto"
    return technology, (OSCILLATOR if order == 2 else CROSSBAR) if fabric == "auto" else _PLANNED.get(fabric)


@functools.lru_cache(maxsize=64)
def _array(
    layout: str, parameters: int, sources: int, technology: Technology, fabric: str
) -> tuple[str, SolverArray] | None:
    """Layout and array of as many sources; dense where no cascade can be planned; None where neither can."""
    for chosen in dict.fromkeys((layout, "dense" if layout == "factored" else layout)):
        try:
            return chosen, planned_array(chosen, parameters, sources, 1, technology, fabric=fabric)
        except InputError:
            continue
    return None
