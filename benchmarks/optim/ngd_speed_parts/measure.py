"""Time, error and memory of a step of each method."""

from __future__ import annotations

import ctypes
import gc
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .methods import Method, Step
from .problems import Images, Problem, problem
from .reference import LARGEST, Reference

TURN = 0.05
"""s that a method has in each round, one step at least."""
SHARE = 20.0
"""s that a method has in all: a slow one takes part in the first rounds only, in one at least."""
DAMPINGS = (1e-3, 1e-2)
LR = 2.0**20
"""Learning rate where the step is read off the parameters: so large that their own rounding does not count."""
FAILURES = (ImportError, MemoryError, NotImplementedError, RuntimeError, ValueError)
"""What a method may raise without ending the benchmark."""
MEBIBYTE = 2.0**20


def memory_left() -> float:
    """Bytes that a method may take: half of what the machine has available."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        return 1024 * float(lines["MemAvailable"].split()[0]) / 2
    except (OSError, KeyError, ValueError):
        return 4e9


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(step: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call."""
    synchronise(device)
    began = time.perf_counter()
    step()
    synchronise(device)
    return time.perf_counter() - began


def prepared(task: Problem, methods: list[Method], notes: dict[str, str]) -> dict[str, Step]:
    """The steps of the methods; reasons for missing ones are added to `notes`."""
    memory, steps = memory_left(), {}
    if task.x.device.type == "cuda":
        memory = 0.5 * torch.cuda.mem_get_info(task.x.device)[0]
    for method in methods:
        reason = method.obstacle(task, memory)
        try:
            if not reason:
                steps[method.name] = method.make(task)
        except FAILURES as error:
            reason = described(error)
        if reason:
            notes[method.name] = reason
    return steps


def described(error: BaseException) -> str:
    """The first line of the error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def taking_turns(task: Problem, methods: list[Method], rounds: int) -> dict[str, Any]:
    """Seconds of a step of each method in each round (None where it did not take part), after two that are not counted.

    Methods come in another order in each round. All start from the same parameters, which are put back between steps, unmeasured.
    """
    notes: dict[str, str] = {}
    device = task.x.device
    steps, repeats, share = prepared(task, methods, notes), {}, {}
    for name, step in list(steps.items()):
        try:
            step()
            task.restore()
            once = seconds(step, device)
        except FAILURES as error:
            notes[name] = described(error)
            del steps[name]
            continue
        finally:
            task.restore()
        cycle = next(method.cycle for method in methods if method.name == name)
        repeats[name] = cycle * max(1, min(50, round(TURN / once / cycle)))
        share[name] = max(1, min(rounds, int(SHARE / once / repeats[name])))
    found: dict[str, list[float | None]] = {name: [] for name in steps}
    order, shuffler = list(steps), random.Random(0)
    for turn in range(rounds):
        shuffler.shuffle(order)
        for name in order:
            if turn >= share[name]:
                found[name].append(None)
                continue
            gc.collect()  # graphs of double backward are cycles
            spent = 0.0
            for _ in range(repeats[name]):
                spent += seconds(steps[name], device)
                task.restore()
            found[name].append(spent / repeats[name])
    return {"parameters": task.size, "seconds": found, "notes": notes}


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def ratios(times: dict[str, list[float | None]], base: str = "Adam") -> dict[str, tuple[float, float, float]]:
    """Quartiles of each method's time over that of `base` in the same round, those of `base` itself over its median."""
    middle = statistics.median(t for t in times[base] if t is not None)
    found = {}
    for name, mine in times.items():
        pairs = [(a, middle if name == base else b) for a, b in zip(mine, times[base], strict=True)]
        found[name] = quartiles([a / b for a, b in pairs if a is not None and b is not None])
    return found


def errors(task: Problem, methods: list[Method]) -> dict[str, dict[str, float]]:
    """|x - x_ref| / |x_ref| of each method that has a reference, by damping."""
    if task.size > LARGEST:
        return {}
    reference = Reference(task)
    found: dict[str, dict[str, float]] = {}
    lr, damping = task.lr, task.damping
    task.lr = LR
    for task.damping in DAMPINGS:
        exact = {t: reference.step(task.damping, t) for t in {m.time for m in methods if m.time is not None}}
        for name, step in prepared(task, [m for m in methods if m.time is not None], {}).items():
            wanted = next(exact[m.time] for m in methods if m.name == name and m.time is not None)
            try:
                step()
            except FAILURES:
                continue
            finally:
                moved = task.moved()
                task.restore()
            found.setdefault(name, {})[f"{task.damping:g}"] = float((moved - wanted).norm() / wanted.norm())
    task.lr, task.damping = lr, damping
    return found


def memory(name: str, batch: int, data: Images, device: str, method: Method) -> float:
    """MiB that two steps of a method take at their peak beyond the network, its gradients not made yet, and the batch.

    In a process of its own. On the CPU the peak of the resident set, which is set back beforehand where the system can do that (Linux);
    libraries are warmed up by a step of the same method on a small network. On CUDA what torch's allocator had given out at most.
    """
    method.make(problem("N = 10000", min(batch, 16), data, device, steps=1))()
    task = problem(name, batch, data, device, steps=1)
    gc.collect()
    reason = method.obstacle(task, memory_left())
    if reason:
        raise MemoryError(reason)
    if device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = float(torch.cuda.memory_allocated())
    else:
        before = resident(reset=True)
    step = method.make(task)
    for _ in range(2):
        step()
    after = torch.cuda.max_memory_allocated() if device != "cpu" else resident()
    return (after - before) / MEBIBYTE


def resident(reset: bool = False) -> float:
    """Bytes of the resident set: with `reset`, those of now, from which its peak counts on; without, the peak since then."""
    try:
        if reset:
            # what the C library keeps of the warming up would hide as much of what comes
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        text = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * float(text.split("VmHWM:")[1].split()[0])
    except (AttributeError, OSError):  # not Linux: a peak that cannot be set back
        unit = 1 if sys.platform == "darwin" else 1024
        return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def slope(sizes: list[float], times: list[float]) -> tuple[float, float]:
    """Exponent a of times ~ sizes^a by least squares of the logarithms, and its standard error (nan from two points)."""
    x, y = (torch.tensor(values, dtype=torch.float64).log() for values in (sizes, times))
    x = x - x.mean()
    spread = float(x @ x)
    exponent = float(x @ y) / spread
    rest = y - y.mean() - exponent * x
    free = len(sizes) - 2
    return exponent, float((rest @ rest / free / spread).sqrt()) if free > 0 else float("nan")
