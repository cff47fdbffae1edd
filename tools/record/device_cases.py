"""Cases of devices: sequences of solves, batches of dies, stochastic processes, costs."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from thermograd.circuits import Macromodel
from thermograd.compiler import compile_matrix, lay_out
from thermograd.devicemodel import (
    OU,
    AnalogTile,
    CascadeDevice,
    Dense,
    DieBatch,
    IdealDevice,
    Implicit,
    PiecewiseConstant,
    ReadOut,
    Scenario,
    SpiceDevice,
    SurrogateDevice,
    compiled_array,
    handovers,
    step_cost,
    step_time,
    sweep,
)
from thermograd.devicemodel.cost.model import KNOBS

from .compiler_cases import figures
from .inputs import UNEVEN, card_of, factors, system_of, technology_of
from .store import Case, Items

Solve = tuple[Any, Any, float, Any]
"""System, drive, duration and initial state of one solve."""


def sequence(device: Any, runs: Sequence[Solve], idle: bool = False) -> dict[str, Any]:
    """Readings, times and outcomes of solves on one device, one after the other, a further run, the state, and a solve from it.

    `idle`: after a further solve and 1000 s without one.
    """
    found: dict[str, Any] = {}

    def keep(name: str, solution: Any) -> None:
        found[name] = [solution.x, solution.seconds, solution.attempts]
        found[f"{name} outcome"] = solution.outcome.value
        found[f"{name} violations"] = str(solution.violations)
        if solution.error_bound is not None:
            found[f"{name} error bound"] = solution.error_bound
        if getattr(device, "probe", None) is not None:
            found[f"{name} probe"] = [value for value in dataclasses.astuple(device.probe) if value is not None]

    for k, (system, b, duration, x0) in enumerate(runs):
        solution = device.solve(system, b, duration, x0)
        keep(f"solve {k}", solution)
    if solution.outcome.readable:
        keep("evolve", device.evolve(0.7))
    saved = copy.deepcopy(device.state_dict())
    found["state"] = {key: value for key, value in saved.items() if value is not None}
    device.load_state_dict(saved)
    system, b, duration, _ = runs[0]
    if idle:
        device.solve(system, b, 2.0)
        device.idle(1e3)
    keep("resumed", device.solve(system, b, duration))
    return found


def plan(fabric: str, sizes: tuple[int, ...] = (6, 6, 3)) -> list[Solve]:
    """Solves that exercise the ranging: large and small drives, one system again, another size, warm starts, rest."""
    pairs = [system_of(fabric, n, seed=10 + k) for k, n in enumerate(sizes)]
    one, two, three = (Dense(torch.from_numpy(a)) for a, _ in pairs)
    b, c, d = (torch.from_numpy(b) for _, b in pairs)
    # Nearly singular: far more gain than the host has attempts for where amplifiers limit their outputs; unstable where codes are coarse.
    hard = Dense((1 + 1e-5) * torch.eye(len(b), dtype=torch.float64) - 1 / len(b))
    runs: list[Solve] = [(one, b, 20.0, None), (one, -b, 0.5, None), (two, 1e3 * c, 5.0, None)]
    runs += [(two, 1e-3 * c, math.inf, None), (three, d, 10.0, None), (one, b, 3.0, 0.2 * b), (one, 0 * b, 1.0, None)]
    return [*runs, (hard, 1e4 * b.abs(), 2e7, None), (two, c, 15.0, None)]


def surrogate(fabric: str, technology: str, die: int | None, options: dict[str, Any]) -> Items:
    """Sequences on a surrogate."""
    changes = {key: options.pop(key) for key in ("clamp", "noise_power", "leak") if key in options}
    card = card_of(technology_of(technology, fabric), fabric, **changes)
    device = SurrogateDevice(card, die, seed=3, extrapolate=True, **options)
    yield "runs.npz", sequence(device, plan(fabric), idle=True)


def outside() -> Items:
    """What a card does not answer, in words."""
    card = card_of(UNEVEN, "crossbar")
    for k, (system, b, duration, x0) in enumerate(plan("crossbar", (12, 6, 3))):
        try:
            solution = SurrogateDevice(card, 1).solve(system, b, duration, x0)
            yield f"{k}.txt", solution.outcome.value
        except ValueError as error:
            yield f"{k}.txt", str(error)


def spice(fabric: str, technology: str, die: int | None, options: dict[str, Any]) -> Items:
    """Three solves in ngspice."""
    board = technology_of(technology)
    if options.pop("macromodel", False):
        options["amplifier"] = Macromodel(board.opamp)
    runs = plan(fabric, (3, 3, 2))
    device = SpiceDevice(board, die, fabric, seed=2, **options)
    yield "runs.npz", sequence(device, [runs[0], runs[1], runs[4]], idle=True)


class Rows:
    """J known by its products."""

    def __init__(self, J: torch.Tensor) -> None:
        self.J, self.dtype = J, J.dtype
        self.shape = (J.shape[0], J.shape[1])

    def gram(self) -> torch.Tensor:
        """J J^T."""
        return self.J.double() @ self.J.double().mT

    def matvec(self, v: torch.Tensor) -> torch.Tensor:
        """J v."""
        return self.J.to(v.dtype) @ v

    def rmatvec(self, u: torch.Tensor) -> torch.Tensor:
        """J^T u."""
        return self.J.mT.to(u.dtype) @ u


def ideal(kappa0: float, double: bool) -> Items:
    """All kinds of systems on the ideal device."""
    dtype = torch.float64 if double else torch.float32
    low, product, dense = factors(dtype)
    b = torch.linspace(-1, 1, 12, dtype=dtype)
    kinds: dict[str, Any] = {"low": low, "kronecker": product, "dense": dense, "implicit": Implicit(Rows(low.J), 0.3)}
    kinds |= {"floor": Dense(low.J.mT @ low.J + 0.5 * torch.eye(12, dtype=dtype), floor=0.5)}
    for name, system in kinds.items():
        device = IdealDevice(kappa0, seed=4 if kappa0 else None)
        runs = [(system, b, 20.0, None), (system, -b, 0.3, None), (system, b, math.inf, None), (system, b, 1.0, b)]
        yield f"{name}.npz", sequence(device, runs)
    without = [(Dense(-dense.A), b, 1.0, None), (Dense(0 * dense.A), b, math.inf, None)]
    yield "unstable.npz", sequence(IdealDevice(), without)


def factored(which: int, technology: str, die: int | None, by_card: bool) -> Items:
    """Sequences on a device behind arrays of factors."""
    board = technology_of(technology)
    system = factors()[which]
    b = torch.linspace(-1, 1, 12, dtype=torch.float64)
    device = CascadeDevice(card_of(board, "crossbar") if by_card else board, die, seed=1, extrapolate=by_card)
    runs = [(system, b, 20.0, None), (system, 1e3 * b, 0.3, None), (system, 1e-3 * b, math.inf, None)]
    yield "runs.npz", sequence(device, [*runs, (system, b, 1.0, b), (system, b, 5.0, None)])


def batched(fabric: str) -> Items:
    """A batch of dies, and its slopes."""
    a, b = system_of(fabric, 5, seed=8)
    batch = DieBatch(card_of(UNEVEN, fabric), range(4), extrapolate=True)
    for duration in (0.5, 20.0, math.inf):
        values = {"mismatch": 0.02, "gain": 1.01, "offset": 2e-3, "noise_power": 0.9}
        tensors = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in values.items()}
        found = batch.solve(a, b, duration, 0.1 * b, seed=2, **tensors)
        slopes = torch.autograd.grad(found.x.square().sum(), list(tensors.values()), allow_unused=True)
        kept = [part for part in slopes if part is not None]
        yield f"{duration}.npz", [found.x.detach(), found.attempts, found.seconds, kept]
        yield f"{duration}.json", [[outcome.value for outcome in found.outcomes], found.violations]


def tile(technology: str, die: int | None) -> Items:
    """A layer on a tile."""
    weight = torch.from_numpy(np.random.default_rng(2).standard_normal((3, 5)))
    board = technology_of(technology).replace(resistors__series=None)
    analog = AnalogTile(weight, board, die, 2.0, 6.0, dtype=torch.float64)
    inputs = torch.from_numpy(np.random.default_rng(3).uniform(-3, 3, (8, 5)))
    yield "outputs.npz", [analog(inputs, torch.Generator().manual_seed(1)), analog.matrix, analog.bias, analog.noise]


def processes() -> Items:
    """Laws of linear stochastic differential equations."""
    low, product, dense = factors()
    rng = np.random.default_rng(5)
    u, v, x0 = (torch.from_numpy(rng.standard_normal(12)) for _ in range(3))
    shear = dense.A + torch.eye(12, dtype=torch.float64) + 0.3 * torch.triu(torch.ones(12, 12, dtype=torch.float64), 1)
    diffusion = torch.diag(torch.linspace(0, 1, 12, dtype=torch.float64))
    mass, friction = (torch.diag(torch.linspace(1, end, 6, dtype=torch.float64)) for end in (2, 3))
    moved = torch.cat([x0[:6], 0 * x0[:6]])
    laws = {
        "dense": OU(dense.A, u, 0.2),
        "shear": OU(shear, u, diffusion),
        "low": OU(low, u, 0.2),
        "kronecker": OU(product, u, 0.2),
        "switched": OU(dense.A, PiecewiseConstant((u, v), (0.7,)), 0.2),
        "system": OU.of_system(low, u, 0.1),
        "oscillator": OU.underdamped(mass, friction, dense.A[:6, :6] + mass, u[:6], friction),
    }
    for name, process in laws.items():
        start = moved if name == "oscillator" else x0
        found = [process.marginal(start, 1.3), process.time_average(start, 0.5, 2.0), process.stationary()]
        values = [[one.mean, one.covariance, one.variance] for one in found]
        generator = torch.Generator().manual_seed(2)
        times = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)
        paths = [process.trajectory(start, 0.2, 6, generator), process.trajectory_at(start, times, generator)]
        step = dataclasses.astuple(process.transition(0.9))[:3]
        yield f"{name}.npz", [values, paths, step, found[0].sample(generator, 3)]


def costs() -> Items:
    """Time and energy of a step."""
    for layout in ("factored", "dense", "dual"):
        for name in ("paper", "breadboard", "integrated"):
            scenario = Scenario(10_000, 16, 10, layout, technology_of(name, layout))
            yield f"{layout}_{name}.json", [scenario.cost().to_dict(), str(scenario.cost())]
    for knob in KNOBS:
        low, high = (
            (2, 12) if knob == "bits" else (1, 1000) if knob in ("batch", "outputs", "converters") else (1e2, 1e6)
        )
        turned = Scenario(10_000, 16, 10)
        swept = [one.to_dict() for one in sweep(turned, knob, [low, high])]
        steps = [dataclasses.astuple(one) for e in (False, True) for one in handovers(turned, knob, low, high, e)]
        yield f"knob_{knob}.json", [swept, steps]
    program = compile_matrix(system_of("crossbar", 6, seed=1)[0], "crossbar", "integrated")
    array = compiled_array(program)
    yield (
        "array.npz",
        [list(array.to_dict().values()), dataclasses.astuple(step_time(100, 1e-6, program.technology.link))],
    )
    yield "array.json", step_cost(array, program.technology, 1e-6, 1e-3, attempts=2).to_dict()
    yield "laid_out.npz", figures(lay_out(system_of("crossbar", 3, seed=2)[0], "crossbar", UNEVEN))


READ_OUTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "reads": {"read_out": ReadOut(4, 0.5)},
    "auto_zero": {"read_out": ReadOut(2, 0.3, auto_zero=True)},
    "quiet": {"noise_power": 0.0},
}


def cases() -> Iterator[Case]:
    """All cases of devices."""
    for name, options in READ_OUTS.items():
        for fabric in ("crossbar", "dual_rail"):
            for technology, die in (("integrated", None), ("breadboard", 1), ("uneven", 2), ("paper", 3)):
                where = f"devices/surrogate/{fabric}_{technology}_{name}"
                yield where, surrogate, (fabric, technology, die, dict(options))
    layout, limited = {"layout": True}, {"clamp": 1.013, "leak": 1e-7}
    yield "devices/surrogate/crossbar_layout", surrogate, ("crossbar", "uneven", 4, layout)
    yield "devices/surrogate/crossbar_clamped", surrogate, ("crossbar", "uneven", 4, limited)
    yield "devices/surrogate/crossbar_held", surrogate, ("crossbar", "paper", 4, limited)
    yield "devices/surrogate/refused", outside, ()
    quiet: dict[str, Any] = {"johnson_noise": False}
    macromodel = quiet | {"macromodel": True}
    yield "devices/spice/crossbar", spice, ("crossbar", "integrated", 1, {})
    yield "devices/spice/crossbar_quiet", spice, ("crossbar", "uneven", 2, quiet)
    yield "devices/spice/crossbar_layout", spice, ("crossbar", "uneven", 2, quiet | layout)
    yield "devices/spice/crossbar_macromodel", spice, ("crossbar", "integrated", 2, macromodel)
    yield "devices/spice/dual_rail", spice, ("dual_rail", "breadboard", None, {"read_out": ReadOut(2, 0.5)})
    yield "devices/spice/rc", spice, ("rc", "paper", 3, {})
    for kappa0 in (0.0, 1e-3):
        for double in (True, False):
            yield f"devices/ideal/{'noisy' if kappa0 else 'quiet'}_{64 if double else 32}", ideal, (kappa0, double)
    for which, system in enumerate(("low_rank", "kronecker")):
        for technology, die in (("paper", None), ("integrated", 1), ("uneven", 2)):
            yield f"devices/factored/{system}_{technology}", factored, (which, technology, die, False)
        yield f"devices/factored/{system}_card", factored, (which, "uneven", 3, True)
    for fabric in ("crossbar", "dual_rail"):
        yield f"devices/batch/{fabric}", batched, (fabric,)
    for technology, die in (("ideal", None), ("integrated", 1), ("breadboard", 2)):
        yield f"devices/tile/{technology}", tile, (technology, die)
    yield "devices/processes", processes, ()
    yield "devices/costs", costs, ()
